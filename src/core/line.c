/*
 * The order of a line.
 *
 * Requests of one resource that have the same priority, the same tenant and the same counters form
 * a flow: a list, first come first served. Only the first of a flow can be next, so all heaps below
 * hold flows, not requests, and a hundred thousand waiting requests of three tenants are three
 * entries in a heap.
 *
 *     line → urgency (priority 1…10) → party (a tenant there) → flow → request
 *
 * A pick goes down that path: the most urgent priority that has anyone, the party with the smallest
 * start tag in it, the flow whose first request arrived first.
 *
 * Start tags are start-time fair queueing (Goyal, Vin and Cheng, 1996). The cost of a grant is the
 * largest part that it is of any of the resource's own limits: by load, not by count. A party that
 * comes to have someone in line starts at max(the priority's virtual time, its own last finish); a
 * grant from the line moves virtual time to its start, and its start on by cost / weight. So
 * backlogged tenants advance evenly by weight, and one that was idle cannot save up. When nobody is
 * awake at a priority any more, virtual time moves to the largest finish: the next busy time starts
 * even, and what was granted without a line does not count.
 *
 * A flow whose first request is held by a limit of a scope (its tenant's, its session's, …) sleeps
 * at that counter, out of its party's heap, and so blocks nobody; the counter wakes it. A request
 * whose holder went away with a ticket moves to a flow of its own, in no heap; when the holder is
 * back that flow competes by the old arrival number. Ageing moves the first request of a flow to
 * the same tenant's flow at the next priority, where it again counts by arrival.
 */
#include "core/line.h"

#include <assert.h>
#include <stdlib.h>

#include "core/counter.h"
#include "core/flow.h"
#include "core/health.h"
#include "core/retry.h"
#include "core/timer.h"
#include "core/turn.h"

#define COST_SHIFT     32
#define COST_UNLIMITED ((UINT64_C(1) << COST_SHIFT) / 1000)

/* --- Lines. --- */

struct line *line_find(const struct core *core, struct text resource)
{
    uint64_t hash = text_hash(resource, &core->hash_key);
    for (struct map_node *n = map_find(&core->lines_by_name, hash); n; n = map_next_equal(n)) {
        struct line *line = CONTAINER_OF(n, struct line, node);
        if (text_equal(line->name, resource)) {
            return line;
        }
    }
    return NULL;
}

const char *line_limit_name(const struct line *line, const struct rule *rule)
{
    for (size_t i = 0; i < line->limits_n; i++) {
        if (line->rules[i] == rule) {
            return line->resource->limits[i].name;
        }
    }
    return rule->limit->name;
}

int line_new(struct core *core, const struct resource *resource, struct line **out)
{
    struct line *line = calloc(1, sizeof(struct line));
    if (!line || map_reserve(&core->lines_by_name) != 0 || timer_admit(core) != 0) {
        free(line);
        return ERR_NO_MEMORY;
    }
    core->timers_n++;
    line->resource = resource;
    line->name = text_of(resource->name);
    line->model = text_of(resource->model);
    line->account = text_of(resource->account);
    line->stats.resource = resource;
    list_init(&line->pending);
    list_init(&line->all);
    timer_init(&line->timer, TIMER_LINE);
    health_init(&line->health);
    crossing_init(&line->crossing);
    line->retry_ppm = RETRIES_KEPT_PPM;
    for (int p = PRIORITY_MIN; p <= PRIORITY_MAX; p++) {
        heap_init(&line->urgencies[p].parties);
    }
    map_insert(&core->lines_by_name, &line->node,
               text_hash(text_of(resource->name), &core->hash_key));
    *out = line;
    return 0;
}

void line_free(struct core *core, struct line *line)
{
    assert(line->waiting == 0);
    map_remove(&core->lines_by_name, &line->node);
    list_remove(&line->pending);
    list_remove(&line->crossing.moving);
    timer_clear(core, &line->timer);
    core->timers_n--;
    for (int p = PRIORITY_MIN; p <= PRIORITY_MAX; p++) {
        assert(line->urgencies[p].parties_n == 0);
        heap_release(&line->urgencies[p].parties);
        rank_release(&line->urgencies[p].rank);
    }
    free(line->rules);
    free(line->retired);
    estimates_drop(line->estimates);
    free(line);
}

