/* What is said in words to the pretend provider: scripts of trouble, latencies, durations. */
#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "check.h"
#include "mock/chance.h"
#include "mock/headers.h"
#include "mock/latency.h"
#include "mock/quota.h"
#include "mock/stats.h"
#include "mock/trouble.h"

#define DRAWS 20000

static struct trouble_script script;

static void read_script(const char *text)
{
    struct buf why;
    buf_init(&why, 1000);
    script = (struct trouble_script){.rules_n = 0};
    if (trouble_parse(text_of(text), &script, &why)) {
        fail_msg("%s", why.at);
    }
    buf_release(&why);
}

static struct trouble choose(uint64_t number, const char *model, int64_t elapsed_us)
{
    struct trouble t;
    trouble_choose(&script, number, text_of(model), elapsed_us, 1, &t);
    return t;
}

static void test_a_script_says_which_calls_go_wrong(void **state)
{
    (void)state;
    read_script("# comment\n\nrequests 3-4: status 429 retry-after 2s code slow_down\n"
                "every 5: status 503; request 7 model a: cut 3");
    assert_int_equal(script.rules_n, 3);
    assert_null(choose(2, "a", 0).status);
    assert_int_equal(choose(3, "a", 0).status->amount, 429);
    assert_int_equal(choose(4, "b", 0).status->retry_after_us, 2 * US_PER_S);
    assert_string_equal(choose(4, "b", 0).status->name, "slow_down");
    assert_int_equal(choose(10, "b", 0).status->amount, 503);
    assert_null(choose(7, "b", 0).cut);
    assert_int_equal(choose(7, "a", 0).cut->amount, 3);
}

static void test_a_script_says_when_calls_go_wrong(void **state)
{
    (void)state;
    read_script("time 10s-20s: slow 3s\ntime 15s-1m: fail 0");
    assert_int_equal(choose(1, "a", 10 * US_PER_S - 1).slow_us, 0);
    assert_int_equal(choose(1, "a", 10 * US_PER_S).slow_us, 3 * US_PER_S);
    assert_null(choose(1, "a", 10 * US_PER_S).fail);
    assert_non_null(choose(1, "a", 15 * US_PER_S).fail);
    assert_int_equal(choose(1, "a", 20 * US_PER_S).slow_us, 0);
}

static void test_the_first_of_two_rules_counts(void **state)
{
    (void)state;
    read_script("always: status 500 message out of order; always: status 503");
    assert_int_equal(choose(1, "a", 0).status->amount, 500);
    assert_string_equal(choose(1, "a", 0).status->value, "out of order");
}

static void test_chance_strikes_about_as_often_as_asked(void **state)
{
    (void)state;
    int struck = 0;
    int both = 0;
    read_script("chance 25%: status 500; chance 25%: cut 1");
    for (uint64_t i = 1; i <= DRAWS; i++) {
        struct trouble t = choose(i, "a", 0);
        struck += t.status != NULL;
        both += t.status && t.cut;
    }
    assert_in_range(struck, DRAWS * 24 / 100, DRAWS * 26 / 100);
    /* Two rules throw two dice. */
    assert_in_range(both, DRAWS * 5 / 100, DRAWS * 8 / 100);
}

static void test_headers_are_spoilt_and_left_out(void **state)
{
    (void)state;
    read_script("request 1: header X-Ratelimit-Remaining-Tokens 9 9; request 1: no-header b");
    struct trouble t = choose(1, "a", 0);
    assert_string_equal(trouble_header(&script, &t, "x-ratelimit-remaining-tokens", "5"), "9 9");
    assert_null(trouble_header(&script, &t, "b", "5"));
    assert_string_equal(trouble_header(&script, &t, "c", "5"), "5");
    t = choose(2, "a", 0);
    assert_string_equal(trouble_header(&script, &t, "b", "5"), "5");
}

static void test_a_wrong_script_is_refused_and_named(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "nonsense",
        "always",
        "always:",
        "always: status",
        "always: status 200",
        "always: status 429 wait 3s",
        "requests 5-3: cut 1",
        "requests 0: cut 1",
        "every 0: cut 1",
        "chance 200%: cut 1",
        "time 5: slow 1s",
        "always: slow 1",
        "always: header x",
        "always: no-header x y",
        "always model: cut 1",
        "sometimes: cut 1",
        "always: header  ",
        "always: quota 0%",
        "always: quota 101%",
        "requests 1-5: quota 50%",
        "chance 5%: others 30%",
        "always: others many",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buf why;
        buf_init(&why, 1000);
        script = (struct trouble_script){.rules_n = 0};
        if (trouble_parse(text_of(wrong[i]), &script, &why) != ERR_INVALID_REQUEST) {
            fail_msg("taken as good: %s", wrong[i]);
        }
        assert_int_equal(script.rules_n, 0);
        assert_non_null(strstr(why.at, "is no rule"));
        buf_release(&why);
    }
}

static void test_a_script_says_when_the_quota_is_lower_and_who_else_uses_it(void **state)
{
    (void)state;
    struct quota_weather w;
    read_script("time 1m-2m: quota 50%; time 90s-3m model a: others 30%; always: quota 80%");
    trouble_weather(&script, TEXT("a"), 0, &w);
    assert_int_equal(w.lowered_ppm, 200000);
    assert_int_equal(w.others_ppm, 0);
    trouble_weather(&script, TEXT("a"), 90 * US_PER_S, &w);
    assert_int_equal(w.lowered_ppm, 500000);
    assert_int_equal(w.others_ppm, 300000);
    trouble_weather(&script, TEXT("b"), 2 * US_PER_MIN, &w);
    assert_int_equal(w.lowered_ppm, 200000);
    assert_int_equal(w.others_ppm, 0);
}

