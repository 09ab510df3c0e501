/*
 * links: mock
 *
 * What strangers say to the pretend provider. The first byte chooses: a body of one of its APIs, a
 * script of trouble, or a latency. What is taken is within its range, and can be used: every rule
 * is tried on some calls, every latency drawn from.
 */
#include <assert.h>

#include "base/error.h"
#include "mock/ask.h"
#include "mock/chance.h"
#include "mock/latency.h"
#include "mock/trouble.h"

#define TRIED 20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(int err, const struct buf *why)
{
    assert(err == 0 || err == ERR_INVALID_REQUEST);
    assert(err == 0 || why->len > 0 || why->failed);
}

static void try_ask(enum api api, struct text body, struct buf *why)
{
    struct ask ask = {0};
    int64_t counted = 0;
    int err = ask_parse(api, body, &ask, why);
    check_refusal(err, why);
    if (err) {
        return;
    }
    assert(ask_count(api, body, &counted) == 0 && counted == ask.estimate);
    assert(ask.api == api && ask.estimate >= 0);
    assert(ask.max_output >= 0 && ask.max_output <= ASK_TOKENS_MAX);
    assert(ask.wanted_output >= -1 && ask.wanted_output <= ASK_TOKENS_MAX);
    assert(ask.wanted_input >= -1 && ask.wanted_input <= ASK_TOKENS_MAX);
    assert(ask.wanted_cached >= -1 && ask.wanted_cached <= ASK_TOKENS_MAX);
    if (api == API_EMBEDDINGS) {
        assert(ask.inputs_n >= 1 && ask.inputs_n <= ASK_INPUTS_MAX);
        assert(ask.dimensions >= 1 && ask.dimensions <= ASK_DIMENSIONS_MAX);
    }
}

static void try_script(struct text text, struct buf *why)
{
    static struct trouble_script script;
    script.rules_n = 0;
    check_refusal(trouble_parse(text, &script, why), why);
    assert(script.rules_n <= TROUBLE_RULES_MAX);
    for (uint64_t number = 1; number <= TRIED; number++) {
        struct trouble t;
        trouble_choose(&script, number, TEXT("m"), (int64_t)number * 1000000, number, &t);
        assert(!t.status || (t.status->amount >= 400 && t.status->amount <= 599));
        assert(t.slow_us >= 0);
        (void)trouble_header(&script, &t, "retry-after", "1");
    }
}

static void try_latency(struct text text, struct buf *why)
{
    struct latency latency;
    int err = latency_parse(text, &latency, why);
    check_refusal(err, why);
    for (uint64_t number = 0; err == 0 && number < TRIED; number++) {
        int64_t us = latency_draw_us(&latency, 1, number, CHANCE_FIRST_TOKEN);
        assert(us >= 0 && us <= LATENCY_US_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf why;
    if (size == 0) {
        return 0;
    }
    struct text rest = {(const char *)data + 1, size - 1};
    buf_init(&why, 1000);
    switch (data[0]) {
    case 's': try_script(rest, &why); break;
    case 'l': try_latency(rest, &why); break;
    default: try_ask((enum api)(data[0] % (API_MESSAGES + 1)), rest, &why); break;
    }
    buf_release(&why);
    return 0;
}
