/*
 * Local time is UTC plus an offset that changes at the instants a zone lists. Seconds, minutes and
 * hours are cut from local time at the offset now in force. A day is found in three moves: the
 * local date of the instant, the local midnights on both its sides, and the first instants whose
 * local time has reached those midnights. The last move is what daylight saving makes interesting:
 * local_to_utc looks through the zone's segments for the first one in which the midnight lies.
 */
#include "core/calendar.h"

#include <assert.h>

#include "base/num.h"

struct date {
    int64_t year;
    int month; /* 1..12 */
    int day;   /* 1..31 */
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* Days since 1970-01-01. Years are counted from March, so that a leap day comes last. */
static int64_t days_of(struct date d)
{
    int64_t year = d.month <= 2 ? d.year - 1 : d.year;
    int64_t era = floor_div(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t month = (d.month + 9) % 12;
    int64_t day_of_year = (153 * month + 2) / 5 + d.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static struct date date_of(int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = floor_div(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    struct date d = {
        .year = year_of_era + era * 400 + (month >= 10),
        .month = (int)(month < 10 ? month + 3 : month - 9),
        .day = (int)(day_of_year - (153 * month + 2) / 5 + 1),
    };
    return d;
}

/* The index of the zone's segment in force at `utc_us`. */
static size_t segment_at(const struct zone *zone, int64_t utc_us)
{
    size_t low = 0;
    size_t high = zone->changes_n;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (zone->changes[middle].at_us <= utc_us) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static int64_t offset_at(const struct zone *zone, int64_t utc_us)
{
    return zone ? zone->changes[segment_at(zone, utc_us)].offset_us : 0;
}

/* The first instant at which local time has reached `local_us`. */
static int64_t local_to_utc(const struct zone *zone, int64_t local_us)
{
    if (!zone) {
        return local_us;
    }
    size_t i = segment_at(zone, local_us - 2 * US_PER_DAY);
    for (; i + 1 < zone->changes_n; i++) {
        if (local_us - zone->changes[i].offset_us < zone->changes[i + 1].at_us) {
            break;
        }
    }
    int64_t utc_us = local_us - zone->changes[i].offset_us;
    return i > 0 ? max_i64(utc_us, zone->changes[i].at_us) : utc_us;
}

static int64_t midnight_us(const struct zone *zone, struct date d)
{
    return local_to_utc(zone, days_of(d) * US_PER_DAY);
}

static struct date next_date(enum calendar_step step, struct date d)
{
    if (step == STEP_DAY) {
        return date_of(days_of(d) + 1);
    }
    return d.month == 12 ? (struct date){d.year + 1, 1, 1} : (struct date){d.year, d.month + 1, 1};
}

static int64_t short_step_us(enum calendar_step step)
{
    return step == STEP_SECOND ? US_PER_S : step == STEP_MINUTE ? US_PER_MIN : US_PER_H;
}

struct period calendar_period(enum calendar_step step, const struct zone *zone, int64_t wall_us)
{
    assert(!zone || zone->changes_n > 0);
    int64_t offset_us = offset_at(zone, wall_us);
    int64_t local_us = wall_us + offset_us;
    if (step < STEP_DAY) {
        int64_t step_us = short_step_us(step);
        int64_t start_us = floor_div(local_us, step_us) * step_us - offset_us;
        return (struct period){start_us, start_us + step_us};
    }
    struct date d = date_of(floor_div(local_us, US_PER_DAY));
    if (step == STEP_MONTH) {
        d.day = 1;
    }
    return (struct period){midnight_us(zone, d), midnight_us(zone, next_date(step, d))};
}
