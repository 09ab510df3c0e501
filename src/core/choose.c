/*
 * How a step is chosen.
 *
 * Every step is held against the request. What it cannot do for it is a reason to pass it over:
 *
 *   - for good: the context or a limit is too small for it, a limit that does not let wait is full,
 *     its own parent holds what it needs, the line is full, the resource is closed for longer than
 *     the caller would wait, or it was tried there in vain;
 *   - for the time: the resource is closed, or was refused not long ago, or its line will by all
 *     estimates outlast the caller's time.
 *
 * Of those that have no reason against them the route's preference decides: the first, or the one
 * with the least time to wait. The accounts of a pool stand in one place of the order; of them it
 * is the least loaded of those where it fits at once. A session that sticks is served by the
 * account that served it last, if it fits there at once.
 *
 * Where none is left without a reason, a route that ends in an answer of its own ends there. One
 * that would only refuse waits instead at a step that is passed over for the time, where the wait
 * is least: a line that is expected to be slow is better than none. A caller that does not wait at
 * all has no time.
 */
#include "core/choose.h"

#include <assert.h>
#include <string.h>

#include "core/acquire.h"
#include "core/counter.h"
#include "core/health.h"
#include "core/line.h"
#include "core/move.h"
#include "core/request.h"
#include "core/restore.h"
#include "core/turn.h"

#define PPM INT64_C(1000000)

/* What one step offers. */
struct offer {
    enum pass pass; /* PASS_NONE: it will do */
    bool for_good;
    bool now; /* it fits at once */
    int64_t eta_us;
    int64_t free_ppm; /* the share that is free of the fullest of its limits */
    size_t leases;
    uint64_t served; /* the last to have served of those that are as good comes last */
    struct load load;
    bool estimated;
    int64_t max_output;
};

/* --- What is asked. --- */

int64_t step_load(struct core *core, const struct path *path, size_t step, struct acquire *asked)
{
    return complete_load(core, path->lines[step], &path->route->steps[step], asked);
}

/* Where only the total is known, input and output may each be all of it. */
static bool context_fits(int64_t context_tokens, const struct load *load)
{
    int64_t parts = add_sat(load->of[UNIT_INPUT_TOKENS], load->of[UNIT_OUTPUT_TOKENS]);
    int64_t all = min_i64(parts, load->of[UNIT_TOKENS]);
    all = max_i64(all, load->of[UNIT_INPUT_TOKENS]);
    return context_tokens == 0 || max_i64(all, load->of[UNIT_OUTPUT_TOKENS]) <= context_tokens;
}

/* --- What stands against a step. --- */

static enum pass pass_of_health(const struct core *core, const struct line *line)
{
    switch (line->health.state) {
    case HEALTH_PAUSED: return PASS_PAUSED;
    case HEALTH_BACKOFF: return PASS_BACKOFF;
    case HEALTH_BREAKER_OPEN: return PASS_BREAKER_OPEN;
    case HEALTH_PROBING: return health_lets(core, line) ? PASS_NONE : PASS_PROBING;
    case HEALTH_DAY_OVER: return PASS_DAY_OVER;
    case HEALTH_OUT_OF_MONEY: return PASS_OUT_OF_MONEY;
    default: return PASS_NONE;
    }
}

static enum pass pass_of_code(enum error_code code)
{
    switch (code) {
    case ERR_NEVER_FITS: return PASS_NEVER_FITS;
    case ERR_WOULD_DEADLOCK: return PASS_DEADLOCK;
    default: return PASS_BUDGET;
    }
}

static bool is_full(const struct core *core, const struct wish *wish, const struct line *line)
{
    bool stands = wish->standing && flow_line(wish->standing->flow) == line;
    return !stands && !line_has_room(core, line, wish->asked->tenant);
}

/* Whether its callers must say what a call costs, and this one does not. */
static bool lacks_cost(const struct line *line, const struct acquire *asked)
{
    return line->resource->price_given && !asked->has_usd;
}

