/*
 * An acquire: everything that can be said of it at once is said at once.
 *
 * In this order: what the coordinator refuses (shutting down, unknown resource), what it has
 * already answered (the same id), what can never be served or that a budget refuses, what nobody
 * stands in the way of; the rest joins the line. Nothing has changed before the last two, and those
 * make all room first, so that no error has anything to undo.
 */
#include "core/acquire.h"

#include <assert.h>
#include <string.h>

#include "core/choose.h"
#include "core/counter.h"
#include "core/deal.h"
#include "core/emit.h"
#include "core/grant.h"
#include "core/health.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/request.h"
#include "core/retry.h"
#include "core/turn.h"

/* What is estimated may be another number the next time. */
static bool load_equal(const struct load *a, const struct acquire *b)
{
    return b->estimated || memcmp(a->of, b->load.of, sizeof(a->of)) == 0;
}

/* Whether what is asked now is what was asked under the same id. */
static bool is_same(struct core *core, const struct line *line, const struct way *way,
                    const struct load *load, const struct acquire *a)
{
    if (!way) {
        return a->route.len == 0 && text_equal(line->name, a->resource) &&
               (!load || load_equal(load, a));
    }
    struct acquire asked = *a;
    if (way->path) {
        step_load(core, way->path, way->step, &asked);
    }
    return text_equal(way->route, a->route.len ? a->route : a->resource) &&
           (!load || !way->path || load_equal(load, &asked));
}

/* A request whose id is known already. Returns whether it was answered. */
APART static bool answer_known_id(struct core *core, const struct event *event)
{
    const struct acquire *a = &event->acquire;
    struct lease *l = lease_find_id(core, a->id, &a->tenant);
    struct request *r = l ? NULL : request_find_id(core, a->id, &a->tenant);
    if (!l && !r) {
        return false;
    }
    struct line *line = l ? l->line : flow_line(r->flow);
    bool as_asked = l && l->state == LEASE_OPEN && !l->deal; /* and not at another price */
    const struct load *load = r ? &r->load : as_asked ? &l->load : NULL;
    if (!is_same(core, line, l ? l->way : r->way, load, a)) {
        effect_refuse(core, event->caller, line, ERR_ID_IN_USE)->refuse.id = a->id;
        return true;
    }
    if (l) {
        effect_grant(core, event->caller, l, true)->grant.model = lease_model(l);
        return true;
    }
    request_take_over(core, r, event->caller, a->hold_us);
    return true;
}

/* Why one limit refuses a request without letting it wait, whoever else waits; or ERR_NONE. */
static enum error_code refused_by(struct core *core, struct counter *c, int64_t n, uint64_t parent)
{
    const struct rule *rule = c->rule;
    if (n == 0) {
        return ERR_NONE;
    }
    if (rule->refuses && counter_free_units(core, c) < n) {
        return ERR_BUDGET_EXCEEDED;
    }
    if (rule->terms.kind == WINDOW_LIFETIME && add_sat(counter_free_units(core, c), c->held) < n) {
        return ERR_BUDGET_EXCEEDED;
    }
    if (parent && rule->holds) {
        int64_t stuck = c->stuck + lease_ancestors_hold(core, parent, c);
        return n > rule->terms.burst - stuck ? ERR_WOULD_DEADLOCK : ERR_NONE;
    }
    return ERR_NONE;
}

struct counter *refused_today(struct core *core, const struct asker *a, uint64_t parent,
                              enum error_code *code)
{
    struct counter *const *end = a->counters + a->line->limits_n;
    for (struct counter *const *at = a->counters; at < end; at++) {
        if (*at) {
            *code = refused_by(core, *at, a->load->of[(*at)->rule->unit], parent);
            if (*code != ERR_NONE) {
                return *at;
            }
        }
    }
    return NULL;
}

/* A lease of what is asked, of which only the charges are missing; NULL without memory. */
static inline struct lease *lease_asked(struct core *core, const struct acquire *a,
                                        struct line *line, const struct way *way)
{
    struct grant_facts facts = {
        .line = line,
        .charges_n = line->rules_n,
        .load = &a->load,
        .way = way,
        .tenant = a->tenant,
        .session = a->session,
        .labels = a->labels,
        .id = a->id,
    };
    struct lease *l = lease_new(core, &facts);
    if (unlikely(!l)) {
        return NULL;
    }
    l->lease = lease_next(core);
    l->parent = a->parent;
    l->priority = a->priority;
    l->attempt = 1;
    l->granted_us = core->now_us;
    l->skew_us = core->skew_us;
    l->expires_us = add_sat(core->now_us, a->lease_us);
    l->waited_us = 0;
    l->origin = (struct origin){core->next_seq,  a->wait_us,   a->lease_us,
                                a->attempts_max, a->estimated, a->input_bytes};
    return l;
}

