/* OpenAI's chat completions and embeddings, whole and streamed. */
#include <math.h>

#include "mock/answer.h"

#define FINGERPRINT "fp_mock"

static void write_head(struct json_writer *w, const struct answer *a, const char *object)
{
    char id[ANSWER_ID_LEN + sizeof("chatcmpl-")];
    memcpy(id, "chatcmpl-", sizeof("chatcmpl-"));
    memcpy(id + sizeof("chatcmpl-") - 1, a->id, sizeof(a->id));
    member_str(w, "id", id);
    member_str(w, "object", object);
    member_i64(w, "created", a->created_s);
    member_str(w, "model", a->model);
    member_str(w, "service_tier", "default");
    member_str(w, "system_fingerprint", FINGERPRINT);
}

static void write_usage(struct json_writer *w, const struct answer *a)
{
    json_object_begin(w);
    member_i64(w, "prompt_tokens", a->input_tokens);
    member_i64(w, "completion_tokens", a->output_tokens);
    member_i64(w, "total_tokens", a->input_tokens + a->output_tokens);
    json_key(w, "prompt_tokens_details");
    json_object_begin(w);
    member_i64(w, "cached_tokens", a->cached_tokens);
    member_i64(w, "audio_tokens", 0);
    json_object_end(w);
    json_key(w, "completion_tokens_details");
    json_object_begin(w);
    member_i64(w, "reasoning_tokens", 0);
    json_object_end(w);
    json_object_end(w);
}

static const char *finish_reason(const struct answer *a)
{
    return answer_cut_short(a) ? "length" : "stop";
}

static void chat_whole(struct answer *a, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_object_begin(&w);
    write_head(&w, a, "chat.completion");
    json_key(&w, "choices");
    json_array_begin(&w);
    json_object_begin(&w);
    member_i64(&w, "index", 0);
    json_key(&w, "message");
    json_object_begin(&w);
    member_str(&w, "role", "assistant");
    json_key(&w, "content");
    answer_json_text(&w, 0, a->output_tokens);
    member_str(&w, "refusal", NULL);
    json_object_end(&w);
    member_str(&w, "logprobs", NULL);
    member_str(&w, "finish_reason", finish_reason(a));
    json_object_end(&w);
    json_array_end(&w);
    json_key(&w, "usage");
    write_usage(&w, a);
    json_object_end(&w);
}

/* One chunk with a choice: `n` tokens of text, or the role alone, or the reason of the end. */
static void write_chunk(const struct answer *a, bool first, int64_t from, int64_t n,
                        const char *reason, struct buf *out)
{
    struct json_writer w;
    buf_add_str(out, "data: ");
    json_writer_init(&w, out);
    json_object_begin(&w);
    write_head(&w, a, "chat.completion.chunk");
    json_key(&w, "choices");
    json_array_begin(&w);
    json_object_begin(&w);
    member_i64(&w, "index", 0);
    json_key(&w, "delta");
    json_object_begin(&w);
    if (first) {
        member_str(&w, "role", "assistant");
    }
    if (first || n) {
        json_key(&w, "content");
        answer_json_text(&w, from, n);
    }
    json_object_end(&w);
    member_str(&w, "logprobs", NULL);
    member_str(&w, "finish_reason", reason);
    json_object_end(&w);
    json_array_end(&w);
    if (a->ask->include_usage) {
        member_str(&w, "usage", NULL);
    }
    json_object_end(&w);
    buf_add_str(out, "\n\n");
}

static void chat_begin(struct answer *a, struct buf *out)
{
    write_chunk(a, true, 0, 0, NULL, out);
}

static void chat_piece(struct answer *a, int64_t from, int64_t n, struct buf *out)
{
    write_chunk(a, false, from, n, NULL, out);
}

