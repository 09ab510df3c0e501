/*
 * Spares: blocks of memory that were given back, kept for the next of about their size.
 *
 * For structures that come and go all the time, of a few sizes: taking one that was given back
 * costs a tenth of what the allocator does. Sizes are rounded up as the allocator rounds them; a
 * few blocks of each are kept, the rest goes back to the allocator. Under the sanitizers none is
 * kept, so that they see every use after it was given back (SPARES_KEPT, set by the build).
 *
 * Not for memory whose size a stranger chooses. Depends on nothing.
 */
#ifndef SLUICE_BASE_SPARES_H
#define SLUICE_BASE_SPARES_H

#include <stddef.h>
#include <stdlib.h>

#include "base/likely.h"

#define SPARES_STEP  16 /* bytes, of which the allocator keeps SPARES_HEAD for itself */
#define SPARES_HEAD  8
#define SPARES_SIZES 64 /* of one step, two, …; larger blocks are not kept */
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
    } of[SPARES_SIZES + 1]; /* by size in steps */
};

static inline size_t spares_steps(size_t size)
{
    return (size + SPARES_HEAD + SPARES_STEP - 1) / SPARES_STEP;
}

/* A block of at least that size, with whatever was in it; NULL without memory. */
static inline void *spares_take(struct spares *s, size_t size)
{
    size_t steps = spares_steps(size);
    if (unlikely(steps > SPARES_SIZES || !s->of[steps].first)) {
        return malloc(steps * SPARES_STEP - SPARES_HEAD);
    }
    struct spare *spare = s->of[steps].first;
    s->of[steps].first = spare->next;
    s->of[steps].n--;
    return spare;
}

/* Gives back a block that was taken with that size. */
static inline void spares_give(struct spares *s, void *block, size_t size)
{
    size_t steps = spares_steps(size);
    if (unlikely(steps > SPARES_SIZES || s->of[steps].n + 1 > SPARES_KEPT)) {
        free(block);
        return;
    }
    struct spare *spare = block;
    spare->next = s->of[steps].first;
    s->of[steps].first = spare;
    s->of[steps].n++;
}

/* Frees what is kept. */
static inline void spares_release(struct spares *s)
{
    for (size_t steps = 0; steps <= SPARES_SIZES; steps++) {
        while (s->of[steps].first) {
            struct spare *spare = s->of[steps].first;
            s->of[steps].first = spare->next;
            free(spare);
        }
        s->of[steps].n = 0;
    }
}

#endif
