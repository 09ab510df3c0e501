#include "base/text.h"

#include <stdio.h>

#include "check.h"
#include "support/random.h"

/* SipHash-1-3 written the other way round: bytes into a padded copy, words from there. */
static uint64_t rotated(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void naive_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotated(v[1], 13);
    v[3] = rotated(v[3], 16);
    v[1] ^= v[0];
    v[3] ^= v[2];
    v[0] = rotated(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotated(v[1], 17);
    v[3] = rotated(v[3], 21);
    v[1] ^= v[2];
    v[3] ^= v[0];
    v[2] = rotated(v[2], 32);
}

static uint64_t naive_hash(const unsigned char *bytes, size_t len, struct hash_key key)
{
    unsigned char padded[256] = {0};
    uint64_t v[4] = {key.k0 ^ 0x736f6d6570736575u, key.k1 ^ 0x646f72616e646f6du,
                     key.k0 ^ 0x6c7967656e657261u, key.k1 ^ 0x7465646279746573u};
    memcpy(padded, bytes, len);
    size_t whole = len / 8 * 8 + 8;
    padded[whole - 1] = (unsigned char)len;
    for (size_t at = 0; at < whole; at += 8) {
        uint64_t word = 0;
        for (int i = 7; i >= 0; i--) {
            word = word << 8 | padded[at + (size_t)i];
        }
        v[3] ^= word;
        naive_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) {
        naive_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void test_the_hash_agrees_with_one_written_another_way(void **state)
{
    (void)state;
    struct random r = {20261105};
    for (size_t i = 0; i < 5000; i++) {
        unsigned char bytes[200];
        size_t len = i % sizeof(bytes);
        for (size_t j = 0; j < len; j++) {
            bytes[j] = (unsigned char)random_u64(&r);
        }
        struct hash_key key = {random_u64(&r), random_u64(&r)};
        uint64_t hash = text_hash((struct text){(const char *)bytes, len}, &key);
        assert_true(hash == naive_hash(bytes, len, key));
    }
}

static void test_another_key_gives_another_hash(void **state)
{
    (void)state;
    const struct hash_key one = {1, 2};
    const struct hash_key other = {1, 3};
    assert_true(text_hash(TEXT("tenant"), &one) != text_hash(TEXT("tenant"), &other));
    assert_true(text_hash(TEXT("tenant"), &one) == text_hash(TEXT("tenant"), &one));
}

static void test_texts_are_equal_by_content(void **state)
{
    (void)state;
    const char copy[] = "acme";
    assert_true(text_equal(TEXT("acme"), text_of(copy)));
    assert_false(text_equal(TEXT("acme"), TEXT("acm")));
    assert_false(text_equal(TEXT("acme"), TEXT("acmf")));
    assert_true(text_equal(TEXT(""), TEXT_NONE));
    assert_true(text_equal(text_of(NULL), TEXT_NONE));
    assert_false(text_equal(TEXT("a\0b"), TEXT("a\0c")));
}

/* Against the C library, at every length and on both sides of every power of ten. */
static void test_numbers_are_written_in_decimal(void **state)
{
    char written[TEXT_NUMBER_MAX + 1];
    char wanted[TEXT_NUMBER_MAX + 1];
    uint64_t power = 1;
    (void)state;
    for (int digits = 1; digits <= 20; digits++, power *= 10) {
        const uint64_t tried[] = {power - 1, power, power + 1, power * 7, UINT64_MAX - power};
        for (size_t i = 0; i < sizeof(tried) / sizeof(tried[0]); i++) {
            *text_put_u64(written, tried[i]) = '\0';
            snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)tried[i]);
            assert_string_equal(written, wanted);
            *text_put_i64(written, (int64_t)tried[i]) = '\0';
            snprintf(wanted, sizeof(wanted), "%lld", (long long)tried[i]);
            assert_string_equal(written, wanted);
        }
    }
    *text_put_i64(written, INT64_MIN) = '\0';
    assert_string_equal(written, "-9223372036854775808");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_hash_agrees_with_one_written_another_way),
        cmocka_unit_test(test_another_key_gives_another_hash),
        cmocka_unit_test(test_texts_are_equal_by_content),
        cmocka_unit_test(test_numbers_are_written_in_decimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
