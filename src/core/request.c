#include "core/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/acquire.h"
#include "core/counter.h"
#include "core/emit.h"
#include "core/health.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/move.h"
#include "core/timer.h"
#include "core/turn.h"

/* --- Finding. --- */

/* Callers and tickets are numbers that others or we count up: as their own hash they lie in the
 * table in the order in which they come and go. */
struct request *request_find_caller(const struct core *core, caller_id caller)
{
    struct map_node *n = map_find(&core->requests_by_caller, caller);
    for (; n; n = map_next_equal(n)) {
        struct request *r = CONTAINER_OF(n, struct request, by_caller);
        if (r->caller == caller) {
            return r;
        }
    }
    return NULL;
}

struct request *request_find_ticket(const struct core *core, uint64_t ticket)
{
    struct map_node *n = map_find(&core->requests_by_ticket, ticket);
    for (; n; n = map_next_equal(n)) {
        struct request *r = CONTAINER_OF(n, struct request, by_ticket);
        if (r->seq == ticket) {
            return r;
        }
    }
    return NULL;
}

static struct request *find_ticket(const struct core *core, const struct event *event,
                                   uint64_t ticket)
{
    struct request *r = request_find_ticket(core, ticket);
    bool visible = r && (event->any_tenant || text_equal(r->tenant, event->tenant));
    return visible ? r : NULL;
}

struct request *request_find_id(const struct core *core, struct text id, const struct text *tenant)
{
    struct map_node *n = map_find(&core->request_ids, text_hash(id, &core->hash_key));
    for (; n; n = map_next_equal(n)) {
        struct request *r = CONTAINER_OF(n, struct request, by_id);
        if (text_equal(r->id, id) && (!tenant || text_equal(r->tenant, *tenant))) {
            return r;
        }
    }
    return NULL;
}

/* --- Life. --- */

/* Whatever is not set here, or by request_new, the caller sets: its place and its times. */
static inline void request_fill(struct request *restrict r, const struct acquire *restrict a)
{
    list_init(&r->in_flow);
    list_init(&r->in_line);
    timer_init(&r->timer, TIMER_REQUEST);
    r->flow = NULL;
    r->priority = (uint8_t)a->priority;
    r->base_priority = (uint8_t)a->priority;
    r->ticketed = false;
    r->state = REQUEST_WAITING;
    r->load = a->load;
    r->lease_us = a->lease_us;
    r->caller = 0;
    r->parent = a->parent;
    r->not_before_us = 0;
    r->attempt = 1;
    r->attempts_max = a->attempts_max;
    r->estimated = a->estimated;
    r->input_bytes = a->input_bytes;
}

struct request *request_new(struct core *core, const struct acquire *a, const struct way *way)
{
    size_t bytes = a->tenant.len + a->session.len + a->labels.len + a->id.len;
    size_t size = sizeof(struct request) + way_size(way) + bytes;
    /* Callers leave and come back, and tickets are given later: then there must be room for all. */
    size_t all = core->waiting + 1;
    if (timer_admit(core) != 0 || map_reserve_for(&core->requests_by_caller, all) != 0 ||
        map_reserve_for(&core->requests_by_ticket, all) != 0 ||
        (a->id.len > 0 && map_reserve(&core->request_ids) != 0)) {
        return NULL;
    }
    struct request *r = spares_take(&core->spares, size);
    if (!r) {
        return NULL;
    }
    char *to = (char *)(r + 1) + way_size(way);
    request_fill(r, a);
    r->size = (uint32_t)size; /* its texts are short, by the caps of a request */
    r->way = way_copy(r + 1, way, r);
    r->tenant = text_copy(&to, a->tenant);
    r->session = text_copy(&to, a->session);
    r->labels = text_copy(&to, a->labels);
    r->id = text_copy(&to, a->id);
    core->timers_n++;
    return r;
}

void request_facts(const struct request *r, struct acquire *a)
{
    *a = (struct acquire){
        .load = r->load,
        .priority = r->base_priority,
        .tenant = r->tenant,
        .session = r->session,
        .labels = r->labels,
        .id = r->id,
        .parent = r->parent,
        .attempts_max = r->attempts_max,
        .estimated = r->estimated,
        .input_bytes = r->input_bytes,
        .lease_us = r->lease_us,
    };
    if (r->way) {
        way_asked(r->way, a);
    }
}

