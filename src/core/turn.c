/*
 * How the one whose turn it is gets judged.
 *
 * A request is held against each of its limits in turn, and asks for n of the limit's unit:
 *
 *   - a limit that refuses, and has less than n left: the request is refused;
 *   - a limit of a scope (its tenant's, its session's …) that has less than n left, or at which an
 *     earlier request is asleep: the request's flow sleeps there, and those behind it go on;
 *   - a limit of the whole resource that has less than n left, beside what stalled heads of other
 *     resources claim of it: the line stalls. Nobody overtakes its head but who provably cannot
 *     delay it.
 *
 * Who provably cannot delay the head: a request that asks nothing of the limits that hold the head,
 * and leaves of every other limit of the resource at least what the head asks. Then, whenever the
 * head's limits let it pass, everything else it needs is there as well. A request that asks for
 * something of a limit that holds the head might take the very unit that a refund is about to
 * bring.
 *
 * A limit that several resources share is judged for each line by itself, so a large head of one
 * line could be starved by small requests of another. So a head that is held by shared limits, and
 * by nothing else, claims what it needs of all of them: requests of other lines that come later, by
 * priority and arrival, must leave that much. A head that one of its own limits holds claims
 * nothing: its resource must not idle the others. Where several such lines are to be run at once,
 * they take turns by the same order (line_next), so that what each head claims is known before
 * anybody behind it is judged.
 *
 * A stalled line is run again when one of its counters gains, when its head leaves, when somebody
 * joins, when another line takes from a scope's counter, at which its head may now have to sleep,
 * and at the time at which its head may fit if nothing is given back. So nobody polls, and
 * no wake-up is lost.
 *
 * Most lines stall because all calls that may be in flight are: after each grant, the next in line
 * finds nothing left of a limit of which everybody asks. That limit is the line's gate, and while
 * it is shut nobody is judged.
 */
#include "core/turn.h"

#include <assert.h>

#include "core/counter.h"
#include "core/emit.h"
#include "core/grant.h"
#include "core/health.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/move.h"
#include "core/request.h"
#include "core/retry.h"
#include "core/timer.h"

#define PASSERS_MAX       (PRIORITY_MAX + 2)
#define CLOSE_PASSERS_MAX 16

struct asker asker_of(const struct request *r)
{
    return (struct asker){
        .line = flow_line(r->flow),
        .counters = r->flow->counters,
        .load = &r->load,
        .priority = r->priority,
        .seq = r->seq,
        .flow = r->flow,
    };
}

bool line_is_open(const struct core *core, const struct line *line)
{
    return line->backlog == 0 && (line_is_well(line) || health_lets(core, line)) &&
           list_empty(&line->pending) && list_empty(&core->gained);
}

/* --- Deciding. --- */

static void refuse_over_budget(struct core *core, struct request *r, struct counter *c)
{
    struct line *line = flow_line(r->flow);
    int64_t n = r->load.of[c->rule->unit];
    struct effect *e = effect_refuse_limit(core, r->caller, line, ERR_BUDGET_EXCEEDED, c, n);
    e->refuse.id = r->id;
    e->refuse.waited_us = core->now_us - r->enqueued_us;
    request_end(core, r);
}

/* Whether a stalled head of that line is charged to the counter. */
static bool head_is_at(const struct line *line, const struct counter *c)
{
    for (size_t i = 0; line->head && i < line->limits_n; i++) {
        if (line->head->flow->counters[i] == c) {
            return true;
        }
    }
    return false;
}

void tell_sharers_of_scopes(struct core *core, const struct line *line,
                            struct counter *const *counters)
{
    for (size_t i = 0; i < line->limits_n; i++) {
        const struct rule *rule = line->rules[i];
        bool scoped = counters[i] && !rule->whole && rule->users_n > 1;
        for (size_t u = 0; scoped && u < rule->users_n; u++) {
            if (rule->users[u] != line && head_is_at(rule->users[u], counters[i])) {
                line_make_pending(core, rule->users[u]);
            }
        }
    }
}

/* A lease of what a request asks, of which only the charges are missing; NULL without memory. */
static inline struct lease *lease_of(struct core *core, const struct request *r, struct line *line)
{
    struct grant_facts facts = {
        .line = line,
        .charges_n = line->rules_n,
        .load = &r->load,
        .way = r->way,
        .tenant = r->tenant,
        .session = r->session,
        .labels = r->labels,
        .id = r->id,
    };
    struct lease *l = lease_new(core, &facts);
    if (unlikely(!l)) {
        return NULL;
    }
    l->lease = lease_next(core);
    l->parent = r->parent;
    l->priority = r->base_priority;
    l->attempt = r->attempt;
    l->granted_us = core->now_us;
    l->skew_us = core->skew_us;
    l->expires_us = add_sat(core->now_us, r->lease_us);
    l->waited_us = core->now_us - r->enqueued_us;
    l->origin = (struct origin){r->seq,       max_i64(0, r->deadline_us - core->now_us),
                                r->lease_us,  r->attempts_max,
                                r->estimated, r->input_bytes};
    return l;
}

