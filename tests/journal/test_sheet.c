/* Sheets: what was written down is read again, and what nobody wrote is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fixture.h"
#include "journal/row.h"
#include "journal/sheet.h"

static struct sheet sheet;
static struct sheet copy;

static void take(const char *text)
{
    assert_true(sheet_take(&sheet, text_of(text)));
}

/* What is wrong with a text that should be a sheet; NULL: nothing. */
static const char *problem_of(struct text text)
{
    struct record record;
    size_t at = 0;
    bool more = true;
    const char *problem = NULL;
    assert_true(sheet_take(&sheet, text));
    while (!problem && more) {
        problem = sheet_next(&sheet, &at, &record, &more);
    }
    return problem;
}

static void test_records_come_back_as_they_were(void **state)
{
    struct record written[] = {sample_grant(1, 1000), sample_end(RECORD_SETTLE, 2, 2000),
                               sample_end(RECORD_CANCEL, UINT64_MAX, ROW_TIME_US_MAX - 60000000)};
    struct record read;
    size_t at = 0;
    bool more = true;
    (void)state;
    written[2].skew_us = -ROW_TIME_US_MAX;
    sheet_begin(&sheet);
    for (size_t i = 0; i < 3; i++) {
        sheet_add(&sheet, &written[i]);
    }
    sheet_end(&sheet);
    for (size_t i = 0; i < 3; i++) {
        assert_true(i == 0 || more);
        if (i == 0) {
            copy = sheet;
            assert_true(sheet_take(&sheet, (struct text){copy.text, copy.len}));
        }
        assert_null(sheet_next(&sheet, &at, &read, &more));
        assert_same_record(&read, &written[i]);
    }
    assert_false(more);
    assert_int_equal(sheet.records_n, 3);
}

static void test_names_may_have_any_bytes(void **state)
{
    char name[NAME_LEN_MAX];
    (void)state;
    for (int first = 0; first < 256; first += NAME_LEN_MAX) {
        struct record written = sample_grant(1, 1000);
        struct record read;
        size_t at = 0;
        bool more;
        for (int i = 0; i < NAME_LEN_MAX; i++) {
            name[i] = (char)(first + i);
        }
        written.tenant = (struct text){name, sizeof(name)};
        written.id = (struct text){name, sizeof(name)};
        sheet_begin(&sheet);
        sheet_add(&sheet, &written);
        sheet_end(&sheet);
        sheet.records_n = 0;
        assert_null(sheet_next(&sheet, &at, &read, &more));
        assert_same_record(&read, &written);
    }
}

/* The largest record fits the sheet that was last found not to be full. */
static void test_the_largest_record_has_room(void **state)
{
    static char quotes[LABELS_LEN_MAX];
    struct record largest = {.kind = RECORD_GRANT,
                             .at_us = ROW_TIME_US_MAX,
                             .lease = UINT64_C(1) << 63,
                             .parent = UINT64_C(1) << 63,
                             .expires_us = ROW_TIME_US_MAX,
                             .skew_us = -ROW_TIME_US_MAX,
                             .waited_us = ROW_TIME_US_MAX,
                             .priority = PRIORITY_MAX,
                             .attempt = INT32_MAX,
                             .step = 1};
    struct text name = {quotes, NAME_LEN_MAX};
    (void)state;
    memset(quotes, 1, sizeof(quotes));
    largest.resource = largest.tenant = largest.session = largest.id = largest.route = name;
    largest.labels = (struct text){quotes, sizeof(quotes)};
    for (int unit = 0; unit < UNIT_COUNT; unit++) {
        largest.load.of[unit] = unit == UNIT_USD ? USD_AMOUNT_MAX : AMOUNT_MAX;
    }
    assert_null(row_problem(&largest));
    struct record small = sample_grant(1, 1000);
    sheet_begin(&sheet);
    while (!sheet_full(&sheet)) {
        size_t left = SHEET_BYTES - sheet.len;
        size_t before = sheet.len;
        copy = sheet;
        sheet_add(&sheet, &small);
        if (sheet.len - before > left) {
            sheet = copy;
            sheet_add(&sheet, &largest);
        }
    }
    sheet_end(&sheet);
    assert_true(sheet.len > 10000 && sheet.len <= SHEET_BYTES_MAX);
    assert_null(problem_of((struct text){sheet.text, sheet.len}));
}

static void test_a_sheet_that_was_cut_off_is_refused(void **state)
{
    static char whole[SHEET_BYTES_MAX];
    struct record written[] = {sample_grant(1, 1000), sample_end(RECORD_SETTLE, 1, 2000)};
    (void)state;
    sheet_begin(&sheet);
    sheet_add(&sheet, &written[0]);
    sheet_add(&sheet, &written[1]);
    sheet_end(&sheet);
    size_t len = sheet.len;
    memcpy(whole, sheet.text, len);
    assert_null(problem_of((struct text){whole, len}));
    for (size_t cut = 0; cut < len; cut++) {
        assert_non_null(problem_of((struct text){whole, cut}));
    }
    whole[len] = ' ';
    assert_non_null(problem_of((struct text){whole, len + 1}));
}

