/*
 * JSON: what is taken, what is refused and with which words, what values read as, and what is
 * written.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/error.h"
#include "http/json.h"

/* A text as an initializer; it may hold NULs. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        "" literal, sizeof("" literal) - 1                                                         \
    }

/* --- Taken and refused. --- */

struct syntax_row {
    struct text in;
    const char *why; /* NULL: taken */
};

#define OPEN8  "[[[[[[[["
#define CLOSE8 "]]]]]]]]"

static const struct syntax_row syntax[] = {
    {BYTES("{}"), NULL},
    {BYTES("[]"), NULL},
    {BYTES(" \t\r\n{ \"a\" : [ 1 , 2 ] }\r\n "), NULL},
    {BYTES("null"), NULL},
    {BYTES("true"), NULL},
    {BYTES("5"), NULL},
    {BYTES("5 "), NULL},
    {BYTES("-0"), NULL},
    {BYTES("0.5e-3"), NULL},
    {BYTES("1E+2"), NULL},
    {BYTES("\"\""), NULL},
    {BYTES("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\""), NULL},
    {BYTES("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\""), NULL},
    {BYTES("\"\\ud83d\\ude00\""), NULL},
    {BYTES("\"\\ud876\\udc00 \\uD876\\uDFFF\""), NULL},
    {BYTES("{\"a\":{\"a\":{\"a\":1}}}"), NULL},
    {BYTES("{\"\":1}"), NULL},
    {BYTES(OPEN8 OPEN8 OPEN8 OPEN8 CLOSE8 CLOSE8 CLOSE8 CLOSE8), NULL},
    {BYTES("{\"a\":" OPEN8 OPEN8 OPEN8 "[[[[[[[1]]]]]]]" CLOSE8 CLOSE8 CLOSE8 "}"), NULL},
    /* Structure. */
    {BYTES(""), "unexpected end at byte 0"},
    {BYTES(" "), "unexpected end at byte 1"},
    {BYTES("{"), "unexpected end at byte 1"},
    {BYTES("[1"), "unexpected end at byte 2"},
    {BYTES("{\"a\""), "unexpected end at byte 4"},
    {BYTES("{} {}"), "at byte 3"},
    {BYTES("{}x"), "unexpected character at byte 2"},
    {BYTES("1 2"), "at byte 2"},
    {BYTES("[1,]"), "at byte 3"},
    {BYTES("[,1]"), "at byte 1"},
    {BYTES("[1 2]"), "at byte 3"},
    {BYTES("{\"a\":1,}"), "at byte 7"},
    {BYTES("{\"a\" 1}"), "at byte 5"},
    {BYTES("{\"a\":}"), "at byte 5"},
    {BYTES("{a:1}"), "unexpected character at byte 1"},
    {BYTES("{1:1}"), "at byte 1"},
    {BYTES("]"), "unexpected character at byte 0"},
    {BYTES("[}"), "at byte 1"},
    {BYTES("[]]"), "unexpected character at byte 2"},
    {BYTES("[1]/* c */"), "unexpected character at byte 3"},
    {BYTES("// c\n1"), "unexpected character at byte 0"},
    {BYTES("\xef\xbb\xbf{}"), "unexpected character at byte 0"},
    {BYTES("[1,\0]"), "unexpected character at byte 3"},
    {BYTES("[1]\0"), "unexpected character at byte 3"},
    {BYTES("[\x0b]"), "unexpected character at byte 1"},
    {BYTES("[" OPEN8 OPEN8 OPEN8 OPEN8 CLOSE8 CLOSE8 CLOSE8 CLOSE8 "]"),
     "values are nested too deeply at byte 33"},
    /* Names. */
    {BYTES("{\"a\":1,\"a\":2}"), "an object has two members of one name"},
    {BYTES("{\"a\":1,\"\\u0061\":2}"), "an object has two members of one name"},
    {BYTES("[{\"b\":{\"a\":1,\"c\":{},\"a\":1}}]"), "an object has two members of one name"},
    {BYTES("{\"a\\u0000\":1}"), "a string must not hold a NUL at byte 9"},
    /* Words. */
    {BYTES("True"), "unexpected character at byte 0"},
    {BYTES("NULL"), "unexpected character at byte 0"},
    {BYTES("tru"), "unexpected character at byte 0"},
    {BYTES("nulll"), "unexpected character at byte 4"},
    {BYTES("NaN"), "unexpected character at byte 0"},
    {BYTES("Infinity"), "unexpected character at byte 0"},
    {BYTES("[-Infinity]"), "a number is malformed at byte 2"},
    {BYTES("nan"), "unexpected character at byte 0"},
    /* Numbers. */
    {BYTES("01"), "a number begins with a zero at byte 1"},
    {BYTES("-01"), "a number begins with a zero at byte 2"},
    {BYTES("+1"), "unexpected character at byte 0"},
    {BYTES("-"), "a number is malformed at byte 1"},
    {BYTES("1."), "a number is malformed at byte 2"},
    {BYTES(".5"), "unexpected character at byte 0"},
    {BYTES("1e"), "a number is malformed at byte 2"},
    {BYTES("1e+"), "a number is malformed at byte 3"},
    {BYTES("1.5.2"), "unexpected character at byte 3"},
    {BYTES("0x1"), "unexpected character at byte 1"},
    {BYTES("1_000"), "unexpected character at byte 1"},
    {BYTES("--1"), "a number is malformed at byte 1"},
    {BYTES("18446744073709551616"), "an integer is out of range at byte 20"},
    {BYTES("-9223372036854775809"), "an integer is out of range at byte 20"},
    {BYTES("[999999999999999999999999999999]"), "an integer is out of range at byte 31"},
    {BYTES("[9999999999999999999999999999999]"), "a number is too long at byte 32"},
    {BYTES("0.12345678901234567890123456789"), "a number is too long at byte 31"},
    /* Strings. */
    {BYTES("\""), "a string has no end at byte 1"},
    {BYTES("\"\\\""), "a string has no end at byte 3"},
    {BYTES("'a'"), "unexpected character at byte 0"},
    {BYTES("\"\n\""), "a string holds a control character at byte 1"},
    {BYTES("\"\t\""), "a string holds a control character at byte 1"},
    {BYTES("\"\0\""), "a string holds a control character at byte 1"},
    {BYTES("\"\\x41\""), "an escape is unknown at byte 2"},
    {BYTES("\"\\'\""), "an escape is unknown at byte 2"},
    {BYTES("\"\\"), "an escape is unknown at byte 2"},
    {BYTES("\"\\u12\""), "a \\u escape is malformed at byte 5"},
    {BYTES("\"\\u12g4\""), "a \\u escape is malformed at byte 5"},
    {BYTES("\"\\u0000\""), "a string must not hold a NUL at byte 7"},
    {BYTES("\"\\ud83d\""), "a surrogate stands alone at byte 7"},
    {BYTES("\"\\ud83dx\""), "a surrogate stands alone at byte 7"},
    {BYTES("\"\\ude00\""), "a surrogate stands alone at byte 7"},
    {BYTES("\"\\ud83d\\u0041\""), "a surrogate stands alone at byte 13"},
    {BYTES("\"\x80\""), "a string is not valid UTF-8 at byte 1"},
    {BYTES("\"\xc3\""), "a string is not valid UTF-8 at byte 1"},
    {BYTES("\"\xc0\x80\""), "a string is not valid UTF-8 at byte 1"},
    {BYTES("\"\xc1\xbf\""), "a string is not valid UTF-8 at byte 1"},
    {BYTES("\"\xe0\x9f\xbf\""), "a string is not valid UTF-8 at byte 1"},
    {BYTES("\"\xed\xa0\x80\""), "a string is not valid UTF-8 at byte 1"},
    {BYTES("\"\xf0\x8f\xbf\xbf\""), "a string is not valid UTF-8 at byte 1"},
    {BYTES("\"\xf4\x90\x80\x80\""), "a string is not valid UTF-8 at byte 1"},
    {BYTES("\"\xff\""), "a string is not valid UTF-8 at byte 1"},
    {BYTES("\"abc\xe2\x82"), "a string is not valid UTF-8 at byte 4"},
};

