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

/* How many digits a number has that is at least 1: about so many as its bits are worth. */
static size_t digits_of(uint64_t n)
{
    static const uint64_t powers[] = {
        1u,
        10u,
        100u,
        1000u,
        10000u,
        100000u,
        1000000u,
        10000000u,
        100000000u,
        1000000000u,
        10000000000u,
        100000000000u,
        1000000000000u,
        10000000000000u,
        100000000000000u,
        1000000000000000u,
        10000000000000000u,
        100000000000000000u,
        1000000000000000000u,
        10000000000000000000u,
    };
    size_t bits = 64 - (size_t)__builtin_clzll(n);
    size_t digits = bits * 1233 >> 12; /* log10(2) is 0.30103, and 1233 / 4096 a little less */
    return digits + (n >= powers[digits]);
}

/* Two digits at a time, since most numbers that are written are times. */
char *text_put_u64(char *to, uint64_t n)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char *end = to + (n ? digits_of(n) : 1);
    char *at = end;
    for (; n >= 100; n /= 100) {
        at -= 2;
        memcpy(at, pairs + 2 * (n % 100), 2);
    }
    if (n >= 10) {
        memcpy(to, pairs + 2 * n, 2);
    } else {
        *to = (char)('0' + n);
    }
    return end;
}

char *text_put_negative(char *to, int64_t n)
{
    *to = '-';
    return text_put_u64(to + 1, -(uint64_t)n);
}
