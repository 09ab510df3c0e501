#include "record_log.h"

#include <stdlib.h>
#include <string.h>

static struct text *const *texts_of(struct record *r)
{
    static _Thread_local struct text *texts[9];
    texts[0] = &r->resource;
    texts[1] = &r->tenant;
    texts[2] = &r->session;
    texts[3] = &r->labels;
    texts[4] = &r->id;
    texts[5] = &r->limit;
    texts[6] = &r->scope_key;
    texts[7] = &r->route;
    texts[8] = NULL;
    return texts;
}

void record_log_init(struct record_log *log)
{
    memset(log, 0, sizeof(*log));
}

static void release_record(struct record *r)
{
    for (struct text *const *t = texts_of(r); *t; t++) {
        free((void *)(uintptr_t)(*t)->at);
    }
}

void record_log_cut(struct record_log *log, size_t len)
{
    while (log->len > len) {
        release_record(&log->at[--log->len]);
    }
}

void record_log_release(struct record_log *log)
{
    record_log_cut(log, 0);
    free(log->at);
    record_log_init(log);
}

/* A text has no zero behind it, which strndup would look for where strings are checked strictly. */
static const char *copy_of(struct text t)
{
    char *copy = t.len ? malloc(t.len) : NULL;
    if (!copy && t.len) {
        abort();
    }
    return t.len ? memcpy(copy, t.at, t.len) : NULL;
}

void record_log_add(struct record_log *log, const struct record *record)
{
    if (log->len == log->size) {
        log->size = log->size ? log->size * 2 : 64;
        log->at = realloc(log->at, log->size * sizeof(log->at[0]));
        if (!log->at) {
            abort();
        }
    }
    struct record *copy = &log->at[log->len++];
    *copy = *record;
    for (struct text *const *t = texts_of(copy); *t; t++) {
        (*t)->at = copy_of(**t);
    }
}

void record_log_prune(struct record_log *log, int64_t horizon_us)
{
    size_t old = 0;
    size_t kept = 0;
    for (size_t i = 0; i < log->len; i++) {
        const struct record *r = &log->at[i];
        int64_t at_us = r->kind == RECORD_RENEW ? r->expires_us : r->at_us;
        old = !record_is_value(r->kind) && at_us < horizon_us ? i + 1 : old;
    }
    for (size_t i = 0; i < log->len; i++) {
        const struct record *r = &log->at[i];
        bool over = r->expires_us < horizon_us || record_log_replaced(log, i);
        if (record_is_value(r->kind) ? over : i < old) {
            release_record(&log->at[i]);
        } else {
            log->at[kept++] = log->at[i];
        }
    }
    log->len = kept;
}

static bool same_value(const struct record *a, const struct record *b)
{
    return a->kind == b->kind && text_equal(a->limit, b->limit) &&
           text_equal(a->resource, b->resource) && text_equal(a->scope_key, b->scope_key);
}

bool record_log_replaced(const struct record_log *log, size_t i)
{
    for (size_t j = i + 1; j < log->len; j++) {
        if (same_value(&log->at[i], &log->at[j])) {
            return true;
        }
    }
    return false;
}

int record_log_replay(const struct record_log *log, struct core *core)
{
    for (int values = 1; values >= 0; values--) {
        for (size_t i = 0; i < log->len; i++) {
            const struct record *r = &log->at[i];
            bool skipped;
            bool wanted = record_is_value(r->kind) == (values == 1) &&
                          !(values && record_log_replaced(log, i));
            int error = wanted ? core_restore(core, r, &skipped) : 0;
            if (error) {
                return error;
            }
        }
    }
    return 0;
}

void record_log_look_up(const struct record_log *log, struct record *key)
{
    key->used = 0;
    for (size_t i = log->len; i > 0; i--) {
        const struct record *r = &log->at[i - 1];
        if (same_value(r, key)) {
            *key = *r;
            return;
        }
    }
}

int record_log_give_missing(const struct record_log *log, struct core *core,
                            const struct acquire *acquire)
{
    struct record keys[CORE_MISSING_MAX];
    size_t n;
    do {
        n = core_missing(core, acquire, keys, CORE_MISSING_MAX);
        for (size_t i = 0; i < n; i++) {
            record_log_look_up(log, &keys[i]);
            int error = core_recall(core, &keys[i]);
            if (error) {
                return error;
            }
        }
    } while (n > 0 && !acquire);
    return 0;
}
