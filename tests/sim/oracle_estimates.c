#include "oracle_estimates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/view.h"
#include "oracle_health.h"
#include "oracle_routes.h"

#define MILLION      INT64_C(1000000)
#define VALUE_MAX    ((INT64_C(1) << 24) - 1)
#define MADE_UP      4
#define MADE_UP_EACH 1024
#define OWN_MIN      16 /* calls of a tenant, before they count alone */
#define COST_SHARE   99

enum kind { INPUT, OUTPUT, RATIO };

struct range {
    int64_t low, high;
};

bool is_guessed(const struct oracle *o, const struct waiter *w, size_t resource)
{
    const struct resource *r = resource == NONE ? NULL : &o->policy->resources[resource];
    if (!r || r->output_percentile == 0 || (w->has_input && w->has_output)) {
        return false;
    }
    bool counts = w->input_bytes > 0 || has_price(o, resource, w->route);
    for (size_t l = 0; l < r->limits_n; l++) {
        counts = counts || (r->limits[l].unit != UNIT_REQUESTS && r->limits[l].unit != UNIT_SLOTS);
    }
    return counts;
}

/* --- What was used. --- */

static struct sample *add_sample(struct oracle *o, const char *resource)
{
    ROOM(o, samples);
    struct sample *s = &o->samples[o->samples_n++];
    memset(s, 0, sizeof(*s));
    snprintf(s->resource, sizeof(s->resource), "%s", resource);
    return s;
}

/* From which of the samples on a resource has learned. */
static size_t learned_from(const struct oracle *o, const char *resource)
{
    for (size_t i = 0; i < o->samples_n; i++) {
        if (o->samples[i].begins && strcmp(o->samples[i].resource, resource) == 0) {
            return i;
        }
    }
    return o->samples_n;
}

void estimates_begin(struct oracle *o, const struct waiter *w)
{
    if (is_guessed(o, w, w->resource_at) && learned_from(o, w->resource) == o->samples_n) {
        add_sample(o, w->resource)->begins = true;
    }
}

static bool is_ok(const struct event *e)
{
    return !e->release.answer || e->release.answer->class == ANSWER_OK;
}

void estimates_learn(struct oracle *o, const struct event *e, const struct effects *effects)
{
    const struct fact *f = e->kind == EVENT_RELEASE ? find_fact(o, e->release.lease) : NULL;
    bool first = f && (f->end == END_OPEN || (f->end == END_EXPIRED && !f->late));
    const struct load *u = &e->release.usage;
    if (!first || !release_is_settled(e, effects) || !e->release.has_usage || !is_ok(e) ||
        u->of[UNIT_TOKENS] == 0 ||
        u->of[UNIT_INPUT_TOKENS] + u->of[UNIT_OUTPUT_TOKENS] != u->of[UNIT_TOKENS]) {
        return;
    }
    struct sample *s = add_sample(o, f->resource);
    s->bytes = f->input_bytes;
    s->input = u->of[UNIT_INPUT_TOKENS];
    s->output = u->of[UNIT_OUTPUT_TOKENS];
    memcpy(s->tenant, f->tenant, sizeof(s->tenant));
}

/* --- What follows. --- */

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Where a route may have looked at a resource unseen, it is not known what it has learned. */
static bool is_vague(const struct oracle *o)
{
    return o->policy->routes_n > 0 || o->late;
}

/* Of one tenant, or of all where that is NULL. */
static size_t values_of(const struct oracle *o, const struct waiter *w, enum kind kind,
                        const char *tenant, int64_t *values)
{
    size_t n = 0, first = is_vague(o) ? 0 : learned_from(o, w->resource);
    for (; !tenant && n < MADE_UP; n++) {
        values[n] = kind == RATIO ? MILLION / 2 : MADE_UP_EACH;
    }
    for (size_t i = first; i < o->samples_n; i++) {
        const struct sample *s = &o->samples[i];
        if (s->begins || strcmp(s->resource, w->resource) != 0 ||
            (tenant && strcmp(s->tenant, tenant) != 0) || (kind == RATIO && s->bytes == 0)) {
            continue;
        }
        int64_t value = kind == INPUT    ? s->input
                        : kind == OUTPUT ? s->output
                                         : mul_div_sat(s->input, MILLION, s->bytes);
        values[n++] = min_i64(value, VALUE_MAX);
    }
    qsort(values, n, sizeof(*values), by_size);
    return n;
}

