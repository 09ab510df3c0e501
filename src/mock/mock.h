/*
 * A pretend provider: it speaks like OpenAI, Azure OpenAI and Anthropic, and enforces their
 * published rate limits strictly, for tests and demonstrations.
 *
 * What it is for: showing what a client or coordinator does at a provider's limits, without money
 * and with chance under control. It counts what it admitted and refused at GET /mock/stats, and
 * POST /mock/reset begins anew.
 * What it is not for: language. Answers are filler of the asked length.
 *
 * Time may be compressed: with a minute of 3 s, everything that is said in the provider's time
 * (windows, latencies, the times of a script) passes twenty times as fast. The admission delay
 * stands for the network between the caller and the provider and is not compressed unless asked.
 * Retry-After and reset headers are in the caller's, that is real, time.
 *
 * May depend on src/base, src/config and src/http.
 */
#ifndef SLUICE_MOCK_MOCK_H
#define SLUICE_MOCK_MOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "mock/ask.h"
#include "mock/latency.h"
#include "mock/quota.h"
#include "mock/trouble.h"

#define MOCK_KEYS_MAX      16
#define MOCK_OVERRIDES_MAX 32
#define MINUTE_US_MIN      INT64_C(60000) /* 1,000 times as fast */
#define MINUTE_US_MAX      INT64_C(3600000000)

/* A model with amounts of its own. */
struct mock_override {
    struct text name;
    int64_t amount[QUOTA_UNIT_COUNT];
};

struct mock_options {
    enum quota_profile profile;
    int64_t amount[QUOTA_UNIT_COUNT]; /* of every model, per provider's minute; 0: no limit */
    struct mock_override overrides[MOCK_OVERRIDES_MAX];
    size_t overrides_n;
    int64_t minute_us;              /* the real length of the provider's minute */
    struct latency latency;         /* in the provider's time */
    struct latency admission_delay; /* in real time unless scale_admission_delay */
    bool scale_admission_delay;
    int64_t max_output; /* of calls that do not say */
    uint64_t seed;
    struct trouble_script script;
    struct text keys[MOCK_KEYS_MAX]; /* none: any key is good, and so is none */
    size_t keys_n;
};

/* No limits, no latency, no trouble, profile openai, a minute of a minute. */
void mock_options_default(struct mock_options *o);

struct mock;

/* A provider on `loop`, not yet listening. Options are copied; their texts must outlive it. 0 or
 * ERR_NO_MEMORY, ERR_OVER_CAP. */
int mock_new(uv_loop_t *loop, const struct mock_options *options, struct mock **mock);

/* As http_server_listen. */
int mock_listen(struct mock *mock, const char *address, struct buf *why);
int mock_port(const struct mock *mock);

/* Drops every connection, then calls `done` from a later turn of the loop; the provider no longer
 * exists then. */
void mock_close(struct mock *mock, void (*done)(void *ctx), void *ctx);

#endif
