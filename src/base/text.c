#include "base/text.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static inline void sip_take(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

/* Up to eight bytes as a little-endian number, whatever the machine's own order. */
static inline uint64_t load_le(const char *at, size_t n)
{
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++) {
        word |= (uint64_t)(unsigned char)at[i] << (8 * i);
    }
    return word;
}

uint64_t text_hash(struct text t, const struct hash_key *key)
{
    struct sip s = {
        .v0 = key->k0 ^ 0x736f6d6570736575u,
        .v1 = key->k1 ^ 0x646f72616e646f6du,
        .v2 = key->k0 ^ 0x6c7967656e657261u,
        .v3 = key->k1 ^ 0x7465646279746573u,
    };
    size_t left = t.len;
    const char *at = t.at;
    for (; left >= 8; left -= 8, at += 8) {
        sip_take(&s, load_le(at, 8));
    }
    sip_take(&s, (uint64_t)t.len << 56 | load_le(at, left));
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

#define FOUR_DIGITS  10000u
#define EIGHT_DIGITS 100000000u

/* The digits of two numbers below 10^4 that stand side by side, the first in the lowest byte: they
 * are split into halves, and those into digits. The factors are a hundredth and a tenth of a power
 * of two, rounded up, and exact for what is below 10^4 and 10^2. */
static inline uint64_t digits_of(uint64_t fours)
{
    uint64_t hundreds = (fours * 10486 >> 20) & UINT64_C(0x0000007f0000007f);
    uint64_t twos = hundreds | (fours - 100 * hundreds) << 16;
    uint64_t tens = (twos * 103 >> 10) & UINT64_C(0x000f000f000f000f);
    return tens | (twos - 10 * tens) << 8;
}

/* Of a number below 10^8. */
static inline uint64_t eight_digits(uint32_t n)
{
    return digits_of(n / FOUR_DIGITS | (uint64_t)(n % FOUR_DIGITS) << 32);
}

static inline char *put_digits(char *to, uint64_t digits, unsigned n)
{
    uint64_t word = digits | UINT64_C(0x3030303030303030);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    memcpy(to, &word, sizeof(word));
    return to + n;
}

/* So many digits without the zeros at the beginning. */
static inline char *put_first(char *to, uint64_t digits, unsigned n)
{
    unsigned zeros = digits ? (unsigned)__builtin_ctzll(digits) / 8 : n - 1;
    return put_digits(to, digits >> (8 * zeros), n - zeros);
}

/* Eight digits at a time, since most numbers that are written are times; the others are counts,
 * and small. */
char *text_put_u64(char *to, uint64_t n)
{
    if (n < FOUR_DIGITS) {
        return put_first(to, digits_of(n), 4);
    }
    if (n < EIGHT_DIGITS) {
        return put_first(to, eight_digits((uint32_t)n), 8);
    }
    uint64_t more = n / EIGHT_DIGITS;
    if (more < EIGHT_DIGITS) {
        to = put_first(to, eight_digits((uint32_t)more), 8);
    } else {
        to = put_first(to, digits_of(more / EIGHT_DIGITS), 4);
        to = put_digits(to, eight_digits((uint32_t)(more % EIGHT_DIGITS)), 8);
    }
    return put_digits(to, eight_digits((uint32_t)(n % EIGHT_DIGITS)), 8);
}

char *text_put_negative(char *to, int64_t n)
{
    *to = '-';
    return text_put_u64(to + 1, -(uint64_t)n);
}
