/*
 * A price: what a model's tokens cost, in picodollars each, by the parts that are priced apart.
 *
 * A picodollar is 10^-12 US dollars: every published price of a token is a whole number of them
 * (0.003625 USD a million tokens are 3625). Some models cost more for prompts over a size; the
 * whole request then moves to the higher prices. Sums saturate at USD_AMOUNT_MAX.
 *
 * Pure. May depend on src/base, answer.h and limit.h only.
 */
#ifndef SLUICE_CORE_PRICE_H
#define SLUICE_CORE_PRICE_H

#include "core/answer.h"

#define PRICE_MAX INT64_C(1000000000000) /* a dollar a token */

struct price {
    bool known;         /* false: nothing is computed, and nothing is free */
    int64_t of[PARTS];  /* each 0..PRICE_MAX */
    int64_t tier_start; /* prompts of more tokens than this cost `over`; 0: no such tier */
    int64_t over[PARTS];
    int32_t discount_ppm; /* taken off, as for batch APIs: 0..1,000,000 */
};

/* What these tokens cost, rounded up to a whole picodollar after the discount. */
int64_t price_cost(const struct price *price, const struct parts *parts);

/* The most that a request of this load can cost: its input at the dearest of the input prices,
 * since it is not known yet what a cache will serve or take. */
int64_t price_worst(const struct price *price, const struct load *load);

#endif
