/*
 * Where the ledger's rows of expiries are, for late settlements to find them: the table `expiry`.
 *
 * An index would have an entry for each lease. But leases expire about in the order in which they
 * began, and most late words never come. So what is written is the run: the numbers of leases that
 * expired one after the other, from the first to the last, and of the rows of the ledger among
 * which theirs are. A run is no promise: others' leases lie between those numbers, and others' rows
 * between those rows. Whoever looks for a lease looks at the rows of all runs that may have it, and
 * a run is short (EXPIRY_LEASES_MAX, EXPIRY_ROWS_MAX), so that these are few.
 *
 * Several runs are open at once, since leases of different lengths expire side by side.
 *
 * Most late words come soon, so the newest expiries are remembered in memory too, one for each
 * remainder of the leases' numbers: a hint, which row to look at first. It may be wrong: the row
 * was never committed, was pruned, or has been taken back. So the row itself is asked whether it is
 * the one, and where it is not, the runs are looked through.
 *
 * Invariants: of each row of the ledger that is an expiry, lease and number are within one run of
 * the table, or of those that are open. Used by the worker's thread. Knows SQLite; depends on
 * src/base.
 */
#ifndef SLUICE_JOURNAL_EXPIRY_H
#define SLUICE_JOURNAL_EXPIRY_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#define EXPIRY_LEASES_MAX 256 /* from the first number of a run to the last */
#define EXPIRY_ROWS_MAX   64
#define EXPIRY_OPEN_MAX   8
#define EXPIRY_HINTS      4096 /* 64 KiB */

enum expiry_statement { EXPIRY_INSERT, EXPIRY_FIND, EXPIRY_LOOK, EXPIRY_STATEMENTS };

/* Numbers of leases have 64 bits without a sign, kept as SQLite's signed ones. */
struct expiry_run {
    int64_t lease, last_lease;
    int64_t first_seq, last_seq; /* of the ledger's rows */
};

struct expiry_hint {
    uint64_t lease;
    int64_t seq; /* 0: none */
};

struct expiries {
    sqlite3_stmt *statements[EXPIRY_STATEMENTS];
    struct expiry_run open[EXPIRY_OPEN_MAX];
    size_t open_n;
    size_t next;                            /* the one that is closed where another has no room */
    struct expiry_hint hints[EXPIRY_HINTS]; /* by the lease's number */
};

/* Makes the statements ready. An SQLite result code. */
int expiries_prepare(struct expiries *expiries, sqlite3 *db);
void expiries_release(struct expiries *expiries);

/* Notes that a lease's expiry is in a row, the newest so far. Inside a transaction. An SQLite code.
 */
int expiries_note(struct expiries *expiries, uint64_t lease, int64_t seq);

/* Writes the runs that are open, before the commit. An SQLite code. */
int expiries_write(struct expiries *expiries);

/* What was noted in this transaction is not there: it was not committed. */
void expiries_forget(struct expiries *expiries);

/* The number and time of the row of a lease's expiry, of those that were written; left as they are
 * where there is none. An SQLite code. */
int expiries_find(struct expiries *expiries, uint64_t lease, int64_t *seq, int64_t *at_us);

#endif
