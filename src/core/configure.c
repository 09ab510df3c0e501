#include "core/configure.h"

#include <assert.h>
#include <stdlib.h>

#include "core/carry.h"
#include "core/counter.h"
#include "core/learn.h"
#include "core/line.h"
#include "core/request.h"

/* --- Rules and lines of a policy. --- */

static bool rule_is(const struct rule *rule, struct text resource, struct text limit)
{
    bool pooled = rule->limit->shared[0] != '\0';
    if (rule->reserve >= 0 || pooled != (resource.len == 0)) {
        return false;
    }
    return pooled ? text_equal(text_of(rule->limit->shared), limit)
                  : text_equal(text_of(rule->resource), resource) &&
                        text_equal(text_of(rule->limit->name), limit);
}

struct rule *rule_find(const struct core *core, struct text resource, struct text limit)
{
    for (size_t i = 0; i < core->rules_n; i++) {
        if (rule_is(core->rules[i], resource, limit)) {
            return core->rules[i];
        }
    }
    return NULL;
}

/* Makes ready what a rule is judged by. */
static void rule_fill(struct rule *rule, int32_t share_ppm)
{
    const struct limit *limit = rule->limit;
    bool meters = rule->reserve >= 0;
    bool counts = limit->window != WINDOW_NONE;
    rule->unit = limit->unit;
    rule->of_all = !meters && limit->scope != SCOPE_ROUTE;
    rule->refuses = limit->exceed != EXCEED_WAIT;
    rule->holds = !counts || limit->charge == CHARGE_AT_SETTLE;
    rule->paced = limit->slice_us > 0;
    rule->recorded = !meters && counts && limit->window != WINDOW_ROLLING;
    rule->settle = counts ? limit->settle : SETTLE_KEEP;
    rule->watched = !meters && counts && limit->warn_ppm > 0;
    rule->reported = rule->recorded || rule->watched;
    rule->share_ppm = share_ppm;
    rule->span = meters ? READING_SPANS : span_of(limit);
    rule->guard_us = limit->guard_us;
    limit_counts(limit, rule->counts);
    rule_make_terms(rule);
}

int64_t in_force_from_us(const struct core *core)
{
    return core->now_us + (core->expired_us == core->now_us);
}

static int rule_new(struct core *core, const char *resource, const struct limit *limit, int reserve,
                    int32_t share_ppm, struct rule **out)
{
    struct rule *rule = calloc(1, sizeof(struct rule));
    struct rule **rules = realloc(core->rules, (core->rules_n + 1) * sizeof(struct rule *));
    core->rules = rules ? rules : core->rules;
    if (!rule || !rules) {
        free(rule);
        return ERR_NO_MEMORY;
    }
    rule->limit = limit;
    rule->resource = resource;
    rule->reserve = reserve;
    rule->index = core->rules_n;
    rule->since_us = in_force_from_us(core);
    list_init(&rule->counters);
    rule_fill(rule, share_ppm);
    if (limit->window == WINDOW_ROLLING) {
        core->stay_us_max = max_i64(core->stay_us_max, rule->terms.stay_us);
    }
    core->rules[core->rules_n++] = rule;
    core->recalls |= limit->window == WINDOW_LIFETIME && limit->scope != SCOPE_RESOURCE;
    *out = rule;
    return limit->scope == SCOPE_RESOURCE ? counter_new(core, rule, TEXT_NONE, &rule->whole) : 0;
}

/* Whether nothing can come back to a limit but by time: then it is known when an amount will fit.
 */
static bool is_certain(const struct rule *rule)
{
    const struct limit *l = rule->limit;
    return rule->users_n == 1 && l->window == WINDOW_ROLLING && l->slice_us == 0 &&
           l->charge == CHARGE_AT_GRANT && l->settle == SETTLE_KEEP && l->on_expire == EXPIRE_FULL;
}

int rule_use(struct rule *rule, struct line *line)
{
    struct line **users = realloc(rule->users, (rule->users_n + 1) * sizeof(struct line *));
    if (!users) {
        return ERR_NO_MEMORY;
    }
    rule->users = users;
    rule->users[rule->users_n++] = line;
    line->rules[line->rules_n++] = rule;
    rule->plain = rule->whole && rule->users_n == 1 && !rule->paced;
    rule->certain = is_certain(rule);
    line->scoped |= !rule->whole;
    line->refuses |= rule->refuses || rule->terms.kind == WINDOW_LIFETIME;
    for (size_t i = 0; rule->users_n > 1 && i < rule->users_n; i++) {
        rule->users[i]->shares = true;
        rule->users[i]->shares_scopes |= !rule->whole;
    }
    return 0;
}

