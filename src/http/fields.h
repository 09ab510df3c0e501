/*
 * Reading a JSON object by a table of the fields it may have.
 *
 * Every object of the API is read this way: a field that is not in the table is refused by
 * name, with the nearest known one, or all of them; a wrong type or a value out of range is refused
 * naming the field and what is allowed. Nothing is kept of a refused object but the clause that
 * says why.
 *
 * May depend on src/base and http/json.h.
 */
#ifndef SLUICE_HTTP_FIELDS_H
#define SLUICE_HTTP_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"
#include "http/json.h"

#define WHY_LEN_MAX 1024 /* cap of a clause for people */

struct field;

/* Reads one member into the object `into`. 0, or ERR_INVALID_REQUEST with a clause in `why`. */
typedef int field_reader(const struct field *field, const json_value *v, void *into,
                         struct buf *why);

struct field {
    struct text name;
    field_reader *read;
    size_t offset; /* of the member in `into` */
    int64_t min;   /* whole numbers: the range; texts: the range of the length */
    int64_t max;
};

#define FIELD(literal, reader, type, member, least, most)                                          \
    {                                                                                              \
        {"" literal, sizeof(literal) - 1}, reader, offsetof(type, member), least, most             \
    }

#define FIELDS_MAX 32

struct fields {
    const struct field *at;
    size_t n;                   /* at most FIELDS_MAX */
    const struct fields *inner; /* of one of its members, taken for fields of this; or NULL */
    const char *inner_name;     /* that member's */
};

/* The fields of a table, as members of an initializer. */
#define FIELDS_OF(table) .at = (table), .n = sizeof(table) / sizeof((table)[0])

/* Reads an object. `given` gets a bit 1 << i for each field i of the table that was there.
 * `into` holds the defaults before and may be changed in part where this fails. */
int fields_read(const struct fields *fields, const json_value *object, void *into, uint32_t *given,
                struct buf *why);

/* Readers of common members. */
int field_i64(const struct field *field, const json_value *v, void *into, struct buf *why);
int field_text(const struct field *field, const json_value *v, void *into, struct buf *why);
int field_picousd(const struct field *field, const json_value *v, void *into, struct buf *why);

/* Whether a text has bytes that no name may have: controls, which would break logs and metrics. */
bool text_has_controls(struct text t);

/* The member's place in `into`. */
static inline void *field_place(const struct field *field, void *into)
{
    return (char *)into + field->offset;
}

#endif