static void check_syntax(const struct syntax_row *row)
{
    json_value *document = NULL;
    struct buf why;
    buf_init(&why, 1024);
    print_message("%.*s\n", (int)row->in.len, row->in.at);
    int err = json_parse(row->in, &document, &why);
    if (row->why) {
        assert_int_equal(err, ERR_INVALID_REQUEST);
        assert_null(document);
        assert_non_null(strstr(why.at, row->why));
    } else {
        assert_string_equal(why.at ? why.at : "", "");
        assert_int_equal(err, 0);
        json_free(document);
    }
    buf_release(&why);
}

/* An object of `n` members, of which the last has the first one's name if `again`. */
static void write_members(int n, bool again, struct buf *out)
{
    buf_clear(out);
    for (int i = 0; i < n; i++) {
        buf_addf(out, "%s\"name %d\":%d", i ? "," : "{", again && i == n - 1 ? 0 : i, i);
    }
    buf_add_char(out, '}');
}

static void test_names_of_small_and_large_objects_must_differ(void **state)
{
    static const int sizes[] = {2, 16, 17, 18, 1000};
    struct buf text;
    (void)state;
    buf_init(&text, 1u << 20);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        write_members(sizes[i], false, &text);
        check_syntax(&(struct syntax_row){buf_text(&text), NULL});
        write_members(sizes[i], true, &text);
        check_syntax(
            &(struct syntax_row){buf_text(&text), "an object has two members of one name"});
    }
    buf_release(&text);
}

