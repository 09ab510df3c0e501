#include "oracle_routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/view.h"
#include "oracle_estimates.h"
#include "oracle_health.h"
#include "oracle_order.h"

#define LOOKED_AT_MAX 8 /* of those who wait at one account, so many are offered to another */
#define PPM           1000000

static size_t route_index(const struct oracle *o, const char *name)
{
    for (size_t i = 0; o->policy && i < o->policy->routes_n; i++) {
        if (strcmp(o->policy->routes[i].name, name) == 0) {
            return i;
        }
    }
    return NONE;
}

static const struct route *route_of(const struct oracle *o, const struct waiter *w)
{
    return w->route_at == NONE ? NULL : &o->policy->routes[w->route_at];
}

/* The step of a route that is a resource's, or NONE. */
static size_t step_at(const struct route *route, size_t resource)
{
    for (size_t i = 0; route && i < route->steps_n; i++) {
        if (route->steps[i].resource == resource) {
            return i;
        }
    }
    return NONE;
}

/* --- Who comes. --- */

void route_arrives(struct oracle *o, const struct acquire *a, struct waiter *w)
{
    w->route_at = NONE;
    w->asked = a->load;
    w->has_usd = a->has_usd;
    w->has_input = a->has_input;
    w->has_output = a->has_output;
    w->input_bytes = a->input_bytes;
    w->asked_known = true;
    if (a->route.len) {
        snprintf(w->route, sizeof(w->route), "%.*s", (int)a->route.len, a->route.at);
        w->route_at = route_index(o, w->route);
    } else if (w->resource_at == NONE) {
        size_t r = route_index(o, w->resource);
        if (r != NONE && o->policy->routes[r].accounts) {
            memcpy(w->route, w->resource, sizeof(w->route));
            w->route_at = r;
            w->named = true;
        }
    }
    if (w->route[0]) {
        w->resource[0] = 0;
        w->resource_at = NONE;
        o->aways = true; /* one who moves between lines tells nothing of start tags */
    }
}

void routes_configured(struct oracle *o)
{
    for (size_t i = 0; i < o->waiters_n; i++) {
        struct waiter *w = &o->waiters[i];
        w->route_at = w->route[0] ? route_index(o, w->route) : NONE;
    }
}

/* --- What it asks. --- */

int64_t step_cap(const struct oracle *o, const struct waiter *w, size_t resource)
{
    const struct route *route = route_of(o, w);
    size_t step = step_at(route, resource);
    return step == NONE ? 0 : route->steps[step].max_output_tokens;
}

struct load route_load(const struct oracle *o, const struct waiter *w, size_t resource)
{
    struct load load = w->asked;
    int64_t cap = step_cap(o, w, resource);
    if (cap > 0 && load.of[UNIT_OUTPUT_TOKENS] > cap) {
        int64_t most = load.of[UNIT_INPUT_TOKENS] + cap;
        load.of[UNIT_OUTPUT_TOKENS] = cap;
        load.of[UNIT_TOKENS] = min_i64(load.of[UNIT_TOKENS], most);
    }
    if (!w->has_usd) {
        load.of[UNIT_USD] = worst_cost_at(o, resource, w->route, &load);
    }
    return load;
}

