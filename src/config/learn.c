#include "config/learn.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

#define SLOTS_MAX_DEFAULT 200
#define GUARD_US          (INT64_C(250) * US_PER_MS)

struct adaptive_draft {
    struct setting min, max;
};

static const struct key_row adaptive_rows[] = {
    {"min", read_amount, offsetof(struct adaptive_draft, min), NULL, 1, SLOTS_MAX,
     "a whole number from 1 to 100k", "1", "The fewest calls in flight."},
    {"max", read_amount, offsetof(struct adaptive_draft, max), NULL, 1, SLOTS_MAX,
     "a whole number from 1 to 100k", "200", "The most calls in flight."},
};

const struct section adaptive_section = {
    "Adaptive concurrency (`resources.NAME.concurrency.adaptive`)", adaptive_rows,
    sizeof(adaptive_rows) / sizeof(adaptive_rows[0]), "{min: 1, max: 64}"};

struct estimates_draft {
    struct setting output_percentile;
};

static const struct key_row estimates_rows[] = {
    {"output_percentile", read_amount, offsetof(struct estimates_draft, output_percentile), NULL, 1,
     99, "a whole number from 1 to 99", "60",
     "Where a request does not say how many tokens it takes, as many are held as so many of a "
     "hundred calls have kept to."},
};

const struct section estimates_section = {"Estimates (`resources.NAME.estimates`)", estimates_rows,
                                          sizeof(estimates_rows) / sizeof(estimates_rows[0]),
                                          "{output_percentile: 80}"};

/* --- Concurrency. --- */

struct concurrency_draft {
    const struct node *adaptive;
};

static const struct key_row concurrency_rows[] = {
    {"adaptive", read_node, offsetof(struct concurrency_draft, adaptive), NULL, 0, 0,
     "a map of min and max", "", ""},
};

static const struct section concurrency_section = {"", concurrency_rows, 1,
                                                   "{adaptive: {max: 64}}"};

static void read_range(struct problems *p, const struct place *at, const struct node *map,
                       struct learn_draft *d)
{
    struct adaptive_draft range = {.min = {1, 0}, .max = {SLOTS_MAX_DEFAULT, 0}};
    struct place here = {.up = at, .name = TEXT("adaptive")};
    char where[PLACE_LEN_MAX];
    section_read(p, &here, &adaptive_section, map, &range);
    if (range.min.value > range.max.value && range.min.line >= 0 && range.max.line >= 0) {
        problem_add(p, map->line, "%s: \"min\" is more than \"max\"", place_text(&here, where));
    }
    d->adaptive_line = map->line;
    d->slots_min = range.min;
    d->slots_max = range.max;
}

void read_concurrency(struct problems *p, const struct place *at, const struct key_row *row,
                      const struct node *value, void *into)
{
    static const struct node none = {.kind = NODE_MAP};
    struct learn_draft *d = into;
    struct concurrency_draft outer = {.adaptive = NULL};
    if (value->kind == NODE_MAP) {
        section_read(p, at, &concurrency_section, value, &outer);
        if (outer.adaptive) {
            read_range(p, at, outer.adaptive, d);
        }
    } else if (node_says(p, at, value, row->takes)) {
        if (text_equal(value->text, TEXT("adaptive"))) {
            read_range(p, at, &none, d);
            d->adaptive_line = value->line;
        } else {
            d->slots = (struct word){value->text, value->line};
        }
    }
}

static bool counts_slots(const struct limit *l)
{
    return l->unit == UNIT_SLOTS && l->scope == SCOPE_RESOURCE && l->shared[0] == '\0';
}

static void build_adaptive(struct limit_context *c, const struct place *at,
                           const struct learn_draft *d, struct resource *r)
{
    char where[PLACE_LEN_MAX];
    place_text(at, where);
    for (size_t i = 0; i < r->limits_n; i++) {
        if (counts_slots(&r->limits[i]) || strcmp(r->limits[i].name, "concurrency") == 0) {
            problem_add(c->problems, d->adaptive_line,
                        "%s.concurrency: adaptive, but the limit \"%s\" says how many slots there "
                        "are; leave one of the two out",
                        where, r->limits[i].name);
            return;
        }
    }
    if (r->limits_n == RESOURCE_LIMITS_MAX) {
        problem_add(c->problems, d->adaptive_line, "%s: more than %d limits", where,
                    RESOURCE_LIMITS_MAX);
        return;
    }
    r->slots_min = d->slots_min.value;
    r->slots_max = d->slots_max.value;
    r->limits[r->limits_n++] = (struct limit){
        .name = "concurrency", .unit = UNIT_SLOTS, .settle = SETTLE_KEEP, .amount = r->slots_max};
}

/* --- All of it. --- */

/* What the provider does with a unit holds for limits that it tells of, too. */
static void follow_profile(const struct profile *profile, struct limit *l)
{
    bool day = l->window == WINDOW_ROLLING && l->per_us == US_PER_DAY;
    const struct profile_rule *rule = profile_rule(profile, l->unit, day ? SPAN_DAY : SPAN_ANY);
    l->charge = rule->charge;
    l->settle = rule->settle;
}

static void build_limits(const struct profile *profile, struct resource *r)
{
    size_t first = r->limits_n;
    resource_learn_limits(r, GUARD_US);
    for (size_t i = first; i < r->limits_n; i++) {
        if (r->limits[i].unit != UNIT_SLOTS) {
            follow_profile(profile, &r->limits[i]);
        }
    }
}

static void build_estimates(struct limit_context *c, const struct place *at, const struct node *n,
                            struct resource *r)
{
    struct estimates_draft d = {.output_percentile = {OUTPUT_PERCENTILE_DEFAULT, 0}};
    struct place here = {.up = at, .name = TEXT("estimates")};
    char where[PLACE_LEN_MAX];
    bool on = !n || (n->kind == NODE_SCALAR && text_equal(n->text, TEXT("on")));
    bool off = n && n->kind == NODE_SCALAR && text_equal(n->text, TEXT("off"));
    if (off) {
        d.output_percentile.value = 0;
    } else if (n && n->kind == NODE_MAP) {
        section_read(c->problems, &here, &estimates_section, n, &d);
    } else if (!on) {
        problem_add(c->problems, n->line, "%s: what is wanted is \"on\", \"off\", or a map of keys",
                    place_text(&here, where));
    }
    r->output_percentile = (int32_t)d.output_percentile.value;
}

void learn_build(struct limit_context *c, const struct place *at, const struct learn_draft *d,
                 const struct profile *profile, struct resource *resource)
{
    if (d->adaptive_line) {
        build_adaptive(c, at, d, resource);
    }
    if (d->limits) {
        build_limits(profile, resource);
    }
    build_estimates(c, at, d->estimates, resource);
}
