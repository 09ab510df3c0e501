/* Amounts, durations, money and shares: exact, or refused. */
#include <inttypes.h>
#include <stdio.h>

#include "base/num.h"
#include "check.h"
#include "config/config.h"
#include "config/show.h"

struct row {
    const char *text;
    int64_t value; /* -1: refused */
};

static void check_rows(const struct row *rows, size_t n, bool (*read)(struct text t, int64_t *out))
{
    for (size_t i = 0; i < n; i++) {
        int64_t value = -7;
        bool good = read(text_of(rows[i].text), &value);
        if (!good && value != -7) {
            fail_msg("\"%s\": refused, but changed the result", rows[i].text);
        }
        if (good != (rows[i].value >= 0) || (good && value != rows[i].value)) {
            fail_msg("\"%s\": %s, %" PRId64 ", not %" PRId64, rows[i].text,
                     good ? "read" : "refused", value, rows[i].value);
        }
    }
}

#define CHECK_ROWS(rows, read) check_rows(rows, sizeof(rows) / sizeof(rows[0]), read)

static bool read_amount_max(struct text t, int64_t *out)
{
    return config_read_amount(t, INT64_MAX, out);
}

static void test_amounts_are_whole(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", 0},
        {"50", 50},
        {"007", 7},
        {"200k", 200000},
        {"2M", 2000000},
        {"1.5k", 1500},
        {"0.001k", 1},
        {"1.000", 1},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775.807k", INT64_MAX},
        {"", -1},
        {"k", -1},
        {".5k", -1},
        {"5.", -1},
        {"1.5", -1},
        {"0.0001k", -1},
        {"1K", -1},
        {"1m", -1},
        {"1kk", -1},
        {"1 k", -1},
        {" 1", -1},
        {"-1", -1},
        {"+1", -1},
        {"1e3", -1},
        {"0x10", -1},
        {"1_000", -1},
        {"1,000", -1},
        {"1.2.3k", -1},
        {"9223372036854775808", -1},
        {"9223372036854775.808k", -1},
        {"99999999999999999999999", -1},
        {"0.0000000000000000001M", -1},
    };
    CHECK_ROWS(rows, read_amount_max);
}

static void test_an_amount_beyond_its_maximum_is_refused(void **state)
{
    (void)state;
    int64_t n = 0;
    assert_true(config_read_amount(TEXT("1k"), 1000, &n));
    assert_int_equal(n, 1000);
    assert_false(config_read_amount(TEXT("1001"), 1000, &n));
}

static void test_durations_are_microseconds(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"250ms", 250 * US_PER_MS},
        {"1s", US_PER_S},
        {"1m", US_PER_MIN},
        {"1m30s", 90 * US_PER_S},
        {"1d2h3m4s5ms", US_PER_DAY + 2 * US_PER_H + 3 * US_PER_MIN + 4 * US_PER_S + 5 * US_PER_MS},
        {"0s", 0},
        {"1.5s", 1500 * US_PER_MS},
        {"0.001ms", 1},
        {"90m", 90 * US_PER_MIN},
        {"second", US_PER_S},
        {"minute", US_PER_MIN},
        {"hour", US_PER_H},
        {"day", US_PER_DAY},
        {"106751991d", INT64_C(106751991) * US_PER_DAY},
        {"", -1},
        {"5", -1},
        {"0", -1},
        {"s", -1},
        {"1S", -1},
        {"1 s", -1},
        {"1s ", -1},
        {"1s1m", -1},
        {"1s1s", -1},
        {"1m30", -1},
        {"1ms1s", -1},
        {"1w", -1},
        {"1us", -1},
        {"0.0001ms", -1},
        {"month", -1},
        {"days", -1},
        {"-1s", -1},
        {"1s-", -1},
        {"106751992d", -1},
        {"106751991d24h", -1},
    };
    CHECK_ROWS(rows, config_read_duration);
}

static void test_money_is_exact_to_the_picodollar(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"50", 50 * PICOUSD_PER_USD},
        {"0.25", PICOUSD_PER_USD / 4},
        {"0.000000000001", 1},
        {"0.1", PICOUSD_PER_USD / 10},
        {"1000000", USD_AMOUNT_MAX},
        {"999999.999999999999", USD_AMOUNT_MAX - 1},
        {"0.0000000000010", 1},
        {"0", 0},
        {"1000000.000000000001", -1},
        {"1000001", -1},
        {"0.0000000000001", -1},
        {"$5", -1},
        {"5usd", -1},
        {"1k", -1},
        {"", -1},
        {".", -1},
        {"1.", -1},
        {"-1", -1},
        {"1e1", -1},
    };
    CHECK_ROWS(rows, config_read_picousd);
}

static bool read_share_wide(struct text t, int64_t *out)
{
    int32_t ppm;
    bool good = config_read_share(t, &ppm);
    if (good) {
        *out = ppm;
    }
    return good;
}

static void test_shares_are_percent_or_fractions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"80%", 800000}, {"0.8", 800000},  {"100%", 1000000}, {"1", 1000000},  {"0", 0},
        {"0%", 0},       {"0.5%", 5000},   {"0.0001%", 1},    {"0.000001", 1}, {"1.0", 1000000},
        {"101%", -1},    {"1.000001", -1}, {"0.00001%", -1},  {"", -1},        {"%", -1},
        {"8 %", -1},     {"80%%", -1},     {"-1%", -1},       {"80", -1},      {".5", -1},
    };
    CHECK_ROWS(rows, read_share_wide);
}

static void test_what_is_shown_reads_back(void **state)
{
    (void)state;
    static const int64_t durations[] = {0,
                                        1,
                                        999,
                                        1500,
                                        US_PER_MS,
                                        US_PER_S + 1,
                                        90 * US_PER_S,
                                        PER_US_MAX,
                                        PER_US_MAX - 1,
                                        25 * US_PER_H + 250 * US_PER_MS};
    static const int64_t amounts[] = {0,       1,        999,        1000,          1001,
                                      1500000, 20000000, AMOUNT_MAX, AMOUNT_MAX - 1};
    struct buf b;
    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        int64_t us = -1;
        show_duration(&b, durations[i]);
        assert_true(config_read_duration(buf_text(&b), &us));
        assert_int_equal(us, durations[i]);
        buf_clear(&b);
    }
    for (size_t i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
        int64_t n = -1;
        show_amount(&b, UNIT_TOKENS, amounts[i]);
        assert_true(config_read_amount(buf_text(&b), AMOUNT_MAX, &n));
        assert_int_equal(n, amounts[i]);
        buf_clear(&b);
        show_amount(&b, UNIT_USD, amounts[i]);
        assert_true(config_read_picousd(buf_text(&b), &n));
        assert_int_equal(n, amounts[i]);
        buf_clear(&b);
    }
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_amounts_are_whole),
        cmocka_unit_test(test_an_amount_beyond_its_maximum_is_refused),
        cmocka_unit_test(test_durations_are_microseconds),
        cmocka_unit_test(test_money_is_exact_to_the_picodollar),
        cmocka_unit_test(test_shares_are_percent_or_fractions),
        cmocka_unit_test(test_what_is_shown_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
