/*
 * The rules of the pretend provider, as text tables.
 *
 * The first line of a case names the profile and its amounts; the minute is 60,000 ms. Each further
 * line is a moment in milliseconds, what happens, and what must come of it:
 *
 *     T ask IN+OUT  ok                a call is admitted
 *     T ask IN+OUT  UNIT U R          refused by UNIT of which U was used; R ms until it would fit
 *     T ask IN+OUT  UNIT U never      refused, and no waiting would help
 *     T correct FROM>TO               the input was TO tokens, not FROM
 *     T produce N                     N output tokens
 *     T done                          a call has ended
 *     T refuse                        a refusal of the provider's own
 *     T weather LOWERED% OTHERS%      so much is taken away, so much used by others, from now on
 *     T left UNIT N F                 N remain; all of it in F ms
 */
#include "mock/quota.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "check.h"

#define WORD_MAX 32

static const char *const profiles[] = {"openai", "anthropic", "azure"};
static const char *const units[] = {"requests", "tokens", "input", "output", "slots"};

static int index_of(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return (int)i;
        }
    }
    fail_msg("no such word: %s", name);
    return 0;
}

static int unit_of(const char *name)
{
    return index_of(units, sizeof(units) / sizeof(units[0]), name);
}

/* "openai requests=3 tokens=100 phase=500" */
static void read_rules(const char *line, struct quota_rules *rules)
{
    char words[256];
    snprintf(words, sizeof(words), "%s", line);
    char *rest = NULL;
    char *word = strtok_r(words, " ", &rest);
    *rules = (struct quota_rules){.minute_us = US_PER_MIN};
    rules->profile = (enum quota_profile)index_of(profiles, 3, word);
    while ((word = strtok_r(NULL, " ", &rest))) {
        char *equals = strchr(word, '=');
        assert_non_null(equals);
        *equals = '\0';
        if (strcmp(word, "phase") == 0) {
            rules->phase_us = atoll(equals + 1) * US_PER_MS;
        } else {
            rules->amount[unit_of(word)] = atoll(equals + 1);
        }
    }
}

static void check_ask(struct quota *q, int64_t now_us, const char *text, const char *line)
{
    long long in = 0;
    long long out = 0;
    long long used = 0;
    char unit[WORD_MAX];
    char when[WORD_MAX] = "";
    struct quota_verdict v = {0};
    assert_true(sscanf(text, "%lld+%lld %31s %lld %31s", &in, &out, unit, &used, when) >= 3);
    struct quota_ask ask = {in, out};
    quota_judge(q, now_us, &ask, &v);
    if (v.admitted != (strcmp(unit, "ok") == 0)) {
        fail_msg("%s: admitted is %d, by %s", line, v.admitted, units[v.unit]);
    }
    if (v.admitted) {
        return;
    }
    if (v.unit != (enum quota_unit)unit_of(unit) || v.used != used) {
        fail_msg("%s: refused by %s, used %lld", line, units[v.unit], (long long)v.used);
    }
    if (v.too_large != (strcmp(when, "never") == 0) ||
        (!v.too_large && v.retry_after_us != atoll(when) * US_PER_MS)) {
        fail_msg("%s: too large %d, again in %lld us", line, v.too_large,
                 (long long)v.retry_after_us);
    }
}

static void check_left(struct quota *q, int64_t now_us, const char *text, const char *line)
{
    char unit[WORD_MAX];
    long long remaining = 0;
    long long full_ms = 0;
    struct quota_state s;
    assert_int_equal(sscanf(text, "%31s %lld %lld", unit, &remaining, &full_ms), 3);
    quota_state(q, now_us, (enum quota_unit)unit_of(unit), &s);
    if (s.remaining != remaining || s.full_in_us != full_ms * US_PER_MS) {
        fail_msg("%s: %lld remain, full in %lld us", line, (long long)s.remaining,
                 (long long)s.full_in_us);
    }
}

static void check_line(struct quota *q, const char *line)
{
    long long at_ms = 0;
    long long a = 0;
    long long b = 0;
    char verb[WORD_MAX];
    int used = 0;
    assert_true(sscanf(line, "%lld %31s %n", &at_ms, verb, &used) >= 2);
    const char *rest = line + used;
    int64_t now_us = at_ms * US_PER_MS;
    if (strcmp(verb, "ask") == 0) {
        check_ask(q, now_us, rest, line);
    } else if (strcmp(verb, "left") == 0) {
        check_left(q, now_us, rest, line);
    } else if (strcmp(verb, "done") == 0) {
        quota_done(q);
    } else if (strcmp(verb, "refuse") == 0) {
        quota_count_refused(q, now_us);
    } else if (strcmp(verb, "weather") == 0) {
        assert_int_equal(sscanf(rest, "%lld%% %lld%%", &a, &b), 2);
        quota_weather(q, now_us, &(struct quota_weather){a * 10000, b * 10000});
    } else if (strcmp(verb, "produce") == 0) {
        quota_produce(q, now_us, atoll(rest));
    } else {
        assert_string_equal(verb, "correct");
        assert_int_equal(sscanf(rest, "%lld>%lld", &a, &b), 2);
        quota_correct_input(q, now_us, a, b);
    }
}

