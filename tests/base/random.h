/*
 * Numbers for randomized tests: the same sequence for the same seed, on every machine.
 */
#ifndef SLUICE_TESTS_BASE_RANDOM_H
#define SLUICE_TESTS_BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state; /* any value */
};

uint64_t random_u64(struct random *r);

/* 0 … n - 1, for n > 0. */
uint64_t random_below(struct random *r, uint64_t n);

#endif