static bool grant(struct core *core, struct request *r)
{
    struct line *line = flow_line(r->flow);
    struct counter *const *counters = r->flow->counters;
    if (unlikely(counters_admit(core, line, counters) != 0)) {
        return false;
    }
    struct lease *lease = lease_of(core, r, line);
    if (unlikely(!lease)) {
        return false;
    }
    lease_grant(core, lease, counters);
    line->stats.waited_us = add_sat(line->stats.waited_us, lease->waited_us);
    if (likely(r->attempt == 1)) {
        retry_earned(line);
    }
    party_served(r->flow->party, &r->load);
    tell_grant(core, r->caller, lease, counters);
    request_end(core, r);
    return true;
}

/* --- The stalled line. --- */

/* Lines that share a limit with this one are to be run again: its claims have changed. */
static void tell_sharers(struct core *core, const struct line *line)
{
    for (size_t i = 0; i < line->limits_n; i++) {
        const struct rule *rule = line->rules[i];
        for (size_t u = 0; rule->users_n > 1 && u < rule->users_n; u++) {
            if (rule->users[u] != line && rule->users[u]->backlog > 0) {
                line_make_pending(core, rule->users[u]);
            }
        }
    }
}

/* When the head may fit if nothing is given back. Until its own limits let it pass, shared ones do
 * not matter; then it will claim them. */
static int64_t head_fits_us(struct core *core, const struct line *line, uint32_t held_by)
{
    int64_t at_us = core->now_us;
    for (uint32_t left = held_by; left; left &= left - 1) {
        const struct rule *rule = line->rules[__builtin_ctz(left)];
        int64_t n = line->head->load.of[rule->unit];
        bool matters = rule->whole && (line->claims || rule->users_n == 1);
        if (matters && !counter_fits(core, rule->whole, n, 0)) {
            at_us = max_i64(at_us, counter_fits_us(core, rule->whole, n));
        }
    }
    return at_us;
}

/* When somebody behind the head may come to pass it: a limit that lets pass has more free. */
static int64_t passers_us(struct core *core, const struct line *line, uint32_t held_by)
{
    int64_t at_us = INT64_MAX;
    uint32_t left = line->waiting - line->away > 1 ? held_by : 0;
    for (; left; left &= left - 1) {
        const struct rule *rule = line->rules[__builtin_ctz(left)];
        struct counter *c = rule->certain ? rule->whole : NULL;
        int64_t n = line->head->load.of[rule->unit];
        if (c && !counter_fits(core, c, n, 0)) {
            int64_t more = max_i64(counter_free_units(core, c), 0) + 1;
            at_us = min_i64(at_us, counter_fits_us(core, c, more));
        }
    }
    return at_us;
}

/* The line has another head than before, or none, and it claims what it needs, or does not. */
static void line_set_head(struct core *core, struct line *line, struct request *head, bool claims)
{
    if (unlikely(line->claims) && (line->head != head || !claims)) {
        tell_sharers(core, line);
    }
    line->head = head;
    line->claims = claims;
}

/* The line can go no further, at most until `at_us`. Always false. */
static inline bool line_stop(struct core *core, struct line *line, int64_t at_us)
{
    if (unlikely(!line_is_well(line))) {
        int64_t health_us = health_next_us(core, line);
        assert(health_us > core->now_us); /* nobody would look at what is due already */
        at_us = min_i64(at_us, health_us);
    }
    /* A head that only claims of others hold is woken when those change. */
    if (at_us > core->now_us && at_us < INT64_MAX) {
        timer_set(core, &line->timer, at_us);
    } else {
        timer_clear(core, &line->timer);
    }
    return false;
}

static void line_stall(struct core *core, struct line *line, struct request *head,
                       const struct judgement *j)
{
    line_set_head(core, line, head, j->claims);
    int64_t at_us = head_fits_us(core, line, j->held_by);
    line_stop(core, line, min_i64(at_us, passers_us(core, line, j->held_by)));
}

/* Nobody in it can be granted anything before `at_us`. Always false. */
static bool line_rest(struct core *core, struct line *line, int64_t at_us)
{
    line_set_head(core, line, NULL, false);
    return line_stop(core, line, at_us);
}

