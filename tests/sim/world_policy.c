#include "world_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

const char *const RESOURCES[RESOURCES_N] = {"alpha", "beta", "gamma"};
const char *const TENANTS[TENANTS_N] = {"", "a", "b", "c"};

/* Daylight saving begins and ends, twice: near each of the two times at which worlds begin. */
static const struct zone_change CHANGES[] = {
    {0, US_PER_H},
    {US_PER_H, 2 * US_PER_H},
    {3 * US_PER_H, US_PER_H},
    {INT64_C(1774746000) * US_PER_S, 2 * US_PER_H},
};
static const struct zone ZONE = {CHANGES, 4};

/* By this one also minutes and hours begin at other instants. */
static const struct zone_change ODD_CHANGES[] = {{0, 53 * US_PER_MIN + 28 * US_PER_S}};
static const struct zone ODD_ZONE = {ODD_CHANGES, 1};

static enum unit random_unit(struct random *r)
{
    static const enum unit UNITS[] = {UNIT_REQUESTS,     UNIT_TOKENS, UNIT_TOKENS,
                                      UNIT_INPUT_TOKENS, UNIT_SLOTS,  UNIT_OUTPUT_TOKENS,
                                      UNIT_USD};
    return PICK(r, UNITS);
}

static int64_t random_amount(struct random *r, enum unit unit)
{
    switch (unit) {
    case UNIT_REQUESTS: return random_in(r, 1, 12);
    case UNIT_SLOTS: return random_in(r, 1, 5);
    case UNIT_USD: return random_in(r, 1, 40) * PICOUSD_PER_USD / 7;
    default: return random_in(r, 20, 400);
    }
}

static void random_window(struct random *r, struct limit *l)
{
    static const int64_t PERS[] = {7, 1000, US_PER_S, 10 * US_PER_S, US_PER_MIN, 3 * US_PER_MIN};
    static const enum window_kind KINDS[] = {WINDOW_ROLLING, WINDOW_ROLLING,  WINDOW_BUCKET,
                                             WINDOW_NONE,    WINDOW_CALENDAR, WINDOW_LIFETIME};
    l->window = l->unit == UNIT_SLOTS ? WINDOW_NONE : PICK(r, KINDS);
    if (l->window == WINDOW_ROLLING || l->window == WINDOW_BUCKET) {
        l->per_us = PICK(r, PERS);
        l->guard_us = random_chance(r, 50) ? 0 : random_in(r, 0, l->per_us / 4);
        l->burst = random_in(r, 1, 2 * l->amount);
    }
    if (l->window == WINDOW_ROLLING && random_chance(r, 20)) {
        l->slice_us = max_i64(1, l->per_us / random_in(r, 2, 10));
    }
    if (l->window == WINDOW_CALENDAR) {
        l->step = (enum calendar_step)random_in(r, STEP_SECOND, STEP_DAY);
        l->zone = random_chance(r, 50) ? &ZONE : NULL;
    }
    if (l->window == WINDOW_LIFETIME) {
        l->amount *= 8;
    }
}

static void random_limit(struct world *w, struct limit *l, int number, bool scoped)
{
    struct random *r = &w->random;
    memset(l, 0, sizeof(*l));
    l->unit = random_unit(r);
    l->amount = random_amount(r, l->unit);
    random_window(r, l);
    if (w->zoned && l->window == WINDOW_ROLLING) {
        *l = (struct limit){.unit = l->unit, .amount = l->amount, .window = WINDOW_CALENDAR};
        l->step = (enum calendar_step)random_in(r, STEP_MINUTE, STEP_DAY);
    }
    snprintf(l->name, sizeof(l->name), "%s-%d", unit_name(l->unit), number);
    l->scope =
        scoped && random_chance(r, 50) ? (enum scope)random_in(r, 0, SCOPE_LABEL) : SCOPE_RESOURCE;
    if (l->scope == SCOPE_LABEL) {
        strcpy(l->label, "team");
    }
    l->exceed = random_chance(r, 12) ? EXCEED_REFUSE : EXCEED_WAIT;
    l->charge = random_chance(r, 30) ? CHARGE_AT_SETTLE : CHARGE_AT_GRANT;
    l->settle = (enum settle_rule)random_in(r, 0, 2);
    l->on_expire = (enum expire_rule)random_in(r, 0, 2);
    l->headroom_ppm = random_chance(r, 20) ? (int32_t)random_in(r, 0, 300000) : 0;
    l->warn_ppm = random_chance(r, 20) ? 800000 : 0;
}

