/*
 * What tables cannot show: work that is spread over many steps, and records that no core has made.
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

#define CROWD 1000

static struct resource resource;
static struct policy policy;

static struct core *new_core(void)
{
    struct core_options options = {.seed = {3, 4}};
    struct core *core;
    struct effects effects;
    struct event configure = {.kind = EVENT_CONFIGURE, .policy = &policy};
    assert_int_equal(core_new(&options, &core), 0);
    effects_init(&effects);
    assert_int_equal(core_step(core, &configure, &effects), 0);
    effects_release(&effects);
    return core;
}

/* A resource "m" that lets a thousand requests through in a minute. */
static int set_up(void **state)
{
    (void)state;
    memset(&resource, 0, sizeof(resource));
    strcpy(resource.name, "m");
    strcpy(resource.limits[0].name, "rpm");
    resource.limits[0].unit = UNIT_REQUESTS;
    resource.limits[0].window = WINDOW_ROLLING;
    resource.limits[0].amount = CROWD;
    resource.limits[0].per_us = US_PER_MIN;
    resource.limits_n = 1;
    resource.line_len_max = 2 * CROWD;
    resource.tenant_line_len_max = 2 * CROWD;
    policy = (struct policy){
        .resources = &resource, .resources_n = 1, .leases_max = 10000, .counters_max = 10000};
    return 0;
}

static void acquire_in(struct core *core, struct effects *effects, int64_t now_us, int64_t requests,
                       caller_id caller, struct text session)
{
    struct event e = {.kind = EVENT_ACQUIRE, .now_us = now_us, .caller = caller};
    e.acquire.resource = text_of("m");
    e.acquire.load.of[UNIT_REQUESTS] = requests;
    e.acquire.load.of[UNIT_SLOTS] = 1;
    e.acquire.priority = PRIORITY_DEFAULT;
    e.acquire.wait_us = US_PER_H;
    e.acquire.hold_us = 2 * WAIT_US_MAX;
    e.acquire.lease_us = US_PER_H;
    e.acquire.session = session;
    assert_int_equal(core_step(core, &e, effects), 0);
}

static void acquire(struct core *core, struct effects *effects, int64_t now_us, int64_t requests,
                    caller_id caller)
{
    acquire_in(core, effects, now_us, requests, caller, TEXT_NONE);
}

/* Effects of one kind in a step; those of grants and refusals must come in the order of callers. */
static size_t count(const struct effects *effects, enum effect_kind kind, caller_id *last)
{
    size_t n = 0;
    for (size_t i = 0; i < effects->len; i++) {
        if (effects->at[i].kind == kind) {
            assert_int_equal(effects->at[i].caller, *last + 1);
            *last = effects->at[i].caller;
            n++;
        }
    }
    return n;
}

static void fill_and_queue(struct core *core, struct effects *effects)
{
    acquire(core, effects, 0, CROWD, CROWD + 1);
    assert_int_equal(core_next_deadline(core), US_PER_H);
    for (caller_id i = 1; i <= CROWD; i++) {
        acquire(core, effects, 1, 1, i);
        assert_int_equal(effects->len, 0);
    }
}

static void test_a_thousand_grants_of_one_edge_are_spread_over_steps_in_order(void **state)
{
    (void)state;
    struct core *core = new_core();
    struct effects effects;
    effects_init(&effects);
    fill_and_queue(core, &effects);
    assert_int_equal(core_next_deadline(core), US_PER_MIN);
    caller_id last = 0;
    size_t steps = 0;
    struct event tick = {.kind = EVENT_TICK, .now_us = US_PER_MIN};
    while (core_next_deadline(core) <= US_PER_MIN) {
        assert_int_equal(core_step(core, &tick, &effects), 0);
        core_check(core);
        size_t n = count(&effects, EFFECT_GRANT, &last);
        assert_in_range(n, last < CROWD ? 1 : 0, CORE_STEP_MAX);
        assert_in_range(++steps, 1, CROWD);
    }
    assert_int_equal(last, CROWD);
    assert_true(steps >= CROWD / CORE_STEP_MAX);
    effects_release(&effects);
    core_free(core);
}

