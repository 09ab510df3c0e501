#include <assert.h>

#include "core/counter.h"
#include "core/flow.h"
#include "core/learn.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/request.h"
#include "core/turn.h"
#include "core/view.h"

size_t core_resources(const struct core *core)
{
    return core->policy ? core->policy->resources_n : 0;
}

size_t core_routes(const struct core *core)
{
    return core->paths.n;
}

void core_route_view(const struct core *core, size_t i, struct route_view *view)
{
    assert(i < core_routes(core));
    *view = core->paths.at[i].stats;
}

/* Looking advances windows to the time of the last event, which changes nothing that is promised.
 */
static struct core *looking(const struct core *core)
{
    union {
        const struct core *in;
        struct core *out;
    } cast = {.in = core};
    return cast.out;
}

/* Who came last may not be granted last, but is told by how much stands before it. */
static void view_last(struct core *core, const struct line *line, struct resource_view *view)
{
    view->last_eta_us = 0;
    view->last_wait_us = 0;
    if (list_empty(&line->all)) {
        return;
    }
    const struct request *last = CONTAINER_OF(line->all.prev, struct request, in_line);
    struct asker asker = asker_of(last);
    view->last_eta_us = estimate_us(core, &asker, (int64_t)line->waiting);
    view->last_wait_us = sub_sat(last->deadline_us, last->enqueued_us);
}

void core_resource_view(const struct core *core, size_t i, struct resource_view *view)
{
    assert(i < core_resources(core));
    const struct line *line = core->lines[i];
    const struct request *oldest = line_oldest(line);
    *view = line->stats;
    for (int u = 0; u < UNIT_COUNT; u++) {
        /* A sum that is too large for its type has wrapped. */
        view->held.of[u] = view->held.of[u] < 0 ? INT64_MAX : view->held.of[u];
    }
    view->waiting = line->waiting;
    view->away = line->away;
    view->leases = line->leases;
    view->oldest_wait_us = oldest ? core->now_us - oldest->enqueued_us : 0;
    health_view(core, line, &view->health);
    view->latency_us = line->pace.short_us;
    view->slots_suggested = pace_suggests(line);
    view_last(looking(core), line, view);
    view->head_held_by.limits_n = 0;
    if (line->head) {
        struct asker a = asker_of(line->head);
        explain(looking(core), &a, &view->head_held_by);
    }
}

size_t core_limits(const struct core *core, size_t i)
{
    assert(i < core_resources(core));
    return core->lines[i]->limits_n;
}

static void view_rule(const struct rule *rule, struct limit_view *view)
{
    *view = (struct limit_view){
        .limit = rule->limit,
        .amount = rule->terms.burst,
        .guard_us = rule->guard_us,
        .told = rule->told,
        .unknown = rule_is_untold(rule),
        .counters = rule->counters_n,
    };
}

static void view_counter(const struct core *core, struct counter *c, struct limit_view *view)
{
    view_rule(c->rule, view);
    view->remaining = counter_free_units(looking(core), c);
    view->used = window_used(&c->window, &c->rule->terms);
    view->held = c->held;
    view->foreign = c->rule->terms.kind == WINDOW_BUCKET ? c->foreign : counter_foreign(c);
    if (view->used > 0 || view->held > 0) {
        int64_t again_us =
            counter_fits_us(looking(core), c, max_i64(sub_sat(view->remaining, -1), 1));
        view->reset_us = again_us == INT64_MAX ? INT64_MAX : again_us;
    }
}

void core_limit_view(const struct core *core, size_t i, size_t j, struct limit_view *view)
{
    assert(i < core_resources(core) && j < core_limits(core, i));
    const struct rule *rule = core->lines[i]->rules[j];
    if (rule->whole) {
        view_counter(core, rule->whole, view);
    } else {
        view_rule(rule, view);
    }
    view->limit = &core->lines[i]->resource->limits[j];
}

bool core_scope_view(const struct core *core, size_t i, size_t j, struct text scope_key,
                     struct limit_view *view)
{
    assert(i < core_resources(core) && j < core_limits(core, i));
    const struct rule *rule = core->lines[i]->rules[j];
    struct counter *c = rule->whole ? rule->whole : counter_find(core, rule, scope_key);
    bool known = c && !c->unread;
    if (known) {
        view_counter(core, c, view);
        view->limit = &core->lines[i]->resource->limits[j];
    }
    return known;
}

static void view_lease(const struct lease *l, struct lease_view *view)
{
    *view = (struct lease_view){
        .lease = l->lease,
        .parent = l->parent,
        .resource = text_of(l->line->resource->name),
        .tenant = l->tenant,
        .session = l->session,
        .labels = l->labels,
        .id = l->id,
        .route = l->way ? l->way->route : TEXT_NONE,
        .held = l->load,
        .granted_us = l->granted_us,
        .expires_us = l->expires_us,
        .open = l->state == LEASE_OPEN,
    };
}

bool core_lease_view(const struct core *core, uint64_t lease, struct lease_view *view)
{
    const struct lease *l = lease_find(core, lease);
    if (l) {
        view_lease(l, view);
    }
    return l != NULL;
}

/* Where those begin that stand behind a lease that has ended meanwhile. */
static const struct list *open_behind(const struct core *core, const struct lease *ended)
{
    const struct list *node = core->open.next;
    for (; node != &core->open; node = node->next) {
        const struct lease *l = CONTAINER_OF(node, struct lease, place);
        if (l->noted_us != ended->noted_us ? l->noted_us > ended->noted_us
                                           : l->lease > ended->lease) {
            break;
        }
    }
    return node;
}

bool core_lease_next(const struct core *core, uint64_t after, struct lease_view *view)
{
    const struct lease *at = after ? lease_find(core, after) : NULL;
    if (after && !at) {
        return false;
    }
    const struct list *node = core->open.next;
    if (at) {
        node = at->state == LEASE_OPEN ? at->place.next : open_behind(core, at);
    }
    if (node == &core->open) {
        return false;
    }
    view_lease(CONTAINER_OF(node, struct lease, place), view);
    return true;
}

bool core_request_view(const struct core *core, caller_id caller, uint64_t ticket,
                       struct request_view *view)
{
    const struct request *r =
        caller ? request_find_caller(core, caller) : request_find_ticket(core, ticket);
    if (r) {
        *view = (struct request_view){
            .resource = flow_line(r->flow)->name,
            .route = r->way ? r->way->route : TEXT_NONE,
            .load = r->load,
        };
    }
    return r != NULL;
}

void core_totals(const struct core *core, struct core_totals *totals)
{
    *totals = (struct core_totals){
        .leases_open = core->open_n,
        .leases_remembered = core->ended_n,
        .waiting = core->waiting,
        .counters = core->counters.len,
        .now_us = core->now_us,
    };
}

int64_t core_horizon_us(const struct core *core)
{
    int64_t matters_us = lease_end_matters_us(core);
    int64_t horizon_us = sub_sat(core->now_us, add_sat(matters_us, US_PER_S));
    horizon_us = min_i64(horizon_us, horizon_oldest_us(&core->horizon, core->now_us, matters_us));
    if (!list_empty(&core->open)) {
        const struct lease *oldest = CONTAINER_OF(core->open.next, struct lease, place);
        horizon_us = min_i64(horizon_us, oldest->noted_us);
    }
    return horizon_us;
}
