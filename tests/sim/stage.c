#include "stage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBLEM_MAX 4096
#define PRINTED_MAX (1u << 22)

void stage_init(struct stage *stage, const struct stage_kind *kind, struct world *w, bool print)
{
    stage->kind = kind;
    stage->world = w;
    stage->digest = UINT64_C(0xcbf29ce484222325);
    buf_init(&stage->problem, PROBLEM_MAX);
    stage->oracle = oracle_new(&stage->problem, w->late_ticks);
    stage->names = print ? calloc(1, sizeof(*stage->names)) : NULL;
}

void stage_release(struct stage *stage)
{
    oracle_free(stage->oracle);
    buf_release(&stage->problem);
    free(stage->names);
}

void stage_object(struct stage *stage, int64_t now_us, const char *format, ...)
{
    char text[PROBLEM_MAX / 2];
    va_list args;
    if (stage->problem.len) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buf_addf(&stage->problem, "at %lld: %s\n", (long long)now_us, text);
}

void stage_print(struct stage *stage, const struct event *e, const struct effects *effects)
{
    struct buf out;
    buf_init(&out, PRINTED_MAX);
    if (e->kind == EVENT_CONFIGURE) {
        table_write_policy(&out, e->policy);
    }
    table_write_event(&out, e, stage->names);
    buf_add_char(&out, '\n');
    for (size_t i = 0; i < effects->len; i++) {
        if (effects->at[i].kind != EFFECT_PERSIST) {
            buf_add_str(&out, "  ");
            table_write_effect(&out, &effects->at[i], stage->names);
            buf_add_char(&out, '\n');
        }
    }
    fputs(out.at, stdout);
    buf_release(&out);
}
