#include "core/flow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/counter.h"
#include "core/line.h"
#include "core/timer.h"

#define PARTY_SWEEP_MAX 2

/* --- Parties. --- */

static struct urgency *party_urgency(const struct party *p)
{
    return &p->line->urgencies[p->priority];
}

static const struct request *party_first(const struct party *p)
{
    return flow_first(CONTAINER_OF(heap_first(&p->flows), struct flow, place));
}

static uint64_t party_hash(const struct core *core, const struct line *line, int priority,
                           struct text tenant)
{
    uint64_t place = line->index * PRIORITIES + (uint64_t)priority;
    return text_hash(tenant, &core->hash_key) + place * UINT64_C(0x9e3779b97f4a7c15);
}

static bool party_is(const struct party *p, const struct line *line, int priority,
                     struct text tenant)
{
    return p->line == line && p->priority == priority &&
           text_equal((struct text){p->tenant, p->tenant_len}, tenant);
}

/* The place in line->recent where a party is looked for first. */
static size_t recent_place(int priority, struct text tenant)
{
    size_t last = tenant.len ? (unsigned char)tenant.at[tenant.len - 1] : 0;
    return (last + tenant.len + (size_t)priority) % PARTIES_RECENT;
}

/* The party that was asked for last in that place, if it is the one; or NULL. */
static inline struct party *party_recent(const struct line *line, int priority, struct text tenant)
{
    struct party *recent = line->recent[recent_place(priority, tenant)];
    bool is = likely(recent) && party_is(recent, line, priority, tenant);
    return likely(is) ? recent : NULL;
}

static struct party *party_look_up(const struct core *core, const struct line *line, int priority,
                                   struct text tenant)
{
    uint64_t hash = party_hash(core, line, priority, tenant);
    for (struct map_node *n = map_find(&core->parties, hash); n; n = map_next_equal(n)) {
        struct party *p = CONTAINER_OF(n, struct party, node);
        if (party_is(p, line, priority, tenant)) {
            return p;
        }
    }
    return NULL;
}

struct party *party_find(const struct core *core, const struct line *line, int priority,
                         struct text tenant)
{
    struct party *recent = party_recent(line, priority, tenant);
    return recent ? recent : party_look_up(core, line, priority, tenant);
}

static int32_t weight_of(const struct core *core, struct text tenant)
{
    for (size_t i = 0; i < core->policy->weights_n; i++) {
        if (text_equal(text_of(core->policy->weights[i].tenant), tenant)) {
            return core->policy->weights[i].weight;
        }
    }
    return 1;
}

static int party_new(struct core *core, struct line *line, int priority, struct text tenant,
                     struct party **out)
{
    struct urgency *u = &line->urgencies[priority];
    struct party *p = calloc(1, sizeof(struct party) + tenant.len);
    if (!p || map_reserve(&core->parties) != 0 ||
        heap_reserve(&u->parties, u->parties_n + 1 - u->parties.len) != 0) {
        free(p);
        return ERR_NO_MEMORY;
    }
    p->line = line;
    p->priority = priority;
    p->weight = divisor_of((uint64_t)weight_of(core, tenant));
    p->tenant_len = tenant.len;
    if (tenant.len) {
        memcpy(p->tenant, tenant.at, tenant.len);
    }
    heap_init(&p->flows);
    list_init(&p->idle);
    leave_to_do(core, &core->idle_parties, &p->idle);
    u->parties_n++;
    map_insert(&core->parties, &p->node, party_hash(core, line, priority, tenant));
    *out = p;
    return 0;
}

int party_get(struct core *core, struct line *line, int priority, struct text tenant,
              struct party **out)
{
    *out = party_find(core, line, priority, tenant);
    int rc = *out ? 0 : party_new(core, line, priority, tenant, out);
    if (rc == 0) {
        line->recent[recent_place(priority, tenant)] = *out;
    }
    return rc;
}

