/*
 * The core against a provider whose limits it does not know: a model that counts what reaches it by
 * its own rules, written apart from the core's windows.
 *
 * Time is made up. Callers want more than there is all the time; a call reaches the provider a
 * little after its grant, and takes some seconds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "core/view.h"
#include "support/random.h"

#define CALLS_MAX  20000
#define CROWD      2000
#define ON_THE_WAY (INT64_C(40) * US_PER_MS)
#define TICK_US    (INT64_C(20) * US_PER_MS)

enum kind { FIXED_MINUTES, ROLLING_MINUTE };

/* A minute's requests and tokens, by one of two rules. */
struct provider {
    enum kind kind;
    bool tells; /* in headers */
    int64_t requests, tokens;
    struct {
        int64_t at_us, tokens;
    } served[CALLS_MAX];
    size_t served_n;
    size_t oldest; /* still inside */
    int64_t requests_now, tokens_now;
};

struct call {
    uint64_t lease;
    int64_t reaches_us, ends_us;
    bool reached, over;
    struct answer answer;
};

struct world {
    struct core *core;
    struct effects effects;
    struct provider provider;
    struct call *calls;
    size_t calls_n, first; /* those before have ended */
    size_t waiting;
    size_t ours, others, refused;
    int64_t others_us; /* between the calls of another program on the same key; 0: none */
    int64_t now_us;
    struct random dice;
};

static struct resource resource;
static struct policy policy;

/* --- The provider. --- */

static void provider_forget(struct provider *p, int64_t now_us)
{
    int64_t begin_us =
        p->kind == FIXED_MINUTES ? now_us / US_PER_MIN * US_PER_MIN : now_us - US_PER_MIN + 1;
    while (p->oldest < p->served_n && p->served[p->oldest].at_us < begin_us) {
        p->requests_now--;
        p->tokens_now -= p->served[p->oldest++].tokens;
    }
}

static bool provider_serves(struct provider *p, int64_t now_us, int64_t tokens)
{
    provider_forget(p, now_us);
    if (p->requests_now + 1 > p->requests || p->tokens_now + tokens > p->tokens) {
        return false;
    }
    assert_true(p->served_n < CALLS_MAX);
    p->served[p->served_n].at_us = now_us;
    p->served[p->served_n++].tokens = tokens;
    p->requests_now++;
    p->tokens_now += tokens;
    return true;
}

static void provider_answers(struct provider *p, int64_t now_us, bool served, struct answer *a)
{
    *a = (struct answer){
        .class = served ? ANSWER_OK : ANSWER_WAIT, .reached = true, .retry_after_us = -1};
    if (!served) {
        int64_t free_us = p->kind == FIXED_MINUTES ? (now_us / US_PER_MIN + 1) * US_PER_MIN
                                                   : p->served[p->oldest].at_us + US_PER_MIN;
        a->retry_after_us = max_i64(US_PER_S, free_us - now_us);
    }
    if (p->tells) {
        a->readings_n = 2;
        a->readings[0] = (struct reading){
            UNIT_REQUESTS, READING_MINUTE, p->requests, p->requests - p->requests_now, 1, -1};
        a->readings[1] = (struct reading){
            UNIT_TOKENS, READING_MINUTE, p->tokens, p->tokens - p->tokens_now, 1, -1};
    }
}

/* --- The world. --- */

static void step(struct world *w, const struct event *e)
{
    assert_int_equal(core_step(w->core, e, &w->effects), 0);
    for (size_t i = 0; i < w->effects.len; i++) {
        const struct effect *f = &w->effects.at[i];
        if (f->kind == EFFECT_GRANT) {
            assert_true(w->calls_n < CALLS_MAX);
            w->calls[w->calls_n++] = (struct call){
                .lease = f->grant.lease,
                .reaches_us = w->now_us + random_in(&w->dice, 0, ON_THE_WAY - 1),
                .ends_us = w->now_us + US_PER_S + random_in(&w->dice, 0, 2 * US_PER_S - 1),
            };
            w->waiting--;
        } else if (f->kind == EFFECT_REFUSE) {
            w->waiting--;
        }
    }
}

static void ask(struct world *w)
{
    struct event e = {.kind = EVENT_ACQUIRE, .now_us = w->now_us, .caller = 1};
    e.acquire.resource = text_of("m");
    e.acquire.load.of[UNIT_TOKENS] = 100;
    load_complete(&e.acquire.load, 1u << UNIT_TOKENS);
    e.acquire.priority = PRIORITY_DEFAULT;
    e.acquire.wait_us = US_PER_H;
    e.acquire.hold_us = 2 * WAIT_US_MAX;
    e.acquire.lease_us = US_PER_MIN;
    w->waiting++;
    step(w, &e);
}

static void release(struct world *w, struct call *c)
{
    struct event e = {.kind = EVENT_RELEASE, .now_us = w->now_us, .any_tenant = true};
    e.release.lease = c->lease;
    e.release.answer = &c->answer;
    bool ok = c->answer.class == ANSWER_OK;
    if (ok) {
        e.release.has_usage = true;
        e.release.usage.of[UNIT_TOKENS] = 100;
        load_complete(&e.release.usage, 1u << UNIT_TOKENS);
    }
    c->over = true;
    step(w, &e);
}

static void reach(struct world *w, struct call *c)
{
    bool served = provider_serves(&w->provider, w->now_us, 100);
    c->reached = true;
    c->ends_us = served ? c->ends_us : w->now_us + 50 * US_PER_MS;
    provider_answers(&w->provider, w->now_us, served, &c->answer);
    w->ours += served;
    w->refused += !served;
}

