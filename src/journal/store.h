/*
 * The store: the SQLite file, written by one transaction at a time.
 *
 * It has two connections: one that writes, used by one thread at a time (first the loop's for
 * opening and replay, then the worker's), and one that looks up single counters, for the loop's
 * thread. In WAL mode the second never waits for the first.
 *
 * The WAL is bounded: the worker has it copied into the file when it is long (wal.h), or when there
 * is nothing else to do (store_tidy). The file is bounded by pruning: freed pages are used again,
 * and given back to the file system when most are free.
 *
 * With the records go the rows of the ledger that they make (clerk.h).
 *
 * May depend on src/base, core/record.h and the other headers here.
 */
#ifndef SLUICE_JOURNAL_STORE_H
#define SLUICE_JOURNAL_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/record.h"
#include "journal/backlog.h"
#include "journal/journal.h"
#include "journal/wal.h"

#define STORE_CHECK_BYTES_MAX    INT64_C(268435456) /* a larger file is checked as it is replayed */
#define STORE_PRUNE_SHEETS_MAX   200                /* of records, looked at in one step */
#define STORE_PRUNE_COUNTERS_MAX 2000               /* that go in one step */
#define STORE_FREE_PAGES_MAX     1000               /* kept for reuse, and up to half of the file */

struct store;

/* As journal_open. */
int store_open(const char *path, enum durability durability, struct store **store, struct buf *why);
void store_close(struct store *store);

/* As journal_replay. */
int store_replay(struct store *store, int (*each)(void *ctx, const struct record *record),
                 void *ctx, struct buf *why);

/* Writes the next `count` records of the cursor as one transaction, durable on return. The cursor
 * moves on only on success. 0 or ERR_STORE_FAILED, and store_words says why. */
int store_write(struct store *store, struct backlog_cursor *cursor, uint64_t count);

const char *store_path(const struct store *store);

/* The store's own words for its last failure. */
const char *store_words(const struct store *store);

/* Looks up the counter that `record` names and fills in its value, whose text is valid until the
 * next call. For the loop's thread. 0 with `found`, or ERR_STORE_FAILED or ERR_STORE_DAMAGED. */
int store_counter(struct store *store, struct record *record, bool *found);

/* One step of letting rows older than the horizon go, and counters that expired before it; `more`
 * says whether another step may find some. 0 or ERR_STORE_FAILED; what had gone before that is
 * counted in `pruned`. */
int store_prune(struct store *store, int64_t horizon_us, uint64_t *pruned, bool *more);

/* The same for the ledger's hours that ended before its own horizon. */
int store_prune_ledger(struct store *store, int64_t horizon_us, uint64_t *pruned, bool *more);

/* What stands between the commits and the file; the store's. */
struct wal *store_wal(struct store *store);

/* For when there is nothing else to do: gives free pages of the file back where they are most of
 * it, a step at a time; `more` says whether there is more to give. At the end the WAL is copied
 * into the file. */
void store_tidy(struct store *store, bool *more);

/* Rows of leases' records in the store; -1 until store_replay or store_count has counted them. */
int64_t store_rows(const struct store *store);
int store_count(struct store *store);

/* The bytes of the file and its WAL. */
int64_t store_bytes(const struct store *store);

#endif
