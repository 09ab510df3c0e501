/*
 * Statements: prepared by tables, their parameters bound one after the other, and run to the end.
 *
 * What it is not for: reading rows, whose columns are not believed (row.h). May depend on
 * src/base/text.h. Knows SQLite.
 */
#ifndef SLUICE_JOURNAL_BIND_H
#define SLUICE_JOURNAL_BIND_H

#include <sqlite3.h>
#include <stdint.h>

#include "base/text.h"

/* Compiles `n` statements that last. Fails with SQLite's code; what was compiled until then is
 * given back by `bind_release`, which may be called for tables of which nothing was compiled, and
 * twice. */
int bind_prepare(sqlite3 *db, const char *const *sql, sqlite3_stmt **statements, int n);
void bind_release(sqlite3_stmt **statements, int n);

/* Remembers the first failure. */
struct binder {
    sqlite3_stmt *stmt;
    int at; /* of the last parameter */
    int rc;
};

/* The bytes of a text stay where they are until the statement was stepped, so SQLite need not copy
 * them. `_or_null`: what is 0 or empty is NULL in the file. */
void bind_i64(struct binder *b, int64_t n);
void bind_i64_or_null(struct binder *b, int64_t n);
void bind_text(struct binder *b, struct text t);
void bind_text_or_null(struct binder *b, struct text t);

/* One step and a reset: SQLITE_OK, or what failed. */
int bind_run(sqlite3_stmt *stmt);

#endif
