/*
 * The journal: the durable record of the core's effects, and what is read back at start.
 *
 * The seam is small, so that another store can stand behind it: append records to the batch
 * that is gathering, hand the batch over, be told when it is durable, read all back. A worker
 * thread writes one batch as one transaction while the next one gathers; batches become
 * durable in order. SQLite (WAL mode) lives here alone.
 *
 * Durability: FULL survives loss of power, PROCESS survives `kill -9` of the process, NONE keeps
 * nothing: no file is opened and every batch counts as durable at once.
 *
 * When a batch cannot be written (full disk, I/O error) the journal is `failing`: it keeps the
 * batch, tries again every JOURNAL_RETRY_US, and reports journal_trouble until it succeeds; later
 * batches queue behind it, so nothing is lost and order is kept. The driver stops granting
 * meanwhile.
 *
 * Invariants: one journal per store file, held by an exclusive lock beside it; replay yields
 * records in the order of their batches; a batch is there as a whole or not at all.
 *
 * Beside the records, the store keeps the ledger: a row for each settlement, written with it. What
 * it tells is asked through usage.h, which no other thread needs to wait for.
 *
 * All functions are for one thread (the loop's) but the callback of journal_start. May depend on
 * src/base and the headers policy.h and record.h of src/core.
 */
#ifndef SLUICE_JOURNAL_JOURNAL_H
#define SLUICE_JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/record.h"

#define JOURNAL_RETRY_US        INT64_C(500000)
#define JOURNAL_BATCH_BYTES_MAX (64u << 20)
#define JOURNAL_SCHEMA_VERSION  8

enum durability { DURABILITY_FULL, DURABILITY_PROCESS, DURABILITY_NONE };

struct journal;

struct journal_options {
    const char *path; /* the store file; unused with DURABILITY_NONE */
    enum durability durability;
};

/* Opens or creates the store: takes the lock, checks integrity and schema version, migrates older
 * ones. 0, or ERR_STORE_IN_USE, ERR_STORE_NEWER, ERR_STORE_DAMAGED, ERR_STORE_FAILED, ERR_NO_MEMORY
 * with a sentence in `why` that says what to do. */
int journal_open(const struct journal_options *options, struct journal **journal, struct buf *why);

/* Gives every stored record to `each` in order; stops at its first non-zero result and returns it.
 * Values (record_is_value) come first. A row that cannot be decoded is ERR_STORE_DAMAGED with its
 * number in `why`. Before journal_start only. The newest at_us seen is a time that has passed. */
int journal_replay(struct journal *journal, int (*each)(void *ctx, const struct record *record),
                   void *ctx, struct buf *why);

/* Starts the worker. `progress` is called from the worker's thread after each batch that became
 * durable and at each change between failing and well; it may only do what is safe there
 * (a write to an eventfd). 0 or ERR_NO_MEMORY, ERR_INTERNAL. */
int journal_start(struct journal *journal, void (*progress)(void *ctx), void *ctx);

/* Copies a record into the gathering batch. 0, ERR_NO_MEMORY, or ERR_OVER_CAP; the batch is as it
 * was on failure. */
int journal_append(struct journal *journal, const struct record *record);

/* Hands the gathering batch to the worker, if it is not empty, and returns the number of the newest
 * batch handed over. A reply may leave once journal_durable() has reached the number returned after
 * its records were appended. While the worker is busy, further batches merge into one. */
uint64_t journal_commit(struct journal *journal);

/* The number of the newest durable batch. */
uint64_t journal_durable(const struct journal *journal);

/* ERR_NONE, or ERR_STORE_FAILED with the store's own words in `why` while the journal is failing.
 */
int journal_trouble(struct journal *journal, struct buf *why);

/* Lets records older than this go, and counters that expired before it; done piecemeal, with later
 * batches or when idle, and not before all that was appended until now is durable: what made the
 * beginning of a lease old may be its end. A counter is judged by the value that is stored, so one
 * that was written again with a later expires_us stays. */
void journal_prune(struct journal *journal, int64_t horizon_us);

/* Lets the ledger's rows older than this go, by whole hours and piecemeal. They tell of the past
 * alone: nothing that is to come depends on them. */
void journal_prune_ledger(struct journal *journal, int64_t horizon_us);

/* The stored counter of the key in `record` (limit, resource, scope_key; see core_missing), from a
 * durable batch or one still under way: fills the rest in, where `found`. Texts of the result are
 * those of the key, and `counts` is valid until the next call or commit. 0, or ERR_STORE_FAILED or
 * ERR_STORE_DAMAGED: then nobody knows how much was used. Reads on a connection of its own, which
 * no writer holds up, and waits for a file that is locked against reading no longer than the loop
 * can afford. */
int journal_counter(struct journal *journal, struct record *record, bool *found);

/* The store's file, for usage.h; NULL with DURABILITY_NONE. Valid until journal_close. */
const char *journal_path(const struct journal *journal);

struct journal_stats {
    uint64_t batches;
    uint64_t records;
    uint64_t rows;         /* of leases' records in the store, as last counted */
    uint64_t pruned;       /* rows, those of counters included */
    int64_t commit_us_sum; /* time spent in commits */
    int64_t commit_us_max; /* since the last call */
    uint64_t failures;
    int64_t file_bytes;
};

void journal_stats(struct journal *journal, struct journal_stats *stats);

/* Waits until everything handed over is durable (or gives up while failing), and closes. 0, or
 * ERR_STORE_FAILED where something could not be written. `journal` may be NULL. */
int journal_close(struct journal *journal);

#endif
