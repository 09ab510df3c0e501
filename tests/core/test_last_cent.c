/*
 * A thousand callers race for the last cent of a budget.
 *
 * Their calls turn out cheaper or dearer than was held, in any order; some leases expire and are
 * settled late or never; the process dies between a decision and its being known, and goes on from
 * its journal. The test keeps a ledger of its own, of whole picodollars: what is spent and held is
 * never more than the budget and what calls cost beyond what was held for them, and the core's
 * own count is the ledger's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "core/core.h"
#include "core/view.h"
#include "record_log.h"
#include "support/random.h"

#define CALLERS 1000
#define SEEDS   12
#define CENT    (PICOUSD_PER_USD / 100)
#define BUDGET  PICOUSD_PER_USD
#define PRICE   (CENT / 1000) /* of a token: calls cost between a hundredth of a cent and a cent */

enum caller_state { AT_HOME, IN_LINE, HOLDING, EXPIRED, THROUGH };

struct caller {
    enum caller_state state;
    uint64_t lease;
    int64_t asked; /* tokens */
    int64_t held;
};

struct race {
    struct random random;
    struct resource resource;
    struct policy policy;
    struct core *core;
    struct effects effects;
    struct record_log log;
    int64_t now_us;
    struct caller callers[CALLERS + 1]; /* the first has spent all but the last cent */
    int64_t spent, held, excess;
    size_t grants, refusals, overruns, crashes;
};

static void open_core(struct race *r)
{
    struct core_options options = {.seed = {5, 6}, .spill = true};
    struct event configure = {.kind = EVENT_CONFIGURE, .now_us = r->now_us, .policy = &r->policy};
    assert_int_equal(core_new(&options, &r->core), 0);
    assert_int_equal(core_step(r->core, &configure, &r->effects), 0);
}

static void race_begin(struct race *r, uint64_t seed, enum exceed exceed)
{
    memset(r, 0, sizeof(*r));
    r->random.state = seed;
    strcpy(r->resource.name, "m");
    r->resource.limits_n = 1;
    struct limit *l = &r->resource.limits[0];
    *l = (struct limit){.name = "budget", .unit = UNIT_USD, .window = WINDOW_LIFETIME};
    l->charge = CHARGE_AT_SETTLE;
    l->exceed = exceed;
    l->amount = BUDGET;
    r->resource.price.known = true;
    for (int i = 0; i < PARTS; i++) {
        r->resource.price.of[i] = PRICE;
    }
    r->resource.feedback = feedback_default;
    r->resource.line_len_max = r->resource.tenant_line_len_max = CALLERS;
    r->policy = (struct policy){
        .resources = &r->resource, .resources_n = 1, .leases_max = 100000, .counters_max = 1000};
    r->now_us = US_PER_S;
    effects_init(&r->effects);
    record_log_init(&r->log);
    open_core(r);
}

static void race_end(struct race *r)
{
    core_free(r->core);
    effects_release(&r->effects);
    record_log_release(&r->log);
}

/* --- The ledger. --- */

static struct caller *of_lease(struct race *r, uint64_t lease)
{
    for (size_t i = 0; i <= CALLERS; i++) {
        if (r->callers[i].lease == lease && lease) {
            return &r->callers[i];
        }
    }
    fail_msg("a lease that nobody has");
    return NULL;
}

static void note_grant(struct race *r, const struct effect *e)
{
    struct caller *c = &r->callers[e->caller - 1];
    c->state = HOLDING;
    c->lease = e->grant.lease;
    c->held = e->grant.held.of[UNIT_USD];
    assert_int_equal(c->held, c->asked * PRICE);
    r->held += c->held;
    r->grants++;
    assert_true(r->spent + r->held <=
                BUDGET); /* nothing is granted beyond it, whatever went before */
}

/* An expired lease counts in full until somebody says otherwise. */
static void note_expiry(struct race *r, const struct effect *e)
{
    struct caller *c = of_lease(r, e->expired.lease);
    c->state = EXPIRED;
    r->held -= c->held;
    r->spent += c->held;
}

static void note_settle(struct race *r, const struct effect *e)
{
    struct caller *c = of_lease(r, e->settled.lease);
    int64_t real = e->settled.settled.of[UNIT_USD];
    assert_int_equal(e->settled.late, c->state == EXPIRED);
    r->held -= e->settled.late ? 0 : c->held;
    r->spent += real - (e->settled.late ? c->held : 0);
    r->excess += max_i64(0, real - c->held);
    c->state = THROUGH;
}

static void note(struct race *r)
{
    for (size_t i = 0; i < r->effects.len; i++) {
        const struct effect *e = &r->effects.at[i];
        switch (e->kind) {
        case EFFECT_GRANT: note_grant(r, e); break;
        case EFFECT_SETTLED: note_settle(r, e); break;
        case EFFECT_EXPIRED: note_expiry(r, e); break;
        case EFFECT_REFUSE:
            r->callers[e->caller - 1].state = THROUGH;
            r->refusals++;
            break;
        case EFFECT_ALERT: r->overruns += e->alert.kind == ALERT_OVERRUN; break;
        default: break;
        }
    }
}

static void check(struct race *r)
{
    struct limit_view v;
    core_limit_view(r->core, 0, 0, &v);
    assert_int_equal(v.used, r->spent);
    assert_int_equal(v.held, r->held);
    assert_true(r->spent + r->held <= BUDGET + r->excess);
    if (r->spent > BUDGET) {
        assert_true(r->overruns > 0);
    }
}

/* --- What happens. --- */

