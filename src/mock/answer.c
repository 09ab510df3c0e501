#include "mock/answer.h"

static const char words[][BYTES_PER_TOKEN + 1] = {"all ", "the ", "low ", "sun ", "set ", "far ",
                                                  "old ", "sea ", "and ", "red ", "oak ", "leaf"};

#define WORDS_N ((int64_t)(sizeof(words) / sizeof(words[0])))

void answer_text(int64_t from, int64_t n, struct buf *out)
{
    for (int64_t i = from; i < from + n; i++) {
        buf_add(out, words[i % WORDS_N], BYTES_PER_TOKEN);
    }
}

void answer_json_text(struct json_writer *w, int64_t from, int64_t n)
{
    struct buf text;
    buf_init(&text, ANSWER_BYTES_MAX);
    answer_text(from, n, &text);
    json_text(w, buf_text(&text));
    w->out->failed |= text.failed;
    buf_release(&text);
}

void answer_event_begin(const char *type, struct json_writer *w, struct buf *out)
{
    buf_add_str(out, "event: ");
    buf_add_str(out, type);
    buf_add_str(out, "\ndata: ");
    json_writer_init(w, out);
    json_object_begin(w);
    member_str(w, "type", type);
}

void answer_event_end(struct json_writer *w)
{
    json_object_end(w);
    buf_add_str(w->out, "\n\n");
}
