/*
 * JSON: strict reading into one block of memory, writing into a buffer.
 *
 * Reading is for requests from outside: strict syntax, UTF-8 checked, caps on depth and number, one
 * value and nothing behind it, duplicate keys refused, integers exact. Readers take what they
 * expect field by field and refuse unknown fields by name.
 *
 * Writing needs no tree: json_* functions append to a struct buf and keep track of commas.
 *
 * Why not a library: docs/decisions/0012. May depend on src/base.
 */
#ifndef SLUICE_HTTP_JSON_H
#define SLUICE_HTTP_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

#define JSON_DEPTH_MAX  32
#define JSON_VALUES_MAX (1 << 18) /* names and values of a document, in all */
#define JSON_NESTS_MAX  (1 << 14) /* objects and arrays */

/* A value inside a document; opaque, borrowed, valid as long as the document, as are all texts read
 * from it. Texts and names are followed by a zero. */
typedef struct json_value json_value;

/* Parses one document. 0, ERR_INVALID_REQUEST with a clause in `why` ("… at byte N"), or
 * ERR_NO_MEMORY. On success the caller owns the document. */
int json_parse(struct text bytes, json_value **document, struct buf *why);
void json_free(json_value *document); /* NULL is allowed */

/* Room that holds one document after another; all zero, it has no memory yet. */
struct json_room {
    void *at;
    size_t size;
};

/* Parses in the room, which goes on owning the document: it is valid until the next one. */
int json_parse_in(struct json_room *room, struct text bytes, json_value **document,
                  struct buf *why);
void json_room_release(struct json_room *room);

bool json_is_object(const json_value *v);
bool json_is_array(const json_value *v);
bool json_is_string(const json_value *v);
bool json_is_null(const json_value *v);
bool json_is_number(const json_value *v);

size_t json_array_len(const json_value *v);
/* The element behind another, or the first behind NULL; NULL at the end. */
json_value *json_array_next(const json_value *array, const json_value *element);
/* The i-th element, or NULL; walks there. */
json_value *json_array_at(const json_value *array, size_t i);

/* The member of an object, or NULL where it is missing; JSON null is a value. */
json_value *json_member(const json_value *object, struct text key);

/* The same by a literal, whose length the compiler knows. */
static inline json_value *json_get(const json_value *object, const char *key)
{
    return json_member(object, text_of(key));
}

/* Calls fn for each member in the order they were written, until it returns non-zero, and returns
 * that. */
int json_each(const json_value *object, int (*fn)(void *ctx, struct text key, json_value *v),
              void *ctx);

/* Exact readers: false where the value is of another type or out of range. A number like 5.0 is
 * an integer; 5.5 is not. */
bool json_read_i64(const json_value *v, int64_t *out);
bool json_read_double(const json_value *v, double *out);
bool json_read_bool(const json_value *v, bool *out);
bool json_read_text(const json_value *v, struct text *out);
/* A number as it is written, as in "1.5e-07". */
bool json_read_number(const json_value *v, struct text *out);
/* A decimal number times 10^12, rounded up to the next whole: US dollars as picodollars. */
bool json_read_picousd(const json_value *v, int64_t *out);

/* --- Writing. --- */

struct json_writer {
    struct buf *out;
    bool comma; /* the next value or key needs a comma before it */
};

void json_writer_init(struct json_writer *w, struct buf *out);
void json_object_begin(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array_begin(struct json_writer *w);
void json_array_end(struct json_writer *w);
void json_put_key(struct json_writer *w, struct text key); /* the program's own: as it is */
void json_name(struct json_writer *w, struct text name);   /* a key from outside: escaped */
void json_text(struct json_writer *w, struct text t); /* escapes; invalid UTF-8 becomes U+FFFD */
void json_str(struct json_writer *w, const char *s);  /* NULL writes null */
void json_i64(struct json_writer *w, int64_t n);
void json_double(struct json_writer *w, double d);
void json_bool(struct json_writer *w, bool b);
void json_null(struct json_writer *w);
/* Picodollars as a decimal number of dollars, exact: 1500000000000 → 1.5 */
void json_picousd(struct json_writer *w, int64_t picousd);
/* A sum that leaves 64 bits of them: so many thousandths of a dollar, and picodollars beyond. Both
 * at least 0, the second less than a thousandth. */
void json_milliusd(struct json_writer *w, int64_t milliusd, int64_t picousd);

/* A member whose key is the program's own, in one piece: most of an answer. */
void json_put_i64(struct json_writer *w, struct text key, int64_t n);
void json_put_text(struct json_writer *w, struct text key, struct text t);
void json_put_bool(struct json_writer *w, struct text key, bool b);

/* What takes a literal stands where it is called, so that the compiler knows the literal's length.
 */
#define JSON_INLINE static inline __attribute__((always_inline))

/* A key by a literal. */
JSON_INLINE void json_key(struct json_writer *w, const char *key)
{
    json_put_key(w, text_of(key));
}

#endif
