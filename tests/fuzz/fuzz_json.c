/*
 * links: http
 *
 * JSON read, written, and read again: what is taken is written back as a text that is taken too,
 * and that is written back as the same bytes for ever. Only the first writing may differ from the
 * second: a fraction beyond what a double holds becomes an integer. Every reader is tried on every
 * value.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "http/json.h"

#define WRITTEN_MAX (8u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_value(struct json_writer *w, const json_value *v);

static int write_member(void *ctx, struct text key, json_value *v)
{
    struct json_writer *w = ctx;
    assert(memchr(key.at, '\0', key.len) == NULL && key.at[key.len] == '\0');
    json_name(w, key);
    write_value(w, v);
    return 0;
}

static void write_number(struct json_writer *w, const json_value *v)
{
    int64_t n = 0;
    double d = 0;
    if (json_read_i64(v, &n)) {
        json_i64(w, n);
    } else if (json_read_double(v, &d)) {
        json_double(w, d);
    } else {
        json_str(w, "out of range");
    }
}

/* Money and doubles must agree about as well as a double can tell. */
static void check_money(const json_value *v)
{
    int64_t picousd = 0;
    double d = 0;
    if (json_read_picousd(v, &picousd) && json_read_double(v, &d)) {
        double difference = (double)picousd / 1e12 - d;
        assert(difference < 1e-6 && difference > -1e-6);
    }
}

static void write_value(struct json_writer *w, const json_value *v)
{
    struct text t = TEXT_NONE;
    bool b = false;
    check_money(v);
    if (json_is_object(v)) {
        json_object_begin(w);
        json_each(v, write_member, w);
        json_object_end(w);
    } else if (json_is_array(v)) {
        json_array_begin(w);
        for (size_t i = 0; i < json_array_len(v); i++) {
            write_value(w, json_array_at(v, i));
        }
        json_array_end(w);
    } else if (json_is_number(v)) {
        write_number(w, v);
    } else if (json_read_text(v, &t)) {
        json_text(w, t);
    } else if (json_read_bool(v, &b)) {
        json_bool(w, b);
    } else {
        assert(json_is_null(v));
        json_null(w);
    }
}

/* Reads a text and writes it to `out`. False where it is refused. */
static bool rewrite(struct text in, struct buf *out)
{
    json_value *document = NULL;
    struct json_writer w;
    struct buf why;
    buf_init(&why, 4096);
    int err = json_parse(in, &document, &why);
    assert((err == 0) == (why.len == 0));
    buf_release(&why);
    if (err) {
        assert(err == ERR_INVALID_REQUEST && !document);
        return false;
    }
    json_writer_init(&w, out);
    write_value(&w, document);
    json_free(document);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf written[3];
    struct text in = {(const char *)data, size};
    for (int i = 0; i < 3; i++) {
        buf_init(&written[i], WRITTEN_MAX);
    }
    if (rewrite(in, &written[0])) {
        bool taken = rewrite(buf_text(&written[0]), &written[1]) &&
                     rewrite(buf_text(&written[1]), &written[2]);
        if (!taken || !text_equal(buf_text(&written[1]), buf_text(&written[2]))) {
            abort();
        }
    }
    for (int i = 0; i < 3; i++) {
        buf_release(&written[i]);
    }
    return 0;
}