static void write_usage_chunk(const struct answer *a, struct buf *out)
{
    struct json_writer w;
    buf_add_str(out, "data: ");
    json_writer_init(&w, out);
    json_object_begin(&w);
    write_head(&w, a, "chat.completion.chunk");
    json_key(&w, "choices");
    json_array_begin(&w);
    json_array_end(&w);
    json_key(&w, "usage");
    write_usage(&w, a);
    json_object_end(&w);
    buf_add_str(out, "\n\n");
}

static void chat_end(struct answer *a, struct buf *out)
{
    write_chunk(a, false, 0, 0, finish_reason(a), out);
    if (a->ask->include_usage) {
        write_usage_chunk(a, out);
    }
    buf_add_str(out, "data: [DONE]\n\n");
}

static void chat_fail(struct answer *a, const struct fault *fault, struct buf *out)
{
    (void)a;
    buf_add_str(out, "data: ");
    fault_write(DIALECT_OPENAI, fault, "", out);
    buf_add_str(out, "\n\n");
}

const struct shape chat_shape = {chat_whole, chat_begin, chat_piece, chat_end, chat_fail};

/* Component i of vector v: of length 1 together, as real embeddings are. */
static float component(int64_t v, int64_t i, int64_t dimensions)
{
    double sign = (v + i) % 2 ? -1.0 : 1.0;
    return (float)(sign / sqrt((double)dimensions));
}

static void add_base64(const unsigned char *at, size_t len, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        uint32_t group = (uint32_t)at[i] << 16;
        group |= i + 1 < len ? (uint32_t)at[i + 1] << 8 : 0;
        group |= i + 2 < len ? at[i + 2] : 0;
        buf_add_char(out, digits[group >> 18]);
        buf_add_char(out, digits[(group >> 12) & 63]);
        buf_add_char(out, i + 1 < len ? digits[(group >> 6) & 63] : '=');
        buf_add_char(out, i + 2 < len ? digits[group & 63] : '=');
    }
}

/* A vector as its little-endian floats in base64, which is what the vendor's SDKs ask for. */
static void write_base64(struct json_writer *w, int64_t v, int64_t dimensions)
{
    unsigned char bytes[ASK_DIMENSIONS_MAX * sizeof(uint32_t)];
    for (int64_t i = 0; i < dimensions; i++) {
        float value = component(v, i, dimensions);
        uint32_t bits;
        memcpy(&bits, &value, sizeof(bits));
        for (size_t b = 0; b < sizeof(bits); b++) {
            bytes[(size_t)i * sizeof(bits) + b] = (unsigned char)(bits >> (8 * b));
        }
    }
    struct buf text;
    buf_init(&text, sizeof(bytes) * 2);
    add_base64(bytes, (size_t)dimensions * sizeof(uint32_t), &text);
    json_text(w, buf_text(&text));
    w->out->failed |= text.failed;
    buf_release(&text);
}

static void write_vector(struct json_writer *w, const struct ask *ask, int64_t v)
{
    json_object_begin(w);
    member_str(w, "object", "embedding");
    member_i64(w, "index", v);
    json_key(w, "embedding");
    if (ask->base64) {
        write_base64(w, v, ask->dimensions);
    } else {
        json_array_begin(w);
        for (int64_t i = 0; i < ask->dimensions; i++) {
            json_double(w, (double)component(v, i, ask->dimensions));
        }
        json_array_end(w);
    }
    json_object_end(w);
}

static void embeddings_whole(struct answer *a, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_object_begin(&w);
    member_str(&w, "object", "list");
    json_key(&w, "data");
    json_array_begin(&w);
    for (int64_t v = 0; v < a->ask->inputs_n; v++) {
        write_vector(&w, a->ask, v);
    }
    json_array_end(&w);
    member_str(&w, "model", a->model);
    json_key(&w, "usage");
    json_object_begin(&w);
    member_i64(&w, "prompt_tokens", a->input_tokens);
    member_i64(&w, "total_tokens", a->input_tokens);
    json_object_end(&w);
    json_object_end(&w);
}

const struct shape embeddings_shape = {.whole = embeddings_whole};
