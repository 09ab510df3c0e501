/*
 * A policy: what the core enforces. The configuration made ready to judge by.
 *
 * The configuration layer (or an embedding program) builds a policy and hands it to the
 * core, which takes it as given: policy_check names the first thing that is not allowed.
 * Here are no files, no defaults of providers, no durations in words.
 *
 * May depend on src/base, limit.h, feedback.h, price.h and route.h only.
 */
#ifndef SLUICE_CORE_POLICY_H
#define SLUICE_CORE_POLICY_H

#include "core/feedback.h"
#include "core/limit.h"
#include "core/price.h"
#include "core/route.h"

#define RESOURCE_LIMITS_MAX 16
#define RESERVES_MAX        8
#define WEIGHT_MAX          1000
#define PRIORITY_MIN        1 /* most urgent */
#define PRIORITY_MAX        10
#define PRIORITY_DEFAULT    5
#define SLOTS_MAX           100000 /* that adaptive concurrency may come to */

/* A share of every resource-wide limit that its holder gets back first. */
struct reserve {
    char tenant[NAME_LEN_MAX + 1]; /* "" where it is for a priority */
    int priority;                  /* for this priority and all more urgent; 0 where for a tenant */
    int32_t share_ppm;             /* 1..1,000,000 */
};

struct resource {
    char name[NAME_LEN_MAX + 1];
    char model[NAME_LEN_MAX + 1];    /* the model's name at the provider; what a grant names */
    char provider[NAME_LEN_MAX + 1]; /* for display */
    char account[NAME_LEN_MAX + 1];  /* in a pool of accounts: which one; else "" */
    struct limit limits[RESOURCE_LIMITS_MAX];
    size_t limits_n;
    struct reserve reserves[RESERVES_MAX]; /* shares add up to at most 1,000,000 ppm */
    size_t reserves_n;
    struct feedback feedback;
    struct price price;
    bool price_given;  /* there is none: every caller says what a call costs */
    int64_t slots_min; /* adaptive concurrency keeps the amount of the resource's own limit … */
    int64_t slots_max; /* … of slots between these; 0: that stays as it is */
    int32_t output_percentile; /* where nobody gives a load's tokens, what so many of 100 calls
                                  have kept to: 1..99; 0: they count as none */
    int64_t cooldown_us;       /* routes pass over a resource for this long after it was refused */
    int64_t ageing_us;         /* a waiting request gains one priority each time; 0: never */
    int64_t line_len_max;      /* requests that may wait, > 0 */
    int64_t tenant_line_len_max; /* of one tenant, > 0 */
};

struct tenant_weight {
    char tenant[NAME_LEN_MAX + 1];
    int32_t weight; /* 1..WEIGHT_MAX; a tenant without one has 1 */
};

struct policy {
    struct resource *resources;
    size_t resources_n;
    struct tenant_weight *weights;
    size_t weights_n;
    const struct route *routes;
    size_t routes_n;
    int64_t leases_max;   /* leases held and remembered, > 0 */
    int64_t counters_max; /* counters of scopes other than the resource, > 0 */
};

#define OUTPUT_PERCENTILE_DEFAULT 60 /* decision 0091 has the measurements */

/* Adds the limits that providers tell of, with `guard_us`, where the resource has none of that unit
 * and window yet, and a limit on calls in flight: `limits: from_provider`. Their amounts are to be
 * learned. */
void resource_learn_limits(struct resource *resource, int64_t guard_us);

/* What is wrong with a policy. */
struct policy_error {
    const char *resource; /* names inside the policy, or NULL */
    const char *limit;
    const char *problem; /* a clause for people; static storage */
};

/* 0, or ERR_INVALID_REQUEST with `error` filled in. */
int policy_check(const struct policy *p, struct policy_error *error);

#endif
