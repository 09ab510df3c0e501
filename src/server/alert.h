/*
 * Alerts: what an operator should know, counted, and put into words.
 *
 * Some come from the core as effects (a budget nearly used up, a provider whose numbers are
 * others), some follow from effects (a breaker that opened), some from a look around once a second
 * (watch.h). They are told as events, in the log, in metrics and to a webhook; each of one resource
 * at most once in `again_us` in the log and to the webhook, and each time in the others.
 *
 * Pure. May depend on src/base, core/core.h, http/json.h and answer.h.
 */
#ifndef SLUICE_SERVER_ALERT_H
#define SLUICE_SERVER_ALERT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/core.h"
#include "http/json.h"

#define ALERT_AGAIN_US        INT64_C(60000000)
#define ALERT_FALLBACK_PPM    100000
#define ALERT_BACKOFF_US      INT64_C(10000000)
#define ALERT_WORDS_BYTES_MAX 1024

enum alert_topic {
    TOPIC_BUDGET_WARN,    /* a limit passed its warn_at */
    TOPIC_WAIT_TIMEOUT,   /* a request stood in line for all of its time */
    TOPIC_OVERRUN,        /* more was used than held, and than the limit allows */
    TOPIC_NUMBERS_DIFFER, /* the provider tells another amount than is configured */
    TOPIC_BREAKER_OPEN,
    TOPIC_LONG_BACKOFF,   /* paused or backing off for more than `backoff_us` */
    TOPIC_LONG_LINE,      /* who came last is not expected to be granted in its time */
    TOPIC_FALLBACK_SHARE, /* a route's fallbacks are more than `fallback_ppm` of its grants */
    TOPIC_UNPRICED,       /* tokens are used whose price is not known, where money is counted */
    ALERT_TOPICS
};

struct alert {
    enum alert_topic topic;
    struct text resource;
    const char *limit;     /* NULL where it is about none */
    struct text scope_key; /* may be empty */
    enum unit unit;
    int64_t used;
    int64_t amount;            /* NUMBERS_DIFFER: as configured */
    int64_t told;              /* NUMBERS_DIFFER: by the provider */
    struct health_view health; /* BREAKER_OPEN, LONG_BACKOFF */
    int64_t eta_us;            /* LONG_LINE: expected … */
    int64_t wait_us;           /* … and allowed */
    int64_t tokens;            /* UNPRICED: since the start */
    int32_t share_ppm;         /* FALLBACK_SHARE; `resource` is the route */
};

/* "budget_warn", "wait_timeout", … */
const char *alert_name(enum alert_topic topic);

/* One sentence, without a final full stop. */
void alert_words(const struct alert *alert, struct buf *words);

/* The members of its object. */
void alert_write(const struct alert *alert, int64_t now_us, struct json_writer *w);

/* How often there was one of each, by resource; a row for each resource and route of the policy. */
struct alert_row {
    char resource[NAME_LEN_MAX + 1];
    uint64_t n[ALERT_TOPICS];
    int64_t told_us[ALERT_TOPICS]; /* in the log and to the webhook; 0: never */
};

struct alerts {
    struct alert_row *rows;
    size_t rows_n;
    int32_t fallback_ppm;
    int64_t backoff_us; /* closed for longer than this is worth a word */
    int64_t again_us;   /* the same of the same resource is told once in this time */
};

/* With the defaults above. */
void alerts_init(struct alerts *alerts);

/* Rows of resources that remain go on; without memory for it, the rows
 * stay as they are, and alerts of other resources are told without being counted. */
void alerts_configure(struct alerts *alerts, const struct policy *policy);
void alerts_release(struct alerts *alerts);

/* Whether an effect is an alert or leads to one. `policy` is the one in force. */
bool alert_of_effect(const struct alerts *alerts, const struct effect *effect,
                     const struct policy *policy, struct alert *alert);

/* Counts it; true where it is to be told in the log and to the webhook. A budget's warning always
 * is: each counter gives its own, once. */
bool alerts_count(struct alerts *alerts, const struct alert *alert, int64_t now_us);

#endif
