/*
 * Calendar periods: in which second, minute, hour, day or month of a zone an instant lies.
 *
 * Days and months begin at local midnight, which daylight saving may make 23 or 25 hours apart;
 * where the clocks skip midnight, the day begins when they do. Proleptic Gregorian calendar. Pure;
 * may depend on src/base and policy.h only.
 */
#ifndef SLUICE_CORE_CALENDAR_H
#define SLUICE_CORE_CALENDAR_H

#include "core/policy.h"

struct period {
    int64_t start_us; /* the first instant of the period … */
    int64_t end_us;   /* … and the first of the next one */
};

/* The period around `wall_us` (UTC). A NULL zone is UTC. */
struct period calendar_period(enum calendar_step step, const struct zone *zone, int64_t wall_us);

#endif
