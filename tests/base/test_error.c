#include "base/error.h"

#include <string.h>

#include "check.h"

static void test_every_code_has_a_name_a_status_and_a_sentence(void **state)
{
    (void)state;
    for (int code = 0; code < ERR_COUNT; code++) {
        assert_non_null(error_name(code));
        assert_non_null(error_sentence(code));
        assert_true(strlen(error_sentence(code)) > 5);
        assert_int_not_equal(error_sentence(code)[strlen(error_sentence(code)) - 1], '.');
        assert_true(error_status(code) >= 200 && error_status(code) < 600);
    }
}

static void test_names_are_unique_and_spelt_as_the_api_spells(void **state)
{
    (void)state;
    for (int code = 0; code < ERR_COUNT; code++) {
        const char *name = error_name(code);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        for (int other = 0; other < code; other++) {
            assert_string_not_equal(name, error_name(other));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_a_name_a_status_and_a_sentence),
        cmocka_unit_test(test_names_are_unique_and_spelt_as_the_api_spells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
