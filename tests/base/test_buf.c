#include "base/buf.h"

#include <stdlib.h>

#include "check.h"
#include "support/random.h"

static void expect(const struct buf *b, const char *content)
{
    assert_int_equal(b->len, strlen(content));
    assert_string_equal(b->at, content);
}

static void test_pieces_are_joined_and_terminated(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_null(b.at);
    buf_add_str(&b, "lease ");
    buf_add_i64(&b, -7);
    buf_add_char(&b, ' ');
    buf_add_u64(&b, UINT64_MAX);
    buf_add_text(&b, TEXT(" of"));
    buf_addf(&b, " %s %d", "them", 3);
    expect(&b, "lease -7 18446744073709551615 of them 3");
    assert_false(b.failed);
    buf_release(&b);
}

static void test_numbers_at_the_ends_of_their_range(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    buf_add_i64(&b, INT64_MIN);
    buf_add_char(&b, ' ');
    buf_add_i64(&b, INT64_MAX);
    buf_add_char(&b, ' ');
    buf_add_u64(&b, 0);
    expect(&b, "-9223372036854775808 9223372036854775807 0");
    buf_release(&b);
}

static void test_the_cap_is_reached_and_never_passed(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    buf_add_str(&b, "12345");
    assert_false(b.failed);
    buf_add_char(&b, '6');
    assert_true(b.failed);
    expect(&b, "12345");
    buf_release(&b);
}

static void test_a_piece_that_does_not_fit_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    buf_add_str(&b, "123");
    buf_addf(&b, "%d", 4567);
    assert_true(b.failed);
    expect(&b, "123");
    /* Failed stays failed, so that a later piece cannot follow a gap. */
    buf_add_char(&b, '4');
    expect(&b, "123");
    buf_release(&b);
}

static void test_clear_forgets_content_and_failure(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 3);
    buf_add_str(&b, "1234");
    assert_true(b.failed);
    buf_clear(&b);
    buf_add_str(&b, "123");
    assert_false(b.failed);
    expect(&b, "123");
    buf_release(&b);
}

static void test_a_cap_of_nothing_holds_nothing(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    buf_add_str(&b, "");
    assert_false(b.failed);
    buf_add_char(&b, 'x');
    assert_true(b.failed);
    assert_int_equal(b.len, 0);
    buf_release(&b);
}

static void test_shift_drops_the_front(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_shift(&b, 0);
    buf_add_str(&b, "abcdef");
    buf_shift(&b, 2);
    expect(&b, "cdef");
    buf_shift(&b, 4);
    expect(&b, "");
    buf_release(&b);
}

static void test_a_released_buffer_may_be_used_again(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_add_str(&b, "abc");
    buf_release(&b);
    buf_add_str(&b, "de");
    expect(&b, "de");
    buf_release(&b);
}

#define MODEL_CAP 500

/* The model: a plain array that is as large as the cap. */
struct model {
    char at[MODEL_CAP];
    size_t len;
    int failed;
};

static void model_add(struct model *m, const char *bytes, size_t n)
{
    if (m->failed || n > MODEL_CAP - m->len) {
        m->failed = 1;
        return;
    }
    memcpy(m->at + m->len, bytes, n);
    m->len += n;
}

static void step_both(struct random *r, struct buf *b, struct model *m)
{
    char piece[64];
    size_t n = random_below(r, sizeof(piece));
    for (size_t i = 0; i < n; i++) {
        piece[i] = (char)random_u64(r);
    }
    switch (random_below(r, 8)) {
    case 0:
        n = random_below(r, m->len + 1);
        buf_shift(b, n);
        memmove(m->at, m->at + n, m->len - n);
        m->len -= n;
        break;
    case 1:
        buf_clear(b);
        m->len = 0;
        m->failed = 0;
        break;
    default: buf_add(b, piece, n); model_add(m, piece, n);
    }
}

static void test_any_sequence_agrees_with_a_plain_array(void **state)
{
    (void)state;
    struct random r = {20261101};
    struct model m = {.len = 0};
    struct buf b;
    buf_init(&b, MODEL_CAP);
    for (int i = 0; i < 20000; i++) {
        step_both(&r, &b, &m);
        assert_int_equal(b.failed, m.failed);
        assert_int_equal(b.len, m.len);
        if (m.len) {
            assert_memory_equal(b.at, m.at, m.len);
            assert_int_equal(b.at[b.len], '\0');
        }
    }
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_joined_and_terminated),
        cmocka_unit_test(test_numbers_at_the_ends_of_their_range),
        cmocka_unit_test(test_the_cap_is_reached_and_never_passed),
        cmocka_unit_test(test_a_piece_that_does_not_fit_leaves_the_buffer_as_it_was),
        cmocka_unit_test(test_clear_forgets_content_and_failure),
        cmocka_unit_test(test_a_cap_of_nothing_holds_nothing),
        cmocka_unit_test(test_shift_drops_the_front),
        cmocka_unit_test(test_a_released_buffer_may_be_used_again),
        cmocka_unit_test(test_any_sequence_agrees_with_a_plain_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
