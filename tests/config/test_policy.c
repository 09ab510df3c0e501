/* The core's last word on a policy: each rule of policy.h, broken one at a time. */
#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "check.h"
#include "core/policy.h"

static struct resource resources[2];
static struct tenant_weight weights[1];
static struct policy policy;

/* Two resources with a rolling limit each, which nothing is wrong with. */
static struct limit *fresh(void)
{
    memset(resources, 0, sizeof(resources));
    memset(weights, 0, sizeof(weights));
    for (int i = 0; i < 2; i++) {
        struct resource *r = &resources[i];
        r->name[0] = (char)('a' + i);
        strcpy(r->model, "m");
        r->line_len_max = 1;
        r->tenant_line_len_max = 1;
        r->limits_n = 1;
        r->limits[0] = (struct limit){.name = "rpm",
                                      .unit = UNIT_REQUESTS,
                                      .window = WINDOW_ROLLING,
                                      .amount = 5,
                                      .per_us = US_PER_MIN,
                                      .guard_us = US_PER_S};
    }
    weights[0].weight = 1;
    policy = (struct policy){.resources = resources,
                             .resources_n = 2,
                             .weights = weights,
                             .weights_n = 1,
                             .leases_max = 1,
                             .counters_max = 1};
    return &resources[0].limits[0];
}

static void expect(const char *resource, const char *limit, const char *problem)
{
    struct policy_error error = {0};
    assert_int_equal(policy_check(&policy, &error), ERR_INVALID_REQUEST);
    assert_string_equal(error.problem, problem);
    if (resource) {
        assert_string_equal(error.resource, resource);
    } else {
        assert_null(error.resource);
    }
    if (limit) {
        assert_string_equal(error.limit, limit);
    } else {
        assert_null(error.limit);
    }
}

static void test_a_good_policy_is_taken(void **state)
{
    (void)state;
    struct policy_error error;
    fresh();
    assert_int_equal(policy_check(&policy, &error), 0);
    policy.resources_n = 0;
    policy.weights_n = 0;
    assert_int_equal(policy_check(&policy, &error), 0);
}

static void test_caps_and_weights_are_checked(void **state)
{
    (void)state;
    fresh();
    policy.leases_max = 0;
    expect(NULL, NULL, "the caps on leases and counters must be above 0");
    fresh();
    policy.counters_max = 0;
    expect(NULL, NULL, "the caps on leases and counters must be above 0");
    fresh();
    weights[0].weight = 0;
    expect(NULL, NULL, "a tenant's weight is out of range");
    weights[0].weight = WEIGHT_MAX + 1;
    expect(NULL, NULL, "a tenant's weight is out of range");
}

static void test_resources_are_checked(void **state)
{
    (void)state;
    fresh();
    resources[1].name[0] = '\0';
    expect("", NULL, "a resource has no name or no model");
    fresh();
    resources[1].model[0] = '\0';
    expect("b", NULL, "a resource has no name or no model");
    fresh();
    resources[1].name[0] = 'a';
    expect("a", NULL, "two resources have the same name");
    fresh();
    resources[0].line_len_max = 0;
    expect("a", NULL, "a line's length or its ageing is out of range");
    fresh();
    resources[0].ageing_us = -1;
    expect("a", NULL, "a line's length or its ageing is out of range");
    fresh();
    resources[0].limits_n = RESOURCE_LIMITS_MAX + 1;
    expect("a", NULL, "too many limits");
}

static void test_reserves_are_checked(void **state)
{
    (void)state;
    fresh();
    resources[0].reserves_n = 1;
    resources[0].reserves[0] = (struct reserve){"", 0, 1};
    expect("a", NULL, "a reserve is for a tenant or for a priority");
    resources[0].reserves[0] = (struct reserve){"t", 1, 1};
    expect("a", NULL, "a reserve is for a tenant or for a priority");
    resources[0].reserves[0] = (struct reserve){"", PRIORITY_MAX + 1, 1};
    expect("a", NULL, "a reserve is for a tenant or for a priority");
    resources[0].reserves[0] = (struct reserve){"t", 0, 0};
    expect("a", NULL, "a reserve's share is out of range");
    resources[0].reserves_n = 2;
    resources[0].reserves[0] = (struct reserve){"t", 0, 500001};
    resources[0].reserves[1] = (struct reserve){"", 1, 500000};
    expect("a", NULL, "the reserves add up to more than all");
}

