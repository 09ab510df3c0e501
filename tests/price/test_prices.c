/* Numbers, tables and names. The built-in table, made by a script, and the reader of tables, held
 * against the same file, are two ways to the same prices. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "check.h"
#include "price/decimal.h"
#include "price/find.h"

static const char *csv_path;

static void test_decimals_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int shift;
        int64_t n;
        bool exact;
    } rows[] = {
        {"2.5", 6, 2500000, true},
        {"0.003625", 6, 3625, true},
        {"0", 6, 0, true},
        {"0.000", 6, 0, true},
        {"007", 0, 7, true},
        {"1e3", 0, 1000, true},
        {"1.5e-07", 12, 150000, true},
        {"1.5E+2", 0, 150, true},
        {"0.0000001", 6, 1, false},
        {"1e-99", 12, 1, false},
        {"0e99", 12, 0, true},
        {"0.30000000000000004", 6, 300000, true},
        {"2.0000000000000003e-06", 12, 2000000, true},
        {"2.9999999999999997e-06", 12, 3000000, true},
        {"0.99999999999999999999", 0, 1, true},
        {"123456789012345678", 0, 123456789012346000, true},
        {"1.0000000000001", 12, 1000000000001, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t n = -1;
        bool exact;
        if (!decimal_read(text_of(rows[i].text), rows[i].shift, INT64_MAX, &n, &exact) ||
            n != rows[i].n || exact != rows[i].exact) {
            fail_msg("%s: %lld", rows[i].text, (long long)n);
        }
    }
}

static void test_what_is_no_decimal_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",    ".",    "-1", "+1", "1.",   ".5", "1e", "1e+",
                                        "1,5", "0x10", "1 ", " 1", "1e1x", "1_", "nan"};
    int64_t n = 77;
    bool exact;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (decimal_read(text_of(wrong[i]), 0, INT64_MAX, &n, &exact)) {
            fail_msg("%s", wrong[i]);
        }
    }
    assert_false(decimal_read(TEXT("1e99"), 6, INT64_MAX, &n, &exact));
    assert_false(decimal_read(TEXT("11"), 0, 10, &n, &exact));
    assert_int_equal(n, 77);
}

static void test_the_built_in_table_is_the_file(void **state)
{
    (void)state;
    struct buf csv, why;
    struct price_table *read = NULL;
    char piece[4096];
    size_t n;
    FILE *file = fopen(csv_path, "r");
    assert_non_null(file);
    buf_init(&csv, PRICE_BYTES_MAX);
    buf_init(&why, 1000);
    while ((n = fread(piece, 1, sizeof(piece), file)) > 0) {
        buf_add(&csv, piece, n);
    }
    fclose(file);
    if (price_table_read(buf_text(&csv), "file", &read, &why)) {
        fail_msg("%s", why.at);
    }
    assert_int_equal(read->rows_n, price_table_builtin.rows_n);
    for (size_t i = 0; i < read->rows_n; i++) {
        const struct price_row *a = &read->rows[i], *b = &price_table_builtin.rows[i];
        assert_string_equal(a->provider, b->provider);
        assert_string_equal(a->model, b->model);
        assert_int_equal(a->context_tokens, b->context_tokens);
        assert_int_equal(a->tier_start, b->tier_start);
        assert_memory_equal(a->of, b->of, sizeof(a->of));
        assert_memory_equal(a->over, b->over, sizeof(a->over));
    }
    price_table_free(read);
    buf_release(&csv);
    buf_release(&why);
}

/* Reads a table that may be wrong; returns what is said about it. */
static const char *problem_of(const char *csv, char said[300])
{
    struct price_table *table = NULL;
    struct buf why;
    buf_init(&why, 299);
    int error = price_table_read(text_of(csv), "test", &table, &why);
    snprintf(said, 300, "%s", error ? why.at : "good");
    assert_true((error == 0) == (table != NULL));
    price_table_free(table);
    buf_release(&why);
    return said;
}