/* The fast path: nobody stands in line, and it fits. */
static inline int grant_at_once(struct core *core, const struct event *event, struct line *line,
                                struct counter *const *counters, const struct way *way)
{
    struct lease *l = lease_asked(core, &event->acquire, line, way);
    if (unlikely(!l)) {
        return ERR_NO_MEMORY;
    }
    lease_grant(core, l, counters);
    core->next_seq++;
    retry_earned(line);
    tell_grant(core, event->caller, l, counters);
    return 0;
}

/* Puts a request in line and runs it; a full line keeps nobody who would have to wait. */
static int join(struct core *core, const struct event *event, struct line *line,
                struct counter *const *counters, const struct way *way)
{
    const struct acquire *a = &event->acquire;
    struct request *r = request_new(core, a, way);
    if (!r) {
        return ERR_NO_MEMORY;
    }
    r->seq = core->next_seq;
    r->enqueued_us = core->now_us;
    r->deadline_us = add_sat(core->now_us, a->wait_us);
    r->hold_us = add_sat(core->now_us, a->hold_us);
    if (line_join(core, line, r, counters) != 0) {
        request_free(core, r);
        return ERR_NO_MEMORY;
    }
    core->next_seq++;
    request_enrol(core, r, event->caller);
    run_lines(core);
    bool waits = a->wait_us > 0 && r->state == REQUEST_WAITING;
    if (waits && line_overflows(core, flow_line(r->flow), a->tenant)) {
        request_refuse(core, r, ERR_LINE_FULL);
    } else {
        request_settle_unwilling(core, r);
    }
    return 0;
}

bool closed_for(const struct core *core, const struct line *line, int64_t wait_us)
{
    bool closed = !health_lets(core, line) && line->health.state != HEALTH_RECOVERING;
    int64_t opens_us = health_opens_us(core, line);
    bool by_time = opens_us != INT64_MAX;
    return closed && (by_time ? opens_us > add_sat(core->now_us, wait_us) : wait_us == 0);
}

RARE static void refuse_closed(struct core *core, const struct event *event, struct line *line)
{
    int64_t opens_us = health_opens_us(core, line);
    struct effect *e = effect_refuse(core, event->caller, line, ERR_BREAKER_OPEN);
    e->refuse.id = event->acquire.id;
    e->refuse.retry_after_us = opens_us == INT64_MAX ? 0 : opens_us - core->now_us;
    e->refuse.held_by.limits[e->refuse.held_by.limits_n++] = health_state_name(line->health.state);
}

/* Whether nobody comes first: in this line, or in another one that shares a limit and was left by a
 * step that had decided enough. */
static inline bool is_first(const struct core *core, const struct line *line)
{
    return line_is_open(core, line) && list_empty(&core->pending);
}

/* Who has just come, held against the line's limits. */
static inline struct asker asker_at_once(const struct core *core, struct line *line,
                                         const struct acquire *a, struct counter *const *counters)
{
    return (struct asker){
        .line = line,
        .counters = counters,
        .load = &a->load,
        .priority = a->priority,
        .seq = core->next_seq,
    };
}

/* Whether one limit lets pass who has just come. Few limits ask who that is. */
static inline bool lets_pass_at_once(struct core *core, struct line *line, const struct acquire *a,
                                     struct counter *const *counters, struct counter *c)
{
    int64_t n = a->load.of[c->rule->unit];
    if (likely(c->rule->plain)) {
        return counter_free_units(core, c) >= n;
    }
    struct asker asker = asker_at_once(core, line, a, counters);
    return limit_lets(core, &asker, c, n);
}

/* Finds the counters of whoever asks, and says whether all limits let it pass; then there is room
 * for a charge in each of them. One walk for all three: most decisions are nothing else. 0 or
 * ERR_NO_MEMORY. */
