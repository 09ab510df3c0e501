/*
 * API keys: made, hashed and found. The configuration knows only hashes.
 *
 * A key is KEY_PREFIX and 43 letters, digits, `-` and `_`: 256 random bits, so that one SHA-256
 * is enough to store it by; there is nothing to guess. libsodium lives in key.c alone.
 * May depend on config.h.
 */
#ifndef SLUICE_CONFIG_KEY_H
#define SLUICE_CONFIG_KEY_H

#include <stdbool.h>

#include "base/text.h"
#include "config/config.h"

#define KEY_PREFIX        "sk-sluice-"
#define KEY_LEN           (sizeof(KEY_PREFIX) - 1 + 43)
#define KEY_HASH_TEXT_LEN (7 + 2 * KEY_HASH_LEN) /* "sha256:" and hexadecimal digits */

/* A new key; false where the system gives no randomness. Wipe it once it has been shown. */
bool key_new(char key[KEY_LEN + 1]);

/* Overwrites a key so that it does not linger in memory. */
void key_wipe(char *key, size_t len);

void key_hash(struct text key, unsigned char hash[KEY_HASH_LEN]);

/* "sha256:HEX" ↔ the hash. Reading is false for anything else. */
void key_hash_write(const unsigned char hash[KEY_HASH_LEN], char text[KEY_HASH_TEXT_LEN + 1]);
bool key_hash_read(struct text t, unsigned char hash[KEY_HASH_LEN]);

#endif
