/*
 * The sums of the ledger's rows by hour and by who used what: the table usage_hour.
 *
 * A row of the ledger does not repeat its names: it has the number of its sums, which have them
 * (usage_hour.id). So sums are in the file before the first row that belongs to them, and are
 * forgotten after the last. The newest are kept in memory from one transaction to the next, with
 * what they stand at: a row is added to them here, and what has changed in a transaction is written
 * once, before its commit.
 *
 * An hour's sum stays at LEDGER_SUM_MAX: usage comes from outside, and a sum that overflowed would
 * stop the journal.
 *
 * Invariants: what is kept and has not changed is what the file has, since one thread alone writes
 * both. Used by the worker's thread. Knows SQLite; depends on src/base and core/record.h.
 */
#ifndef SLUICE_JOURNAL_SUMS_H
#define SLUICE_JOURNAL_SUMS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/record.h"

#define LEDGER_SUM_MAX INT64_C(1000000000000000000)
#define SUMS_KEPT      128

/* What is summed up, in the order of the table's columns. */
enum sum {
    SUM_CALLS,
    SUM_ERRORS,
    SUM_EXPIRED,
    SUM_WAITED_US,
    SUM_HELD_US,
    SUM_REQUESTS,
    SUM_TOKENS,
    SUM_PARTS,
    SUM_USD_MILLI = SUM_PARTS + PARTS,
    SUM_USD_REST,
    SUMS
};

enum sums_name { SUMS_RESOURCE, SUMS_ACCOUNT, SUMS_MODEL, SUMS_ROUTE, SUMS_TENANT, SUMS_NAMES };

struct hour_sums {
    int64_t id; /* of the row in usage_hour; 0: nothing is kept here */
    int64_t hour;
    int64_t of[SUMS];
    int64_t first_seq; /* of its rows in the ledger */
    int64_t last_seq;
    struct text names[SUMS_NAMES]; /* in `bytes` */
    char bytes[SUMS_NAMES * NAME_LEN_MAX];
};

enum sums_statement { SUMS_SELECT, SUMS_INSERT, SUMS_UPDATE, SUMS_STATEMENTS };

#define SUMS_WORDS ((SUMS_KEPT + 63) / 64)

struct sums {
    sqlite3_stmt *statements[SUMS_STATEMENTS];
    struct hour_sums kept[SUMS_KEPT]; /* each at the one place that its names and hour give it */
    uint64_t changed[SUMS_WORDS];     /* a bit for each of `kept` */
};

/* Makes the statements ready. An SQLite result code. */
int sums_prepare(struct sums *sums, sqlite3 *db);
void sums_release(struct sums *sums);

/* The sums to which a record's row in an hour belongs; where there are none yet, they are put into
 * the file, of nothing. Valid until the next call, and taken for changed. Inside a transaction. An
 * SQLite code. */
int sums_find(struct sums *sums, const struct record *record, int64_t hour,
              struct hour_sums **found);

static inline void sums_add(struct hour_sums *s, enum sum sum, int64_t n)
{
    int64_t all = s->of[sum] + n; /* the cap is far below what 64 bits hold */
    s->of[sum] = all < LEDGER_SUM_MAX ? all : LEDGER_SUM_MAX;
}

/* Writes what has changed, before the commit. An SQLite code. */
int sums_write(struct sums *sums);

/* Keeps nothing: the transaction was not committed, or the table was changed by other means. */
void sums_forget(struct sums *sums);

#endif
