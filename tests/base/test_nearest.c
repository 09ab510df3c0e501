#include "base/nearest.h"

#include "check.h"

static const char *name_at(const void *names, size_t i)
{
    return ((const char *const *)names)[i];
}

static void test_the_nearest_name_is_one_that_may_have_been_meant(void **state)
{
    (void)state;
    static const char *const names[] = {"rpm", "tpm", "itpm", "provider", "concurrency", "limits"};
    static const struct {
        const char *wrong;
        const char *nearest;
    } rows[] = {
        {"rmp", "rpm"},
        {"RPM", "rpm"},
        {"porvider", "provider"},
        {"provder", "provider"},
        {"limit", "limits"},
        {"concurency", "concurrency"},
        {"concurrancy", "concurrency"},
        {"xyzzy", NULL},
        {"", NULL},
        {"q", NULL},
        {"a name that is far too long to be compared", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *nearest = nearest_name(text_of(rows[i].wrong), name_at, names, 6);
        if (nearest != rows[i].nearest &&
            (!nearest || !rows[i].nearest || strcmp(nearest, rows[i].nearest) != 0)) {
            fail_msg("\"%s\": %s", rows[i].wrong, nearest ? nearest : "none");
        }
    }
}

static void test_names_that_are_too_long_are_passed_over(void **state)
{
    (void)state;
    static const char *const names[] = {"a_name_that_is_far_too_long_to_be_compared", "after"};
    assert_string_equal(nearest_name(TEXT("aftr"), name_at, names, 2), "after");
    assert_null(nearest_name(TEXT("a_name_that_is_far_too_lng"), name_at, names, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_nearest_name_is_one_that_may_have_been_meant),
        cmocka_unit_test(test_names_that_are_too_long_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