void party_free(struct core *core, struct party *p)
{
    assert(p->flows_n == 0);
    size_t place = recent_place(p->priority, (struct text){p->tenant, p->tenant_len});
    if (p->line->recent[place] == p) {
        p->line->recent[place] = NULL;
    }
    map_remove(&core->parties, &p->node);
    list_remove(&p->idle);
    party_urgency(p)->parties_n--;
    heap_release(&p->flows);
    free(p);
}

void party_sweep(struct core *core)
{
    for (int i = 0; i < PARTY_SWEEP_MAX && !list_empty(&core->idle_parties); i++) {
        struct party *p = CONTAINER_OF(list_first(&core->idle_parties), struct party, idle);
        if (p->finish <= party_urgency(p)->vtime) {
            party_free(core, p);
        } else {
            list_remove(&p->idle);
            list_append(&core->idle_parties, &p->idle);
        }
    }
}

static void party_enter(struct party *p)
{
    struct urgency *u = party_urgency(p);
    p->start = p->finish > u->vtime ? p->finish : u->vtime;
    heap_push(&u->parties, &p->place, p->start, party_first(p)->seq);
    p->line->awake |= 1u << p->priority;
    p->line->backlog++;
}

/* With the last party the busy time ends: all tenants start even. */
static void party_exit(struct party *p)
{
    struct urgency *u = party_urgency(p);
    heap_remove(&u->parties, &p->place);
    p->line->backlog--;
    if (u->parties.len == 0) {
        p->line->awake &= ~(1u << p->priority);
        u->vtime = u->finish_max;
    }
}

/* Puts a party where it belongs after its flows, or their first requests, have changed. */
static void party_resort(struct party *p)
{
    if (!heap_holds(&p->place)) {
        if (p->flows.len > 0) {
            party_enter(p);
        }
    } else if (p->flows.len == 0) {
        party_exit(p);
    } else {
        heap_rekey(&party_urgency(p)->parties, &p->place, p->start, party_first(p)->seq);
    }
}

void party_served(struct party *p, const struct load *load)
{
    struct urgency *u = party_urgency(p);
    assert(heap_holds(&p->place));
    u->vtime = p->start > u->vtime ? p->start : u->vtime;
    uint64_t cost = line_cost(p->line, load);
    p->finish = p->start + divide(cost, &p->weight);
    p->start = p->finish;
    u->finish_max = p->finish > u->finish_max ? p->finish : u->finish_max;
}

/* --- Flows. --- */

static uint64_t flow_hash(const struct party *party, int base_priority,
                          struct counter *const *counters, size_t counters_n)
{
    uint64_t h = (uint64_t)(uintptr_t)party ^ (uint64_t)base_priority;
    for (size_t i = 0; i < counters_n; i++) {
        h = (h ^ (uint64_t)(uintptr_t)counters[i]) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    return h;
}

static inline bool flow_is(const struct flow *flow, int base_priority,
                           struct counter *const *counters)
{
    if (unlikely(flow->base_priority != base_priority)) {
        return false;
    }
    for (size_t i = 0; i < flow->counters_n; i++) {
        if (unlikely(flow->counters[i] != counters[i])) {
            return false;
        }
    }
    return true;
}

static struct flow *flow_find(const struct core *core, const struct party *party, int base_priority,
                              struct counter *const *counters)
{
    uint64_t hash = flow_hash(party, base_priority, counters, party->line->rules_n);
    for (struct map_node *node = map_find(&core->flows, hash); node; node = map_next_equal(node)) {
        struct flow *flow = CONTAINER_OF(node, struct flow, node);
        if (flow->party == party && flow_is(flow, base_priority, counters)) {
            return flow;
        }
    }
    return NULL;
}

/* Makes sure that the flow can be put into every heap it may come to stand in. */
static int flow_admit(struct core *core, struct party *party, struct counter *const *counters)
{
    if (timer_admit(core) != 0 || map_reserve(&core->flows) != 0 ||
        heap_reserve(&party->flows, party->flows_n + 1 - party->flows.len) != 0) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < party->line->limits_n; i++) {
        struct counter *c = counters[i];
        if (c && !c->rule->whole &&
            heap_reserve(&c->sleepers, c->flows_n + 1 - c->sleepers.len) != 0) {
            return ERR_NO_MEMORY;
        }
    }
    return 0;
}

