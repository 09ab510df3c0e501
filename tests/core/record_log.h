/*
 * A journal in memory, for tests: keeps copies of the records that a core emits, forgets the
 * newest as a crash would, and gives them to another core as the journal's replay does.
 *
 * May depend on src/base and src/core.
 */
#ifndef SLUICE_TESTS_CORE_RECORD_LOG_H
#define SLUICE_TESTS_CORE_RECORD_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "core/core.h"

struct record_log {
    struct record *at; /* each owns its texts */
    size_t len;
    size_t size;
};

void record_log_init(struct record_log *log);
void record_log_release(struct record_log *log);

/* Keeps a copy. */
void record_log_add(struct record_log *log, const struct record *record);

/* Forgets all records but the first `len`. */
void record_log_cut(struct record_log *log, size_t len);

/* Lets go what a journal prunes at that horizon: a beginning of the records of leases, and values
 * that no longer matter. See the store's pruning. */
void record_log_prune(struct record_log *log, int64_t horizon_us);

/* Whether a later COUNTER record replaces this one. */
bool record_log_replaced(const struct record_log *log, size_t i);

/* Fills in what the newest COUNTER record of that key says; used = 0 where there is none. */
void record_log_look_up(const struct record_log *log, struct record *key);

/* Looks up what a core misses before an acquire (or after a start, where it is NULL), as the driver
 * does. The first error of core_recall, or 0. */
int record_log_give_missing(const struct record_log *log, struct core *core,
                            const struct acquire *acquire);

/* Gives all records to a core: counters first, the newest of each; then the others, in order.
 * The first error of core_restore, or 0. */
int record_log_replay(const struct record_log *log, struct core *core);

#endif
