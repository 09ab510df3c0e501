/* What is found by looking around: at lines in test_alerts.py, here at routes, minute by minute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "server/watch.h"

#define SHARE_PPM 100000
#define BEGIN_US  (INT64_C(1000) * US_PER_DAY)

static struct world {
    struct core *core;
    struct effects effects;
    struct watch watch;
    struct resource resources[2];
    struct route route;
    struct policy policy;
    int64_t now_us;
} world;

static void step(struct event event)
{
    event.now_us = world.now_us;
    assert_int_equal(core_step(world.core, &event, &world.effects), 0);
}

static void acquire(const char *route, const char *resource)
{
    struct event event = {.kind = EVENT_ACQUIRE, .caller = 1};
    event.acquire = (struct acquire){.resource = text_of(resource),
                                     .route = text_of(route),
                                     .priority = PRIORITY_DEFAULT,
                                     .hold_us = US_PER_H,
                                     .lease_us = US_PER_H};
    load_complete(&event.acquire.load, 0);
    step(event);
}

/* A first resource of `slots`, and one with room for all. */
static void begin(int64_t slots, bool accounts)
{
    struct core_options options = {.seed = {1, 2}};
    struct limit limit = {.name = "slots", .unit = UNIT_SLOTS, .window = WINDOW_NONE};
    memset(&world, 0, sizeof(world));
    world.now_us = BEGIN_US;
    for (size_t i = 0; i < 2; i++) {
        world.resources[i] = (struct resource){
            .name = "a", .model = "m", .limits_n = 1, .line_len_max = 9, .tenant_line_len_max = 9};
        world.resources[i].name[0] = (char)('a' + i);
        world.resources[i].limits[0] = limit;
        world.resources[i].limits[0].amount = i == 0 ? slots : 1000;
    }
    world.route = (struct route){.name = "best",
                                 .steps = {{.resource = 0}, {.resource = 1}},
                                 .steps_n = 2,
                                 .accounts = accounts};
    world.policy = (struct policy){.resources = world.resources,
                                   .resources_n = 2,
                                   .routes = &world.route,
                                   .routes_n = 1,
                                   .leases_max = 1000,
                                   .counters_max = 1000};
    effects_init(&world.effects);
    assert_int_equal(core_new(&options, &world.core), 0);
    struct event configure = {.kind = EVENT_CONFIGURE};
    configure.policy = &world.policy;
    step(configure);
    watch_configure(&world.watch, &world.policy);
}

static int end(void **state)
{
    (void)state;
    watch_release(&world.watch);
    effects_release(&world.effects);
    core_free(world.core);
    return 0;
}

static bool look_after(int64_t us, struct alert *alert)
{
    world.now_us += us;
    step((struct event){.kind = EVENT_TICK});
    return watch_route(&world.watch, world.core, 0, SHARE_PPM, alert);
}

static void grant(int n, const char *route, const char *resource)
{
    for (int i = 0; i < n; i++) {
        acquire(route, resource);
    }
}

static void test_many_fallbacks_within_a_minute_are_told_at_its_end(void **state)
{
    struct alert alert;
    (void)state;
    begin(5, false);
    assert_false(look_after(0, &alert));
    grant(20, "best", "");
    assert_false(look_after(59 * US_PER_S, &alert));
    assert_true(look_after(US_PER_S, &alert));
    assert_int_equal(alert.topic, TOPIC_FALLBACK_SHARE);
    assert_int_equal(alert.share_ppm, 750000);
    assert_true(text_equal(alert.resource, TEXT("best")));
    assert_false(look_after(US_PER_MIN, &alert)); /* nothing more was granted */
}

static void test_few_fallbacks_are_not_told(void **state)
{
    struct alert alert;
    (void)state;
    begin(90, false);
    assert_false(look_after(0, &alert));
    grant(100, "best", "");
    assert_false(look_after(US_PER_MIN, &alert)); /* a tenth, and not more */
}

static void test_the_share_of_a_handful_says_nothing(void **state)
{
    struct alert alert;
    (void)state;
    begin(1, false);
    assert_false(look_after(0, &alert));
    grant(WATCH_GRANTS_MIN - 1, "best", "");
    assert_false(look_after(US_PER_MIN, &alert));
}

static void test_accounts_of_a_pool_are_no_fallbacks(void **state)
{
    struct alert alert;
    (void)state;
    begin(1, true);
    assert_false(look_after(0, &alert));
    grant(20, "", "best");
    assert_false(look_after(US_PER_MIN, &alert));
}

static void test_another_account_of_the_pool_that_a_route_tries_first_is_no_fallback(void **state)
{
    struct alert alert;
    (void)state;
    begin(5, false);
    world.route.steps[1].alike = true;
    assert_false(look_after(0, &alert));
    grant(20, "best", "");
    assert_false(look_after(US_PER_MIN, &alert));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_many_fallbacks_within_a_minute_are_told_at_its_end, end),
        cmocka_unit_test_teardown(test_few_fallbacks_are_not_told, end),
        cmocka_unit_test_teardown(test_the_share_of_a_handful_says_nothing, end),
        cmocka_unit_test_teardown(test_accounts_of_a_pool_are_no_fallbacks, end),
        cmocka_unit_test_teardown(
            test_another_account_of_the_pool_that_a_route_tries_first_is_no_fallback, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
