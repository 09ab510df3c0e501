/*
 * The invariants of state.h, checked one by one: for the simulator and the tests.
 */
#include <assert.h>

#include "core/counter.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/timer.h"
#include "core/view.h"

static void check_flow(const struct flow *flow, const struct request *r)
{
    const struct party *party = flow->party;
    bool away = r->state == REQUEST_AWAY;
    assert(party->priority == r->priority);
    assert(heap_holds(&flow->place) == !away);
    assert(!away || (flow->solo && flow->asleep_at == NULL));
    if (flow->asleep_at) {
        assert(heap_entry_of(&flow->asleep_at->sleepers, &flow->place)->node == &flow->place);
    } else if (!away) {
        assert(heap_entry_of(&party->flows, &flow->place)->node == &flow->place);
        assert(heap_holds(&party->place));
    }
}

/* A request that came by a route stands in the line of its step, and in no other's list. */
static void check_way(const struct line *line, const struct request *r)
{
    const struct way *way = r->way;
    if (way) {
        assert(way->request == r && list_holds(&way->place) == (way->path != NULL));
        assert(!way->path || way->path->lines[way->step] == line);
    }
}

static void check_line(const struct line *line)
{
    size_t waiting = 0;
    size_t ways = 0;
    size_t away = 0;
    size_t ranked = 0;
    struct load load = {0};
    for (const struct list *at = line->all.next; at != &line->all; at = at->next) {
        const struct request *r = CONTAINER_OF(at, struct request, in_line);
        assert(r->state != REQUEST_OVER && flow_line(r->flow) == line);
        check_flow(r->flow, flow_first(r->flow));
        check_way(line, r);
        ways += r->way && r->way->path;
        waiting++;
        away += r->state == REQUEST_AWAY;
        for (int u = 0; u < UNIT_COUNT; u++) {
            load.of[u] += r->load.of[u];
        }
    }
    for (int p = PRIORITY_MIN; p <= PRIORITY_MAX; p++) {
        const struct urgency *u = &line->urgencies[p];
        assert((line->awake >> p & 1) == (u->parties.len > 0));
        ranked += u->rank.len;
    }
    assert(ways == line->crossing.ways_n);
    assert((line->crossing.to_move > 0) <= list_holds(&line->crossing.moving));
    assert(waiting == line->waiting && away == line->away && ranked == waiting);
    for (int u = 0; u < UNIT_COUNT; u++) {
        assert(load.of[u] == line->waiting_load.of[u]);
    }
    assert(!line->head || line->head->state == REQUEST_WAITING);
}

/* What open leases hold of a counter beside its window. */
static int64_t held_by_leases(const struct core *core, const struct counter *c, size_t *refs)
{
    int64_t held = 0;
    const struct list *lists[] = {&core->open, &core->ended};
    for (int i = 0; i < 2; i++) {
        for (const struct list *at = lists[i]->next; at != lists[i]; at = at->next) {
            const struct lease *l = CONTAINER_OF(at, struct lease, place);
            for (size_t j = 0; j < l->charges_n; j++) {
                bool here = l->charges[j].counter == c;
                *refs += here;
                held += here && i == 0 ? l->charges[j].amount : 0;
            }
        }
    }
    return held;
}

static void check_counter(const struct core *core, const struct counter *c)
{
    size_t refs = c->flows_n;
    int64_t held = held_by_leases(core, c, &refs);
    assert(refs == c->refs);
    assert(c->held == (c->rule->holds ? held : 0));
    assert(c->stuck >= 0 && c->stuck <= c->held);
    bool scoped = c->rule->whole == NULL;
    assert(list_holds(&c->idle) == (scoped && c->refs == 0));
    if (c->rule->terms.kind == WINDOW_ROLLING) {
        const struct rolling *r = &c->window.rolling;
        int64_t sum = 0;
        int64_t at_us = INT64_MIN;
        for (uint64_t i = r->first; i < r->next; i++) {
            const struct rolling_entry *e = &r->entries[i & (r->size - 1)];
            assert(e->at_us > at_us && e->amount >= 0);
            at_us = e->at_us;
            sum += e->amount;
        }
        assert(sum == r->sum);
    }
}

static size_t check_leases(const struct list *leases, bool open)
{
    size_t n = 0;
    for (const struct list *at = leases->next; at != leases; at = at->next) {
        const struct lease *l = CONTAINER_OF(at, struct lease, place);
        assert((l->state == LEASE_OPEN) == open);
        assert(timer_is_set(&l->timer) == open);
        n++;
    }
    return n;
}

/* A row's timers are in order, and in no heap. */
static void check_row(const struct timer_rows *rows, uint32_t i)
{
    const struct timer_row *row = &rows->of[i];
    const struct timer *ahead = NULL;
    assert((rows->used >> i & 1) == (row->first != NULL));
    for (const struct timer *t = row->first; t; ahead = t, t = t->behind) {
        assert(t->ahead == ahead && t->row == i && !heap_holds(&t->node));
        assert(!ahead || (ahead->at_us <= t->at_us && ahead->turn < t->turn));
        assert(!ahead || ahead->kind == t->kind);
    }
    assert(row->last == ahead);
}

/* What a step need not look at. */
static void check_nothing_to_do(const struct core *core)
{
    assert(list_empty(&core->gained) && list_empty(&core->pending));
    assert(list_empty(&core->paths.moving) && list_empty(&core->dirty));
    assert(list_empty(&core->graveyard) && list_empty(&core->idle_parties));
    assert(!core->draining && !core->starting);
}

void core_check(const struct core *core)
{
    size_t waiting = 0;
    if (!core->to_do) {
        check_nothing_to_do(core);
    }
    assert(core->timer_us <= timer_next_us(core));
    for (size_t i = 0; i < core->lines_n; i++) {
        check_line(core->lines[i]);
        waiting += core->lines[i]->waiting;
    }
    assert(waiting == core->waiting);
    for (size_t i = 0; i < core->rules_n; i++) {
        const struct list *all = &core->rules[i]->counters;
        for (const struct list *at = all->next; at != all; at = at->next) {
            check_counter(core, CONTAINER_OF(at, struct counter, of_rule));
        }
    }
    assert(check_leases(&core->open, true) == core->open_n);
    assert(check_leases(&core->ended, false) == core->ended_n);
    assert(core->leases.len == core->open_n + core->ended_n);
    for (uint32_t i = 0; i < TIMER_ROWS; i++) {
        check_row(&core->rows, i);
    }
    assert(core->timers.len <= core->timers_n && core->timers.size >= core->timers_n);
}
