/*
 * What the pretend provider has admitted and refused of one model, and when.
 *
 * The series counts admitted requests and tokens, and refusals, per step of time since the start.
 * When it is full, neighbouring steps are joined and the step doubles, so that it covers any time
 * in bounded memory.
 *
 * May depend on src/base and src/http (JSON writing).
 */
#ifndef SLUICE_MOCK_STATS_H
#define SLUICE_MOCK_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "http/json.h"
#include "mock/quota.h"

#define SERIES_LEN_MAX 2400
#define STEPS_A_MINUTE 60

struct mock_stats {
    int64_t arrived;
    int64_t admitted;
    int64_t refused_of[QUOTA_UNIT_COUNT]; /* by the unit that had no room */
    int64_t refused_too_large;
    int64_t refused_scripted;
    int64_t failed;  /* admitted, then answered with a scripted error, cut or failed midway */
    int64_t hung_up; /* the caller left before the answer was complete */
    int64_t finished;
    int64_t tokens_admitted; /* what was reserved: the prompt's estimate and max_tokens */
    int64_t input_tokens;    /* of finished calls */
    int64_t output_tokens;
    int64_t step_us;
    int64_t series_requests[SERIES_LEN_MAX];
    int64_t series_tokens[SERIES_LEN_MAX];
    int64_t series_refused[SERIES_LEN_MAX];
    int64_t series_len;
};

void mock_stats_init(struct mock_stats *s, int64_t minute_us);

/* A call was admitted `elapsed_us` after the start. */
void mock_stats_admit(struct mock_stats *s, int64_t elapsed_us, int64_t tokens);

/* A call was refused; a NULL verdict stands for a script's refusal. */
void mock_stats_refuse(struct mock_stats *s, int64_t elapsed_us,
                       const struct quota_verdict *verdict);

/* Adds the counts (not the series) of one model to a sum. */
void mock_stats_sum(struct mock_stats *to, const struct mock_stats *s);

/* Writes the counts as members of an object. */
void mock_stats_write(const struct mock_stats *s, struct json_writer *w);
void mock_stats_write_series(const struct mock_stats *s, struct json_writer *w);

/* A unit's name in options and statistics. */
const char *quota_unit_name(enum quota_unit unit);

#endif
