/*
 * Readings: what the headers (and Gemini's body) tell of the limits.
 *
 * Numbers that cannot be meant are not said: a limit of nothing, a negative remainder (Azure writes
 * -1 for unknown), a reset ten times longer than the span, anything that is no plain number.
 *
 * Inside src/provider only. May depend on src/base, core/answer.h and the files beside it.
 */
#ifndef SLUICE_PROVIDER_READINGS_H
#define SLUICE_PROVIDER_READINGS_H

#include "provider/answer.h"
#include "provider/complaint.h"
#include "provider/dialect.h"

/* The headers as they came, or those that a body repeats. */
struct headers {
    const struct answer_header *at;
    size_t n;
    const json_value *object; /* looked at where `at` has none of the name; may be NULL */
    int64_t now_us;           /* what their dates are held against */
};

/* The value of a header in any case; empty where it is missing. `name` is in small letters. */
struct text header_find(const struct headers *headers, const char *name);

/* The same, for answers that told of no headers, as most do. */
static inline struct text header_get(const struct headers *headers, const char *name)
{
    return headers->n || headers->object ? header_find(headers, name) : TEXT_NONE;
}

/* A wait that a header names; false where it does not. */
bool header_wait(const struct headers *headers, const char *name, int64_t *wait_us);

/* Fills answer->readings. `day_over` says that the body speaks of a day. */
void readings_read(const struct dialect *dialect, const struct headers *headers,
                   const struct complaint *complaint, bool day_over, struct answer *answer);

#endif