int flow_new(struct core *core, struct party *party, int base_priority,
             struct counter *const *counters, bool solo, struct flow **out)
{
    size_t n = party->line->rules_n;
    struct flow *flow = calloc(1, sizeof(struct flow) + n * sizeof(struct counter *));
    if (!flow || flow_admit(core, party, counters) != 0) {
        free(flow);
        return ERR_NO_MEMORY;
    }
    core->timers_n++;
    timer_init(&flow->ageing, TIMER_AGEING);
    list_init(&flow->requests);
    flow->party = party;
    flow->base_priority = base_priority;
    flow->solo = solo;
    flow->counters_n = n;
    memcpy(flow->counters, counters, n * sizeof(struct counter *));
    for (size_t i = 0; i < n; i++) {
        if (counters[i]) {
            counter_ref(counters[i]);
            counters[i]->flows_n++;
        }
    }
    if (!solo) {
        map_insert(&core->flows, &flow->node, flow_hash(party, base_priority, counters, n));
        party->recent = flow;
    }
    party->flows_n++;
    list_remove(&party->idle);
    *out = flow;
    return 0;
}

static void flow_free(struct core *core, struct flow *flow)
{
    assert(list_empty(&flow->requests) && !heap_holds(&flow->place));
    struct party *party = flow->party;
    timer_clear(core, &flow->ageing);
    core->timers_n--;
    for (size_t i = 0; i < flow->counters_n; i++) {
        if (flow->counters[i]) {
            flow->counters[i]->flows_n--;
            counter_unref(core, flow->counters[i]);
        }
    }
    if (!flow->solo) {
        map_remove(&core->flows, &flow->node);
    }
    if (party->recent == flow) {
        party->recent = NULL;
    }
    if (--party->flows_n == 0) {
        leave_to_do(core, &core->idle_parties, &party->idle);
    }
    free(flow);
}

void flow_set_ageing(struct core *core, struct flow *flow)
{
    const struct request *r = flow_first(flow);
    int64_t ageing_us = flow_line(flow)->resource->ageing_us;
    if (!r || r->priority == PRIORITY_MIN) {
        timer_clear(core, &flow->ageing);
        return;
    }
    int64_t steps = r->base_priority - r->priority + 1;
    timer_set(core, &flow->ageing, add_sat(r->enqueued_us, mul_sat(steps, ageing_us)));
}

/* Takes a flow out of the heap it stands in. */
static void flow_unplace(struct flow *flow)
{
    if (!heap_holds(&flow->place)) {
        return;
    }
    if (flow->asleep_at) {
        heap_remove(&flow->asleep_at->sleepers, &flow->place);
        flow->asleep_at = NULL;
    } else {
        heap_remove(&flow->party->flows, &flow->place);
        party_resort(flow->party);
    }
}

void flow_place_awake(struct core *core, struct flow *flow)
{
    heap_push(&flow->party->flows, &flow->place, flow_first(flow)->seq, 0);
    party_resort(flow->party);
    line_make_pending(core, flow_line(flow));
}

void flow_sleep(struct flow *flow, struct counter *c)
{
    flow_unplace(flow);
    flow->asleep_at = c;
    const struct request *r = flow_first(flow);
    heap_push(&c->sleepers, &flow->place, (uint64_t)r->priority, r->seq);
}

void flow_wake(struct core *core, struct flow *flow)
{
    assert(flow->asleep_at);
    flow->woken_by = flow->asleep_at;
    flow_unplace(flow);
    flow_place_awake(core, flow);
}

void flow_append(struct core *core, struct flow *flow, struct request *r)
{
    bool first = list_empty(&flow->requests);
    list_append(&flow->requests, &r->in_flow);
    r->flow = flow;
    if (first) {
        flow_place_awake(core, flow);
        flow_time_ageing(core, flow);
    }
}

