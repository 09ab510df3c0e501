/*
 * A borrowed piece of text: a pointer and a length, not terminated.
 *
 * A struct text owns nothing; whoever hands one out says until when it may be read.
 * The empty text has len 0 and may have a NULL pointer.
 */
#ifndef SLUICE_BASE_TEXT_H
#define SLUICE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/likely.h"

struct text {
    const char *at; /* may be NULL when len is 0 */
    size_t len;
};

#define TEXT_NONE ((struct text){NULL, 0})
/* The text of a string literal, without its final zero. */
#define TEXT(literal) ((struct text){"" literal, sizeof(literal) - 1})

static inline struct text text_of(const char *s)
{
    return (struct text){s, s ? strlen(s) : 0};
}

/* Whether n bytes are the same. Names are short: two words that overlap are quicker than a call. */
static inline bool bytes_equal(const char *a, const char *b, size_t n)
{
    if (unlikely(n > 16)) {
        return memcmp(a, b, n) == 0;
    }
    if (n >= 8) {
        return memcmp(a, b, 8) == 0 && memcmp(a + n - 8, b + n - 8, 8) == 0;
    }
    if (n >= 4) {
        return memcmp(a, b, 4) == 0 && memcmp(a + n - 4, b + n - 4, 4) == 0;
    }
    return n == 0 || (a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1]);
}

/* Copies n bytes to where there are others. Names are short here, too. */
static inline void bytes_copy(char *restrict to, const char *restrict from, size_t n)
{
    if (unlikely(n > 32)) {
        memcpy(to, from, n);
    } else if (n >= 16) {
        memcpy(to, from, 16);
        memcpy(to + n - 16, from + n - 16, 16);
    } else if (n >= 8) {
        memcpy(to, from, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);
    } else if (n > 0) {
        to[0] = from[0];
        to[n / 2] = from[n / 2];
        to[n - 1] = from[n - 1];
    }
}

static inline bool text_equal(struct text a, struct text b)
{
    return a.len == b.len && bytes_equal(a.at, b.at, a.len);
}

/* What a hexadecimal digit is worth, in either case; -1 where it is none. */
static inline int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that the percent escape at `i` stands for; -1 where it is malformed or a NUL. */
static inline int text_unescaped(struct text t, size_t i)
{
    int high = i + 2 < t.len ? hex_value(t.at[i + 1]) : -1;
    int low = i + 2 < t.len ? hex_value(t.at[i + 2]) : -1;
    return high < 0 || low < 0 || high + low == 0 ? -1 : high * 16 + low;
}

/* Copies a text to where *to points, and moves *to behind it. */
static inline struct text text_copy(char **to, struct text t)
{
    struct text copy = {*to, t.len};
    if (t.len) { /* most have no session, labels or id */
        bytes_copy(*to, t.at, t.len);
    }
    *to += t.len;
    return copy;
}

/* Write a number in decimal to where there is room for TEXT_NUMBER_MAX bytes, and return where it
 * ends. */
#define TEXT_NUMBER_MAX 21
char *text_put_u64(char *to, uint64_t n);
char *text_put_negative(char *to, int64_t n);

static inline char *text_put_i64(char *to, int64_t n)
{
    if (n >= 0 && n < 10) {
        *to = (char)('0' + n);
        return to + 1;
    }
    return n < 0 ? text_put_negative(to, n) : text_put_u64(to, (uint64_t)n);
}

/* The key of a hash. Where names come from outside, it is random, so that nobody can choose
 * names that collide. */
struct hash_key {
    uint64_t k0;
    uint64_t k1;
};

/* SipHash-1-3 (Aumasson and Bernstein, 2012): the same on every machine for the same key. */
uint64_t text_hash(struct text t, const struct hash_key *key);

#endif
