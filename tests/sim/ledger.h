/*
 * The ledger: what the store must hold, kept beside the journal and independently of it.
 *
 * It takes down each record that the core emits and where batches end. After a restart it is told
 * what the journal gave back, and says which beginning of its own list that is: a batch is there as
 * a whole or not at all, all before it are, and nothing is missing but what was allowed to go.
 *
 * May depend on src/base, core/record.h and core/record_log.h of the tests.
 */
#ifndef SLUICE_TESTS_SIM_LEDGER_H
#define SLUICE_TESTS_SIM_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/record_log.h"

struct ledger {
    struct record_log log;
    int64_t *emitted_us; /* of each */
    size_t emitted_size;
    size_t *batches; /* so many records there were at the end of each */
    size_t batches_n, batches_size;
    int64_t horizon_us;      /* what is older may go */
    struct record_log given; /* back by the journal */
};

void ledger_init(struct ledger *l);
void ledger_release(struct ledger *l);

void ledger_add(struct ledger *l, const struct record *record, int64_t now_us);
void ledger_batch(struct ledger *l);
void ledger_prune(struct ledger *l, int64_t horizon_us);

/* The journal begins to give back what it has, and gives a record back. */
void ledger_read(struct ledger *l);
void ledger_given(struct ledger *l, const struct record *record);

/* All that there was has been given back: goes on from there. False where that is no beginning of
 * the list at the end of a batch, or `why` then names what is amiss. */
bool ledger_restored(struct ledger *l, const char **why);
/* … and what had stood for a counter and did not matter any more has gone: the number of the next
 * such record behind `after`, or 0. Numbers are counted from 1. */
size_t ledger_next_lost(const struct ledger *l, size_t after);

#endif
