/*
 * The line of a resource: who waits, and whose turn it is.
 *
 * This file knows the order and keeps the structures in it; whether the one whose turn it is can be
 * granted is turn.c's to judge. See the essay in line.c.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_LINE_H
#define SLUICE_CORE_LINE_H

#include "core/flow.h"
#include "core/state.h"

struct line *line_find(const struct core *core, struct text resource);

/* A line for a resource of the policy; rules are filled in by the caller. 0 or ERR_NO_MEMORY. */
int line_new(struct core *core, const struct resource *resource, struct line **line);

/* What the line's resource calls a limit: those of one pool may have a name in each. */
const char *line_limit_name(const struct line *line, const struct rule *rule);

/* Frees a line without requests, and its parties. */
void line_free(struct core *core, struct line *line);

/* Marks a line to be run before the step ends. */
void line_make_pending(struct core *core, struct line *line);

/* The part of its line's largest limit that a load is, times 2^32. */
uint64_t line_cost(const struct line *line, const struct load *load);

/* Puts a new request in line, charged to `counters`. 0 or ERR_NO_MEMORY. */
int line_join(struct core *core, struct line *line, struct request *r,
              struct counter *const *counters);

/* Takes a request out of line, and lays it in the graveyard. */
void line_leave(struct core *core, struct request *r);

/* Takes a request that came by a route to the line of another step: it keeps its age, and so its
 * place. 0, or ERR_NO_MEMORY: it stays. */
int line_move(struct core *core, struct request *r, struct path *path, size_t step,
              const struct load *load, struct counter *const *counters);

/* Its holder has gone away with a ticket: it keeps its place and is passed over. 0 or
 * ERR_NO_MEMORY. */
int line_step_aside(struct core *core, struct request *r);

/* The holder of the ticket is back. */
void line_step_back(struct core *core, struct request *r);

/* The first of a flow has waited long enough to gain a priority. */
void line_age(struct core *core, struct flow *flow);

/* The first of a reserve's holder that uses less than its share, or NULL. */
struct flow *line_pick_reserved(struct core *core, struct line *line);

/* The flow whose first request is next by all rules of order, or NULL. */
static inline struct flow *line_pick(struct core *core, struct line *line)
{
    bool reserves = unlikely(line->resource->reserves_n > 0);
    struct flow *reserved = reserves ? line_pick_reserved(core, line) : NULL;
    if (reserved || !line->awake) {
        return reserved;
    }
    return urgency_first(&line->urgencies[__builtin_ctz(line->awake)]);
}

/* The line that is to be run next, of those that are pending: there is one. Lines that share a
 * limit take turns by the order of their firsts, priority and then arrival, so that nobody takes of
 * it what the head of another line, yet to be judged, claims. */
struct line *line_next(struct core *core);

/* Order where tenants do not count: priority, then arrival. */
static inline bool request_before(const struct request *a, const struct request *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->seq < b->seq;
}

/* The request that has been in line longest, or NULL. */
struct request *line_oldest(const struct line *line);

/* Whether there are more in line than may be, all or of a tenant; whether one more may join. */
bool line_overflows(const struct core *core, const struct line *line, struct text tenant);
bool line_has_room(const struct core *core, const struct line *line, struct text tenant);

/* 1 for the first of all that are as urgent or more, by arrival. */
int64_t line_position(const struct line *line, const struct request *r);

/* The same for one of that priority who has not joined. */
int64_t line_position_behind(const struct line *line, int priority);

#endif
