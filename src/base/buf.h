/*
 * A growable byte buffer with a cap.
 *
 * The cap is given at the start and is never exceeded: an append that would pass it, or
 * that meets a failed allocation, leaves the buffer as it was and marks it `failed`, so
 * that a writer may append many pieces and ask once at the end. The bytes are always
 * followed by a zero that is not counted, so a buffer of text is also a C string.
 */
#ifndef SLUICE_BASE_BUF_H
#define SLUICE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct buf {
    char *at;   /* NULL until the first append */
    size_t len; /* bytes in use, without the final zero */
    size_t size;
    size_t cap; /* len never exceeds this */
    bool failed;
};

/* Starts empty; allocates nothing. */
void buf_init(struct buf *b, size_t cap);

/* Frees the bytes; the buffer is empty and may be used again. */
void buf_release(struct buf *b);

/* Forgets the content and the failure, keeps the memory. */
void buf_clear(struct buf *b);

/* Whether the memory at hand does for so many: whoever knows the most that its pieces take may
 * write them there and say where they end. */
static inline bool buf_at_hand(const struct buf *b, size_t most)
{
    return likely(!b->failed && most < b->size - b->len);
}

/* Makes room for `more` bytes beyond len, and returns where they begin; NULL at the cap. */
char *buf_reserve(struct buf *b, size_t more);

/* The same, for much that is written piece by piece: most pieces find room. */
static inline char *buf_room(struct buf *b, size_t more)
{
    return buf_at_hand(b, more) ? b->at + b->len : buf_reserve(b, more);
}

static inline void buf_end_at(struct buf *b, char *end)
{
    *end = '\0';
    b->len = (size_t)(end - b->at);
}

/* Appends where the memory at hand may not do. */
void buf_add_slowly(struct buf *b, const void *bytes, size_t len);

static inline void buf_add(struct buf *b, const void *bytes, size_t len)
{
    if (b->failed || len >= b->size - b->len || len == 0) {
        buf_add_slowly(b, bytes, len);
        return;
    }
    memcpy(b->at + b->len, bytes, len);
    b->len += len;
    b->at[b->len] = '\0';
}

static inline void buf_add_text(struct buf *b, struct text t)
{
    buf_add(b, t.at, t.len);
}

static inline void buf_add_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

static inline void buf_add_char(struct buf *b, char c)
{
    char *to = buf_room(b, 1);
    if (to) {
        *to = c;
        buf_end_at(b, to + 1);
    }
}

void buf_add_i64(struct buf *b, int64_t n);
void buf_add_u64(struct buf *b, uint64_t n);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first n bytes (n <= len). */
void buf_shift(struct buf *b, size_t n);

/* The content, valid until the next change. */
struct text buf_text(const struct buf *b);

#endif