static void random_reserves(struct random *r, struct resource *x)
{
    x->reserves_n = (size_t)random_in(r, 1, 2);
    for (size_t i = 0; i < x->reserves_n; i++) {
        x->reserves[i].share_ppm = (int32_t)random_in(r, 100000, 500000);
        if (random_chance(r, 50)) {
            strcpy(x->reserves[i].tenant, TENANTS[1 + i]);
        } else {
            x->reserves[i].priority = (int)random_in(r, 1, 4) + (int)i;
        }
    }
}

/* A pool's limits must agree in everything. */
static void add_pool(struct world *w, struct world_policy *p)
{
    struct random *r = &w->random;
    struct limit pool;
    random_limit(w, &pool, 90, random_chance(r, 20));
    pool.scope = pool.scope == SCOPE_MODEL ? SCOPE_RESOURCE : pool.scope;
    strcpy(pool.shared, "pool");
    for (size_t i = 0; i < p->policy.resources_n; i++) {
        struct resource *x = &p->resources[i];
        if (x->limits_n < 5 && random_chance(r, 80)) {
            x->limits[x->limits_n++] = pool;
        }
    }
}

static struct world_policy *new_policy(struct world *w)
{
    struct world_policy *p = calloc(1, sizeof(*p));
    w->policies = realloc(w->policies, (w->policies_n + 1) * sizeof(*w->policies));
    if (!p || !w->policies) {
        abort();
    }
    w->policies[w->policies_n++] = p;
    return p;
}

/* Mostly the default; rarely a resource that makes nothing up. */
static void add_estimates(struct world *w, struct world_policy *p)
{
    struct random *r = &w->guessing;
    for (size_t i = 0; w->guesses && i < p->policy.resources_n; i++) {
        bool usual = random_chance(r, 60);
        p->resources[i].output_percentile =
            usual ? OUTPUT_PERCENTILE_DEFAULT : (int32_t)random_in(r, 0, 99);
    }
}

static void random_resource(struct world *w, struct resource *x, const char *name, bool scoped,
                            bool ageing)
{
    struct random *r = &w->random;
    memset(x, 0, sizeof(*x));
    strcpy(x->name, name);
    strcpy(x->model, random_chance(r, 50) ? "m" : name);
    x->limits_n = (size_t)random_in(r, 1, 3);
    for (size_t i = 0; i < x->limits_n; i++) {
        random_limit(w, &x->limits[i], (int)i, scoped);
    }
    x->line_len_max = random_chance(r, 10) ? random_in(r, 1, 5) : 40;
    x->tenant_line_len_max = random_chance(r, 10) ? random_in(r, 1, 3) : 40;
    x->ageing_us = ageing && random_chance(r, 60) ? random_in(r, 1, 20) * US_PER_S : 0;
    if (random_chance(r, 25)) {
        random_reserves(r, x);
    }
}

/* --- Feedback and prices. --- */

