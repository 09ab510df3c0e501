#include "http/json.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "http/plain.h"
#include "http/utf8.h"

#define PICOUSD_DIGITS 12

void json_writer_init(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out};
}

/* The comma before a value, where one is due. */
static void begin_value(struct json_writer *w)
{
    if (w->comma) {
        buf_add_char(w->out, ',');
    }
    w->comma = true;
}

static void begin_nest(struct json_writer *w, char bracket)
{
    begin_value(w);
    buf_add_char(w->out, bracket);
    w->comma = false;
}

static void end_nest(struct json_writer *w, char bracket)
{
    buf_add_char(w->out, bracket);
    w->comma = true;
}

void json_object_begin(struct json_writer *w)
{
    begin_nest(w, '{');
}

void json_object_end(struct json_writer *w)
{
    end_nest(w, '}');
}

void json_array_begin(struct json_writer *w)
{
    begin_nest(w, '[');
}

void json_array_end(struct json_writer *w)
{
    end_nest(w, ']');
}

static void add_escape(struct buf *out, char c)
{
    switch (c) {
    case '"': buf_add_str(out, "\\\""); break;
    case '\\': buf_add_str(out, "\\\\"); break;
    case '\n': buf_add_str(out, "\\n"); break;
    case '\r': buf_add_str(out, "\\r"); break;
    case '\t': buf_add_str(out, "\\t"); break;
    default: buf_addf(out, "\\u%04x", (unsigned)(unsigned char)c);
    }
}

/* Adds the one character at the front that is not plain, and returns its length. */
static size_t add_special(struct buf *out, struct text t)
{
    if ((unsigned char)t.at[0] < 0x80) {
        add_escape(out, t.at[0]);
        return 1;
    }
    size_t n = utf8_length(t.at, t.len);
    if (n == 0) {
        buf_add_str(out, "\xef\xbf\xbd");
        return 1;
    }
    buf_add(out, t.at, n);
    return n;
}

static void add_escaped(struct buf *out, struct text t)
{
    buf_add_char(out, '"');
    while (t.len) {
        size_t n = plain_length(t);
        buf_add(out, t.at, n);
        if (n < t.len) {
            n += add_special(out, (struct text){t.at + n, t.len - n});
        }
        t = (struct text){t.at + n, t.len - n};
    }
    buf_add_char(out, '"');
}

/* A text that is plain, as most are, is added in one piece with its quotes. */
static void add_quoted(struct buf *out, struct text t)
{
    char *to = plain_length(t) == t.len ? buf_room(out, t.len + 2) : NULL;
    if (!to) {
        add_escaped(out, t);
        return;
    }
    *to++ = '"';
    text_copy(&to, t);
    memcpy(to, "\"", sizeof("\""));
    out->len += t.len + 2;
}

/* An answer is keys for the most part, so one is added in one piece: comma, quotes and colon. */
void json_put_key(struct json_writer *w, struct text key)
{
    size_t size = w->comma + key.len + sizeof("\"\":") - 1;
    char *to = buf_room(w->out, size);
    if (!to) {
        return;
    }
    *to = ','; /* and the quote over it where there is none */
    to += w->comma;
    *to++ = '"';
    text_copy(&to, key);
    memcpy(to, "\":", sizeof("\":"));
    w->out->len += size;
    w->comma = false;
}

void json_name(struct json_writer *w, struct text name)
{
    begin_value(w);
    add_quoted(w->out, name);
    buf_add_char(w->out, ':');
    w->comma = false;
}

void json_text(struct json_writer *w, struct text t)
{
    begin_value(w);
    add_quoted(w->out, t);
}

void json_str(struct json_writer *w, const char *s)
{
    if (s) {
        json_text(w, text_of(s));
    } else {
        json_null(w);
    }
}

void json_i64(struct json_writer *w, int64_t n)
{
    begin_value(w);
    buf_add_i64(w->out, n);
}

void json_double(struct json_writer *w, double d)
{
    char text[32];
    if (!isfinite(d)) {
        json_null(w); /* JSON has no name for it */
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, d);
        if (strtod(text, NULL) == d) {
            break;
        }
    }
    begin_value(w);
    buf_add_str(w->out, text);
}

void json_bool(struct json_writer *w, bool b)
{
    begin_value(w);
    buf_add_str(w->out, b ? "true" : "false");
}

void json_null(struct json_writer *w)
{
    begin_value(w);
    buf_add_str(w->out, "null");
}

static void put_usd(struct json_writer *w, uint64_t dollars, uint64_t fraction)
{
    buf_add_u64(w->out, dollars);
    if (fraction) {
        char digits[24]; /* room for any number, since not every compiler sees how small it is */
        snprintf(digits, sizeof(digits), "%012llu", (unsigned long long)fraction);
        size_t len = PICOUSD_DIGITS;
        while (digits[len - 1] == '0') {
            len--;
        }
        buf_add_char(w->out, '.');
        buf_add(w->out, digits, len);
    }
}

void json_picousd(struct json_writer *w, int64_t picousd)
{
    uint64_t amount = picousd < 0 ? -(uint64_t)picousd : (uint64_t)picousd;
    begin_value(w);
    if (picousd < 0) {
        buf_add_char(w->out, '-');
    }
    put_usd(w, amount / (uint64_t)PICOUSD_PER_USD, amount % (uint64_t)PICOUSD_PER_USD);
}

void json_milliusd(struct json_writer *w, int64_t milliusd, int64_t picousd)
{
    uint64_t rest = (uint64_t)(milliusd % 1000) * (uint64_t)(PICOUSD_PER_USD / 1000);
    begin_value(w);
    put_usd(w, (uint64_t)(milliusd / 1000), rest + (uint64_t)picousd);
}
