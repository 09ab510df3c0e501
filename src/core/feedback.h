/*
 * Feedback: how a resource behaves after what its provider answered.
 *
 * A resource is in one of a few named states. Refusals close it for everyone at once; it opens
 * again by itself, at a rate that grows, or behind a single call that probes. The numbers are a
 * policy's; 0 switches the part off that it belongs to, so that a zeroed struct means that answers
 * change nothing.
 *
 *   from \ to      paused      backoff     recovering   breaker_open   probing      ok
 *   ok             wait        overload    slow_down    third in a row
 *   paused                                 time                                     (no ramp)
 *   backoff        wait        overload    time         third in a row
 *   recovering     wait        overload    slow_down    third in a row              full rate
 *   breaker_open                                                       time
 *   probing        wait                    success      failure
 *   any but these four: day_over, out_of_money by the answer of that name, then probing by time
 *
 * Plain data. May depend on src/base, answer.h and limit.h only.
 */
#ifndef SLUICE_CORE_FEEDBACK_H
#define SLUICE_CORE_FEEDBACK_H

#include "core/answer.h"
#include "core/limit.h"

#define HEALTH_REASON_MAX 64

struct feedback {
    int64_t pause_us;         /* after a refusal that does not say how long; 0: no pauses at all */
    int64_t backoff_us;       /* first wait of everyone after an overload; doubles; 0: none */
    int64_t backoff_us_max;   /* also of retries */
    int64_t ramp_us;          /* from half the rate to all of it after a pause; 0: at once */
    int32_t slow_ppm;         /* a slow-down leaves this share of the rate; 0: ignored */
    int32_t growth_ppm;       /* of the rate, that comes back each minute after a slow-down */
    int32_t breaker_refusals; /* in a row that open the breaker; 0: it never opens */
    int64_t breaker_us;       /* how long the first time; doubles … */
    int64_t breaker_us_max;   /* … up to this */
    int32_t attempts_max;     /* of one request, the first included; 0: retries are not advised */
    int32_t retry_share_ppm; /* retries, as a share of first attempts; beyond a few to begin with */
    int64_t money_probe_us;  /* between probes of an account without money; 0: never closed */
    const struct zone *day_zone; /* in which the provider's day turns; NULL: UTC */
};

enum health_state {
    HEALTH_OK,
    HEALTH_RECOVERING,   /* granted at a share of the rate that grows */
    HEALTH_PAUSED,       /* the provider said wait: nobody is granted before `until` */
    HEALTH_BACKOFF,      /* the provider has trouble */
    HEALTH_BREAKER_OPEN, /* refused several times in a row */
    HEALTH_PROBING,      /* one call is out, or may go, to see whether it is served */
    HEALTH_DAY_OVER,     /* until the provider's day turns */
    HEALTH_OUT_OF_MONEY, /* until somebody pays: one call each money_probe_us */
    HEALTH_STATES
};

/* What a configuration starts from: the figures of docs/feedback.md, as one table. */
extern const struct feedback feedback_default;

struct health_view {
    enum health_state state;
    int64_t since_us;
    int64_t until_us;      /* INT64_MAX: not by time; 0 while ok */
    enum answer_class why; /* the answer that led here */
    char reason[HEALTH_REASON_MAX];
    int32_t rate_ppm; /* of the limits' own rate, that is granted now */
    int32_t refusals; /* in a row */
};

/* "ok", "recovering", "paused", "backoff", "breaker_open", "probing", "day_over",
 * "out_of_money". */
const char *health_state_name(enum health_state state);

#endif