/* Numbers of any size, and parts of it switched off. */
static void random_feedback(struct random *r, struct feedback *f)
{
    *f = feedback_default;
    if (random_chance(r, 50)) {
        return;
    }
    f->pause_us = random_chance(r, 10) ? 0 : random_in(r, 1, 5 * US_PER_S);
    f->backoff_us = random_chance(r, 10) ? 0 : random_in(r, 1, 5 * US_PER_S);
    f->backoff_us_max = f->backoff_us + random_in(r, 0, 60 * US_PER_S);
    f->ramp_us = random_chance(r, 20) ? 0 : random_in(r, 1, 60 * US_PER_S);
    f->slow_ppm = random_chance(r, 20) ? 0 : (int32_t)random_in(r, 100000, 999999);
    f->growth_ppm = (int32_t)random_in(r, 1000, 1000000);
    f->breaker_refusals = random_chance(r, 20) ? 0 : (int32_t)random_in(r, 1, 6);
    f->breaker_us = random_in(r, 1, 90 * US_PER_S);
    f->breaker_us_max = f->breaker_us + random_in(r, 0, 600 * US_PER_S);
    f->attempts_max = (int32_t)random_in(r, 0, 8);
    f->retry_share_ppm = (int32_t)random_in(r, 0, 1000000);
    f->money_probe_us = random_chance(r, 20) ? 0 : random_in(r, 1, US_PER_H);
    f->day_zone = random_chance(r, 50) ? &ZONE : NULL;
}

static void random_price(struct random *r, struct price *p)
{
    p->known = true;
    for (int i = 0; i < PARTS; i++) {
        p->of[i] = random_in(r, 0, 3) * PICOUSD_PER_USD / 300;
        p->over[i] = 2 * p->of[i];
    }
    p->tier_start = random_chance(r, 30) ? random_in(r, 1, 60) : 0;
    p->discount_ppm = random_chance(r, 20) ? (int32_t)random_in(r, 0, 1000000) : 0;
}

/* A resource as a storm finds it: what its provider answers has effects, and money counts. */
static void brace(struct random *r, struct resource *x)
{
    if (random_chance(r, 90)) {
        random_feedback(r, &x->feedback);
    }
    if (random_chance(r, 60)) {
        random_price(r, &x->price);
    }
    if (random_chance(r, 60) && x->limits_n < 5) {
        struct limit *l = &x->limits[x->limits_n++];
        *l = (struct limit){.name = "budget", .unit = UNIT_USD, .charge = CHARGE_AT_SETTLE};
        l->amount = random_in(r, 1, 40) * PICOUSD_PER_USD / 7;
        l->window = random_chance(r, 50) ? WINDOW_LIFETIME : WINDOW_CALENDAR;
        l->step = (enum calendar_step)random_in(r, STEP_MINUTE, STEP_DAY);
        l->exceed = random_chance(r, 50) ? EXCEED_REFUSE : EXCEED_WAIT;
        l->scope = random_chance(r, 30) ? SCOPE_SESSION : SCOPE_RESOURCE;
    }
}

/* --- Routes, and limits that nobody has configured. --- */

static void random_route(struct random *r, struct route *route, const char *name, size_t resources)
{
    static const char *const MODELS[] = {"", "", "small", "large"};
    *route = (struct route){.steps_n = (size_t)random_in(r, 1, (int64_t)resources)};
    strcpy(route->name, name);
    size_t first = (size_t)random_in(r, 0, (int64_t)resources - 1);
    for (size_t i = 0; i < route->steps_n; i++) {
        struct route_step *step = &route->steps[i];
        step->resource = (first + i) % resources;
        strcpy(step->model, PICK(r, MODELS));
        step->context_tokens = random_chance(r, 20) ? random_in(r, 20, 200) : 0;
        step->max_output_tokens = random_chance(r, 30) ? random_in(r, 1, 50) : 0;
        step->own_price = random_chance(r, 20);
        if (step->own_price) {
            random_price(r, &step->price);
        }
    }
    route->prefer = random_chance(r, 60) ? PREFER_FIRST : (enum prefer)random_in(r, 0, 1);
    route->finally = random_chance(r, 50) ? FINALLY_REFUSE : (enum finally)random_in(r, 1, 2);
    route->static_answer = route->finally == FINALLY_STATIC ? "come back later" : NULL;
    route->sticky = random_chance(r, 25);
}

