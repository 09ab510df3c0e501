/*
 * The schema of the store: its version, and the steps that lead from each version to the next.
 *
 * A store says what it is by SQLite's application_id and which version it has by user_version.
 * An empty file is version 0. To change the schema, add one row to schema_steps and raise
 * JOURNAL_SCHEMA_VERSION. Knows SQLite; depends on src/base and journal.h.
 */
#ifndef SLUICE_JOURNAL_SCHEMA_H
#define SLUICE_JOURNAL_SCHEMA_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define SCHEMA_APPLICATION_ID 0x736c7563 /* "sluc" */
#define SCHEMA_WORD_MAX       256

/* schema_steps[v] is the SQL that makes version v + 1 of version v. */
extern const char *const schema_steps[];
extern const size_t schema_steps_n;

/* Reads which version the open database `path` has, and changes nothing. 0, or ERR_STORE_NEWER
 * where it is above `newest`, ERR_STORE_DAMAGED, ERR_STORE_FAILED, ERR_NO_MEMORY with a sentence in
 * `why`. */
int schema_version(sqlite3 *db, const char *path, size_t newest, size_t *version, struct buf *why);

/* Brings the database from `version` up to version `steps_n`, in one transaction. */
int schema_migrate(sqlite3 *db, const char *path, size_t version, const char *const *steps,
                   size_t steps_n, struct buf *why);

/* Runs `sql`, which yields one number. An SQLite result code. */
int schema_number(sqlite3 *db, const char *sql, sqlite3_int64 *number);

/* Says in `why` what SQLite says is wrong with the store at `path` and what to do, and returns the
 * project's code for it. */
int schema_trouble(sqlite3 *db, int sqlite_rc, const char *path, struct buf *why);

/* ERR_STORE_DAMAGED, with the remedy. */
int schema_damaged(const char *path, const char *words, struct buf *why);

/* Runs a pragma that answers with a word, of which as much as fits is kept. 0, or the error with a
 * sentence in `why`. */
int schema_word(sqlite3 *db, const char *path, const char *sql, char word[SCHEMA_WORD_MAX],
                struct buf *why);

/* Reads through the whole structure of the file. Replay reads every row of a large file anyway and
 * meets the same damage, so there (not `whole`) only the counters are checked, which are looked up
 * later. */
int schema_check(sqlite3 *db, const char *path, bool whole, struct buf *why);

#endif