static inline int judge_at_once(struct core *core, struct line *line, const struct acquire *a,
                                struct counter **counters, bool *lets)
{
    bool all = is_first(core, line);
    for (size_t i = 0; i < line->rules_n; i++) {
        if (unlikely(counter_of(core, line, line->rules[i], a, &counters[i]) != 0)) {
            return ERR_NO_MEMORY;
        }
        struct counter *c = counters[i];
        if (unlikely(!c || !all)) {
            continue;
        }
        if (likely(i < line->limits_n)) {
            all = lets_pass_at_once(core, line, a, counters, c);
        } else {
            counter_advance(core, c); /* a meter, which holds nobody */
        }
        if (unlikely(counter_make_room(c) != 0)) {
            return ERR_NO_MEMORY;
        }
    }
    *lets = all;
    return 0;
}

/* Refuses whoever the line cannot serve in time. Returns whether it did. */
static inline bool refuse_in_vain(struct core *core, const struct event *event, struct line *line,
                                  struct counter *const *counters)
{
    const struct acquire *a = &event->acquire;
    enum error_code code;
    struct asker asker = asker_at_once(core, line, a, counters);
    struct counter *c = never_fits(core, &asker, a->parent, &code);
    if (unlikely(c)) {
        int64_t n = a->load.of[c->rule->unit];
        effect_refuse_limit(core, event->caller, line, code, c, n)->refuse.id = a->id;
        return true;
    }
    bool closed = closed_for(core, line, a->wait_us);
    if (unlikely(closed)) {
        refuse_closed(core, event, line);
    }
    return closed;
}

/* `way`: by which route, whose choice has seen to it that nobody waits in vain; or NULL. */
static int acquire_from(struct core *core, const struct event *event, struct line *line,
                        const struct way *way)
{
    struct counter *counters[CHARGES_MAX];
    bool lets;
    assert(line); /* who names none was refused */
    if (unlikely(judge_at_once(core, line, &event->acquire, counters, &lets) != 0)) {
        return ERR_NO_MEMORY;
    }
    if (likely(lets)) {
        return grant_at_once(core, event, line, counters, way);
    }
    if (likely(!way) && refuse_in_vain(core, event, line, counters)) {
        return 0;
    }
    return join(core, event, line, counters, way);
}

/* What refuses a request before its resource's limits are looked at. */
static inline enum error_code refusal(const struct core *core, const struct acquire *a,
                                      const struct line *line)
{
    const struct lease *parent = unlikely(a->parent) ? lease_find(core, a->parent) : NULL;
    if (unlikely(core->draining)) {
        return ERR_SHUTTING_DOWN;
    }
    if (unlikely(!line || line->retired)) {
        return ERR_UNKNOWN_RESOURCE;
    }
    if (unlikely(a->parent) && (!parent || parent->state != LEASE_OPEN)) {
        return ERR_UNKNOWN_LEASE;
    }
    if (unlikely(line->resource->price_given) && !a->has_usd && a->route.len == 0) {
        return ERR_USD_MISSING;
    }
    bool full = (int64_t)core->open_n >= core->policy->leases_max ||
                (int64_t)core->counters.len >= core->policy->counters_max;
    return unlikely(full) ? ERR_OVER_CAP : ERR_NONE;
}

RARE static void refuse_at_once(struct core *core, const struct event *event, struct line *line,
                                enum error_code code)
{
    const struct acquire *a = &event->acquire;
    struct effect *e = effect_refuse(core, event->caller, line, code);
    e->refuse.id = a->id;
    e->refuse.resource = a->route.len ? a->route : a->resource;
}

/* What is said before any limit is looked at. Returns whether it was said. */
static inline bool answer_at_once(struct core *core, const struct event *event, struct line *line)
{
    const struct acquire *a = &event->acquire;
    if (a->id.len && line && !core->draining && answer_known_id(core, event)) {
        return true;
    }
    enum error_code code = refusal(core, a, line);
    if (unlikely(code != ERR_NONE)) {
        refuse_at_once(core, event, line, code);
    }
    return code != ERR_NONE;
}

/* --- By a route. --- */

static struct way way_of(struct path *path, const struct acquire *a, const struct choice *choice)
{
    struct way way = {
        .path = path,
        .route = path->name,
        .asked = {a->load.of[UNIT_TOKENS], a->load.of[UNIT_INPUT_TOKENS],
                  a->load.of[UNIT_OUTPUT_TOKENS], a->has_input, a->has_output, a->has_usd},
        .max_output = choice->max_output,
        .step = (uint8_t)choice->step,
    };
    memcpy(way.passed, choice->passed, sizeof(way.passed));
    return way;
}

