/*
 * Random numbers from a seed, the same on every machine: splitmix64 (Steele, Lea, Flood, 2014).
 * Depends on nothing.
 */
#ifndef SLUICE_TESTS_SUPPORT_RANDOM_H
#define SLUICE_TESTS_SUPPORT_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state; /* any value */
};

static inline uint64_t random_u64(struct random *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 … n - 1, for n > 0. */
static inline uint64_t random_below(struct random *r, uint64_t n)
{
    return random_u64(r) % n;
}

/* A number in lo..hi, both included. */
static inline int64_t random_in(struct random *r, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(random_u64(r) % (uint64_t)(hi - lo + 1));
}

/* True in `percent` of all cases. */
static inline bool random_chance(struct random *r, int percent)
{
    return random_in(r, 0, 99) < percent;
}

#endif
