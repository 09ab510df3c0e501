#include "journal/expiry.h"

#include "base/num.h"
#include "journal/bind.h"

static const char *const statement_sql[EXPIRY_STATEMENTS] = {
    [EXPIRY_INSERT] =
        "INSERT INTO expiry (lease, first_seq, last_lease, last_seq) VALUES (?, ?, ?, ?)",
    [EXPIRY_FIND] = "SELECT entry.seq, entry.at_us FROM expiry CROSS JOIN entry ON entry.seq "
                    "BETWEEN expiry.first_seq AND expiry.last_seq WHERE expiry.lease BETWEEN ?1 "
                    "AND ?2 AND expiry.last_lease >= ?2 AND entry.lease = ?2 AND "
                    "CASE WHEN json_valid(entry.facts) THEN entry.facts ->> 0 = 'expired' END "
                    "ORDER BY entry.seq DESC LIMIT 1",
};

int expiries_prepare(struct expiries *e, sqlite3 *db)
{
    return bind_prepare(db, statement_sql, e->statements, EXPIRY_STATEMENTS);
}

void expiries_release(struct expiries *e)
{
    bind_release(e->statements, EXPIRY_STATEMENTS);
}

void expiries_forget(struct expiries *e)
{
    e->open_n = 0;
    e->next = 0;
}

static int write_run(struct expiries *e, const struct expiry_run *run)
{
    struct binder b = {.stmt = e->statements[EXPIRY_INSERT]};
    bind_i64(&b, run->lease);
    bind_i64(&b, run->first_seq);
    bind_i64(&b, run->last_lease);
    bind_i64(&b, run->last_seq);
    return b.rc == SQLITE_OK ? bind_run(b.stmt) : b.rc;
}

int expiries_write(struct expiries *e)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; i < e->open_n && rc == SQLITE_OK; i++) {
        rc = write_run(e, &e->open[i]);
    }
    expiries_forget(e);
    return rc;
}

/* Makes a run longer by a row, where it stays short enough. */
static bool try_extend(struct expiry_run *run, int64_t lease, int64_t seq)
{
    int64_t first = min_i64(run->lease, lease);
    int64_t last = max_i64(run->last_lease, lease);
    if (sub_sat(last, first) >= EXPIRY_LEASES_MAX || seq - run->first_seq >= EXPIRY_ROWS_MAX) {
        return false;
    }
    run->lease = first;
    run->last_lease = last;
    run->last_seq = seq;
    return true;
}

int expiries_note(struct expiries *e, uint64_t number, int64_t seq)
{
    int64_t lease = (int64_t)number;
    for (size_t i = 0; i < e->open_n; i++) {
        if (try_extend(&e->open[i], lease, seq)) {
            return SQLITE_OK;
        }
    }
    struct expiry_run *run = &e->open[e->next];
    int rc = SQLITE_OK;
    if (e->open_n < EXPIRY_OPEN_MAX) {
        run = &e->open[e->open_n++];
    } else {
        rc = write_run(e, run);
        e->next = (e->next + 1) % EXPIRY_OPEN_MAX;
    }
    *run = (struct expiry_run){lease, lease, seq, seq};
    return rc;
}

int expiries_find(struct expiries *e, uint64_t number, int64_t *seq, int64_t *at_us)
{
    struct binder b = {.stmt = e->statements[EXPIRY_FIND]};
    bind_i64(&b, sub_sat((int64_t)number, EXPIRY_LEASES_MAX - 1));
    bind_i64(&b, (int64_t)number);
    int rc = b.rc == SQLITE_OK ? sqlite3_step(b.stmt) : b.rc;
    if (rc == SQLITE_ROW) {
        *seq = sqlite3_column_int64(b.stmt, 0);
        *at_us = sqlite3_column_int64(b.stmt, 1);
    }
    int reset = sqlite3_reset(b.stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? reset : rc;
}
