/*
 * Views: what stands where in a core, for status pages, metrics and tests.
 *
 * Nothing here changes what the core will decide. Texts and names are the core's own, valid until
 * its next step.
 *
 * May depend on src/base and core.h only.
 */
#ifndef SLUICE_CORE_VIEW_H
#define SLUICE_CORE_VIEW_H

#include "core/core.h"

#define ESTIMATE_ERRORS 11

struct limit_view {
    const struct limit *limit;
    int64_t amount;    /* in force, after headroom */
    bool unknown;      /* to be learned from the provider, who has not told it yet: `amount` and
                          `remaining` are of no meaning */
    int64_t told;      /* what the provider says it is; 0: nothing yet */
    int64_t used;      /* in the window; settled or charged at the grant */
    int64_t held;      /* by open leases, beside the window or as part of `used` */
    int64_t remaining; /* what a request could take now; may be negative after an overrun */
    int64_t reset_us;  /* when the next of it comes back; 0: nothing is used; INT64_MAX: unknown */
    int64_t guard_us;  /* in force: the configured one, or one that refusals have raised */
    int64_t foreign;   /* of `used`: what others are seen to use of it */
    size_t counters;   /* counters of this limit in memory; used … reset_us are 0 if scoped */
};

struct resource_view {
    const struct resource *resource;
    size_t waiting;
    size_t away;            /* of those waiting: tickets whose holder has not yet come back */
    size_t leases;          /* open */
    int64_t oldest_wait_us; /* how long the head of the line has waited */
    int64_t last_eta_us;    /* estimate for who came last: the time until it is granted … */
    int64_t last_wait_us;   /* … and the whole time it is willing to wait */
    uint64_t granted;
    uint64_t settled;
    uint64_t late;
    uint64_t expired;
    uint64_t cancelled;
    uint64_t retries;                 /* advised */
    uint64_t answers[ANSWER_CLASSES]; /* that releases told of; one that told nothing is ok */
    uint64_t refused[ERR_COUNT];
    int64_t waited_us;   /* sum over grants */
    int64_t held_for_us; /* sum over settled leases */
    struct load held;    /* sum of the loads of open leases */
    struct load used;    /* sum of the usage of settled leases, late ones too, since the start */
    struct held_by head_held_by;
    int64_t latency_us;      /* of late, how long a call takes; 0: none was seen */
    int64_t slots_suggested; /* calls in flight that use its limits in full at that latency, by
                                Little's law; 0: no limit says how many */
    uint64_t estimates[ESTIMATE_ERRORS]; /* settled loads that were estimated, by how far off */
    int64_t estimated;                   /* tokens that were held for them … */
    int64_t real;                        /* … and that they really used */
    struct health_view health;
};

/* Estimates are counted by (held - real) / real: estimates[i] of at most this many percent, the
 * last all above. */
extern const int32_t estimate_error_percent[ESTIMATE_ERRORS - 1];

struct route_view {
    const struct route *route;
    size_t waiting;
    uint64_t granted[ROUTE_STEPS_MAX];
    uint64_t passed[PASS_COUNT]; /* steps that were passed over, by reason: of grants … */
    uint64_t exhausted;          /* … and of requests for which nothing was left */
    uint64_t moved;              /* from one line to another */
    uint64_t fallbacks;          /* advised */
};

size_t core_routes(const struct core *core);
void core_route_view(const struct core *core, size_t i, struct route_view *view);

size_t core_resources(const struct core *core);
void core_resource_view(const struct core *core, size_t i, struct resource_view *view);
size_t core_limits(const struct core *core, size_t i);
void core_limit_view(const struct core *core, size_t i, size_t j, struct limit_view *view);

/* One counter of a scoped limit, by key; false where none is in memory, or what it has counted is
 * yet to be read back: see core_missing. */
bool core_scope_view(const struct core *core, size_t i, size_t j, struct text scope_key,
                     struct limit_view *view);

struct lease_view {
    uint64_t lease;
    uint64_t parent;
    struct text resource, tenant, session, labels, id;
    struct text route; /* by which it came; or empty */
    struct load held;
    int64_t granted_us;
    int64_t expires_us;
    bool open; /* false: ended, and still remembered */
};

/* Open leases by the age of their newest record, so that one that is renewed goes to the end: the
 * one behind `after`, or the first where that is 0. False at the end, or if `after` is forgotten.
 */
bool core_lease_next(const struct core *core, uint64_t after, struct lease_view *view);
bool core_lease_view(const struct core *core, uint64_t lease, struct lease_view *view);

struct request_view {
    struct text resource; /* in whose line it stands */
    struct text route;    /* by which it came; or empty */
    struct load load;     /* what it asks there */
};

/* One who waits: who is told of it, or the holder of that ticket where `caller` is 0. */
bool core_request_view(const struct core *core, caller_id caller, uint64_t ticket,
                       struct request_view *view);

struct core_totals {
    size_t leases_open;
    size_t leases_remembered;
    size_t waiting;
    size_t counters; /* of scopes other than the resource */
    int64_t now_us;  /* of the last event */
};

void core_totals(const struct core *core, struct core_totals *totals);

/* Checks every invariant of the core's own structures; aborts where one is broken. Slow. */
void core_check(const struct core *core);

#endif