/* Those asleep behind a request that leaves may now be first, or fit. */
static void flow_tell_counters(struct core *core, struct flow *flow)
{
    for (size_t i = 0; i < flow_line(flow)->limits_n; i++) {
        struct counter *c = flow->counters[i];
        if (c && unlikely(c->sleepers.len > 0) && !list_holds(&c->gained)) {
            leave_to_do(core, &core->gained, &c->gained);
        }
    }
}

/* Asks for the memory of whoever is first now, who will be judged before long, and of the one
 * behind: with 100,000 waiting it has left the caches long ago. */
static void request_expect(const struct request *r)
{
    expect_memory(r, offsetof(struct request, not_before_us));
    expect_memory(&CONTAINER_OF(r->in_flow.next, struct request, in_flow)->seq, 1);
}

/* The next of a flow stands where the first stood. The flow does not leave its heaps meanwhile: a
 * priority whose last party leaves lets all tenants start even. */
static void flow_move_up(struct core *core, struct flow *flow)
{
    const struct request *r = flow_first(flow);
    request_expect(r);
    if (unlikely(flow->asleep_at)) {
        heap_rekey(&flow->asleep_at->sleepers, &flow->place, (uint64_t)r->priority, r->seq);
    } else if (likely(heap_holds(&flow->place))) {
        heap_rekey(&flow->party->flows, &flow->place, r->seq, 0);
        party_resort(flow->party);
        line_make_pending(core, flow_line(flow));
    }
    flow_time_ageing(core, flow);
}

/* Takes a request out of its flow; the flow is freed with its last one. */
void flow_drop(struct core *core, struct request *r)
{
    struct flow *flow = r->flow;
    struct line *line = flow_line(flow);
    bool was_first = flow_first(flow) == r;
    bool alone = r->in_flow.next == r->in_flow.prev;
    if (unlikely(line->scoped)) {
        flow_tell_counters(core, flow);
    }
    if (alone) {
        flow_unplace(flow);
    }
    list_remove(&r->in_flow);
    r->flow = NULL;
    if (alone && line->resource->reserves_n > 0) {
        line_make_pending(core, line); /* the next of a reserve's holder may be below its share */
    }
    if (alone) {
        flow_free(core, flow);
    } else if (was_first) {
        flow_move_up(core, flow);
    } else {
        party_resort(flow->party); /* it passed others of its own, and was counted */
    }
}

static const struct request *flow_last(const struct flow *flow)
{
    return CONTAINER_OF(flow->requests.prev, struct request, in_flow);
}

/* Whether a request can stand in a flow behind all others: it came after them. */
static inline bool flow_takes(const struct flow *flow, const struct request *r)
{
    return likely(flow_last(flow)->seq <= r->seq);
}

int flow_for(struct core *core, struct party *party, const struct request *r,
             struct counter *const *counters, bool solo, struct flow **out)
{
    struct flow *flow = flow_find(core, party, r->base_priority, counters);
    if (flow && !solo && flow_takes(flow, r)) {
        *out = flow;
        return 0;
    }
    return flow_new(core, party, r->base_priority, counters, solo || flow, out);
}

/* Where most join: behind another of their tenant. Or NULL. */
static inline struct flow *flow_recent(const struct line *line, const struct request *r,
                                       struct counter *const *counters)
{
    const struct party *party = party_recent(line, r->priority, r->tenant);
    struct flow *flow = likely(party) ? party->recent : NULL;
    bool is = likely(flow) && flow_is(flow, r->base_priority, counters) && flow_takes(flow, r);
    return likely(is) && likely(r->state != REQUEST_AWAY) ? flow : NULL;
}

APART static int flow_fetch(struct core *core, struct line *line, const struct request *r,
                            struct counter *const *counters, struct flow **flow)
{
    struct party *party;
    int rc = party_get(core, line, r->priority, r->tenant, &party);
    bool away = r->state == REQUEST_AWAY;
    return rc != 0 ? rc : flow_for(core, party, r, counters, away, flow);
}

int flow_get(struct core *core, struct line *line, const struct request *r,
             struct counter *const *counters, struct flow **flow)
{
    *flow = flow_recent(line, r, counters);
    return likely(*flow) ? 0 : flow_fetch(core, line, r, counters, flow);
}
