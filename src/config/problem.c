#include "config/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void problems_init(struct problems *p)
{
    memset(p, 0, sizeof(*p));
}

void problems_release(struct problems *p)
{
    for (size_t i = 0; i < p->len; i++) {
        free(p->at[i].text);
    }
    problems_init(p);
}

/* Makes room in order of lines; problems of one line keep the order in which they came. */
static struct problem *problem_place(struct problems *p, int line)
{
    size_t i = p->len++;
    for (; i > 0 && p->at[i - 1].line > line; i--) {
        p->at[i] = p->at[i - 1];
    }
    return &p->at[i];
}

void problem_add(struct problems *p, int line, const char *format, ...)
{
    p->found++;
    if (p->len == PROBLEMS_MAX) {
        return;
    }
    char text[PROBLEM_LEN_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    /* What the file holds is shown on terminals, where control characters could do things. */
    for (char *c = text; *c; c++) {
        *c = (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c;
    }
    char *copy = strdup(text);
    if (!copy) {
        p->no_memory = true;
        return;
    }
    *problem_place(p, line) = (struct problem){.line = line, .text = copy};
}

void problems_write(struct problems *p, const char *file, struct buf *why)
{
    for (size_t i = 0; i < p->len; i++) {
        if (p->at[i].line > 0) {
            buf_addf(why, "%s:%d: %s\n", file, p->at[i].line, p->at[i].text);
        } else {
            buf_addf(why, "%s: %s\n", file, p->at[i].text);
        }
    }
    if (p->found > p->len) {
        buf_addf(why, "%s: and %zu more\n", file, p->found - p->len);
    }
}
