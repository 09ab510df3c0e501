/* Times as providers write them, each way by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/num.h"
#include "provider/wait.h"

#define NOW_US INT64_C(1795320000000000) /* 2026-11-22 04:00:00 UTC */
#define NONE   (-1)

struct wait_case {
    const char *text;
    int64_t us; /* NONE: no wait */
};

typedef bool wait_reader(struct text text, int64_t *wait_us);

static bool read_from_now(struct text text, int64_t *wait_us)
{
    return wait_read(text, NOW_US, wait_us);
}

static void check(const struct wait_case *c, wait_reader *reader)
{
    int64_t us = NONE;
    bool read = reader(text_of(c->text), &us);
    if (us != c->us || read != (us != NONE)) {
        fail_msg("\"%s\" is read as %lld, not %lld", c->text, (long long)us, (long long)c->us);
    }
}

static void test_durations_are_read_with_the_longest_unit_first(void **state)
{
    static const struct wait_case cases[] = {
        {"12", 12 * US_PER_S},
        {"1.5", 1500 * US_PER_MS},
        {"0.0000019", 1},
        {"120ms", 120 * US_PER_MS},
        {"6m0s", 6 * US_PER_MIN},
        {"1m", US_PER_MIN},
        {"1h2m3.5s", US_PER_H + 2 * US_PER_MIN + 3500 * US_PER_MS},
        {"2m59.56s", 2 * US_PER_MIN + 59560 * US_PER_MS},
        {"1s500ms", 1500 * US_PER_MS},
        {"17.5\xc2\xb5s", 17},
        {"900ns", 0},
        {"2d", 2 * US_PER_DAY},
        {" 7 ", 7 * US_PER_S},
        {"0", 0},
        {"999999999", WAIT_LONGEST_US},
        {"999999999999999h", WAIT_LONGEST_US},
        {"9999999999999999h", NONE},
        {"", NONE},
        {"s", NONE},
        {"-1", NONE},
        {"-1s", NONE},
        {"+1", NONE},
        {"1e3", NONE},
        {"1.", NONE},
        {".5", NONE},
        {"5x", NONE},
        {"1m 5s", NONE},
        {"1,5", NONE},
        {"5s and more", NONE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(&cases[i], read_from_now);
    }
}

static void test_dates_are_waits_until_then(void **state)
{
    static const struct wait_case cases[] = {
        {"Sun, 22 Nov 2026 04:00:30 GMT", 30 * US_PER_S},
        {"Sunday, 22-Nov-26 04:00:30 GMT", 30 * US_PER_S},
        {"Sun Nov 22 04:00:30 2026", 30 * US_PER_S},
        {"2026-11-22T04:00:30Z", 30 * US_PER_S},
        {"2026-11-22t04:00:30.25z", 30250 * US_PER_MS},
        {"2026-11-22 05:30:30+01:30", 30 * US_PER_S},
        {"2026-11-21T20:00:30-08:00", 30 * US_PER_S},
        {"2026-11-22T04:00:00Z", 0},
        {"2028-02-29T00:00:00Z", WAIT_LONGEST_US},
        {"2027-03-01T04:00:00Z", 99 * US_PER_DAY},
        {"1795320030", 30 * US_PER_S},
        {"1795320030000", 30 * US_PER_S},
        {"1795319999", NONE},
        {"2026-11-22T03:59:59Z", NONE},
        {"Sun, 22 Nov 2026 03:59:59 GMT", NONE},
        {"Sun, 22 Nov 2026 04:00:30", NONE},
        {"Sun, 22 Nov 2026 04:00:30 CET", NONE},
        {"Sun, 22 Foo 2026 04:00:30 GMT", NONE},
        {"22 Nov 2026 04:00:30 GMT", NONE},
        {"2026-11-22", NONE},
        {"2026-11-22T04:00:30", NONE},
        {"2026-00-22T04:00:30Z", NONE},
        {"2026-11-22T25:00:30Z", NONE},
        {"1600-11-22T04:00:30Z", NONE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(&cases[i], read_from_now);
    }
}

static void test_sentences_say_how_long(void **state)
{
    static const struct wait_case cases[] = {
        {"Please try again in 6.5s. Visit", 6500 * US_PER_MS},
        {"Please try again in 1m26.4s.", US_PER_MIN + 26400 * US_PER_MS},
        {"Please try again in 120ms.", 120 * US_PER_MS},
        {"Please retry after 20 seconds.", 20 * US_PER_S},
        {"Please retry in 47.3s.", 47300 * US_PER_MS},
        {"Try again in 2 minutes", 2 * US_PER_MIN},
        {"Try again in 30", 30 * US_PER_S},
        {"Try again in 250 milliseconds", 250 * US_PER_MS},
        {"Try again in a while. Or try again in 3s", 3 * US_PER_S},
        {"Try again in ", NONE},
        {"Try again later", NONE},
        {"", NONE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(&cases[i], wait_in_words);
    }
}

static void test_milliseconds_are_a_number_alone(void **state)
{
    static const struct wait_case cases[] = {
        {"250", 250 * US_PER_MS}, {"0.5", 500}, {" 3 ", 3 * US_PER_MS},
        {"250ms", NONE},          {"-1", NONE}, {"", NONE}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(&cases[i], wait_read_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations_are_read_with_the_longest_unit_first),
        cmocka_unit_test(test_dates_are_waits_until_then),
        cmocka_unit_test(test_sentences_say_how_long),
        cmocka_unit_test(test_milliseconds_are_a_number_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
