/*
 * Members of JSON objects: a key and its value in one call, for writers of many.
 *
 * May depend on json.h.
 */
#ifndef SLUICE_HTTP_MEMBER_H
#define SLUICE_HTTP_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "http/json.h"

JSON_INLINE void member_i64(struct json_writer *w, const char *key, int64_t n)
{
    json_put_i64(w, text_of(key), n);
}

JSON_INLINE void member_bool(struct json_writer *w, const char *key, bool b)
{
    json_put_bool(w, text_of(key), b);
}

/* NULL is null. */
JSON_INLINE void member_str(struct json_writer *w, const char *key, const char *s)
{
    if (s) {
        json_put_text(w, text_of(key), text_of(s));
    } else {
        json_key(w, key);
        json_null(w);
    }
}

JSON_INLINE void member_text(struct json_writer *w, const char *key, struct text t)
{
    json_put_text(w, text_of(key), t);
}

/* Only where there is something to say. */
JSON_INLINE void member_text_if(struct json_writer *w, const char *key, struct text t)
{
    if (t.len > 0) {
        member_text(w, key, t);
    }
}

JSON_INLINE void member_picousd(struct json_writer *w, const char *key, int64_t picousd)
{
    json_key(w, key);
    json_picousd(w, picousd);
}

#endif
