/* json-c has a type of the name that a writing function bears here. */
#define json_bool json_c_bool
#include <json-c/json.h>
#undef json_bool

#include "http/json.h"

#include <limits.h>
#include <math.h>

#include "base/error.h"
#include "base/num.h"
#include "http/json_scan.h"

#define PICOUSD_SCALE 12
/* Beyond this exponent a number is zero or out of range whatever its digits are. */
#define EXPONENT_MAX 99

/* json-c says NULL for JSON's null; here NULL means that there is nothing, so null is this mark. It
 * is only ever compared. */
static char null_mark;

static json_value *from_jsonc(json_value *v)
{
    return v ? v : (json_value *)(void *)&null_mark;
}

static enum json_type type_of(const json_value *v)
{
    if (!v || v == (const json_value *)(const void *)&null_mark) {
        return json_type_null;
    }
    return json_object_get_type(v);
}

/* --- Parsing. --- */

/* What json_scan counted in the text, counted in the document. */
struct tally {
    size_t members;
    size_t values;
    size_t nests;
    size_t string_bytes;
};

static void tally_value(struct tally *t, const json_value *v);

static void tally_object(struct tally *t, const json_value *object)
{
    struct json_object_iter member;
    json_object_object_foreachC(object, member)
    {
        t->members++;
        t->values++;
        t->string_bytes += strlen(member.key);
        tally_value(t, member.val);
    }
}

static void tally_value(struct tally *t, const json_value *v)
{
    switch (type_of(v)) {
    case json_type_object:
        t->nests++;
        tally_object(t, v);
        break;
    case json_type_array:
        t->nests++;
        for (size_t i = 0; i < json_object_array_length(v); i++) {
            tally_value(t, json_object_array_get_idx(v, i));
        }
        break;
    case json_type_string:
        t->values++;
        t->string_bytes += (size_t)json_object_get_string_len(v);
        break;
    default: t->values++;
    }
}

static int refuse(struct buf *why, const char *words, size_t at)
{
    buf_addf(why, "%s at byte %zu", words, at);
    return ERR_INVALID_REQUEST;
}

/* Compares the document with the text. A member is missing where its name stood there twice; where
 * anything else is missing, json-c ran out of memory on the way and went on regardless. */
static int check_tally(const json_value *document, const struct json_scan *scan, struct buf *why)
{
    struct tally t = {.members = 0};
    tally_value(&t, document);
    if (t.members != scan->members) {
        buf_add_str(why, "an object has two members of one name");
        return ERR_INVALID_REQUEST;
    }
    bool whole =
        t.values == scan->values && t.nests == scan->nests && t.string_bytes == scan->string_bytes;
    return whole ? 0 : ERR_NO_MEMORY;
}

/* Runs json-c over the text. `document` is NULL for a lone null. */
static int run_tokener(json_tokener *tokener, struct text bytes, json_value **document,
                       struct buf *why)
{
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    json_value *made = json_tokener_parse_ex(tokener, bytes.at, (int)bytes.len);
    enum json_tokener_error err = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);
    if (err == json_tokener_continue) {
        /* A number at the end could go on; a space says that it does not. */
        made = json_tokener_parse_ex(tokener, " ", 1);
        err = json_tokener_get_error(tokener);
        end = bytes.len;
    }
    if (err == json_tokener_continue) {
        return refuse(why, "unexpected end", bytes.len);
    }
    if (err != json_tokener_success) {
        json_object_put(made);
        return refuse(why, json_tokener_error_desc(err), end);
    }
    *document = made;
    return 0;
}

static int make(struct text bytes, json_value **document, struct buf *why)
{
    json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
    if (!tokener) {
        return ERR_NO_MEMORY;
    }
    int err = run_tokener(tokener, bytes, document, why);
    json_tokener_free(tokener);
    return err;
}

/* The same, from a copy without the escapes that json-c would misread. */
static int make_spelt(struct text bytes, json_value **document, struct buf *why)
{
    struct buf spelt;
    buf_init(&spelt, bytes.len);
    json_spell_pairs(bytes, &spelt);
    int err = spelt.failed ? ERR_NO_MEMORY : make(buf_text(&spelt), document, why);
    buf_release(&spelt);
    return err;
}

int json_parse(struct text bytes, json_value **document, struct buf *why)
{
    struct json_scan scan;
    if (bytes.len == 0) {
        return refuse(why, "unexpected end", 0);
    }
    if (bytes.len > INT_MAX) {
        return refuse(why, "the document is too large", (size_t)INT_MAX);
    }
    if (!json_scan(&scan, bytes)) {
        return refuse(why, scan.wrong, scan.at);
    }
    json_value *made = NULL;
    int err = scan.misread ? make_spelt(bytes, &made, why) : make(bytes, &made, why);
    if (!err) {
        err = check_tally(made, &scan, why);
    }
    if (err) {
        json_object_put(made);
        return err;
    }
    *document = from_jsonc(made);
    return 0;
}

void json_free(json_value *document)
{
    if (type_of(document) != json_type_null) {
        json_object_put(document);
    }
}

