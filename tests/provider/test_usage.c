/* Every provider's usage object, and what each says of a load. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/num.h"
#include "http/fields.h"
#include "provider/answer.h"
#include "provider/usage.h"

#define UNKNOWN (-1)

/* What was held before: nothing that a case expects. */
#define HELD 77

struct usage_case {
    const char *what;
    const char *usage;
    int64_t input; /* UNKNOWN: stays as held */
    int64_t output;
    int64_t tokens;
    int64_t input_cache_free; /* the same, where reads from the cache are free */
    int64_t tokens_cache_free;
};

static const struct usage_case cases[] = {
    {"chat", "{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}", 10, 5, 15, 10,
     15},
    {"chat, cached inside",
     "{\"prompt_tokens\":1003,\"prompt_tokens_details\":{\"cached_tokens\":1000,\"audio_tokens\":0}"
     ","
     "\"completion_tokens\":200,\"completion_tokens_details\":{\"reasoning_tokens\":64},"
     "\"total_tokens\":1203}",
     1003, 200, 1203, 3, 203},
    {"chat, details null",
     "{\"prompt_tokens\":10,\"prompt_tokens_details\":null,\"completion_tokens\":5}", 10, 5, 15, 10,
     15},
    {"embeddings", "{\"prompt_tokens\":8,\"total_tokens\":8}", 8, 0, 8, 8, 8},
    {"responses",
     "{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":4},\"output_tokens\":2,"
     "\"output_tokens_details\":{\"reasoning_tokens\":1},\"total_tokens\":11}",
     9, 2, 11, 5, 7},
    {"anthropic, cache beside",
     "{\"input_tokens\":3,\"cache_creation_input_tokens\":20,\"cache_read_input_tokens\":1000,"
     "\"output_tokens\":7,\"service_tier\":\"standard\"}",
     1023, 7, 1030, 23, 30},
    {"anthropic, nulls",
     "{\"input_tokens\":3,\"cache_creation_input_tokens\":null,\"cache_read_input_tokens\":null,"
     "\"output_tokens\":7}",
     3, 7, 10, 3, 10},
    {"anthropic, only the end of a stream",
     "{\"cache_read_input_tokens\":null,\"output_tokens\":7}", UNKNOWN, 7, UNKNOWN, UNKNOWN,
     UNKNOWN},
    {"gemini",
     "{\"promptTokenCount\":9,\"cachedContentTokenCount\":4,\"candidatesTokenCount\":3,"
     "\"thoughtsTokenCount\":2,\"totalTokenCount\":14,\"promptTokensDetails\":[]}",
     9, 5, 14, 5, 10},
    {"gemini without output", "{\"promptTokenCount\":9,\"totalTokenCount\":9}", 9, 0, 9, 9, 9},
    {"normal", "{\"input_tokens\":30,\"cached_input_tokens\":20,\"output_tokens\":5}", 30, 5, 35,
     10, 15},
    {"normal, total only", "{\"tokens\":40}", UNKNOWN, UNKNOWN, 40, UNKNOWN, 40},
    {"normal, total and output", "{\"tokens\":40,\"output_tokens\":15}", 25, 15, 40, 25, 40},
    {"normal, output only", "{\"output_tokens\":15}", UNKNOWN, 15, UNKNOWN, UNKNOWN, UNKNOWN},
    {"more cached than input", "{\"input_tokens\":5,\"cached_input_tokens\":9,\"output_tokens\":1}",
     5, 1, 6, 0, 1},
    {"bedrock, cache beside",
     "{\"inputTokens\":3,\"outputTokens\":7,\"totalTokens\":10,\"cacheReadInputTokens\":1000,"
     "\"cacheWriteInputTokens\":20,\"serverToolUsage\":{}}",
     1023, 7, 1030, 23, 30},
    {"gemini, as its Python SDK names it",
     "{\"prompt_token_count\":9,\"cached_content_token_count\":4,\"candidates_token_count\":3,"
     "\"thoughts_token_count\":2,\"total_token_count\":14,\"traffic_type\":null}",
     9, 5, 14, 5, 10},
    {"mistral",
     "{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15,"
     "\"num_cached_tokens\":4}",
     10, 5, 15, 6, 11},
    {"groq",
     "{\"queue_time\":0.0378,\"prompt_tokens\":18,\"prompt_time\":0.0007,"
     "\"completion_tokens\":556,\"completion_time\":0.46,\"total_tokens\":574,"
     "\"total_time\":0.46,\"prompt_tokens_details\":{\"cached_tokens\":16}}",
     18, 556, 574, 2, 558},
    {"openrouter, with its cost",
     "{\"prompt_tokens\":194,\"completion_tokens\":2,\"total_tokens\":196,\"cost\":0.95,"
     "\"cost_details\":{\"upstream_inference_cost\":19},"
     "\"prompt_tokens_details\":{\"cached_tokens\":10,\"cache_write_tokens\":100,"
     "\"audio_tokens\":0}}",
     194, 2, 196, 184, 186},
    {"a whole response",
     "{\"id\":\"msg_1\",\"type\":\"message\",\"service_tier\":\"standard\",\"usage\":"
     "{\"input_tokens\":3,\"output_tokens\":7,\"inference_geo\":\"us\"}}",
     3, 7, 10, 3, 10},
    {"a whole response of Gemini",
     "{\"candidates\":[],\"usageMetadata\":{\"promptTokenCount\":9,\"totalTokenCount\":12}}", 9, 3,
     12, 9, 12},
    {"the last event of responses",
     "{\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"usage\":{\"input_tokens\":"
     "9,"
     "\"input_tokens_details\":{\"cached_tokens\":4},\"output_tokens\":2,\"total_tokens\":11}}}",
     9, 2, 11, 5, 7},
    {"the last chunk of Groq",
     "{\"choices\":[],\"x_groq\":{\"id\":\"req_1\",\"usage\":{\"prompt_tokens\":8,"
     "\"completion_tokens\":2}}}",
     8, 2, 10, 8, 10},
    {"the last event of Bedrock",
     "{\"metadata\":{\"usage\":{\"inputTokens\":5,\"outputTokens\":2},\"metrics\":{\"latencyMs\":9}"
     "}}",
     5, 2, 7, 5, 7},
    {"a chunk without usage", "{\"choices\":[],\"usage\":null}", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
     UNKNOWN},
    {"a stream of Anthropic, whose end says the output alone",
     "[{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,"
     "\"cache_read_input_tokens\":1000,\"cache_creation_input_tokens\":20,\"output_tokens\":1}}},"
     "{\"type\":\"content_block_delta\",\"index\":0},"
     "{\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":7}}]",
     1023, 7, 1030, 23, 30},
    {"a stream of Anthropic, whose end says it all again",
     "[{\"message\":{\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":1000,"
     "\"output_tokens\":1}}},{\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":1000,"
     "\"cache_creation_input_tokens\":null,\"output_tokens\":7}}]",
     1005, 7, 1012, 5, 12},
    {"no events", "[]", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN},
    {"nothing", "{}", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN},
};