static void test_wrong_tables_are_refused_with_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *csv;
        const char *said;
    } rows[] = {
        {"", "line 1: the table is empty"},
        {"provider,model\n", "line 1: the column \"input\" is missing"},
        {"provider,model,input,colour\n", "line 1: \"colour\" is not the name of a column"},
        {"provider,model,input,model\n", "line 1: \"model\" is not the name of a column once more"},
        {"provider,model,input\na,b,1\n\na,c,x\n",
         "line 4: input: \"x\" is not a price in USD per million tokens"},
        {"provider,model,input\na,b,\n", "line 2: input: nothing is given"},
        {"provider,model,input\na,b,0.0000001\n",
         "line 2: input: \"0.0000001\" is finer than a picodollar a token"},
        {"provider,model,input\na,b,-1\n",
         "line 2: input: \"-1\" is not a price in USD per million tokens"},
        {"provider,model,input\na,b,1000001\n",
         "line 2: input: \"1000001\" is not a price in USD per million tokens"},
        {"provider,model,input\na,b\n", "line 2: fewer fields than columns"},
        {"provider,model,input\na,b,1,2\n", "line 2: more fields than columns"},
        {"provider,model,input\n,b,1\n", "line 2: provider: \"\" is not a name"},
        {"provider,model,input\na,\"b\",1\n", "line 2: model: \"\"b\"\" is not a name"},
        {"provider,model,input,context_window\na,b,1,1.5\n",
         "line 2: context_window: \"1.5\" is not a number of tokens"},
        {"provider,model,input,tier_start_tokens\na,b,1,5\n",
         "line 2: tier_start_tokens and input_over go together"},
        {"provider,model,input\na,b,1\na,b,2\n", "b of a is there twice"},
        {"provider,model,input\r\na,b,1\r\n", "good"},
        {"model,input,provider\nb,1,a", "good"},
        {"provider,model,input\n", "good"},
    };
    char said[300];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(problem_of(rows[i].csv, said), rows[i].said);
    }
}

static void test_what_a_row_leaves_out_is_never_free(void **state)
{
    (void)state;
    struct price_row row = {.model = "m", .tier_start = 200000};
    struct price price;
    for (int i = 0; i < PARTS; i++) {
        row.of[i] = row.over[i] = PRICE_UNSAID;
    }
    row.of[PART_INPUT] = 3000000;
    row.of[PART_OUTPUT] = 15000000;
    row.of[PART_CACHE_WRITE_5M] = 3750000;
    row.over[PART_INPUT] = 6000000;
    price_row_price(&row, &price);
    assert_true(price.known);
    assert_int_equal(price.of[PART_CACHE_READ], 3000000);
    assert_int_equal(price.of[PART_CACHE_WRITE_1H], 3750000);
    assert_int_equal(price.over[PART_CACHE_WRITE_5M], 7500000);
    assert_int_equal(price.over[PART_OUTPUT], 30000000);
    row.model = "global.anthropic.claude-sonnet-4-5-v1:0";
    price_row_price(&row, &price);
    assert_int_equal(price.of[PART_CACHE_WRITE_1H], 6000000);
    row.of[PART_OUTPUT] = PRICE_UNSAID;
    price_row_price(&row, &price);
    assert_int_equal(price.of[PART_OUTPUT], 0);
}

