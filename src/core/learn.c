#include "core/learn.h"

#include <assert.h>

#include "base/num.h"
#include "core/counter.h"
#include "core/emit.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/remember.h"

#define GUARD_STEP_US (INT64_C(50) * US_PER_MS)
#define OTHERS_VARY   16 /* one part in so many more is left to others than they were seen to use */
#define FEW_OTHERS    64 /* up to one part in so many of a limit may be our own, told of late */
#define SINKS_MAX     1000 /* minutes after which nothing is left of a raised guard */

/* --- Terms. --- */

_Static_assert(READING_SPANS == (enum reading_span)(TOLD_OF_NONE - TOLD_OF_SECOND),
               "what a limit is told of are the spans of readings, in order");

enum reading_span span_of(const struct limit *l)
{
    bool by_length = l->window == WINDOW_ROLLING || l->window == WINDOW_BUCKET;
    if (l->scope != SCOPE_RESOURCE || (!by_length && l->window != WINDOW_CALENDAR)) {
        return READING_SPANS;
    }
    if (l->told_of != TOLD_OF_LENGTH) {
        return (enum reading_span)(l->told_of - TOLD_OF_SECOND);
    }
    if (by_length) {
        return l->per_us == US_PER_S     ? READING_SECOND
               : l->per_us == US_PER_MIN ? READING_MINUTE
               : l->per_us == US_PER_DAY ? READING_DAY
                                         : READING_SPANS;
    }
    switch (l->step) {
    case STEP_SECOND: return READING_SECOND;
    case STEP_MINUTE: return READING_MINUTE;
    case STEP_DAY: return READING_DAY;
    case STEP_MONTH: return READING_MONTH;
    case STEP_HOUR: break;
    }
    return READING_SPANS;
}

/* The amount in force, before headroom. */
static int64_t amount_of(const struct rule *rule)
{
    int64_t own = rule->limit->learned ? AMOUNT_MAX : rule->limit->amount;
    if (rule->slots > 0) {
        return rule->slots;
    }
    return rule->told > 0 ? min_i64(own, rule->told) : own;
}

void rule_make_terms(struct rule *rule)
{
    struct limit limit = *rule->limit;
    limit.amount = amount_of(rule);
    limit.guard_us = rule->guard_us;
    if (limit.window == WINDOW_BUCKET) {
        limit.burst =
            limit.learned
                ? limit.amount
                : max_i64(1, mul_div_sat(rule->limit->burst, limit.amount, rule->limit->amount));
    }
    if (rule->reserve >= 0) {
        terms_of_share(&rule->terms, &limit, rule->share_ppm);
    } else {
        terms_of_limit(&rule->terms, &limit);
    }
    rule->amount = divisor_of((uint64_t)rule->terms.amount);
    if (rule->paced) {
        terms_of_slice(&rule->slice, &limit);
    }
}

void rule_changed(struct core *core, struct rule *rule)
{
    struct counter *c = rule->whole;
    struct terms before = rule->terms;
    counter_advance(core, c); /* the old terms hold until now */
    rule_make_terms(rule);
    if (rule->terms.kind == WINDOW_BUCKET) {
        int rc = window_carry(&c->window, &rule->terms, &c->window, &before);
        assert(rc == 0);
        (void)rc;
    }
    if (rule->terms.kind == WINDOW_ROLLING) {
        core->stay_us_max = max_i64(core->stay_us_max, rule->terms.stay_us);
    }
    c->due_us = INT64_MIN;
    counter_keep_record(core, c);
    for (size_t i = 0; i < rule->users_n; i++) {
        rule->users[i]->lowered |= rule->terms.burst < before.burst;
    }
    counter_gained(core, c);
}

void rule_carry(struct rule *rule, const struct rule *old)
{
    if (rule->span != old->span) {
        return;
    }
    rule->told = old->told;
    rule->told_by = old->told_by;
    rule->differs = old->differs && rule->limit->amount == old->limit->amount;
    if (old->guard_us > old->limit->guard_us && rule->limit->per_us == old->limit->per_us) {
        rule->guard_us = max_i64(rule->guard_us, old->guard_us);
        rule->guard_at_us = old->guard_at_us;
    }
    rule_make_terms(rule);
}

/* --- Amounts. --- */

/* The limit and the meters of its reserves. */
static void set_told(struct core *core, struct line *line, const struct limit *limit, int64_t told)
{
    for (size_t i = 0; i < line->rules_n; i++) {
        if (line->rules[i]->limit == limit) {
            line->rules[i]->told = told;
            rule_changed(core, line->rules[i]);
        }
    }
}