void request_free(struct core *core, struct request *r)
{
    timer_clear(core, &r->timer);
    core->timers_n--;
    list_remove(&r->in_flow);
    spares_give(&core->spares, r, r->size);
}

void graveyard_clear(struct core *core)
{
    while (!list_empty(&core->graveyard)) {
        request_free(core, CONTAINER_OF(list_first(&core->graveyard), struct request, in_flow));
    }
}

/* Whoever is told the outcome. */
static void request_attach(struct core *core, struct request *r, caller_id caller)
{
    if (r->caller) {
        map_remove(&core->requests_by_caller, &r->by_caller);
    }
    r->caller = caller;
    if (caller) {
        map_insert(&core->requests_by_caller, &r->by_caller, caller);
    }
}

static void request_set_timer(struct core *core, struct request *r)
{
    int64_t at_us = min_i64(r->deadline_us, r->hold_us);
    bool held_back = r->state == REQUEST_AWAY && r->caller;
    timer_set(core, &r->timer, held_back ? min_i64(at_us, r->not_before_us) : at_us);
}

static void request_enrol_ticket(struct core *core, struct request *r)
{
    if (!r->ticketed) {
        r->ticketed = true;
        map_insert(&core->requests_by_ticket, &r->by_ticket, r->seq);
    }
}

/* Makes a request that has joined a line known by all its names. */
void request_enrol(struct core *core, struct request *r, caller_id caller)
{
    request_attach(core, r, caller);
    if (r->id.len) {
        map_insert(&core->request_ids, &r->by_id, text_hash(r->id, &core->hash_key));
    }
    lease_ancestors_wait(core, r->parent, 1);
    request_set_timer(core, r);
}

void request_end(struct core *core, struct request *r)
{
    line_leave(core, r);
    if (r->caller) {
        map_remove(&core->requests_by_caller, &r->by_caller);
    }
    if (r->ticketed) {
        map_remove(&core->requests_by_ticket, &r->by_ticket);
    }
    if (r->id.len) {
        map_remove(&core->request_ids, &r->by_id);
    }
    lease_ancestors_wait(core, r->parent, -1);
}

void request_refuse(struct core *core, struct request *r, enum error_code code)
{
    struct line *line = flow_line(r->flow);
    struct effect *e = effect_refuse(core, r->caller, line, code);
    e->refuse.id = r->id;
    e->refuse.waited_us = core->now_us - r->enqueued_us;
    request_end(core, r);
}

/* A refusal that says what holds the request, and for how long. */
static void refuse_explained(struct core *core, struct request *r, enum error_code code)
{
    struct asker a = asker_of(r);
    int64_t position = line_position(a.line, r);
    struct held_by held_by;
    struct counter *c = explain(core, &a, &held_by);
    struct effect *e =
        c ? effect_refuse_limit(core, r->caller, a.line, code, c, r->load.of[c->rule->unit])
          : effect_refuse(core, r->caller, a.line, code);
    e->refuse.held_by = held_by;
    e->refuse.id = r->id;
    e->refuse.position = position;
    e->refuse.retry_after_us = estimate_us(core, &a, position);
    e->refuse.waited_us = core->now_us - r->enqueued_us;
    way_tell(r->way, false, &e->refuse.routed);
    request_end(core, r);
}

void request_time_up(struct core *core, struct request *r)
{
    if (r->state == REQUEST_AWAY && !r->caller) {
        request_end(core, r);
        return;
    }
    if (r->way && r->state == REQUEST_WAITING && move_at_last(core, r) == MOVE_GONE) {
        if (r->state == REQUEST_WAITING) {
            request_set_timer(core, r); /* due at once, but lines are run before it is served */
        }
        return;
    }
    bool unwilling = r->deadline_us == r->enqueued_us;
    refuse_explained(core, r, unwilling ? ERR_WOULD_WAIT : ERR_WAIT_TIMEOUT);
}

/* Whether it still waits that did not want to. */
static bool is_unwilling(const struct request *r)
{
    return r->state == REQUEST_WAITING && r->deadline_us == r->enqueued_us;
}

