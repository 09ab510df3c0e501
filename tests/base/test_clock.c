#include "base/clock.h"

#include <time.h>

#include "base/num.h"
#include "check.h"

static void test_the_clock_never_runs_backwards(void **state)
{
    (void)state;
    struct clock c;
    clock_init(&c, 0);
    int64_t last = clock_now_us(&c);
    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_now_us(&c);
        assert_true(now >= last);
        last = now;
    }
}

/* Between two readings of the wall, this clock read the same wall: it is anchored there. */
static void test_the_clock_is_anchored_to_the_wall(void **state)
{
    (void)state;
    struct timespec before;
    struct clock c;
    clock_gettime(CLOCK_REALTIME, &before);
    clock_init(&c, 0);
    assert_true(clock_now_us(&c) >= (int64_t)before.tv_sec * US_PER_S);
}

static void test_a_time_that_has_passed_is_not_passed_again(void **state)
{
    (void)state;
    struct clock c;
    clock_init(&c, 0);
    int64_t floor_us = clock_now_us(&c) + US_PER_DAY;
    struct clock later;
    clock_init(&later, floor_us);
    assert_true(clock_now_us(&later) >= floor_us);
    /* The wall is behind this clock then, by what the floor lay ahead of it. */
    assert_true(clock_skew_us(&later) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_clock_never_runs_backwards),
        cmocka_unit_test(test_the_clock_is_anchored_to_the_wall),
        cmocka_unit_test(test_a_time_that_has_passed_is_not_passed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
