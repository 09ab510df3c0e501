/*
 * Which span a header without one speaks of.
 *
 * OpenAI writes the minute's requests for large accounts and the day's for small ones under the
 * same name. The reset tells them apart: it is the time until everything is back, so a minute's
 * limit cannot need much more than a minute. And where what was used comes back evenly, reset ×
 * limit / used is about the length of the window; with a reset of a second or more that is exact
 * enough to know a day from a minute. Where it comes back as it was used, the reset is near the
 * whole of a minute however little was used, and the product may be anything. A minute that is
 * taken for a day's limit would close a resource for a day, so it is the day's only where it comes
 * to about a day, and not by a reset of a minute. Tokens are always the minute's.
 */
#include "provider/readings.h"

#include <assert.h>
#include <strings.h>

#include "base/num.h"
#include "provider/wait.h"

#define MINUTE_RESET_NEAR (55 * US_PER_S)  /* all that was used came just now */
#define MINUTE_RESET_MOST (90 * US_PER_S)  /* a longer reset is not a minute's */
#define DAY_RESET_MOST    (2 * US_PER_DAY) /* a longer one is no reset at all */
#define DAY_WINDOW_LEAST  (20 * US_PER_H)
#define DAY_WINDOW_MOST   (28 * US_PER_H)
#define RESET_SPANS_MAX   10
#define NUMBER_TEXT_MAX   64

static const int64_t span_us[READING_SPANS] = {
    [READING_SECOND] = US_PER_S,
    [READING_MINUTE] = US_PER_MIN,
    [READING_DAY] = US_PER_DAY,
    [READING_MONTH] = 31 * US_PER_DAY,
};

/* --- Headers by name --- */

struct wanted {
    struct text name;
    struct text value;
};

static bool same_name(struct text a, struct text b)
{
    return a.len == b.len && strncasecmp(a.at, b.at, a.len) == 0;
}

static int match_member(void *ctx, struct text key, json_value *v)
{
    struct wanted *w = ctx;
    return same_name(key, w->name) && json_read_text(v, &w->value);
}

struct text header_find(const struct headers *headers, const char *name)
{
    struct wanted wanted = {text_of(name), TEXT_NONE};
    for (size_t i = 0; i < headers->n; i++) {
        if (same_name(headers->at[i].name, wanted.name)) {
            return headers->at[i].value;
        }
    }
    if (headers->object) {
        (void)json_each(headers->object, match_member, &wanted);
    }
    return wanted.value;
}

bool header_wait(const struct headers *headers, const char *name, int64_t *wait_us)
{
    return wait_read(header_get(headers, name), headers->now_us, wait_us);
}

/* --- Numbers --- */

/* The whole number at the front, up to the end, a comma, a semicolon or a fraction; -1: none. */
static int64_t read_count(struct text t)
{
    int64_t n = 0;
    size_t i = 0;
    while (i < t.len && t.at[i] == ' ') {
        i++;
    }
    size_t start = i;
    for (; i < t.len && t.at[i] >= '0' && t.at[i] <= '9' && n <= AMOUNT_MAX; i++) {
        n = n * 10 + (t.at[i] - '0');
    }
    bool ends = i == t.len || t.at[i] == ',' || t.at[i] == ';' || t.at[i] == ' ' || t.at[i] == '.';
    return i > start && ends && t.len <= NUMBER_TEXT_MAX && n <= AMOUNT_MAX ? n : -1;
}

/* --- Readings --- */

static int64_t tighter(int64_t a, int64_t b)
{
    return a < 0 || b < 0 ? max_i64(a, b) : min_i64(a, b);
}

/* Two limits of one unit and span become one that is as tight as either. */
static void merge(struct reading *into, const struct reading *r)
{
    into->limit = tighter(into->limit, r->limit);
    into->remaining = tighter(into->remaining, r->remaining);
    if (into->limit > 0) {
        into->remaining = min_i64(into->remaining, into->limit);
    }
    into->grain = max_i64(into->grain, r->grain);
    into->reset_us = max_i64(into->reset_us, r->reset_us);
}

static void add_reading(struct answer *answer, struct reading r)
{
    if (r.limit == 0) {
        return;
    }
    if (r.limit > 0 && r.remaining > r.limit) {
        r.remaining = r.limit;
    }
    if (r.reset_us > RESET_SPANS_MAX * span_us[r.span]) {
        r.reset_us = -1;
    }
    if (r.limit < 0 && r.remaining < 0) {
        return;
    }
    for (size_t i = 0; i < answer->readings_n; i++) {
        if (answer->readings[i].unit == r.unit && answer->readings[i].span == r.span) {
            merge(&answer->readings[i], &r);
            return;
        }
    }
    if (answer->readings_n < READINGS_MAX) {
        answer->readings[answer->readings_n++] = r;
    }
}

