/*
 * The problems found in one configuration file, each with its line.
 *
 * All readers report here and go on, so that one run names everything that is wrong. Problems
 * come out in the order of their lines; past PROBLEMS_MAX they are only counted. What this is
 * not for: telling the caller's own mistakes, which are assertions.
 *
 * May depend on src/base.
 */
#ifndef SLUICE_CONFIG_PROBLEM_H
#define SLUICE_CONFIG_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define PROBLEMS_MAX    100
#define PROBLEM_LEN_MAX 600 /* longer ones are cut */

struct problem {
    int line;
    char *text;
};

struct problems {
    struct problem at[PROBLEMS_MAX];
    size_t len;     /* kept */
    size_t found;   /* in all */
    bool no_memory; /* something could not be allocated; the result is not to be used */
};

void problems_init(struct problems *p);
void problems_release(struct problems *p);

/* A problem of that line (from 1; 0: of the file as a whole). */
void problem_add(struct problems *p, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes "FILE:LINE: text" lines, by line; as many as `why` has room for. */
void problems_write(struct problems *p, const char *file, struct buf *why);

/* Whether nothing has gone wrong so far. */
static inline bool problems_none(const struct problems *p)
{
    return p->found == 0 && !p->no_memory;
}

#endif
