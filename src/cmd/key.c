#include "config/key.h"

#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"

#define KEY_LEN_MAX 4096 /* of a key from elsewhere that is to be hashed */

static const char help[] =
    "Usage: sluice key [--name NAME] [--tenant TENANT]\n"
    "       sluice key --hash\n"
    "\n"
    "Makes an API key, and prints it once, with the line to put under \"keys:\" in the\n"
    "configuration. The configuration holds only the key's SHA-256: whoever reads it cannot use\n"
    "it, and a key that is lost cannot be had again. With --hash, reads a key from standard input\n"
    "and prints its hash.\n"
    "\n"
    "Exit code: 0 done, 1 it could not be done, 2 wrong arguments.\n"
    "\n"
    "Examples:\n"
    "  sluice key --name ingest\n"
    "  sluice key --name batch --tenant research\n"
    "  sluice key --hash < key.txt\n";

static int hash_stdin(void)
{
    char key[KEY_LEN_MAX + 1];
    char text[KEY_HASH_TEXT_LEN + 1];
    unsigned char hash[KEY_HASH_LEN];
    size_t len = fread(key, 1, sizeof(key), stdin);
    bool fits = len <= KEY_LEN_MAX;
    while (len > 0 && (key[len - 1] == '\n' || key[len - 1] == '\r')) {
        len--;
    }
    if (len == 0 || !fits || ferror(stdin)) {
        fprintf(stderr, "sluice key: a key of 1 to %d bytes is wanted on standard input\n",
                KEY_LEN_MAX);
        key_wipe(key, sizeof(key));
        return 1;
    }
    key_hash((struct text){key, len}, hash);
    key_wipe(key, sizeof(key));
    key_hash_write(hash, text);
    puts(text);
    return 0;
}

static int make_key(const char *name, const char *tenant)
{
    char key[KEY_LEN + 1];
    char text[KEY_HASH_TEXT_LEN + 1];
    unsigned char hash[KEY_HASH_LEN];
    if (!key_new(key)) {
        fputs("sluice key: the system gives no randomness\n", stderr);
        return 1;
    }
    key_hash(text_of(key), hash);
    key_hash_write(hash, text);
    printf("%s\n\nShown only this once. In the configuration, under \"keys:\":\n\n"
           "  - {name: \"%s\", hash: \"%s\"%s%s%s, rights: [acquire, read]}\n",
           key, name, text, tenant ? ", tenant: \"" : "", tenant ? tenant : "", tenant ? "\"" : "");
    key_wipe(key, sizeof(key));
    return 0;
}

/* Names are printed in quotes, so they may hold nothing that would have to be escaped there. */
static bool is_plain(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || strchr("\"\\", name[i])) {
            return false;
        }
    }
    return len > 0 && len <= NAME_LEN_MAX;
}

static int usage(const char *problem, const char *argument)
{
    fprintf(stderr, "sluice key: \"%s\": %s\n\n%s", argument, problem, help);
    return EXIT_USAGE;
}

int cmd_key(int argc, char **argv)
{
    const char *name = "key";
    const char *tenant = NULL;
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--hash") == 0) {
        return hash_stdin();
    }
    for (int i = 1; i < argc; i += 2) {
        bool is_name = strcmp(argv[i], "--name") == 0;
        if (!is_name && strcmp(argv[i], "--tenant") != 0) {
            return usage("there is no such argument", argv[i]);
        }
        if (i + 1 == argc || !is_plain(argv[i + 1])) {
            return usage("a name without quotes is missing behind it", argv[i]);
        }
        *(is_name ? &name : &tenant) = argv[i + 1];
    }
    return make_key(name, tenant);
}