static bool is_step(const struct route *route, size_t resource)
{
    for (size_t i = 0; i < route->steps_n; i++) {
        if (route->steps[i].resource == resource) {
            return true;
        }
    }
    return false;
}

/* Neighbours in a route that are accounts of a pool stand in one place of its order. */
static void stand_alike(struct route *route, const struct route *pool)
{
    for (size_t i = 1; i < route->steps_n; i++) {
        route->steps[i].alike =
            is_step(pool, route->steps[i].resource) && is_step(pool, route->steps[i - 1].resource);
    }
}

/* A route to several resources, and often a pool of accounts. */
static void add_routes(struct world *w, struct world_policy *p)
{
    static const char *const ACCOUNTS[] = {"one", "two", "three", "four"};
    struct random *r = &w->random;
    struct policy *policy = &p->policy;
    policy->routes = p->routes;
    random_route(r, &p->routes[policy->routes_n++], "chat", policy->resources_n);
    if (random_chance(r, 60)) {
        struct route *pool = &p->routes[policy->routes_n++];
        random_route(r, pool, "keys", policy->resources_n);
        pool->accounts = true;
        for (size_t i = 0; i < pool->steps_n; i++) {
            strcpy(p->resources[pool->steps[i].resource].account, ACCOUNTS[i]);
        }
        stand_alike(&p->routes[0], pool);
    }
    for (size_t i = 0; i < policy->resources_n; i++) {
        struct resource *x = &p->resources[i];
        x->cooldown_us = random_chance(r, 60) ? random_in(r, 1, 60) * US_PER_S : 0;
        x->price_given = !x->price.known && random_chance(r, 20);
        for (size_t k = 0; k < x->limits_n; k++) {
            bool goes_on = !x->limits[k].shared[0] && random_chance(r, 20);
            x->limits[k].exceed = goes_on ? EXCEED_DOWNGRADE : x->limits[k].exceed;
        }
        if (random_chance(r, 25) && x->limits_n < 6) {
            struct limit *l = &x->limits[x->limits_n++];
            random_limit(w, l, 80, false);
            l->scope = SCOPE_ROUTE;
            strcpy(l->label, p->routes[0].name);
        }
    }
}

/* `limits: from_provider`, beside some that are configured or instead of them. */
static void forget_limits(struct random *r, struct world_policy *p)
{
    for (size_t i = 0; i < p->policy.resources_n; i++) {
        struct resource *x = &p->resources[i];
        if (random_chance(r, 70)) {
            x->limits_n = x->reserves_n || random_chance(r, 50) ? x->limits_n : 0;
            resource_learn_limits(x, random_in(r, 0, US_PER_S));
        }
    }
}

/* What a reload makes of a period that goes on: with restarts, and by any zone, only where that is
 * the matter of the world. */
static void change_zone(struct world *w, struct limit *l)
{
    static const struct zone *const ZONES[] = {NULL, &ZONE, &ODD_ZONE};
    if (w->zoned && random_chance(&w->random, 40)) {
        l->zone = PICK(&w->random, ZONES);
    } else if (w->sets_back && !w->crashes && random_chance(&w->random, 20)) {
        l->zone = l->zone ? NULL : &ZONE;
    }
}

/* A pool's limits go by one zone in all resources. Of one with scopes it shows nowhere by which
 * zone the period of a counter began that nothing has been charged to. */
static void change_pool_zone(struct world *w, struct policy *p)
{
    struct limit *first = NULL;
    for (size_t i = 0; i < p->resources_n; i++) {
        for (size_t k = 0; k < p->resources[i].limits_n; k++) {
            struct limit *l = &p->resources[i].limits[k];
            if (l->window != WINDOW_CALENDAR || !l->shared[0] || l->scope != SCOPE_RESOURCE) {
                continue;
            }
            if (!first) {
                change_zone(w, l);
                first = l;
            }
            l->zone = first->zone;
        }
    }
}

