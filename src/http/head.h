/*
 * A request's head: the request line and the header fields, cut into texts and judged.
 *
 * What it is for: finding where a head ends, and turning a whole head into a struct head or a
 * status to refuse it with. It is stricter than the parser library: line ends are CR LF, a name is
 * followed by its colon at once, no line is folded, no control character stands anywhere, and a
 * body has one length. It knows no connection and no socket.
 *
 * Invariants: the texts point into the bytes that were given; `fields` never exceeds fields_max.
 *
 * May depend on src/base.
 */
#ifndef SLUICE_HTTP_HEAD_H
#define SLUICE_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct head_field {
    struct text name;
    struct text value; /* without the white space around it */
};

struct head {
    struct text method;
    struct text path;
    struct text query;
    struct head_field *fields; /* room for fields_max, owned by whoever made the head */
    size_t fields_n;
    size_t fields_max;
    size_t target_bytes_max;
    size_t bytes_max;
    size_t bytes;    /* of the whole head, with its final empty line */
    int minor;       /* HTTP/1.minor: 0 or 1 */
    bool keep_alive; /* the client wants the connection to stay */
    bool expects_continue;
    bool chunked;
    uint64_t length; /* of the body; 0 where chunked */
};

/* Looks for the end of the head in what has arrived. `searched` is how far an earlier call on the
 * same bytes came, 0 at first. Returns 0 with head->bytes 0 while the end is missing and with its
 * length once it is there, or a status to refuse the request with. */
int head_find_end(struct head *head, struct text bytes, size_t *searched, const char **reason);

/* Cuts and judges a whole head. 0, or a status to refuse the request with. */
int head_parse(struct head *head, struct text bytes, const char **reason);

/* The value of the first field of that lower-case name; the empty text where there is none. */
struct text head_field(const struct head *head, struct text name);

#endif
