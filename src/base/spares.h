/*
 * Spares: blocks of memory that were given back, kept for the next of about their size.
 *
 * For structures that come and go all the time, of a few sizes: taking one that was given back
 * costs a tenth of what the allocator does. Sizes are rounded up to whole cache lines; a few blocks
 * of each are kept, the rest goes back to the allocator. Under the sanitizers none is kept, so that
 * they see every use after it was given back (SPARES_KEPT, set by the build).
 *
 * Not for memory whose size a stranger chooses. Depends on nothing.
 */
#ifndef SLUICE_BASE_SPARES_H
#define SLUICE_BASE_SPARES_H

#include <stddef.h>
#include <stdlib.h>

#define SPARES_LINE  64 /* bytes */
#define SPARES_SIZES 16 /* of one line, two, …; larger blocks are not kept */
#ifndef SPARES_KEPT
#define SPARES_KEPT 32 /* of each size */
#endif

struct spare {
    struct spare *next;
};

struct spares {
    struct {
        struct spare *first;
        size_t n;
    } of[SPARES_SIZES + 1]; /* by size in lines */
};

static inline size_t spares_lines(size_t size)
{
    return (size + SPARES_LINE - 1) / SPARES_LINE;
}

/* A block of at least that size, with whatever was in it; NULL without memory. */
static inline void *spares_take(struct spares *s, size_t size)
{
    size_t lines = spares_lines(size);
    if (lines > SPARES_SIZES || !s->of[lines].first) {
        return malloc(lines * SPARES_LINE);
    }
    struct spare *spare = s->of[lines].first;
    s->of[lines].first = spare->next;
    s->of[lines].n--;
    return spare;
}

/* Gives back a block that was taken with that size. */
static inline void spares_give(struct spares *s, void *block, size_t size)
{
    size_t lines = spares_lines(size);
    if (lines > SPARES_SIZES || s->of[lines].n + 1 > SPARES_KEPT) {
        free(block);
        return;
    }
    struct spare *spare = block;
    spare->next = s->of[lines].first;
    s->of[lines].first = spare;
    s->of[lines].n++;
}

/* Frees what is kept. */
static inline void spares_release(struct spares *s)
{
    for (size_t lines = 0; lines <= SPARES_SIZES; lines++) {
        while (s->of[lines].first) {
            struct spare *spare = s->of[lines].first;
            s->of[lines].first = spare->next;
            free(spare);
        }
        s->of[lines].n = 0;
    }
}

#endif
