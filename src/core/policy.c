#include "core/policy.h"

#include <string.h>

#include "base/error.h"
#include "base/num.h"

const char *unit_name(enum unit unit)
{
    static const char *const names[UNIT_COUNT] = {
        [UNIT_REQUESTS] = "requests",
        [UNIT_TOKENS] = "tokens",
        [UNIT_INPUT_TOKENS] = "input_tokens",
        [UNIT_OUTPUT_TOKENS] = "output_tokens",
        [UNIT_SLOTS] = "slots",
        [UNIT_USD] = "usd",
    };
    return names[unit];
}

static char *add_word(char *at, const char *before, const char *word)
{
    size_t before_len = strlen(before), len = strlen(word);
    memcpy(at, before, before_len);
    memcpy(at + before_len, word, len + 1);
    return at + before_len + len;
}

void limit_counts(const struct limit *limit, char counts[COUNTS_LEN_MAX + 1])
{
    static const char *const windows[] = {" none", " rolling", " bucket", " calendar", " lifetime"};
    static const char *const steps[] = {" second", " minute", " hour", " day", " month"};
    static const char *const scopes[] = {"", " tenant", " session", " model", " label", " route"};
    char *at = add_word(counts, "", unit_name(limit->unit));
    at = add_word(at, windows[limit->window], "");
    at = add_word(at, limit->window == WINDOW_CALENDAR ? steps[limit->step] : "", "");
    at = add_word(at, scopes[limit->scope], "");
    add_word(at, limit->label[0] ? " " : "", limit->label);
}

bool limit_continues(const struct limit *limit, struct text counts)
{
    char now[COUNTS_LEN_MAX + 1];
    limit_counts(limit, now);
    return counts.len == 0 || text_equal(text_of(now), counts);
}

/* A name fills its array at most up to the final zero. */
static bool is_name(const char name[NAME_LEN_MAX + 1])
{
    return name[0] != '\0' && memchr(name, '\0', NAME_LEN_MAX + 1) != NULL;
}

static bool ends(const char name[NAME_LEN_MAX + 1])
{
    return memchr(name, '\0', NAME_LEN_MAX + 1) != NULL;
}

static const char *zone_problem(const struct zone *z)
{
    if (!z) {
        return NULL;
    }
    if (z->changes_n == 0) {
        return "a zone has no offset";
    }
    for (size_t i = 1; i < z->changes_n; i++) {
        if (z->changes[i].at_us <= z->changes[i - 1].at_us) {
            return "a zone's changes are not in order of time";
        }
    }
    return NULL;
}

static const char *window_problem(const struct limit *l)
{
    switch (l->window) {
    case WINDOW_ROLLING:
    case WINDOW_BUCKET:
        if (l->per_us < 1 || l->per_us > PER_US_MAX) {
            return "the window's length is out of range";
        }
        if (l->guard_us < 0 || l->guard_us > l->per_us) {
            return "the guard is longer than the window";
        }
        if (l->window == WINDOW_BUCKET && l->burst < 1) {
            return "a bucket has no burst";
        }
        return NULL;
    case WINDOW_CALENDAR:
        if (l->step < STEP_SECOND || l->step > STEP_MONTH) {
            return "the step of the calendar is unknown";
        }
        return zone_problem(l->zone);
    case WINDOW_NONE:
    case WINDOW_LIFETIME: return NULL;
    }
    return "the window's kind is unknown";
}

static const char *rule_problem(const struct limit *l)
{
    if (l->unit < 0 || l->unit >= UNIT_COUNT) {
        return "the unit is unknown";
    }
    if (l->unit == UNIT_SLOTS && l->window != WINDOW_NONE) {
        return "slots have no window";
    }
    if (l->scope < SCOPE_RESOURCE || l->scope > SCOPE_ROUTE) {
        return "the scope is unknown";
    }
    if (l->scope == SCOPE_ROUTE && l->label[0] == '\0') {
        return "the scope of a route names no route";
    }
    bool labelled = l->scope != SCOPE_ROUTE && l->label[0] != '\0';
    if ((l->scope == SCOPE_LABEL) != labelled || !ends(l->label)) {
        return "a label's key belongs to a label's scope";
    }
    if (l->exceed < EXCEED_WAIT || l->exceed > EXCEED_DOWNGRADE || l->charge < CHARGE_AT_GRANT ||
        l->charge > CHARGE_AT_SETTLE || l->settle < SETTLE_TRUE_UP || l->settle > SETTLE_KEEP ||
        l->on_expire < EXPIRE_FULL || l->on_expire > EXPIRE_NOTHING) {
        return "a rule is unknown";
    }
    return NULL;
}

