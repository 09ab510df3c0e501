/* Tables made from what others publish: two small files in their two shapes, and what is wrong. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "check.h"
#include "price/import.h"

#define HEAD                                                                                       \
    "provider,model,context_window,input,output,cache_read,cache_write_5m,cache_write_1h,"         \
    "tier_start_tokens,input_over,output_over,cache_read_over,cache_write_5m_over,"                \
    "cache_write_1h_over\n"

static char **paths;

static void read_file(const char *path, struct buf *b)
{
    char piece[4096];
    size_t n;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    buf_init(b, 1u << 20);
    while ((n = fread(piece, 1, sizeof(piece), file)) > 0) {
        buf_add(b, piece, n);
    }
    fclose(file);
    assert_false(b->failed);
}

/* Imports a file and compares the table; what was made can be read back. */
static void check_file(const char *path, const char *expected, struct import_facts *facts)
{
    struct buf json, csv, why;
    struct price_table *table = NULL;
    read_file(path, &json);
    buf_init(&csv, 1u << 20);
    buf_init(&why, 10000);
    if (price_import(buf_text(&json), "2026-11-22", false, &csv, facts, &why)) {
        fail_msg("%s", why.at);
    }
    assert_string_equal(csv.at, expected);
    assert_int_equal(price_table_read(buf_text(&csv), "back", &table, &why), 0);
    assert_int_equal(table->rows_n, facts->taken);
    price_table_free(table);
    buf_release(&json);
    buf_release(&csv);
    buf_release(&why);
}

static void test_genai_prices_become_a_table(void **state)
{
    (void)state;
    struct import_facts facts;
    check_file(paths[0],
               HEAD "acme,by-the-hour,,2,4,,,,,,,,,\n"
                    "acme,dated,,5,10,,,,,,,,,\n"
                    "acme,embeds,,0.1,,,,,,,,,,\n"
                    "acme,plain,128000,0.003625,2,0.001,,,,,,,,\n"
                    "acme,tiers,1000000,3,15,,3.75,6,200000,6,30,,3.75,6\n",
               &facts);
    assert_string_equal(facts.format, "genai-prices");
    assert_int_equal(facts.taken, 5);
    assert_int_equal(facts.unpriced, 1);
    assert_int_equal(facts.rounded, 0);
}

static void test_litellm_prices_become_a_table(void **state)
{
    (void)state;
    struct import_facts facts;
    check_file(paths[1],
               HEAD "aws,us.acme.x-v1:0,,0.100001,,,,,,,,,,\n"
                    "google,large,1048576,1.25,10,,1.5625,2.5,200000,2.5,15,,1.5625,2.5\n"
                    "groq,acme/small,,0.2,0.3,,,,,,,,,\n"
                    "openai,plain,128000,2.5,10,1.25,,,,,,,,\n",
               &facts);
    assert_string_equal(facts.format, "LiteLLM");
    assert_int_equal(facts.taken, 4);
    assert_int_equal(facts.unpriced, 2);
    assert_int_equal(facts.twins, 1);
    assert_int_equal(facts.rounded, 1);
}

struct wrong {
    const char *json;
    const char *said;
};

static void test_what_cannot_be_taken_is_named(void **state)
{
    (void)state;
    static const struct wrong rows[] = {
        {"[\n{\"id\": 1,}]", "line 2: "},
        {"", "line 1: "},
        {"5", "neither a data.json of genai-prices nor LiteLLM's"},
        {"{\"a\": {\"b\": 1}}", "neither a data.json of genai-prices nor LiteLLM's"},
        {"[{\"id\": \"a\"}]", "a provider without an \"id\" and a list of \"models\""},
        {"[]", "no model has a price per token"},
        {"[{\"id\": \"a\", \"models\": [{\"id\": \"m\", \"prices\": {\"input_mtok\": -1}}]}]",
         "model m of a: input_mtok: not a price"},
        {"[{\"id\": \"a\", \"models\": [{\"prices\": {\"input_mtok\": 1}}]}]",
         "model without an id of a: id: missing"},
        {"[{\"id\": \"a\", \"models\": [{\"id\": \"m,n\", \"prices\": {\"input_mtok\": 1}}]}]",
         "model m,n of a: name: not one that a table can hold"},
        {"[{\"id\": \"a\", \"models\": [{\"id\": \"m\", \"prices\": {\"input_mtok\": {\"base\": 1, "
         "\"tiers\": [{\"price\": 2}]}}}]}]",
         "model m of a: input_mtok: a tier without a start"},
        {"{\"m\": {\"litellm_provider\": \"openai\", \"input_cost_per_token\": \"free\"}}",
         "model m of openai: input_cost_per_token: not a price"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf csv, why;
        struct import_facts facts;
        buf_init(&csv, 10000);
        buf_init(&why, 10000);
        assert_int_equal(
            price_import(text_of(rows[i].json), "2026-11-22", false, &csv, &facts, &why),
            ERR_INVALID_REQUEST);
        assert_int_equal(csv.len, 0);
        if (!why.at || strncmp(why.at, rows[i].said, strlen(rows[i].said)) != 0) {
            fail_msg("%s: %s", rows[i].json, why.at ? why.at : "nothing was said");
        }
        assert_int_equal(why.at[why.len - 1], '\n');
        buf_release(&csv);
        buf_release(&why);
    }
}

static void test_what_cannot_be_read_can_be_left_out(void **state)
{
    (void)state;
    struct buf csv, why;
    struct import_facts facts;
    buf_init(&csv, 10000);
    buf_init(&why, 10000);
    assert_int_equal(
        price_import(
            TEXT("{\"m\": {\"litellm_provider\": \"openai\", \"input_cost_per_token\": -1},"
                 " \"n\": {\"litellm_provider\": \"openai\", \"input_cost_per_token\": "
                 "\"1e-6\"}}"),
            "2026-11-22", true, &csv, &facts, &why),
        0);
    assert_string_equal(csv.at, HEAD "openai,n,,1,,,,,,,,,,\n");
    assert_int_equal(facts.bad, 1);
    assert_non_null(strstr(why.at, "model m of openai"));
    buf_release(&csv);
    buf_release(&why);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        return 2;
    }
    paths = argv + 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_genai_prices_become_a_table),
        cmocka_unit_test(test_litellm_prices_become_a_table),
        cmocka_unit_test(test_what_cannot_be_taken_is_named),
        cmocka_unit_test(test_what_cannot_be_read_can_be_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
