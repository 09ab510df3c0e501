#include "mock/ask.h"

#include "base/error.h"
#include "base/num.h"
#include "http/json.h"

#define WHY_BYTES_MAX 512
#define NESTING_MAX   4 /* of texts: messages, items, their content, its parts */

static int refuse(struct buf *why, const char *sentence)
{
    buf_add_str(why, sentence);
    return ERR_INVALID_REQUEST;
}

/* The bytes of text in a string, in a part or message, or in an array of those. A bare number is a
 * token already (embeddings take arrays of them). */
static int64_t text_bytes(const json_value *v, int nesting)
{
    struct text t;
    if (!v || nesting == 0) {
        return 0;
    }
    if (json_read_text(v, &t)) {
        return (int64_t)t.len;
    }
    if (json_is_number(v)) {
        return BYTES_PER_TOKEN;
    }
    int64_t sum = 0;
    if (json_is_array(v)) {
        for (const json_value *at = json_array_next(v, NULL); at; at = json_array_next(v, at)) {
            sum += text_bytes(at, nesting - 1);
        }
    } else if (json_is_object(v)) {
        sum += text_bytes(json_get(v, "text"), nesting - 1);
        sum += text_bytes(json_get(v, "content"), nesting - 1);
    }
    return sum;
}

static int64_t prompt_bytes(enum api api, const json_value *body)
{
    switch (api) {
    case API_CHAT: return text_bytes(json_get(body, "messages"), NESTING_MAX);
    case API_RESPONSES:
        return text_bytes(json_get(body, "input"), NESTING_MAX) +
               text_bytes(json_get(body, "instructions"), NESTING_MAX);
    case API_EMBEDDINGS: return text_bytes(json_get(body, "input"), NESTING_MAX);
    case API_MESSAGES: break;
    }
    return text_bytes(json_get(body, "messages"), NESTING_MAX) +
           text_bytes(json_get(body, "system"), NESTING_MAX);
}

static int64_t prompt_tokens(enum api api, const json_value *body)
{
    return (prompt_bytes(api, body) + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
}

/* An optional whole number in low..ASK_TOKENS_MAX; null counts as missing. */
static bool read_tokens(const json_value *body, const char *key, int64_t low, int64_t *n)
{
    const json_value *v = json_get(body, key);
    if (!v || json_is_null(v)) {
        return true;
    }
    return json_read_i64(v, n) && *n >= low && *n <= ASK_TOKENS_MAX;
}

void ask_steer(struct text value, int64_t *n)
{
    int64_t read = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9' || read > ASK_TOKENS_MAX) {
            return;
        }
        read = read * 10 + (value.at[i] - '0');
    }
    if (value.len && read <= ASK_TOKENS_MAX) {
        *n = read;
    }
}

/* Metadata values are strings with most vendors; numbers do as well. */
static void steer_from(const json_value *metadata, const char *key, int64_t *n)
{
    struct text t;
    const json_value *v = json_is_object(metadata) ? json_get(metadata, key) : NULL;
    if (v && json_read_text(v, &t)) {
        ask_steer(t, n);
    } else if (v && !(json_read_i64(v, n) && *n >= 0 && *n <= ASK_TOKENS_MAX)) {
        *n = -1;
    }
}

static void read_steering(const json_value *body, struct ask *ask)
{
    const json_value *metadata = json_get(body, "metadata");
    ask->wanted_output = -1;
    ask->wanted_input = -1;
    ask->wanted_cached = -1;
    if (metadata) {
        steer_from(metadata, "mock_output_tokens", &ask->wanted_output);
        steer_from(metadata, "mock_input_tokens", &ask->wanted_input);
        steer_from(metadata, "mock_cached_tokens", &ask->wanted_cached);
    }
}

static int read_model(const json_value *body, struct ask *ask)
{
    struct text t;
    const json_value *v = json_get(body, "model");
    if (!v) {
        return 0;
    }
    if (!json_read_text(v, &t) || t.len == 0 || t.len > ASK_MODEL_LEN_MAX) {
        return ERR_INVALID_REQUEST;
    }
    memcpy(ask->model, t.at, t.len);
    ask->model[t.len] = '\0';
    return 0;
}

