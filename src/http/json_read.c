#include "http/json.h"

#include <math.h>
#include <stdlib.h>

#include "base/num.h"
#include "http/json_node.h"

#define PICOUSD_SCALE 12
/* Beyond this exponent a number is zero or out of range whatever its digits are. */
#define EXPONENT_MAX 99

static bool is_kind(const json_value *v, enum json_kind kind)
{
    return v && v->kind == kind;
}

/* --- Walking. --- */

bool json_is_object(const json_value *v)
{
    return is_kind(v, JSON_OBJECT);
}

bool json_is_array(const json_value *v)
{
    return is_kind(v, JSON_ARRAY);
}

bool json_is_string(const json_value *v)
{
    return is_kind(v, JSON_STRING);
}

bool json_is_null(const json_value *v)
{
    return !v || is_kind(v, JSON_NULL);
}

bool json_is_number(const json_value *v)
{
    return is_kind(v, JSON_NUMBER);
}

size_t json_array_len(const json_value *v)
{
    return json_is_array(v) ? v->len : 0;
}

/* Values are lent as their owner may hold them; nothing here changes one. */
static json_value *lend(const json_value *v)
{
    return (json_value *)v;
}

json_value *json_array_next(const json_value *array, const json_value *element)
{
    if (!json_is_array(array)) {
        return NULL;
    }
    const json_value *next = element ? element + element->size : array + 1;
    return next < array + array->size ? lend(next) : NULL;
}

json_value *json_array_at(const json_value *array, size_t i)
{
    json_value *v = json_array_next(array, NULL);
    while (v && i--) {
        v = json_array_next(array, v);
    }
    return v;
}

json_value *json_member(const json_value *object, struct text key)
{
    if (!json_is_object(object)) {
        return NULL;
    }
    const json_value *name = object + 1;
    for (uint32_t i = 0; i < object->len; i++) {
        if (text_equal((struct text){name->text, name->len}, key)) {
            return lend(name + 1);
        }
        name += 1 + name[1].size;
    }
    return NULL;
}

int json_each(const json_value *object, int (*fn)(void *ctx, struct text key, json_value *v),
              void *ctx)
{
    if (!json_is_object(object)) {
        return 0;
    }
    const json_value *name = object + 1;
    for (uint32_t i = 0; i < object->len; i++) {
        int rc = fn(ctx, (struct text){name->text, name->len}, lend(name + 1));
        if (rc) {
            return rc;
        }
        name += 1 + name[1].size;
    }
    return 0;
}

/* --- Reading values. --- */

/* A decimal number taken apart: digits * 10^exponent. */
struct decimal {
    int128 digits; /* at most 30 of them, which json_parse saw to */
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

/* A number's value times 10^scale. */
static bool read_scaled(const json_value *v, int scale, int64_t *out, bool *exact)
{
    return json_is_number(v) && decimal_scale(read_decimal(v->text), scale, out, exact);
}

/* A number that is nothing but digits, and few enough of them. */
static bool read_short(const json_value *v, int64_t *out)
{
    int64_t n = 0;
    if (!json_is_number(v) || v->len > JSON_SHORT_DIGITS) {
        return false;
    }
    for (const char *at = v->text; *at; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        n = n * 10 + (*at - '0');
    }
    *out = n;
    return true;
}

bool json_read_i64(const json_value *v, int64_t *out)
{
    int64_t n;
    bool exact;
    if (read_short(v, out)) {
        return true;
    }
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

bool json_read_number(const json_value *v, struct text *out)
{
    if (!json_is_number(v)) {
        return false;
    }
    *out = (struct text){v->text, v->len};
    return true;
}

bool json_read_double(const json_value *v, double *out)
{
    if (!json_is_number(v)) {
        return false;
    }
    double d = strtod(v->text, NULL);
    if (!isfinite(d)) {
        return false;
    }
    *out = d;
    return true;
}

bool json_read_bool(const json_value *v, bool *out)
{
    if (!is_kind(v, JSON_TRUE) && !is_kind(v, JSON_FALSE)) {
        return false;
    }
    *out = v->kind == JSON_TRUE;
    return true;
}

bool json_read_text(const json_value *v, struct text *out)
{
    if (!json_is_string(v)) {
        return false;
    }
    *out = (struct text){v->text, v->len};
    return true;
}