static const char *amount_problem(const struct limit *l)
{
    int64_t max = l->unit == UNIT_USD ? USD_AMOUNT_MAX : AMOUNT_MAX;
    if (l->learned ? l->amount != 0 : l->amount < 1 || l->amount > max) {
        return "the amount is out of range";
    }
    if (l->burst < 0 || l->burst > max) {
        return "the burst is out of range";
    }
    if (l->headroom_ppm < 0 || l->headroom_ppm > 999999) {
        return "the headroom is out of range";
    }
    if (!l->learned && (int128)l->amount * (1000000 - l->headroom_ppm) < 1000000) {
        return "the headroom leaves nothing";
    }
    if (l->warn_ppm < 0 || l->warn_ppm > 1000000) {
        return "the warning's share is out of range";
    }
    if (l->slice_us < 0 ||
        (l->slice_us > 0 && (l->window != WINDOW_ROLLING || l->slice_us > l->per_us))) {
        return "only a rolling window is paced, in slices shorter than itself";
    }
    return NULL;
}

static const char *limit_problem(const struct limit *l)
{
    if (!is_name(l->name) || !ends(l->shared)) {
        return "a limit has no name";
    }
    if (l->learned && (l->scope != SCOPE_RESOURCE || l->shared[0] || l->unit == UNIT_USD)) {
        return "only what a provider tells of one whole resource is learned";
    }
    const char *problem = rule_problem(l);
    problem = problem ? problem : amount_problem(l);
    return problem ? problem : window_problem(l);
}

static const char *reserve_problem(const struct resource *r)
{
    int64_t sum = 0;
    if (r->reserves_n > RESERVES_MAX) {
        return "too many reserves";
    }
    for (size_t i = 0; i < r->reserves_n; i++) {
        const struct reserve *v = &r->reserves[i];
        bool for_tenant = v->tenant[0] != '\0';
        if (!ends(v->tenant) || for_tenant == (v->priority != 0) || v->priority < 0 ||
            v->priority > PRIORITY_MAX) {
            return "a reserve is for a tenant or for a priority";
        }
        if (v->share_ppm < 1 || v->share_ppm > 1000000) {
            return "a reserve's share is out of range";
        }
        sum += v->share_ppm;
    }
    return sum > 1000000 ? "the reserves add up to more than all" : NULL;
}

static const char *resource_problem(const struct resource *r)
{
    if (!is_name(r->name) || !is_name(r->model) || !ends(r->provider) || !ends(r->account)) {
        return "a resource has no name or no model";
    }
    if (r->limits_n > RESOURCE_LIMITS_MAX) {
        return "too many limits";
    }
    if (r->cooldown_us < 0) {
        return "the time to cool down is out of range";
    }
    if (r->ageing_us < 0 || r->line_len_max < 1 || r->tenant_line_len_max < 1) {
        return "a line's length or its ageing is out of range";
    }
    if (r->slots_min < 0 || r->slots_min > r->slots_max || r->slots_max > SLOTS_MAX ||
        (r->slots_max > 0 && r->slots_min == 0)) {
        return "the range of the concurrency is out of range";
    }
    if (r->output_percentile < 0 || r->output_percentile > 99) {
        return "the percentile is out of range";
    }
    return reserve_problem(r);
}

/* --- Limits to be learned. --- */

static bool has_limit(const struct resource *r, const struct limit *like)
{
    for (size_t i = 0; i < r->limits_n; i++) {
        const struct limit *l = &r->limits[i];
        bool same_window = l->window == WINDOW_CALENDAR
                               ? like->window == WINDOW_CALENDAR && l->step == like->step
                               : l->per_us == like->per_us;
        if (strcmp(l->name, like->name) == 0 ||
            (l->scope == SCOPE_RESOURCE && l->unit == like->unit && same_window)) {
            return true;
        }
    }
    return false;
}

