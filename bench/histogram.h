/*
 * A histogram of microseconds, exact up to a second, for the load generators here.
 *
 * Not for: spans of more than a second, which all count as one.
 */
#ifndef SLUICE_BENCH_HISTOGRAM_H
#define SLUICE_BENCH_HISTOGRAM_H

#include <stdint.h>
#include <time.h>

#define HISTOGRAM_US_MAX 1000000

struct histogram {
    uint64_t total;
    int64_t max_us;
    uint32_t counts[HISTOGRAM_US_MAX + 1];
};

static inline int64_t histogram_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline void histogram_add(struct histogram *h, int64_t took_ns)
{
    int64_t us = (took_ns + 999) / 1000;
    h->total++;
    h->max_us = us > h->max_us ? us : h->max_us;
    h->counts[us > HISTOGRAM_US_MAX ? HISTOGRAM_US_MAX : us]++;
}

/* The time that a share of all stayed within, 0 for an empty histogram. */
static inline int64_t histogram_us(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->total + 0.5), seen = 0;
    for (int64_t us = 0; us <= HISTOGRAM_US_MAX; us++) {
        seen += h->counts[us];
        if (seen >= wanted && seen > 0) {
            return us;
        }
    }
    return 0;
}

#endif
