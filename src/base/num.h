/*
 * Checked and saturating arithmetic on amounts, times and money.
 *
 * Amounts are int64: requests, tokens, slots, or picodollars (10^-12 USD). Times are
 * int64 microseconds. Everything that comes from outside and is added or multiplied
 * goes through these; a result that does not fit saturates or is reported, never wraps.
 */
#ifndef SLUICE_BASE_NUM_H
#define SLUICE_BASE_NUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/likely.h"

/* Wide enough for the product of any two int64. */
__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

#define US_PER_MS  INT64_C(1000)
#define US_PER_S   INT64_C(1000000)
#define US_PER_MIN (INT64_C(60) * US_PER_S)
#define US_PER_H   (INT64_C(60) * US_PER_MIN)
#define US_PER_DAY (INT64_C(24) * US_PER_H)

#define PICOUSD_PER_USD INT64_C(1000000000000)

/* A number that is often divided by: multiplying by its inverse is several times faster than the
 * machine's division (Granlund and Montgomery, 1994). */
struct divisor {
    uint64_t by; /* > 0 */
    uint64_t inverse;
};

static inline struct divisor divisor_of(uint64_t by)
{
    return (struct divisor){by, UINT64_MAX / by};
}

/* n / d->by. The inverse is less than one too small, so the product is at most one too small. */
static inline uint64_t divide(uint64_t n, const struct divisor *d)
{
    uint64_t quotient = (uint64_t)((uint128)n * d->inverse >> 64);
    return n - quotient * d->by >= d->by ? quotient + 1 : quotient;
}

/* a + b, held within the range of int64. */
static inline int64_t add_sat(int64_t a, int64_t b)
{
    int64_t sum;
    if (unlikely(__builtin_add_overflow(a, b, &sum))) {
        return b > 0 ? INT64_MAX : INT64_MIN;
    }
    return sum;
}

/* a - b, held within the range of int64. */
static inline int64_t sub_sat(int64_t a, int64_t b)
{
    int64_t difference;
    if (unlikely(__builtin_sub_overflow(a, b, &difference))) {
        return b < 0 ? INT64_MAX : INT64_MIN;
    }
    return difference;
}

/* a * b, held within the range of int64. */
static inline int64_t mul_sat(int64_t a, int64_t b)
{
    int64_t product;
    if (unlikely(__builtin_mul_overflow(a, b, &product))) {
        return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
    }
    return product;
}

/* a * b / c for c > 0, rounded towards zero, saturating; the product never overflows. */
static inline int64_t mul_div_sat(int64_t a, int64_t b, int64_t c)
{
    int128 quotient = (int128)a * b / c;
    if (quotient > INT64_MAX) {
        return INT64_MAX;
    }
    return quotient < INT64_MIN ? INT64_MIN : (int64_t)quotient;
}

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
