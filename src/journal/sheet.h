/*
 * Sheets: some records in their order as one text, which is one row of the store.
 *
 * A row with a column for each member of a record costs more to write than all else that is done
 * for a lease. So the records of a batch are written down by the sheet, as JSON that people can
 * read: an array with an array for each record, of its numbers and then its texts, in the order of
 * the columns of the view `record` (schema.c) but for `seq`. The view takes them apart again. The
 * last three, what was advised, are written only where it was not that all is done.
 *
 * A sheet knows when its last record was emitted, by which pruning goes (store.c). A RENEW does not
 * say when; it was emitted before the moment to which it prolongs the lease.
 *
 * Nothing in a store file is believed: each record is checked as it is read (row_problem).
 *
 * May depend on src/base, core/record.h and row.h. Knows no SQLite.
 */
#ifndef SLUICE_JOURNAL_SHEET_H
#define SLUICE_JOURNAL_SHEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/record.h"

#define SHEET_BYTES     1880  /* then it is full: two fit one page of the file */
#define SHEET_BYTES_MAX 16384 /* a full one, but for one byte, and the largest record */

struct sheet {
    int64_t records_n;
    int64_t emitted_us; /* when the last record was emitted … */
    bool exact;         /* … or, where this is false, at the latest */
    size_t len;
    char text[SHEET_BYTES_MAX];
};

/* An empty sheet, to be written on. */
void sheet_begin(struct sheet *sheet);

/* Writes a record down that row_problem has found nothing wrong with. Not on a full sheet. */
void sheet_add(struct sheet *sheet, const struct record *record);
bool sheet_full(const struct sheet *sheet);

/* Ends the text, once, after its last record. */
void sheet_end(struct sheet *sheet);

/* Makes a sheet of a text that is to be read. False where it is too long. */
bool sheet_take(struct sheet *sheet, struct text text);

/* Reading: `at` starts at 0. The texts of the record are on the sheet, where they are changed in
 * place, so that it can be read once. Returns NULL or what is wrong, a clause for people; `*more`
 * is false where there is no other record. Counts what was read in records_n, and says of the last
 * one when it was emitted. */
const char *sheet_next(struct sheet *sheet, size_t *at, struct record *record, bool *more);

#endif