static void test_a_model_is_found_however_its_name_is_written(void **state)
{
    (void)state;
    static const struct {
        const char *provider;
        const char *model;
        const char *found; /* "provider/model", "?" ambiguous, "" unknown */
    } rows[] = {
        {"openai", "gpt-4o", "openai/gpt-4o"},
        {"openai", "GPT-4o", "openai/gpt-4o"},
        {"openai", "gpt-4o-2024-08-06", "openai/gpt-4o"},
        {"openai", "gpt-4o-2024-05-13", "openai/gpt-4o-2024-05-13"},
        {"openai", "GPT-4o-2024-05-13", "openai/gpt-4o-2024-05-13"},
        {"azure", "gpt-4o-2024-05-13", "openai/gpt-4o-2024-05-13"},
        {"openrouter", "openai/gpt-4o-2024-05-13", "openai/gpt-4o-2024-05-13"},
        {"openai", "openai/gpt-4o-mini", "openai/gpt-4o-mini"},
        {"openai", "gpt-4o-audio-preview", "openai/gpt-4o-audio-preview"},
        {"openai", "gpt-4o-miniature", ""},
        {"openai", "anthropic/claude-3-haiku", ""},
        {"openai", "", ""},
        {"openai", "openai/", ""},
        {"generic", "gpt-4o", "openai/gpt-4o"},
        {"generic", "openai/gpt-4o", "openai/gpt-4o"},
        {"generic", "gpt-oss-120b", "?"},
        {"generic", "cerebras/gpt-oss-120b", "cerebras/gpt-oss-120b"},
        {"generic", "demo", ""},
        {"azure", "gpt-4o", "openai/gpt-4o"},
        {"azure", "o4-mini", "azure/o4-mini"},
        {"anthropic", "claude-3-5-haiku-20241022", "anthropic/claude-3-5-haiku-latest"},
        {"anthropic", "claude-sonnet-4-20250514", "anthropic/claude-sonnet-4-0"},
        {"anthropic", "claude-sonnet-4", "anthropic/claude-sonnet-4-0"},
        {"anthropic", "claude-opus-4-1-20250805", "anthropic/claude-opus-4-1"},
        {"anthropic", "claude-3.5-sonnet", "anthropic/claude-3-5-sonnet"},
        {"gemini", "gemini-2.5-pro", "google/gemini-2.5-pro"},
        {"gemini", "models/gemini-2.5-flash", "google/gemini-2.5-flash"},
        {"gemini", "gemini/gemini-2.5-flash", "google/gemini-2.5-flash"},
        {"gemini", "claude-opus-4-7@20260101", "google/claude-opus-4-7"},
        {"bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
         "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0"},
        {"bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0",
         "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0"},
        {"bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
         "aws/global.anthropic.claude-sonnet-4-5-20250929-v1:0"},
        {"bedrock", "us.amazon.nova-lite-v1:0", "aws/amazon.nova-lite-v1:0"},
        {"groq", "openai/gpt-oss-20b", "groq/openai/gpt-oss-20b"},
        {"groq", "groq/llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile"},
        {"openrouter", "anthropic/claude-3.5-sonnet", "anthropic/claude-3-5-sonnet"},
        {"openrouter", "mistralai/mistral-nemo", "mistral/mistral-nemo"},
        {"openrouter", "google/gemini-2.5-pro", "google/gemini-2.5-pro"},
        {"mistral", "mistral-small", "mistral/mistral-small-latest"},
    };
    const struct price_table *builtin = &price_table_builtin;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct price_row *row = NULL;
        char found[300] = "";
        enum price_found how =
            price_find(&builtin, 1, text_of(rows[i].provider), text_of(rows[i].model), &row);
        if (how == PRICE_FOUND) {
            snprintf(found, sizeof(found), "%s/%s", row->provider, row->model);
        }
        assert_true(row != NULL || how == PRICE_UNKNOWN);
        if (strcmp(how == PRICE_AMBIGUOUS ? "?" : found, rows[i].found) != 0) {
            fail_msg("%s %s: found \"%s\"", rows[i].provider, rows[i].model, found);
        }
    }
}

/* Finds an OpenAI model in a table of its own and the built-in one; what its input costs. */
static int64_t input_price(const char *csv, const char *model)
{
    struct price_table *own = NULL;
    struct buf why;
    const struct price_row *row = NULL;
    buf_init(&why, 1000);
    assert_int_equal(price_table_read(text_of(csv), "own", &own, &why), 0);
    const struct price_table *tables[] = {own, &price_table_builtin};
    enum price_found how = price_find(tables, 2, TEXT("openai"), text_of(model), &row);
    int64_t price = how == PRICE_FOUND ? row->of[PART_INPUT] : how == PRICE_AMBIGUOUS ? -1 : -2;
    price_table_free(own);
    buf_release(&why);
    return price;
}