/* For good, in the order in which it is best explained. */
static enum pass why_never(struct core *core, const struct wish *wish, const struct asker *a,
                           const struct offer *o, size_t step)
{
    enum error_code code = ERR_NONE;
    if (!context_fits(wish->path->route->steps[step].context_tokens, &o->load)) {
        return PASS_CONTEXT;
    }
    if (lacks_cost(a->line, wish->asked)) {
        return PASS_UNPRICED;
    }
    if (never_fits(core, a, wish->asked->parent, &code)) {
        return pass_of_code(code);
    }
    if (closed_for(core, a->line, wish->wait_us)) {
        return pass_of_health(core, a->line);
    }
    if (!o->now && is_full(core, wish, a->line)) {
        return PASS_LINE_FULL;
    }
    return !o->now && wish->wait_us == 0 && o->eta_us > 0 ? PASS_DEADLINE : PASS_NONE;
}

static enum pass why_not_now(const struct core *core, const struct wish *wish,
                             const struct line *line, const struct offer *o)
{
    enum pass pass = pass_of_health(core, line);
    if (pass != PASS_NONE) {
        return pass;
    }
    if (line->crossing.cool_us > core->now_us && line->health.state != HEALTH_PROBING) {
        return PASS_COOLING;
    }
    return o->eta_us > wish->wait_us ? PASS_DEADLINE : PASS_NONE;
}

/* The share that is free of the fullest limit of which it asks. */
static int64_t free_share_ppm(struct core *core, const struct asker *a)
{
    int64_t least = PPM;
    for (size_t i = 0; i < a->line->limits_n; i++) {
        struct counter *c = a->counters[i];
        if (c && c->rule->whole) {
            int64_t left = max_i64(0, counter_free_units(core, c));
            least = min_i64(least, mul_div_sat(left, PPM, c->rule->terms.burst));
        }
    }
    return least;
}

/* When the line will come to it: by its place if it stands there, or behind all. */
static int64_t eta_us(struct core *core, const struct wish *wish, const struct asker *a)
{
    const struct request *r = wish->standing;
    bool stands = r && flow_line(r->flow) == a->line;
    int64_t position =
        stands ? line_position(a->line, r) : line_position_behind(a->line, a->priority);
    return estimate_us(core, a, position);
}

/* A lifetime counter that only the journal knows cannot be asked for in the midst of a step. */
static bool is_forgotten(const struct core *core, const struct wish *wish, const struct line *line)
{
    struct record key;
    return wish->midway && missing_at(core, line, wish->asked, &key, 1) > 0;
}

/* One that will not do any more: the reason stays as long as the request does. */
static struct offer offer_failed(const struct wish *wish, size_t step)
{
    assert(wish->passed[step] != PASS_NONE);
    return (struct offer){.for_good = true, .pass = (enum pass)wish->passed[step]};
}

static int look_at(struct core *core, const struct wish *wish, size_t step, struct offer *o)
{
    struct line *line = wish->path->lines[step];
    struct counter *counters[CHARGES_MAX];
    if (wish->failed & 1u << step) {
        *o = offer_failed(wish, step);
        return 0;
    }
    *o = (struct offer){.for_good = true, .leases = line->leases, .served = line->crossing.served};
    struct acquire a = *wish->asked;
    o->max_output = step_load(core, wish->path, step, &a);
    o->load = a.load;
    o->estimated = a.estimated;
    if (is_forgotten(core, wish, line)) {
        o->pass = PASS_BUDGET;
        return 0;
    }
    if (counters_of(core, line, &a, counters) != 0) {
        return ERR_NO_MEMORY;
    }
    struct asker asker = {
        .line = line,
        .counters = counters,
        .load = &o->load,
        .priority = a.priority,
        .seq = wish->seq,
    };
    o->now = line_is_open(core, line) && fits(core, &asker);
    o->eta_us = o->now ? 0 : eta_us(core, wish, &asker);
    o->free_ppm = free_share_ppm(core, &asker);
    o->pass = why_never(core, wish, &asker, o, step);
    if (o->pass == PASS_NONE) {
        o->for_good = false;
        o->pass = why_not_now(core, wish, line, o);
    }
    return 0;
}

