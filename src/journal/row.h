/*
 * Rows: a value (record_is_value) or a sheet of records as bound to an SQLite statement, and as
 * read back and checked.
 *
 * Nothing in a store file is believed: every column's type and range is checked as it is read,
 * because the file may have been changed by hand or by a failing disk. The same check guards
 * what is written, so that no record is stored that could not be read back.
 *
 * May depend on src/base, core/record.h and sheet.h. Knows SQLite.
 */
#ifndef SLUICE_JOURNAL_ROW_H
#define SLUICE_JOURNAL_ROW_H

#include <sqlite3.h>
#include <stdbool.h>

#include "core/record.h"
#include "journal/sheet.h"

/* The last microsecond of the year 9999. */
#define ROW_TIME_US_MAX INT64_C(253402300799999999)

/* No store lives long enough to number a record beyond this. */
#define ROW_SEQ_MAX (INT64_C(1) << 62)

/* NULL, or what is wrong with a record: a clause for people. */
const char *row_problem(const struct record *record);

#define ROW_INSERT_SHEET                                                                           \
    "INSERT INTO sheet (seq, records_n, emitted_us, exact, records) VALUES (?, ?, ?, ?, ?)"
int row_bind_sheet(sqlite3_stmt *stmt, int64_t seq, const struct sheet *sheet);

#define ROW_UPSERT_COUNTER                                                                         \
    "INSERT INTO counter (resource, limit_name, scope_key, at_us, expires_us, period_us, used, "   \
    "level, since_us, counts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "    \
    "at_us = excluded.at_us, "                                                                     \
    "expires_us = excluded.expires_us, period_us = excluded.period_us, used = excluded.used, "     \
    "level = excluded.level, since_us = excluded.since_us, counts = excluded.counts"
#define ROW_REPLACE_HEALTH                                                                         \
    "REPLACE INTO health (resource, at_us, expires_us, state, why, reason, since_us, until_us, "   \
    "refusals, breaks, rate_ppm, after_ppm, growth_ppm, rate_at_us, next_us, incident_us, "        \
    "cool_us, probe) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define ROW_REPLACE_LEARNED                                                                        \
    "REPLACE INTO learned (resource, limit_name, at_us, expires_us, told, told_by, guard_us, "     \
    "guard_at_us, slots_milli, doubling_upto, counts, per_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, " \
    "?, ?, ?)"
int row_bind_value(sqlite3_stmt *stmt, const struct record *record);

/* What a row of the table says of its sheet, beside the records. */
struct sheet_row {
    int64_t seq;
    int64_t records_n;
    int64_t emitted_us;
    bool exact;
};

/* Takes the current row's text onto the sheet, for sheet_next. NULL, or what is wrong with the row.
 */
#define ROW_SELECT_SHEETS                                                                          \
    "SELECT seq, records_n, emitted_us, exact, records FROM sheet ORDER BY seq"
const char *row_read_sheet(sqlite3_stmt *stmt, struct sheet_row *row, struct sheet *sheet);

/* Each of these fills in a record from the current row, whose texts are valid until the next step
 * of the statement, and returns NULL or what is wrong with the row. */
#define ROW_SELECT_COUNTERS                                                                        \
    "SELECT at_us, expires_us, period_us, used, level, since_us, counts, resource, limit_name, "   \
    "scope_key FROM counter"
#define ROW_SELECT_COUNTER                                                                         \
    "SELECT at_us, expires_us, period_us, used, level, since_us, counts FROM counter "             \
    "WHERE resource = ? AND limit_name = ? AND scope_key = ?"
const char *row_read_counter(sqlite3_stmt *stmt, struct record *record);

#define ROW_SELECT_HEALTH                                                                          \
    "SELECT resource, at_us, expires_us, state, why, reason, since_us, until_us, refusals, "       \
    "breaks, rate_ppm, after_ppm, growth_ppm, rate_at_us, next_us, incident_us, cool_us, probe "   \
    "FROM health"
const char *row_read_health(sqlite3_stmt *stmt, struct record *record);

#define ROW_SELECT_LEARNED                                                                         \
    "SELECT resource, limit_name, at_us, expires_us, told, told_by, guard_us, guard_at_us, "       \
    "slots_milli, doubling_upto, counts, per_us FROM learned"
const char *row_read_learned(sqlite3_stmt *stmt, struct record *record);

/* Fills in the value of a counter whose key `record` has already; for ROW_SELECT_COUNTER. */
int row_bind_counter_key(sqlite3_stmt *stmt, const struct record *record);
const char *row_read_counter_value(sqlite3_stmt *stmt, struct record *record);

#endif
