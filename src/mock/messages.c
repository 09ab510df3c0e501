/* Anthropic's messages, whole and streamed. */
#include "base/num.h"
#include "mock/answer.h"

static const char *stop_reason(const struct answer *a)
{
    return answer_cut_short(a) ? "max_tokens" : "end_turn";
}

/* Cached input is not part of input_tokens with this vendor. */
static void write_usage(struct json_writer *w, const struct answer *a, int64_t output_tokens)
{
    json_object_begin(w);
    member_i64(w, "input_tokens", a->input_tokens - a->cached_tokens);
    member_i64(w, "cache_creation_input_tokens", 0);
    member_i64(w, "cache_read_input_tokens", a->cached_tokens);
    member_i64(w, "output_tokens", output_tokens);
    member_str(w, "service_tier", "standard");
    json_object_end(w);
}

static void write_message(struct json_writer *w, const struct answer *a, bool done)
{
    char id[sizeof("msg_") + ANSWER_ID_LEN] = "msg_";
    memcpy(id + sizeof("msg_") - 1, a->id, sizeof(a->id));
    json_object_begin(w);
    member_str(w, "id", id);
    member_str(w, "type", "message");
    member_str(w, "role", "assistant");
    member_str(w, "model", a->model);
    json_key(w, "content");
    json_array_begin(w);
    if (done) {
        json_object_begin(w);
        member_str(w, "type", "text");
        json_key(w, "text");
        answer_json_text(w, 0, a->output_tokens);
        json_object_end(w);
    }
    json_array_end(w);
    member_str(w, "stop_reason", done ? stop_reason(a) : NULL);
    member_str(w, "stop_sequence", NULL);
    json_key(w, "usage");
    write_usage(w, a, done ? a->output_tokens : min_i64(1, a->output_tokens));
    json_object_end(w);
}

static void messages_whole(struct answer *a, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    write_message(&w, a, true);
}

static void messages_begin(struct answer *a, struct buf *out)
{
    struct json_writer w;
    answer_event_begin("message_start", &w, out);
    json_key(&w, "message");
    write_message(&w, a, false);
    answer_event_end(&w);
    answer_event_begin("content_block_start", &w, out);
    member_i64(&w, "index", 0);
    json_key(&w, "content_block");
    json_object_begin(&w);
    member_str(&w, "type", "text");
    member_str(&w, "text", "");
    json_object_end(&w);
    answer_event_end(&w);
    answer_event_begin("ping", &w, out);
    answer_event_end(&w);
}

static void messages_piece(struct answer *a, int64_t from, int64_t n, struct buf *out)
{
    (void)a;
    struct json_writer w;
    answer_event_begin("content_block_delta", &w, out);
    member_i64(&w, "index", 0);
    json_key(&w, "delta");
    json_object_begin(&w);
    member_str(&w, "type", "text_delta");
    json_key(&w, "text");
    answer_json_text(&w, from, n);
    json_object_end(&w);
    answer_event_end(&w);
}

static void messages_end(struct answer *a, struct buf *out)
{
    struct json_writer w;
    answer_event_begin("content_block_stop", &w, out);
    member_i64(&w, "index", 0);
    answer_event_end(&w);
    answer_event_begin("message_delta", &w, out);
    json_key(&w, "delta");
    json_object_begin(&w);
    member_str(&w, "stop_reason", stop_reason(a));
    member_str(&w, "stop_sequence", NULL);
    json_object_end(&w);
    json_key(&w, "usage");
    json_object_begin(&w);
    member_i64(&w, "output_tokens", a->output_tokens);
    json_object_end(&w);
    answer_event_end(&w);
    answer_event_begin("message_stop", &w, out);
    answer_event_end(&w);
}

static void messages_fail(struct answer *a, const struct fault *fault, struct buf *out)
{
    (void)a;
    struct json_writer w;
    answer_event_begin("error", &w, out);
    json_key(&w, "error");
    json_object_begin(&w);
    member_str(&w, "type", fault->type);
    member_str(&w, "message", fault->message);
    json_object_end(&w);
    answer_event_end(&w);
}

const struct shape messages_shape = {messages_whole, messages_begin, messages_piece, messages_end,
                                     messages_fail};
