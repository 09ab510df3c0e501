#include "http/fields.h"

#include <assert.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/nearest.h"
#include "base/num.h"

static const char *field_name(const void *fields, size_t i)
{
    return ((const struct field *)fields)[i].name.at;
}

static bool has_field(const struct fields *fields, struct text name)
{
    for (size_t i = 0; fields && i < fields->n; i++) {
        if (text_equal(fields->at[i].name, name)) {
            return true;
        }
    }
    return false;
}

static int refuse_unknown(const struct fields *fields, struct text name, struct buf *why)
{
    const char *nearest = nearest_name(name, field_name, fields->at, fields->n);
    buf_addf(why, "unknown field `%.*s`", (int)min_i64((int64_t)name.len, 64), name.at);
    if (has_field(fields->inner, name)) {
        buf_addf(why, "; it belongs in `%s`", fields->inner_name);
        return ERR_INVALID_REQUEST;
    }
    if (nearest) {
        buf_addf(why, "; did you mean `%s`?", nearest);
        return ERR_INVALID_REQUEST;
    }
    for (size_t i = 0; i < fields->n; i++) {
        buf_addf(why, "%s%s", i == 0 ? "; there are " : ", ", fields->at[i].name.at);
    }
    return ERR_INVALID_REQUEST;
}

struct reading {
    const struct fields *fields;
    void *into;
    uint32_t given;
    struct buf *why;
};

static int read_member(void *ctx, struct text key, json_value *v)
{
    struct reading *r = ctx;
    for (size_t i = 0; i < r->fields->n; i++) {
        const struct field *field = &r->fields->at[i];
        if (text_equal(field->name, key)) {
            r->given |= UINT32_C(1) << i;
            return field->read(field, v, r->into, r->why);
        }
    }
    return refuse_unknown(r->fields, key, r->why);
}

int fields_read(const struct fields *fields, const json_value *object, void *into, uint32_t *given,
                struct buf *why)
{
    assert(fields->n <= FIELDS_MAX);
    if (!json_is_object(object)) {
        buf_add_str(why, "a JSON object is expected");
        return ERR_INVALID_REQUEST;
    }
    struct reading r = {fields, into, 0, why};
    int err = json_each(object, read_member, &r);
    if (err == 0) {
        *given = r.given;
    }
    return err;
}

int field_i64(const struct field *field, const json_value *v, void *into, struct buf *why)
{
    int64_t n;
    if (!json_is_number(v) || !json_read_i64(v, &n) || n < field->min || n > field->max) {
        buf_addf(why, "`%s` must be a whole number from %lld to %lld", field->name.at,
                 (long long)field->min, (long long)field->max);
        return ERR_INVALID_REQUEST;
    }
    memcpy(field_place(field, into), &n, sizeof(n));
    return 0;
}

bool text_has_controls(struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        if ((unsigned char)t.at[i] < ' ' || t.at[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

int field_text(const struct field *field, const json_value *v, void *into, struct buf *why)
{
    struct text t;
    if (!json_read_text(v, &t) || (int64_t)t.len < field->min || (int64_t)t.len > field->max ||
        text_has_controls(t)) {
        buf_addf(why, "`%s` must be text of %lld to %lld bytes without control characters",
                 field->name.at, (long long)field->min, (long long)field->max);
        return ERR_INVALID_REQUEST;
    }
    memcpy(field_place(field, into), &t, sizeof(t));
    return 0;
}

int field_picousd(const struct field *field, const json_value *v, void *into, struct buf *why)
{
    int64_t n;
    if (!json_is_number(v) || !json_read_picousd(v, &n) || n < field->min || n > field->max) {
        buf_addf(why, "`%s` must be a number of US dollars from %lld to %lld", field->name.at,
                 (long long)(field->min / PICOUSD_PER_USD),
                 (long long)(field->max / PICOUSD_PER_USD));
        return ERR_INVALID_REQUEST;
    }
    memcpy(field_place(field, into), &n, sizeof(n));
    return 0;
}