/* --- Walking. --- */

bool json_is_object(const json_value *v)
{
    return type_of(v) == json_type_object;
}

bool json_is_array(const json_value *v)
{
    return type_of(v) == json_type_array;
}

bool json_is_string(const json_value *v)
{
    return type_of(v) == json_type_string;
}

bool json_is_null(const json_value *v)
{
    return type_of(v) == json_type_null;
}

bool json_is_number(const json_value *v)
{
    return type_of(v) == json_type_int || type_of(v) == json_type_double;
}

size_t json_array_len(const json_value *v)
{
    return json_is_array(v) ? json_object_array_length(v) : 0;
}

json_value *json_array_at(const json_value *v, size_t i)
{
    return i < json_array_len(v) ? from_jsonc(json_object_array_get_idx(v, i)) : NULL;
}

json_value *json_get(const json_value *object, const char *key)
{
    json_value *member = NULL;
    if (!json_is_object(object) || !json_object_object_get_ex(object, key, &member)) {
        return NULL;
    }
    return from_jsonc(member);
}

int json_each(const json_value *object, int (*fn)(void *ctx, struct text key, json_value *v),
              void *ctx)
{
    if (!json_is_object(object)) {
        return 0;
    }
    struct json_object_iter member;
    json_object_object_foreachC(object, member)
    {
        int rc = fn(ctx, text_of(member.key), from_jsonc(member.val));
        if (rc) {
            return rc;
        }
    }
    return 0;
}

/* --- Reading values. --- */

/* A decimal number taken apart: digits * 10^exponent. */
struct decimal {
    int128 digits; /* at most 30 of them, which json_scan saw to */
    int exponent;
};

static int read_exponent(const char *at)
{
    bool negative = *at == '-';
    int exponent = 0;
    for (at += *at == '-' || *at == '+'; *at; at++) {
        if (exponent <= EXPONENT_MAX) {
            exponent = exponent * 10 + (*at - '0');
        }
    }
    return negative ? -exponent : exponent;
}

/* The text is a number by JSON's grammar. */
static struct decimal read_decimal(const char *at)
{
    struct decimal d = {.digits = 0};
    bool negative = *at == '-';
    bool fraction = false;
    for (at += negative; *at && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        d.digits = d.digits * 10 + (*at - '0');
        d.exponent -= fraction;
    }
    if (*at) {
        d.exponent += read_exponent(at + 1);
    }
    d.digits = negative ? -d.digits : d.digits;
    return d;
}

/* The number times 10^scale, rounded up; `exact` says whether nothing was rounded. False where the
 * result is out of range. */
static bool decimal_scale(struct decimal d, int scale, int64_t *out, bool *exact)
{
    int128 n = d.digits;
    bool rest = false;
    int shift = d.exponent + scale;
    for (; shift > 0 && n != 0; shift--) {
        if (n > INT64_MAX || n < INT64_MIN) {
            return false;
        }
        n *= 10;
    }
    for (; shift < 0 && n != 0; shift++) {
        rest = rest || n % 10 != 0;
        n /= 10;
    }
    n += rest && d.digits > 0; /* division went towards zero, which is up for negative ones */
    if (n > INT64_MAX || n < INT64_MIN) {
        return false;
    }
    *out = (int64_t)n;
    *exact = !rest;
    return true;
}

/* A number's value times 10^scale. json-c keeps the text that a double was read from. */
static bool read_scaled(const json_value *v, int scale, int64_t *out, bool *exact)
{
    if (type_of(v) == json_type_int) {
        uint64_t n = json_object_get_uint64(v);
        struct decimal d = {.digits = n > INT64_MAX ? (int128)n : json_object_get_int64(v)};
        return decimal_scale(d, scale, out, exact);
    }
    if (type_of(v) != json_type_double) {
        return false;
    }
    const char *text = json_object_get_userdata((json_value *)v);
    return text && decimal_scale(read_decimal(text), scale, out, exact);
}

bool json_read_i64(const json_value *v, int64_t *out)
{
    int64_t n;
    bool exact;
    if (!read_scaled(v, 0, &n, &exact) || !exact) {
        return false;
    }
    *out = n;
    return true;
}

bool json_read_picousd(const json_value *v, int64_t *out)
{
    int64_t n;
    bool exact;
    if (!read_scaled(v, PICOUSD_SCALE, &n, &exact)) {
        return false;
    }
    *out = n;
    return true;
}

bool json_read_double(const json_value *v, double *out)
{
    if (!json_is_number(v)) {
        return false;
    }
    double d = json_object_get_double(v);
    if (!isfinite(d)) {
        return false;
    }
    *out = d;
    return true;
}

bool json_read_bool(const json_value *v, bool *out)
{
    if (type_of(v) != json_type_boolean) {
        return false;
    }
    *out = json_object_get_boolean(v);
    return true;
}

bool json_read_text(const json_value *v, struct text *out)
{
    if (!json_is_string(v)) {
        return false;
    }
    *out = (struct text){json_object_get_string((json_value *)v),
                         (size_t)json_object_get_string_len(v)};
    return true;
}
