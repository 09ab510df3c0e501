/*
 * What a JSON text must satisfy beyond what json-c checks.
 *
 * json-c takes some bytes that are not JSON, keeps the last of two members with one name, and cuts
 * a key at its first NUL. This walk refuses what it takes too much of, and counts what json_read.c
 * then compares with the document that json-c made, so that nothing was dropped on the way.
 *
 * May depend on src/base.
 */
#ifndef SLUICE_HTTP_JSON_SCAN_H
#define SLUICE_HTTP_JSON_SCAN_H

#include <stddef.h>

#include "base/buf.h"
#include "base/text.h"

struct json_scan {
    struct text text;
    size_t at; /* where the walk stands, or what it did not take */
    size_t depth;
    size_t values;       /* and names: whatever json-c keeps memory for */
    size_t nests;        /* objects and arrays */
    size_t members;      /* of all objects */
    size_t string_bytes; /* of all keys and strings, as decoded */
    size_t misread;      /* escaped surrogate pairs of which json-c makes something else */
    const char *wrong;   /* NULL while nothing is */
};

/* Walks the whole text. False with `wrong` and `at` set where it is refused. */
bool json_scan(struct json_scan *scan, struct text text);

/* Copies a text that json_scan took, with each escaped surrogate pair as the character it means. */
void json_spell_pairs(struct text text, struct buf *out);

#endif