static void test_an_arrival_between_those_steps_does_not_jump_the_line(void **state)
{
    (void)state;
    resource.limits[0].amount = CROWD + 1;
    struct core *core = new_core();
    struct effects effects;
    effects_init(&effects);
    acquire(core, &effects, 0, CROWD + 1, CROWD + 9);
    for (caller_id i = 1; i <= CROWD; i++) {
        acquire(core, &effects, 1, 1, i);
    }
    caller_id last = 0;
    struct event tick = {.kind = EVENT_TICK, .now_us = US_PER_MIN};
    assert_int_equal(core_step(core, &tick, &effects), 0);
    count(&effects, EFFECT_GRANT, &last);
    assert_in_range(last, 1, CORE_STEP_MAX);
    acquire(core, &effects, US_PER_MIN, 1, CROWD + 1);
    count(&effects, EFFECT_GRANT, &last);
    while (core_next_deadline(core) <= US_PER_MIN) {
        assert_int_equal(core_step(core, &tick, &effects), 0);
        count(&effects, EFFECT_GRANT, &last);
    }
    assert_int_equal(last, CROWD + 1);
    effects_release(&effects);
    core_free(core);
}

/* Two resources that share what they may ask in a minute. */
static void share(struct resource both[2], int64_t requests)
{
    strcpy(resource.limits[0].shared, "org");
    resource.limits[0].amount = requests;
    both[0] = resource;
    both[1] = resource;
    strcpy(both[1].name, "n");
    policy.resources = both;
    policy.resources_n = 2;
}

static void
test_an_arrival_between_those_steps_does_not_take_what_another_line_is_about_to(void **state)
{
    (void)state;
    static struct resource both[2];
    const caller_id waiting = 2 * CORE_STEP_MAX + 6; /* more than the step of the arrival grants */
    share(both, (int64_t)waiting);
    struct core *core = new_core();
    struct effects effects;
    effects_init(&effects);
    acquire(core, &effects, 0, (int64_t)waiting, CROWD);
    for (caller_id i = 1; i <= waiting; i++) {
        acquire(core, &effects, 1, 1, i);
    }
    caller_id last = 0;
    struct event tick = {.kind = EVENT_TICK, .now_us = US_PER_MIN};
    assert_int_equal(core_step(core, &tick, &effects), 0);
    count(&effects, EFFECT_GRANT, &last);
    assert_in_range(last, 1, CORE_STEP_MAX);
    struct event e = {.kind = EVENT_ACQUIRE, .now_us = US_PER_MIN, .caller = waiting + 1};
    e.acquire = (struct acquire){.resource = text_of("n"),
                                 .load = {.of = {[UNIT_REQUESTS] = 1, [UNIT_SLOTS] = 1}},
                                 .priority = PRIORITY_DEFAULT,
                                 .wait_us = US_PER_H,
                                 .hold_us = 2 * WAIT_US_MAX,
                                 .lease_us = US_PER_H};
    assert_int_equal(core_step(core, &e, &effects), 0);
    count(&effects, EFFECT_GRANT, &last); /* in their order, or none */
    while (core_next_deadline(core) <= US_PER_MIN) {
        assert_int_equal(core_step(core, &tick, &effects), 0);
        core_check(core);
        count(&effects, EFFECT_GRANT, &last);
    }
    assert_int_equal(last, waiting);
    effects_release(&effects);
    core_free(core);
}

static void test_a_drain_of_a_long_line_is_spread_over_steps_in_order(void **state)
{
    (void)state;
    struct core *core = new_core();
    struct effects effects;
    effects_init(&effects);
    fill_and_queue(core, &effects);
    caller_id last = 0;
    struct event drain = {.kind = EVENT_DRAIN, .now_us = 2};
    assert_int_equal(core_step(core, &drain, &effects), 0);
    assert_in_range(count(&effects, EFFECT_REFUSE, &last), 1, CORE_STEP_MAX);
    assert_in_range(last, 1, CROWD - 1);
    /* Room for all comes back, for nobody. */
    struct event tick = {.kind = EVENT_TICK, .now_us = US_PER_MIN};
    while (core_next_deadline(core) <= US_PER_MIN) {
        assert_int_equal(core_step(core, &tick, &effects), 0);
        assert_in_range(count(&effects, EFFECT_REFUSE, &last), 1, CORE_STEP_MAX);
        caller_id nobody = 0;
        assert_int_equal(count(&effects, EFFECT_GRANT, &nobody), 0);
    }
    assert_int_equal(last, CROWD);
    effects_release(&effects);
    core_free(core);
}

