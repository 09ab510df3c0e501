/*
 * Plain bytes: those that stand for themselves in a JSON string, read or written. Neither a
 * control, nor a quote, a backslash, DEL, nor a byte of a longer character.
 *
 * Internal to src/http.
 */
#ifndef SLUICE_HTTP_PLAIN_H
#define SLUICE_HTTP_PLAIN_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"

#define PLAIN_EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

static inline bool is_plain(char c)
{
    return (unsigned char)(c - ' ') < 0x7f - ' ' && c != '"' && c != '\\';
}

/* How many of eight bytes are plain before the first that is not; the first is the lowest. The sums
 * carry beyond a byte that is not plain alone, so what they say of those before it holds. */
static inline size_t plain_of_word(uint64_t x)
{
    uint64_t quote = x ^ PLAIN_EACH_BYTE('"');
    uint64_t backslash = x ^ PLAIN_EACH_BYTE('\\');
    uint64_t below = (x - PLAIN_EACH_BYTE(' ')) | (quote - PLAIN_EACH_BYTE(1)) |
                     (backslash - PLAIN_EACH_BYTE(1));
    uint64_t above = x | (x + PLAIN_EACH_BYTE(1)); /* from 0x7f on */
    uint64_t special = (below | above) & PLAIN_EACH_BYTE(0x80);
    return special ? (size_t)__builtin_ctzll(special) / 8 : sizeof(x);
}

static inline size_t plain_of_eight(const char *at)
{
    uint64_t x;
    memcpy(&x, at, sizeof(x));
    return plain_of_word(le64toh(x));
}

/* Whether all of four to eight bytes are: as two halves that may overlap. */
static inline bool all_plain(const char *at, size_t len)
{
    uint32_t front;
    uint32_t back;
    memcpy(&front, at, sizeof(front));
    memcpy(&back, at + len - sizeof(back), sizeof(back));
    return plain_of_word(front | (uint64_t)back << 32) == sizeof(uint64_t);
}

/* How many bytes from the front are plain. Built into its few callers, who ask it of every string.
 */
__attribute__((always_inline)) static inline size_t plain_length(struct text t)
{
    size_t n = 0;
    if (t.len >= 4 && t.len <= 8 && all_plain(t.at, t.len)) {
        return t.len;
    }
    while (t.len - n >= sizeof(uint64_t)) {
        size_t plain = plain_of_eight(t.at + n);
        n += plain;
        if (plain < sizeof(uint64_t)) {
            return n;
        }
    }
    if (n < t.len && t.len > sizeof(uint64_t)) {
        /* The last eight are looked at as a whole, though some of them were before. */
        n = t.len - sizeof(uint64_t);
        return n + plain_of_eight(t.at + n);
    }
    while (n < t.len && is_plain(t.at[n])) {
        n++;
    }
    return n;
}

#endif
