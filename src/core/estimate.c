/*
 * A histogram has sixteen buckets for each doubling, so that a bucket is at most a sixteenth wide,
 * and within one the percentile is found as if its values lay evenly. Each value adds WEIGHT; when
 * the sum is full all buckets are halved, so that a value counts half as much after some 250 more.
 */
#include "core/estimate.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "core/lease.h"
#include "core/line.h"

const int32_t estimate_error_percent[ESTIMATE_ERRORS - 1] = {-50, -25, -10, -5, 0,
                                                             5,   10,  25,  50, 100};

#define FINE_BITS  4
#define FINE       (1u << FINE_BITS) /* buckets for each doubling */
#define VALUE_BITS 24                /* larger values count as the largest */
#define BUCKETS    ((VALUE_BITS - FINE_BITS + 1) * FINE)
#define WEIGHT     16
#define SUM_MAX    (512 * WEIGHT)

#define BYTES_PER     INT64_C(1000000) /* bytes that a ratio's tokens are counted for */
#define START_RATIO   (BYTES_PER / 2)  /* a token is at least two bytes of any usual language */
#define START_TOKENS  1024
#define START_CALLS   4
#define OWN_CALLS_MIN 16 /* of a tenant, before its own past counts */

struct histogram {
    uint32_t sum; /* of all buckets */
    uint16_t at[BUCKETS];
};

struct habits {
    struct histogram input;
    struct histogram output;
};

struct tenant_habits {
    struct map_node node;
    struct list recent; /* in estimates->recent, the one heard of last at the end */
    struct habits habits;
    size_t name_len;
    char name[];
};

struct estimates {
    size_t holders;
    struct histogram ratio; /* tokens of input in BYTES_PER bytes */
    struct habits all;
    struct map tenants;
    struct list recent;
};

/* --- Histograms. --- */

static size_t bucket_of(int64_t value)
{
    uint64_t v = (uint64_t)max_i64(0, min_i64(value, (INT64_C(1) << VALUE_BITS) - 1));
    if (v < FINE) {
        return (size_t)v;
    }
    unsigned doubling = 63 - (unsigned)__builtin_clzll(v);
    return (doubling - FINE_BITS + 1) * FINE + ((v >> (doubling - FINE_BITS)) & (FINE - 1));
}

/* The smallest value of a bucket. */
static int64_t bucket_begin(size_t bucket)
{
    if (bucket < FINE) {
        return (int64_t)bucket;
    }
    unsigned shift = (unsigned)(bucket / FINE) - 1;
    return (int64_t)(FINE + bucket % FINE) << shift;
}

static void add(struct histogram *h, int64_t value, unsigned calls)
{
    if (h->sum + calls * WEIGHT > SUM_MAX) {
        h->sum = 0;
        for (size_t i = 0; i < BUCKETS; i++) {
            h->at[i] /= 2;
            h->sum += h->at[i];
        }
    }
    h->at[bucket_of(value)] = (uint16_t)(h->at[bucket_of(value)] + calls * WEIGHT);
    h->sum += calls * WEIGHT;
}

/* What `percentile` of a hundred values have kept to. */
static int64_t value_at(const struct histogram *h, int64_t percentile)
{
    int64_t need = ((int64_t)h->sum * percentile + 99) / 100;
    int64_t below = 0;
    size_t i = 0;
    while (i + 1 < BUCKETS && below + h->at[i] < need) {
        below += h->at[i++];
    }
    int64_t begin = bucket_begin(i);
    int64_t width = bucket_begin(i + 1) - begin;
    return width > 1 ? begin + mul_div_sat(width, need - below, max_i64(1, h->at[i])) : begin;
}

/* --- Owners. --- */

static struct estimates *estimates_new(void)
{
    struct estimates *e = calloc(1, sizeof(struct estimates));
    if (!e) {
        return NULL;
    }
    e->holders = 1;
    map_init(&e->tenants);
    list_init(&e->recent);
    add(&e->ratio, START_RATIO, START_CALLS);
    add(&e->all.input, START_TOKENS, START_CALLS);
    add(&e->all.output, START_TOKENS, START_CALLS);
    return e;
}

struct estimates *estimates_share(struct estimates *e)
{
    if (e) {
        e->holders++;
    }
    return e;
}

static void tenant_forget(struct estimates *e, struct tenant_habits *t)
{
    map_remove(&e->tenants, &t->node);
    list_remove(&t->recent);
    free(t);
}

void estimates_drop(struct estimates *e)
{
    if (!e || --e->holders > 0) {
        return;
    }
    while (!list_empty(&e->recent)) {
        tenant_forget(e, CONTAINER_OF(list_first(&e->recent), struct tenant_habits, recent));
    }
    map_release(&e->tenants);
    free(e);
}

static struct tenant_habits *tenant_find(const struct core *core, const struct estimates *e,
                                         struct text tenant)
{
    struct map_node *n = map_find(&e->tenants, text_hash(tenant, &core->hash_key));
    for (; n; n = map_next_equal(n)) {
        struct tenant_habits *t = CONTAINER_OF(n, struct tenant_habits, node);
        if (text_equal((struct text){t->name, t->name_len}, tenant)) {
            return t;
        }
    }
    return NULL;
}

/* The habits of a tenant, made where they are not known; NULL without memory. */
static struct tenant_habits *tenant_get(const struct core *core, struct estimates *e,
                                        struct text tenant)
{
    struct tenant_habits *t = tenant_find(core, e, tenant);
    if (t) {
        return t;
    }
    t = calloc(1, sizeof(struct tenant_habits) + tenant.len);
    if (!t || map_reserve(&e->tenants) != 0) {
        free(t);
        return NULL;
    }
    if (e->tenants.len == ESTIMATE_TENANTS_MAX) {
        tenant_forget(e, CONTAINER_OF(list_first(&e->recent), struct tenant_habits, recent));
    }
    list_init(&t->recent);
    t->name_len = tenant.len;
    if (tenant.len) {
        memcpy(t->name, tenant.at, tenant.len);
    }
    map_insert(&e->tenants, &t->node, text_hash(tenant, &core->hash_key));
    return t;
}

