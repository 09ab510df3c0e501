/*
 * Effects: filling in what a step has to tell.
 *
 * Room for all the effects of a step is made at its start, so that telling cannot fail.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_EMIT_H
#define SLUICE_CORE_EMIT_H

#include <assert.h>

#include "core/lease.h"
#include "core/state.h"

/* A decision tells at most: a record and an answer for each, and an alert and a counter's record
 * for each limit it touches. */
#define EFFECTS_PER_STEP (CORE_STEP_MAX * (3 + 2 * RESOURCE_LIMITS_MAX) + 128)

/* Makes room for so many effects in all. 0 or ERR_NO_MEMORY. */
int effects_grow(struct effects *e, size_t size);

/* Empties the list and makes room for a step's effects, and `more`. 0 or ERR_NO_MEMORY. */
static inline int effects_begin(struct effects *e, size_t more)
{
    e->len = 0;
    return likely(e->size >= EFFECTS_PER_STEP + more) ? 0
                                                      : effects_grow(e, EFFECTS_PER_STEP + more);
}

/* How many more a step has room for. */
static inline size_t effects_left(const struct effects *e)
{
    return e->size - e->len;
}

/* The next effect, zeroed but for kind and caller. */
struct effect *effect_add(struct core *core, enum effect_kind kind, caller_id caller);

/* The next effect, for a maker that sets its every member: the most frequent kinds. */
static inline struct effect *effect_next(struct core *core, enum effect_kind kind, caller_id caller)
{
    struct effects *e = core->effects;
    assert(e->len < e->size);
    struct effect *effect = &e->at[e->len++];
    effect->kind = kind;
    effect->caller = caller;
    return effect;
}

/* Its facts; texts are the lease's own. */
static inline void record_fill(const struct lease *restrict l, enum record_kind kind, int64_t at_us,
                               struct record *restrict r)
{
    bool over = kind == RECORD_SETTLE || kind == RECORD_CANCEL || kind == RECORD_EXPIRE;
    r->kind = kind;
    r->at_us = at_us;
    r->expires_us = l->expires_us;
    r->lease = l->lease;
    r->parent = l->parent;
    r->load = over ? l->used : l->load;
    r->priority = l->priority;
    r->attempt = l->attempt;
    r->waited_us = l->waited_us;
    r->held_for_us = over ? l->ended_us - l->granted_us : 0;
    r->late = false;
    r->outcome = ANSWER_OK;
    r->has_parts = false;
    r->parts = (struct parts){0};
    r->model = unlikely(l->way) ? way_model_at(l->way, l->line) : l->line->model;
    r->account = l->line->account;
    r->resource = l->line->name;
    r->route = unlikely(l->way) ? l->way->route : TEXT_NONE;
    r->step = unlikely(l->way) ? (int32_t)way_place(l->way) : 0;
    r->tenant = l->tenant;
    r->session = l->session;
    r->labels = l->labels;
    r->id = l->id;
    r->limit = TEXT_NONE;
    r->scope_key = TEXT_NONE;
    r->period_us = 0;
    r->used = 0;
    r->level = 0;
}

/* A fact of a lease. */
static inline struct record *effect_record(struct core *core, const struct lease *lease,
                                           enum record_kind kind, int64_t at_us)
{
    struct effect *e = effect_next(core, EFFECT_PERSIST, 0);
    record_fill(lease, kind, at_us, &e->record);
    bool begins = kind == RECORD_GRANT || kind == RECORD_RENEW;
    e->record.skew_us = begins ? lease->skew_us : core->skew_us;
    return &e->record;
}

static inline struct effect *effect_grant(struct core *core, caller_id caller,
                                          const struct lease *l, bool repeated)
{
    struct effect *e = effect_next(core, EFFECT_GRANT, caller);
    e->grant.lease = l->lease;
    e->grant.resource = l->line->name;
    e->grant.model = unlikely(l->way) ? way_model_at(l->way, l->line) : l->line->model;
    e->grant.account = l->line->account;
    e->grant.tenant = l->tenant;
    e->grant.id = l->id;
    e->grant.held = l->load;
    e->grant.waited_us = l->waited_us;
    e->grant.expires_us = l->expires_us;
    e->grant.attempt = l->attempt;
    e->grant.repeated = repeated;
    e->grant.max_output_tokens = unlikely(l->way) ? l->way->max_output : 0;
    way_tell(l->way, true, &e->grant.routed);
    return e;
}

struct effect *effect_settled(struct core *core, caller_id caller, const struct lease *lease,
                              bool late, bool repeated);

/* A refusal without particulars; counted where the line is known (NULL: unknown). */
struct effect *effect_refuse(struct core *core, caller_id caller, struct line *line,
                             enum error_code code);

/* The refusal of a route of which nothing is left, and what is told of its steps. */
struct effect *effect_refuse_route(struct core *core, caller_id caller, struct path *path,
                                   const struct way *way, int64_t again_us);

/* A route had nothing for a request, and why. */
void count_exhausted(struct path *path, const struct way *way);

/* The same told with a settlement: its route has nothing left. */
void effect_end_route(struct effect *settled, const struct way *way);

/* A refusal that names the limit of `c`, and when asking again makes sense. */
struct effect *effect_refuse_limit(struct core *core, caller_id caller, struct line *line,
                                   enum error_code code, struct counter *c, int64_t asked);

/* NULL, and nothing is told, where no step is under way. */
struct effect *effect_alert(struct core *core, enum alert_kind kind, const struct line *line,
                            const struct counter *c);

#endif
