/*
 * What is held for calls whose tokens nobody gives, held against what they really used, over the
 * traces of real services in data/traces.
 *
 *     test_estimates TRACE.csv…
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "core/view.h"

#define CALL_US   (INT64_C(2) * US_PER_S)
#define CALLS_MAX 65536
#define LEARNT    200 /* calls that have settled before the estimates are judged */

struct call {
    int64_t at_us;
    int64_t input;
    int64_t output;
    uint64_t lease;
    int64_t held;
};

struct replay {
    struct core *core;
    struct effects effects;
    struct call *calls;
    size_t calls_n;
    size_t settled;
    uint64_t dice;
    int64_t held; /* tokens of those that came once enough had settled … */
    int64_t real; /* … and what they used */
};

/* xorshift64* (Vigna, 2016) */
static int64_t dice(struct replay *r, int64_t sides)
{
    r->dice ^= r->dice >> 12;
    r->dice ^= r->dice << 25;
    r->dice ^= r->dice >> 27;
    return (int64_t)((r->dice * UINT64_C(2685821657736338717) >> 33) % (uint64_t)sides);
}

/* Four bytes a token, up to a quarter more or less, mostly near the middle. */
static int64_t bytes_of(struct replay *r, int64_t tokens)
{
    int64_t per_mille = 750 + dice(r, 251) + dice(r, 251);
    return max_i64(1, tokens * 4 * per_mille / 1000);
}

static void read_trace(struct replay *r, const char *path)
{
    FILE *f = fopen(path, "r");
    char line[200];
    assert_non_null(f);
    r->calls = calloc(CALLS_MAX, sizeof(*r->calls));
    while (fgets(line, sizeof(line), f) && r->calls_n < CALLS_MAX) {
        struct call *c = &r->calls[r->calls_n];
        long long ms, input, output;
        if (sscanf(line, "%lld,%lld,%lld", &ms, &input, &output) == 3) {
            *c = (struct call){ms * US_PER_MS, input, output, 0, 0};
            r->calls_n++;
        }
    }
    fclose(f);
    assert_true(r->calls_n > 10 * LEARNT);
}

static void step(struct replay *r, const struct event *e)
{
    assert_int_equal(core_step(r->core, e, &r->effects), 0);
}

static void settle(struct replay *r, const struct call *c)
{
    struct event e = {
        .kind = EVENT_RELEASE,
        .now_us = c->at_us + CALL_US,
        .any_tenant = true,
        .release = {.lease = c->lease, .has_usage = true},
    };
    e.release.usage.of[UNIT_REQUESTS] = 1;
    e.release.usage.of[UNIT_INPUT_TOKENS] = c->input;
    e.release.usage.of[UNIT_OUTPUT_TOKENS] = c->output;
    e.release.usage.of[UNIT_TOKENS] = c->input + c->output;
    step(r, &e);
    r->settled++;
}

static void acquire(struct replay *r, struct call *c)
{
    struct event e = {
        .kind = EVENT_ACQUIRE,
        .now_us = c->at_us,
        .caller = 1,
        .acquire =
            {
                .resource = text_of("m"),
                .tenant = text_of("service"),
                .priority = PRIORITY_DEFAULT,
                .hold_us = US_PER_S,
                .lease_us = US_PER_MIN,
                .input_bytes = bytes_of(r, c->input),
            },
    };
    load_complete(&e.acquire.load, 0);
    step(r, &e);
    for (size_t i = 0; i < r->effects.len; i++) {
        const struct effect *f = &r->effects.at[i];
        if (f->kind == EFFECT_GRANT) {
            c->lease = f->grant.lease;
            c->held = f->grant.held.of[UNIT_TOKENS];
        }
    }
    assert_true(c->lease != 0);
}

static void replay(struct replay *r)
{
    size_t done = 0;
    for (size_t i = 0; i < r->calls_n; i++) {
        while (done < i && r->calls[done].at_us + CALL_US <= r->calls[i].at_us) {
            settle(r, &r->calls[done++]);
        }
        acquire(r, &r->calls[i]);
        if (r->settled >= LEARNT) {
            r->held += r->calls[i].held;
            r->real += r->calls[i].input + r->calls[i].output;
        }
    }
    while (done < r->calls_n) {
        settle(r, &r->calls[done++]);
    }
}

static void test_a_trace_is_held_to_within_a_tenth_of_what_it_uses(void **state)
{
    struct resource resource = {
        .name = "m",
        .model = "m",
        .output_percentile = OUTPUT_PERCENTILE_DEFAULT,
        .line_len_max = 1,
        .tenant_line_len_max = 1,
    };
    struct policy policy = {&resource, 1, NULL, 0, NULL, 0, CALLS_MAX, 1};
    struct policy_error problem;
    struct replay r = {.dice = 7};
    struct core_options options = {.seed = {1, 2}};
    assert_int_equal(policy_check(&policy, &problem), 0);
    assert_int_equal(core_new(&options, &r.core), 0);
    effects_init(&r.effects);
    read_trace(&r, *state);
    struct event configure = {.kind = EVENT_CONFIGURE, .policy = &policy};
    step(&r, &configure);
    replay(&r);
    struct resource_view view;
    core_resource_view(r.core, 0, &view);
    uint64_t counted = 0;
    for (size_t i = 0; i < ESTIMATE_ERRORS; i++) {
        counted += view.estimates[i];
    }
    int64_t off_ppm = mul_div_sat(r.held - r.real, 1000000, r.real);
    print_message("held %lld, used %lld: %+.1f %%\n", (long long)r.held, (long long)r.real,
                  (double)off_ppm / 10000);
    assert_int_equal(counted, r.calls_n);
    assert_in_range(off_ppm + 1000000, 1000000, 1100000);
    effects_release(&r.effects);
    core_free(r.core);
    free(r.calls);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[8];
    size_t n = 0;
    for (int i = 1; i < argc && n < 8; i++) {
        tests[n++] = (struct CMUnitTest){
            argv[i], test_a_trace_is_held_to_within_a_tenth_of_what_it_uses, NULL, NULL, argv[i]};
    }
    return _cmocka_run_group_tests("estimates", tests, n, NULL, NULL);
}