void resource_learn_limits(struct resource *r, int64_t guard_us)
{
    static const struct limit told[] = {
        {.name = "concurrency", .unit = UNIT_SLOTS},
        {.name = "rps", .unit = UNIT_REQUESTS, .window = WINDOW_ROLLING, .per_us = US_PER_S},
        {.name = "rpm", .unit = UNIT_REQUESTS, .window = WINDOW_ROLLING, .per_us = US_PER_MIN},
        {.name = "rpd", .unit = UNIT_REQUESTS, .window = WINDOW_ROLLING, .per_us = US_PER_DAY},
        {.name = "tpm", .unit = UNIT_TOKENS, .window = WINDOW_ROLLING, .per_us = US_PER_MIN},
        {.name = "tpd", .unit = UNIT_TOKENS, .window = WINDOW_ROLLING, .per_us = US_PER_DAY},
        {.name = "tpmonth", .unit = UNIT_TOKENS, .window = WINDOW_CALENDAR, .step = STEP_MONTH},
        {.name = "itpm", .unit = UNIT_INPUT_TOKENS, .window = WINDOW_ROLLING, .per_us = US_PER_MIN},
        {.name = "otpm",
         .unit = UNIT_OUTPUT_TOKENS,
         .window = WINDOW_ROLLING,
         .per_us = US_PER_MIN},
    };
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        if (r->limits_n == RESOURCE_LIMITS_MAX || has_limit(r, &told[i])) {
            continue;
        }
        struct limit *l = &r->limits[r->limits_n++];
        *l = told[i];
        l->learned = true;
        l->guard_us = l->window == WINDOW_ROLLING ? min_i64(guard_us, l->per_us / 4) : 0;
    }
}

/* --- Clashes. --- */

