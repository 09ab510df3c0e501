#include "ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"

void ledger_init(struct ledger *l)
{
    memset(l, 0, sizeof(*l));
    record_log_init(&l->log);
    record_log_init(&l->given);
}

void ledger_release(struct ledger *l)
{
    record_log_release(&l->log);
    record_log_release(&l->given);
    free(l->emitted_us);
    free(l->batches);
}

void ledger_add(struct ledger *l, const struct record *record, int64_t now_us)
{
    record_log_add(&l->log, record);
    if (l->log.len > l->emitted_size) {
        l->emitted_size = 2 * l->log.len;
        l->emitted_us = realloc(l->emitted_us, l->emitted_size * sizeof(*l->emitted_us));
        if (!l->emitted_us) {
            abort();
        }
    }
    l->emitted_us[l->log.len - 1] = now_us;
}

void ledger_batch(struct ledger *l)
{
    if (l->batches_n && l->batches[l->batches_n - 1] == l->log.len) {
        return;
    }
    if (l->batches_n == l->batches_size) {
        l->batches_size = l->batches_size ? 2 * l->batches_size : 64;
        l->batches = realloc(l->batches, l->batches_size * sizeof(*l->batches));
        if (!l->batches) {
            abort();
        }
    }
    l->batches[l->batches_n++] = l->log.len;
}

void ledger_prune(struct ledger *l, int64_t horizon_us)
{
    l->horizon_us = max_i64(l->horizon_us, horizon_us);
}

void ledger_read(struct ledger *l)
{
    record_log_cut(&l->given, 0);
}

void ledger_given(struct ledger *l, const struct record *record)
{
    record_log_add(&l->given, record);
}

/* --- What must be there --- */

static bool same_key(const struct record *a, const struct record *b)
{
    return record_is_value(a->kind) && a->kind == b->kind && text_equal(a->limit, b->limit) &&
           text_equal(a->resource, b->resource) && text_equal(a->scope_key, b->scope_key);
}

static bool same_value(const struct record *a, const struct record *b)
{
    return same_key(a, b) && a->at_us == b->at_us && a->expires_us == b->expires_us &&
           a->period_us == b->period_us && a->used == b->used && a->level == b->level &&
           memcmp(&a->health, &b->health, sizeof(a->health)) == 0 && text_equal(a->id, b->id);
}

static bool same_record(const struct record *a, const struct record *b)
{
    return a->kind == b->kind && a->at_us == b->at_us && a->lease == b->lease &&
           a->expires_us == b->expires_us && a->parent == b->parent &&
           memcmp(&a->load, &b->load, sizeof(a->load)) == 0 && a->priority == b->priority &&
           a->waited_us == b->waited_us && a->skew_us == b->skew_us && a->late == b->late &&
           text_equal(a->resource, b->resource) && text_equal(a->tenant, b->tenant) &&
           text_equal(a->session, b->session) && text_equal(a->labels, b->labels) &&
           text_equal(a->id, b->id);
}

/* The newest value of that key among the first `n` records, or NULL. */
static const struct record *newest(const struct record_log *log, size_t n, const struct record *key)
{
    while (n > 0) {
        if (same_key(&log->at[--n], key)) {
            return &log->at[n];
        }
    }
    return NULL;
}

/* Leases' records are there in order, but for a beginning of them that is past the horizon. */
static bool records_agree(const struct ledger *l, size_t n)
{
    size_t given = l->given.len;
    while (n > 0) {
        const struct record *want = &l->log.at[--n];
        if (record_is_value(want->kind)) {
            continue;
        }
        while (given > 0 && record_is_value(l->given.at[given - 1].kind)) {
            given--;
        }
        if (given == 0) {
            if (l->emitted_us[n] >= l->horizon_us) {
                return false;
            }
        } else if (!same_record(want, &l->given.at[--given])) {
            return false;
        }
    }
    while (given > 0 && record_is_value(l->given.at[given - 1].kind)) {
        given--;
    }
    return given == 0;
}

static bool counters_agree(const struct ledger *l, size_t n)
{
    for (size_t i = 0; i < l->given.len; i++) {
        const struct record *r = &l->given.at[i];
        const struct record *want = record_is_value(r->kind) ? newest(&l->log, n, r) : NULL;
        if (record_is_value(r->kind) && (!want || !same_value(want, r))) {
            return false;
        }
    }
    for (size_t i = n; i > 0; i--) {
        const struct record *r = &l->log.at[i - 1]; /* one that was replaced says nothing now */
        if (record_is_value(r->kind) && r->expires_us >= l->horizon_us &&
            newest(&l->log, n, r) == r && !newest(&l->given, l->given.len, r)) {
            return false;
        }
    }
    return true;
}

static void go_on_from(struct ledger *l, size_t records)
{
    record_log_cut(&l->log, records);
    while (l->batches_n && l->batches[l->batches_n - 1] > records) {
        l->batches_n--;
    }
}

bool ledger_restored(struct ledger *l, const char **why)
{
    bool records = false;
    for (size_t i = l->batches_n + 1; i > 0; i--) {
        size_t n = i > 1 ? l->batches[i - 2] : 0;
        if (!records_agree(l, n)) {
            continue;
        }
        records = true;
        if (counters_agree(l, n)) {
            go_on_from(l, n);
            return true;
        }
    }
    *why = records ? "a value is not what it was" : "leases' records are not those of any batch";
    return false;
}

size_t ledger_next_lost(const struct ledger *l, size_t after)
{
    for (size_t i = after; i < l->log.len; i++) {
        const struct record *r = &l->log.at[i];
        if (r->kind == RECORD_COUNTER && r->expires_us < l->horizon_us &&
            !newest(&l->given, l->given.len, r) && newest(&l->log, l->log.len, r) == r) {
            return i + 1;
        }
    }
    return 0;
}
