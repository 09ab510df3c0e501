#include "core/remember.h"

#include <assert.h>
#include <string.h>

#include "base/num.h"
#include "core/configure.h"
#include "core/emit.h"
#include "core/learn.h"
#include "core/lease.h"
#include "core/line.h"

#define PPM INT64_C(1000000)

/* --- Writing down. --- */

void remember_health(struct core *core, const struct line *line)
{
    const struct health *h = &line->health;
    int64_t cool_us = max_i64(line->crossing.cool_us, 0);
    struct effect *e = effect_add(core, EFFECT_PERSIST, 0);
    e->record = (struct record){
        .kind = RECORD_HEALTH,
        .at_us = core->now_us,
        .expires_us = h->state == HEALTH_OK ? max_i64(cool_us, core->now_us) : INT64_MAX,
        .resource = line->name,
        .id = text_of(h->reason),
    };
    e->record.health = (struct health_fact){
        .state = h->state,
        .why = h->why,
        .rate_ppm = h->rate_ppm,
        .after_ppm = h->after_ppm,
        .refusals = h->refusals,
        .breaks = h->breaks,
        .growth_ppm = h->growth_ppm,
        .rate_at_us = h->rate_at_us,
        .since_us = h->since_us,
        .until_us = h->until_us,
        .next_us = h->next_us,
        .incident_us = max_i64(h->incident_us, 0),
        .cool_us = cool_us,
        .probe = h->probe,
    };
}

static const struct pace *pace_of(const struct rule *rule)
{
    return rule->users_n == 1 && rule->users[0]->pace.rule == rule ? &rule->users[0]->pace : NULL;
}

void remember_rule(struct core *core, const struct rule *rule)
{
    const struct pace *pace = pace_of(rule);
    bool pooled = rule->limit->shared[0] != '\0';
    bool guarded = rule->guard_us > rule->limit->guard_us;
    struct effect *e = effect_add(core, EFFECT_PERSIST, 0);
    e->record = (struct record){
        .kind = RECORD_LEARNED,
        .at_us = core->now_us,
        .expires_us = INT64_MAX,
        .resource = pooled ? TEXT_NONE : text_of(rule->resource),
        .limit = text_of(pooled ? rule->limit->shared : rule->limit->name),
        .counts = text_of(rule->counts),
        .per_us = rule->limit->per_us,
    };
    e->record.learned = (struct learned_fact){
        .told = rule->told,
        .told_by = rule->told_by,
        .guard_us = guarded ? rule->guard_us : 0,
        .guard_at_us = guarded ? rule->guard_at_us : 0,
        .slots_milli = pace ? pace->slots_milli : 0,
        .doubling_upto = pace ? pace->doubling_upto : 0,
    };
}

/* --- What no core can have emitted. --- */

static bool is_time(int64_t us)
{
    return us >= 0;
}

static bool health_is_sane(const struct health_fact *h)
{
    bool rates = h->rate_ppm >= 0 && h->rate_ppm <= PPM && h->after_ppm >= 0 &&
                 h->after_ppm <= PPM && h->growth_ppm >= 0;
    bool times = is_time(h->rate_at_us) && is_time(h->since_us) && is_time(h->until_us) &&
                 is_time(h->next_us) && is_time(h->incident_us) && is_time(h->cool_us);
    return (unsigned)h->state < HEALTH_STATES && (unsigned)h->why < ANSWER_CLASSES && rates &&
           times && h->refusals >= 0 && h->breaks >= 0 &&
           (h->state != HEALTH_RECOVERING || h->rate_ppm > 0);
}

static bool learned_is_sane(const struct learned_fact *l)
{
    return l->told >= 0 && l->told <= AMOUNT_MAX && l->guard_us >= 0 && l->guard_us <= PER_US_MAX &&
           is_time(l->guard_at_us) && l->slots_milli >= 0 && l->slots_milli <= AMOUNT_MAX &&
           l->doubling_upto >= 0;
}