static void check_table(const char *const *lines)
{
    struct quota_rules rules;
    struct quota q;
    read_rules(lines[0], &rules);
    quota_init(&q, &rules, 0);
    for (size_t i = 1; lines[i]; i++) {
        check_line(&q, lines[i]);
    }
    quota_release(&q);
}

#define TABLE(name, ...)                                                                           \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        static const char *const lines[] = {__VA_ARGS__, NULL};                                    \
        check_table(lines);                                                                        \
    }

TABLE(without_limits_everything_is_admitted, "openai", "0 ask 1000000+1000000 ok", "0 ask 0+0 ok",
      "0 left tokens 0 0")

TABLE(openai_counts_requests_in_a_rolling_minute, "openai requests=2", "0 ask 1+1 ok",
      "10000 ask 1+1 ok", "59999 left requests 0 10001", "60000 ask 1+1 ok",
      "60000 left requests 0 60000", "70000 ask 1+1 ok")

TABLE(openai_counts_refused_requests_too, "openai requests=2", "0 ask 1+1 ok", "0 ask 1+1 ok",
      "30000 ask 1+1 requests 2 30000",
      /* The refusal at 30 s has taken the place of one of the two that leave at 60 s. */
      "40000 ask 1+1 requests 2 50000", "60000 ask 1+1 requests 2 40000", "120000 ask 1+1 ok")

TABLE(openai_counts_a_request_that_tokens_refused, "openai requests=2 tokens=100", "0 ask 50+50 ok",
      "1000 ask 1+0 tokens 100 59000", "2000 ask 1+0 requests 2 59000")

TABLE(openai_counts_a_refusal_of_its_own, "openai requests=2", "0 refuse", "1000 ask 1+1 ok",
      "2000 ask 1+1 requests 2 59000")

TABLE(openai_reserves_prompt_and_maximum_and_keeps_them, "openai tokens=100", "0 ask 10+50 ok",
      "0 produce 1", "0 correct 10>1", "1000 done", "1000 left tokens 40 59000",
      "1000 ask 20+21 tokens 60 59000", "1000 ask 20+20 ok", "60000 ask 20+40 ok")

TABLE(openai_refuses_what_never_fits, "openai tokens=100", "0 ask 50+51 tokens 0 never",
      "0 ask 50+50 ok")

TABLE(openai_names_the_moment_when_enough_has_left, "openai tokens=100", "0 ask 10+0 ok",
      "1000 ask 20+0 ok", "2000 ask 70+0 ok", "3000 ask 5+0 tokens 100 57000",
      "3000 ask 25+0 tokens 100 58000", "3000 ask 31+0 tokens 100 59000",
      "3000 left tokens 0 59000")

TABLE(a_refused_call_takes_no_tokens, "openai requests=1 tokens=100", "0 ask 10+0 ok",
      "1000 ask 10+0 requests 1 60000", "1000 left tokens 90 59000")

TABLE(slots_are_taken_until_the_end, "openai slots=2", "0 ask 1+1 ok", "0 ask 1+1 ok",
      "500 ask 1+1 slots 2 0", "600 done", "600 ask 1+1 ok")

TABLE(anthropic_refills_continuously, "anthropic requests=60", "0 left requests 60 0",
      "0 ask 1+1 ok", "0 left requests 59 1000", "500 left requests 59 500",
      "1000 left requests 60 0")

TABLE(anthropic_does_not_count_refused_requests, "anthropic requests=1", "0 ask 1+1 ok",
      "30000 ask 1+1 requests 1 30000", "59999 ask 1+1 requests 1 1", "60000 ask 1+1 ok")

TABLE(anthropic_charges_input_and_corrects_it, "anthropic input=600", "0 ask 600+1000 ok",
      "0 ask 10+1000 input 600 1000", "0 correct 600>500", "0 left input 100 50000",
      "0 ask 100+1000 ok", "0 correct 100>200", "0 left input 0 70000", "0 ask 1+1 input 700 10100",
      "11000 ask 10+1 ok")

TABLE(anthropic_never_fills_a_bucket_above_its_size, "anthropic input=600", "0 ask 100+1 ok",
      "60000 correct 100>0", "60000 left input 600 0")