static void test_an_earlier_table_goes_before_a_later_one(void **state)
{
    (void)state;
    static const char csv[] = "provider,model,input,output\nopenai,gpt-4o,7,8\nopenai,gpt-9,9,9\n";
    assert_int_equal(input_price(csv, "gpt-4o"), 7000000);
    assert_int_equal(input_price(csv, "gpt-4o-2024-11-20"), 7000000);
    assert_int_equal(input_price(csv, "gpt-4o-mini"), 150000);
    assert_int_equal(input_price(csv, "gpt-9-2031-01-01"), 9000000);
}

static void test_a_release_has_its_own_price_before_that_of_its_undated_name(void **state)
{
    (void)state;
    static const char csv[] = "provider,model,input,output\nopenai,gpt-4o-2024-08-06,7,8\n"
                              "openai,gpt-9,9,9\nopenai,gpt-9-2031-01-01,11,11\n";
    assert_int_equal(input_price(csv, "gpt-4o-2024-08-06"), 7000000);
    assert_int_equal(input_price(csv, "gpt-4o"), 2500000);
    assert_int_equal(input_price(csv, "gpt-4o-2024-11-20"), 2500000);
    assert_int_equal(input_price(csv, "gpt-4o-2024-05-13"), 5000000);
    assert_int_equal(input_price(csv, "gpt-9-2031-01-01"), 11000000);
    assert_int_equal(input_price(csv, "GPT-9-2031-01-01"), 11000000);
    assert_int_equal(input_price(csv, "gpt-9-latest"), 9000000);
}

static void test_a_release_costs_what_another_does_only_where_all_cost_the_same(void **state)
{
    (void)state;
    static const char one[] = "provider,model,input,output\nopenai,gpt-9-2031-01-01,11,11\n";
    static const char two[] = "provider,model,input,output\nopenai,gpt-9-2031-01-01,11,11\n"
                              "openai,gpt-9-2031-02-02,12,12\n";
    assert_int_equal(input_price(one, "gpt-9"), 11000000);
    assert_int_equal(input_price(one, "gpt-9-2031-03-03"), 11000000);
    assert_int_equal(input_price(two, "gpt-9-2031-02-02"), 12000000);
    assert_int_equal(input_price(two, "gpt-9-2031-03-03"), -1);
}

static void test_every_model_of_the_built_in_table_is_found_by_its_own_name(void **state)
{
    (void)state;
    const struct price_table *builtin = &price_table_builtin;
    for (size_t i = 0; i < builtin->rows_n; i++) {
        const struct price_row *want = &builtin->rows[i], *row = NULL;
        assert_int_equal(
            price_find(&builtin, 1, text_of(want->provider), text_of(want->model), &row),
            PRICE_FOUND);
        assert_ptr_equal(row, want);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        return 2;
    }
    csv_path = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimals_are_exact),
        cmocka_unit_test(test_what_is_no_decimal_is_refused),
        cmocka_unit_test(test_the_built_in_table_is_the_file),
        cmocka_unit_test(test_wrong_tables_are_refused_with_the_line),
        cmocka_unit_test(test_what_a_row_leaves_out_is_never_free),
        cmocka_unit_test(test_a_model_is_found_however_its_name_is_written),
        cmocka_unit_test(test_an_earlier_table_goes_before_a_later_one),
        cmocka_unit_test(test_a_release_has_its_own_price_before_that_of_its_undated_name),
        cmocka_unit_test(test_a_release_costs_what_another_does_only_where_all_cost_the_same),
        cmocka_unit_test(test_every_model_of_the_built_in_table_is_found_by_its_own_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