/* The bucket of the core's in which a value lies is at most a sixteenth of it wide. */
static struct range around(int64_t low, int64_t high)
{
    return (struct range){low - low / 16, high + high / 16 + 1};
}

static struct range share_of(const int64_t *values, size_t n, int64_t percent, bool vague)
{
    size_t place = (n * (size_t)percent + 99) / 100;
    size_t low = vague || place < 3 ? 0 : place - 3;
    size_t high = vague || place + 1 > n ? n - 1 : place;
    return around(values[low], values[high]);
}

static struct range widest(struct range a, struct range b)
{
    return (struct range){min_i64(a.low, b.low), max_i64(a.high, b.high)};
}

/* By the tenant's own calls, by everyone's, or either where they are just enough. */
static struct range estimate_of(const struct oracle *o, const struct waiter *w, enum kind kind,
                                int64_t percent)
{
    int64_t *values = calloc(o->samples_n + MADE_UP, sizeof(*values));
    bool vague = is_vague(o);
    size_t own_n = values_of(o, w, kind, w->tenant, values);
    bool own = kind != RATIO && own_n >= OWN_MIN - 1;
    struct range by_own = own ? share_of(values, own_n, percent, vague) : (struct range){0, 0};
    size_t all_n = values_of(o, w, kind, NULL, values);
    struct range by_all = share_of(values, all_n, percent, vague);
    free(values);
    return !own ? by_all : own_n > OWN_MIN && !vague ? by_own : widest(by_own, by_all);
}

/* --- What the limits leave of it. --- */

static int64_t most_of(const struct oracle *o, const struct waiter *w, enum unit unit)
{
    const struct resource *r = &o->policy->resources[w->resource_at];
    int64_t most = AMOUNT_MAX;
    for (size_t l = 0; l < r->limits_n; l++) {
        if (r->limits[l].unit == unit) {
            most = min_i64(most, limit_most(&r->limits[l]));
        }
    }
    return most;
}

static int64_t input_for(const struct oracle *o, const struct waiter *w, int64_t input)
{
    int64_t most = most_of(o, w, UNIT_TOKENS);
    if (w->has_input) {
        return w->asked.of[UNIT_INPUT_TOKENS];
    }
    if (w->input_bytes > 0) {
        input = mul_div_sat(w->input_bytes, input, MILLION) + 1;
    }
    input = min_i64(input, min_i64(most, most_of(o, w, UNIT_INPUT_TOKENS)));
    return w->has_output ? min_i64(input, max_i64(0, most - w->asked.of[UNIT_OUTPUT_TOKENS]))
                         : input;
}

static int64_t output_for(const struct oracle *o, const struct waiter *w, int64_t output,
                          int64_t input)
{
    int64_t most = most_of(o, w, UNIT_OUTPUT_TOKENS);
    int64_t left = max_i64(0, most_of(o, w, UNIT_TOKENS) - input);
    if (w->has_output) {
        return w->asked.of[UNIT_OUTPUT_TOKENS];
    }
    return min_i64(output, min_i64(most, left));
}

