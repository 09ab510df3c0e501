/*
 * What is read of a provider's answer when memory is refused: each allocation in turn fails. What
 * needs no memory is read all the same; what does is left out, and never invented.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/num.h"
#include "provider/answer.h"
#include "provider/usage.h"
#include "support/memory.h"

#define WHY_MAX         512
#define ALLOCATIONS_MAX 1000

static json_value *parsed(const char *text)
{
    json_value *v = NULL;
    struct buf why;
    buf_init(&why, WHY_MAX);
    assert_int_equal(json_parse(text_of(text), &v, &why), 0);
    buf_release(&why);
    return v;
}

/* --- Answers. --- */

/* An error within a text within a text, as SDKs and proxies wrap it; and the headers beside it. */
static const char WRAPPED[] =
    "{\"error\":{\"message\":\"{\\\"error\\\":{\\\"code\\\":\\\"insufficient_quota\\\","
    "\\\"message\\\":\\\"{\\\\\\\"type\\\\\\\":\\\\\\\"insufficient_quota\\\\\\\"}\\\"}}\"}}";

static void read_wrapped(const json_value *error, struct answer *answer)
{
    static char reason[ANSWER_REASON_MAX];
    const struct answer_header headers[] = {
        {TEXT("retry-after"), TEXT("7")},
        {TEXT("x-ratelimit-limit-requests"), TEXT("60")},
        {TEXT("x-ratelimit-remaining-requests"), TEXT("0")},
    };
    const struct raw_answer raw = {
        .status = 429, .headers = headers, .headers_n = 3, .error = error, .now_us = US_PER_DAY};
    answer_read(dialect_of("openai"), &raw, reason, answer);
}

static void test_an_answer_is_read_by_what_needs_no_memory(void **state)
{
    (void)state;
    json_value *error = parsed(WRAPPED);
    struct answer whole, a;
    read_wrapped(error, &whole);
    assert_int_equal(whole.class, ANSWER_OUT_OF_MONEY);
    int n = 0;
    do {
        assert_true(n < ALLOCATIONS_MAX);
        memory_fail(++n);
        read_wrapped(error, &a);
        /* What stands inside may be missed; that it is a refusal, and for how long, may not. */
        assert_true(a.class == whole.class || (memory_failed() && a.class == ANSWER_WAIT));
        assert_int_equal(a.status, 429);
        assert_true(a.reached);
        assert_int_equal(a.retry_after_us, 7 * US_PER_S);
        assert_int_equal(a.readings_n, 1);
        assert_int_equal(a.readings[0].remaining, 0);
    } while (memory_failed());
    memory_pause();
    assert_true(n > 1); /* something was refused */
    json_free(error);
}

/* --- Usage. --- */

static void test_usage_is_read_whole_or_refused(void **state)
{
    (void)state;
    json_value *good = parsed("{\"input_tokens\":9,\"cached_input_tokens\":4,\"output_tokens\":2,"
                              "\"usd\":0.25}");
    json_value *bad = parsed("{\"input_tokens\":-9,\"output_tokens\":2}");
    int n = 0;
    bool failed;
    do {
        struct usage usage = {0};
        struct buf why;
        buf_init(&why, WHY_MAX);
        assert_true(n < ALLOCATIONS_MAX);
        memory_fail(++n);
        assert_int_equal(usage_read(good, &usage, &why), 0);
        assert_int_equal(usage.of[USAGE_INPUT], 9);
        assert_int_equal(usage.of[USAGE_CACHE_READ], 4);
        assert_int_equal(usage.of[USAGE_TOKENS], 11);
        assert_int_equal(usage.of[USAGE_USD], PICOUSD_PER_USD / 4);
        failed = memory_failed();
        memory_fail(n);
        assert_int_equal(usage_read(bad, &usage, &why), ERR_INVALID_REQUEST);
        memory_pause();
        failed = failed || memory_failed();
        assert_true(failed || why.len > 0);
        buf_release(&why);
    } while (failed);
    assert_true(n > 1);
    json_free(good);
    json_free(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_is_read_by_what_needs_no_memory),
        cmocka_unit_test(test_usage_is_read_whole_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