static int read_usage(const char *text, struct usage *usage, struct buf *why)
{
    json_value *v = NULL;
    assert_int_equal(json_parse(text_of(text), &v, why), 0);
    int err = usage_read(v, usage, why);
    json_free(v);
    return err;
}

static void expect_unit(const struct usage_case *c, const struct load *load, enum unit unit,
                        int64_t want)
{
    int64_t expected = want == UNKNOWN ? HELD : want;
    if (load->of[unit] != expected) {
        fail_msg("%s: %s is %lld, not %lld", c->what, unit_name(unit), (long long)load->of[unit],
                 (long long)expected);
    }
}

static void check_case(const struct usage_case *c, bool cache_free)
{
    struct usage usage;
    struct buf why;
    buf_init(&why, WHY_LEN_MAX);
    if (read_usage(c->usage, &usage, &why)) {
        fail_msg("%s: %s", c->what, why.at);
    }
    struct load load = {.of = {HELD, HELD, HELD, HELD, 1, HELD}};
    usage_apply(&usage, cache_free, &load);
    expect_unit(c, &load, UNIT_INPUT_TOKENS, cache_free ? c->input_cache_free : c->input);
    expect_unit(c, &load, UNIT_OUTPUT_TOKENS, c->output);
    expect_unit(c, &load, UNIT_TOKENS, cache_free ? c->tokens_cache_free : c->tokens);
    expect_unit(c, &load, UNIT_REQUESTS, UNKNOWN);
    expect_unit(c, &load, UNIT_USD, UNKNOWN);
    assert_int_equal(load.of[UNIT_SLOTS], 1);
    buf_release(&why);
}

