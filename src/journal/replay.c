#include "journal/replay.h"

#include "journal/row.h"
#include "journal/schema.h"

#define WORDS_LEN_MAX 256

/* What is wrong with a row, or with SQLite if it had no memory for it. */
static int row_trouble(const struct replay *r, const char *table, int64_t row, const char *problem)
{
    char words[WORDS_LEN_MAX];
    if (sqlite3_errcode(r->db) == SQLITE_NOMEM) {
        return schema_trouble(r->db, SQLITE_NOMEM, r->path, r->why);
    }
    sqlite3_snprintf(sizeof(words), words, "row %lld of table %s: %s", row, table, problem);
    return schema_damaged(r->path, words, r->why);
}

/* A table of values. */
struct values {
    const char *table;
    const char *sql;
    const char *(*read)(sqlite3_stmt *stmt, struct record *record);
};

static const struct values all_values[] = {
    {"learned", ROW_SELECT_LEARNED, row_read_learned},
    {"health", ROW_SELECT_HEALTH, row_read_health},
    {"counter", ROW_SELECT_COUNTERS, row_read_counter},
};

/* Gives what the statement's row says; `values` says how, and is NULL for a sheet. */
typedef int replay_row_fn(struct replay *r, const struct values *values, sqlite3_stmt *stmt,
                          int64_t nth);

static int replay_value(struct replay *r, const struct values *values, sqlite3_stmt *stmt,
                        int64_t nth)
{
    struct record record;
    const char *problem = values->read(stmt, &record);
    return problem ? row_trouble(r, values->table, nth, problem) : r->each(r->ctx, &record);
}

static int replay_sheet(struct replay *r, const struct values *values, sqlite3_stmt *stmt,
                        int64_t nth)
{
    struct sheet *sheet = r->sheet;
    struct sheet_row row;
    size_t at = 0;
    bool more = true;
    const char *problem = row_read_sheet(stmt, &row, sheet);
    int code = 0;
    (void)values, (void)nth;
    while (!problem && code == 0 && more) {
        struct record record;
        problem = sheet_next(sheet, &at, &record, &more);
        code = problem ? 0 : r->each(r->ctx, &record);
    }
    if (!problem && code == 0 &&
        (sheet->records_n != row.records_n || sheet->emitted_us != row.emitted_us ||
         sheet->exact != row.exact)) {
        problem = "it does not say of its records what they are";
    }
    r->rows += sheet->records_n;
    return problem ? row_trouble(r, "sheet", sqlite3_column_int64(stmt, 0), problem) : code;
}

/* Gives every row of a statement to those whom it concerns. */
static int replay_rows(struct replay *r, const char *sql, replay_row_fn *give,
                       const struct values *values)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(r->db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK) {
        return schema_trouble(r->db, rc, r->path, r->why);
    }
    int code = 0;
    for (int64_t nth = 1; code == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW; nth++) {
        code = give(r, values, stmt, nth);
    }
    if (code == 0 && rc != SQLITE_DONE) {
        code = schema_trouble(r->db, rc, r->path, r->why);
    }
    sqlite3_finalize(stmt);
    return code;
}

int replay_all(struct replay *r)
{
    int rc = 0;
    r->rows = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(all_values) / sizeof(all_values[0]); i++) {
        rc = replay_rows(r, all_values[i].sql, replay_value, &all_values[i]);
    }
    return rc == 0 ? replay_rows(r, ROW_SELECT_SHEETS, replay_sheet, NULL) : rc;
}