/* The process dies and comes back with what is durable. Those in line have to ask again. */
static void crash(struct race *r)
{
    core_free(r->core);
    open_core(r);
    assert_int_equal(record_log_replay(&r->log, r->core), 0);
    assert_int_equal(record_log_give_missing(&r->log, r->core, NULL), 0);
    for (size_t i = 0; i <= CALLERS; i++) {
        r->callers[i].state = r->callers[i].state == IN_LINE ? AT_HOME : r->callers[i].state;
    }
    r->crashes++;
}

/* One step; some of them are never known to anyone, for the process dies before they are durable.
 */
static void step(struct race *r, const struct event *e)
{
    assert_int_equal(core_step(r->core, e, &r->effects), 0);
    if (random_in(&r->random, 0, 499) == 0) {
        crash(r);
        check(r);
        return;
    }
    for (size_t i = 0; i < r->effects.len; i++) {
        if (r->effects.at[i].kind == EFFECT_PERSIST) {
            record_log_add(&r->log, &r->effects.at[i].record);
        }
    }
    if (e->kind == EVENT_ACQUIRE) {
        r->callers[e->caller - 1].state = IN_LINE;
    }
    note(r);
    check(r);
}

static void ask(struct race *r, size_t i, int64_t tokens)
{
    struct event e = {.kind = EVENT_ACQUIRE, .now_us = r->now_us, .caller = i + 1};
    struct acquire *a = &e.acquire;
    r->callers[i].asked = tokens;
    a->resource = text_of("m");
    a->load.of[UNIT_INPUT_TOKENS] = tokens;
    load_complete(&a->load, 1u << UNIT_INPUT_TOKENS);
    a->priority = PRIORITY_DEFAULT;
    a->wait_us = 20 * US_PER_S;
    a->hold_us = 2 * WAIT_US_MAX;
    a->lease_us = random_in(&r->random, 1, 3 * US_PER_S);
    step(r, &e);
}

/* Mostly cheaper than was held, at times dearer, at times refused by the provider. */
static void settle(struct race *r, const struct caller *c)
{
    struct answer answer = {.class = ANSWER_OK, .reached = true, .status = 200};
    struct parts parts = {.of = {0}};
    struct event e = {.kind = EVENT_RELEASE, .now_us = r->now_us, .caller = 1, .any_tenant = true};
    int64_t tokens = c->asked;
    bool dearer = random_chance(&r->random, 8);
    bool refused = random_chance(&r->random, 5);
    parts.of[PART_OUTPUT] =
        random_in(&r->random, dearer ? tokens : 0, dearer ? 2 * tokens : tokens);
    e.release.lease = c->lease;
    e.release.has_usage = !refused;
    e.release.usage.of[UNIT_OUTPUT_TOKENS] = parts.of[PART_OUTPUT];
    e.release.parts = refused ? NULL : &parts;
    if (refused) {
        answer.class = ANSWER_BAD_REQUEST;
        answer.status = 400;
    }
    e.release.answer = &answer;
    step(r, &e);
}

static void pass_time(struct race *r)
{
    int64_t until_us = r->now_us + random_in(&r->random, 0, 5000);
    while (core_next_deadline(r->core) <= until_us) {
        r->now_us = max_i64(r->now_us, core_next_deadline(r->core));
        struct event tick = {.kind = EVENT_TICK, .now_us = r->now_us};
        step(r, &tick);
    }
    r->now_us = until_us;
}

static bool all_through(const struct race *r)
{
    for (size_t i = 0; i <= CALLERS; i++) {
        if (r->callers[i].state != THROUGH && r->callers[i].state != EXPIRED) {
            return false;
        }
    }
    return true;
}

static void run(struct race *r)
{
    while (r->callers[0].state != THROUGH) { /* until the process lives through it */
        if (r->callers[0].state == AT_HOME) {
            ask(r, 0, (BUDGET - CENT) / PRICE);
        } else if (r->callers[0].state == HOLDING) {
            struct event e = {
                .kind = EVENT_RELEASE, .now_us = r->now_us, .caller = 1, .any_tenant = true};
            e.release.lease = r->callers[0].lease;
            step(r, &e);
        }
    }
    while (!all_through(r)) {
        size_t i = (size_t)random_in(&r->random, 1, CALLERS);
        struct caller *c = &r->callers[i];
        pass_time(r);
        if (c->state == AT_HOME) {
            ask(r, i, random_in(&r->random, 10, 1000));
        } else if ((c->state == HOLDING || c->state == EXPIRED) &&
                   random_chance(&r->random, c->state == HOLDING ? 80 : 30)) {
            settle(r, c);
        }
    }
}

static void race_of(enum exceed exceed)
{
    size_t grants = 0, refusals = 0, overruns = 0, crashes = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct race *r = malloc(sizeof(*r));
        assert_non_null(r);
        race_begin(r, seed, exceed);
        run(r);
        grants += r->grants;
        refusals += r->refusals;
        overruns += r->overruns;
        crashes += r->crashes;
        race_end(r);
        free(r);
    }
    /* The race was one: some got in, most did not, and each thing happened. */
    assert_true(grants > 10 * SEEDS && refusals > 100 * SEEDS);
    assert_true(overruns > 0 && crashes > 0);
}

static void test_callers_who_would_rather_be_refused_never_overspend_the_last_cent(void **state)
{
    (void)state;
    race_of(EXCEED_REFUSE);
}

static void test_callers_who_wait_never_overspend_the_last_cent(void **state)
{
    (void)state;
    race_of(EXCEED_WAIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_callers_who_would_rather_be_refused_never_overspend_the_last_cent),
        cmocka_unit_test(test_callers_who_wait_never_overspend_the_last_cent),
    };
    return cmocka_run_group_tests_name("the last cent", tests, NULL, NULL);
}