static void test_json_is_taken_or_refused_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(syntax) / sizeof(syntax[0]); i++) {
        check_syntax(&syntax[i]);
    }
}

/* An array of so many pieces. */
static void check_many(const char *piece, size_t times, const char *reason)
{
    struct buf text;
    struct buf why;
    json_value *document = NULL;
    buf_init(&text, 4u << 20);
    buf_init(&why, 1024);
    for (size_t i = 0; i < times; i++) {
        buf_add_char(&text, i ? ',' : '[');
        buf_add_str(&text, piece);
    }
    buf_add_char(&text, ']');
    assert_false(text.failed);
    assert_int_equal(json_parse(buf_text(&text), &document, &why),
                     reason ? ERR_INVALID_REQUEST : 0);
    if (reason) {
        assert_non_null(strstr(why.at, reason));
    } else {
        assert_int_equal(json_array_len(document), times);
        json_free(document);
    }
    buf_release(&text);
    buf_release(&why);
}

static void test_a_document_has_caps_on_what_it_costs(void **state)
{
    (void)state;
    check_many("{}", JSON_NESTS_MAX - 1, NULL);
    check_many("{}", JSON_NESTS_MAX, "there are too many objects and arrays at byte");
    check_many("1", JSON_VALUES_MAX, NULL);
    check_many("1", JSON_VALUES_MAX + 1, "there are too many values at byte");
}

/* --- Values. --- */

static json_value *parsed(const char *text)
{
    json_value *document = NULL;
    struct buf why;
    buf_init(&why, 1024);
    assert_int_equal(json_parse(text_of(text), &document, &why), 0);
    assert_int_equal(why.len, 0);
    return document;
}

enum { NONE = -77 }; /* stands in a table for a value that is not read */

struct number_row {
    const char *in;
    int64_t i64;
    int64_t picousd;
};

