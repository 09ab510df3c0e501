/*
 * Times as providers write them: durations, dates, seconds since 1970.
 *
 * Everything is read into microseconds from now on. What is negative, past, not a number or longer
 * than any sensible text is no wait at all; what is merely long is held at WAIT_LONGEST_US.
 *
 * Pure. May depend on src/base.
 */
#ifndef SLUICE_PROVIDER_WAIT_H
#define SLUICE_PROVIDER_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

#define WAIT_TEXT_MAX   64                           /* bytes; a longer text is none of ours */
#define WAIT_LONGEST_US (INT64_C(366) * 86400000000) /* longer waits are held at this */

/* A wait from now on: "12", "1.5", "120ms", "6m0s", "1h2m3.5s", "2m59.56s", an HTTP date, an RFC
 * 3339 time, or seconds or milliseconds since 1970, told by their size. False where it is none of
 * these, or lies in the past. */
bool wait_read(struct text value, int64_t now_us, int64_t *wait_us);

/* A plain number of milliseconds. */
bool wait_read_ms(struct text value, int64_t *wait_us);

/* An HTTP date or an RFC 3339 time, since 1970. */
bool wait_read_date(struct text value, int64_t *at_us);

/* The wait that a sentence asks for: "… try again in 1m26.4s.", "… retry after 20 seconds." */
bool wait_in_words(struct text sentence, int64_t *wait_us);

#endif