/* Whether taking n now leaves `ahead` to the head: at once, or at the moment when it will fit. */
static bool leaves(struct core *core, const struct rule *rule, int64_t n, int64_t ahead)
{
    struct counter *c = rule->whole;
    if (counter_fits(core, c, n, ahead)) {
        return true;
    }
    int64_t at_us = rule->certain ? counter_fits_us(core, c, ahead) : INT64_MAX;
    return at_us != INT64_MAX && sub_sat(counter_free_at(c, at_us), n) >= ahead;
}

/* Whether granting to `r` leaves the head all it needs. */
static bool may_pass(struct core *core, const struct request *head, const struct request *r)
{
    const struct line *line = flow_line(head->flow);
    struct asker asker = asker_of(head);
    for (size_t i = 0; i < line->limits_n; i++) {
        const struct rule *rule = line->rules[i];
        int64_t n = r->load.of[rule->unit];
        int64_t ahead = add_sat(head->load.of[rule->unit], claimed(rule, &asker));
        if (rule->whole && n > 0 && !leaves(core, rule, n, ahead)) {
            return false;
        }
    }
    return true;
}

/* Whether the limits that hold the head may let anybody pass: somebody asks nothing of them, or the
 * least that can be asked would leave enough. */
static bool anyone_may_pass(struct core *core, const struct line *line, uint32_t held_by)
{
    for (uint32_t left = held_by; left; left &= left - 1) {
        const struct rule *rule = line->rules[__builtin_ctz(left)];
        int64_t n = line->head->load.of[rule->unit];
        if (rule->whole && line->waiting_zero[rule->unit] == 0 &&
            !counter_fits(core, rule->whole, n, 0) && !leaves(core, rule, 1, n)) {
            return false;
        }
    }
    return line->backlog > 0;
}

static size_t add_passer(struct flow **passers, size_t n, struct heap_node *party_place,
                         bool second)
{
    if (!party_place) {
        return n;
    }
    struct party *p = CONTAINER_OF(party_place, struct party, place);
    struct heap_node *node = second ? heap_second(&p->flows) : heap_first(&p->flows);
    if (node) {
        passers[n++] = CONTAINER_OF(node, struct flow, place);
    }
    return n;
}

/* Those worth looking at behind the head: the first of each priority, and the next two of its own.
 */
static size_t find_passers(struct line *line, struct flow **passers)
{
    size_t n = 0;
    struct heap *own = &line->urgencies[line->head->priority].parties;
    n = add_passer(passers, n, &line->head->flow->party->place, true);
    n = add_passer(passers, n, heap_second(own), false);
    for (int p = PRIORITY_MIN; p <= PRIORITY_MAX; p++) {
        n = add_passer(passers, n, heap_first(&line->urgencies[p].parties), false);
    }
    return n;
}

static bool passes(struct core *core, const struct line *line, struct request *r)
{
    struct asker a = asker_of(r);
    return r != line->head && !r->flow->asleep_at && fits(core, &a) &&
           may_pass(core, line->head, r);
}

/* The first of a few right behind the head, in its own flow, who may pass it; or NULL. */
static struct request *find_close_passer(struct core *core, const struct line *line)
{
    const struct list *all = &line->head->flow->requests;
    const struct list *at = line->head->in_flow.next;
    for (int i = 0; i < CLOSE_PASSERS_MAX && at != all; i++, at = at->next) {
        struct request *r = CONTAINER_OF(at, struct request, in_flow);
        if (passes(core, line, r)) {
            return r;
        }
    }
    return NULL;
}

static bool pass_one(struct core *core, struct line *line)
{
    struct flow *passers[PASSERS_MAX];
    struct request *r = find_close_passer(core, line);
    size_t n = r ? 0 : find_passers(line, passers);
    for (size_t i = 0; i < n && !r; i++) {
        struct request *first = flow_first(passers[i]);
        r = passes(core, line, first) ? first : NULL;
    }
    return r && grant(core, r);
}

/* --- The run. --- */

/* The first asleep may fit after a while without anything being given back. */
static void counter_time_sleepers(struct core *core, struct counter *c)
{
    struct heap_node *first = heap_first(&c->sleepers);
    if (!first) {
        timer_clear(core, &c->timer);
        return;
    }
    const struct request *r = flow_first(CONTAINER_OF(first, struct flow, place));
    int64_t at_us = counter_fits_us(core, c, max_i64(r->load.of[c->rule->unit], 1));
    /* One that fits already is woken by the timer: nothing else may come to do it. */
    timer_set(core, &c->timer, max_i64(at_us, core->now_us));
}