static const struct number_row numbers[] = {
    {"0", 0, 0},
    {"-0", 0, 0},
    {"5", 5, 5000000000000},
    {"-5", -5, -5000000000000},
    {"5.0", 5, 5000000000000},
    {"5.5", NONE, 5500000000000},
    {"-5.5", NONE, -5500000000000},
    {"1e3", 1000, 1000000000000000},
    {"1E+3", 1000, 1000000000000000},
    {"1500e-2", 15, 15000000000000},
    {"0.1", NONE, 100000000000},
    {"0.000000000001", NONE, 1},
    {"0.0000000000001", NONE, 1},
    {"-0.0000000000001", NONE, 0},
    {"1e-300", NONE, 1},
    {"1e-999999999999", NONE, 1},
    {"0e999", 0, 0},
    {"0.0e-999", 0, 0},
    {"2.0000000000001", NONE, 2000000000001},
    {"0.30000000000000004", NONE, 300000000001},
    {"9223372036854775807", INT64_MAX, NONE},
    {"-9223372036854775808", INT64_MIN, NONE},
    {"9223372036854775808", NONE, NONE},
    {"18446744073709551615", NONE, NONE},
    {"9223372036854775807.0", INT64_MAX, NONE},
    {"9223372036854775807.5", NONE, NONE},
    {"9007199254740993.0", 9007199254740993, NONE},
    {"9223372.036854775807", NONE, INT64_MAX},
    {"9223372.036854775808", NONE, NONE},
    {"9223372.0368547758069", NONE, INT64_MAX},
    {"9223372.0368547758071", NONE, NONE},
    {"1e18", 1000000000000000000, NONE},
    {"1e19", NONE, NONE},
    {"1e999", NONE, NONE},
    {"-1e999999999999", NONE, NONE},
    {"\"5\"", NONE, NONE},
    {"null", NONE, NONE},
    {"true", NONE, NONE},
    {"[5]", NONE, NONE},
};

static void test_numbers_are_read_exactly(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        json_value *v = parsed(numbers[i].in);
        int64_t n = NONE;
        int64_t picousd = NONE;
        print_message("%s\n", numbers[i].in);
        assert_int_equal(json_read_i64(v, &n), numbers[i].i64 != NONE);
        assert_int_equal(n, numbers[i].i64);
        assert_int_equal(json_read_picousd(v, &picousd), numbers[i].picousd != NONE);
        assert_int_equal(picousd, numbers[i].picousd);
        json_free(v);
    }
}

static void test_doubles_are_finite(void **state)
{
    double d = -1;
    (void)state;
    json_value *v = parsed("[0.1, 7, 1e999, \"1\", 18446744073709551615]");
    assert_true(json_read_double(json_array_at(v, 0), &d) && d == 0.1);
    assert_true(json_read_double(json_array_at(v, 1), &d) && d == 7);
    assert_false(json_read_double(json_array_at(v, 2), &d));
    assert_false(json_read_double(json_array_at(v, 3), &d));
    assert_true(json_read_double(json_array_at(v, 4), &d) && d == 18446744073709551615.0);
    assert_false(json_read_double(json_array_at(v, 5), &d));
    json_free(v);
}

static void test_texts_are_decoded(void **state)
{
    struct text t = TEXT_NONE;
    (void)state;
    json_value *v = parsed("{\"a\\u0062\":\"\\u00e9\\ud83d\\ude00\\n\",\"n\":5}");
    assert_true(json_read_text(json_get(v, "ab"), &t));
    assert_true(text_equal(t, TEXT("\xc3\xa9\xf0\x9f\x98\x80\n")));
    assert_false(json_read_text(json_get(v, "n"), &t));
    assert_false(json_read_text(json_get(v, "none"), &t));
    json_free(v);
}

/* The lower half of 2D800 looks like half of a pair: a reader must not take it for one. */
static void test_characters_whose_lower_half_looks_like_a_surrogate_are_kept(void **state)
{
    struct text t = TEXT_NONE;
    (void)state;
    json_value *v = parsed("{\"\\ud876\\udc00\":\"\\\\\\ud83d\\ude00\\uD836\\uDC01\\n\"}");
    assert_true(json_read_text(json_get(v, "\xf0\xad\xa0\x80"), &t));
    assert_true(text_equal(t, TEXT("\\\xf0\x9f\x98\x80\xf0\x9d\xa0\x81\n")));
    json_free(v);
}

static void test_null_is_a_value_and_a_missing_member_is_not(void **state)
{
    bool b = false;
    int64_t n = 0;
    (void)state;
    json_value *v = parsed("{\"a\":null,\"b\":true,\"c\":[null]}");
    assert_non_null(json_get(v, "a"));
    assert_true(json_is_null(json_get(v, "a")));
    assert_null(json_get(v, "z"));
    assert_true(json_is_null(json_array_at(json_get(v, "c"), 0)));
    assert_null(json_array_at(json_get(v, "c"), 1));
    assert_false(json_read_bool(json_get(v, "a"), &b));
    assert_true(json_read_bool(json_get(v, "b"), &b) && b);
    assert_false(json_read_i64(json_get(v, "b"), &n));
    assert_int_equal(json_array_len(json_get(v, "a")), 0);
    assert_int_equal(json_array_len(json_get(v, "z")), 0);
    assert_null(json_get(json_get(v, "a"), "x"));
    json_free(v);
    json_value *null = parsed("null");
    assert_non_null(null);
    assert_true(json_is_null(null));
    json_free(null);
    json_free(NULL);
}

