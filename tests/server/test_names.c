/* Public names of leases and tickets: a name says its number, and nothing else is a name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/names.h"

static void assert_name(uint64_t lease, const char *expected)
{
    struct public_name name = lease_name(lease);
    uint64_t read = 0;
    assert_string_equal(name.at, expected);
    assert_true(lease_name_read(public_name_text(&name), &read));
    assert_true(read == lease);
}

static void test_a_name_is_its_number_in_hexadecimal(void **state)
{
    (void)state;
    assert_name(1, "ls_0000000000000001");
    assert_name(UINT64_C(0x0123456789abcdef), "ls_0123456789abcdef");
    assert_name(UINT64_C(0xfedcba9876543210), "ls_fedcba9876543210");
    assert_name(UINT64_MAX, "ls_ffffffffffffffff");
}

static void test_every_digit_is_written_and_read_at_every_place(void **state)
{
    (void)state;
    for (int place = 0; place < 16; place++) {
        for (uint64_t digit = 1; digit < 16; digit++) {
            char expected[PUBLIC_NAME_LEN + 1] = "tk_0000000000000000";
            uint64_t read = 0;
            expected[PUBLIC_NAME_LEN - 1 - place] = "0123456789abcdef"[digit];
            struct public_name name = ticket_name(digit << (4 * place));
            assert_string_equal(name.at, expected);
            assert_true(ticket_name_read(public_name_text(&name), &read));
            assert_true(read == digit << (4 * place));
        }
    }
}

static void test_any_other_byte_in_a_name_is_refused(void **state)
{
    (void)state;
    for (int place = 3; place < PUBLIC_NAME_LEN; place++) {
        for (int byte = 0; byte < 256; byte++) {
            char name[] = "ls_1111111111111111";
            uint64_t read = 7;
            name[place] = (char)byte;
            bool digit = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
            assert_int_equal(lease_name_read((struct text){name, PUBLIC_NAME_LEN}, &read), digit);
            assert_true(digit || read == 7);
        }
    }
}

static void test_what_is_not_a_whole_name_is_refused(void **state)
{
    (void)state;
    uint64_t read;
    assert_false(lease_name_read(TEXT("ls_0000000000000000"), &read));
    assert_false(lease_name_read(TEXT("ls_000000000000001"), &read));
    assert_false(lease_name_read(TEXT("ls_00000000000000011"), &read));
    assert_false(lease_name_read(TEXT("tk_0000000000000001"), &read));
    assert_false(ticket_name_read(TEXT("ls_0000000000000001"), &read));
    assert_false(lease_name_read(TEXT("ls-0000000000000001"), &read));
    assert_false(lease_name_read(TEXT_NONE, &read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_is_its_number_in_hexadecimal),
        cmocka_unit_test(test_every_digit_is_written_and_read_at_every_place),
        cmocka_unit_test(test_any_other_byte_in_a_name_is_refused),
        cmocka_unit_test(test_what_is_not_a_whole_name_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