/* --- Which of them. --- */

/* Steps that stand in one place of the order, from `from` on: the accounts of a pool. */
struct place {
    size_t from;
    size_t end;
};

static struct place place_at(const struct route *route, size_t from)
{
    size_t end = from + 1;
    while (end < route->steps_n && (route->accounts || route->steps[end].alike)) {
        end++;
    }
    return (struct place){from, end};
}

/* Where it fits at once comes before where others are to be granted at once and it is next. */
static bool less_loaded(const struct offer *o, const struct offer *than)
{
    if (o->now != than->now) {
        return o->now;
    }
    if (o->eta_us != than->eta_us) {
        return o->eta_us < than->eta_us;
    }
    if (o->free_ppm != than->free_ppm) {
        return o->free_ppm > than->free_ppm;
    }
    return o->leases != than->leases ? o->leases < than->leases : o->served < than->served;
}

/* The account that serves of a place, or the route's number of steps. */
static size_t pick_at(const struct core *core, const struct wish *wish, const struct offer *offers,
                      struct place place)
{
    size_t best = wish->path->route->steps_n;
    size_t stuck = path_stuck_at(core, wish->path, place.from, wish->asked->session);
    if (stuck >= place.from && stuck < place.end && offers[stuck].pass == PASS_NONE &&
        offers[stuck].now) {
        return stuck;
    }
    for (size_t i = place.from; i < place.end; i++) {
        bool better = best == wish->path->route->steps_n || less_loaded(&offers[i], &offers[best]);
        if (offers[i].pass == PASS_NONE && better) {
            best = i;
        }
    }
    return best;
}

static size_t pick(const struct core *core, const struct wish *wish, const struct offer *offers)
{
    const struct route *route = wish->path->route;
    size_t n = route->steps_n, best = n;
    struct place place = {0, 0};
    while (place.end < n && (best == n || route->prefer == PREFER_FASTEST)) {
        place = place_at(route, place.end);
        size_t i = pick_at(core, wish, offers, place);
        if (i < n && (best == n || offers[i].eta_us < offers[best].eta_us)) {
            best = i;
        }
    }
    return best;
}

/* The one with the least time to wait of those that are passed over for the time only. */
static size_t pick_for_want_of_better(const struct wish *wish, const struct offer *offers)
{
    const struct route *route = wish->path->route;
    size_t best = route->steps_n;
    for (size_t i = 0; route->finally == FINALLY_REFUSE && i < route->steps_n; i++) {
        bool better = best == route->steps_n || offers[i].eta_us < offers[best].eta_us;
        if (!offers[i].for_good && better) {
            best = i;
        }
    }
    return best;
}

static int64_t again_us(const struct core *core, const struct wish *wish,
                        const struct offer *offers)
{
    int64_t at_us = INT64_MAX;
    for (size_t i = 0; i < wish->path->route->steps_n; i++) {
        const struct line *line = wish->path->lines[i];
        int64_t opens_us = health_opens_us(core, line);
        opens_us = max_i64(opens_us, line->crossing.cool_us);
        bool by_time = !offers[i].for_good || !health_lets(core, line);
        at_us = by_time ? min_i64(at_us, max_i64(opens_us, core->now_us)) : at_us;
    }
    return at_us;
}