void line_make_pending(struct core *core, struct line *line)
{
    if (!list_holds(&line->pending)) {
        leave_to_do(core, &core->pending, &line->pending);
    }
}

static uint64_t part_of(int64_t n, const struct rule *rule)
{
    if (likely(n < INT64_C(1) << (63 - COST_SHIFT))) {
        return divide((uint64_t)n << COST_SHIFT, &rule->amount);
    }
    return (uint64_t)mul_div_sat(n, INT64_C(1) << COST_SHIFT, rule->terms.amount);
}

uint64_t line_cost(const struct line *line, const struct load *load)
{
    uint64_t cost = 0;
    bool limited = false;
    for (size_t i = 0; i < line->limits_n; i++) {
        const struct rule *rule = line->rules[i];
        if (likely(rule->whole) && rule->terms.kind != WINDOW_NONE) {
            uint64_t part = part_of(load->of[rule->unit], rule);
            cost = part > cost ? part : cost;
            limited = true;
        }
    }
    return limited ? cost : COST_UNLIMITED;
}

/* --- Joining, leaving, stepping aside. --- */

static void count_request(struct core *core, struct line *line, const struct request *r, int sign)
{
    line->waiting += (size_t)sign;
    core->waiting += (size_t)sign;
    for (int u = 0; u < UNIT_COUNT; u++) {
        line->waiting_load.of[u] += sign * r->load.of[u];
        line->waiting_zero[u] += (size_t)(r->load.of[u] == 0 ? sign : 0);
    }
}

/* Whether a request that joins behind a stalled head may be one that can pass it. */
static bool may_be_passer(const struct line *line, const struct request *r)
{
    for (size_t i = 0; i < line->limits_n; i++) {
        const struct rule *rule = line->rules[i];
        if (likely(rule->whole) && unlikely(r->load.of[rule->unit] == 0 || rule->certain)) {
            return true;
        }
    }
    return false;
}

/* Room for one that is about to join, and the flow it will stand in. 0 or ERR_NO_MEMORY. */
static int line_admit(struct core *core, struct line *line, const struct request *r,
                      struct counter *const *counters, struct flow **flow)
{
    int rc = rank_reserve(&line->urgencies[r->priority].rank, line->arrivals);
    return rc != 0 ? rc : flow_get(core, line, r, counters, flow);
}

static inline void line_enter(struct core *core, struct line *line, struct request *r,
                              struct flow *flow)
{
    r->arrival = line->arrivals++;
    rank_insert(&line->urgencies[r->priority].rank, r->arrival);
    count_request(core, line, r, 1);
    list_append(&line->all, &r->in_line);
    flow->party->waiting++;
    if (unlikely(r->state == REQUEST_AWAY)) {
        list_append(&flow->requests, &r->in_flow);
        r->flow = flow;
        line->away++;
    } else {
        flow_append(core, flow, r);
    }
    if (line->head && !line_is_shut(core, line) && may_be_passer(line, r)) {
        line_make_pending(core, line);
    }
    if (unlikely(r->way)) {
        way_joins(core, line, r->way);
    }
}

int line_join(struct core *core, struct line *line, struct request *r,
              struct counter *const *counters)
{
    struct flow *flow;
    if (line_admit(core, line, r, counters, &flow) != 0) {
        return ERR_NO_MEMORY;
    }
    line_enter(core, line, r, flow);
    return 0;
}

/* A stalled line whose head goes is to be run again. */
static inline void line_drop_head(struct core *core, struct line *line, const struct request *r)
{
    if (line->head == r) {
        line->head = NULL;
        line_make_pending(core, line);
    }
}

static void line_quit(struct core *core, struct request *r)
{
    struct line *line = flow_line(r->flow);
    if (unlikely(r->way)) {
        way_leaves(core, r->way);
    }
    line_drop_head(core, line, r);
    if (unlikely(r->state == REQUEST_AWAY)) {
        line->away--;
    }
    rank_remove(&line->urgencies[r->priority].rank, r->arrival);
    count_request(core, line, r, -1);
    list_remove(&r->in_line);
    r->flow->party->waiting--;
    flow_drop(core, r);
}

