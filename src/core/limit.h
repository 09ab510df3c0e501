/*
 * A limit: an amount of a unit per window, counted per scope.
 *
 * One concept covers RPM, TPM, concurrency and money. Amounts are whole numbers of the unit (usd:
 * picodollars), times are microseconds. Plain data; the arithmetic is window.c's.
 *
 * May depend on src/base only.
 */
#ifndef SLUICE_CORE_LIMIT_H
#define SLUICE_CORE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define NAME_LEN_MAX   128  /* resource, model, tenant, session, id, limit: bytes */
#define LABELS_LEN_MAX 1024 /* all labels of a request, as "key=value" lines: bytes */
#define LABELS_MAX     8
#define AMOUNT_MAX     INT64_C(1000000000000000)    /* 10^15 requests, tokens or slots */
#define USD_AMOUNT_MAX INT64_C(1000000000000000000) /* 10^18 picodollars: a million USD */
#define PER_US_MAX     (INT64_C(366) * 24 * 3600 * 1000000)

enum unit {
    UNIT_REQUESTS,
    UNIT_TOKENS,
    UNIT_INPUT_TOKENS,
    UNIT_OUTPUT_TOKENS,
    UNIT_SLOTS,
    UNIT_USD, /* in picodollars */
    UNIT_COUNT
};

/* What a request asks of every unit, or what it used. A load's slots are always 1. */
struct load {
    int64_t of[UNIT_COUNT]; /* each 0..AMOUNT_MAX (usd: 0..USD_AMOUNT_MAX) */
};

enum window_kind {
    WINDOW_NONE,     /* only what is held counts: calls in flight */
    WINDOW_ROLLING,  /* an exact log of the last per_us (+ guard_us) */
    WINDOW_BUCKET,   /* refilled continuously, amount per per_us, up to burst */
    WINDOW_CALENDAR, /* starts anew with each step of the calendar in a zone */
    WINDOW_LIFETIME, /* never starts anew */
};

enum calendar_step { STEP_SECOND, STEP_MINUTE, STEP_HOUR, STEP_DAY, STEP_MONTH };

/* Whose usage shares one counter. */
enum scope { SCOPE_RESOURCE, SCOPE_TENANT, SCOPE_SESSION, SCOPE_MODEL, SCOPE_LABEL, SCOPE_ROUTE };

/* What a full limit does to a request. */
enum exceed {
    EXCEED_WAIT,
    EXCEED_REFUSE,
    EXCEED_DOWNGRADE, /* on to the next resource of the route; without one: refuse */
};

/* When an amount enters the window; until then it is held beside it. */
enum charge_rule {
    CHARGE_AT_GRANT,  /* the provider counts a call when it is admitted */
    CHARGE_AT_SETTLE, /* the provider counts what a call produced; money */
};

/* What the real usage does to what was charged at the grant. */
enum settle_rule {
    SETTLE_TRUE_UP,     /* the real usage replaces it */
    SETTLE_REFUND_ONLY, /* the real usage replaces it where it is smaller */
    SETTLE_KEEP,        /* it stays as it was charged */
};

/* What a lease that expired without a settle is taken to have used. */
enum expire_rule { EXPIRE_FULL, EXPIRE_INPUT_ONLY, EXPIRE_NOTHING };

/* Which of the provider's limits its headers must tell of to tell of this one. */
enum told_of {
    TOLD_OF_LENGTH, /* the one of the same window */
    TOLD_OF_SECOND,
    TOLD_OF_MINUTE,
    TOLD_OF_DAY,
    TOLD_OF_MONTH,
    TOLD_OF_NONE,
};

/* A time zone: its offset from UTC, as a table of changes in order of time. */
struct zone_change {
    int64_t at_us;     /* from this instant on, UTC … */
    int64_t offset_us; /* … local time is this far ahead of UTC */
};

struct zone {
    const struct zone_change *changes; /* the first holds for all time before it as well */
    size_t changes_n;                  /* at least 1 */
};

struct limit {
    char name[NAME_LEN_MAX + 1];   /* unique in its resource; what refusals name */
    char shared[NAME_LEN_MAX + 1]; /* pool name: limits of one pool name share their counters; "" */
    enum unit unit;
    enum window_kind window;
    enum calendar_step step; /* WINDOW_CALENDAR */
    enum scope scope;
    enum exceed exceed;
    enum charge_rule charge;
    enum settle_rule settle;
    enum expire_rule on_expire;
    enum told_of told_of;
    bool learned;                 /* the amount is what the provider's answers say: 0 here */
    int64_t amount;               /* > 0; what the provider or the operator allows in a window */
    int64_t per_us;               /* WINDOW_ROLLING, WINDOW_BUCKET: 1..PER_US_MAX */
    int64_t burst;                /* WINDOW_BUCKET: its size, > 0 */
    int64_t guard_us;             /* rolling, bucket: 0..per_us */
    int64_t slice_us;             /* WINDOW_ROLLING: pace in slices this long; 0: not paced */
    int32_t headroom_ppm;         /* share of the amount left unused: 0..999,999 */
    int32_t warn_ppm;             /* alert when this share of the amount is used; 0: never */
    char label[NAME_LEN_MAX + 1]; /* SCOPE_LABEL: the label's key; SCOPE_ROUTE: the route's name */
    const struct zone *zone;      /* WINDOW_CALENDAR; NULL means UTC */
};

/* "requests", "tokens", "input_tokens", "output_tokens", "slots", "usd". */
const char *unit_name(enum unit unit);

#define COUNTS_LEN_MAX (NAME_LEN_MAX + 63)

/* Writes down what a limit counts, such as "usd calendar day label team". Amounts, lengths and
 * zones are not of it. */
void limit_counts(const struct limit *limit, char counts[COUNTS_LEN_MAX + 1]);

/* Whether a limit goes on counting what one of its name counted before, at a reload or a start:
 * only where it counts the same. `counts` is empty where nobody noted what that was: then it does.
 */
bool limit_continues(const struct limit *limit, struct text counts);

#endif
