#include "random.h"

/* SplitMix64 (Steele, Lea and Flood, 2014). */
uint64_t random_u64(struct random *r)
{
    r->state += 0x9e3779b97f4a7c15u;
    uint64_t z = r->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t random_below(struct random *r, uint64_t n)
{
    return random_u64(r) % n;
}
