/* OpenAI's responses, whole and streamed. Every event of a stream is numbered. */
#include "mock/answer.h"

static void write_id(struct json_writer *w, const char *key, const char *prefix,
                     const struct answer *a)
{
    char id[ANSWER_ID_LEN + 8];
    struct buf text;
    buf_init(&text, sizeof(id) - 1);
    buf_add_str(&text, prefix);
    buf_add_str(&text, a->id);
    json_key(w, key);
    json_text(w, buf_text(&text));
    w->out->failed |= text.failed;
    buf_release(&text);
}

static void write_usage(struct json_writer *w, const struct answer *a)
{
    json_object_begin(w);
    member_i64(w, "input_tokens", a->input_tokens);
    json_key(w, "input_tokens_details");
    json_object_begin(w);
    member_i64(w, "cached_tokens", a->cached_tokens);
    json_object_end(w);
    member_i64(w, "output_tokens", a->output_tokens);
    json_key(w, "output_tokens_details");
    json_object_begin(w);
    member_i64(w, "reasoning_tokens", 0);
    json_object_end(w);
    member_i64(w, "total_tokens", a->input_tokens + a->output_tokens);
    json_object_end(w);
}

/* The part of a message that holds the text; n may be 0 where it has only begun. */
static void write_part(struct json_writer *w, int64_t n)
{
    json_object_begin(w);
    member_str(w, "type", "output_text");
    json_key(w, "text");
    answer_json_text(w, 0, n);
    json_key(w, "annotations");
    json_array_begin(w);
    json_array_end(w);
    json_key(w, "logprobs");
    json_array_begin(w);
    json_array_end(w);
    json_object_end(w);
}

static void write_item(struct json_writer *w, const struct answer *a, const char *status, bool text)
{
    json_object_begin(w);
    write_id(w, "id", "msg_", a);
    member_str(w, "type", "message");
    member_str(w, "status", status);
    member_str(w, "role", "assistant");
    json_key(w, "content");
    json_array_begin(w);
    if (text) {
        write_part(w, a->output_tokens);
    }
    json_array_end(w);
    json_object_end(w);
}

static const char *final_status(const struct answer *a)
{
    return answer_cut_short(a) ? "incomplete" : "completed";
}

/* What the response says of the request; the pretend provider took the defaults. */
static void write_settings(struct json_writer *w, const struct answer *a)
{
    json_key(w, "max_output_tokens");
    if (a->ask->max_output) {
        json_i64(w, a->ask->max_output);
    } else {
        json_null(w);
    }
    member_str(w, "instructions", NULL);
    member_str(w, "previous_response_id", NULL);
    json_key(w, "parallel_tool_calls");
    json_bool(w, true);
    json_key(w, "temperature");
    json_double(w, 1.0);
    json_key(w, "top_p");
    json_double(w, 1.0);
    member_str(w, "tool_choice", "auto");
    json_key(w, "tools");
    json_array_begin(w);
    json_array_end(w);
    json_key(w, "metadata");
    json_object_begin(w);
    json_object_end(w);
}

static void write_incomplete_details(struct json_writer *w, const struct answer *a, bool done)
{
    json_key(w, "incomplete_details");
    if (done && answer_cut_short(a)) {
        json_object_begin(w);
        member_str(w, "reason", "max_output_tokens");
        json_object_end(w);
    } else {
        json_null(w);
    }
}

static void write_response(struct json_writer *w, const struct answer *a, bool done)
{
    json_object_begin(w);
    write_id(w, "id", "resp_", a);
    member_str(w, "object", "response");
    member_i64(w, "created_at", a->created_s);
    member_str(w, "status", done ? final_status(a) : "in_progress");
    member_str(w, "model", a->model);
    member_str(w, "error", NULL);
    write_incomplete_details(w, a, done);
    write_settings(w, a);
    json_key(w, "output");
    json_array_begin(w);
    if (done) {
        write_item(w, a, final_status(a), true);
    }
    json_array_end(w);
    json_key(w, "usage");
    if (done) {
        write_usage(w, a);
    } else {
        json_null(w);
    }
    json_object_end(w);
}

static void responses_whole(struct answer *a, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    write_response(&w, a, true);
}

static void event_begin(struct answer *a, const char *type, struct json_writer *w, struct buf *out)
{
    answer_event_begin(type, w, out);
    member_i64(w, "sequence_number", a->sequence++);
}

static void write_response_event(struct answer *a, const char *type, bool done, struct buf *out)
{
    struct json_writer w;
    event_begin(a, type, &w, out);
    json_key(&w, "response");
    write_response(&w, a, done);
    answer_event_end(&w);
}

static void write_item_event(struct answer *a, const char *type, bool done, struct buf *out)
{
    struct json_writer w;
    event_begin(a, type, &w, out);
    member_i64(&w, "output_index", 0);
    json_key(&w, "item");
    write_item(&w, a, done ? final_status(a) : "in_progress", done);
    answer_event_end(&w);
}

/* Begins an event about the one part of the one item. */
static void part_event_begin(struct answer *a, const char *type, struct json_writer *w,
                             struct buf *out)
{
    event_begin(a, type, w, out);
    write_id(w, "item_id", "msg_", a);
    member_i64(w, "output_index", 0);
    member_i64(w, "content_index", 0);
}

static void write_part_event(struct answer *a, const char *type, int64_t n, struct buf *out)
{
    struct json_writer w;
    part_event_begin(a, type, &w, out);
    json_key(&w, "part");
    write_part(&w, n);
    answer_event_end(&w);
}

/* The text so far under `key`, as a delta or, in the end, whole. */
static void write_text_event(struct answer *a, const char *type, const char *key, int64_t from,
                             int64_t n, struct buf *out)
{
    struct json_writer w;
    part_event_begin(a, type, &w, out);
    json_key(&w, key);
    answer_json_text(&w, from, n);
    json_key(&w, "logprobs");
    json_array_begin(&w);
    json_array_end(&w);
    answer_event_end(&w);
}

static void responses_begin(struct answer *a, struct buf *out)
{
    write_response_event(a, "response.created", false, out);
    write_response_event(a, "response.in_progress", false, out);
    write_item_event(a, "response.output_item.added", false, out);
    write_part_event(a, "response.content_part.added", 0, out);
}

static void responses_piece(struct answer *a, int64_t from, int64_t n, struct buf *out)
{
    write_text_event(a, "response.output_text.delta", "delta", from, n, out);
}

static void responses_end(struct answer *a, struct buf *out)
{
    write_text_event(a, "response.output_text.done", "text", 0, a->output_tokens, out);
    write_part_event(a, "response.content_part.done", a->output_tokens, out);
    write_item_event(a, "response.output_item.done", true, out);
    write_response_event(a, answer_cut_short(a) ? "response.incomplete" : "response.completed",
                         true, out);
}

static void responses_fail(struct answer *a, const struct fault *fault, struct buf *out)
{
    struct json_writer w;
    event_begin(a, "error", &w, out);
    member_str(&w, "code", fault->code[0] ? fault->code : fault->type);
    member_str(&w, "message", fault->message);
    member_str(&w, "param", NULL);
    answer_event_end(&w);
}

const struct shape responses_shape = {responses_whole, responses_begin, responses_piece,
                                      responses_end, responses_fail};
