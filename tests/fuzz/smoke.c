/*
 * A fuzzer's smoke test: its whole corpus, and seeded mutations of it, without libFuzzer.
 *
 *     smoke_NAME CORPUS COUNT
 *
 * Runs each file of CORPUS in order of name and then COUNT inputs mutated from them. The same
 * corpus gives the same inputs in every run. Each input stands in an allocation of exactly its
 * size, so that the address sanitizer and valgrind see a read beyond its end. A finding is an
 * abort; the number printed before it names the input: run with `keep NUMBER FILE` to keep it.
 */
#include <assert.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 4096
#define INPUT_MAX ((size_t)1 << 20)
#define GROWN_MAX ((size_t)16384) /* a mutation grows an input no further than this */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    uint8_t *at;
    size_t len;
};

struct corpus {
    struct input files[FILES_MAX];
    size_t files_n;
};

static uint64_t random_state = 0x9e3779b97f4a7c15u;

/* xorshift64* (Vigna): small, and the same on every machine. */
static uint64_t random_next(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1du;
}

static size_t random_below(size_t n)
{
    return n ? (size_t)(random_next() % n) : 0;
}

static _Noreturn void give_up(const char *what, const char *name)
{
    fprintf(stderr, "smoke: %s: %s\n", what, name);
    exit(2);
}

static struct input read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        give_up("cannot open", path);
    }
    uint8_t *at = malloc(INPUT_MAX);
    if (!at) {
        give_up("no memory for", path);
    }
    size_t len = fread(at, 1, INPUT_MAX, file);
    if (ferror(file)) {
        give_up("cannot read", path);
    }
    fclose(file);
    uint8_t *fitted = realloc(at, len + 1);
    return (struct input){fitted ? fitted : at, len};
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void read_corpus(struct corpus *corpus, const char *directory)
{
    struct dirent **entries;
    int n = scandir(directory, &entries, visible, alphasort);
    if (n <= 0 || n > FILES_MAX) {
        give_up("no corpus, or too large a one, in", directory);
    }
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
        corpus->files[corpus->files_n++] = read_file(path);
        free(entries[i]);
    }
    free(entries);
}

static void corpus_release(struct corpus *corpus)
{
    for (size_t i = 0; i < corpus->files_n; i++) {
        free(corpus->files[i].at);
    }
}

/* Runs the fuzzer on a copy that ends where its allocation ends. */
static void run(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy) {
        give_up("no memory for", "an input");
    }
    if (len) {
        memcpy(copy, data, len);
    }
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

/* Bytes that parsers trip over. */
static const char tokens[][8] = {"\r\n", "\n",  "\0",       ":",    "\"", "{",  "}",   "[",    "]",
                                 ",",    "-1",  "9",        "0x",   "e9", "%",  "%00", "\xff", " ",
                                 "\t",   "\\u", "\xc0\x80", "null", "k",  "ms", "- ",  "#"};

static size_t insert(uint8_t *at, size_t len, size_t place, const void *bytes, size_t n)
{
    if (len + n > GROWN_MAX) {
        return len;
    }
    memmove(at + place + n, at + place, len - place);
    memcpy(at + place, bytes, n);
    return len + n;
}

static size_t erase(uint8_t *at, size_t len)
{
    if (len == 0) {
        return 0;
    }
    size_t place = random_below(len);
    size_t n = 1 + random_below(len - place < 32 ? len - place : 32);
    if (n > len - place) {
        n = len - place;
    }
    memmove(at + place, at + place + n, len - place - n);
    return len - n;
}

/* Copies a piece of some corpus file into the input. */
static size_t splice(const struct corpus *corpus, uint8_t *at, size_t len)
{
    const struct input *other = &corpus->files[random_below(corpus->files_n)];
    if (other->len == 0) {
        return len;
    }
    size_t from = random_below(other->len);
    size_t n = 1 + random_below(other->len - from < 256 ? other->len - from : 256);
    if (n > other->len - from) {
        n = other->len - from;
    }
    return insert(at, len, random_below(len + 1), other->at + from, n);
}

static size_t mutate_once(const struct corpus *corpus, uint8_t *at, size_t len)
{
    switch (random_below(6)) {
    case 0:
        if (len) {
            at[random_below(len)] ^= (uint8_t)(1u << random_below(8));
        }
        return len;
    case 1:
        if (len) {
            at[random_below(len)] = (uint8_t)random_next();
        }
        return len;
    case 2: return erase(at, len);
    case 3: return splice(corpus, at, len);
    case 4: return random_below(len + 1); /* cut short */
    default: {
        const char *token = tokens[random_below(sizeof(tokens) / sizeof(tokens[0]))];
        size_t n = *token ? strlen(token) : 1;
        return insert(at, len, random_below(len + 1), token, n);
    }
    }
}

static size_t mutate(const struct corpus *corpus, uint8_t *at)
{
    const struct input *parent = &corpus->files[random_below(corpus->files_n)];
    size_t len = parent->len < GROWN_MAX ? parent->len : GROWN_MAX;
    memcpy(at, parent->at, len);
    size_t steps = 1 + random_below(6);
    for (size_t i = 0; i < steps; i++) {
        len = mutate_once(corpus, at, len);
        assert(len <= GROWN_MAX);
    }
    return len;
}

static void keep(const char *path, const uint8_t *data, size_t len)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, len, file) != len || fclose(file) != 0) {
        give_up("cannot write", path);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 6) {
        give_up("usage", "smoke_NAME CORPUS COUNT [keep NUMBER FILE]");
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* an abort must not swallow the last line */
    static struct corpus corpus;
    read_corpus(&corpus, argv[1]);
    for (size_t i = 0; i < corpus.files_n; i++) {
        printf("file %zu\n", i);
        run(corpus.files[i].at, corpus.files[i].len);
    }
    static uint8_t mutated[GROWN_MAX];
    unsigned long count = strtoul(argv[2], NULL, 10);
    unsigned long kept = argc == 6 ? strtoul(argv[4], NULL, 10) : count;
    for (unsigned long i = 0; i < count; i++) {
        size_t len = mutate(&corpus, mutated);
        if (i == kept) {
            keep(argv[5], mutated, len);
            break;
        }
        printf("mutation %lu\n", i);
        run(mutated, len);
    }
    corpus_release(&corpus);
    return 0;
}
