#include "server/restore.h"

#include <stdbool.h>

#include "base/clock.h"
#include "base/num.h"
#include "core/view.h"

struct restoring {
    struct core *core;
    struct restored *restored;
};

static int take_record(void *ctx, const struct record *record)
{
    struct restoring *r = ctx;
    bool skipped = false;
    int err = core_restore(r->core, record, &skipped);
    if (err) {
        return err;
    }
    r->restored->records++;
    r->restored->skipped += skipped;
    r->restored->counters += record->kind == RECORD_COUNTER;
    r->restored->learned += record->kind == RECORD_LEARNED && !skipped;
    r->restored->states +=
        record->kind == RECORD_HEALTH && !skipped && record->health.state != HEALTH_OK;
    r->restored->newest_us = max_i64(r->restored->newest_us, record->at_us);
    return 0;
}

int restore_missing(struct journal *journal, struct core *core, const struct acquire *acquire,
                    size_t *found)
{
    struct record keys[CORE_MISSING_MAX];
    size_t n = core_missing(core, acquire, keys, CORE_MISSING_MAX);
    for (size_t i = 0; i < n; i++) {
        bool stored;
        int err = journal_counter(journal, &keys[i], &stored);
        if (err) {
            return err;
        }
        if (!stored) {
            keys[i].used = 0;
        }
        err = core_recall(core, &keys[i]);
        if (err) {
            return err;
        }
    }
    *found = n;
    return 0;
}

/* The counters that open leases are charged to. */
static int restore_charged(struct journal *journal, struct core *core)
{
    size_t found;
    int err;
    do {
        err = restore_missing(journal, core, NULL, &found);
    } while (!err && found > 0);
    return err;
}

int restore_run(struct journal *journal, struct core *core, struct restored *restored,
                struct buf *why)
{
    struct restoring r = {core, restored};
    struct core_totals totals;
    struct clock watch;
    *restored = (struct restored){0};
    clock_init(&watch, 0);
    int64_t began_us = clock_now_us(&watch);
    int err = journal_replay(journal, take_record, &r, why);
    err = err ? err : restore_charged(journal, core);
    if (err) {
        if (why->len == 0) {
            buf_addf(why, "record %llu: %s", (unsigned long long)restored->records + 1,
                     error_sentence((enum error_code)err));
        }
        return err;
    }
    core_totals(core, &totals);
    restored->leases = totals.leases_open;
    restored->took_us = clock_now_us(&watch) - began_us;
    return 0;
}