TABLE(anthropic_charges_output_as_it_is_produced, "anthropic output=60", "0 ask 1+4000 ok",
      "0 produce 59", "0 ask 1+4000 ok", "0 produce 11", "0 left output 0 70000",
      "0 ask 1+1 output 70 11000", "11000 ask 1+1 ok")

TABLE(azure_starts_each_minute_anew, "azure tokens=100 phase=500", "0 ask 60+0 ok",
      "499 ask 60+0 tokens 60 1", "500 ask 60+0 ok", "60499 ask 41+0 tokens 60 1",
      "60500 ask 50+50 ok", "60500 left tokens 0 60000")

TABLE(azure_judges_requests_in_slices, "azure requests=12", "0 ask 1+1 ok", "0 ask 1+1 ok",
      "9000 ask 1+1 requests 2 1000", "10000 ask 1+1 ok", "10000 left requests 1 10000")

TABLE(azure_lets_one_request_through_each_slice_at_least, "azure requests=1", "0 ask 1+1 ok",
      "0 ask 1+1 requests 1 10000", "10000 ask 1+1 ok")

TABLE(azure_reserves_the_maximum, "azure tokens=100", "0 ask 10+90 ok", "0 done",
      "0 ask 1+0 tokens 100 60000", "0 ask 1+100 tokens 100 never")

TABLE(a_lowered_quota_lets_less_through_for_a_while, "openai requests=6 tokens=100",
      "0 ask 10+0 ok", "1000 weather 50% 0%", "1000 left tokens 40 59000",
      "1000 ask 0+41 tokens 10 59000", "1000 ask 0+51 tokens 10 never",
      "1000 ask 1+0 requests 3 60000", "60500 weather 0% 0%", "60500 left requests 3 500",
      "60500 ask 100+0 ok")

TABLE(a_lowered_bucket_refills_more_slowly, "anthropic input=600", "0 weather 50% 0%",
      "0 left input 300 0", "0 ask 300+1 ok", "0 left input 0 60000", "30000 left input 150 30000",
      "30000 weather 0% 0%", "30000 left input 150 45000")

TABLE(others_use_their_share_evenly, "openai requests=60 tokens=120", "0 weather 0% 50%",
      "10000 weather 0% 50%", "10000 left tokens 110 60000", "10000 left requests 55 60000",
      "60000 weather 0% 50%", "60000 left tokens 60 60000", "120000 weather 0% 50%",
      "120000 left tokens 60 60000", "120000 weather 0% 0%", "180000 weather 0% 0%",
      "180000 left tokens 120 0")

TABLE(others_are_refused_where_they_do_not_fit, "openai tokens=120", "0 ask 120+0 ok",
      "59000 weather 0% 50%", "59000 left tokens 0 1000", "61000 weather 0% 50%",
      "61000 left tokens 118 60000")

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_limits_everything_is_admitted),
        cmocka_unit_test(test_openai_counts_requests_in_a_rolling_minute),
        cmocka_unit_test(test_openai_counts_refused_requests_too),
        cmocka_unit_test(test_openai_counts_a_request_that_tokens_refused),
        cmocka_unit_test(test_openai_counts_a_refusal_of_its_own),
        cmocka_unit_test(test_openai_reserves_prompt_and_maximum_and_keeps_them),
        cmocka_unit_test(test_openai_refuses_what_never_fits),
        cmocka_unit_test(test_openai_names_the_moment_when_enough_has_left),
        cmocka_unit_test(test_a_refused_call_takes_no_tokens),
        cmocka_unit_test(test_slots_are_taken_until_the_end),
        cmocka_unit_test(test_anthropic_refills_continuously),
        cmocka_unit_test(test_anthropic_does_not_count_refused_requests),
        cmocka_unit_test(test_anthropic_charges_input_and_corrects_it),
        cmocka_unit_test(test_anthropic_never_fills_a_bucket_above_its_size),
        cmocka_unit_test(test_anthropic_charges_output_as_it_is_produced),
        cmocka_unit_test(test_azure_starts_each_minute_anew),
        cmocka_unit_test(test_azure_judges_requests_in_slices),
        cmocka_unit_test(test_azure_lets_one_request_through_each_slice_at_least),
        cmocka_unit_test(test_azure_reserves_the_maximum),
        cmocka_unit_test(test_a_lowered_quota_lets_less_through_for_a_while),
        cmocka_unit_test(test_a_lowered_bucket_refills_more_slowly),
        cmocka_unit_test(test_others_use_their_share_evenly),
        cmocka_unit_test(test_others_are_refused_where_they_do_not_fit),
    };
    return cmocka_run_group_tests_name("mock quota", tests, NULL, NULL);
}