/* --- Estimating. --- */

static int64_t input_of(const struct estimates *e, const struct habits *habits,
                        const struct acquire *a, int64_t percentile)
{
    if (a->input_bytes == 0) {
        return value_at(&habits->input, percentile);
    }
    int64_t ratio = value_at(&e->ratio, percentile);
    return min_i64(AMOUNT_MAX, mul_div_sat(a->input_bytes, ratio, BYTES_PER) + 1);
}

/* The most of a unit that any limit can ever let pass. */
static int64_t most_of(const struct line *line, enum unit unit)
{
    int64_t most = AMOUNT_MAX;
    for (size_t i = 0; i < line->limits_n; i++) {
        const struct rule *rule = line->rules[i];
        most = rule->unit == unit ? min_i64(most, rule->terms.burst) : most;
    }
    return most;
}

/* What is not known for sure is no reason to say that a request can never be served. */
static void fit(const struct line *line, struct acquire *a)
{
    int64_t *of = a->load.of;
    int64_t most = most_of(line, UNIT_TOKENS);
    if (!a->has_input) {
        of[UNIT_INPUT_TOKENS] = min_i64(of[UNIT_INPUT_TOKENS], most_of(line, UNIT_INPUT_TOKENS));
        of[UNIT_INPUT_TOKENS] = min_i64(of[UNIT_INPUT_TOKENS], most);
    }
    if (!a->has_output) {
        int64_t left = max_i64(0, most - of[UNIT_INPUT_TOKENS]);
        of[UNIT_OUTPUT_TOKENS] = min_i64(of[UNIT_OUTPUT_TOKENS], most_of(line, UNIT_OUTPUT_TOKENS));
        of[UNIT_OUTPUT_TOKENS] = min_i64(of[UNIT_OUTPUT_TOKENS], left);
    } else {
        int64_t left = max_i64(0, most - of[UNIT_OUTPUT_TOKENS]);
        of[UNIT_INPUT_TOKENS] = min_i64(of[UNIT_INPUT_TOKENS], left);
    }
    of[UNIT_TOKENS] = add_sat(of[UNIT_INPUT_TOKENS], of[UNIT_OUTPUT_TOKENS]);
}

bool estimate_wanted(const struct line *line, const struct acquire *a, bool priced)
{
    const struct resource *r = line->resource;
    if (r->output_percentile == 0 || (a->has_input && a->has_output)) {
        return false;
    }
    bool counts = a->input_bytes > 0 || priced;
    for (size_t i = 0; !counts && i < line->limits_n; i++) {
        counts = line->rules[i]->unit != UNIT_REQUESTS && line->rules[i]->unit != UNIT_SLOTS;
    }
    return counts;
}

void estimate_load(const struct core *core, struct line *line, struct acquire *a,
                   int64_t percentile)
{
    line->estimates = line->estimates ? line->estimates : estimates_new();
    const struct estimates *e = line->estimates;
    if (!e) {
        return;
    }
    const struct tenant_habits *own = tenant_find(core, e, a->tenant);
    bool known = own && own->habits.output.sum >= OWN_CALLS_MIN * WEIGHT;
    const struct habits *habits = known ? &own->habits : &e->all;
    a->estimated = true;
    if (!a->has_input) {
        a->load.of[UNIT_INPUT_TOKENS] = input_of(e, habits, a, percentile);
    }
    if (!a->has_output) {
        a->load.of[UNIT_OUTPUT_TOKENS] = value_at(&habits->output, percentile);
    }
    fit(line, a);
}

/* --- Learning. --- */

/* How far off an estimate was, by the percent. */
static void count_error(struct resource_view *stats, int64_t held, int64_t real)
{
    int64_t off = sub_sat(held, real);
    size_t i = 0;
    while (i < ESTIMATE_ERRORS - 1 &&
           (int128)off * 100 > (int128)estimate_error_percent[i] * max_i64(real, 1)) {
        i++;
    }
    stats->estimates[i]++;
    stats->estimated = add_sat(stats->estimated, held);
    stats->real = add_sat(stats->real, real);
}

static void habits_add(struct habits *h, int64_t input, int64_t output)
{
    add(&h->input, input, 1);
    add(&h->output, output, 1);
}

void estimate_learn(struct core *core, const struct lease *l, const struct load *usage)
{
    struct line *line = l->line;
    int64_t input = usage->of[UNIT_INPUT_TOKENS];
    int64_t output = usage->of[UNIT_OUTPUT_TOKENS];
    bool apart = add_sat(input, output) == usage->of[UNIT_TOKENS] && usage->of[UNIT_TOKENS] > 0;
    if (!apart ||
        !line->estimates) { /* where only the total is known, nothing follows for either */
        return;
    }
    if (l->origin.estimated) {
        count_error(&line->stats, l->load.of[UNIT_TOKENS], usage->of[UNIT_TOKENS]);
    }
    struct estimates *e = line->estimates;
    struct tenant_habits *t = tenant_get(core, e, l->tenant);
    if (!t) {
        return;
    }
    list_remove(&t->recent);
    list_append(&e->recent, &t->recent);
    habits_add(&t->habits, input, output);
    habits_add(&e->all, input, output);
    if (l->origin.input_bytes > 0) {
        add(&e->ratio, mul_div_sat(input, BYTES_PER, l->origin.input_bytes), 1);
    }
}