static void take_amount(struct core *core, struct line *line, struct rule *rule,
                        const struct lease *l, const struct reading *reading)
{
    const struct limit *limit = rule->limit;
    if (reading->limit < 1 || reading->limit > AMOUNT_MAX || l->lease < rule->told_by) {
        return;
    }
    rule->told_by = l->lease;
    if (reading->limit != rule->told) {
        set_told(core, line, limit, reading->limit);
        remember_rule(core, rule);
    }
    bool differs = !limit->learned && reading->limit != limit->amount;
    if (differs && !rule->differs) {
        struct effect *e = effect_alert(core, ALERT_NUMBERS_DIFFER, line, rule->whole);
        if (e) {
            e->alert.told = reading->limit;
        }
    }
    rule->differs = differs;
}

/* --- The usage of others. --- */

/* What is refilled in that time, rounded up. */
static int64_t refill(const struct terms *t, int64_t us)
{
    return add_sat(mul_div_sat(t->amount, us, t->per_us), 1);
}

/* The most that can have been ours of a limit while the call of a lease was out. */
static int64_t ours(const struct rule *rule, const struct counter *c, const struct lease *l,
                    int64_t seen, int64_t now_us)
{
    const struct terms *t = &rule->terms;
    if (t->kind != WINDOW_BUCKET) {
        return add_sat(add_sat(seen, c->taken), c->held);
    }
    int64_t since_us = add_sat(now_us - l->granted_us, rule->guard_us);
    int64_t gone = add_sat(refill(t, since_us), add_sat(c->given, seen));
    return add_sat(add_sat(window_used(&c->window, t), c->held), gone);
}

/* What others use of a window, when at least `proved` of it is theirs. */
static int64_t foreign_now(const struct core *core, const struct rule *rule, const struct lease *l,
                           int64_t proved)
{
    struct counter *c = rule->whole;
    const struct terms *t = &rule->terms;
    if (t->kind == WINDOW_BUCKET) {
        return max_i64(0, proved);
    }
    int64_t before = counter_foreign(c);
    int64_t floor = max_i64(0, proved);
    floor = add_sat(floor, t->kind == WINDOW_ROLLING ? floor / OTHERS_VARY : 0);
    if (floor >= before || t->kind != WINDOW_ROLLING || l->lease < c->foreign_by) {
        return max_i64(floor, before);
    }
    int64_t since_us = min_i64(core->now_us - c->foreign_at_us, t->per_us);
    return before - mul_div_sat(before - floor, since_us, t->per_us);
}

static void take_usage(struct core *core, struct rule *rule, const struct lease *l, int64_t seen,
                       const struct reading *reading)
{
    struct counter *c = rule->whole;
    int64_t configured = rule->limit->learned ? 0 : rule->limit->amount;
    int64_t told = rule->told > 0 ? rule->told : configured;
    int64_t amount = reading->limit > 0 ? reading->limit : told;
    if (reading->remaining < 0 || amount == 0 || seen == SEEN_UNKNOWN) {
        return;
    }
    counter_advance(core, c);
    int64_t used = sub_sat(sub_sat(amount, reading->remaining), max_i64(0, reading->grain - 1));
    int64_t proved = min_i64(sub_sat(used, ours(rule, c, l, seen, core->now_us)), AMOUNT_MAX);
    int64_t foreign = foreign_now(core, rule, l, proved);
    bool news = foreign > 0 || counter_foreign(c) > 0;
    if (news && counter_set_foreign(core, c, foreign) == 0 && l->lease > c->foreign_by) {
        c->foreign_by = l->lease;
    }
}

static const struct reading *reading_of(const struct answer *a, const struct rule *rule)
{
    for (size_t i = 0; i < a->readings_n; i++) {
        const struct reading *r = &a->readings[i];
        if (r->unit == rule->unit && r->span == rule->span) {
            return r;
        }
    }
    return NULL;
}

static int64_t basis_of(const struct basis *basis, const struct counter *c)
{
    for (size_t i = 0; i < basis->n; i++) {
        if (basis->of[i].counter == c) {
            return basis->of[i].seen;
        }
    }
    return SEEN_UNKNOWN;
}

/* What several resources share is nobody's reading, since the header may speak of one of them
 * alone; unless the limit itself says which of the provider's it is. */
static bool is_told_of(const struct rule *rule)
{
    bool meant = rule->users_n == 1 || rule->limit->told_of != TOLD_OF_LENGTH;
    return rule->span != READING_SPANS && rule->whole && meant;
}