static void test_what_nobody_wrote_is_refused_in_words(void **state)
{
    static const struct {
        const char *text;
        const char *problem;
    } cases[] = {
        {"[]", "it is not an array of arrays"},
        {"[[9,1,1,0,0,0,0,0,0,0,5,1,0,0,0,0,0,\"m\",\"\",\"\",\"\",\"\",\"\"]]",
         "the kind is unknown"},
        {"[[5,1,1,0,0,0,0,0,0,0,5,1,0,0,0,0,0,\"m\",\"\",\"\",\"\",\"\",\"\"]]",
         "the kind is unknown"},
        {"[[1,x,1,0,0,0,0,0,0,0,5,1,0,0,0,0,0,\"m\",\"\",\"\",\"\",\"\",\"\"]]",
         "a member that should be an integer is not"},
        {"[[1,9223372036854775808,1,0,0,0,0,0,0,0,5,1,0,0,0,0,0,\"m\",\"\",\"\",\"\",\"\",\"\"]]",
         "a number is out of range"},
        {"[[1,-1,1,0,0,0,0,0,0,0,5,1,0,0,0,0,0,\"m\",\"\",\"\",\"\",\"\",\"\"]]",
         "a time is out of range"},
        {"[[1,1,1,0,0,0,0,0,0,0,99,1,0,0,0,0,0,\"m\",\"\",\"\",\"\",\"\",\"\"]]",
         "the priority is out of range"},
        {"[[1,1,1,0,0,0,0,0,0,0,5,4294967297,0,0,0,0,0,\"m\",\"\",\"\",\"\",\"\",\"\"]]",
         "a number is out of range"},
        {"[[1,1,1,0,0,0,0,0,0,0,5,1,0,2,0,0,0,\"m\",\"\",\"\",\"\",\"\",\"\"]]",
         "`late` is neither 0 nor 1"},
        {"[[1,1,1,0,0,0,0,0,0,0,5,1,0,0,0,0,0,7,\"\",\"\",\"\",\"\",\"\"]]",
         "a member that should be text is not"},
        {"[[1,1,1,0,0,0,0,0,0,0,5,1,0,0,0,0,0,\"\\x\",\"\",\"\",\"\",\"\",\"\"]]",
         "an escape is unknown"},
        {"[[1,1,1,0,0,0,0,0,0,0,5,1,0,0,0,0,0,\"\\u20ac\",\"\",\"\",\"\",\"\",\"\"]]",
         "an escape is unknown"},
        {"[[1,1,1,0,0,0,0,0,0,0,5,1,0,0,0,0,0,\"m\",\"\",\"\",\"\",\"\",\"\"]] ",
         "something follows its end"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *problem = problem_of(text_of(cases[i].text));
        assert_non_null(problem);
        assert_string_equal(problem, cases[i].problem);
    }
}

static void test_escapes_that_others_write_are_read(void **state)
{
    struct record record;
    size_t at = 0;
    bool more;
    (void)state;
    take("[[1,1,1,0,0,0,0,0,0,0,5,1,0,0,0,0,0,\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u001f\\u007F\",\"\","
         "\"\",\"\",\"\",\"\"]]");
    assert_null(sheet_next(&sheet, &at, &record, &more));
    assert_true(text_equal(record.resource, TEXT("\"\\/\b\f\n\r\t\x1f\x7f")));
}

/* A renewal was written down some time before its end. */
static void test_a_sheet_knows_when_its_last_record_was_emitted(void **state)
{
    struct record renewal = sample_grant(1, 1000);
    struct record end = sample_end(RECORD_SETTLE, 1, 2000);
    (void)state;
    renewal.kind = RECORD_RENEW;
    renewal.expires_us = 9000;
    sheet_begin(&sheet);
    sheet_add(&sheet, &renewal);
    assert_true(!sheet.exact && sheet.emitted_us == 9000);
    sheet_add(&sheet, &end);
    assert_true(sheet.exact && sheet.emitted_us == 2000);
}

static void test_a_text_that_is_too_long_is_not_taken(void **state)
{
    static char text[SHEET_BYTES_MAX + 1];
    (void)state;
    assert_false(sheet_take(&sheet, (struct text){text, sizeof(text)}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_come_back_as_they_were),
        cmocka_unit_test(test_names_may_have_any_bytes),
        cmocka_unit_test(test_the_largest_record_has_room),
        cmocka_unit_test(test_a_sheet_that_was_cut_off_is_refused),
        cmocka_unit_test(test_what_nobody_wrote_is_refused_in_words),
        cmocka_unit_test(test_escapes_that_others_write_are_read),
        cmocka_unit_test(test_a_sheet_knows_when_its_last_record_was_emitted),
        cmocka_unit_test(test_a_text_that_is_too_long_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