static void fix_calendars(struct world *w, struct policy *p, bool change)
{
    for (size_t i = 0; (w->sets_back || w->zoned) && i < p->resources_n; i++) {
        for (size_t k = 0; k < p->resources[i].limits_n; k++) {
            struct limit *l = &p->resources[i].limits[k];
            bool whole = l->window == WINDOW_CALENDAR && !l->shared[0];
            if (l->window == WINDOW_CALENDAR && !w->scopes_days) {
                l->scope = SCOPE_RESOURCE;
                l->label[0] = 0;
            }
            if (whole && change && l->scope == SCOPE_RESOURCE) {
                change_zone(w, l);
            }
        }
    }
    if (w->zoned && change) {
        change_pool_zone(w, p);
    }
}

/* Headroom must leave something. */
static void fix_headroom(struct policy *p)
{
    struct policy_error why;
    for (size_t i = 0; i < p->resources_n; i++) {
        for (size_t k = 0; k < p->resources[i].limits_n; k++) {
            struct limit *l = &p->resources[i].limits[k];
            l->headroom_ppm = l->amount < 2 ? 0 : l->headroom_ppm;
        }
    }
    if (policy_check(p, &why) != 0) {
        fprintf(stderr, "a policy of the world's own is refused: %s\n", why.problem);
        abort();
    }
}

/* In whose words a worker tells what was answered, which only the API reads. */
static void name_providers(struct world *w, struct world_policy *p)
{
    static const char *const PROVIDERS[] = {"", "", "openai", "anthropic", "azure", "mistral"};
    struct random r = {w->provider.seed ^ UINT64_C(0x776f726473)};
    for (size_t i = 0; i < p->policy.resources_n; i++) {
        strcpy(p->resources[i].provider, PICK(&r, PROVIDERS));
    }
}

struct world_policy *world_policy_random(struct world *w)
{
    struct random *r = &w->random;
    struct world_policy *p = new_policy(w);
    bool scoped = random_chance(r, 50);
    bool ageing = random_chance(r, 25) && !w->late_ticks; /* late, order is by what was known */
    p->policy.resources = p->resources;
    p->policy.weights = p->weights;
    p->policy.resources_n = (size_t)random_in(r, 1, 3);
    for (size_t i = 0; i < p->policy.resources_n; i++) {
        random_resource(w, &p->resources[i], RESOURCES[i], scoped, ageing);
        if (w->stormy) {
            brace(r, &p->resources[i]);
        }
    }
    add_estimates(w, p);
    w->pools = random_chance(r, 40);
    if (w->pools) {
        add_pool(w, p);
    }
    if (w->unknown) {
        forget_limits(r, p);
    }
    if (w->routed) {
        add_routes(w, p);
    }
    if (w->stormy && w->api) {
        name_providers(w, p);
    }
    p->policy.weights_n = random_chance(r, 50) ? 2 : 0;
    for (size_t i = 0; i < p->policy.weights_n; i++) {
        strcpy(p->weights[i].tenant, TENANTS[1 + i]);
        p->weights[i].weight = (int32_t)random_in(r, 1, 5);
    }
    p->policy.leases_max = random_chance(r, 5) ? random_in(r, 3, 30) : 100000;
    p->policy.counters_max = 100000;
    fix_calendars(w, &p->policy, false);
    fix_headroom(&p->policy);
    return p;
}

/* --- Limits that count something else under their names. --- */

static bool counts_alike(const struct limit *a, const struct limit *b)
{
    return a->unit == b->unit && a->window == b->window && a->scope == b->scope &&
           (a->window != WINDOW_CALENDAR || a->step == b->step);
}

/* Whether a limit of that resource and name has counted the same before: its record is found again
 * then, and goes on, which nobody but an operator who wanted that can tell from a new one. */
