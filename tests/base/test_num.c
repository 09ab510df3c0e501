#include "base/num.h"

#include "check.h"
#include "support/random.h"

static int64_t held(int128 n)
{
    if (n > INT64_MAX) {
        return INT64_MAX;
    }
    return n < INT64_MIN ? INT64_MIN : (int64_t)n;
}

/* Where arithmetic breaks: near zero and near the ends, and anywhere. */
static int64_t random_number(struct random *r)
{
    static const int64_t edges[] = {0, INT64_MAX, INT64_MIN, INT64_C(1) << 32, -(INT64_C(1) << 31)};
    int64_t n = (int64_t)random_u64(r);
    switch (random_below(r, 3)) {
    case 0: return n;
    case 1: return n >> random_below(r, 64);
    default: {
        int64_t near = (int64_t)random_below(r, 5) - 2;
        return held((int128)edges[random_below(r, 5)] + near);
    }
    }
}

static void test_sums_and_products_saturate_at_the_ends(void **state)
{
    (void)state;
    assert_true(add_sat(INT64_MAX, 1) == INT64_MAX);
    assert_true(add_sat(INT64_MIN, -1) == INT64_MIN);
    assert_true(sub_sat(INT64_MIN, 1) == INT64_MIN);
    assert_true(sub_sat(0, INT64_MIN) == INT64_MAX);
    assert_true(mul_sat(INT64_MAX, 2) == INT64_MAX);
    assert_true(mul_sat(INT64_MIN, -1) == INT64_MAX);
    assert_true(mul_sat(INT64_MIN, 2) == INT64_MIN);
}

static void test_everything_agrees_with_wider_arithmetic(void **state)
{
    (void)state;
    struct random r = {20261104};
    for (int i = 0; i < 200000; i++) {
        int64_t a = random_number(&r);
        int64_t b = random_number(&r);
        int64_t c = random_number(&r);
        assert_true(add_sat(a, b) == held((int128)a + b));
        assert_true(sub_sat(a, b) == held((int128)a - b));
        assert_true(mul_sat(a, b) == held((int128)a * b));
        if (c > 0) {
            assert_true(mul_div_sat(a, b, c) == held((int128)a * b / c));
        }
        assert_true(min_i64(a, b) == (a < b ? a : b));
        assert_true(max_i64(a, b) == (a < b ? b : a));
    }
}

static void test_a_quotient_is_rounded_towards_zero(void **state)
{
    (void)state;
    assert_true(mul_div_sat(7, 1, 2) == 3);
    assert_true(mul_div_sat(-7, 1, 2) == -3);
    assert_true(mul_div_sat(INT64_MAX, INT64_MAX, INT64_MAX) == INT64_MAX);
}

static void test_dividing_by_an_inverse_agrees_with_division(void **state)
{
    (void)state;
    static const uint64_t edges[] = {1, 2, 3, UINT64_C(1) << 63, UINT64_MAX - 1, UINT64_MAX};
    struct random r = {20261122};
    for (size_t i = 0; i < 200000; i++) {
        uint64_t by = i % 8 < 6 ? edges[i % 8] : random_u64(&r) >> random_below(&r, 64);
        by = by ? by : 1;
        struct divisor d = divisor_of(by);
        uint64_t n = random_u64(&r) >> random_below(&r, 64);
        uint64_t multiple = n / by * by; /* where being one off would show */
        assert_true(divide(n, &d) == n / by);
        assert_true(divide(multiple, &d) == multiple / by);
        assert_true(divide(multiple - 1, &d) == (multiple - 1) / by);
        assert_true(divide(UINT64_MAX, &d) == UINT64_MAX / by);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_and_products_saturate_at_the_ends),
        cmocka_unit_test(test_everything_agrees_with_wider_arithmetic),
        cmocka_unit_test(test_a_quotient_is_rounded_towards_zero),
        cmocka_unit_test(test_dividing_by_an_inverse_agrees_with_division),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
