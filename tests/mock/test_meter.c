#include "mock/meter.h"

#include "base/num.h"
#include "check.h"
#include "mock/chance.h"

#define STEPS  4000
#define SEEDS  5
#define AMOUNT 50
#define PER_US 1000

/* Everything that was ever added, for a model which sums it all up each time. */
struct log {
    int64_t at_us[STEPS];
    int64_t n[STEPS];
    size_t len;
};

static int64_t log_used(const struct log *log, int64_t now_us)
{
    int64_t used = 0;
    for (size_t i = 0; i < log->len; i++) {
        used += log->at_us[i] + PER_US > now_us ? log->n[i] : 0;
    }
    return used;
}

/* The first moment at which n fits, found by trying one after another. */
static int64_t log_room_in_us(const struct log *log, int64_t now_us, int64_t n)
{
    int64_t t = now_us;
    while (log_used(log, t) + n > AMOUNT) {
        t++;
    }
    return t - now_us;
}

static void check_against_log(uint64_t seed)
{
    struct meter m;
    static struct log log;
    int64_t now_us = 0;
    log.len = 0;
    meter_init(&m, METER_ROLLING, AMOUNT, PER_US, 0, 0);
    for (uint64_t i = 0; i < STEPS; i++) {
        now_us += chance_between(seed, i, 0, 0, 60);
        int64_t n = chance_between(seed, i, 1, 1, 9);
        int64_t used = log_used(&log, now_us);
        /* Above its amount the meter need not know how far: nothing fits either way. */
        assert_int_equal(min_i64(used, AMOUNT), min_i64(meter_used(&m, now_us), AMOUNT));
        assert_int_equal(log_room_in_us(&log, now_us, n), meter_room_in_us(&m, now_us, n));
        if (used + n <= AMOUNT || chance_between(seed, i, 2, 0, 3) == 0) {
            meter_add(&m, now_us, n);
            log.at_us[log.len] = now_us;
            log.n[log.len++] = n;
        }
    }
    meter_release(&m);
}

static void test_a_rolling_meter_agrees_with_a_log_of_everything(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        check_against_log(seed);
    }
}

static void test_overrunning_a_rolling_meter_takes_no_more_memory_than_its_amount(void **state)
{
    (void)state;
    struct meter m;
    meter_init(&m, METER_ROLLING, 100, PER_US, 0, 0);
    for (int64_t i = 0; i < 100000; i++) {
        meter_add(&m, i / 1000, 1);
    }
    assert_true(m.ring_size <= 128);
    assert_int_equal(meter_room_in_us(&m, 99, 1), PER_US);
    meter_release(&m);
}

static void test_a_rolling_meter_at_its_cap_errs_on_the_strict_side(void **state)
{
    (void)state;
    struct meter m;
    int64_t entries = (int64_t)METER_ENTRIES_MAX;
    meter_init(&m, METER_ROLLING, entries * 2, US_PER_H, 0, 0);
    for (int64_t i = 0; i < entries + 10; i++) {
        meter_add(&m, i, 1);
    }
    assert_int_equal(meter_used(&m, entries + 10), entries + 10);
    /* The last eleven left together, when the last of them does. */
    assert_int_equal(meter_used(&m, entries - 1 + US_PER_H), 11);
    assert_int_equal(meter_used(&m, entries + 9 + US_PER_H), 0);
    meter_release(&m);
}

static void test_a_bucket_loses_nothing_to_rounding(void **state)
{
    (void)state;
    struct meter m;
    meter_init(&m, METER_BUCKET, 7, PER_US, 0, 0);
    meter_add(&m, 0, 7);
    /* Seven in 1,000 us: looked at each microsecond, it is full after exactly 1,000. */
    for (int64_t t = 1; t < PER_US; t++) {
        assert_true(meter_used(&m, t) > 0);
        assert_int_equal(meter_empty_in_us(&m, t), PER_US - t);
    }
    assert_int_equal(meter_used(&m, PER_US), 0);
    meter_release(&m);
}

static void test_an_overrun_bucket_owes_what_it_gave(void **state)
{
    (void)state;
    struct meter m;
    meter_init(&m, METER_BUCKET, 10, PER_US, 0, 0);
    meter_add(&m, 0, 25);
    assert_int_equal(meter_used(&m, 0), 25);
    assert_int_equal(meter_room_in_us(&m, 0, 1), 1600);
    assert_int_equal(m.peak, 25);
    meter_release(&m);
}

static void test_a_fixed_meter_starts_anew_also_before_its_phase(void **state)
{
    (void)state;
    struct meter m;
    meter_init(&m, METER_FIXED, 10, PER_US, 700, 0);
    meter_add(&m, 0, 10);
    assert_int_equal(meter_room_in_us(&m, 699, 1), 1);
    assert_int_equal(meter_room_in_us(&m, 700, 10), 0);
    meter_release(&m);
}

static void test_the_peak_stays(void **state)
{
    (void)state;
    struct meter m;
    meter_init(&m, METER_ROLLING, 10, PER_US, 0, 0);
    meter_add(&m, 0, 8);
    meter_add(&m, PER_US, 3);
    assert_int_equal(m.peak, 8);
    assert_int_equal(meter_used(&m, PER_US), 3);
    meter_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rolling_meter_agrees_with_a_log_of_everything),
        cmocka_unit_test(test_overrunning_a_rolling_meter_takes_no_more_memory_than_its_amount),
        cmocka_unit_test(test_a_rolling_meter_at_its_cap_errs_on_the_strict_side),
        cmocka_unit_test(test_a_bucket_loses_nothing_to_rounding),
        cmocka_unit_test(test_an_overrun_bucket_owes_what_it_gave),
        cmocka_unit_test(test_a_fixed_meter_starts_anew_also_before_its_phase),
        cmocka_unit_test(test_the_peak_stays),
    };
    return cmocka_run_group_tests_name("mock meter", tests, NULL, NULL);
}