static int note_key(void *ctx, struct text key, json_value *v)
{
    struct buf *out = ctx;
    buf_add_text(out, key);
    buf_add_char(out, json_is_null(v) ? '0' : '1');
    return text_equal(key, TEXT("stop")) ? 42 : 0;
}

static void test_members_come_in_the_order_they_were_written(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 1024);
    json_value *v = parsed("{\"z\":1,\"a\":null,\"m\":{},\"stop\":1,\"never\":1}");
    assert_int_equal(json_each(v, note_key, &out), 42);
    assert_string_equal(out.at, "z1a0m1stop1");
    assert_int_equal(json_each(json_get(v, "a"), note_key, &out), 0);
    json_free(v);
    buf_release(&out);
}

/* --- Writing. --- */

static void test_nesting_and_commas_are_written(void **state)
{
    struct buf out;
    struct json_writer w;
    (void)state;
    buf_init(&out, 1024);
    json_writer_init(&w, &out);
    json_object_begin(&w);
    json_key(&w, "a");
    json_array_begin(&w);
    json_i64(&w, INT64_MIN);
    json_i64(&w, INT64_MAX);
    json_array_begin(&w);
    json_array_end(&w);
    json_object_begin(&w);
    json_object_end(&w);
    json_bool(&w, true);
    json_null(&w);
    json_array_end(&w);
    json_name(&w, TEXT("b\""));
    json_str(&w, "c");
    json_key(&w, "d");
    json_str(&w, NULL);
    json_object_end(&w);
    assert_string_equal(out.at, "{\"a\":[-9223372036854775808,9223372036854775807,[],{},true,null],"
                                "\"b\\\"\":\"c\",\"d\":null}");
    buf_release(&out);
}

struct text_row {
    struct text in;
    const char *out;
};

static const struct text_row texts[] = {
    {BYTES(""), "\"\""},
    {BYTES("plain"), "\"plain\""},
    {BYTES("\"\\/"), "\"\\\"\\\\/\""},
    {BYTES("\n\r\t\b\0\x1f\x7f"), "\"\\n\\r\\t\\u0008\\u0000\\u001f\\u007f\""},
    {BYTES("\xc3\xa9\xf0\x9f\x98\x80"), "\"\xc3\xa9\xf0\x9f\x98\x80\""},
    {BYTES("a\xff"
           "b\xc3"),
     "\"a\xef\xbf\xbd"
     "b\xef\xbf\xbd\""},
    {BYTES("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
};

static void test_texts_are_escaped(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct buf out;
        struct json_writer w;
        buf_init(&out, 1024);
        json_writer_init(&w, &out);
        json_text(&w, texts[i].in);
        assert_string_equal(out.at, texts[i].out);
        buf_release(&out);
    }
}

/* Each byte at each place of a text is escaped as it is alone, and what is beside it stays plain.
 */
static void test_a_byte_is_escaped_wherever_it_stands(void **state)
{
    enum { LEN = 19 };
    (void)state;
    for (int c = 0; c < 256; c++) {
        struct buf alone;
        struct json_writer w;
        char byte = (char)c;
        buf_init(&alone, 1024);
        json_writer_init(&w, &alone);
        json_text(&w, (struct text){&byte, 1});
        for (size_t place = 0; place < LEN; place++) {
            char in[LEN];
            struct buf out;
            struct buf wanted;
            memset(in, '~', sizeof(in));
            in[place] = byte;
            buf_init(&out, 1024);
            buf_init(&wanted, 1024);
            json_writer_init(&w, &out);
            json_text(&w, (struct text){in, sizeof(in)});
            buf_addf(&wanted, "\"%.*s", (int)place, "~~~~~~~~~~~~~~~~~~~");
            buf_add(&wanted, alone.at + 1, alone.len - 2);
            buf_addf(&wanted, "%.*s\"", (int)(LEN - 1 - place), "~~~~~~~~~~~~~~~~~~~");
            assert_string_equal(out.at, wanted.at);
            buf_release(&out);
            buf_release(&wanted);
        }
        buf_release(&alone);
    }
}

struct amount_row {
    int64_t picousd;
    const char *out;
};

static const struct amount_row amounts[] = {
    {0, "0"},
    {1, "0.000000000001"},
    {1500000000000, "1.5"},
    {-1500000000000, "-1.5"},
    {-1, "-0.000000000001"},
    {2000000000000, "2"},
    {10020000000000, "10.02"},
    {INT64_MAX, "9223372.036854775807"},
    {INT64_MIN, "-9223372.036854775808"},
};

static void test_money_is_written_exactly_and_reads_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
        struct buf out;
        struct json_writer w;
        int64_t back = 0;
        buf_init(&out, 1024);
        json_writer_init(&w, &out);
        json_picousd(&w, amounts[i].picousd);
        assert_string_equal(out.at, amounts[i].out);
        json_value *v = parsed(out.at);
        assert_true(json_read_picousd(v, &back));
        assert_int_equal(back, amounts[i].picousd);
        json_free(v);
        buf_release(&out);
    }
}