static int acquire_by(struct core *core, const struct event *event, const struct choice *choice,
                      const struct way *way)
{
    struct event at_step = *event;
    at_step.acquire.route = way->route;
    at_step.acquire.load = choice->load;
    at_step.acquire.estimated = choice->estimated;
    return acquire_from(core, &at_step, choice->line, way);
}

APART static int acquire_by_route(struct core *core, const struct event *event, struct path *path)
{
    static const uint8_t none[ROUTE_STEPS_MAX];
    struct acquire a = event->acquire;
    if (answer_at_once(core, event, path->lines[0])) {
        return 0;
    }
    a.route = path->name;
    const struct wish wish = {
        .path = path,
        .asked = &a,
        .passed = none,
        .wait_us = a.wait_us,
        .seq = core->next_seq,
    };
    struct choice choice;
    if (choose(core, &wish, &choice) != 0) {
        return ERR_NO_MEMORY;
    }
    struct way way = way_of(path, &a, &choice);
    if (choice.line) {
        return acquire_by(core, event, &choice, &way);
    }
    effect_refuse_route(core, event->caller, path, &way, choice.again_us)->refuse.id = a.id;
    return 0;
}

/* --- By a resource's name. --- */

static inline int acquire_at(struct core *core, const struct event *event, struct line *line)
{
    return answer_at_once(core, event, line) ? 0 : acquire_from(core, event, line, NULL);
}

/* --- What the caller leaves open. --- */

static inline bool leaves_open(const struct line *line, const struct acquire *a)
{
    bool priced = line->resource->price.known;
    return estimate_wanted(line, a, priced) || (priced && !a->has_usd);
}

/* A cap on the output, where it asks for more. */
static bool cap_output(struct load *load, int64_t cap)
{
    if (cap == 0 || load->of[UNIT_OUTPUT_TOKENS] <= cap) {
        return false;
    }
    load->of[UNIT_OUTPUT_TOKENS] = cap;
    load->of[UNIT_TOKENS] =
        min_i64(load->of[UNIT_TOKENS], add_sat(load->of[UNIT_INPUT_TOKENS], cap));
    return true;
}

int64_t complete_load(struct core *core, struct line *line, const struct route_step *step,
                      struct acquire *a)
{
    const struct resource *r = line->resource;
    const struct price *price = price_at(line, step);
    int64_t cap = step ? step->max_output_tokens : 0;
    a->estimated = false;
    struct acquire dear = *a;
    bool priced = price->known && !a->has_usd;
    if (estimate_wanted(line, a, price->known)) {
        estimate_load(core, line, a, r->output_percentile);
        if (priced) {
            estimate_load(core, line, &dear, max_i64(COST_PERCENTILE, r->output_percentile));
        }
    }
    bool capped = cap_output(&a->load, cap);
    capped |= cap_output(&dear.load, cap);
    if (!a->has_usd) {
        a->load.of[UNIT_USD] = priced ? price_worst(price, &dear.load) : 0;
    }
    return capped ? cap : 0;
}

/* Fills in what the caller left open. */
APART static int acquire_completed(struct core *core, const struct event *event, struct line *line)
{
    struct event whole = *event;
    complete_load(core, line, NULL, &whole.acquire);
    return acquire_at(core, &whole, line);
}

/* Most who ask ask for the same as the one before. */
static inline struct line *line_asked(const struct core *core, const struct acquire *a)
{
    struct line *last = core->last_line;
    bool again = last && text_equal(last->name, a->resource);
    return likely(again) ? last : line_find(core, a->resource);
}

int request_acquire(struct core *core, const struct event *event)
{
    const struct acquire *a = &event->acquire;
    assert(a->priority >= PRIORITY_MIN && a->priority <= PRIORITY_MAX);
    assert(a->lease_us > 0 && a->hold_us > 0 && a->wait_us >= 0);
    struct line *line = unlikely(a->route.len) ? NULL : line_asked(core, a);
    struct path *path = likely(line) ? NULL : path_asked(core, a);
    if (unlikely(path)) {
        return acquire_by_route(core, event, path);
    }
    core->last_line = line;
    return unlikely(line && leaves_open(line, a)) ? acquire_completed(core, event, line)
                                                  : acquire_at(core, event, line);
}
