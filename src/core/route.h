/*
 * A route: an ordered list of resources to try, and what is left when none of them will do.
 *
 * A pool of accounts under one name is a route too: its steps are the accounts, and the least
 * loaded that fits is preferred. Plain data. May depend on src/base and limit.h only.
 */
#ifndef SLUICE_CORE_ROUTE_H
#define SLUICE_CORE_ROUTE_H

#include "core/limit.h"

#define ROUTE_STEPS_MAX 8

struct route_step {
    size_t resource;              /* its index in the policy */
    char model[NAME_LEN_MAX + 1]; /* what a grant names; "": the resource's own */
    int64_t context_tokens;       /* input and output must fit in it; 0: no bound is known */
    int64_t max_output_tokens;    /* a request that asks for more output asks for this; 0: no cap */
};

enum prefer {
    PREFER_FIRST,        /* the first that can serve before the caller's time is up */
    PREFER_FASTEST,      /* the one with the least time to wait */
    PREFER_LEAST_LOADED, /* the one with the largest share of its limits free: accounts */
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

#endif
