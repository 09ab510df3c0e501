/*
 * The one clock: wall-clock microseconds that never run backwards.
 *
 * It is anchored to the wall once, at clock_init, and then follows the machine's
 * monotonic time (suspension included), so that a step of the wall clock cannot shorten a
 * window. clock_skew_us says how far the wall has moved away since, which calendar
 * windows need. The loop reads the clock once a turn; nothing else does.
 */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t wall_us;  /* wall time at the anchor */
    int64_t since_us; /* monotonic time at the anchor */
};

/* Anchors the clock; `floor_us` is a time that must have passed already (0 if none). */
void clock_init(struct clock *c, int64_t floor_us);

/* Microseconds since 1970-01-01T00:00:00Z by this clock. */
int64_t clock_now_us(const struct clock *c);

/* The wall clock minus this clock. */
int64_t clock_skew_us(const struct clock *c);

#endif
