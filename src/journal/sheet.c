#include "journal/sheet.h"

#include <assert.h>
#include <string.h>

#include "base/num.h"
#include "journal/row.h"

#define ESCAPE_BYTES_MAX 6
#define NUMBERS_MAX      19
#define TEXTS_MAX        6
#define TEXTS_MORE_MAX   1
#define RECORD_BYTES_MAX                                                                           \
    ((NUMBERS_MAX + 1) * (TEXT_NUMBER_MAX + 1) + (TEXTS_MAX + TEXTS_MORE_MAX) * 3 +                \
     ESCAPE_BYTES_MAX * ((TEXTS_MAX + TEXTS_MORE_MAX - 1) * NAME_LEN_MAX + LABELS_LEN_MAX) + 4)

_Static_assert(SHEET_BYTES + RECORD_BYTES_MAX <= SHEET_BYTES_MAX, "the last record has room");

static void note_emission(struct sheet *s, const struct record *r)
{
    s->records_n++;
    s->exact = r->kind != RECORD_RENEW;
    s->emitted_us = s->exact ? r->at_us : r->expires_us;
}

/* --- Writing --- */

static char *put_escaped(char *at, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    *at++ = '\\';
    if (c >= ' ') {
        *at++ = (char)c;
        return at;
    }
    memcpy(at, "u00", 3);
    at[3] = digits[c >> 4];
    at[4] = digits[c & 15];
    return at + 5;
}

static char *put_bytes(char *at, struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.at[i];
        if (c < ' ' || c == '"' || c == '\\') {
            at = put_escaped(at, c);
        } else {
            *at++ = (char)c;
        }
    }
    return at;
}

/* Most texts need no escape, and are copied as they are. */
static bool is_plain(struct text t)
{
    bool plain = true;
    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.at[i];
        plain &= (c >= ' ') & (c != '"') & (c != '\\');
    }
    return plain;
}

static char *put_text(char *at, struct text t)
{
    static const char none[] = {',', '"', '"'};
    if (t.len == 0) {
        memcpy(at, none, sizeof(none));
        return at + sizeof(none);
    }
    *at++ = ',';
    *at++ = '"';
    if (is_plain(t)) {
        text_copy(&at, t);
    } else {
        at = put_bytes(at, t);
    }
    *at++ = '"';
    return at;
}

void sheet_begin(struct sheet *s)
{
    s->records_n = 0;
    s->len = 0;
}

bool sheet_full(const struct sheet *s)
{
    return s->len >= SHEET_BYTES;
}

static char *put_advice(char *at, const struct record *r)
{
    *at++ = ',';
    at = text_put_i64(at, r->advice);
    *at++ = ',';
    at = text_put_i64(at, r->again_us);
    return put_text(at, r->reason);
}

void sheet_add(struct sheet *s, const struct record *r)
{
    const int64_t before[] = {r->kind, r->at_us, (int64_t)r->lease};
    const int64_t after[] = {r->expires_us, r->priority,        r->attempt, r->waited_us,
                             r->late,       (int64_t)r->parent, r->skew_us, r->step};
    const struct text texts[TEXTS_MAX] = {r->resource, r->tenant, r->session,
                                          r->labels,   r->id,     r->route};
    assert(!sheet_full(s));
    char *at = s->text + s->len;
    *at++ = s->records_n ? ',' : '[';
    char sign = '[';
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++, sign = ',') {
        *at++ = sign;
        at = text_put_i64(at, before[i]);
    }
    for (int unit = 0; unit < UNIT_COUNT; unit++) {
        *at++ = ',';
        at = text_put_i64(at, r->load.of[unit]);
    }
    for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
        *at++ = ',';
        at = text_put_i64(at, after[i]);
    }
    for (size_t i = 0; i < TEXTS_MAX; i++) {
        at = put_text(at, texts[i]);
    }
    if (r->kind == RECORD_SETTLE && r->advice != ADVICE_DONE) {
        at = put_advice(at, r);
    }
    *at++ = ']';
    s->len = (size_t)(at - s->text);
    assert(s->len < SHEET_BYTES_MAX);
    note_emission(s, r);
}

void sheet_end(struct sheet *s)
{
    assert(s->records_n > 0 && s->len < SHEET_BYTES_MAX);
    s->text[s->len++] = ']';
}

/* --- Reading --- */

bool sheet_take(struct sheet *s, struct text text)
{
    sheet_begin(s);
    if (text.len > SHEET_BYTES_MAX) {
        return false;
    }
    memcpy(s->text, text.len ? text.at : "", text.len);
    s->len = text.len;
    return true;
}

/* Reads one member after the other, and remembers the first thing that is wrong. */
struct scan {
    char *at;
    char *end;
    const char *problem;
};

static void complain(struct scan *s, const char *problem)
{
    s->problem = s->problem ? s->problem : problem;
    s->at = s->end;
}

