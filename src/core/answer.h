/*
 * An answer: what a provider said to one call, in the one form that the core judges by.
 *
 * The providers' own words (status, headers, bodies) are read in src/provider; here is what is
 * left of them: a class, a time to wait, the limits that the headers told of, and the usage by the
 * parts that are priced apart. Plain data. May depend on src/base and limit.h only.
 */
#ifndef SLUICE_CORE_ANSWER_H
#define SLUICE_CORE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "core/limit.h"

#define READINGS_MAX       8
#define RETRY_AFTER_US_MAX INT64_C(120000000) /* what a server may ask for is capped at this */
#define ASKED_US_MAX       (INT64_C(31) * 86400000000)

/* One refusal is not another: what follows from each is in docs/feedback.md. */
enum answer_class {
    ANSWER_OK,           /* served */
    ANSWER_WAIT,         /* over a rate: everyone on the resource waits */
    ANSWER_SLOW_DOWN,    /* growing too fast: the rate is cut and grows slowly */
    ANSWER_OVERLOAD,     /* the provider's own trouble, or no answer at all */
    ANSWER_DAY_OVER,     /* the day's share is used up */
    ANSWER_OUT_OF_MONEY, /* no credit, or a spend limit of the account */
    ANSWER_NEVER_FITS,   /* larger than the limit itself */
    ANSWER_TOO_LONG,     /* larger than the model's context: another model may take it */
    ANSWER_BAD_REQUEST,  /* the request's own fault */
    ANSWER_AUTH,         /* the key's fault */
    ANSWER_CLASSES
};

/* Whether the provider itself says that the same call may be sent again (x-should-retry). NO is
 * obeyed; YES makes no call again that would not be. */
enum resend { RESEND_UNSAID, RESEND_NO, RESEND_YES };

/* What window a header speaks of. */
enum reading_span { READING_SECOND, READING_MINUTE, READING_DAY, READING_MONTH, READING_SPANS };

/* What the headers told of one limit. An answer has at most one for a unit and span: where a
 * provider tells of two such limits, it is the tighter of each number. */
struct reading {
    enum unit unit;
    enum reading_span span;
    int64_t limit;     /* units; -1: not said */
    int64_t remaining; /* units; -1: not said */
    int64_t grain;     /* `remaining` is rounded to a multiple of this; 1: exact */
    int64_t reset_us;  /* from the answer on until all of it is back; -1: not said */
};

struct answer {
    enum answer_class class;
    bool reached;           /* the provider judged the call; false: connection lost, time-out */
    enum resend resend;     /* says nothing of when, and nothing of other resources */
    int status;             /* HTTP status; 0: none came */
    int64_t retry_after_us; /* 0..RETRY_AFTER_US_MAX; -1: not said */
    int64_t asked_us;       /* the same before it was capped, 0..ASKED_US_MAX: when a day is over,
                               how long it is until the next; 0 where nothing was said */
    int64_t elapsed_us;     /* how long the call took; 0: not said */
    struct text reason;     /* the provider's own code, such as "rate_limit_exceeded", in letters,
                               digits and "_-./:"; lent */
    struct reading readings[READINGS_MAX];
    size_t readings_n;
};

/* Tokens by the parts that are priced apart. Each token is in one part. */
enum part {
    PART_INPUT, /* neither read from a cache nor written to one */
    PART_CACHE_READ,
    PART_CACHE_WRITE_5M, /* and what does not say how long it is kept */
    PART_CACHE_WRITE_1H,
    PART_OUTPUT, /* reasoning included */
    PARTS
};

struct parts {
    int64_t of[PARTS]; /* tokens, each 0..AMOUNT_MAX */
};

/* "ok", "wait", "slow_down", "overload", "day_over", "out_of_money", "never_fits", "too_long",
 * "bad_request", "auth". */
const char *answer_class_name(enum answer_class class);

#endif
