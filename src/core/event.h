/*
 * An event: what the core is told, one a step.
 *
 * Texts are lent for the step. May depend on src/base, answer.h and policy.h only.
 */
#ifndef SLUICE_CORE_EVENT_H
#define SLUICE_CORE_EVENT_H

#include "base/text.h"
#include "core/answer.h"
#include "core/policy.h"

#define TICKET_KEPT_US      INT64_C(10000000)    /* a place is kept this long unattended */
#define LEASE_REMEMBERED_US INT64_C(900000000)   /* an ended lease answers repeats this long */
#define LEASE_US_MAX        INT64_C(86400000000) /* a lease is renewed at least daily */
#define WAIT_US_MAX         INT64_C(86400000000)

/* Whoever waits for an answer; chosen by the caller of the core, 0 is nobody. */
typedef uint64_t caller_id;

enum event_kind {
    EVENT_TICK,      /* time has passed */
    EVENT_ACQUIRE,   /* a request for a lease */
    EVENT_RESUME,    /* the holder of a ticket asks again */
    EVENT_HANGUP,    /* a caller is gone: what it waits for leaves the line */
    EVENT_CANCEL,    /* a request is withdrawn by ticket or id */
    EVENT_RELEASE,   /* a lease is settled */
    EVENT_RENEW,     /* a lease lives on */
    EVENT_CLOCK,     /* the wall clock has moved against `now_us` */
    EVENT_CONFIGURE, /* a new policy */
    EVENT_REOPEN,    /* an operator says that a resource is well again */
    EVENT_BUDGET,    /* an operator gives back what a limit has counted in its period */
    EVENT_DRAIN,     /* grant nothing more; refuse all that wait */
};

struct acquire {
    struct text resource; /* name; "" where a route is named */
    struct text route;    /* name, or "" */
    struct load load;     /* complete: load_complete fills in what was not given */
    int priority;         /* PRIORITY_MIN..PRIORITY_MAX */
    struct text tenant;   /* may be empty: the nameless tenant */
    struct text session;  /* may be empty: counted together by session limits */
    struct text labels;   /* "key=value" lines, at most LABELS_MAX */
    struct text id;       /* the caller's own id for this request, may be empty */
    uint64_t parent;      /* lease of the agent that asks, or 0 */
    bool has_usd;         /* the load says its own worst cost; else the resource's price does */
    bool has_input;       /* the load says its input tokens … */
    bool has_output;      /* … and the most output it may have; else estimates do, … */
    int64_t input_bytes;  /* … by the length of its input, where that is given: > 0 */
    bool estimated;       /* not for callers: the core has filled in some of the load */
    int32_t attempts_max; /* 0: as the resource says */
    int64_t wait_us;      /* 0..WAIT_US_MAX; 0: do not wait */
    int64_t hold_us;      /* > 0: answer with a ticket after this long */
    int64_t lease_us;     /* 1..LEASE_US_MAX */
};

struct event {
    enum event_kind kind;
    int64_t now_us;     /* since 1970-01-01 UTC */
    caller_id caller;   /* ACQUIRE, RESUME: answered later; others: answered in this step */
    struct text tenant; /* RESUME, CANCEL, RELEASE, RENEW: only what is this tenant's; "": any */
    bool any_tenant;    /* … unless this is set */
    union {
        struct acquire acquire;
        struct {
            uint64_t ticket;
            int64_t hold_us; /* as in acquire */
        } resume;
        struct {
            uint64_t ticket; /* 0: by lease or id */
            uint64_t lease;  /* a lease that never reached its asker; 0: by id */
            struct text id;
        } cancel;
        struct {
            uint64_t lease;
            struct load usage;
            bool has_usage; /* false: the load that was held counts as used */
            bool has_usd;   /* … with what it cost; else the resource's price says so, by … */
            const struct parts *parts;   /* … these, where they are known; or NULL */
            const struct answer *answer; /* NULL: nothing but that it is over */
        } release;
        struct {
            uint64_t lease;
            int64_t lease_us; /* 1..LEASE_US_MAX, from now */
        } renew;
        struct {
            struct text resource;
        } reopen;
        struct {
            struct text resource;
            struct text limit;     /* its name there; it counts by calendar or lifetime */
            struct text scope_key; /* "" for a limit of the whole resource */
            int64_t amount;        /* units, > 0; INT64_MAX: all that was used */
        } budget;
        int64_t skew_us;             /* CLOCK: wall clock minus now_us */
        const struct policy *policy; /* CONFIGURE: checked; must outlive its use by the core */
    };
};

/* Fills in what a load leaves open: requests 1, slots 1, tokens = input + output; where only
 * the total is known, input and output may each be all of it. `given` has a bit 1 << unit
 * for each unit that was given. */
void load_complete(struct load *load, unsigned given);

#endif