static bool read_flag(const json_value *object, const char *key, bool *flag)
{
    const json_value *v = json_get(object, key);
    return !v || json_is_null(v) || json_read_bool(v, flag);
}

static bool read_max_output(const json_value *body, struct ask *ask)
{
    switch (ask->api) {
    case API_CHAT:
        return read_tokens(body, "max_tokens", 1, &ask->max_output) &&
               read_tokens(body, "max_completion_tokens", 1, &ask->max_output);
    case API_RESPONSES: return read_tokens(body, "max_output_tokens", 1, &ask->max_output);
    case API_EMBEDDINGS: return true;
    case API_MESSAGES: break;
    }
    return read_tokens(body, "max_tokens", 1, &ask->max_output) && ask->max_output > 0;
}

static int read_embeddings(const json_value *body, struct ask *ask, struct buf *why)
{
    struct text format = TEXT("float");
    const json_value *input = json_get(body, "input");
    bool many = input && json_is_array(input) && json_array_len(input) > 0 &&
                !json_is_number(json_array_at(input, 0));
    ask->inputs_n = many ? (int64_t)json_array_len(input) : 1;
    ask->dimensions = DIMENSIONS_DEFAULT;
    const json_value *v = json_get(body, "encoding_format");
    if (!input || ask->inputs_n > ASK_INPUTS_MAX) {
        return refuse(why, "'input' is missing or has too many members");
    }
    if ((v && !json_read_text(v, &format)) ||
        !read_tokens(body, "dimensions", 1, &ask->dimensions) ||
        ask->dimensions > ASK_DIMENSIONS_MAX) {
        return refuse(why, "'encoding_format' or 'dimensions' is invalid");
    }
    ask->base64 = text_equal(format, TEXT("base64"));
    return 0;
}

static int read_generation(const json_value *body, struct ask *ask, struct buf *why)
{
    int64_t choices = 1;
    const json_value *options = json_get(body, "stream_options");
    const char *prompt = ask->api == API_RESPONSES ? "input" : "messages";
    if (!json_get(body, prompt)) {
        buf_addf(why, "Missing required parameter: '%s'", prompt);
        return ERR_INVALID_REQUEST;
    }
    if (!read_max_output(body, ask)) {
        return refuse(why, "the maximum of output tokens is missing or invalid");
    }
    if (!read_flag(body, "stream", &ask->stream) ||
        (options && json_is_object(options) &&
         !read_flag(options, "include_usage", &ask->include_usage))) {
        return refuse(why, "'stream' or 'stream_options' is invalid");
    }
    if (!read_tokens(body, "n", 1, &choices) || choices != 1) {
        return refuse(why, "this pretend provider gives one choice only ('n' must be 1)");
    }
    return 0;
}

static int read_body(const json_value *body, struct ask *ask, struct buf *why)
{
    if (!json_is_object(body)) {
        return refuse(why, "the body must be a JSON object");
    }
    if (read_model(body, ask)) {
        return refuse(why, "'model' must be a name of at most 127 bytes");
    }
    read_steering(body, ask);
    ask->estimate = prompt_tokens(ask->api, body);
    return ask->api == API_EMBEDDINGS ? read_embeddings(body, ask, why)
                                      : read_generation(body, ask, why);
}

int ask_parse(enum api api, struct text body, struct ask *ask, struct buf *why)
{
    json_value *document = NULL;
    struct ask read = {.api = api};
    int rc = json_parse(body, &document, why);
    if (rc) {
        return rc;
    }
    rc = read_body(document, &read, why);
    json_free(document);
    if (rc == 0) {
        *ask = read;
    }
    return rc;
}

int ask_count(enum api api, struct text body, int64_t *tokens)
{
    json_value *document = NULL;
    struct buf why;
    buf_init(&why, WHY_BYTES_MAX);
    int rc = json_parse(body, &document, &why);
    buf_release(&why);
    if (rc == 0) {
        *tokens = json_is_object(document) ? prompt_tokens(api, document) : 0;
        json_free(document);
    }
    return rc;
}