void request_settle_unwilling(struct core *core, struct request *r)
{
    while (is_unwilling(r) && r->way && move_on_at_once(core, r) == MOVE_GONE) {
        run_lines(core);
    }
    if (is_unwilling(r)) {
        request_time_up(core, r);
    }
}

/* Tells the holder its ticket, and keeps the place for it. */
static void give_ticket(struct core *core, struct request *r)
{
    struct asker a = asker_of(r);
    struct held_by held_by;
    int64_t position = line_position(a.line, r);
    int64_t eta_us = estimate_us(core, &a, position);
    explain(core, &a, &held_by);
    if (r->state != REQUEST_AWAY && line_step_aside(core, r) != 0) {
        r->hold_us = add_sat(core->now_us, US_PER_S);
        request_set_timer(core, r);
        return;
    }
    struct effect *e = effect_add(core, EFFECT_WAIT, r->caller);
    e->wait.ticket = r->seq;
    e->wait.id = r->id;
    e->wait.position = position;
    e->wait.eta_us = eta_us;
    e->wait.held_by = held_by;
    request_attach(core, r, 0);
    request_enrol_ticket(core, r);
    r->hold_us = add_sat(max_i64(core->now_us, r->not_before_us), TICKET_KEPT_US);
    request_set_timer(core, r);
}

/* Its holder is back, and its time has come. */
static void step_back(struct core *core, struct request *r)
{
    line_step_back(core, r);
    request_set_timer(core, r);
}

bool request_comes_back(const struct core *core, const struct request *r)
{
    return r->state == REQUEST_AWAY && r->caller && core->now_us < r->deadline_us &&
           core->now_us >= r->not_before_us;
}

void request_timer(struct core *core, struct request *r)
{
    bool left = r->state == REQUEST_AWAY && !r->caller;
    if (left || core->now_us >= r->deadline_us) {
        request_time_up(core, r);
    } else if (request_comes_back(core, r)) {
        step_back(core, r);
    } else {
        give_ticket(core, r);
    }
}

/* --- Another attempt. --- */

struct request *request_again(struct core *core, struct lease *l, const struct attempt *attempt)
{
    struct counter *counters[CHARGES_MAX];
    struct acquire a;
    lease_facts(l, &a);
    a.load = *attempt->load;
    a.estimated = attempt->estimated;
    struct request *r = request_new(core, &a, attempt->way);
    if (!r) {
        return NULL;
    }
    r->seq = l->origin.seq ? l->origin.seq : core->next_seq++;
    r->state = REQUEST_AWAY;
    r->attempt = l->attempt + 1;
    r->enqueued_us = core->now_us;
    r->not_before_us = add_sat(core->now_us, attempt->after_us);
    r->deadline_us = add_sat(core->now_us, attempt->wait_us);
    r->hold_us = add_sat(r->not_before_us, TICKET_KEPT_US);
    if (counters_of(core, attempt->line, &a, counters) != 0 ||
        line_join(core, attempt->line, r, counters) != 0) {
        request_free(core, r);
        return NULL;
    }
    lease_drop_id(core, l);
    request_enrol(core, r, 0);
    request_enrol_ticket(core, r);
    return r;
}

/* --- A change of policy. --- */

int request_carry(struct core *core, struct line *line, const struct request *from)
{
    struct counter *counters[CHARGES_MAX];
    struct acquire a;
    request_facts(from, &a);
    a.load = from->load;
    struct request *r = request_new(core, &a, from->way);
    if (!r) {
        return ERR_NO_MEMORY;
    }
    if (r->way) {
        way_resume(core, line, r->way);
    }
    r->priority = from->priority;
    r->seq = from->seq;
    r->enqueued_us = from->enqueued_us;
    r->deadline_us = from->deadline_us;
    r->hold_us = from->hold_us;
    r->not_before_us = from->not_before_us;
    r->attempt = from->attempt;
    r->attempts_max = from->attempts_max;
    r->state = from->state;
    if (counters_of(core, line, &a, counters) != 0 || line_join(core, line, r, counters) != 0) {
        request_free(core, r);
        return ERR_NO_MEMORY;
    }
    request_enrol(core, r, from->caller);
    if (from->ticketed) {
        request_enrol_ticket(core, r);
    }
    return 0;
}

