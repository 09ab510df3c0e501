#include "mock/headers.h"

#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "base/num.h"

#define VALUE_LEN_MAX 128
#define ROUNDED_TO    1000 /* Anthropic rounds remaining tokens */
#define MS_PER_S      1000
#define MS_PER_MIN    60000
#define MS_PER_H      3600000

void headers_init(struct headers *h, struct http_request *req, const struct trouble_script *script,
                  const struct trouble *trouble)
{
    *h = (struct headers){.req = req, .script = script, .trouble = trouble};
}

static void headers_put(struct headers *h, const char *name, const char *value)
{
    for (size_t i = 0; i < h->script->rules_n; i++) {
        if (strcasecmp(h->script->rules[i].name, name) == 0) {
            h->written |= UINT64_C(1) << i;
        }
    }
    const char *said = trouble_header(h->script, h->trouble, name, value);
    if (said) {
        http_reply_header(h->req, name, said);
    }
}

void headers_end(struct headers *h)
{
    uint64_t left = h->trouble->headers & ~h->written;
    for (size_t i = 0; i < h->script->rules_n; i++) {
        const struct trouble_rule *r = &h->script->rules[i];
        if (left & (UINT64_C(1) << i) && r->what == TROUBLE_HEADER) {
            http_reply_header(h->req, r->name, r->value);
        }
    }
}

static void put_i64(struct headers *h, const char *name, int64_t n)
{
    char value[VALUE_LEN_MAX];
    snprintf(value, sizeof(value), "%lld", (long long)n);
    headers_put(h, name, value);
}

void headers_put_common(struct headers *h, enum dialect dialect, const char *request_id)
{
    switch (dialect) {
    case DIALECT_OPENAI:
        headers_put(h, "x-request-id", request_id);
        headers_put(h, "openai-organization", "org-mock");
        headers_put(h, "openai-version", "2020-10-01");
        break;
    case DIALECT_AZURE:
        headers_put(h, "x-request-id", request_id);
        headers_put(h, "apim-request-id", request_id);
        headers_put(h, "x-ms-region", "Mock");
        break;
    case DIALECT_ANTHROPIC:
        headers_put(h, "request-id", request_id);
        headers_put(h, "anthropic-organization-id", "org-mock");
        break;
    }
}

void write_go_duration(int64_t us, struct buf *out)
{
    int64_t ms = (us + US_PER_MS - 1) / US_PER_MS;
    if (ms < MS_PER_S) {
        buf_addf(out, "%lldms", (long long)ms);
        return;
    }
    if (ms >= MS_PER_H) {
        buf_addf(out, "%lldh", (long long)(ms / MS_PER_H));
    }
    if (ms >= MS_PER_MIN) {
        buf_addf(out, "%lldm", (long long)(ms % MS_PER_H / MS_PER_MIN));
    }
    int64_t rest = ms % MS_PER_MIN;
    buf_addf(out, "%lld", (long long)(rest / MS_PER_S));
    if (rest % MS_PER_S) {
        buf_addf(out, ".%03lld", (long long)(rest % MS_PER_S));
    }
    buf_add_char(out, 's');
}

/* Whole seconds, rounded up. */
static int64_t seconds_of(int64_t us)
{
    return (us + US_PER_S - 1) / US_PER_S;
}

static void put_reset(struct headers *h, enum dialect dialect, const char *name, int64_t us)
{
    if (dialect == DIALECT_AZURE) {
        put_i64(h, name, seconds_of(us));
        return;
    }
    struct buf value;
    buf_init(&value, VALUE_LEN_MAX);
    write_go_duration(us, &value);
    headers_put(h, name, value.at);
    buf_release(&value);
}

static void put_openai(struct headers *h, enum dialect dialect, const struct quota_state *s,
                       const char *unit)
{
    char name[VALUE_LEN_MAX];
    if (s->limit == 0) {
        return;
    }
    snprintf(name, sizeof(name), "x-ratelimit-limit-%s", unit);
    put_i64(h, name, s->limit);
    snprintf(name, sizeof(name), "x-ratelimit-remaining-%s", unit);
    put_i64(h, name, s->remaining);
    snprintf(name, sizeof(name), "x-ratelimit-reset-%s", unit);
    put_reset(h, dialect, name, s->full_in_us);
}

static void put_anthropic(struct headers *h, const struct quota_state *s, const char *unit,
                          int64_t at_us)
{
    char name[VALUE_LEN_MAX];
    char value[VALUE_LEN_MAX];
    if (s->limit == 0) {
        return;
    }
    bool tokens = strcmp(unit, "requests") != 0;
    snprintf(name, sizeof(name), "anthropic-ratelimit-%s-limit", unit);
    put_i64(h, name, s->limit);
    snprintf(name, sizeof(name), "anthropic-ratelimit-%s-remaining", unit);
    put_i64(h, name,
            tokens ? (s->remaining + ROUNDED_TO / 2) / ROUNDED_TO * ROUNDED_TO : s->remaining);
    time_t full = (time_t)seconds_of(at_us + s->full_in_us);
    struct tm tm;
    gmtime_r(&full, &tm);
    strftime(value, sizeof(value), "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(name, sizeof(name), "anthropic-ratelimit-%s-reset", unit);
    headers_put(h, name, value);
}

void headers_put_quota(struct headers *h, enum dialect dialect,
                       const struct quota_state states[QUOTA_SLOTS], int64_t at_us)
{
    if (dialect != DIALECT_ANTHROPIC) {
        put_openai(h, dialect, &states[QUOTA_REQUESTS], "requests");
        put_openai(h, dialect, &states[QUOTA_TOKENS], "tokens");
        return;
    }
    put_anthropic(h, &states[QUOTA_REQUESTS], "requests", at_us);
    put_anthropic(h, &states[QUOTA_TOKENS], "tokens", at_us);
    put_anthropic(h, &states[QUOTA_INPUT_TOKENS], "input-tokens", at_us);
    put_anthropic(h, &states[QUOTA_OUTPUT_TOKENS], "output-tokens", at_us);
}

void headers_put_judged(struct headers *h, int64_t at_us)
{
    char value[VALUE_LEN_MAX];
    snprintf(value, sizeof(value), "%lld.%03lld", (long long)(at_us / US_PER_MS),
             (long long)(at_us % US_PER_MS));
    headers_put(h, "x-mock-judged-ms", value);
}

void headers_put_retry(struct headers *h, enum dialect dialect, const struct fault *fault)
{
    if (fault->retry_after_us <= 0) {
        return;
    }
    put_i64(h, "retry-after", seconds_of(fault->retry_after_us));
    if (dialect != DIALECT_ANTHROPIC) {
        put_i64(h, "retry-after-ms", (fault->retry_after_us + US_PER_MS - 1) / US_PER_MS);
    }
}