static void test_cached_tokens_are_counted_once_in_every_shape(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_case(&cases[i], false);
    }
}

static void test_reads_from_the_cache_count_for_nothing_where_they_are_free(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_case(&cases[i], true);
    }
    assert_true(dialect_cache_reads_free(dialect_of("anthropic")));
    assert_true(dialect_cache_reads_free(dialect_of("groq")));
    assert_false(dialect_cache_reads_free(dialect_of("openai")));
    assert_false(dialect_cache_reads_free(dialect_of("")));
}

/* Tokens as they are priced: input, cache read, cache write for 5 minutes, for an hour, output. */
static const struct {
    const char *usage;
    bool known;
    struct parts parts;
} priced[] = {
    {"{\"prompt_tokens\":1003,\"prompt_tokens_details\":{\"cached_tokens\":1000},"
     "\"completion_tokens\":200,\"completion_tokens_details\":{\"reasoning_tokens\":64}}",
     true,
     {{3, 1000, 0, 0, 200}}},
    {"{\"prompt_tokens\":8,\"total_tokens\":8}", true, {{8, 0, 0, 0, 0}}},
    {"{\"prompt_tokens\":194,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":"
     "10,"
     "\"cache_write_tokens\":100}}",
     true,
     {{84, 10, 100, 0, 2}}},
    {"{\"input_tokens\":3,\"cache_creation_input_tokens\":20,\"cache_read_input_tokens\":1000,"
     "\"output_tokens\":7}",
     true,
     {{3, 1000, 20, 0, 7}}},
    {"{\"input_tokens\":3,\"cache_creation_input_tokens\":20,\"cache_read_input_tokens\":0,"
     "\"cache_creation\":{\"ephemeral_5m_input_tokens\":5,\"ephemeral_1h_input_tokens\":15},"
     "\"output_tokens\":7}",
     true,
     {{3, 0, 5, 15, 7}}},
    {"{\"input_tokens\":3,\"cache_creation\":{\"ephemeral_5m_input_tokens\":5,"
     "\"ephemeral_1h_input_tokens\":15},\"output_tokens\":7}",
     true,
     {{3, 0, 5, 15, 7}}},
    {"{\"inputTokens\":3,\"outputTokens\":7,\"cacheReadInputTokens\":10,\"cacheWriteInputTokens\":"
     "20,"
     "\"cacheDetails\":[{\"inputTokens\":12,\"ttl\":\"5m\"},{\"inputTokens\":8,\"ttl\":\"1h\"}]}",
     true,
     {{3, 10, 12, 8, 7}}},
    {"{\"promptTokenCount\":9,\"cachedContentTokenCount\":4,\"candidatesTokenCount\":3,"
     "\"thoughtsTokenCount\":2}",
     true,
     {{5, 4, 0, 0, 5}}},
    {"{\"input_tokens\":30,\"cached_input_tokens\":20,\"cache_write_tokens\":6,"
     "\"cache_write_1h_tokens\":2,\"output_tokens\":5}",
     true,
     {{4, 20, 4, 2, 5}}},
    {"{\"input_tokens\":30,\"cache_write_1h_tokens\":2,\"output_tokens\":5}",
     true,
     {{28, 0, 0, 2, 5}}},
    {"{\"input_tokens\":5,\"cached_input_tokens\":9,\"cache_write_tokens\":9,"
     "\"cache_write_1h_tokens\":10}",
     true,
     {{0, 5, 0, 0, 0}}},
    {"{\"tokens\":40}", false, {{0}}},
    {"{\"cache_read_input_tokens\":null,\"output_tokens\":7}", false, {{0}}},
};

