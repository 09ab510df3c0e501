/*
 * The nodes of a parsed JSON document.
 *
 * A document is one block of memory: its nodes in the order of the text, then the texts of its
 * strings and numbers, each followed by a zero. A container's children stand right behind it; a
 * member is two nodes, its name and its value. So a walk is an addition, and freeing is one call.
 *
 * Internal to src/http.
 */
#ifndef SLUICE_HTTP_JSON_NODE_H
#define SLUICE_HTTP_JSON_NODE_H

#include <stdint.h>

#define JSON_SHORT_DIGITS 18 /* an int64 holds any number of so many */

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json_value {
    const char *text; /* NUMBER: as written; STRING: decoded; else NULL */
    uint32_t len;     /* of the text; ARRAY: elements; OBJECT: members */
    uint32_t size;    /* nodes that it takes with all it holds: the next one stands there */
    enum json_kind kind;
};

#endif
