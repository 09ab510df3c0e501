#include "mock/stats.h"

#include <assert.h>

#include "base/num.h"
#include "mock/answer.h"

const char *quota_unit_name(enum quota_unit unit)
{
    static const char *const names[QUOTA_UNIT_COUNT] = {
        [QUOTA_REQUESTS] = "requests",
        [QUOTA_TOKENS] = "tokens",
        [QUOTA_INPUT_TOKENS] = "input_tokens",
        [QUOTA_OUTPUT_TOKENS] = "output_tokens",
        [QUOTA_SLOTS] = "slots",
    };
    return names[unit];
}

void mock_stats_init(struct mock_stats *s, int64_t minute_us)
{
    *s = (struct mock_stats){.step_us = max_i64(1, minute_us / STEPS_A_MINUTE)};
}

/* Joins neighbouring steps of the series. */
static void series_fold(struct mock_stats *s)
{
    for (int64_t i = 0; i < SERIES_LEN_MAX; i++) {
        int64_t requests = s->series_requests[i];
        int64_t tokens = s->series_tokens[i];
        int64_t refused = s->series_refused[i];
        s->series_requests[i] = 0;
        s->series_tokens[i] = 0;
        s->series_refused[i] = 0;
        s->series_requests[i / 2] += requests;
        s->series_tokens[i / 2] += tokens;
        s->series_refused[i / 2] += refused;
    }
    s->series_len = (s->series_len + 1) / 2;
    s->step_us *= 2;
}

/* The step of the series that holds a moment. */
static int64_t series_step(struct mock_stats *s, int64_t elapsed_us)
{
    assert(elapsed_us >= 0);
    while (elapsed_us / s->step_us >= SERIES_LEN_MAX) {
        series_fold(s);
    }
    int64_t step = elapsed_us / s->step_us;
    s->series_len = max_i64(s->series_len, step + 1);
    return step;
}

void mock_stats_admit(struct mock_stats *s, int64_t elapsed_us, int64_t tokens)
{
    int64_t step = series_step(s, elapsed_us);
    s->admitted++;
    s->tokens_admitted = add_sat(s->tokens_admitted, tokens);
    s->series_requests[step]++;
    s->series_tokens[step] += tokens;
}

void mock_stats_refuse(struct mock_stats *s, int64_t elapsed_us,
                       const struct quota_verdict *verdict)
{
    s->series_refused[series_step(s, elapsed_us)]++;
    if (!verdict) {
        s->refused_scripted++;
    } else if (verdict->too_large) {
        s->refused_too_large++;
    } else {
        s->refused_of[verdict->unit]++;
    }
}

static int64_t mock_stats_refused(const struct mock_stats *s)
{
    int64_t sum = s->refused_too_large + s->refused_scripted;
    for (int u = 0; u < QUOTA_UNIT_COUNT; u++) {
        sum += s->refused_of[u];
    }
    return sum;
}

void mock_stats_sum(struct mock_stats *to, const struct mock_stats *s)
{
    to->arrived += s->arrived;
    to->admitted += s->admitted;
    for (int u = 0; u < QUOTA_UNIT_COUNT; u++) {
        to->refused_of[u] += s->refused_of[u];
    }
    to->refused_too_large += s->refused_too_large;
    to->refused_scripted += s->refused_scripted;
    to->failed += s->failed;
    to->hung_up += s->hung_up;
    to->finished += s->finished;
    to->tokens_admitted = add_sat(to->tokens_admitted, s->tokens_admitted);
    to->input_tokens = add_sat(to->input_tokens, s->input_tokens);
    to->output_tokens = add_sat(to->output_tokens, s->output_tokens);
}

void mock_stats_write(const struct mock_stats *s, struct json_writer *w)
{
    member_i64(w, "arrived", s->arrived);
    member_i64(w, "admitted", s->admitted);
    member_i64(w, "refused", mock_stats_refused(s));
    json_key(w, "refused_by");
    json_object_begin(w);
    for (int u = 0; u < QUOTA_UNIT_COUNT; u++) {
        member_i64(w, quota_unit_name(u), s->refused_of[u]);
    }
    member_i64(w, "too_large", s->refused_too_large);
    member_i64(w, "script", s->refused_scripted);
    json_object_end(w);
    member_i64(w, "failed", s->failed);
    member_i64(w, "hung_up", s->hung_up);
    member_i64(w, "finished", s->finished);
    member_i64(w, "tokens_admitted", s->tokens_admitted);
    member_i64(w, "input_tokens", s->input_tokens);
    member_i64(w, "output_tokens", s->output_tokens);
}

static void write_numbers(struct json_writer *w, const char *key, const int64_t *at, int64_t n)
{
    json_key(w, key);
    json_array_begin(w);
    for (int64_t i = 0; i < n; i++) {
        json_i64(w, at[i]);
    }
    json_array_end(w);
}

void mock_stats_write_series(const struct mock_stats *s, struct json_writer *w)
{
    json_key(w, "series");
    json_object_begin(w);
    json_key(w, "step_ms");
    json_double(w, (double)s->step_us / 1000.0);
    write_numbers(w, "requests", s->series_requests, s->series_len);
    write_numbers(w, "tokens", s->series_tokens, s->series_len);
    write_numbers(w, "refused", s->series_refused, s->series_len);
    json_object_end(w);
}