static void test_every_token_is_priced_in_one_part(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(priced) / sizeof(priced[0]); i++) {
        struct usage usage;
        struct parts parts = {{0}};
        struct buf why;
        buf_init(&why, WHY_LEN_MAX);
        assert_int_equal(read_usage(priced[i].usage, &usage, &why), 0);
        assert_int_equal(usage_parts(&usage, &parts), priced[i].known);
        for (int part = 0; part < PARTS; part++) {
            if (parts.of[part] != priced[i].parts.of[part]) {
                fail_msg("%s: part %d is %lld", priced[i].usage, part, (long long)parts.of[part]);
            }
        }
        buf_release(&why);
    }
}

static void test_requests_and_money_are_taken_from_the_normal_form(void **state)
{
    struct usage usage;
    struct buf why;
    struct load load = {.of = {HELD, HELD, HELD, HELD, 1, HELD}};
    (void)state;
    buf_init(&why, WHY_LEN_MAX);
    assert_int_equal(read_usage("{\"requests\":2,\"usd\":0.0125}", &usage, &why), 0);
    usage_apply(&usage, false, &load);
    assert_int_equal(load.of[UNIT_REQUESTS], 2);
    assert_int_equal(load.of[UNIT_USD], PICOUSD_PER_USD / 80);
    assert_int_equal(load.of[UNIT_TOKENS], HELD);
    buf_release(&why);
}

static void test_sums_do_not_pass_what_a_load_may_hold(void **state)
{
    struct usage usage;
    struct buf why;
    struct load load = {.of = {0}};
    (void)state;
    buf_init(&why, WHY_LEN_MAX);
    assert_int_equal(read_usage("{\"input_tokens\":1000000000000000,"
                                "\"cache_read_input_tokens\":1000000000000000,"
                                "\"output_tokens\":1000000000000000}",
                                &usage, &why),
                     0);
    usage_apply(&usage, false, &load);
    assert_int_equal(load.of[UNIT_INPUT_TOKENS], AMOUNT_MAX);
    assert_int_equal(load.of[UNIT_TOKENS], AMOUNT_MAX);
    buf_release(&why);
}

static void test_what_is_no_usage_is_refused_by_name(void **state)
{
    static const struct {
        const char *usage;
        const char *words;
    } wrong[] = {
        {"5", "`usage` must be an object"},
        {"{\"prompt_tokens\":-1}", "`usage.prompt_tokens` must be a whole number"},
        {"{\"prompt_tokens\":1.5}", "`usage.prompt_tokens`"},
        {"{\"prompt_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":\"4\"}}",
         "`usage.prompt_tokens_details.cached_tokens`"},
        {"{\"totalTokenCount\":1e20}", "`usage.totalTokenCount`"},
        {"{\"input_token\":1}", "unknown field `input_token`; did you mean `input_tokens`?"},
        {"{\"usage\":{\"prompt_tokens\":-1}}", "`usage.prompt_tokens`"},
        {"[{\"usage\":{\"prompt_tokens\":-1}}]", "`usage.prompt_tokens`"},
        {"{\"message\":{\"content\":\"x\"}}", "unknown field `message`"},
        {"{\"usd\":-0.5}", "`usd` must be a number of US dollars"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct usage usage;
        struct buf why;
        buf_init(&why, WHY_LEN_MAX);
        assert_int_equal(read_usage(wrong[i].usage, &usage, &why), ERR_INVALID_REQUEST);
        if (!strstr(why.at, wrong[i].words)) {
            fail_msg("%s: %s", wrong[i].usage, why.at);
        }
        buf_release(&why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cached_tokens_are_counted_once_in_every_shape),
        cmocka_unit_test(test_reads_from_the_cache_count_for_nothing_where_they_are_free),
        cmocka_unit_test(test_every_token_is_priced_in_one_part),
        cmocka_unit_test(test_requests_and_money_are_taken_from_the_normal_form),
        cmocka_unit_test(test_sums_do_not_pass_what_a_load_may_hold),
        cmocka_unit_test(test_what_is_no_usage_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