/* What a flow was woken for is there for the next one, where another counter lets it not pass. */
static void fall_asleep(struct core *core, struct flow *flow, struct counter *c)
{
    struct counter *before = flow->woken_by;
    flow->woken_by = NULL;
    flow_sleep(flow, c);
    counter_time_sleepers(core, c);
    if (before && before != c && before->sleepers.len > 0 && !list_holds(&before->gained)) {
        leave_to_do(core, &core->gained, &before->gained);
    }
}

/* An account with nobody of its own serves those who wait for another. */
static bool pool_turn(struct core *core, struct line *line)
{
    int64_t at_us;
    return take_over(core, line, &at_us) || line_rest(core, line, at_us);
}

/* Nobody is next: those who wait are asleep or away, or the provider lets nobody pass. */
static bool line_idles(struct core *core, struct line *line, bool lets)
{
    int64_t at_us = line_moves_again_us(core, line);
    return lets && line->crossing.pool ? pool_turn(core, line) : line_rest(core, line, at_us);
}

/* Whoever is next does not fit. */
static bool hold_back(struct core *core, struct line *line, struct request *r)
{
    struct asker a = asker_of(r);
    struct judgement j = judge(core, &a);
    assert(j.verdict != VERDICT_FITS);
    if (j.verdict == VERDICT_OVER_BUDGET) {
        if (!r->way || move_on(core, r) != MOVE_GONE) {
            refuse_over_budget(core, r, j.by);
        }
        return true;
    }
    if (j.verdict == VERDICT_ASLEEP) {
        fall_asleep(core, r->flow, j.by);
        return true;
    }
    if (unlikely(line->lowered) && request_judge_anew(core, line, r)) {
        return true;
    }
    line_stall(core, line, r, &j);
    return anyone_may_pass(core, line, j.held_by) && pass_one(core, line);
}

/* Judges whoever is next. False when the line can go no further for now. */
static inline bool line_turn(struct core *core, struct line *line)
{
    bool well = line_is_well(line);
    if (unlikely(!well)) {
        health_look(core, line);
    }
    bool lets = well || health_lets(core, line);
    struct flow *flow = likely(lets) ? line_pick(core, line) : NULL;
    if (unlikely(!flow)) {
        return line_idles(core, line, lets);
    }
    struct request *r = flow_first(flow);
    bool unwilling = r->deadline_us == r->enqueued_us; /* to wait at all: judged once */
    if (unlikely(core->now_us > r->deadline_us) && !unwilling) {
        request_time_up(core, r);
        return true;
    }
    if (line_is_shut(core, line)) {
        line_set_head(core, line, r, false);
        return line_stop(core, line, INT64_MAX);
    }
    struct asker a = asker_of(r);
    if (unlikely(!fits(core, &a))) {
        return hold_back(core, line, r);
    }
    if (unlikely(!grant(core, r))) {
        timer_set(core, &line->timer, add_sat(core->now_us, MEMORY_RETRY_US));
        return false;
    }
    return true;
}

/* Wakes who is asleep at a counter, in order, as long as what they ask together fits. */
static void counter_wake(struct core *core, struct counter *c)
{
    int64_t promised = 0;
    struct heap_node *first;
    while ((first = heap_first(&c->sleepers)) != NULL && core->budget > 0) {
        struct flow *flow = CONTAINER_OF(first, struct flow, place);
        int64_t n = flow_first(flow)->load.of[c->rule->unit];
        bool refuses = c->rule->refuses;
        if (n > 0 && !refuses && !counter_fits(core, c, n, promised)) {
            break;
        }
        promised = add_sat(promised, n);
        core->budget--;
        flow_wake(core, flow);
    }
    bool more = core->budget == 0 && first;
    if (!more) {
        list_remove(&c->gained);
    }
    if (!first) {
        rule_gained(core, c->rule); /* nobody is before who waits at another account any more */
    }
    counter_time_sleepers(core, c);
}

void run_lines_due(struct core *core)
{
    move_those_due(core);
    while (!list_empty(&core->gained) && core->budget > 0) {
        counter_wake(core, CONTAINER_OF(list_first(&core->gained), struct counter, gained));
    }
    while (!list_empty(&core->pending) && core->budget > 0) {
        struct line *line = line_next(core);
        core->budget--;
        if (!line_turn(core, line)) {
            list_remove(&line->pending);
        }
        while (!list_empty(&core->gained) && core->budget > 0) {
            counter_wake(core, CONTAINER_OF(list_first(&core->gained), struct counter, gained));
        }
    }
}