static void test_amounts_are_checked(void **state)
{
    (void)state;
    fresh()->amount = 0;
    expect("a", "rpm", "the amount is out of range");
    fresh()->amount = AMOUNT_MAX + 1;
    expect("a", "rpm", "the amount is out of range");
    struct limit *l = fresh();
    l->unit = UNIT_USD;
    l->amount = USD_AMOUNT_MAX + 1;
    expect("a", "rpm", "the amount is out of range");
    fresh()->burst = -1;
    expect("a", "rpm", "the burst is out of range");
    fresh()->headroom_ppm = 1000000;
    expect("a", "rpm", "the headroom is out of range");
    l = fresh();
    l->amount = 1;
    l->headroom_ppm = 1;
    expect("a", "rpm", "the headroom leaves nothing");
    fresh()->warn_ppm = 1000001;
    expect("a", "rpm", "the warning's share is out of range");
    fresh()->slice_us = US_PER_MIN + 1;
    expect("a", "rpm", "only a rolling window is paced, in slices shorter than itself");
}

static void test_windows_are_checked(void **state)
{
    (void)state;
    fresh()->per_us = 0;
    expect("a", "rpm", "the window's length is out of range");
    fresh()->per_us = PER_US_MAX + 1;
    expect("a", "rpm", "the window's length is out of range");
    fresh()->guard_us = US_PER_MIN + 1;
    expect("a", "rpm", "the guard is longer than the window");
    fresh()->window = WINDOW_BUCKET;
    expect("a", "rpm", "a bucket has no burst");
    fresh()->window = (enum window_kind)9;
    expect("a", "rpm", "the window's kind is unknown");
    struct limit *l = fresh();
    l->window = WINDOW_CALENDAR;
    l->step = (enum calendar_step)9;
    expect("a", "rpm", "the step of the calendar is unknown");
    static const struct zone_change backwards[] = {{5, 0}, {5, 1}};
    static const struct zone empty = {backwards, 0}, wrong = {backwards, 2};
    l = fresh();
    l->window = WINDOW_CALENDAR;
    l->zone = &empty;
    expect("a", "rpm", "a zone has no offset");
    l->zone = &wrong;
    expect("a", "rpm", "a zone's changes are not in order of time");
}

static void test_rules_are_checked(void **state)
{
    (void)state;
    fresh()->unit = UNIT_COUNT;
    expect("a", "rpm", "the unit is unknown");
    fresh()->unit = UNIT_SLOTS;
    expect("a", "rpm", "slots have no window");
    fresh()->scope = (enum scope)9;
    expect("a", "rpm", "the scope is unknown");
    fresh()->scope = SCOPE_LABEL;
    expect("a", "rpm", "a label's key belongs to a label's scope");
    strcpy(fresh()->label, "team");
    expect("a", "rpm", "a label's key belongs to a label's scope");
    fresh()->settle = (enum settle_rule)9;
    expect("a", "rpm", "a rule is unknown");
    fresh()->name[0] = '\0';
    expect("a", "", "a limit has no name");
}

static void test_names_and_pools_do_not_clash(void **state)
{
    (void)state;
    fresh();
    resources[0].limits[1] = resources[0].limits[0];
    resources[0].limits_n = 2;
    expect("a", "rpm", "two limits of a resource have the same name");
    strcpy(resources[0].limits[0].shared, "pool");
    strcpy(resources[0].limits[1].shared, "pool");
    strcpy(resources[0].limits[1].name, "other");
    expect("a", "other", "a resource names a pool twice");
    fresh();
    strcpy(resources[0].limits[0].shared, "pool");
    strcpy(resources[1].limits[0].shared, "pool");
    struct policy_error error;
    assert_int_equal(policy_check(&policy, &error), 0);
    resources[1].limits[0].amount++;
    expect("b", "rpm", "the limits of a pool do not agree");
}

static void test_every_unit_has_its_name(void **state)
{
    (void)state;
    static const char *const names[UNIT_COUNT] = {"requests",      "tokens", "input_tokens",
                                                  "output_tokens", "slots",  "usd"};
    for (int i = 0; i < UNIT_COUNT; i++) {
        assert_string_equal(unit_name((enum unit)i), names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_policy_is_taken),
        cmocka_unit_test(test_caps_and_weights_are_checked),
        cmocka_unit_test(test_resources_are_checked),
        cmocka_unit_test(test_reserves_are_checked),
        cmocka_unit_test(test_amounts_are_checked),
        cmocka_unit_test(test_windows_are_checked),
        cmocka_unit_test(test_rules_are_checked),
        cmocka_unit_test(test_names_and_pools_do_not_clash),
        cmocka_unit_test(test_every_unit_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
