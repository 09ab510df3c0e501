#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_SIZE_MIN 64

void buf_init(struct buf *b, size_t cap)
{
    assert(cap < SIZE_MAX / 2);
    *b = (struct buf){.cap = cap};
}

void buf_release(struct buf *b)
{
    free(b->at);
    buf_init(b, b->cap);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->at) {
        b->at[0] = '\0';
    }
}

/* Grows the allocation to hold `need` bytes and the final zero. */
static bool buf_grow(struct buf *b, size_t need)
{
    size_t size = b->size ? b->size : BUF_SIZE_MIN;
    while (size < need + 1) {
        size *= 2;
    }
    if (size > b->cap + 1) {
        size = b->cap + 1;
    }
    char *at = realloc(b->at, size);
    if (!at) {
        return false;
    }
    b->at = at;
    b->size = size;
    return true;
}

char *buf_reserve(struct buf *b, size_t more)
{
    assert(b->len <= b->cap);
    if (b->failed || more > b->cap - b->len) {
        b->failed = true;
        return NULL;
    }
    if (b->len + more + 1 > b->size && !buf_grow(b, b->len + more)) {
        b->failed = true;
        return NULL;
    }
    return b->at + b->len;
}

void buf_add_slowly(struct buf *b, const void *bytes, size_t len)
{
    char *to = buf_reserve(b, len);
    if (!to) {
        return;
    }
    if (len) {
        memcpy(to, bytes, len);
    }
    b->len += len;
    b->at[b->len] = '\0';
}

/* Near the end of the memory at hand a number is written aside, since it may need less than most.
 */
static void add_u64_slowly(struct buf *b, uint64_t n)
{
    char digits[TEXT_NUMBER_MAX];
    buf_add_slowly(b, digits, (size_t)(text_put_u64(digits, n) - digits));
}

static void add_i64_slowly(struct buf *b, int64_t n)
{
    char digits[TEXT_NUMBER_MAX];
    buf_add_slowly(b, digits, (size_t)(text_put_i64(digits, n) - digits));
}

void buf_add_u64(struct buf *b, uint64_t n)
{
    if (buf_at_hand(b, TEXT_NUMBER_MAX)) {
        buf_end_at(b, text_put_u64(b->at + b->len, n));
    } else {
        add_u64_slowly(b, n);
    }
}

void buf_add_i64(struct buf *b, int64_t n)
{
    if (buf_at_hand(b, TEXT_NUMBER_MAX)) {
        buf_end_at(b, text_put_i64(b->at + b->len, n));
    } else {
        add_i64_slowly(b, n);
    }
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(need >= 0);
    char *to = buf_reserve(b, (size_t)need);
    if (!to) {
        return;
    }
    va_start(args, format);
    vsnprintf(to, (size_t)need + 1, format, args);
    va_end(args);
    b->len += (size_t)need;
}

void buf_shift(struct buf *b, size_t n)
{
    assert(n <= b->len);
    if (n == 0) {
        return;
    }
    memmove(b->at, b->at + n, b->len - n + 1);
    b->len -= n;
}

struct text buf_text(const struct buf *b)
{
    return (struct text){b->at, b->len};
}