static void test_doubles_are_written_as_short_as_reads_back(void **state)
{
    struct buf out;
    struct json_writer w;
    (void)state;
    buf_init(&out, 1024);
    json_writer_init(&w, &out);
    json_array_begin(&w);
    json_double(&w, 0.1);
    json_double(&w, 1.0 / 3);
    json_double(&w, 1e300);
    json_double(&w, -2);
    json_double(&w, NAN);
    json_double(&w, INFINITY);
    json_array_end(&w);
    assert_string_equal(out.at, "[0.1,0.3333333333333333,1e+300,-2,null,null]");
    buf_release(&out);
}

static void test_a_full_buffer_is_marked_and_not_overrun(void **state)
{
    struct buf out;
    struct json_writer w;
    (void)state;
    buf_init(&out, 8);
    json_writer_init(&w, &out);
    json_str(&w, "0123456789");
    assert_true(out.failed);
    assert_true(out.len <= 8);
    buf_release(&out);
}

static void test_a_key_is_written_as_a_whole_or_not_at_all(void **state)
{
    struct buf out;
    struct json_writer w;
    (void)state;
    buf_init(&out, 12);
    json_writer_init(&w, &out);
    json_object_begin(&w);
    json_key(&w, "fits");
    json_i64(&w, 1);
    assert_string_equal(out.at, "{\"fits\":1");
    assert_false(out.failed);
    json_key(&w, "x");
    assert_true(out.failed);
    assert_string_equal(out.at, "{\"fits\":1");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_is_taken_or_refused_with_a_reason),
        cmocka_unit_test(test_names_of_small_and_large_objects_must_differ),
        cmocka_unit_test(test_a_document_has_caps_on_what_it_costs),
        cmocka_unit_test(test_numbers_are_read_exactly),
        cmocka_unit_test(test_doubles_are_finite),
        cmocka_unit_test(test_texts_are_decoded),
        cmocka_unit_test(test_characters_whose_lower_half_looks_like_a_surrogate_are_kept),
        cmocka_unit_test(test_null_is_a_value_and_a_missing_member_is_not),
        cmocka_unit_test(test_members_come_in_the_order_they_were_written),
        cmocka_unit_test(test_nesting_and_commas_are_written),
        cmocka_unit_test(test_texts_are_escaped),
        cmocka_unit_test(test_a_byte_is_escaped_wherever_it_stands),
        cmocka_unit_test(test_money_is_written_exactly_and_reads_back),
        cmocka_unit_test(test_doubles_are_written_as_short_as_reads_back),
        cmocka_unit_test(test_a_full_buffer_is_marked_and_not_overrun),
        cmocka_unit_test(test_a_key_is_written_as_a_whole_or_not_at_all),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