bool remembered_is_sane(const struct record *r)
{
    return r->kind == RECORD_HEALTH
               ? r->resource.len > 0 && r->id.len < HEALTH_REASON_MAX && health_is_sane(&r->health)
               : r->limit.len > 0 && learned_is_sane(&r->learned);
}

/* --- Taking back. --- */

static void health_back(struct line *line, const struct record *r)
{
    const struct health_fact *f = &r->health;
    struct health *h = &line->health;
    *h = (struct health){
        .state = f->state,
        .why = f->why,
        .rate_ppm = f->rate_ppm,
        .after_ppm = f->after_ppm,
        .refusals = f->refusals,
        .breaks = f->breaks,
        .growth_ppm = f->growth_ppm,
        .rate_at_us = f->rate_at_us,
        .since_us = f->since_us,
        .until_us = f->until_us,
        .next_us = f->next_us,
        .incident_us = f->incident_us,
        .probe = f->probe,
    };
    if (r->id.len) {
        memcpy(h->reason, r->id.at, r->id.len);
    }
    line->crossing.cool_us = f->cool_us;
}

/* The limit and the meters of its reserves, which are rules of the same limit. A bucket that is
 * back already lacks as much as it did. */
static void told_back(struct rule *rule, const struct rule *judge, int64_t told)
{
    struct terms before = rule->terms;
    if (rule->limit != judge->limit) {
        return;
    }
    rule->told = told;
    rule_make_terms(rule);
    if (rule->terms.kind == WINDOW_BUCKET && rule->whole) {
        struct window *w = &rule->whole->window;
        int rc = window_carry(w, &rule->terms, w, &before);
        assert(rc == 0);
        (void)rc;
    }
}

static void guard_back(struct core *core, struct rule *rule, const struct learned_fact *f)
{
    if (rule->terms.kind != WINDOW_ROLLING || f->guard_us <= rule->limit->guard_us) {
        return;
    }
    rule->guard_us = min_i64(f->guard_us, rule->terms.per_us / 4);
    rule->guard_at_us = f->guard_at_us;
    rule_make_terms(rule);
    core->stay_us_max = max_i64(core->stay_us_max, rule->terms.stay_us);
    for (size_t i = 0; i < rule->users_n; i++) {
        rule->users[i]->guarded = true;
    }
}

static void learned_back(struct core *core, struct rule *rule, const struct record *r)
{
    const struct learned_fact *f = &r->learned;
    if (rule->span != READING_SPANS && rule->whole && f->told > 0) {
        struct line *line = rule->users[0];
        for (size_t i = 0; i < line->rules_n; i++) {
            told_back(line->rules[i], rule, f->told);
        }
        rule->told_by = f->told_by;
    }
    if (rule->whole) {
        guard_back(core, rule, f);
        rule->whole->due_us = INT64_MIN;
    }
    if (pace_of(rule) && f->slots_milli > 0) {
        pace_back(rule->users[0], f->slots_milli, f->doubling_upto);
    }
}

/* What was told of a minute says nothing of an hour. */
static bool is_of(const struct limit *limit, const struct record *r)
{
    return limit_continues(limit, r->counts) && (r->counts.len == 0 || r->per_us == limit->per_us);
}

void remember_back(struct core *core, const struct record *r, bool *skipped)
{
    if (r->kind == RECORD_HEALTH) {
        struct line *line = line_find(core, r->resource);
        *skipped = !line;
        if (line) {
            health_back(line, r);
            line_make_pending(core, line);
        }
        return;
    }
    struct rule *rule = rule_find(core, r->resource, r->limit);
    *skipped = !rule || !is_of(rule->limit, r);
    if (!*skipped) {
        learned_back(core, rule, r);
    }
}

void remember_finish(struct core *core)
{
    for (size_t i = 0; i < core->lines_n; i++) {
        struct health *h = &core->lines[i]->health;
        pace_look(core, core->lines[i]);
        const struct lease *l = h->probe ? lease_find(core, h->probe) : NULL;
        if (!l || l->state != LEASE_OPEN) {
            h->probe = 0;
        }
    }
}
