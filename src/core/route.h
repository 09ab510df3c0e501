/*
 * A route: an ordered list of resources to try, and what is left when none of them will do.
 *
 * A pool of accounts under one name is a route too: its steps are the accounts, and the least
 * loaded that fits is preferred, which is the one with the largest share of its limits free. Plain
 * data. May depend on src/base, limit.h and price.h only.
 */
#ifndef SLUICE_CORE_ROUTE_H
#define SLUICE_CORE_ROUTE_H

#include "base/text.h"
#include "core/limit.h"
#include "core/price.h"

#define ROUTE_STEPS_MAX 8

struct route_step {
    size_t resource;              /* its index in the policy */
    bool alike;                   /* an account of the same pool as the step before: of those the
                                     least loaded serves, wherever they stand in the order */
    char model[NAME_LEN_MAX + 1]; /* what a grant names; "": the resource's own */
    bool own_price;               /* its model does not cost what the resource's does … */
    struct price price;           /* … but this */
    int64_t context_tokens;       /* input and output must fit in it; 0: no bound is known */
    int64_t max_output_tokens;    /* a request that asks for more output asks for this; 0: no cap */
};

enum prefer {
    PREFER_FIRST,   /* the first that can serve before the caller's time is up */
    PREFER_FASTEST, /* the one with the least time to wait */
};

/* What a caller is told to take when no resource will do. */
enum finally { FINALLY_REFUSE, FINALLY_CACHED, FINALLY_STATIC };

struct route {
    char name[NAME_LEN_MAX + 1]; /* not the name of a resource */
    struct route_step steps[ROUTE_STEPS_MAX];
    size_t steps_n; /* at least 1 */
    enum prefer prefer;
    enum finally finally;
    const char *static_answer; /* FINALLY_STATIC */
    bool accounts;             /* a pool: callers name it as a resource, and are told the account */
    bool sticky;               /* a session goes back to the step that served it last */
};

/* Which place of the order a step has, from 1: that of all accounts of its pool. */
static inline size_t route_place(const struct route *route, size_t step)
{
    size_t place = 1;
    for (size_t i = 1; i <= step; i++) {
        place += !route->steps[i].alike;
    }
    return place;
}

/* Why a step was passed over. */
enum pass {
    PASS_NONE,
    PASS_PAUSED, /* the states of its resource's health … */
    PASS_BACKOFF,
    PASS_BREAKER_OPEN,
    PASS_PROBING,
    PASS_DAY_OVER,
    PASS_OUT_OF_MONEY,
    PASS_COOLING,    /* … or it was refused not long ago */
    PASS_CONTEXT,    /* the request is longer than what its model takes */
    PASS_NEVER_FITS, /* … or than a limit allows */
    PASS_UNPRICED,   /* its callers say what a call costs, and this one does not */
    PASS_BUDGET,     /* a limit that does not let wait is full */
    PASS_DEADLOCK,   /* the request's own parent holds what it needs */
    PASS_LINE_FULL,  /* no room to wait */
    PASS_DEADLINE,   /* its line would outlast the caller's time */
    PASS_ATTEMPTS,   /* this request was tried there often enough */
    PASS_AUTH,       /* … or its key was refused there */
    PASS_TAKEN_OVER, /* it waited, and an account behind this step had room first */
    PASS_COUNT
};

/* "paused", "backoff", "breaker_open", "probing", "day_over", "out_of_money", "cooling_down",
 * "context", "never_fits", "usd_missing", "budget_exceeded", "would_deadlock", "line_full",
 * "deadline", "attempts", "auth". */
const char *pass_name(enum pass pass);

/* A step that was passed over, as it is told. */
struct passed {
    struct text resource;
    const char *reason; /* pass_name */
};

/* By which route an answer came about. */
struct routed {
    struct text route; /* its name; empty: the caller named a resource, and the rest is 0 */
    size_t step;       /* the place of the one that served; 0: none did */
    struct passed passed[ROUTE_STEPS_MAX]; /* why not the others, in the route's order */
    size_t passed_n;
};

#endif
