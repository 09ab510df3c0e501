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

static inline char *put_quoted(char *to, struct text t)
{
    *to++ = '"';
    text_copy(&to, t);
    *to++ = '"';
    return to;
}

/* A text that is plain, as most are, is added in one piece with its quotes. */
static void add_quoted(struct buf *out, struct text t)
{
    char *to = plain_length(t) == t.len ? buf_room(out, t.len + 2) : NULL;
    if (to) {
        buf_end_at(out, put_quoted(to, t));
    } else {
        add_escaped(out, t);
    }
}

#define KEY_ROOM (sizeof(",\"\":") - 1) /* what stands around a key */

/* Comma, quotes, key and colon, to where there is room for them; returns where they end. */
static inline char *put_key(char *to, const struct json_writer *w, struct text key)
{
    *to = ','; /* and the quote over it where there is none */
    to += w->comma;
    *to++ = '"';
    text_copy(&to, key);
    memcpy(to, "\":", 2);
    return to + 2;
}

void json_put_key(struct json_writer *w, struct text key)
{
    char *to = buf_room(w->out, w->comma + key.len + KEY_ROOM - 1);
    if (to) {
        buf_end_at(w->out, put_key(to, w, key));
        w->comma = false;
    }
}

/* Where a member may be written that takes up to so many bytes beside its key, if the memory at
 * hand does for the most of them; else NULL, and it is added piece by piece. */
static inline char *begin_member(struct json_writer *w, struct text key, size_t most)
{
    struct buf *out = w->out;
    if (!buf_at_hand(out, key.len + KEY_ROOM + most)) {
        json_put_key(w, key);
        return NULL;
    }
    char *to = put_key(out->at + out->len, w, key);
    w->comma = true;
    return to;
}

void json_put_i64(struct json_writer *w, struct text key, int64_t n)
{
    char *to = begin_member(w, key, TEXT_NUMBER_MAX);
    if (to) {
        buf_end_at(w->out, text_put_i64(to, n));
    } else {
        json_i64(w, n);
    }
}

void json_put_bool(struct json_writer *w, struct text key, bool b)
{
    struct text word = b ? TEXT("true") : TEXT("false");
    char *to = begin_member(w, key, word.len);
    if (to) {
        text_copy(&to, word);
        buf_end_at(w->out, to);
    } else {
        json_bool(w, b);
    }
}

void json_put_text(struct json_writer *w, struct text key, struct text t)
{
    if (unlikely(plain_length(t) < t.len)) {
        json_put_key(w, key);
        json_text(w, t);
        return;
    }
    char *to = begin_member(w, key, t.len + 2);
    if (to) {
        buf_end_at(w->out, put_quoted(to, t));
    } else {
        json_text(w, t);
    }
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
