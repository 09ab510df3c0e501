/*
 * The bodies of the pretend provider's answers, in the vendors' shapes.
 *
 * A shape writes one API's answers: whole, or as a stream of server-sent events in three parts.
 * Everything it needs is in struct answer; nothing here counts, waits or sends.
 *
 * May depend on src/base and src/http (JSON writing).
 */
#ifndef SLUICE_MOCK_ANSWER_H
#define SLUICE_MOCK_ANSWER_H

#include <stdint.h>

#include "base/buf.h"
#include "http/json.h"
#include "http/member.h"
#include "mock/ask.h"
#include "mock/fault.h"

#define ANSWER_ID_LEN    24
#define ANSWER_BYTES_MAX (64u << 20)
#define PIECE_TOKENS_MAX 16 /* of one event of a stream */

struct answer {
    const struct ask *ask;
    const char *model;
    char id[ANSWER_ID_LEN + 1]; /* hexadecimal; prefixes are the shape's */
    int64_t created_s;
    int64_t input_tokens; /* cached ones included */
    int64_t cached_tokens;
    int64_t output_tokens;
    int64_t sequence; /* API_RESPONSES: the next event's number */
};

struct shape {
    void (*whole)(struct answer *a, struct buf *out);
    /* The events before, for and after the text. NULL for what cannot be streamed. */
    void (*begin)(struct answer *a, struct buf *out);
    void (*piece)(struct answer *a, int64_t from, int64_t n, struct buf *out);
    void (*end)(struct answer *a, struct buf *out);
    /* An error in the middle of a stream. */
    void (*fail)(struct answer *a, const struct fault *fault, struct buf *out);
};

extern const struct shape chat_shape;
extern const struct shape responses_shape;
extern const struct shape messages_shape;
extern const struct shape embeddings_shape;

/* Whether the answer ended because it reached its own maximum. */
static inline bool answer_cut_short(const struct answer *a)
{
    return a->ask->max_output > 0 && a->output_tokens >= a->ask->max_output;
}

/* The pretend text: BYTES_PER_TOKEN bytes for each of tokens from..from+n-1. Needs no escaping. */
void answer_text(int64_t from, int64_t n, struct buf *out);

/* The same as a JSON string. */
void answer_json_text(struct json_writer *w, int64_t from, int64_t n);

/* An event of a stream whose data is an object that repeats its type; members come in between. */
void answer_event_begin(const char *type, struct json_writer *w, struct buf *out);
void answer_event_end(struct json_writer *w);

#endif