static void decide(const struct core *core, const struct wish *wish, const struct offer *offers,
                   struct choice *choice)
{
    const struct path *path = wish->path;
    size_t n = path->route->steps_n;
    size_t step = pick(core, wish, offers);
    step = step < n ? step : pick_for_want_of_better(wish, offers);
    *choice = (struct choice){.step = step, .again_us = INT64_MAX};
    for (size_t i = 0; i < ROUTE_STEPS_MAX; i++) {
        bool passed = i < n && i != step;
        choice->passed[i] = (uint8_t)(passed ? offers[i].pass : PASS_NONE);
    }
    if (step < n) {
        choice->line = path->lines[step];
        choice->load = offers[step].load;
        choice->estimated = offers[step].estimated;
        choice->max_output = offers[step].max_output;
    } else {
        choice->again_us = again_us(core, wish, offers);
    }
}

/* Whether nobody behind this place can be preferred to it. */
static bool is_enough(const struct wish *wish, const struct offer *offers, struct place place)
{
    bool any = false;
    for (size_t i = place.from; i < place.end; i++) {
        any = any || offers[i].pass == PASS_NONE;
    }
    return any && wish->path->route->prefer != PREFER_FASTEST;
}

int choose(struct core *core, const struct wish *wish, struct choice *choice)
{
    struct offer offers[ROUTE_STEPS_MAX];
    const struct route *route = wish->path->route;
    struct place place = {0, 0};
    while (place.end < route->steps_n) {
        place = place_at(route, place.end);
        for (size_t i = place.from; i < place.end; i++) {
            if (look_at(core, wish, i, &offers[i]) != 0) {
                return ERR_NO_MEMORY;
            }
        }
        if (is_enough(wish, offers, place)) {
            break;
        }
    }
    for (size_t i = place.end; i < route->steps_n; i++) {
        bool failed = wish->failed & 1u << i;
        offers[i] = failed ? offer_failed(wish, i) : (struct offer){.for_good = true};
    }
    decide(core, wish, offers, choice);
    return 0;
}

/* --- Another account. --- */

/* When all of an asker's limits may let it pass if nothing is given back. */
static int64_t all_fit_us(struct core *core, const struct asker *a)
{
    int64_t at_us = core->now_us;
    for (size_t i = 0; i < a->line->limits_n; i++) {
        struct counter *c = a->counters[i];
        int64_t n = c ? a->load->of[c->rule->unit] : 0;
        if (c && !counter_fits(core, c, n, 0)) {
            at_us = max_i64(at_us, counter_fits_us(core, c, n));
        }
    }
    return at_us;
}

bool would_fit_at(struct core *core, struct line *line, const struct request *r,
                  struct choice *choice, int64_t *fits_us)
{
    const struct path *path = r->way->path;
    struct counter *counters[CHARGES_MAX];
    struct acquire a;
    enum error_code code;
    request_facts(r, &a);
    *choice = (struct choice){.line = line, .step = path_step(path, line)};
    *fits_us = INT64_MAX;
    if (choice->step == path->route->steps_n || r->way->failed & 1u << choice->step) {
        return false;
    }
    choice->max_output = step_load(core, path, choice->step, &a);
    choice->load = a.load;
    choice->estimated = a.estimated;
    struct record key;
    if (missing_at(core, line, &a, &key, 1) > 0) {
        return false;
    }
    if (counters_of(core, line, &a, counters) != 0) {
        *fits_us = add_sat(core->now_us, MEMORY_RETRY_US);
        return false;
    }
    struct asker asker = {line, counters, &choice->load, r->priority, r->seq, NULL};
    bool takes = context_fits(path->route->steps[choice->step].context_tokens, &choice->load) &&
                 !lacks_cost(line, &a);
    bool refused = never_fits(core, &asker, r->parent, &code) != NULL;
    if (takes && !refused && fits(core, &asker)) {
        return true;
    }
    /* What refuses now may have room again by time. */
    bool ever = takes && (!refused || code == ERR_BUDGET_EXCEEDED);
    *fits_us = ever ? all_fit_us(core, &asker) : INT64_MAX;
    return false;
}