static bool try_take(struct scan *s, char c)
{
    if (s->at < s->end && *s->at == c) {
        s->at++;
        return true;
    }
    return false;
}

static void take(struct scan *s, char c)
{
    if (!try_take(s, c)) {
        complain(s, "it is not an array of arrays");
    }
}

static int64_t scan_i64(struct scan *s)
{
    bool minus = try_take(s, '-');
    const char *first = s->at;
    uint64_t n = 0;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9' && s->at - first < 19) {
        n = n * 10 + (uint64_t)(*s->at++ - '0');
    }
    if (s->at == first) {
        complain(s, "a member that should be an integer is not");
        return 0;
    }
    if (n > (uint64_t)INT64_MAX + minus) {
        complain(s, "a number is out of range");
        return 0;
    }
    return minus ? (int64_t)-n : (int64_t)n;
}

static int64_t next_i64(struct scan *s)
{
    take(s, ',');
    return scan_i64(s);
}

/* Numbers beyond those of 32 bits become one that no check takes. */
static int32_t next_i32(struct scan *s)
{
    int64_t n = next_i64(s);
    if (n < INT32_MIN || n > INT32_MAX) {
        complain(s, "a number is out of range");
        return 0;
    }
    return (int32_t)n;
}

/* The byte for which an escape stands; behind the backslash. */
static char scan_escape(struct scan *s)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    char c = s->at < s->end ? *s->at++ : '\0';
    const char *simple = c ? strchr(from, c) : NULL;
    if (simple) {
        return to[simple - from];
    }
    int high = s->end - s->at >= 4 ? hex_value(s->at[2]) : -1;
    int low = s->end - s->at >= 4 ? hex_value(s->at[3]) : -1;
    if (c != 'u' || high < 0 || high > 7 || low < 0 || s->at[0] != '0' || s->at[1] != '0') {
        complain(s, "an escape is unknown");
        return '\0';
    }
    s->at += 4;
    return (char)(high << 4 | low);
}

/* The text is unescaped where it stands, since it does not become longer. */
static struct text next_text(struct scan *s)
{
    take(s, ',');
    if (!try_take(s, '"')) {
        complain(s, "a member that should be text is not");
    }
    struct text t = {s->at, 0};
    char *to = s->at;
    while (s->at < s->end && *s->at != '"') {
        char c = *s->at++;
        *to++ = c == '\\' ? scan_escape(s) : c;
    }
    t.len = (size_t)(to - t.at);
    if (!try_take(s, '"')) {
        complain(s, "a text has no end");
    }
    return t;
}

static enum record_kind scan_kind(struct scan *s)
{
    int64_t kind = scan_i64(s);
    if (kind < RECORD_GRANT || kind > RECORD_CANCEL || kind == RECORD_COUNTER) {
        complain(s, "the kind is unknown");
        return RECORD_GRANT;
    }
    return (enum record_kind)kind;
}

static void scan_record(struct scan *s, struct record *r)
{
    take(s, '[');
    r->kind = scan_kind(s);
    r->at_us = next_i64(s);
    r->lease = (uint64_t)next_i64(s);
    for (int unit = 0; unit < UNIT_COUNT; unit++) {
        r->load.of[unit] = next_i64(s);
    }
    r->expires_us = next_i64(s);
    r->priority = next_i32(s);
    r->attempt = next_i32(s);
    r->waited_us = next_i64(s);
    int64_t late = next_i64(s);
    r->late = late != 0;
    if (late != 0 && late != 1) {
        complain(s, "`late` is neither 0 nor 1");
    }
    r->parent = (uint64_t)next_i64(s);
    r->skew_us = next_i64(s);
    r->step = next_i32(s);
    struct text *const texts[TEXTS_MAX] = {&r->resource, &r->tenant, &r->session,
                                           &r->labels,   &r->id,     &r->route};
    for (size_t i = 0; i < TEXTS_MAX; i++) {
        *texts[i] = next_text(s);
    }
    if (r->kind == RECORD_SETTLE && s->at < s->end && *s->at == ',') {
        r->advice = next_i64(s);
        r->again_us = next_i64(s);
        r->reason = next_text(s);
    }
    take(s, ']');
}

const char *sheet_next(struct sheet *sheet, size_t *at, struct record *record, bool *more)
{
    struct scan s = {.at = sheet->text + *at, .end = sheet->text + sheet->len};
    struct record read = {.kind = RECORD_GRANT};
    take(&s, *at ? ',' : '[');
    scan_record(&s, &read);
    *more = s.at < s.end && *s.at == ',';
    *at = (size_t)(s.at - sheet->text);
    if (!*more) {
        take(&s, ']');
    }
    if (!s.problem && !*more && s.at != s.end) {
        s.problem = "something follows its end";
    }
    const char *problem = s.problem ? s.problem : row_problem(&read);
    if (!problem) {
        *record = read;
        note_emission(sheet, record);
    }
    return problem;
}
