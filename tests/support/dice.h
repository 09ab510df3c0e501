/*
 * Dice of a seed, for worlds that a test makes up: xorshift64* (Vigna, 2016). Depends on nothing.
 */
#ifndef SLUICE_TESTS_SUPPORT_DICE_H
#define SLUICE_TESTS_SUPPORT_DICE_H

#include <stdint.h>

/* 0 … sides - 1. The state is never 0. */
static inline int64_t dice_throw(uint64_t *state, int64_t sides)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (int64_t)((*state * UINT64_C(2685821657736338717) >> 33) % (uint64_t)sides);
}

#endif
