/*
 * The clerk, who writes the ledger: a row for each call that was settled, or that ended without a
 * word and was charged.
 *
 * A row is written in the transaction of the record that it tells of, and so are the sums of its
 * hour (sums.h): none of the three is ever there without the others. A late settlement takes the
 * place of its lease's expiry, at the expiry's time, since it corrects what was booked then.
 *
 * A column costs more to write than all else that is done for a number. So a row of the table
 * `entry` has columns only for what rows are looked for by: its names are those of its sums, and
 * the rest is one text, a JSON array of the outcome and of numbers (enum ledger_fact), without the
 * zeros at its end. The view `ledger` takes it apart again.
 *
 * What the file cannot be sure to add up is capped in a row (LEDGER_COUNT_MAX tokens, and so on):
 * usage comes from outside, and a sum that overflowed would stop the journal.
 *
 * What it is not for: asking (usage.h). Invariants: between transactions, usage_hour holds the sums
 * of the rows of the ledger, and the numbers of all rows of an hour are within first_seq..last_seq
 * of some row of that hour; both are forgotten by whole hours. Used by the worker's thread alone.
 * Knows SQLite; depends on src/base and core/record.h.
 */
#ifndef SLUICE_JOURNAL_CLERK_H
#define SLUICE_JOURNAL_CLERK_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/record.h"
#include "journal/expiry.h"
#include "journal/sums.h"

#define LEDGER_HOUR_US           INT64_C(3600000000)
#define LEDGER_COUNT_MAX         INT64_C(1000000000000)  /* requests, tokens of a row */
#define LEDGER_TIME_US_MAX       INT64_C(10000000000000) /* waited, held of a row: 115 days */
#define LEDGER_PRUNE_ROWS_MAX    500                     /* of each table, in one step */
#define LEDGER_ROWS_MAX          16                      /* gathered for one statement */
#define LEDGER_SLOTS             21                      /* rows of all statements that insert */
#define LEDGER_PICOUSD_PER_MILLI INT64_C(1000000000)

enum clerk_statement {
    LEDGER_INSERT_1,
    LEDGER_INSERT_4,
    LEDGER_INSERT_16,
    LEDGER_SUBTRACT,
    LEDGER_LAST,
    LEDGER_DROP,
    LEDGER_PRUNE_ROWS,
    LEDGER_PRUNE_HOURS,
    LEDGER_PRUNE_EXPIRIES,
    LEDGER_STATEMENTS
};

/* What the text of a row says, in its order: the outcome, and numbers of which the last are mostly
 * 0, since those are left out. */
enum ledger_fact {
    FACT_OUTCOME,
    FACT_ATTEMPT,
    FACT_REQUESTS,
    FACT_TOKENS,
    FACT_HELD_US,
    FACT_WAITED_US,
    FACT_INPUT,
    FACT_OUTPUT,
    FACT_USD_PICO,
    FACT_CACHE_READ,
    FACT_CACHE_WRITE_5M,
    FACT_CACHE_WRITE_1H,
    FACT_STEP,
    FACT_LATE,
    FACTS
};
#define FACTS_HEAD      "[\""
#define FACTS_BYTES_MAX (16 + FACTS * (TEXT_NUMBER_MAX + 1))

/* A row that is to be written. */
struct ledger_row {
    const struct record *record;
    int64_t seq;
    int64_t given_seq; /* 0: the one that follows the highest */
    int64_t at_us;
    int64_t sums; /* hour_sums.id */
    struct parts parts;
    size_t facts_len;
    char facts[FACTS_BYTES_MAX];
};

/* What a statement's parameters for a row are bound to, of those that hardly change. */
struct ledger_slot {
    int64_t given_seq, sums; /* 0: NULL */
    bool session, labels;    /* false: NULL */
};

/* Rows are gathered for one statement. They lend from the records, which stay where they are for as
 * long. */
struct clerk {
    sqlite3_stmt *statements[LEDGER_STATEMENTS];
    struct ledger_row rows[LEDGER_ROWS_MAX];
    size_t rows_n;
    struct ledger_slot slots[LEDGER_SLOTS]; /* of all statements that insert */
    int64_t next_seq; /* the number of the next row; 0: the file has to be asked */
    struct sums sums;
    struct expiries expiries;
};

/* The words of the table for how a call went, by enum answer_class. */
extern const char *const clerk_outcomes[];

/* Makes the statements ready. An SQLite result code. */
int clerk_prepare(struct clerk *clerk, sqlite3 *db);
void clerk_release(struct clerk *clerk);

/* Books a record of a lease's end; nothing for others. Inside a transaction, until whose end the
 * record stays where it is. An SQLite code. */
int clerk_book(struct clerk *clerk, const struct record *record);

/* Writes what is still gathered of what was booked in this transaction, before the commit. */
int clerk_finish(struct clerk *clerk);

/* What was booked in this transaction is not there: it was not committed. */
void clerk_forget(struct clerk *clerk);

/* One step of forgetting the hours that ended before the horizon. `pruned` counts rows of the
 * ledger; `more` says whether another step may find some. An SQLite code. */
int clerk_prune(struct clerk *clerk, int64_t horizon_us, uint64_t *pruned, bool *more);

#endif
