/*
 * The clerk, who writes the ledger: a row for each call that was settled, or that ended without a
 * word and was charged.
 *
 * A row is written in the transaction of the record that it tells of, and so are the sums of its
 * hour (usage_hour): none of the three is ever there without the others. A late settlement takes
 * the place of its lease's expiry, at the expiry's time, since it corrects what was booked then.
 *
 * What the file cannot be sure to add up is capped in a row (LEDGER_COUNT_MAX tokens, and so on):
 * usage comes from outside, and a sum that overflowed would stop the journal.
 *
 * What it is not for: asking (usage.h). Invariants: between transactions, usage_hour holds the sums
 * of the rows of the ledger; both are forgotten by whole hours. Used by the worker's thread alone.
 * Knows SQLite; depends on src/base and core/record.h.
 */
#ifndef SLUICE_JOURNAL_CLERK_H
#define SLUICE_JOURNAL_CLERK_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/record.h"

#define LEDGER_HOUR_US        INT64_C(3600000000)
#define LEDGER_COUNT_MAX      INT64_C(1000000000000)       /* requests, tokens of a row */
#define LEDGER_TIME_US_MAX    INT64_C(10000000000000)      /* waited, held of a row: 115 days */
#define LEDGER_SUM_MAX        INT64_C(1000000000000000000) /* an hour's sum stays at this */
#define LEDGER_PRUNE_ROWS_MAX 500                          /* of each table, in one step */

enum clerk_statement {
    LEDGER_INSERT,
    LEDGER_ADD_UP,
    LEDGER_ADD_ONE,
    LEDGER_FIND_EXPIRED,
    LEDGER_DROP,
    LEDGER_LAST,
    LEDGER_PRUNE_ROWS,
    LEDGER_PRUNE_HOURS,
    LEDGER_STATEMENTS
};

struct clerk {
    sqlite3_stmt *statements[LEDGER_STATEMENTS];
    bool known;        /* the two below are the file's */
    int64_t added_seq; /* rows up to here are in their hours' sums */
    int64_t last_seq;  /* the newest row of this transaction, or added_seq */
};

/* Makes the statements ready. An SQLite result code. */
int clerk_prepare(struct clerk *clerk, sqlite3 *db);
void clerk_release(struct clerk *clerk);

/* Books a record of a lease's end; nothing for others. Inside a transaction. An SQLite code. */
int clerk_book(struct clerk *clerk, const struct record *record);

/* Adds what was booked in this transaction to the sums of its hours, before the commit. */
int clerk_add_up(struct clerk *clerk);

/* What was booked in this transaction is not there: it was not committed. */
void clerk_forget(struct clerk *clerk);

/* One step of forgetting the hours that ended before the horizon. `pruned` counts rows of the
 * ledger; `more` says whether another step may find some. An SQLite code. */
int clerk_prune(struct clerk *clerk, int64_t horizon_us, uint64_t *pruned, bool *more);

#endif
