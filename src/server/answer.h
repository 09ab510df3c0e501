/*
 * Answers: the core's effects as the JSON that callers read.
 *
 * Writes the members of an object, without its braces, so that the same answer can stand
 * alone or behind the tag of a line in a stream. Explanations name the limit, what it allows
 * and what was asked (P9). Pure.
 *
 * May depend on src/base, core/core.h, config/words.h, http/json.h and names.h.
 */
#ifndef SLUICE_SERVER_ANSWER_H
#define SLUICE_SERVER_ANSWER_H

#include <stdint.h>

#include "base/error.h"
#include "core/core.h"
#include "http/json.h"

/* The HTTP status of an effect that answers someone. */
int answer_status(const struct effect *effect);

/* After how long a refused caller should ask again; 0 where that makes no sense. */
int64_t answer_retry_after_ms(const struct effect *effect);

/* What a Retry-After header says for that: whole seconds, rounded up. */
int64_t answer_retry_after_s(int64_t retry_after_ms);

/* The body of an effect that answers someone. `policy` is the one in force. */
void answer_write(const struct effect *effect, const struct policy *policy, struct json_writer *w);

/* The body of an error that is not from the core; `message` may be NULL for the code's own
 * sentence. */
void answer_write_error(enum error_code code, const char *message, int64_t retry_after_ms,
                        struct json_writer *w);

/* When to come back after an error of the daemon's own; 0 where that makes no sense. */
int64_t error_retry_after_ms(enum error_code code);

/* An amount under a key, and in words: "1500 tokens", "0.25 USD". Money is exact in both. */
void answer_write_amount(const char *key, enum unit unit, int64_t n, struct json_writer *w);
void answer_add_amount(enum unit unit, int64_t n, struct buf *words);

/* A resource's limit by its name; NULL where there is none. `policy` and `name` may be NULL. */
const struct limit *answer_limit(const struct policy *policy, struct text resource,
                                 const char *name);

/* {"requests":1,…}: the units of which there is something. */
void answer_write_load(const struct load *load, struct json_writer *w);

/* "lease":"ls_…" under any key */
void answer_write_lease(const char *key, uint64_t lease, struct json_writer *w);

/* What answers have made of a resource, as an object. */
void answer_write_state(const struct health_view *view, struct json_writer *w);

/* ["tpm",…] */
void answer_write_held_by(const struct held_by *held_by, struct json_writer *w);

#endif
