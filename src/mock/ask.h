/*
 * What a call to the pretend provider asks for, read from its body.
 *
 * The vendors' bodies have many more fields than are read here; those are ignored, as tools,
 * sampling and formats do not change what is counted. The estimate of the prompt is a quarter of
 * the bytes of its text, rounded up; images and tool definitions count nothing.
 *
 * A caller may say what the answer is to cost, in the body's `metadata` (mock_output_tokens,
 * mock_input_tokens, mock_cached_tokens) or, stronger, in headers of the same names
 * (x-mock-output-tokens …).
 *
 * May depend on src/base and src/http.
 */
#ifndef SLUICE_MOCK_ASK_H
#define SLUICE_MOCK_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

#define ASK_MODEL_LEN_MAX  127
#define ASK_TOKENS_MAX     INT64_C(2000000)
#define ASK_INPUTS_MAX     2048
#define ASK_DIMENSIONS_MAX 4096
#define BYTES_PER_TOKEN    4
#define DIMENSIONS_DEFAULT 8 /* of a pretend embedding; real ones have thousands */

enum api { API_CHAT, API_RESPONSES, API_EMBEDDINGS, API_MESSAGES };

struct ask {
    enum api api;
    char model[ASK_MODEL_LEN_MAX + 1]; /* "" where the body does not say */
    bool stream;
    bool include_usage;    /* API_CHAT: a last chunk with the usage */
    bool base64;           /* API_EMBEDDINGS */
    int64_t inputs_n;      /* API_EMBEDDINGS: vectors wanted */
    int64_t dimensions;    /* API_EMBEDDINGS */
    int64_t estimate;      /* tokens of the prompt, from its bytes */
    int64_t max_output;    /* 0: not said */
    int64_t wanted_output; /* -1: not said */
    int64_t wanted_input;  /* -1: not said */
    int64_t wanted_cached; /* -1: not said */
};

/* Reads a body. 0, ERR_NO_MEMORY, or ERR_INVALID_REQUEST with a sentence in `why`. */
int ask_parse(enum api api, struct text body, struct ask *ask, struct buf *why);

/* The estimate of a body's prompt alone, which need not be a complete request. */
int ask_count(enum api api, struct text body, int64_t *tokens);

/* Reads a whole number of tokens from a header; leaves `n` alone where the text is empty or none.
 */
void ask_steer(struct text value, int64_t *n);

#endif
