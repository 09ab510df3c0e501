/* API keys: made at random, known by their hashes, found by what a client presents. */
#include <string.h>

#include "base/error.h"
#include "check.h"
#include "config/key.h"

#define ABC_HASH   "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY_HASH "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_a_hash_is_sha_256_in_hexadecimal(void **state)
{
    (void)state;
    unsigned char hash[KEY_HASH_LEN], back[KEY_HASH_LEN];
    char text[KEY_HASH_TEXT_LEN + 1];
    key_hash(TEXT("abc"), hash);
    key_hash_write(hash, text);
    assert_string_equal(text, ABC_HASH);
    assert_true(key_hash_read(text_of(text), back));
    assert_memory_equal(back, hash, KEY_HASH_LEN);
    key_hash(TEXT_NONE, hash);
    key_hash_write(hash, text);
    assert_string_equal(text, EMPTY_HASH);
}

static void test_what_is_no_hash_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "sha256:",
        "sha256:ba78",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015adad",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ag",
        "sha256:ba7816bf 8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        unsigned char hash[KEY_HASH_LEN] = {42};
        assert_false(key_hash_read(text_of(texts[i]), hash));
        assert_int_equal(hash[0], 42);
    }
}

static void test_a_new_key_is_long_and_unlike_the_last(void **state)
{
    (void)state;
    char a[KEY_LEN + 1], b[KEY_LEN + 1];
    assert_true(key_new(a));
    assert_true(key_new(b));
    assert_int_equal(strlen(a), KEY_LEN);
    assert_int_equal(strncmp(a, KEY_PREFIX, strlen(KEY_PREFIX)), 0);
    assert_int_equal(strspn(a + strlen(KEY_PREFIX), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno"
                                                    "pqrstuvwxyz0123456789-_"),
                     43);
    assert_string_not_equal(a, b);
    key_wipe(a, sizeof(a));
    assert_int_equal(a[0], 0);
}

static const char yaml[] =
    "keys:\n"
    "  - {name: first, hash: \"" ABC_HASH "\", tenant: t, rights: [acquire]}\n"
    "  - name: second\n"
    "    hash: sha256:88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589\n"
    "  - name: third\n"
    "    hash: sha256:4BF5122F344554C53BDE2EBB8CD2B7E3D1600AD631C385A5D7CCE23C7785459A\n"
    "    rights: [admin, read, acquire]\n"
    "resources: {a: {}}\n";

static void test_a_key_is_found_by_its_token(void **state)
{
    (void)state;
    struct config *config = NULL;
    struct buf why;
    buf_init(&why, 1000);
    assert_int_equal(config_parse(text_of(yaml), "file", &config, &why), 0);
    assert_int_equal(config->keys_n, 3);
    const struct api_key *key = config_find_key(config, TEXT("abc"));
    assert_non_null(key);
    assert_string_equal(key->name, "first");
    assert_string_equal(key->tenant, "t");
    assert_int_equal(key->rights, RIGHT_ACQUIRE);
    key = config_find_key(config, TEXT("abcd"));
    assert_non_null(key);
    assert_string_equal(key->name, "second");
    assert_string_equal(key->tenant, "");
    assert_int_equal(key->rights, RIGHT_ACQUIRE | RIGHT_READ);
    key = config_find_key(config, TEXT("\x01"));
    assert_non_null(key);
    assert_int_equal(key->rights, RIGHT_ACQUIRE | RIGHT_READ | RIGHT_ADMIN);
    assert_null(config_find_key(config, TEXT("ab")));
    assert_null(config_find_key(config, TEXT("abc ")));
    assert_null(config_find_key(config, TEXT_NONE));
    /* The hash itself opens nothing. */
    assert_null(config_find_key(config, TEXT(ABC_HASH)));
    config_free(config);
    buf_release(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hash_is_sha_256_in_hexadecimal),
        cmocka_unit_test(test_what_is_no_hash_is_refused),
        cmocka_unit_test(test_a_new_key_is_long_and_unlike_the_last),
        cmocka_unit_test(test_a_key_is_found_by_its_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
