/*
 * The choice of a route's step: which of its resources serves a request, and why not the others.
 *
 * Nothing is changed but counters that come to be. Internal to src/core.
 */
#ifndef SLUICE_CORE_CHOOSE_H
#define SLUICE_CORE_CHOOSE_H

#include "core/state.h"

/* What is asked of a route. */
struct wish {
    const struct path *path;
    const struct acquire *asked; /* its load before any cap; names the route */
    uint8_t failed;              /* bits of the steps not to be looked at … */
    const uint8_t *passed;       /* … and why, as in a way */
    int64_t wait_us;             /* how much longer it would wait */
    uint64_t seq;
    const struct request *standing; /* the request, where it stands in line already; or NULL */
    bool midway; /* it did not come in this step: nobody has looked up what is forgotten */
};

struct choice {
    struct line *line; /* NULL: no step will do */
    size_t step;
    struct load load;   /* what it asks there */
    bool estimated;     /* … by estimates */
    int64_t max_output; /* what its output is capped at; 0: it is not */
    int64_t again_us;   /* none will do: when one of them may; INT64_MAX: not by time */
    uint8_t passed[ROUTE_STEPS_MAX];
};

/* 0 or ERR_NO_MEMORY. */
int choose(struct core *core, const struct wish *wish, struct choice *choice);

/* Completes what a request asks at a step, with its cap. The cap, or 0 where it took nothing. */
int64_t step_load(struct core *core, const struct path *path, size_t step, struct acquire *asked);

/* Whether one who waits at another account of a pool could be granted at once at this line, and
 * when, if not: INT64_MAX: not by time. `choice` is what he would ask there. */
bool would_fit_at(struct core *core, struct line *line, const struct request *r,
                  struct choice *choice, int64_t *fits_us);

#endif