/* How many counters a step tells the journal of; `first` is the key of the first. */
static size_t counters_told(const struct effects *effects, struct text *first)
{
    size_t n = 0;
    for (size_t i = 0; i < effects->len; i++) {
        const struct effect *e = &effects->at[i];
        if (e->kind == EFFECT_PERSIST && e->record.kind == RECORD_COUNTER) {
            *first = n++ == 0 ? e->record.scope_key : *first;
        }
    }
    return n;
}

static void test_a_new_limit_tells_of_thousands_of_sessions_over_steps(void **state)
{
    (void)state;
    static struct resource wider;
    static char names[3 * CROWD][8];
    struct core *core = new_core();
    struct effects effects;
    struct text first = TEXT_NONE;
    effects_init(&effects);
    resource.limits[0].amount = 4 * CROWD;
    policy.leases_max = 4 * CROWD;
    struct event same = {.kind = EVENT_CONFIGURE, .policy = &policy};
    assert_int_equal(core_step(core, &same, &effects), 0);
    for (caller_id i = 0; i < 3 * CROWD; i++) {
        snprintf(names[i], sizeof(names[i]), "s%d", (int)i);
        acquire_in(core, &effects, 0, 1, i + 1, text_of(names[i]));
    }
    wider = resource;
    wider.limits[1] = wider.limits[0];
    strcpy(wider.limits[1].name, "talk");
    wider.limits[1].window = WINDOW_LIFETIME;
    wider.limits[1].scope = SCOPE_SESSION;
    wider.limits_n = 2;
    struct policy next = policy;
    next.resources = &wider;
    struct event configure = {.kind = EVENT_CONFIGURE, .now_us = 1, .policy = &next};
    assert_int_equal(core_step(core, &configure, &effects), 0);
    size_t told = counters_told(&effects, &first);
    assert_in_range(told, 1, 3 * CROWD - 1);
    /* What changes meanwhile is told in its own step. */
    acquire_in(core, &effects, 1, 1, 3 * CROWD + 1, text_of("fresh"));
    told += counters_told(&effects, &first) - 1;
    assert_true(text_equal(first, text_of("fresh")));
    struct event tick = {.kind = EVENT_TICK, .now_us = 1};
    while (core_next_deadline(core) <= 1) {
        assert_int_equal(core_step(core, &tick, &effects), 0);
        size_t more = counters_told(&effects, &first);
        assert_true(more > 0);
        told += more;
    }
    assert_int_equal(told, 3 * CROWD);
    core_free(core);
    effects_release(&effects);
}

/* --- Records. --- */

static struct record grant_record(void)
{
    struct record r = {.kind = RECORD_GRANT,
                       .at_us = US_PER_S,
                       .lease = 7,
                       .expires_us = US_PER_H,
                       .priority = PRIORITY_DEFAULT,
                       .attempt = 1,
                       .resource = text_of("m")};
    r.load.of[UNIT_REQUESTS] = 5;
    r.load.of[UNIT_SLOTS] = 1;
    return r;
}

static int restore(const struct record *r, bool *skipped)
{
    struct core *core = new_core();
    int rc = core_restore(core, r, skipped);
    struct core_totals totals;
    core_totals(core, &totals);
    core_check(core);
    assert_int_equal(totals.leases_open, rc == 0 && !*skipped && r->kind == RECORD_GRANT);
    core_free(core);
    return rc;
}

static void test_a_sound_record_is_taken_and_one_without_its_resource_passed_over(void **state)
{
    (void)state;
    bool skipped;
    struct record r = grant_record();
    assert_int_equal(restore(&r, &skipped), 0);
    assert_false(skipped);
    r.resource = text_of("gone");
    assert_int_equal(restore(&r, &skipped), 0);
    assert_true(skipped);
    struct record c = {.kind = RECORD_COUNTER, .resource = text_of("m"), .limit = text_of("gone")};
    assert_int_equal(restore(&c, &skipped), 0);
    assert_true(skipped);
}