/* The limit that is smaller than what a request asks of it, or NULL. */
static struct counter *too_small(const struct line *line, const struct request *r)
{
    for (size_t i = 0; i < line->limits_n; i++) {
        const struct rule *rule = line->rules[i];
        if (r->flow->counters[i] && r->load.of[rule->unit] > rule->terms.burst) {
            return r->flow->counters[i];
        }
    }
    return NULL;
}

bool request_judge_anew(struct core *core, struct line *line, struct request *r)
{
    struct counter *c = line->retired ? NULL : too_small(line, r);
    if (!line->retired && !c) {
        return false;
    }
    if (r->way && move_on(core, r) == MOVE_GONE) {
        return true;
    }
    if (c) {
        int64_t n = r->load.of[c->rule->unit];
        effect_refuse_limit(core, r->caller, line, ERR_NEVER_FITS, c, n)->refuse.id = r->id;
        request_end(core, r);
    } else {
        request_refuse(core, r, ERR_UNKNOWN_RESOURCE);
    }
    return true;
}

/* --- Coming back, withdrawing, hanging up. --- */

void request_take_over(struct core *core, struct request *r, caller_id caller, int64_t hold_us)
{
    if (r->caller) {
        effect_refuse(core, r->caller, flow_line(r->flow), ERR_CANCELLED)->refuse.id = r->id;
    }
    request_attach(core, r, caller);
    r->hold_us = add_sat(core->now_us, hold_us);
    if (r->state == REQUEST_AWAY && core->now_us >= r->not_before_us) {
        line_step_back(core, r);
    }
    request_set_timer(core, r);
}

void request_resume(struct core *core, const struct event *event)
{
    struct request *r = find_ticket(core, event, event->resume.ticket);
    if (!r || core->draining) {
        effect_refuse(core, event->caller, NULL,
                      core->draining ? ERR_SHUTTING_DOWN : ERR_UNKNOWN_TICKET);
        return;
    }
    request_take_over(core, r, event->caller, event->resume.hold_us);
}

static void cancel_request(struct core *core, struct request *r)
{
    flow_line(r->flow)->stats.cancelled++;
    if (r->caller) {
        request_refuse(core, r, ERR_CANCELLED);
    } else {
        request_end(core, r);
    }
}

static void cancel_lease(struct core *core, struct lease *l)
{
    l->line->stats.cancelled++;
    lease_cancel(core, l);
    health_unanswered(core, l->line, l);
    effect_record(core, l, RECORD_CANCEL, core->now_us);
}

/* The open lease that a cancel names, by its number or by the caller's own id. */
static struct lease *lease_to_cancel(const struct core *core, const struct event *event)
{
    const struct text *tenant = event->any_tenant ? NULL : &event->tenant;
    struct lease *l = event->cancel.lease ? lease_find(core, event->cancel.lease)
                                          : lease_find_id(core, event->cancel.id, tenant);
    bool mine = l && (!tenant || text_equal(l->tenant, *tenant));
    return mine && l->state == LEASE_OPEN ? l : NULL;
}

void request_cancel(struct core *core, const struct event *event)
{
    const struct text *tenant = event->any_tenant ? NULL : &event->tenant;
    struct request *r = NULL;
    struct lease *l = NULL;
    if (event->cancel.ticket) {
        r = find_ticket(core, event, event->cancel.ticket);
    } else {
        r = event->cancel.lease ? NULL : request_find_id(core, event->cancel.id, tenant);
        l = r ? NULL : lease_to_cancel(core, event);
    }
    if (!r && !l) {
        effect_refuse(core, event->caller, NULL, ERR_UNKNOWN_TICKET);
        return;
    }
    struct effect *e = effect_add(core, EFFECT_CANCELLED, event->caller);
    e->cancelled.lease = l ? l->lease : 0;
    e->cancelled.ticket = r ? r->seq : 0;
    if (r) {
        cancel_request(core, r);
    } else {
        cancel_lease(core, l);
    }
}

void request_hangup(struct core *core, const struct event *event)
{
    struct request *r = event->caller ? request_find_caller(core, event->caller) : NULL;
    if (r) {
        flow_line(r->flow)->stats.cancelled++;
        request_end(core, r);
    }
}
