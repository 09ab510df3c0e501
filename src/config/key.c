#include "config/key.h"

#include <sodium.h>
#include <string.h>

_Static_assert(KEY_HASH_LEN == crypto_hash_sha256_BYTES, "the hash is SHA-256");

bool key_new(char key[KEY_LEN + 1])
{
    unsigned char random[32];
    if (sodium_init() < 0) {
        return false;
    }
    randombytes_buf(random, sizeof(random));
    memcpy(key, KEY_PREFIX, sizeof(KEY_PREFIX) - 1);
    sodium_bin2base64(key + sizeof(KEY_PREFIX) - 1, KEY_LEN + 1 - (sizeof(KEY_PREFIX) - 1), random,
                      sizeof(random), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(random, sizeof(random));
    return true;
}

void key_wipe(char *key, size_t len)
{
    sodium_memzero(key, len);
}

void key_hash(struct text key, unsigned char hash[KEY_HASH_LEN])
{
    crypto_hash_sha256(hash, (const unsigned char *)(key.at ? key.at : ""), key.len);
}

void key_hash_write(const unsigned char hash[KEY_HASH_LEN], char text[KEY_HASH_TEXT_LEN + 1])
{
    memcpy(text, "sha256:", 7);
    sodium_bin2hex(text + 7, 2 * KEY_HASH_LEN + 1, hash, KEY_HASH_LEN);
}

bool key_hash_read(struct text t, unsigned char hash[KEY_HASH_LEN])
{
    unsigned char read[KEY_HASH_LEN];
    size_t len;
    if (t.len != KEY_HASH_TEXT_LEN || memcmp(t.at, "sha256:", 7) != 0 ||
        sodium_hex2bin(read, sizeof(read), t.at + 7, t.len - 7, NULL, &len, NULL) != 0 ||
        len != sizeof(read)) {
        return false;
    }
    memcpy(hash, read, sizeof(read));
    return true;
}

const struct api_key *config_find_key(const struct config *config, struct text token)
{
    unsigned char hash[KEY_HASH_LEN];
    const struct api_key *found = NULL;
    key_hash(token, hash);
    /* All keys are compared, so that the time does not tell which one it was. */
    for (size_t i = 0; i < config->keys_n; i++) {
        if (sodium_memcmp(hash, config->keys[i].hash, sizeof(hash)) == 0) {
            found = &config->keys[i];
        }
    }
    return found;
}
