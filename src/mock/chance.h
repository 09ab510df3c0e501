/*
 * Seeded chance: the same seed and the same numbers give the same draws, on every machine.
 *
 * A draw depends on the seed, the number of the call and what it is drawn for, and on nothing
 * else, so that a call's fate does not hang on which other calls were in flight.
 *
 * May depend on src/base.
 */
#ifndef SLUICE_MOCK_CHANCE_H
#define SLUICE_MOCK_CHANCE_H

#include <stdint.h>

/* What a draw is for; each is independent of the others. */
enum chance_purpose {
    CHANCE_ADMISSION_DELAY,
    CHANCE_FIRST_TOKEN,
    CHANCE_OUTPUT_TOKENS,
    CHANCE_REQUEST_ID,
    CHANCE_PHASE,
    CHANCE_TROUBLE, /* and the numbers after it: one for each rule of a script */
};

/* 64 random bits. */
uint64_t chance_bits(uint64_t seed, uint64_t number, uint64_t purpose);

/* Uniform in low..high, both included; low <= high. */
int64_t chance_between(uint64_t seed, uint64_t number, uint64_t purpose, int64_t low, int64_t high);

/* From the normal distribution with mean 0 and deviation 1. */
double chance_normal(uint64_t seed, uint64_t number, uint64_t purpose);

#endif