static enum reading_span guess_span(const struct reading *r)
{
    if (r->unit != UNIT_REQUESTS || r->reset_us > DAY_RESET_MOST) {
        return r->span;
    }
    if (r->reset_us > MINUTE_RESET_MOST) {
        return READING_DAY;
    }
    int64_t used = r->limit - r->remaining;
    bool whole_minute = r->reset_us >= MINUTE_RESET_NEAR && r->reset_us <= US_PER_MIN;
    if (r->limit <= 0 || r->remaining < 0 || used <= 0 || r->reset_us < US_PER_S || whole_minute) {
        return r->span;
    }
    int64_t window_us = mul_div_sat(r->reset_us, r->limit, used);
    return window_us >= DAY_WINDOW_LEAST && window_us <= DAY_WINDOW_MOST ? READING_DAY : r->span;
}

static void read_row(const struct header_row *row, const struct headers *headers, bool day_over,
                     struct answer *answer)
{
    struct reading r = {.unit = row->unit, .span = row->span, .grain = row->grain, .reset_us = -1};
    r.limit = read_count(header_get(headers, row->limit));
    r.remaining = read_count(header_get(headers, row->remaining));
    if (row->reset && !header_wait(headers, row->reset, &r.reset_us)) {
        r.reset_us = -1;
    }
    if (!row->span_told) {
        r.span = day_over && r.remaining == 0 ? READING_DAY : guess_span(&r);
    }
    add_reading(answer, r);
}

/* --- Gemini's body --- */

static bool contains(struct text t, const char *needle)
{
    return t.at && memmem(t.at, t.len, needle, strlen(needle)) != NULL;
}

static bool quota_span(struct text id, enum reading_span *span)
{
    *span = contains(id, "PerDay") ? READING_DAY : READING_MINUTE;
    return *span == READING_DAY || contains(id, "PerMinute");
}

static void read_quota(const struct quota *q, struct answer *answer)
{
    struct reading r = {.limit = q->value, .remaining = 0, .grain = 1, .reset_us = -1};
    bool tokens = contains(q->metric, "input_token") || contains(q->id, "InputTokens");
    bool requests = contains(q->metric, "requests") || contains(q->id, "Requests");
    if ((tokens || requests) && quota_span(q->id, &r.span)) {
        r.unit = tokens ? UNIT_INPUT_TOKENS : UNIT_REQUESTS;
        add_reading(answer, r);
    }
}

/* --- The IETF's RateLimit fields (draft-ietf-httpapi-ratelimit-headers) --- */

/* The value of a parameter `;key=` or `,key=` of a structured field; empty where it is missing. */
static struct text parameter(struct text field, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i + len < field.len; i++) {
        bool starts = i == 0 || strchr(" ;,", field.at[i - 1]);
        if (starts && memcmp(field.at + i, key, len) == 0 && field.at[i + len] == '=') {
            struct text value = {field.at + i + len + 1, 0};
            while (value.at + value.len < field.at + field.len &&
                   !strchr(" ;,", value.at[value.len])) {
                value.len++;
            }
            return value;
        }
    }
    return TEXT_NONE;
}

static struct text either(struct text a, struct text b)
{
    return a.len ? a : b;
}

/* The policy's window, where it is one that a reading can say; a minute where none is said. */
static bool policy_span(struct text window, enum reading_span *span)
{
    *span = READING_MINUTE;
    for (int i = 0; window.len && i < READING_SPANS; i++) {
        if (mul_sat(read_count(window), US_PER_S) == span_us[i]) {
            *span = (enum reading_span)i;
            return true;
        }
    }
    return window.len == 0;
}

/* One policy of one unit: where there are several, the first. */
static void read_ietf(const struct headers *headers, struct answer *answer)
{
    struct text state = header_get(headers, "ratelimit");
    struct text policy = header_get(headers, "ratelimit-policy");
    struct text unit = parameter(policy, "qu");
    struct reading r = {.unit = UNIT_REQUESTS, .grain = 1, .reset_us = -1};
    if (state.len == 0 || state.len > 1024 || policy.len > 1024 ||
        !policy_span(parameter(policy, "w"), &r.span) ||
        (unit.len && !text_equal(unit, TEXT("\"requests\"")))) {
        return;
    }
    r.limit = read_count(either(parameter(policy, "q"), parameter(state, "limit")));
    r.remaining = read_count(either(parameter(state, "r"), parameter(state, "remaining")));
    struct text reset = either(parameter(state, "t"), parameter(state, "reset"));
    if (!wait_read(reset, headers->now_us, &r.reset_us)) {
        r.reset_us = -1;
    }
    add_reading(answer, r);
}

void readings_read(const struct dialect *dialect, const struct headers *headers,
                   const struct complaint *complaint, bool day_over, struct answer *answer)
{
    if (headers->n || headers->object) {
        for (const struct header_row *row = dialect->rows; row->limit; row++) {
            read_row(row, headers, day_over, answer);
        }
        if (dialect->ietf) {
            read_ietf(headers, answer);
        }
    }
    for (size_t i = 0; i < complaint->quotas_n; i++) {
        read_quota(&complaint->quotas[i], answer);
    }
    assert(answer->readings_n <= READINGS_MAX);
}
