/*
 * Rows: a record as bound to an SQLite statement, and a record as read back and checked.
 *
 * Nothing in a store file is believed: every column's type and range is checked as it is read,
 * because the file may have been changed by hand or by a failing disk. The same check guards
 * what is written, so that no record is stored that could not be read back.
 *
 * May depend on src/base and core/record.h. Knows SQLite.
 */
#ifndef SLUICE_JOURNAL_ROW_H
#define SLUICE_JOURNAL_ROW_H

#include <sqlite3.h>
#include <stdbool.h>

#include "core/record.h"

/* The last microsecond of the year 9999. */
#define ROW_TIME_US_MAX INT64_C(253402300799999999)

/* NULL, or what is wrong with a record: a clause for people. */
const char *row_problem(const struct record *record);

/* Inserts one record, or several at once: what a statement costs beside its rows is a quarter of a
 * row. `nth` counts from 0. */
#define ROW_TUPLE    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define ROW_TUPLES_4 ROW_TUPLE "," ROW_TUPLE "," ROW_TUPLE "," ROW_TUPLE
#define ROW_INSERT                                                                                 \
    "INSERT INTO record (kind, at_us, lease, requests, tokens, input_tokens, output_tokens, "      \
    "slots, usd_pico, expires_us, priority, attempt, waited_us, late, parent, resource, tenant, "  \
    "session, labels, id, skew_us, route, step) VALUES "
#define ROW_INSERT_1  ROW_INSERT ROW_TUPLE
#define ROW_INSERT_4  ROW_INSERT ROW_TUPLES_4
#define ROW_INSERT_16 ROW_INSERT_4 "," ROW_TUPLES_4 "," ROW_TUPLES_4 "," ROW_TUPLES_4
int row_bind_record(sqlite3_stmt *stmt, int nth, const struct record *record);

#define ROW_UPSERT_COUNTER                                                                         \
    "INSERT INTO counter (resource, limit_name, scope_key, at_us, expires_us, period_us, used, "   \
    "level, since_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET at_us = "       \
    "excluded.at_us, "                                                                             \
    "expires_us = excluded.expires_us, period_us = excluded.period_us, used = excluded.used, "     \
    "level = excluded.level, since_us = excluded.since_us"
int row_bind_counter(sqlite3_stmt *stmt, const struct record *record);

/* Each of these fills in a record from the current row, whose texts are valid until the next step
 * of the statement, and returns NULL or what is wrong with the row. */
#define ROW_SELECT_RECORDS                                                                         \
    "SELECT kind, at_us, lease, requests, tokens, input_tokens, output_tokens, slots, usd_pico, "  \
    "expires_us, priority, attempt, waited_us, late, parent, resource, tenant, session, labels, "  \
    "id, skew_us, route, step, seq FROM record ORDER BY seq"
#define ROW_COLUMN_SEQ 23
const char *row_read_record(sqlite3_stmt *stmt, struct record *record);

#define ROW_SELECT_COUNTERS                                                                        \
    "SELECT at_us, expires_us, period_us, used, level, since_us, resource, limit_name, scope_key " \
    "FROM counter"
#define ROW_SELECT_COUNTER                                                                         \
    "SELECT at_us, expires_us, period_us, used, level, since_us FROM counter "                     \
    "WHERE resource = ? AND limit_name = ? AND scope_key = ?"
const char *row_read_counter(sqlite3_stmt *stmt, struct record *record);

/* Fills in the value of a counter whose key `record` has already; for ROW_SELECT_COUNTER. */
int row_bind_counter_key(sqlite3_stmt *stmt, const struct record *record);
const char *row_read_counter_value(sqlite3_stmt *stmt, struct record *record);

#endif
