#include "mock/chance.h"

#include <assert.h>
#include <math.h>

/* The finaliser of SplitMix64 (Steele, Lea and Flood, 2014). */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t chance_bits(uint64_t seed, uint64_t number, uint64_t purpose)
{
    return mix(mix(mix(seed) ^ number) ^ purpose);
}

/* Uniform in [0, 1): the upper 53 bits are all that a double holds. */
static double share_of(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1.0p-53;
}

int64_t chance_between(uint64_t seed, uint64_t number, uint64_t purpose, int64_t low, int64_t high)
{
    assert(low <= high);
    uint64_t span = (uint64_t)high - (uint64_t)low + 1;
    uint64_t bits = chance_bits(seed, number, purpose);
    return (int64_t)((uint64_t)low + (span ? bits % span : bits));
}

double chance_normal(uint64_t seed, uint64_t number, uint64_t purpose)
{
    /* Box and Muller; 1 - share is never 0, so the logarithm is finite. */
    uint64_t bits = chance_bits(seed, number, purpose);
    double radius = sqrt(-2.0 * log(1.0 - share_of(bits)));
    return radius * cos(2.0 * M_PI * share_of(mix(bits)));
}