void line_leave(struct core *core, struct request *r)
{
    line_quit(core, r);
    timer_clear(core, &r->timer);
    r->state = REQUEST_OVER;
    leave_to_do(core, &core->graveyard, &r->in_flow);
}

int line_move(struct core *core, struct request *r, struct path *path, size_t step,
              const struct load *load, struct counter *const *counters)
{
    struct flow *flow;
    struct line *to = path->lines[step];
    assert(r->way && flow_line(r->flow) != to);
    if (line_admit(core, to, r, counters, &flow) != 0) {
        return ERR_NO_MEMORY;
    }
    line_quit(core, r);
    r->load = *load;
    r->way->path = path;
    r->way->step = (uint8_t)step;
    line_enter(core, to, r, flow);
    return 0;
}

int line_step_aside(struct core *core, struct request *r)
{
    struct flow *from = r->flow;
    struct flow *own;
    if (flow_new(core, from->party, r->base_priority, from->counters, true, &own) != 0) {
        return ERR_NO_MEMORY;
    }
    struct line *line = flow_line(from);
    line_drop_head(core, line, r);
    flow_drop(core, r);
    list_append(&own->requests, &r->in_flow);
    r->flow = own;
    r->state = REQUEST_AWAY;
    line->away++;
    return 0;
}

void line_step_back(struct core *core, struct request *r)
{
    assert(r->state == REQUEST_AWAY && r->flow->solo);
    r->state = REQUEST_WAITING;
    flow_line(r->flow)->away--;
    flow_place_awake(core, r->flow);
    flow_time_ageing(core, r->flow);
    if (r->way) {
        way_waits(core, flow_line(r->flow), r->way);
    }
}

/* The flow that a request moves to with its next priority; 0 or ERR_NO_MEMORY. */
static int next_flow(struct core *core, const struct request *r, struct flow **flow)
{
    struct line *line = flow_line(r->flow);
    struct party *party;
    int rc = party_get(core, line, r->priority - 1, r->tenant, &party);
    if (rc == 0) {
        rc = rank_reserve(&line->urgencies[r->priority - 1].rank, r->arrival);
    }
    return rc != 0 ? rc : flow_for(core, party, r, r->flow->counters, r->flow->solo, flow);
}

void line_age(struct core *core, struct flow *flow)
{
    struct request *r = flow_first(flow);
    struct line *line = flow_line(flow);
    struct flow *to;
    if (next_flow(core, r, &to) != 0) {
        timer_set(core, &flow->ageing, add_sat(core->now_us, US_PER_S));
        return;
    }
    bool away = r->state == REQUEST_AWAY;
    flow->party->waiting--;
    to->party->waiting++;
    flow_drop(core, r);
    rank_remove(&line->urgencies[r->priority].rank, r->arrival);
    r->priority--;
    rank_insert(&line->urgencies[r->priority].rank, r->arrival);
    if (away) {
        list_append(&to->requests, &r->in_flow);
        r->flow = to;
        flow_time_ageing(core, to);
    } else {
        flow_append(core, to, r);
    }
    line_make_pending(core, line);
}

/* --- The pick. --- */

/* Whether a reserve's holder uses less than its share, with this request counted as well. */
static bool below_share(struct core *core, const struct flow *flow, int reserve)
{
    const struct line *line = flow_line(flow);
    const struct request *r = flow_first(flow);
    for (size_t i = line->limits_n; i < line->rules_n; i++) {
        int64_t n = r->load.of[line->rules[i]->unit];
        struct counter *c = flow->counters[i];
        if (line->rules[i]->reserve == reserve && n > 0 && counter_free_units(core, c) < n) {
            return false;
        }
    }
    return true;
}

/* Whether a flow's requests are metered for a reserve: by the priority they came with, not by the
 * one they have gained by waiting. */
static bool is_metered(const struct flow *flow, const struct reserve *reserve)
{
    return reserve->tenant[0] || flow->base_priority <= reserve->priority;
}

