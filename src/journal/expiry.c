#include "journal/expiry.h"

#include <stdbool.h>
#include <string.h>

#include "base/num.h"
#include "journal/bind.h"

/* A row whose text was damaged is no expiry, and does not stop the statement. */
#define IS_EXPIRY "CASE WHEN json_valid(entry.facts) THEN entry.facts ->> 0 = 'expired' END"

static const char *const statement_sql[EXPIRY_STATEMENTS] = {
    [EXPIRY_INSERT] =
        "INSERT INTO expiry (lease, first_seq, last_lease, last_seq) VALUES (?, ?, ?, ?)",
    [EXPIRY_FIND] = "SELECT entry.seq, entry.at_us FROM expiry CROSS JOIN entry ON entry.seq "
                    "BETWEEN expiry.first_seq AND expiry.last_seq WHERE expiry.lease BETWEEN ?1 "
                    "AND ?2 AND expiry.last_lease >= ?2 AND entry.lease = ?2 AND " IS_EXPIRY
                    " ORDER BY entry.seq DESC LIMIT 1",
    [EXPIRY_LOOK] =
        ("SELECT seq, at_us FROM entry WHERE seq = ?1 AND entry.lease = ?2 AND " IS_EXPIRY),
};

int expiries_prepare(struct expiries *e, sqlite3 *db)
{
    memset(e->hints, 0, sizeof(e->hints));
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

static struct expiry_hint *hint_of(struct expiries *e, uint64_t lease)
{
    return &e->hints[lease % EXPIRY_HINTS];
}

int expiries_note(struct expiries *e, uint64_t number, int64_t seq)
{
    int64_t lease = (int64_t)number;
    *hint_of(e, number) = (struct expiry_hint){number, seq};
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

/* Steps a statement whose values are bound, for its only row. */
static int take_row(struct binder *b, bool *found, int64_t *seq, int64_t *at_us)
{
    int rc = b->rc == SQLITE_OK ? sqlite3_step(b->stmt) : b->rc;
    *found = rc == SQLITE_ROW;
    if (*found) {
        *seq = sqlite3_column_int64(b->stmt, 0);
        *at_us = sqlite3_column_int64(b->stmt, 1);
    }
    int reset = sqlite3_reset(b->stmt);
    return *found || rc == SQLITE_DONE ? reset : rc;
}

/* The row that the hint names, where it is what the hint says. */
static int look(struct expiries *e, const struct expiry_hint *hint, bool *found, int64_t *seq,
                int64_t *at_us)
{
    struct binder b = {.stmt = e->statements[EXPIRY_LOOK]};
    bind_i64(&b, hint->seq);
    bind_i64(&b, (int64_t)hint->lease);
    return take_row(&b, found, seq, at_us);
}

int expiries_find(struct expiries *e, uint64_t number, int64_t *seq, int64_t *at_us)
{
    const struct expiry_hint *hint = hint_of(e, number);
    bool found = false;
    int rc = hint->lease == number ? look(e, hint, &found, seq, at_us) : SQLITE_OK;
    if (rc != SQLITE_OK || found) {
        return rc;
    }
    struct binder b = {.stmt = e->statements[EXPIRY_FIND]};
    bind_i64(&b, sub_sat((int64_t)number, EXPIRY_LEASES_MAX - 1));
    bind_i64(&b, (int64_t)number);
    return take_row(&b, &found, seq, at_us);
}