static void test_records_that_no_core_has_made_are_refused(void **state)
{
    (void)state;
    bool skipped;
    struct record bad[9];
    static char long_name[NAME_LEN_MAX + 1];
    memset(long_name, 'x', sizeof(long_name));
    for (size_t i = 0; i < 9; i++) {
        bad[i] = grant_record();
    }
    bad[0].kind = 0;
    bad[1].kind = 77;
    bad[2].lease = 0;
    bad[3].at_us = -1;
    bad[4].expires_us = -1;
    bad[5].priority = PRIORITY_MAX + 1;
    bad[6].load.of[UNIT_TOKENS] = -1;
    bad[7].load.of[UNIT_USD] = USD_AMOUNT_MAX + 1;
    bad[8].tenant = (struct text){long_name, sizeof(long_name)};
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(restore(&bad[i], &skipped), ERR_STORE_DAMAGED);
    }
    struct record c = {.kind = RECORD_COUNTER, .resource = text_of("m"), .limit = text_of("rpm")};
    c.used = -1;
    assert_int_equal(restore(&c, &skipped), ERR_STORE_DAMAGED);
}

static void tick(struct core *core, struct effects *effects, int64_t now_us)
{
    struct event e = {.kind = EVENT_TICK, .now_us = now_us};
    assert_int_equal(core_step(core, &e, effects), 0);
}

/* Or its late settle would be unknown after a restart, and its id be granted anew. */
static void test_the_beginning_of_a_lease_is_needed_until_its_end_is_forgotten(void **state)
{
    (void)state;
    struct effects effects;
    struct core *core = new_core();
    int64_t began_us = 10 * US_PER_H, ended_us = began_us + US_PER_H;
    effects_init(&effects);
    acquire(core, &effects, began_us, 1, 1);
    tick(core, &effects, ended_us);
    for (int64_t later_us = 0; later_us < LEASE_REMEMBERED_US; later_us += US_PER_MIN) {
        tick(core, &effects, ended_us + later_us);
        assert_true(core_horizon_us(core) <= began_us);
    }
    tick(core, &effects, ended_us + 2 * LEASE_REMEMBERED_US);
    assert_true(core_horizon_us(core) > began_us);
    effects_release(&effects);
    core_free(core);
}

/* --- Many who move on. --- */

static struct resource routed[2];
static struct route route;

/* A route of two resources with one call in flight each; the first closes at the first refusal. */
static int set_up_route(void **state)
{
    (void)set_up(state);
    for (int i = 0; i < 2; i++) {
        routed[i] = resource;
        routed[i].name[0] = "mn"[i];
        routed[i].model[0] = "mn"[i];
        routed[i].limits[0].unit = UNIT_SLOTS;
        routed[i].limits[0].window = WINDOW_NONE;
        routed[i].limits[0].amount = 1;
    }
    routed[0].feedback = feedback_default;
    routed[0].feedback.breaker_refusals = 1;
    route = (struct route){.name = "chat", .steps = {{.resource = 0}, {.resource = 1}}};
    route.steps_n = 2;
    policy.resources = routed;
    policy.resources_n = 2;
    policy.routes = &route;
    policy.routes_n = 1;
    struct policy_error why;
    assert_int_equal(policy_check(&policy, &why), 0);
    return 0;
}

/* The lease that was granted in a step, or 0. */
static uint64_t granted(const struct effects *effects)
{
    uint64_t lease = 0;
    for (size_t i = 0; i < effects->len; i++) {
        lease = effects->at[i].kind == EFFECT_GRANT ? effects->at[i].grant.lease : lease;
    }
    return lease;
}

static uint64_t acquire_at(struct core *core, struct effects *effects, const char *name,
                           const char *by, caller_id caller)
{
    struct event e = {.kind = EVENT_ACQUIRE, .now_us = 0, .caller = caller};
    e.acquire.resource = text_of(name);
    e.acquire.route = text_of(by);
    e.acquire.load.of[UNIT_SLOTS] = 1;
    e.acquire.priority = PRIORITY_DEFAULT;
    e.acquire.wait_us = WAIT_US_MAX;
    e.acquire.hold_us = 2 * WAIT_US_MAX;
    e.acquire.lease_us = US_PER_H;
    assert_int_equal(core_step(core, &e, effects), 0);
    return granted(effects);
}

static void release(struct core *core, struct effects *effects, uint64_t lease,
                    enum answer_class class)
{
    struct answer answer = {.class = class, .reached = true, .retry_after_us = -1};
    struct event e = {.kind = EVENT_RELEASE, .now_us = 1, .any_tenant = true};
    e.release.lease = lease;
    e.release.answer = &answer;
    assert_int_equal(core_step(core, &e, effects), 0);
    core_check(core);
}

static size_t waiting_at(const struct core *core, size_t i)
{
    struct resource_view view;
    core_resource_view(core, i, &view);
    return view.waiting;
}

