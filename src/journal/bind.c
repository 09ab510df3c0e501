#include "journal/bind.h"

int bind_prepare(sqlite3 *db, const char *const *sql, sqlite3_stmt **statements, int n)
{
    int rc = SQLITE_OK;
    for (int i = 0; i < n && rc == SQLITE_OK; i++) {
        rc = sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL);
    }
    return rc;
}

void bind_release(sqlite3_stmt **statements, int n)
{
    for (int i = 0; i < n; i++) {
        sqlite3_finalize(statements[i]);
        statements[i] = NULL;
    }
}

static void note(struct binder *b, int rc)
{
    b->rc = b->rc == SQLITE_OK ? rc : b->rc;
}

void bind_i64(struct binder *b, int64_t n)
{
    note(b, sqlite3_bind_int64(b->stmt, ++b->at, n));
}

void bind_i64_or_null(struct binder *b, int64_t n)
{
    note(b, n ? sqlite3_bind_int64(b->stmt, ++b->at, n) : sqlite3_bind_null(b->stmt, ++b->at));
}

void bind_text(struct binder *b, struct text t)
{
    note(b, sqlite3_bind_text(b->stmt, ++b->at, t.len ? t.at : "", (int)t.len, SQLITE_STATIC));
}

void bind_text_or_null(struct binder *b, struct text t)
{
    if (t.len) {
        bind_text(b, t);
    } else {
        note(b, sqlite3_bind_null(b->stmt, ++b->at));
    }
}

int bind_run(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    int reset = sqlite3_reset(stmt);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? reset : rc;
}
