/*
 * Ways: how each request has come by a route.
 *
 * A way belongs to one request, and then to its lease: which step it is at, which it has passed
 * over and why, and what it asked before a step capped it. Requests and leases without a route have
 * none, and cost nothing here.
 *
 * Invariants (core_check verifies them): a way whose path is known, and whose request is in line,
 * is in the list of the line of its step, and in no other.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_WAY_H
#define SLUICE_CORE_WAY_H

#include "core/path.h"

/* So many of those who have waited longest at one account are offered to another. */
#define WAYS_OFFERED_MAX 8

/* What a caller asked, before a step capped or estimated it. */
struct asked {
    int64_t tokens;
    int64_t input;
    int64_t output;
    bool has_input; /* as in an acquire */
    bool has_output;
    bool has_usd;
};

struct way {
    struct list place;       /* in its line's ways, while its request waits */
    struct request *request; /* NULL in a lease */
    struct path *path;       /* NULL: its route is no longer configured */
    struct text route;       /* its name */
    struct asked asked;
    int64_t max_output;              /* the output is capped at this; 0: it is not */
    uint8_t step;                    /* index of the one it is at */
    uint8_t failed;                  /* bits of the steps that will not serve it any more */
    uint8_t passed[ROUTE_STEPS_MAX]; /* enum pass of those that it passed over */
};

/* How many bytes a copy takes where memory is aligned for any type. */
size_t way_bytes(const struct way *way);

static inline size_t way_size(const struct way *way)
{
    return unlikely(way) ? way_bytes(way) : 0;
}

/* A copy at `to`, for a request or, where that is NULL, a lease. */
struct way *way_put(void *to, const struct way *from, struct request *request);

static inline struct way *way_copy(void *to, const struct way *from, struct request *request)
{
    return unlikely(from) ? way_put(to, from, request) : NULL;
}

/* Finds its path among those of a new policy, for what stands in, or was granted by, that line. */
void way_resume(const struct core *core, const struct line *line, struct way *way);

/* What was asked by it: the route, and the load before any cap. */
void way_asked(const struct way *way, struct acquire *a);

/* Whether anybody waits in a pool by a route. */
bool pool_waits(const struct path *pool);

/* A request joins a line by its way, or leaves it; then another may be the last that is offered. */
void way_joins(struct core *core, struct line *line, struct way *way);
void way_leaves(struct core *core, struct way *way);

/* It comes to wait, or comes back: accounts of the same pool that have nobody of their own may
 * serve it. */
void way_waits(struct core *core, const struct line *line, const struct way *way);

/* A lease was granted by its way. */
void way_served(struct core *core, const struct way *way, struct text session);

/* The place in its route's order of the step that it is at, from 1. */
size_t way_place(const struct way *way);

/* What is told of it; `served`: its step did. */
void way_tell_all(const struct way *way, bool served, struct routed *routed);

static inline void way_tell(const struct way *way, bool served, struct routed *routed)
{
    if (unlikely(way)) {
        way_tell_all(way, served, routed);
    } else {
        routed->route = TEXT_NONE;
        routed->step = 0;
        routed->passed_n = 0;
    }
}

/* What tokens cost at a line, by the step of a route or NULL. */
const struct price *price_at(const struct line *line, const struct route_step *step);

/* The step at which a way is; NULL where it is no longer configured, or there is no way. */
static inline const struct route_step *way_step(const struct way *way)
{
    return unlikely(way) && way->path ? &way->path->route->steps[way->step] : NULL;
}

/* The model that a grant names at that line. */
struct text way_model_at(const struct way *way, const struct line *line);

#endif