static void test_a_long_line_moves_on_over_steps_and_is_served_by_age(void **state)
{
    (void)state;
    struct core *core = new_core();
    struct effects effects;
    effects_init(&effects);
    uint64_t at_m = acquire_at(core, &effects, "m", "", CROWD + 1);
    uint64_t at_n = acquire_at(core, &effects, "n", "", CROWD + 2);
    for (caller_id i = 1; i <= CROWD; i++) {
        acquire_at(core, &effects, "", "chat", i);
    }
    assert_int_equal(waiting_at(core, 0), CROWD);
    release(core, &effects, at_m, ANSWER_BAD_REQUEST); /* the first of them is served there */
    at_m = granted(&effects);
    release(core, &effects, at_m, ANSWER_WAIT);
    size_t steps = 1;
    size_t tickets = 1; /* of the one that was refused: a place at the other resource */
    for (struct event tick = {.kind = EVENT_TICK, .now_us = 1}; core_next_deadline(core) <= 1;) {
        assert_true(waiting_at(core, 1) <= steps * CORE_STEP_MAX + tickets);
        assert_int_equal(core_step(core, &tick, &effects), 0);
        core_check(core);
        steps++;
    }
    assert_int_equal(waiting_at(core, 1), CROWD - 1 + tickets);
    assert_true(steps >= CROWD / CORE_STEP_MAX);
    for (caller_id last = 1; last < CROWD;) {
        release(core, &effects, at_n, ANSWER_BAD_REQUEST);
        assert_int_equal(count(&effects, EFFECT_GRANT, &last), 1);
        at_n = granted(&effects);
    }
    effects_release(&effects);
    core_free(core);
}

/* Calls of 6 s, each a second after the one before. */
static int64_t make_calls(struct core *core, struct effects *effects, int64_t now_us,
                          int64_t requests)
{
    for (int i = 0; i < 600; i++) {
        now_us += US_PER_S;
        acquire(core, effects, now_us, requests, 1);
        struct event release = {.kind = EVENT_RELEASE, .now_us = now_us, .any_tenant = true};
        const struct answer answer = {
            .class = ANSWER_OK, .reached = true, .elapsed_us = 6 * US_PER_S, .retry_after_us = -1};
        release.release.answer = &answer;
        release.release.has_usage = true;
        release.release.usage.of[UNIT_REQUESTS] = requests;
        for (size_t k = 0; k < effects->len; k++) {
            if (effects->at[k].kind == EFFECT_GRANT) {
                release.release.lease = effects->at[k].grant.lease;
            }
        }
        assert_int_equal(core_step(core, &release, effects), 0);
    }
    return now_us;
}

static void test_the_calls_that_are_suggested_follow_what_calls_of_late_have_used(void **state)
{
    (void)state;
    struct core *core = new_core();
    struct effects effects;
    struct resource_view view;
    effects_init(&effects);
    int64_t now_us = make_calls(core, &effects, 0, 10);
    core_resource_view(core, 0, &view);
    assert_int_equal(view.slots_suggested, 10);
    make_calls(core, &effects, now_us, 1);
    core_resource_view(core, 0, &view);
    assert_int_equal(view.slots_suggested, 100);
    effects_release(&effects);
    core_free(core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(
            test_the_calls_that_are_suggested_follow_what_calls_of_late_have_used, set_up),
        cmocka_unit_test_setup(test_a_thousand_grants_of_one_edge_are_spread_over_steps_in_order,
                               set_up),
        cmocka_unit_test_setup(test_an_arrival_between_those_steps_does_not_jump_the_line, set_up),
        cmocka_unit_test_setup(
            test_an_arrival_between_those_steps_does_not_take_what_another_line_is_about_to,
            set_up),
        cmocka_unit_test_setup(test_a_new_limit_tells_of_thousands_of_sessions_over_steps, set_up),
        cmocka_unit_test_setup(test_a_drain_of_a_long_line_is_spread_over_steps_in_order, set_up),
        cmocka_unit_test_setup(
            test_a_sound_record_is_taken_and_one_without_its_resource_passed_over, set_up),
        cmocka_unit_test_setup(test_records_that_no_core_has_made_are_refused, set_up),
        cmocka_unit_test_setup(test_a_long_line_moves_on_over_steps_and_is_served_by_age,
                               set_up_route),
        cmocka_unit_test_setup(test_the_beginning_of_a_lease_is_needed_until_its_end_is_forgotten,
                               set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