static bool same_load(const struct load *a, const struct load *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

bool same_request(const struct oracle *o, const struct waiter *old, const struct waiter *now)
{
    if (strcmp(old->route, now->route) != 0) {
        return false;
    }
    bool any = is_guessed(o, now, old->resource_at); /* it may be another number the next time */
    if (!now->route[0]) {
        return strcmp(old->resource, now->resource) == 0 &&
               (any || same_load(&old->load, &now->load));
    }
    if (any) {
        return true;
    }
    struct load load = route_load(o, now, old->resource_at);
    return same_load(&old->load, &load);
}

bool same_lease(const struct oracle *o, const struct fact *f, const struct waiter *now)
{
    if (strcmp(f->route, now->route) != 0 ||
        (!now->route[0] && strcmp(f->resource, now->resource) != 0)) {
        return false;
    }
    if (is_guessed(o, now, resource_index(o, f->resource))) {
        return true;
    }
    struct load load = now->load;
    if (now->route[0]) {
        load = route_load(o, now, resource_index(o, f->resource));
    }
    return f->end != END_OPEN || same_load(&f->load, &load);
}

/* --- Where it stands. --- */

/* Whether in one step it went to another line, which came to refuse it, and back: what was made up
 * for it is made up anew. */
static bool came_back(const struct oracle *o, const struct waiter *w, const struct load *told)
{
    bool guessed = w->asked_known && is_guessed(o, w, w->resource_at);
    return guessed && told && !w->arriving && !same_load(told, &w->load);
}

static void stands_at(struct oracle *o, struct waiter *w, struct text resource,
                      const struct load *told)
{
    char name[KEY_MAX];
    snprintf(name, sizeof(name), "%.*s", (int)resource.len, resource.at);
    if (strcmp(name, w->resource) == 0 && !came_back(o, w, told)) {
        return;
    }
    o->shifting = o->shifting || !w->arriving;
    o->moment++;
    w->aged = w->arriving ? 0 : w->priority - effective_priority(o, w, o->now_us);
    memcpy(w->resource, name, sizeof(w->resource));
    w->resource_at = resource_index(o, name);
    if (w->asked_known && w->resource_at != NONE) {
        w->load = route_load(o, w, w->resource_at);
    }
    bool guessed = w->asked_known && is_guessed(o, w, w->resource_at);
    w->untold = guessed && !told;
    if (told && guessed) {
        judge_estimate(o, w, told);
    }
    if (told && (guessed || !w->asked_known)) {
        w->load = *told;
    } else if (told && !same_load(told, &w->load)) {
        wrong(o,
              "P7: caller %llu (ticket %llu, attempt %d) asks %lld tokens, %lld usd at %s; its "
              "route makes %lld, %lld of it",
              (unsigned long long)w->caller, (unsigned long long)w->ticket, w->attempt,
              (long long)told->of[UNIT_TOKENS], (long long)told->of[UNIT_USD], name,
              (long long)w->load.of[UNIT_TOKENS], (long long)w->load.of[UNIT_USD]);
    }
}

void route_locate(struct oracle *o, const struct effects *effects, struct waiter *w)
{
    struct request_view v;
    caller_id caller = w->caller;
    uint64_t ticket = w->ticket;
    for (size_t i = 0; w->caller && i < effects->len; i++) {
        const struct effect *f = &effects->at[i];
        if (f->caller != w->caller) {
            continue;
        }
        if (f->kind == EFFECT_GRANT && !f->grant.repeated) {
            stands_at(o, w, f->grant.resource, &f->grant.held);
            return;
        }
        if (f->kind == EFFECT_REFUSE && f->refuse.code != ERR_ROUTE_EXHAUSTED &&
            f->refuse.code != ERR_CANCELLED) {
            stands_at(o, w, f->refuse.resource, NULL);
            return;
        }
        if (f->kind == EFFECT_WAIT) {
            caller = 0;
            ticket = f->wait.ticket;
        }
    }
    if (core_request_view(o->core, caller, ticket, &v)) {
        stands_at(o, w, v.resource, &v.load);
    }
}

void routes_locate(struct oracle *o, const struct effects *effects)
{
    for (size_t i = 0; i < o->waiters_n; i++) {
        if (o->waiters[i].route[0]) {
            route_locate(o, effects, &o->waiters[i]);
        }
    }
}

/* --- How full a line is. --- */

static size_t line_length(const struct oracle *o, const struct waiter *w, bool tenant)
{
    size_t n = 0;
    for (size_t i = 0; i < o->waiters_n; i++) {
        n += &o->waiters[i] != w && strcmp(o->waiters[i].resource, w->resource) == 0 &&
             (!tenant || strcmp(o->waiters[i].tenant, w->tenant) == 0);
    }
    return n;
}

bool line_is_full(const struct oracle *o, const struct waiter *w)
{
    size_t r = w->resource_at;
    return r != NONE &&
           (line_length(o, w, false) >= (size_t)o->policy->resources[r].line_len_max ||
            line_length(o, w, true) >= (size_t)o->policy->resources[r].tenant_line_len_max);
}

/* --- One step. --- */

/* The request as it would stand at a resource of its route. */
static struct waiter at_resource(const struct oracle *o, const struct waiter *w, size_t resource)
{
    struct waiter t = *w;
    t.resource_at = resource;
    snprintf(t.resource, sizeof(t.resource), "%.39s", o->policy->resources[resource].name);
    t.load = strcmp(t.resource, w->resource) == 0 ? w->load : route_load(o, w, resource);
    return t;
}

bool route_step_waiter(const struct oracle *o, const struct waiter *w, size_t step,
                       struct waiter *there)
{
    const struct route *route = route_of(o, w);
    bool has = route && step < route->steps_n;
    if (has) {
        *there = at_resource(o, w, route->steps[step].resource);
    }
    return has;
}

static bool context_is_small(const struct route_step *step, const struct load *load)
{
    int64_t in = load->of[UNIT_INPUT_TOKENS], out = load->of[UNIT_OUTPUT_TOKENS];
    int64_t all = min_i64(in + out, load->of[UNIT_TOKENS]);
    return step->context_tokens > 0 && max_i64(max_i64(in, out), all) > step->context_tokens;
}

static bool shares_pools(const struct resource *r)
{
    for (size_t l = 0; l < r->limits_n; l++) {
        if (r->limits[l].shared[0]) {
            return true;
        }
    }
    return false;
}

/* A counter of a budget that the core has forgotten counts as spent until it is asked for. */
bool may_be_forgotten(const struct resource *r)
{
    for (size_t l = 0; l < r->limits_n; l++) {
        if (r->limits[l].window == WINDOW_LIFETIME && r->limits[l].scope != SCOPE_RESOURCE) {
            return true;
        }
    }
    return false;
}

/* Whether a request would be granted at once where it might stand: nobody waits there, and it fits
 * beyond doubt. */
static bool fits_at_once(struct oracle *o, const struct waiter *t)
{
    unsigned limits;
    bool doubtful;
    const struct resource *r = &o->policy->resources[t->resource_at];
    for (size_t i = 0; i < o->waiters_n; i++) {
        if (strcmp(o->waiters[i].resource, t->resource) == 0 && o->waiters[i].seq != t->seq) {
            return false;
        }
    }
    return !is_guessed(o, t, t->resource_at) && !shares_pools(r) &&
           !(r->price_given && !t->has_usd) && !has_learned(o, t->resource) &&
           health_allows(o, t->resource) == ALLOWS && waiter_fits(o, t) &&
           expected_limit_refusal(o, t, &limits, &doubtful) == ERR_NONE && !doubtful;
}

static enum health_state state_of(const char *reason)
{
    for (int i = HEALTH_OK + 1; i < HEALTH_STATES; i++) {
        if (strcmp(health_state_name((enum health_state)i), reason) == 0) {
            return (enum health_state)i;
        }
    }
    return HEALTH_OK;
}

static bool limits_refuse(struct oracle *o, const struct waiter *t, const char *reason)
{
    unsigned limits;
    bool doubtful;
    enum error_code code = expected_limit_refusal(o, t, &limits, &doubtful);
    bool learned = has_learned(o, t->resource);
    if (strcmp(reason, "budget_exceeded") == 0 && !t->arriving &&
        may_be_forgotten(&o->policy->resources[t->resource_at])) {
        return true;
    }
    return doubtful || learned || strcmp(error_name(code), reason) == 0;
}

/* One who waits at one account may be served by another one of the pool. */
static bool is_account(const struct oracle *o, size_t resource)
{
    for (size_t i = 0; i < o->policy->routes_n; i++) {
        const struct route *route = &o->policy->routes[i];
        if (route->accounts && step_at(route, resource) != NONE) {
            return true;
        }
    }
    return false;
}

/* Whether a step may be passed over for that reason. */
static bool is_so(struct oracle *o, const struct waiter *w, size_t step, const char *reason)
{
    const struct route *route = route_of(o, w);
    struct waiter t = at_resource(o, w, route->steps[step].resource);
    enum health_state state = state_of(reason);
    if (w->attempt > 1) {
        return true; /* what was said of it after an earlier attempt holds on */
    }
    if (state != HEALTH_OK) {
        return health_is(o, t.resource, state);
    }
    if (is_guessed(o, &t, t.resource_at) && strcmp(reason, "cooling_down") != 0) {
        return true; /* what it would ask there is told nowhere */
    }
    if (strcmp(reason, "context") == 0) {
        return context_is_small(&route->steps[step], &t.load);
    }
    if (strcmp(reason, "cooling_down") == 0) {
        return health_may_cool(o, t.resource);
    }
    if (strcmp(reason, "taken_over") == 0) {
        return is_account(o, w->resource_at);
    }
    if (strcmp(reason, "usd_missing") == 0) {
        return o->policy->resources[t.resource_at].price_given && !w->has_usd;
    }
    if (strcmp(reason, "line_full") == 0) {
        return line_is_full(o, &t) || o->counts.grants > o->grants_before;
    }
    if (strcmp(reason, "deadline") == 0) {
        return !fits_at_once(o, &t) || w->deadline_us <= o->now_us;
    }
    return limits_refuse(o, &t, reason);
}

/* Whether what is the reason now may be none while the request would still wait. */
static bool may_pass(struct oracle *o, const struct waiter *w, const char *resource,
                     const char *reason)
{
    if (strcmp(reason, "cooling_down") == 0) {
        return true;
    }
    if (strcmp(reason, "deadline") == 0) {
        return w->wait_us > 0;
    }
    if (strcmp(reason, health_state_name(HEALTH_PROBING)) == 0) {
        return w->wait_us > 0;
    }
    return state_of(reason) != HEALTH_OK && !health_closed_beyond(o, resource, w->deadline_us);
}

static const char *reason_of(const struct oracle *o, const struct routed *routed,
                             const struct route *route, size_t step)
{
    struct text name = text_of(o->policy->resources[route->steps[step].resource].name);
    for (size_t i = 0; i < routed->passed_n; i++) {
        if (text_equal(routed->passed[i].resource, name)) {
            return routed->passed[i].reason;
        }
    }
    return NULL;
}

/* --- Grants. --- */

/* The least part, in ppm, that is left of a limit of the whole resource. */
static int64_t free_share(struct oracle *o, const struct waiter *t)
{
    const struct resource *r = &o->policy->resources[t->resource_at];
    int64_t least = PPM;
    for (size_t l = 0; l < r->limits_n; l++) {
        const struct limit *limit = &r->limits[l];
        if (limit->scope == SCOPE_RESOURCE && t->load.of[limit->unit] > 0) {
            int64_t left = max_i64(0, sum_of(o, o->ident_of[t->resource_at][l], "").free);
            least = min_i64(least, mul_div_sat(left, PPM, limit_most(limit)));
        }
    }
    return least;
}

/* Of the accounts where it fits at once, the one with the largest share free serves. */
static void judge_account(struct oracle *o, const struct waiter *w, const struct route *route)
{
    if (!fits_at_once(o, w)) {
        return;
    }
    int64_t mine = free_share(o, w);
    for (size_t i = 0; i < route->steps_n; i++) {
        struct waiter t = at_resource(o, w, route->steps[i].resource);
        bool other =
            t.resource_at != w->resource_at && !context_is_small(&route->steps[i], &t.load);
        if (other && fits_at_once(o, &t) && !health_may_cool(o, t.resource) &&
            !may_be_forgotten(&o->policy->resources[t.resource_at]) &&
            free_share(o, &t) > mine + 1) {
            wrong(o, "route: caller %llu is granted %s, and %s is less loaded",
                  (unsigned long long)w->caller, w->resource, t.resource);
        }
    }
}

/* What its step is called: from 1, the accounts of a pool in a route of others as one. */
static size_t place_of(const struct route *route, size_t step)
{
    size_t place = 1;
    for (size_t i = 1; i <= step; i++) {
        place += !route->steps[i].alike;
    }
    return place;
}

static void judge_reasons(struct oracle *o, const struct waiter *w, const struct route *route,
                          const struct routed *routed)
{
    for (size_t i = 0; i < route->steps_n; i++) {
        const char *reason = reason_of(o, routed, route, i);
        bool first = route->prefer == PREFER_FIRST && !route->accounts;
        if (reason && !is_so(o, w, i, reason)) {
            wrong(o, "P9: caller %llu is told that step %zu of %s was passed over for %s",
                  (unsigned long long)w->caller, i + 1, route->name, reason);
        } else if (!reason && first && place_of(route, i) < routed->step) {
            wrong(o, "P9: caller %llu is not told why step %zu of %s was passed over",
                  (unsigned long long)w->caller, i + 1, route->name);
        }
    }
}

static void judge_names(struct oracle *o, const struct waiter *w, const struct route *route,
                        const struct effect *f)
{
    size_t step = step_at(route, w->resource_at);
    const struct route_step *s = step == NONE ? NULL : &route->steps[step];
    const struct resource *r = &o->policy->resources[w->resource_at];
    int64_t cap = s ? s->max_output_tokens : 0;
    bool open = w->asked_known && !w->has_output; /* its cost may have been capped alone */
    bool capped = cap > 0 && (w->asked.of[UNIT_OUTPUT_TOKENS] > cap ||
                              (open && f->grant.max_output_tokens == cap));
    if (!s || f->grant.routed.step != place_of(route, step) ||
        !text_equal(f->grant.model, text_of(s->model[0] ? s->model : r->model)) ||
        !text_equal(f->grant.account, text_of(r->account)) ||
        (w->asked_known && f->grant.max_output_tokens != (capped ? s->max_output_tokens : 0))) {
        wrong(o, "route: caller %llu is granted another step, model or cap than %s has",
              (unsigned long long)w->caller, route->name);
    }
}

void judge_way(struct oracle *o, const struct waiter *w, const struct effect *f)
{
    const struct route *route = route_of(o, w);
    if (!text_equal(f->grant.routed.route, text_of(w->route))) {
        wrong(o, "route: caller %llu is granted by another route than it asked for",
              (unsigned long long)w->caller);
        return;
    }
    if (!route || w->resource_at == NONE || o->reloads) {
        return;
    }
    judge_names(o, w, route, f);
    bool fresh = w->arriving && w->attempt == 1 && o->counts.grants == o->grants_before;
    if (fresh && !o->shifting && !o->late) {
        judge_reasons(o, w, route, &f->grant.routed);
        if (route->accounts && !route->sticky) {
            judge_account(o, w, route);
        }
    }
}

/* --- Nothing left. --- */

bool is_exhausted(struct oracle *o, const struct waiter *w, const struct effect *f)
{
    const struct route *route = route_of(o, w);
    bool told = route && text_equal(f->refuse.routed.route, text_of(w->route)) &&
                f->refuse.finally == route->finally && f->refuse.routed.step == 0 &&
                f->refuse.static_answer == route->static_answer;
    for (size_t i = 0; told && i < route->steps_n; i++) {
        const char *reason = reason_of(o, &f->refuse.routed, route, i);
        const char *resource = o->policy->resources[route->steps[i].resource].name;
        bool waits = route->finally == FINALLY_REFUSE && w->attempt == 1 && reason &&
                     may_pass(o, w, resource, reason);
        told = reason && is_so(o, w, i, reason) && !waits;
        if (!told) {
            wrong(o, "P9: caller %llu: route %s is exhausted, step %zu for %s, which is not so",
                  (unsigned long long)w->caller, w->route, i + 1, reason ? reason : "nothing");
        }
    }
    return told;
}

/* --- Accounts. --- */

static size_t waiting_by_route(const struct oracle *o, const char *resource)
{
    size_t n = 0;
    for (size_t i = 0; i < o->waiters_n; i++) {
        n += o->waiters[i].route[0] && strcmp(o->waiters[i].resource, resource) == 0;
    }
    return n;
}

/* Whether a request that waits at one account could be granted at that one. */
static bool could_be_served(struct oracle *o, const struct waiter *w, const struct route *route,
                            size_t step)
{
    struct waiter t = at_resource(o, w, route->steps[step].resource);
    bool away = w->away || o->now_us < w->not_before_us || w->deadline_us <= o->now_us;
    return !away && w->attempt == 1 && w->asked_known && !w->parent &&
           t.resource_at != w->resource_at && w->resource_at != NONE &&
           !context_is_small(&route->steps[step], &t.load) && !health_may_cool(o, t.resource) &&
           !may_be_forgotten(&o->policy->resources[t.resource_at]) && fits_at_once(o, &t) &&
           waiting_by_route(o, w->resource) <= LOOKED_AT_MAX;
}

void judge_accounts(struct oracle *o)
{
    for (size_t i = 0; i < o->waiters_n && !o->draining && !o->reloads; i++) {
        const struct waiter *w = &o->waiters[i];
        const struct route *route = w->route[0] ? route_of(o, w) : NULL;
        for (size_t s = 0; route && route->accounts && s < route->steps_n; s++) {
            if (could_be_served(o, w, route, s)) {
                wrong(o, "P3: caller %llu waits at %s, and fits at account %zu, which idles",
                      (unsigned long long)w->caller, w->resource, s + 1);
            }
        }
    }
}