static void others_call(struct world *w)
{
    bool due = w->others_us > 0 && w->now_us % w->others_us < TICK_US;
    w->others += due && provider_serves(&w->provider, w->now_us, 100);
}

/* One tick of the clock: calls reach the provider and end, and new callers come. */
static void live(struct world *w)
{
    w->now_us += TICK_US;
    struct event tick = {.kind = EVENT_TICK, .now_us = w->now_us};
    do {
        step(w, &tick);
    } while (core_next_deadline(w->core) <= w->now_us);
    others_call(w);
    for (size_t i = w->first; i < w->calls_n; i++) {
        struct call *c = &w->calls[i];
        if (!c->reached && c->reaches_us <= w->now_us) {
            reach(w, c);
        }
        if (c->reached && !c->over && c->ends_us <= w->now_us) {
            release(w, c);
        }
    }
    while (w->first < w->calls_n && w->calls[w->first].over) {
        w->first++;
    }
    while (w->waiting < CROWD) {
        ask(w);
    }
}

static void begin(struct world *w, enum kind kind, bool tells)
{
    struct core_options options = {.seed = {5, 6}};
    struct policy_error problem;
    memset(w, 0, sizeof(*w));
    w->dice.state = 11;
    w->now_us = INT64_C(1000) * US_PER_MIN;
    w->calls = calloc(CALLS_MAX, sizeof(*w->calls));
    w->provider = (struct provider){.kind = kind, .tells = tells, .requests = 600, .tokens = 50000};
    assert_int_equal(policy_check(&policy, &problem), 0);
    assert_int_equal(core_new(&options, &w->core), 0);
    effects_init(&w->effects);
    struct event configure = {.kind = EVENT_CONFIGURE, .now_us = w->now_us, .policy = &policy};
    step(w, &configure);
}

static void end(struct world *w)
{
    core_check(w->core);
    effects_release(&w->effects);
    core_free(w->core);
    free(w->calls);
    free(w);
}

static void live_until(struct world *w, int64_t us)
{
    while (w->now_us < us) {
        live(w);
    }
}

static int set_up(void **state)
{
    (void)state;
    memset(&resource, 0, sizeof(resource));
    strcpy(resource.name, "m");
    strcpy(resource.model, "m");
    resource.feedback = feedback_default;
    resource.line_len_max = 2 * CROWD;
    resource.tenant_line_len_max = 2 * CROWD;
    policy = (struct policy){
        .resources = &resource, .resources_n = 1, .leases_max = CALLS_MAX, .counters_max = 10};
    return 0;
}

/* --- Tests. --- */

/* 50,000 tokens a minute at 100 a call: 500 calls. */
static void learn_quota(enum kind kind, bool tells, size_t refused_max)
{
    struct world *w = malloc(sizeof(*w));
    resource_learn_limits(&resource, 250 * US_PER_MS);
    begin(w, kind, tells);
    int64_t start_us = w->now_us;
    live_until(w, start_us + US_PER_MIN);
    size_t first = w->ours;
    live_until(w, start_us + 2 * US_PER_MIN);
    size_t second = w->ours - first;
    print_message("served %zu and %zu of 500 a minute, refused %zu\n", first, second, w->refused);
    assert_in_range(second, 475, 500);
    assert_in_range(w->refused, 0, refused_max);
    end(w);
}

static void test_a_quota_that_headers_tell_is_used_within_two_windows(void **state)
{
    (void)state;
    learn_quota(ROLLING_MINUTE, true, 0);
}

static void test_a_quota_that_headers_tell_of_fixed_minutes_is_used_within_two(void **state)
{
    (void)state;
    learn_quota(FIXED_MINUTES, true, 0);
}

static void test_a_quota_that_nobody_tells_is_used_within_two_windows(void **state)
{
    (void)state;
    learn_quota(FIXED_MINUTES, false, 250);
}

/* Another program asks for 150 calls a minute of the 500 and does not wait when it is refused. */
static void test_another_program_on_the_same_key_costs_few_refusals(void **state)
{
    (void)state;
    struct world *w = malloc(sizeof(*w));
    resource.limits_n = 1;
    struct limit *l = &resource.limits[0];
    strcpy(l->name, "tpm");
    l->unit = UNIT_TOKENS;
    l->window = WINDOW_ROLLING;
    l->amount = 50000;
    l->per_us = US_PER_MIN;
    l->guard_us = 250 * US_PER_MS;
    begin(w, ROLLING_MINUTE, true);
    w->others_us = 400 * US_PER_MS;
    int64_t start_us = w->now_us;
    live_until(w, start_us + 10 * US_PER_MIN);
    size_t used = w->ours + w->others;
    print_message("ours %zu, others %zu of 5000; refused %zu\n", w->ours, w->others, w->refused);
    assert_in_range(used, 4750, 5500);
    assert_in_range(w->refused, 0, 50);
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_quota_that_headers_tell_is_used_within_two_windows, set_up),
        cmocka_unit_test_setup(test_a_quota_that_headers_tell_of_fixed_minutes_is_used_within_two,
                               set_up),
        cmocka_unit_test_setup(test_a_quota_that_nobody_tells_is_used_within_two_windows, set_up),
        cmocka_unit_test_setup(test_another_program_on_the_same_key_costs_few_refusals, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
