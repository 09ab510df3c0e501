/* Which hosts and origins are this machine, and which only look like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/identity.h"

static void test_this_machine_is_known_by_its_names(void **state)
{
    static const char *const ours[] = {"",          "localhost",   "localhost:7411",  "LocalHost",
                                       "127.0.0.1", "127.0.0.1:1", "127.255.255.255", "[::1]",
                                       "[::1]:80",  "unix"};
    (void)state;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (!host_is_loopback(text_of(ours[i]))) {
            fail_msg("\"%s\" is this machine", ours[i]);
        }
    }
}

static void test_names_that_only_look_like_it_are_not(void **state)
{
    static const char *const others[] = {
        "example.com",
        "127.example.com",
        "127.0.0.1.example.com",
        "localhost.example.com",
        "0.0.0.0",
        "10.127.0.1",
        "[::2]",
        "[::1].example.com",
        "localhost@evil",
        "127.",
        "128.0.0.1",
        "evil#localhost",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (host_is_loopback(text_of(others[i]))) {
            fail_msg("\"%s\" is not this machine", others[i]);
        }
    }
}

static void test_an_origin_names_its_host(void **state)
{
    (void)state;
    assert_true(text_equal(origin_host(TEXT("http://localhost:3000")), TEXT("localhost:3000")));
    assert_true(text_equal(origin_host(TEXT("https://a.example")), TEXT("a.example")));
    assert_int_equal(origin_host(TEXT("null")).len, 0);
    assert_int_equal(origin_host(TEXT("")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_this_machine_is_known_by_its_names),
        cmocka_unit_test(test_names_that_only_look_like_it_are_not),
        cmocka_unit_test(test_an_origin_names_its_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
