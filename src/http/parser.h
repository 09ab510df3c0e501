/*
 * The parser library's opinion of a whole head: http-parser, or llhttp where it is built with that.
 *
 * The library is a second judge beside head.c: a request is taken only where both agree. Nothing
 * else includes the library's header.
 *
 * May depend on src/base and the parser library.
 */
#ifndef SLUICE_HTTP_PARSER_H
#define SLUICE_HTTP_PARSER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct parser_opinion {
    bool keep_alive;
    bool chunked;
    uint64_t length; /* 0 where there is none */
};

/* 0, or the status to refuse with: 400, 501 for a method that is not known, 505. */
int parser_judge(struct text head, struct parser_opinion *opinion, const char **reason);

#endif