/* The least and the most that may be held. */
static void bounds_of(const struct oracle *o, const struct waiter *w, int64_t percent,
                      struct load *low, struct load *high)
{
    struct range in = estimate_of(o, w, w->input_bytes > 0 ? RATIO : INPUT, percent);
    struct range out = estimate_of(o, w, OUTPUT, percent);
    int64_t cap = step_cap(o, w, w->resource_at);
    bool learned = has_learned(o, w->resource); /* limits may be smaller than they say */
    int64_t in_low = learned && !w->has_input ? 0 : input_for(o, w, in.low);
    int64_t in_high = input_for(o, w, in.high);
    int64_t out_low = output_for(o, w, out.low, in_high);
    int64_t out_high = output_for(o, w, out.high, in_low);
    out_low = learned && !w->has_output ? 0 : out_low;
    out_low = cap > 0 ? min_i64(out_low, cap) : out_low;
    out_high = cap > 0 ? min_i64(out_high, cap) : out_high;
    low->of[UNIT_INPUT_TOKENS] = in_low;
    high->of[UNIT_INPUT_TOKENS] = in_high;
    low->of[UNIT_OUTPUT_TOKENS] = out_low;
    high->of[UNIT_OUTPUT_TOKENS] = out_high;
    low->of[UNIT_TOKENS] = in_low + out_low;
    high->of[UNIT_TOKENS] = in_high + out_high;
}

static bool within(const struct load *told, const struct load *low, const struct load *high,
                   enum unit unit)
{
    return told->of[unit] >= low->of[unit] && told->of[unit] <= high->of[unit];
}

/* A cost is held by what nearly all calls keep to. */
static void cost_bounds(const struct oracle *o, const struct waiter *w, struct load *low,
                        struct load *high)
{
    struct load least = w->asked, most = w->asked;
    int64_t percent = o->policy->resources[w->resource_at].output_percentile;
    bounds_of(o, w, max_i64(COST_SHARE, percent), &least, &most);
    low->of[UNIT_USD] = worst_cost_at(o, w->resource_at, w->route, &least);
    high->of[UNIT_USD] = worst_cost_at(o, w->resource_at, w->route, &most);
}

void judge_estimate(struct oracle *o, const struct waiter *w, const struct load *told)
{
    struct load low = w->asked, high = w->asked;
    bounds_of(o, w, o->policy->resources[w->resource_at].output_percentile, &low, &high);
    if (!w->has_usd && has_price(o, w->resource_at, w->route)) {
        cost_bounds(o, w, &low, &high);
    } else if (!w->has_usd) {
        low.of[UNIT_USD] = high.of[UNIT_USD] = 0;
    }
    bool adds_up =
        told->of[UNIT_INPUT_TOKENS] + told->of[UNIT_OUTPUT_TOKENS] == told->of[UNIT_TOKENS];
    for (int u = 0; u < UNIT_COUNT; u++) {
        if (!adds_up || !within(told, &low, &high, (enum unit)u)) {
            wrong(o, "estimate: caller %llu asks %lld %s of %s, and is held for %lld to %lld",
                  (unsigned long long)w->caller, (long long)told->of[u], unit_name((enum unit)u),
                  w->resource, (long long)low.of[u], (long long)high.of[u]);
        }
    }
}

/* --- What is told of it. --- */

void estimate_locate(struct oracle *o, const struct effects *effects, struct waiter *w)
{
    struct request_view v;
    uint64_t ticket = 0;
    const struct load *told = NULL;
    for (size_t i = 0; i < effects->len; i++) {
        const struct effect *f = &effects->at[i];
        bool here = f->caller == w->caller;
        told = here && f->kind == EFFECT_GRANT ? &f->grant.held : told;
        ticket = here && f->kind == EFFECT_WAIT ? f->wait.ticket : ticket;
    }
    if (!told && core_request_view(o->core, ticket ? 0 : w->caller, ticket, &v)) {
        told = &v.load;
    }
    w->untold = !told;
    if (told) {
        judge_estimate(o, w, told);
        w->load = *told;
    }
}

void judge_untold_refusal(struct oracle *o, const struct waiter *w, const struct effect *f)
{
    const struct limit *limit = limit_named(o, w->resource_at, f->refuse.limit);
    bool own = w->has_input || w->has_output || has_learned(o, w->resource);
    if (f->refuse.code == ERR_NEVER_FITS && !own && limit && limit->unit != UNIT_USD &&
        limit->unit != UNIT_REQUESTS) {
        wrong(o, "P5: caller %llu is refused for good by %s, for what was made up for it",
              (unsigned long long)w->caller, limit->name);
    }
}
