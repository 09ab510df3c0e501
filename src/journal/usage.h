/*
 * Usage: questions to the ledger, for any thread.
 *
 * Each question opens the store's file for reading by itself, so that none waits for the writer and
 * the writer waits for none. What it reads is what was durable when it began. Whole hours of a
 * question that names neither sessions nor labels are read from their sums; the beginnings and ends
 * of hours, and all other questions, from the rows.
 *
 * Times are by the wall clock, as booked. Sums that leave 64 bits are an error, never wrong.
 *
 * Knows SQLite inside; depends on src/base and core/answer.h.
 */
#ifndef SLUICE_JOURNAL_USAGE_H
#define SLUICE_JOURNAL_USAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"
#include "core/answer.h"

#define USAGE_TIME_US_MAX    INT64_C(253402300799999999) /* the end of the year 9999 */
#define USAGE_SECONDS_MAX    20                          /* then a question is given up */
#define PICOUSD_PER_MILLIUSD INT64_C(1000000000)

enum usage_by {
    USAGE_BY_TENANT,
    USAGE_BY_SESSION,
    USAGE_BY_MODEL,
    USAGE_BY_RESOURCE,
    USAGE_BY_ACCOUNT,
    USAGE_BY_ROUTE,
    USAGE_BY_OUTCOME,
    USAGE_BY_LABEL,
    USAGE_BY_DAY,  /* of UTC, as "2026-11-22" */
    USAGE_BY_HOUR, /* as "2026-11-22T05:00:00Z" */
    USAGE_BYS
};

/* What a filter wants to be equal to; not asked where `set` is false. An empty text is what has
 * none. */
struct usage_filter {
    bool set;
    struct text value;
};

struct usage_question {
    enum usage_by by;
    struct text label; /* USAGE_BY_LABEL: its key */
    int64_t since_us;  /* from here on … */
    int64_t until_us;  /* … to before here; both 0..USAGE_TIME_US_MAX */
    struct usage_filter tenant, session, model, resource, account, route;
    struct usage_filter after; /* only keys behind this one: the next page */
    int64_t rows_max;
};

struct usage_sums {
    int64_t calls;
    int64_t errors;  /* of the calls: refused by the provider, or failed */
    int64_t expired; /* of the calls: those that ended without a word */
    int64_t waited_us;
    int64_t held_us;
    int64_t requests;
    int64_t tokens;
    struct parts parts;
    int64_t usd_milli; /* thousandths of a dollar … */
    int64_t usd_rest;  /* … and picodollars beyond them, not below 0 */
    int64_t first_us;  /* booked first and last; 0 where it was read from sums of hours */
    int64_t last_us;
};

/* Gives the rows in the order of their keys; a key of length 0 is of what has none. `more` says
 * that there are others behind. Gives up when `stop` becomes true. 0, or ERR_STORE_FAILED,
 * ERR_OVER_CAP (too large a sum, or it takes too long), ERR_CANCELLED, with a clause in `why`. */
int usage_ask(const char *path, const struct usage_question *question, const atomic_bool *stop,
              void (*each)(void *ctx, struct text key, const struct usage_sums *sums), void *ctx,
              bool *more, struct buf *why);

#endif