/* The first in line among those a reserve is for. */
static struct flow *reserve_first(const struct core *core, const struct line *line, int index)
{
    const struct reserve *reserve = &line->resource->reserves[index];
    for (int p = PRIORITY_MIN; p <= PRIORITY_MAX; p++) {
        struct flow *flow = NULL;
        if (reserve->tenant[0] == '\0') {
            flow = p <= reserve->priority ? urgency_first(&line->urgencies[p]) : NULL;
        } else {
            struct party *party = party_find(core, line, p, text_of(reserve->tenant));
            struct heap_node *first = party ? heap_first(&party->flows) : NULL;
            flow = first ? CONTAINER_OF(first, struct flow, place) : NULL;
        }
        if (flow && is_metered(flow, reserve)) {
            return flow;
        }
    }
    return NULL;
}

/* One that is to be put to sleep is nobody's first: its turn comes so that the next of the holder's
 * is looked at. */
static bool is_to_sleep(struct core *core, const struct flow *flow)
{
    struct asker a = asker_of(flow_first(flow));
    return judge(core, &a).verdict == VERDICT_ASLEEP;
}

struct flow *line_pick_reserved(struct core *core, struct line *line)
{
    for (size_t i = 0; i < line->resource->reserves_n; i++) {
        struct flow *flow = reserve_first(core, line, (int)i);
        if (flow && (below_share(core, flow, (int)i) || is_to_sleep(core, flow))) {
            return flow;
        }
    }
    return NULL;
}

/* The first of a line, if it may be granted anything now; or NULL. */
static const struct request *line_first(struct core *core, struct line *line)
{
    struct flow *flow = health_lets(core, line) ? line_pick(core, line) : NULL;
    return flow ? flow_first(flow) : NULL;
}

/* Of the lines that are to be run and share a limit with this one, that of which the first comes
 * before the first of this one, and before those of the others; or NULL. */
static struct line *pending_before(struct core *core, struct line *line)
{
    const struct request *first = NULL;
    struct line *best = NULL;
    bool looked = false;
    for (size_t i = 0; i < line->limits_n; i++) {
        const struct rule *rule = line->rules[i];
        for (size_t u = 0; rule->users_n > 1 && u < rule->users_n; u++) {
            struct line *other = rule->users[u];
            if (other == line || !list_holds(&other->pending)) {
                continue;
            }
            first = looked ? first : line_first(core, line);
            looked = true;
            const struct request *r = line_first(core, other);
            if (first && r && request_before(r, first)) {
                first = r;
                best = other;
            }
        }
    }
    return best;
}

struct line *line_next(struct core *core)
{
    struct line *line = CONTAINER_OF(list_first(&core->pending), struct line, pending);
    for (struct line *before;
         unlikely(line->shares) && (before = pending_before(core, line)) != NULL;) {
        line = before;
    }
    return line;
}

int64_t line_position(const struct line *line, const struct request *r)
{
    size_t ahead = rank_before(&line->urgencies[r->priority].rank, r->arrival);
    return (int64_t)ahead + line_position_behind(line, r->priority - 1);
}

int64_t line_position_behind(const struct line *line, int priority)
{
    size_t ahead = 0;
    for (int p = PRIORITY_MIN; p <= priority; p++) {
        ahead += line->urgencies[p].rank.len;
    }
    return (int64_t)ahead + 1;
}

static size_t tenant_waiting(const struct core *core, const struct line *line, struct text tenant)
{
    size_t waiting = 0;
    for (int p = PRIORITY_MIN; p <= PRIORITY_MAX; p++) {
        const struct party *party = party_find(core, line, p, tenant);
        waiting += party ? party->waiting : 0;
    }
    return waiting;
}

static bool line_takes(const struct core *core, const struct line *line, struct text tenant,
                       size_t more)
{
    const struct resource *r = line->resource;
    if ((int64_t)(line->waiting + more) > r->line_len_max) {
        return false;
    }
    return r->tenant_line_len_max >= r->line_len_max ||
           (int64_t)(tenant_waiting(core, line, tenant) + more) <= r->tenant_line_len_max;
}

bool line_overflows(const struct core *core, const struct line *line, struct text tenant)
{
    return !line_takes(core, line, tenant, 0);
}

bool line_has_room(const struct core *core, const struct line *line, struct text tenant)
{
    return line_takes(core, line, tenant, 1);
}

struct request *line_oldest(const struct line *line)
{
    struct list *first = list_first(&line->all);
    return first ? CONTAINER_OF(first, struct request, in_line) : NULL;
}
