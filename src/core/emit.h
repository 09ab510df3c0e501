/*
 * Effects: filling in what a step has to tell.
 *
 * Room for all the effects of a step is made at its start, so that telling cannot fail.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_EMIT_H
#define SLUICE_CORE_EMIT_H

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
    return e->size >= EFFECTS_PER_STEP + more ? 0 : effects_grow(e, EFFECTS_PER_STEP + more);
}

/* How many more a step has room for. */
static inline size_t effects_left(const struct effects *e)
{
    return e->size - e->len;
}

/* The next effect, zeroed but for kind and caller. */
struct effect *effect_add(struct core *core, enum effect_kind kind, caller_id caller);

/* A fact of a lease. */
struct record *effect_record(struct core *core, const struct lease *lease, enum record_kind kind,
                             int64_t at_us);
void effect_grant(struct core *core, caller_id caller, const struct lease *lease, bool repeated);
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
