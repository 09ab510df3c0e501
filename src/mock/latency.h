/*
 * Delays drawn from a seeded distribution.
 *
 * A spec is one of
 *     none
 *     constant:D[,PER_TOKEN]
 *     uniform:LOW,HIGH[,PER_TOKEN]
 *     lognormal:MEDIAN,SIGMA[,PER_TOKEN]
 * where D, LOW, HIGH, MEDIAN and PER_TOKEN are durations such as 400ms and SIGMA is a plain number
 * (0.5). The distribution gives the time to the first token; PER_TOKEN is the time of each output
 * token after that.
 *
 * May depend on src/base and the durations of src/config.
 */
#ifndef SLUICE_MOCK_LATENCY_H
#define SLUICE_MOCK_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

#define LATENCY_US_MAX INT64_C(600000000) /* no draw is longer than ten minutes */

enum latency_kind { LATENCY_CONSTANT, LATENCY_UNIFORM, LATENCY_LOGNORMAL };

struct latency {
    enum latency_kind kind;
    int64_t low_us;       /* constant: the delay; lognormal: the median */
    int64_t high_us;      /* uniform only */
    double sigma;         /* lognormal only */
    int64_t per_token_us; /* 0: all tokens come with the first */
};

/* Reads a spec. 0, or ERR_INVALID_REQUEST with a clause in `why`. */
int latency_parse(struct text spec, struct latency *latency, struct buf *why);

/* The time to the first token of call `number`, 0..LATENCY_US_MAX. */
int64_t latency_draw_us(const struct latency *latency, uint64_t seed, uint64_t number,
                        uint64_t purpose);

#endif
