#include "journal/bind.h"

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