static bool same_text(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* Whether two limits count the same in the same way: what a pool asks of its members. */
static bool limits_agree(const struct limit *a, const struct limit *b)
{
    return a->unit == b->unit && a->window == b->window && a->step == b->step &&
           a->scope == b->scope && a->exceed == b->exceed && a->charge == b->charge &&
           a->settle == b->settle && a->on_expire == b->on_expire && a->amount == b->amount &&
           a->per_us == b->per_us && a->burst == b->burst && a->guard_us == b->guard_us &&
           a->slice_us == b->slice_us && a->headroom_ppm == b->headroom_ppm &&
           a->warn_ppm == b->warn_ppm && a->learned == b->learned &&
           same_text(a->label, b->label) && a->zone == b->zone;
}

/* The first limit of the pool in the policy. */
static const struct limit *pool_first(const struct policy *p, const char *pool)
{
    for (size_t i = 0; i < p->resources_n; i++) {
        for (size_t j = 0; j < p->resources[i].limits_n; j++) {
            if (same_text(p->resources[i].limits[j].shared, pool)) {
                return &p->resources[i].limits[j];
            }
        }
    }
    return NULL;
}

/* A limit against those before it in its resource, and against the rest of its pool. */
static const char *clash(const struct policy *p, const struct resource *r, size_t j)
{
    const struct limit *l = &r->limits[j];
    for (size_t k = 0; k < j; k++) {
        if (same_text(r->limits[k].name, l->name)) {
            return "two limits of a resource have the same name";
        }
        if (l->shared[0] && same_text(r->limits[k].shared, l->shared)) {
            return "a resource names a pool twice";
        }
    }
    if (l->shared[0] && !limits_agree(pool_first(p, l->shared), l)) {
        return "the limits of a pool do not agree";
    }
    return NULL;
}

static int report(struct policy_error *error, const char *resource, const char *limit,
                  const char *problem)
{
    if (!problem) {
        return 0;
    }
    *error = (struct policy_error){resource, limit, problem};
    return ERR_INVALID_REQUEST;
}

static int check_resource(const struct policy *p, size_t i, struct policy_error *error)
{
    const struct resource *r = &p->resources[i];
    int bad = report(error, r->name, NULL, resource_problem(r));
    for (size_t k = 0; !bad && k < i; k++) {
        bad = report(error, r->name, NULL,
                     same_text(p->resources[k].name, r->name) ? "two resources have the same name"
                                                              : NULL);
    }
    for (size_t j = 0; !bad && j < r->limits_n; j++) {
        const char *problem = limit_problem(&r->limits[j]);
        bad = report(error, r->name, r->limits[j].name, problem ? problem : clash(p, r, j));
    }
    return bad;
}

/* --- Routes. --- */

static bool is_route(const struct policy *p, const char *name)
{
    for (size_t i = 0; i < p->routes_n; i++) {
        if (same_text(p->routes[i].name, name)) {
            return true;
        }
    }
    return false;
}

static const char *step_problem(const struct policy *p, const struct route *r, size_t i)
{
    const struct route_step *step = &r->steps[i];
    if (step->resource >= p->resources_n || !ends(step->model)) {
        return "a step names no resource";
    }
    if (step->alike && i == 0) {
        return "a first step is an account of the same pool as the one before";
    }
    if (step->context_tokens < 0 || step->max_output_tokens < 0) {
        return "a step's context or its output is out of range";
    }
    for (size_t k = 0; k < i; k++) {
        if (r->steps[k].resource == step->resource) {
            return "a route names a resource twice";
        }
    }
    return NULL;
}

static const char *route_problem(const struct policy *p, const struct route *r)
{
    if (!is_name(r->name) || r->steps_n < 1 || r->steps_n > ROUTE_STEPS_MAX) {
        return "a route has a name and a few steps";
    }
    if (r->prefer < PREFER_FIRST || r->prefer > PREFER_FASTEST || r->finally < FINALLY_REFUSE ||
        r->finally > FINALLY_STATIC) {
        return "a preference or an end is unknown";
    }
    if ((r->finally == FINALLY_STATIC) != (r->static_answer != NULL)) {
        return "a static answer belongs to a route that ends in one";
    }
    const char *problem = NULL;
    for (size_t i = 0; !problem && i < r->steps_n; i++) {
        problem = step_problem(p, r, i);
    }
    return problem;
}

/* A resource is an account of one pool at most. */
static bool shares_account(const struct route *a, const struct route *b)
{
    for (size_t i = 0; a->accounts && b->accounts && i < a->steps_n * b->steps_n; i++) {
        if (a->steps[i / b->steps_n].resource == b->steps[i % b->steps_n].resource) {
            return true;
        }
    }
    return false;
}

static const char *route_clash(const struct policy *p, size_t i)
{
    for (size_t k = 0; k < p->resources_n; k++) {
        if (same_text(p->resources[k].name, p->routes[i].name)) {
            return "a route has the name of a resource";
        }
    }
    for (size_t k = 0; k < i; k++) {
        if (same_text(p->routes[k].name, p->routes[i].name)) {
            return "two routes have the same name";
        }
        if (shares_account(&p->routes[k], &p->routes[i])) {
            return "a resource is an account of two pools";
        }
    }
    return NULL;
}

static int check_routes(const struct policy *p, struct policy_error *error)
{
    int bad = 0;
    for (size_t i = 0; !bad && i < p->routes_n; i++) {
        const char *problem = route_problem(p, &p->routes[i]);
        bad = report(error, p->routes[i].name, NULL, problem ? problem : route_clash(p, i));
    }
    for (size_t i = 0; !bad && i < p->resources_n; i++) {
        const struct resource *r = &p->resources[i];
        for (size_t j = 0; !bad && j < r->limits_n; j++) {
            const struct limit *l = &r->limits[j];
            bool lost = l->scope == SCOPE_ROUTE && !is_route(p, l->label);
            bad = report(error, r->name, l->name, lost ? "no route has that name" : NULL);
        }
    }
    return bad;
}

int policy_check(const struct policy *p, struct policy_error *error)
{
    if (p->leases_max < 1 || p->counters_max < 1) {
        return report(error, NULL, NULL, "the caps on leases and counters must be above 0");
    }
    for (size_t i = 0; i < p->weights_n; i++) {
        const struct tenant_weight *w = &p->weights[i];
        if (!ends(w->tenant) || w->weight < 1 || w->weight > WEIGHT_MAX) {
            return report(error, NULL, NULL, "a tenant's weight is out of range");
        }
    }
    int bad = 0;
    for (size_t i = 0; !bad && i < p->resources_n; i++) {
        bad = check_resource(p, i, error);
    }
    return bad ? bad : check_routes(p, error);
}