static void test_a_script_has_a_most(void **state)
{
    (void)state;
    struct buf text;
    struct buf why;
    buf_init(&text, 10000);
    buf_init(&why, 1000);
    for (int i = 0; i <= TROUBLE_RULES_MAX; i++) {
        buf_add_str(&text, "always: cut 1\n");
    }
    script = (struct trouble_script){.rules_n = 0};
    assert_int_equal(trouble_parse(buf_text(&text), &script, &why), ERR_INVALID_REQUEST);
    buf_release(&text);
    buf_release(&why);
}

static struct latency read_latency(const char *spec)
{
    struct latency l = {0};
    struct buf why;
    buf_init(&why, 1000);
    if (latency_parse(text_of(spec), &l, &why)) {
        fail_msg("%s", why.at);
    }
    buf_release(&why);
    return l;
}

static void test_latencies_are_read(void **state)
{
    (void)state;
    struct latency l = read_latency("none");
    assert_int_equal(latency_draw_us(&l, 1, 1, CHANCE_FIRST_TOKEN), 0);
    l = read_latency("constant:1.5s,20ms");
    assert_int_equal(latency_draw_us(&l, 1, 1, CHANCE_FIRST_TOKEN), 1500000);
    assert_int_equal(l.per_token_us, 20000);
    static const char *const wrong[] = {"",           "constant",         "constant:5",
                                        "uniform:2s", "uniform:2s,1s",    "lognormal:1s,x",
                                        "none:1s",    "lognormal:1s,9.5", "normal:1s,2s",
                                        "constant:1h"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buf why;
        buf_init(&why, 1000);
        if (latency_parse(text_of(wrong[i]), &l, &why) != ERR_INVALID_REQUEST) {
            fail_msg("taken as good: %s", wrong[i]);
        }
        buf_release(&why);
    }
}

static void test_draws_follow_their_distribution(void **state)
{
    (void)state;
    struct latency u = read_latency("uniform:10ms,20ms");
    struct latency n = read_latency("lognormal:100ms,0.5");
    int64_t sum = 0;
    int below = 0;
    int within = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        int64_t us = latency_draw_us(&u, 7, i, CHANCE_FIRST_TOKEN);
        assert_in_range(us, 10000, 20000);
        sum += us;
        us = latency_draw_us(&n, 7, i, CHANCE_FIRST_TOKEN);
        below += us < 100000;
        within += us > 60653 && us < 164872; /* one sigma */
    }
    assert_in_range(sum / DRAWS, 14900, 15100);
    assert_in_range(below, DRAWS * 49 / 100, DRAWS * 51 / 100);
    assert_in_range(within, DRAWS * 67 / 100, DRAWS * 695 / 1000);
}

static void test_the_same_seed_draws_the_same(void **state)
{
    (void)state;
    struct latency n = read_latency("lognormal:100ms,0.5");
    int64_t first = latency_draw_us(&n, 7, 3, CHANCE_FIRST_TOKEN);
    assert_int_equal(first, latency_draw_us(&n, 7, 3, CHANCE_FIRST_TOKEN));
    assert_int_not_equal(first, latency_draw_us(&n, 8, 3, CHANCE_FIRST_TOKEN));
    assert_int_not_equal(first, latency_draw_us(&n, 7, 4, CHANCE_FIRST_TOKEN));
    assert_int_not_equal(first, latency_draw_us(&n, 7, 3, CHANCE_ADMISSION_DELAY));
}

static void test_durations_are_written_as_go_does(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "0ms"},          {1, "1ms"},         {120000, "120ms"},   {1000000, "1s"},
        {1500000, "1.500s"}, {60000000, "1m0s"}, {360000000, "6m0s"}, {3661000000, "1h1m1s"},
        {59999001, "1m0s"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out;
        buf_init(&out, 100);
        write_go_duration(cases[i].us, &out);
        assert_string_equal(out.at, cases[i].text);
        buf_release(&out);
    }
}

static void test_a_full_series_is_folded_and_loses_nothing(void **state)
{
    (void)state;
    static struct mock_stats s;
    int64_t sum = 0;
    mock_stats_init(&s, 60 * 1000);
    int64_t step_us = s.step_us;
    for (int64_t i = 0; i < SERIES_LEN_MAX * 5; i++) {
        mock_stats_admit(&s, i * step_us, 3);
    }
    assert_int_equal(s.step_us, step_us * 8);
    for (int64_t i = 0; i < s.series_len; i++) {
        assert_int_equal(s.series_requests[i], 8);
        sum += s.series_tokens[i];
    }
    assert_int_equal(sum, s.tokens_admitted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_script_says_which_calls_go_wrong),
        cmocka_unit_test(test_a_script_says_when_calls_go_wrong),
        cmocka_unit_test(test_the_first_of_two_rules_counts),
        cmocka_unit_test(test_chance_strikes_about_as_often_as_asked),
        cmocka_unit_test(test_headers_are_spoilt_and_left_out),
        cmocka_unit_test(test_a_wrong_script_is_refused_and_named),
        cmocka_unit_test(test_a_script_says_when_the_quota_is_lower_and_who_else_uses_it),
        cmocka_unit_test(test_a_script_has_a_most),
        cmocka_unit_test(test_latencies_are_read),
        cmocka_unit_test(test_draws_follow_their_distribution),
        cmocka_unit_test(test_the_same_seed_draws_the_same),
        cmocka_unit_test(test_durations_are_written_as_go_does),
        cmocka_unit_test(test_a_full_series_is_folded_and_loses_nothing),
    };
    return cmocka_run_group_tests_name("mock script", tests, NULL, NULL);
}
