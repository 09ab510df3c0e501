/*
 * links: provider
 *
 * Any bytes as an answer: headers up to a blank line, then the body. Whatever comes is classed, in
 * every dialect, with each number in its range and a reason that no log minds; what is read of the
 * body as a usage is whole; and the same answer is read twice the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "provider/answer.h"
#include "provider/usage.h"

#define HEADERS_MAX 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cuts a line off the front; without its end. */
static struct text take_line(struct text *t)
{
    const char *end = t->len ? memchr(t->at, '\n', t->len) : NULL;
    size_t len = end ? (size_t)(end - t->at) : t->len;
    struct text line = {t->at, len};
    *t = (struct text){t->at + len + (end != NULL), t->len - len - (end != NULL)};
    return line;
}

static void take_headers(struct text *t, struct answer_header *headers, size_t *n)
{
    for (struct text line; *n < HEADERS_MAX && (line = take_line(t)).len;) {
        const char *colon = memchr(line.at, ':', line.len);
        size_t name = colon ? (size_t)(colon - line.at) : line.len;
        size_t skip = name + (colon != NULL);
        headers[(*n)++] =
            (struct answer_header){{line.at, name}, {line.at + skip, line.len - skip}};
        (void)answer_header_wanted(headers[*n - 1].name);
    }
}

static void check_reading(const struct reading *r)
{
    assert(r->unit < UNIT_COUNT && r->span < READING_SPANS && r->grain >= 1);
    assert(r->limit != 0 && r->limit >= -1 && r->limit <= AMOUNT_MAX);
    assert(r->remaining >= -1 && r->remaining <= AMOUNT_MAX);
    assert(r->limit >= 0 || r->remaining >= 0);
    assert(r->limit < 0 || r->remaining <= r->limit);
    assert(r->reset_us >= -1);
}

static void check_answer(const struct answer *a)
{
    assert(a->class < ANSWER_CLASSES);
    assert(a->retry_after_us >= -1 && a->retry_after_us <= RETRY_AFTER_US_MAX);
    assert(a->asked_us >= a->retry_after_us && a->asked_us <= ASKED_US_MAX);
    assert(a->reason.len <= ANSWER_REASON_MAX && (a->reason.len > 0) == (a->class != ANSWER_OK));
    for (size_t i = 0; i < a->reason.len; i++) {
        assert(a->reason.at[i] > ' ' && a->reason.at[i] < 0x7f && a->reason.at[i] != '"');
    }
    assert(a->readings_n <= READINGS_MAX);
    for (size_t i = 0; i < a->readings_n; i++) {
        check_reading(&a->readings[i]);
        for (size_t j = 0; j < i; j++) {
            assert(a->readings[i].unit != a->readings[j].unit ||
                   a->readings[i].span != a->readings[j].span);
        }
    }
}

static bool same(const struct answer *a, const struct answer *b)
{
    return a->class == b->class && a->reached == b->reached && a->asked_us == b->asked_us &&
           a->readings_n == b->readings_n && text_equal(a->reason, b->reason);
}

static void try_dialects(const struct raw_answer *raw)
{
    static const char *const providers[] = {"openai", "anthropic",  "azure",
                                            "gemini", "bedrock",    "mistral",
                                            "groq",   "openrouter", "generic"};
    for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
        struct answer a, b;
        char reasons[2][ANSWER_REASON_MAX];
        answer_read(dialect_of(providers[i]), raw, reasons[0], &a);
        answer_read(dialect_of(providers[i]), raw, reasons[1], &b);
        check_answer(&a);
        if (!same(&a, &b)) {
            abort();
        }
    }
}

static void try_usage(const json_value *v)
{
    struct usage usage;
    struct parts parts;
    struct buf why;
    buf_init(&why, 1024);
    if (usage_read(v, &usage, &why) == 0 && usage_parts(&usage, &parts)) {
        int64_t input = 0;
        for (int part = 0; part < PARTS; part++) {
            assert(parts.of[part] >= 0 && parts.of[part] <= AMOUNT_MAX);
            input += part == PART_OUTPUT ? 0 : parts.of[part];
        }
        assert(input == usage.of[USAGE_INPUT]); /* every token once */
    }
    buf_release(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct answer_header headers[HEADERS_MAX];
    struct text rest = {(const char *)data, size};
    struct raw_answer raw = {.headers = headers, .now_us = INT64_C(1795320000000000)};
    json_value *document = NULL;
    struct buf why;
    buf_init(&why, 1024);
    raw.status = size ? data[0] * 3 : 0; /* also such as no server sends */
    take_headers(&rest, headers, &raw.headers_n);
    if (json_parse(rest, &document, &why) == 0) {
        try_usage(document);
    }
    raw.error = document;
    try_dialects(&raw);
    json_free(document);
    buf_release(&why);
    return 0;
}