void learn_note(const struct lease *l, struct basis *basis)
{
    basis->n = 0;
    for (size_t i = 0; i < l->charges_n && basis->n < RESOURCE_LIMITS_MAX; i++) {
        const struct charge *ch = &l->charges[i];
        if (ch->counter->rule->reserve < 0 && is_told_of(ch->counter->rule)) {
            basis->of[basis->n].counter = ch->counter;
            basis->of[basis->n++].seen = ch->seen;
        }
    }
}

static void learn_readings(struct core *core, const struct lease *l, const struct answer *a,
                           const struct basis *basis)
{
    struct line *line = l->line;
    for (size_t i = 0; i < line->limits_n; i++) {
        struct rule *rule = line->rules[i];
        const struct reading *reading = is_told_of(rule) ? reading_of(a, rule) : NULL;
        if (reading) {
            take_amount(core, line, rule, l, reading);
            take_usage(core, rule, l, basis_of(basis, rule->whole), reading);
        }
    }
}

/* --- The guard. --- */

/* Each minute a hundredth of a raised guard goes. */
static void sink_guard(struct core *core, struct rule *rule)
{
    int64_t minutes = (core->now_us - rule->guard_at_us) / US_PER_MIN;
    int64_t guard_us = minutes > SINKS_MAX ? 0 : rule->guard_us;
    for (int64_t i = 0; i < minutes && i < SINKS_MAX; i++) {
        guard_us -= (guard_us + 99) / 100;
    }
    if (minutes > 0) {
        rule->guard_us = max_i64(guard_us, rule->limit->guard_us);
        rule->guard_at_us += minutes * US_PER_MIN;
        rule_changed(core, rule);
    }
}

static void sink_guards(struct core *core, struct line *line)
{
    bool guarded = false;
    for (size_t i = 0; i < line->limits_n; i++) {
        struct rule *rule = line->rules[i];
        if (rule->guard_us > rule->limit->guard_us) {
            sink_guard(core, rule);
            guarded |= rule->guard_us > rule->limit->guard_us;
        }
    }
    line->guarded = guarded;
}

/* Whether a longer guard might have kept the provider from refusing a call: the window is well
 * used, hardly anybody else was seen to use it, and the provider did not say that it had room.
 * What a call of ours on a long way still has in the provider's window looks like a little of
 * others. */
static bool is_suspect(struct core *core, const struct rule *rule, const struct lease *l,
                       const struct answer *a)
{
    struct counter *c = rule->whole;
    if (!c || rule->terms.kind != WINDOW_ROLLING || rule_is_untold(rule) ||
        rule->unit == UNIT_USD) { /* no provider refuses a call for what we may spend */
        return false;
    }
    counter_advance(core, c); /* what has left the window by now must not depend on who looked */
    bool others = mul_sat(c->foreign, FEW_OTHERS) > rule->terms.amount &&
                  core->now_us - c->foreign_at_us < rule->terms.stay_us;
    bool news = l->granted_us >= rule->guard_at_us;
    const struct reading *told = reading_of(a, rule);
    bool room = told && told->remaining >= l->load.of[rule->unit];
    return news && !others && !room &&
           mul_sat(window_used(&c->window, &rule->terms), 2) >= rule->terms.amount;
}

static void raise_guards(struct core *core, const struct lease *l, const struct answer *a)
{
    struct line *line = l->line;
    for (size_t i = 0; i < line->limits_n; i++) {
        struct rule *rule = line->rules[i];
        int64_t most_us = rule->terms.per_us / 4;
        if (rule->guard_us < most_us && is_suspect(core, rule, l, a)) {
            int64_t guard_us = add_sat(rule->guard_us + rule->guard_us / 2, GUARD_STEP_US);
            rule->guard_us = min_i64(guard_us, most_us);
            rule->guard_at_us = core->now_us;
            line->guarded = true;
            rule_changed(core, rule);
            remember_rule(core, rule);
        }
    }
}

void learn_answer(struct core *core, const struct lease *l, const struct answer *a,
                  const struct basis *basis)
{
    if (unlikely(a->readings_n > 0)) {
        learn_readings(core, l, a, basis);
    }
    if (unlikely(l->line->guarded)) {
        sink_guards(core, l->line);
    }
    bool listens = l->line->resource->feedback.pause_us > 0;
    if (unlikely(a->class == ANSWER_WAIT) && a->reached && listens) {
        raise_guards(core, l, a);
    }
}