static bool was_before(const struct world *w, const struct resource *x, const struct limit *l)
{
    for (size_t i = 0; i < w->policies_n; i++) {
        const struct policy *p = &w->policies[i]->policy;
        for (size_t r = 0; r < RESOURCES_N; r++) {
            const struct resource *y = &w->policies[i]->resources[r];
            for (size_t k = 0; p->resources && strcmp(x->name, y->name) == 0 && k < y->limits_n;
                 k++) {
                if (strcmp(y->limits[k].name, l->name) == 0 && counts_alike(&y->limits[k], l)) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* Of rolling windows only to one that is as finely cut: what is in the log stays cut as it is. */
static void shift_length(struct random *r, struct limit *l)
{
    int64_t granule_us = max_i64(1, l->per_us / 131072);
    int64_t least_us = granule_us == 1 ? 7 : granule_us * 131072;
    l->per_us = random_in(r, least_us, (granule_us + 1) * 131072 - 1);
    l->guard_us = min_i64(l->guard_us, l->per_us / 4);
    l->slice_us = 0;
}

static void shift_limit(struct world *w, const struct resource *x, struct limit *l)
{
    struct random *r = &w->random;
    if ((l->window == WINDOW_ROLLING || l->window == WINDOW_BUCKET) && random_chance(r, 40)) {
        shift_length(r, l);
        return;
    }
    struct limit other = *l;
    other.unit = random_chance(r, 50) ? l->unit : random_unit(r);
    other.amount = random_amount(r, other.unit);
    other.step = STEP_SECOND;
    other.per_us = other.guard_us = other.burst = other.slice_us = 0;
    other.zone = NULL;
    random_window(r, &other);
    if (!was_before(w, x, &other)) {
        *l = other;
    }
}

static void shift_limits(struct world *w, struct policy *p)
{
    for (size_t i = 0; i < p->resources_n; i++) {
        struct resource *x = &p->resources[i];
        for (size_t k = 0; k < x->limits_n; k++) {
            struct limit *l = &x->limits[k];
            bool may = !l->shared[0] && !l->learned && l->scope != SCOPE_ROUTE;
            if (may && random_chance(&w->random, 25)) {
                shift_limit(w, x, l);
            }
        }
    }
}

struct world_policy *world_policy_changed(struct world *w)
{
    struct random *r = &w->random;
    struct world_policy *p = new_policy(w);
    *p = *w->policy;
    p->policy.resources = p->resources;
    p->policy.weights = p->weights;
    p->policy.routes = p->routes;
    for (size_t i = 0; i < p->policy.resources_n; i++) {
        struct resource *x = &p->resources[i];
        for (size_t k = 0; k < x->limits_n; k++) {
            struct limit *l = &x->limits[k];
            if (!l->shared[0] && !l->learned && random_chance(r, 30)) {
                l->amount = random_amount(r, l->unit) * (l->window == WINDOW_LIFETIME ? 8 : 1);
                l->burst = l->window == WINDOW_BUCKET ? random_in(r, 1, 2 * l->amount) : 0;
            }
        }
        if (x->limits_n > 1 && !x->limits[x->limits_n - 1].shared[0] && random_chance(r, 20)) {
            x->limits_n--;
        }
        if (x->limits_n < 5 && random_chance(r, 20) && (!w->crashes || w->rough)) {
            random_limit(w, &x->limits[x->limits_n++], 100 + (int)w->policies_n, true);
        }
    }
    bool may_go = !w->stormy && (w->rough || (!w->crashes && !w->pools));
    if (p->policy.resources_n > 1 && random_chance(r, 15) && may_go) {
        p->policy.resources_n--;
    }
    if (w->shifty) {
        shift_limits(w, &p->policy);
    }
    fix_calendars(w, &p->policy, true);
    fix_headroom(&p->policy);
    return p;
}
