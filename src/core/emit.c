#include "core/emit.h"

#include <assert.h>
#include <stdlib.h>

#include "core/counter.h"
#include "core/lease.h"
#include "core/line.h"

void effects_init(struct effects *e)
{
    *e = (struct effects){0};
}

void effects_release(struct effects *e)
{
    free(e->at);
    effects_init(e);
}

int effects_grow(struct effects *e, size_t size)
{
    struct effect *at = realloc(e->at, size * sizeof(struct effect));
    if (!at) {
        return ERR_NO_MEMORY;
    }
    e->at = at;
    e->size = size;
    return 0;
}

struct effect *effect_add(struct core *core, enum effect_kind kind, caller_id caller)
{
    struct effect *effect = effect_next(core, kind, caller);
    *effect = (struct effect){.kind = kind, .caller = caller};
    return effect;
}

struct effect *effect_settled(struct core *core, caller_id caller, const struct lease *l, bool late,
                              bool repeated)
{
    struct effect *e = effect_next(core, EFFECT_SETTLED, caller);
    e->settled.lease = l->lease;
    e->settled.resource = l->line->name;
    e->settled.settled = l->used;
    e->settled.held_for_us = l->ended_us - l->granted_us;
    e->settled.late = late;
    e->settled.repeated = repeated;
    e->settled.routed.route = TEXT_NONE;
    return e;
}

void count_exhausted(struct path *path, const struct way *way)
{
    path->stats.exhausted++;
    for (size_t i = 0; i < path->route->steps_n; i++) {
        path->stats.passed[way->passed[i]] += way->passed[i] != PASS_NONE;
    }
}

static const char *static_answer_of(const struct route *route)
{
    return route->finally == FINALLY_STATIC ? route->static_answer : NULL;
}

void effect_end_route(struct effect *settled, const struct way *way)
{
    const struct route *route = way->path->route;
    way_tell(way, false, &settled->settled.routed);
    settled->settled.finally = route->finally;
    settled->settled.static_answer = static_answer_of(route);
}

struct effect *effect_refuse(struct core *core, caller_id caller, struct line *line,
                             enum error_code code)
{
    struct effect *e = effect_add(core, EFFECT_REFUSE, caller);
    e->refuse.code = code;
    if (line) {
        e->refuse.resource = text_of(line->resource->name);
        line->stats.refused[code]++;
    }
    return e;
}

struct effect *effect_refuse_route(struct core *core, caller_id caller, struct path *path,
                                   const struct way *way, int64_t again_us)
{
    struct effect *e = effect_refuse(core, caller, NULL, ERR_ROUTE_EXHAUSTED);
    const struct route *route = path->route;
    way_tell(way, false, &e->refuse.routed);
    e->refuse.resource = path->name;
    e->refuse.finally = route->finally;
    e->refuse.static_answer = static_answer_of(route);
    e->refuse.retry_after_us = again_us == INT64_MAX ? 0 : max_i64(0, again_us - core->now_us);
    count_exhausted(path, way);
    return e;
}

struct effect *effect_refuse_limit(struct core *core, caller_id caller, struct line *line,
                                   enum error_code code, struct counter *c, int64_t asked)
{
    struct effect *e = effect_refuse(core, caller, line, code);
    int64_t again_us = counter_fits_us(core, c, asked);
    e->refuse.limit = line_limit_name(line, c->rule);
    e->refuse.limit_amount = c->rule->terms.burst;
    e->refuse.limit_free = counter_free_units(core, c);
    e->refuse.limit_asked = asked;
    e->refuse.retry_after_us = again_us == INT64_MAX ? 0 : again_us - core->now_us;
    return e;
}

struct effect *effect_alert(struct core *core, enum alert_kind kind, const struct line *line,
                            const struct counter *c)
{
    if (!core->effects) {
        return NULL;
    }
    struct effect *e = effect_add(core, EFFECT_ALERT, 0);
    const struct terms *terms = &c->rule->terms;
    e->alert.kind = kind;
    e->alert.resource = text_of(line->resource->name);
    e->alert.limit = line_limit_name(line, c->rule);
    e->alert.scope_key = counter_key(c);
    e->alert.used = add_sat(window_used(&c->window, terms), c->held);
    e->alert.amount = terms->burst;
    return e;
}