static int line_add_limit(struct core *core, struct line *line, const struct limit *limit)
{
    struct rule *rule = NULL;
    if (limit->shared[0]) {
        rule = rule_find(core, TEXT_NONE, text_of(limit->shared));
    }
    int rc = rule ? 0 : rule_new(core, line->resource->name, limit, -1, 0, &rule);
    return rc != 0 ? rc : rule_use(rule, line);
}

/* One meter for each limit of the whole resource. */
static int line_add_reserve(struct core *core, struct line *line, int reserve)
{
    const struct resource *resource = line->resource;
    for (size_t i = 0; i < resource->limits_n; i++) {
        struct rule *rule;
        if (resource->limits[i].scope != SCOPE_RESOURCE) {
            continue;
        }
        int rc = rule_new(core, resource->name, &resource->limits[i], reserve,
                          resource->reserves[reserve].share_ppm, &rule);
        if (rc != 0 || (rc = rule_use(rule, line)) != 0) {
            return rc;
        }
    }
    return 0;
}

int core_add_line(struct core *core, const struct resource *resource, struct line **out)
{
    struct line *line;
    struct line **lines = realloc(core->lines, (core->lines_n + 1) * sizeof(struct line *));
    core->lines = lines ? lines : core->lines;
    if (!lines || line_new(core, resource, &line) != 0) {
        return ERR_NO_MEMORY;
    }
    line->index = core->lines_n;
    core->lines[core->lines_n++] = line;
    line->rules = calloc(CHARGES_MAX, sizeof(struct rule *));
    *out = line;
    return line->rules ? 0 : ERR_NO_MEMORY;
}

/* A limit of calls in flight that no other resource shares. Where some limit counts by scopes, or
 * refuses, there is none: whoever finds it full is to be judged all the same. */
static struct counter *gate_of(const struct line *line)
{
    struct counter *gate = NULL;
    for (size_t i = 0; i < line->limits_n && !line->scoped && !line->refuses; i++) {
        const struct rule *rule = line->rules[i];
        assert(rule); /* a line has one for each of its limits */
        bool own = rule->limit->shared[0] == '\0';
        gate = own && rule->terms.kind == WINDOW_NONE ? rule->whole : gate;
    }
    return gate;
}

static int build_lines(struct core *core)
{
    for (size_t i = 0; i < core->policy->resources_n; i++) {
        const struct resource *resource = &core->policy->resources[i];
        struct line *line;
        int rc = core_add_line(core, resource, &line);
        for (size_t j = 0; rc == 0 && j < resource->limits_n; j++) {
            rc = line_add_limit(core, line, &resource->limits[j]);
        }
        if (rc == 0) {
            line->limits_n = line->rules_n;
            line->gate = gate_of(line);
        }
        for (size_t j = 0; rc == 0 && j < resource->reserves_n; j++) {
            rc = line_add_reserve(core, line, (int)j);
        }
        if (rc != 0) {
            return rc;
        }
        pace_init(line);
    }
    return paths_build(core);
}

/* --- The change. --- */

/* Refuses what the new policy can never grant. */
static void refuse_hopeless(struct core *core)
{
    for (size_t i = 0; i < core->lines_n; i++) {
        struct line *line = core->lines[i];
        struct list *at = line->all.next;
        while (at != &line->all) {
            struct request *r = CONTAINER_OF(at, struct request, in_line);
            at = at->next;
            request_judge_anew(core, line, r);
        }
        line_make_pending(core, line);
    }
}

int configure(struct core *core, const struct policy *policy)
{
    struct core *next = calloc(1, sizeof(struct core));
    struct core *old = calloc(1, sizeof(struct core));
    if (!next || !old) {
        free(next);
        free(old);
        return ERR_NO_MEMORY;
    }
    state_init(next);
    next->policy = policy;
    next->hash_key = core->hash_key;
    next->spill = core->spill;
    next->now_us = core->now_us;
    next->skew_us = core->skew_us;
    next->numbering = core->numbering;
    next->next_lease = core->next_lease;
    next->next_seq = core->next_seq;
    next->next_timer = core->next_timer;
    next->draining = core->draining;
    next->expired_us = core->expired_us;
    next->starting = core->starting;
    next->to_do = true;
    int rc = build_lines(next);
    rc = rc != 0 ? rc : carry_over(next, core);
    if (rc == 0) {
        next->budget = core->budget;
        next->horizon = core->horizon;
        next->effects = core->effects;
        state_move(old, core);
        state_move(core, next);
        refuse_hopeless(core);
    } else {
        state_move(old, next);
    }
    state_release(old);
    free(old);
    free(next);
    return rc;
}
