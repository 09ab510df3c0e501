/* Time zones against dates that are known from the zones' own laws. */
#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "check.h"
#include "config/zone.h"

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    /* Years begin in March, so that the leap day is the last. */
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = (month + 9) % 12;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int64_t utc(int64_t year, int64_t month, int64_t day, int64_t hour)
{
    return days_of(year, month, day) * US_PER_DAY + hour * US_PER_H;
}

static int64_t offset_minutes(const struct zone *z, int64_t at_us)
{
    int64_t offset_us = z->changes[0].offset_us;
    for (size_t i = 0; i < z->changes_n && z->changes[i].at_us <= at_us; i++) {
        offset_us = z->changes[i].offset_us;
    }
    return offset_us / US_PER_MIN;
}

static bool changes_at(const struct zone *z, int64_t at_us)
{
    return offset_minutes(z, at_us) != offset_minutes(z, at_us - 1);
}

static struct zone *zone_of(const char *name)
{
    struct zone *z = NULL;
    assert_int_equal(zone_new(text_of(name), &z), 0);
    assert_non_null(z);
    assert_int_equal(z->changes[0].at_us, ZONE_FROM_US);
    for (size_t i = 1; i < z->changes_n; i++) {
        assert_true(z->changes[i].at_us > z->changes[i - 1].at_us);
        assert_true(z->changes[i].offset_us != z->changes[i - 1].offset_us);
    }
    return z;
}

static void test_europe_changes_at_one_utc_on_the_last_sundays(void **state)
{
    (void)state;
    struct zone *z = zone_of("Europe/Berlin");
    assert_true(changes_at(z, utc(2026, 3, 29, 1)));
    assert_true(changes_at(z, utc(2026, 10, 25, 1)));
    assert_int_equal(offset_minutes(z, utc(2026, 3, 29, 1) - 1), 60);
    assert_int_equal(offset_minutes(z, utc(2026, 3, 29, 1)), 120);
    assert_int_equal(offset_minutes(z, utc(2026, 10, 25, 1)), 60);
    assert_true(changes_at(z, utc(2027, 3, 28, 1)));
    assert_int_equal(offset_minutes(z, utc(2050, 7, 1, 0)), 120);
    assert_int_equal(offset_minutes(z, utc(2099, 12, 1, 0)), 60);
    zone_free(z);
}

static void test_the_pacific_changes_at_two_local_time(void **state)
{
    (void)state;
    struct zone *z = zone_of("America/Los_Angeles");
    /* 2026: forward on 8 March at 2:00 PST, back on 1 November at 2:00 PDT. */
    assert_true(changes_at(z, utc(2026, 3, 8, 10)));
    assert_true(changes_at(z, utc(2026, 11, 1, 9)));
    assert_int_equal(offset_minutes(z, utc(2026, 7, 1, 0)), -420);
    assert_int_equal(offset_minutes(z, utc(2026, 12, 1, 0)), -480);
    zone_free(z);
}

static void test_lord_howe_changes_by_half_an_hour(void **state)
{
    (void)state;
    struct zone *z = zone_of("Australia/Lord_Howe");
    assert_int_equal(offset_minutes(z, utc(2026, 1, 1, 0)), 660);
    assert_int_equal(offset_minutes(z, utc(2026, 7, 1, 0)), 630);
    zone_free(z);
}

static void test_a_zone_without_summer_time_has_one_offset(void **state)
{
    (void)state;
    struct zone *kolkata = zone_of("Asia/Kolkata");
    assert_int_equal(kolkata->changes_n, 1);
    assert_int_equal(offset_minutes(kolkata, utc(2026, 7, 1, 0)), 330);
    zone_free(kolkata);
    struct zone *z = zone_of("UTC");
    assert_int_equal(z->changes_n, 1);
    assert_int_equal(z->changes[0].offset_us, 0);
    zone_free(z);
}

static void test_every_change_of_eighty_years_is_there(void **state)
{
    (void)state;
    struct zone *z = zone_of("Europe/Berlin");
    assert_int_equal(z->changes_n, 1 + 2 * 80);
    zone_free(z);
}

static void test_other_names_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",
        "Europe/Berlinn",
        "europe/nowhere",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe/",
        "EST5EDT,M3.2.0,M11.1.0",
        "+02:00",
        ":UTC",
        "Europe//Berlin",
        "Europe/../Europe/Berlin",
        "UTC ",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct zone *z = NULL;
        if (zone_new(text_of(names[i]), &z) != ERR_NOT_FOUND || z) {
            fail_msg("\"%s\" is taken for a zone", names[i]);
        }
    }
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    struct zone *z = NULL;
    assert_int_equal(zone_new((struct text){longest, sizeof(longest)}, &z), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_europe_changes_at_one_utc_on_the_last_sundays),
        cmocka_unit_test(test_the_pacific_changes_at_two_local_time),
        cmocka_unit_test(test_lord_howe_changes_by_half_an_hour),
        cmocka_unit_test(test_a_zone_without_summer_time_has_one_offset),
        cmocka_unit_test(test_every_change_of_eighty_years_is_there),
        cmocka_unit_test(test_other_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
