/* When the core says that a counter no longer matters, it does not: a start that reads it back and
 * one that does not are the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/num.h"
#include "core/core.h"
#include "journal/row.h"

#define NOW_US  (INT64_C(1763776800) * US_PER_S) /* 2025-11-22 02:00:00 UTC */
#define DAY_END (INT64_C(1763856000) * US_PER_S) /* the midnight after it */

struct bench {
    struct resource resource;
    struct policy policy;
    struct core *core;
    struct effects effects;
};

static void step(struct bench *b, const struct event *event)
{
    assert_int_equal(core_step(b->core, event, &b->effects), 0);
}

/* A new core that has the bench's limit, but no records yet. */
static void start(struct bench *b)
{
    struct core_options options = {.seed = {1, 2}, .spill = true};
    core_free(b->core);
    assert_int_equal(core_new(&options, &b->core), 0);
    struct event configure = {.kind = EVENT_CONFIGURE, .now_us = NOW_US, .policy = &b->policy};
    step(b, &configure);
}

static void set_skew(struct bench *b, int64_t skew_us)
{
    struct event clock = {.kind = EVENT_CLOCK, .now_us = NOW_US, .skew_us = skew_us};
    step(b, &clock);
}

static void bench_init(struct bench *b, enum window_kind window)
{
    *b = (struct bench){
        .resource = {.name = "api", .model = "api", .line_len_max = 10, .tenant_line_len_max = 10}};
    b->resource.limits[b->resource.limits_n++] = (struct limit){
        .name = "tokens",
        .unit = UNIT_TOKENS,
        .window = window,
        .step = STEP_DAY,
        .scope = SCOPE_SESSION,
        .exceed = EXCEED_REFUSE,
        .amount = 100,
        .per_us = window == WINDOW_BUCKET ? 60 * US_PER_S : 0,
        .burst = window == WINDOW_BUCKET ? 100 : 0,
    };
    b->policy = (struct policy){
        .resources = &b->resource, .resources_n = 1, .leases_max = 100, .counters_max = 100};
    struct policy_error why;
    if (policy_check(&b->policy, &why) != 0) {
        fail_msg("the policy is refused: %s", why.problem);
    }
    start(b);
}

static void bench_release(struct bench *b)
{
    core_free(b->core);
    effects_release(&b->effects);
}

/* Asks for so many tokens. The effect of that kind, or NULL. */
static const struct effect *ask(struct bench *b, int64_t tokens, int64_t now_us,
                                enum effect_kind kind)
{
    struct event event = {
        .kind = EVENT_ACQUIRE,
        .now_us = now_us,
        .caller = 1,
        .acquire = {.resource = TEXT("api"),
                    .load = {{1, tokens, tokens, tokens, 1, 0}},
                    .priority = 5,
                    .hold_us = US_PER_S,
                    .session = TEXT("s"),
                    .lease_us = 60 * US_PER_S},
    };
    struct record missing;
    while (core_missing(b->core, &event.acquire, &missing, 1) > 0) {
        assert_int_equal(core_recall(b->core, &missing), 0);
    }
    step(b, &event);
    for (size_t i = 0; i < b->effects.len; i++) {
        const struct effect *e = &b->effects.at[i];
        if (e->kind == kind && (kind != EFFECT_PERSIST || e->record.kind == RECORD_COUNTER)) {
            return e;
        }
    }
    return NULL;
}

/* The counter's record after a charge. Its texts are lent by the core. */
static struct record charge(struct bench *b, int64_t tokens, int64_t now_us)
{
    const struct effect *e = ask(b, tokens, now_us, EFFECT_PERSIST);
    assert_non_null(e);
    assert_null(row_problem(&e->record));
    return e->record;
}

/* Whether a fresh core, which takes the record back if there is one, grants at `now_us`. */
static bool grants_after_start(struct bench *b, const struct record *record, int64_t skew_us,
                               int64_t tokens, int64_t now_us)
{
    bool skipped;
    struct core *before = b->core; /* lends the record's texts */
    b->core = NULL;
    struct core_options options = {.seed = {1, 2}, .spill = true};
    assert_int_equal(core_new(&options, &b->core), 0);
    struct event configure = {.kind = EVENT_CONFIGURE, .policy = &b->policy};
    step(b, &configure);
    if (record) {
        assert_int_equal(core_restore(b->core, record, &skipped), 0);
        assert_false(skipped);
    }
    struct event clock = {.kind = EVENT_CLOCK, .now_us = now_us, .skew_us = skew_us};
    step(b, &clock);
    bool granted = ask(b, tokens, now_us, EFFECT_GRANT) != NULL;
    core_free(b->core);
    b->core = before;
    return granted;
}

static void test_a_lifetime_counter_matters_for_ever(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, WINDOW_LIFETIME);
    assert_int_equal(charge(&b, 60, NOW_US).expires_us, INT64_MAX);
    bench_release(&b);
}

static void test_a_calendar_counter_matters_until_its_period_ends(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, WINDOW_CALENDAR);
    struct record record = charge(&b, 60, NOW_US);
    assert_int_equal(record.expires_us, DAY_END);
    assert_false(grants_after_start(&b, &record, 0, 41, DAY_END - 1));
    assert_true(grants_after_start(&b, NULL, 0, 41, DAY_END - 1));
    assert_true(grants_after_start(&b, &record, 0, 100, DAY_END));
    assert_true(grants_after_start(&b, NULL, 0, 100, DAY_END));
    bench_release(&b);
}

/* A period is one of the wall clock, an expires_us one of the core's. */
static void test_a_wall_clock_ahead_ends_a_period_sooner(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, WINDOW_CALENDAR);
    set_skew(&b, US_PER_H);
    struct record record = charge(&b, 60, NOW_US);
    int64_t end_us = DAY_END - US_PER_H;
    assert_int_equal(record.expires_us, end_us);
    assert_false(grants_after_start(&b, &record, US_PER_H, 41, end_us - 1));
    assert_true(grants_after_start(&b, &record, US_PER_H, 100, end_us));
    set_skew(&b, -US_PER_H);
    assert_int_equal(charge(&b, 1, NOW_US).expires_us, DAY_END + US_PER_H);
    bench_release(&b);
}

/* 100 tokens a minute: 60 are back after 36 seconds. */
static void test_a_bucket_matters_until_it_is_full(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, WINDOW_BUCKET);
    struct record record = charge(&b, 60, NOW_US);
    int64_t full_us = NOW_US + 36 * US_PER_S;
    assert_int_equal(record.expires_us, full_us);
    assert_false(grants_after_start(&b, &record, 0, 100, full_us - 1));
    assert_true(grants_after_start(&b, &record, 0, 100, full_us));
    assert_true(grants_after_start(&b, NULL, 0, 100, full_us));
    /* It is written again with each charge, later each time. */
    assert_int_equal(charge(&b, 40, NOW_US + US_PER_S).expires_us, full_us + 24 * US_PER_S);
    bench_release(&b);
}

static void test_what_is_held_beside_a_bucket_does_not_keep_it(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, WINDOW_BUCKET);
    b.resource.limits[0].charge = CHARGE_AT_SETTLE;
    start(&b);
    const struct effect *grant = ask(&b, 60, NOW_US, EFFECT_GRANT);
    assert_non_null(grant);
    struct event release = {
        .kind = EVENT_RELEASE,
        .now_us = NOW_US + US_PER_S,
        .caller = 1,
        .any_tenant = true,
        .release = {.lease = grant->grant.lease,
                    .usage = {{1, 10, 10, 10, 1, 0}},
                    .has_usage = true},
    };
    assert_non_null(ask(&b, 40, NOW_US, EFFECT_GRANT));
    step(&b, &release);
    int64_t expires_us = -1;
    for (size_t i = 0; i < b.effects.len; i++) {
        const struct effect *e = &b.effects.at[i];
        if (e->kind == EFFECT_PERSIST && e->record.kind == RECORD_COUNTER) {
            expires_us = e->record.expires_us;
        }
    }
    /* 10 are used, and back after 6 seconds, although 40 are still held. */
    assert_int_equal(expires_us, NOW_US + 7 * US_PER_S);
    bench_release(&b);
}

static void test_a_bucket_that_never_fills_again_within_time_is_kept(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, WINDOW_BUCKET);
    b.resource.limits[0].amount = 1;
    b.resource.limits[0].per_us = PER_US_MAX;
    b.resource.limits[0].burst = AMOUNT_MAX;
    start(&b);
    assert_int_equal(charge(&b, AMOUNT_MAX, NOW_US).expires_us, INT64_MAX);
    bench_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lifetime_counter_matters_for_ever),
        cmocka_unit_test(test_a_calendar_counter_matters_until_its_period_ends),
        cmocka_unit_test(test_a_wall_clock_ahead_ends_a_period_sooner),
        cmocka_unit_test(test_a_bucket_matters_until_it_is_full),
        cmocka_unit_test(test_what_is_held_beside_a_bucket_does_not_keep_it),
        cmocka_unit_test(test_a_bucket_that_never_fills_again_within_time_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
