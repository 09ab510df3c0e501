#include "journal/clerk.h"

#include <assert.h>

#include "base/num.h"
#include "core/answer.h"

#define OUTCOME_EXPIRED "expired"

/* The words of the file: they never change, whatever the classes are called elsewhere. */
static const char *const outcomes[] = {
    [ANSWER_OK] = "ok",
    [ANSWER_WAIT] = "wait",
    [ANSWER_SLOW_DOWN] = "slow_down",
    [ANSWER_OVERLOAD] = "overload",
    [ANSWER_DAY_OVER] = "day_over",
    [ANSWER_OUT_OF_MONEY] = "out_of_money",
    [ANSWER_NEVER_FITS] = "never_fits",
    [ANSWER_TOO_LONG] = "too_long",
    [ANSWER_BAD_REQUEST] = "bad_request",
    [ANSWER_AUTH] = "auth",
};

_Static_assert(sizeof(outcomes) / sizeof(outcomes[0]) == ANSWER_CLASSES, "a word for each class");

/* What is in the row already grows, up to a cap. */
#define GROW_SQL                                                                                   \
    "ON CONFLICT DO UPDATE SET "                                                                   \
    "calls = min(1000000000000000000, calls + excluded.calls), "                                   \
    "errors = min(1000000000000000000, errors + excluded.errors), "                                \
    "expired = min(1000000000000000000, expired + excluded.expired), "                             \
    "waited_us = min(1000000000000000000, waited_us + excluded.waited_us), "                       \
    "held_us = min(1000000000000000000, held_us + excluded.held_us), "                             \
    "requests = min(1000000000000000000, requests + excluded.requests), "                          \
    "tokens = min(1000000000000000000, tokens + excluded.tokens), "                                \
    "input = min(1000000000000000000, input + excluded.input), "                                   \
    "cache_read = min(1000000000000000000, cache_read + excluded.cache_read), "                    \
    "cache_write_5m = min(1000000000000000000, cache_write_5m + excluded.cache_write_5m), "        \
    "cache_write_1h = min(1000000000000000000, cache_write_1h + excluded.cache_write_1h), "        \
    "output = min(1000000000000000000, output + excluded.output), "                                \
    "usd_milli = min(1000000000000000000, usd_milli + excluded.usd_milli), "                       \
    "usd_rest = min(1000000000000000000, usd_rest + excluded.usd_rest) "

/* Adds the rows (?1, ?2] to their hours, ?3 times: -1 takes them out again. */
#define ADD_UP_SQL                                                                                 \
    "INSERT INTO usage_hour SELECT at_us / 3600000000, resource, coalesce(account, ''), "          \
    "coalesce(model, ''), coalesce(route, ''), coalesce(tenant, ''), ?3 * count(*), "              \
    "?3 * sum(outcome NOT IN ('ok', 'expired')), ?3 * sum(outcome = 'expired'), "                  \
    "?3 * sum(waited_us), ?3 * sum(held_us), ?3 * sum(requests), ?3 * sum(tokens), "               \
    "?3 * sum(input), ?3 * sum(cache_read), ?3 * sum(cache_write_5m), "                            \
    "?3 * sum(cache_write_1h), ?3 * sum(output), ?3 * sum(usd_pico / 1000000000), "                \
    "?3 * sum(usd_pico % 1000000000) "                                                             \
    "FROM ledger WHERE seq > ?1 AND seq <= ?2 GROUP BY 1, 2, 3, 4, 5, 6 " GROW_SQL

/* The same for the one row ?2, which needs no sorting into groups. */
#define ADD_ONE_SQL                                                                                \
    "INSERT INTO usage_hour SELECT at_us / 3600000000, resource, coalesce(account, ''), "          \
    "coalesce(model, ''), coalesce(route, ''), coalesce(tenant, ''), ?3, "                         \
    "?3 * (outcome NOT IN ('ok', 'expired')), ?3 * (outcome = 'expired'), ?3 * waited_us, "        \
    "?3 * held_us, ?3 * requests, ?3 * tokens, ?3 * input, ?3 * cache_read, "                      \
    "?3 * cache_write_5m, ?3 * cache_write_1h, ?3 * output, ?3 * (usd_pico / 1000000000), "        \
    "?3 * (usd_pico % 1000000000) FROM ledger WHERE seq = ?2 " GROW_SQL

static const char *const statement_sql[LEDGER_STATEMENTS] = {
    [LEDGER_INSERT] =
        "INSERT INTO ledger (at_us, lease, resource, account, model, route, step, tenant, session, "
        "labels, outcome, attempt, late, waited_us, held_us, requests, tokens, input, cache_read, "
        "cache_write_5m, cache_write_1h, output, usd_pico) VALUES "
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [LEDGER_ADD_UP] = ADD_UP_SQL,
    [LEDGER_ADD_ONE] = ADD_ONE_SQL,
    [LEDGER_FIND_EXPIRED] =
        "SELECT seq, at_us FROM ledger WHERE lease = ? AND outcome = 'expired' ORDER BY seq DESC",
    [LEDGER_DROP] = "DELETE FROM ledger WHERE seq = ?",
    [LEDGER_LAST] = "SELECT coalesce(max(seq), 0) FROM ledger",
    [LEDGER_PRUNE_ROWS] = "DELETE FROM ledger WHERE seq IN "
                          "(SELECT seq FROM ledger WHERE at_us < ? ORDER BY at_us LIMIT ?)",
    [LEDGER_PRUNE_HOURS] =
        "DELETE FROM usage_hour WHERE (hour, tenant, resource, account, model, route) IN (SELECT "
        "hour, tenant, resource, account, model, route FROM usage_hour WHERE hour < ? LIMIT ?)",
};

int clerk_prepare(struct clerk *c, sqlite3 *db)
{
    for (int i = 0; i < LEDGER_STATEMENTS; i++) {
        int rc = sqlite3_prepare_v3(db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &c->statements[i], NULL);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    return SQLITE_OK;
}

void clerk_release(struct clerk *c)
{
    for (int i = 0; i < LEDGER_STATEMENTS; i++) {
        sqlite3_finalize(c->statements[i]);
        c->statements[i] = NULL;
    }
}

static int run(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    int reset = sqlite3_reset(stmt);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? reset : rc;
}

/* --- A row. --- */

struct binder {
    sqlite3_stmt *stmt;
    int at;
    int rc;
};

static void bind_i64(struct binder *b, int64_t n)
{
    int rc = sqlite3_bind_int64(b->stmt, ++b->at, n);
    b->rc = b->rc == SQLITE_OK ? rc : b->rc;
}

static void bind_count(struct binder *b, int64_t n)
{
    bind_i64(b, min_i64(n, LEDGER_COUNT_MAX));
}

/* An empty text is NULL; the bytes stay where they are until the statement was stepped. */
static void bind_text(struct binder *b, struct text t)
{
    int rc = t.len ? sqlite3_bind_text(b->stmt, ++b->at, t.at, (int)t.len, SQLITE_STATIC)
                   : sqlite3_bind_null(b->stmt, ++b->at);
    b->rc = b->rc == SQLITE_OK ? rc : b->rc;
}

static void bind_step(struct binder *b, int32_t step)
{
    int rc = step ? sqlite3_bind_int(b->stmt, ++b->at, step) : sqlite3_bind_null(b->stmt, ++b->at);
    b->rc = b->rc == SQLITE_OK ? rc : b->rc;
}

/* Where nobody said which token was which, input and output are told apart as far as they add up.
 */
static struct parts parts_of(const struct record *r)
{
    struct parts parts = {0};
    int64_t input = r->load.of[UNIT_INPUT_TOKENS];
    int64_t output = r->load.of[UNIT_OUTPUT_TOKENS];
    if (r->has_parts) {
        return r->parts;
    }
    if (add_sat(input, output) <= r->load.of[UNIT_TOKENS]) {
        parts.of[PART_INPUT] = input;
        parts.of[PART_OUTPUT] = output;
    }
    return parts;
}

static const char *outcome_of(const struct record *r)
{
    return r->kind == RECORD_EXPIRE ? OUTCOME_EXPIRED : outcomes[r->outcome];
}

static int insert(struct clerk *c, const struct record *r, int64_t at_us)
{
    struct binder b = {.stmt = c->statements[LEDGER_INSERT]};
    struct parts parts = parts_of(r);
    bind_i64(&b, at_us);
    bind_i64(&b, (int64_t)r->lease);
    int rc = sqlite3_bind_text(b.stmt, ++b.at, r->resource.at ? r->resource.at : "",
                               (int)r->resource.len, SQLITE_STATIC);
    b.rc = b.rc == SQLITE_OK ? rc : b.rc;
    bind_text(&b, r->account);
    bind_text(&b, r->model);
    bind_text(&b, r->route);
    bind_step(&b, r->step);
    bind_text(&b, r->tenant);
    bind_text(&b, r->session);
    bind_text(&b, r->labels);
    bind_text(&b, text_of(outcome_of(r)));
    bind_i64(&b, r->attempt);
    bind_i64(&b, r->late);
    bind_i64(&b, min_i64(r->waited_us, LEDGER_TIME_US_MAX));
    bind_i64(&b, min_i64(r->held_for_us, LEDGER_TIME_US_MAX));
    bind_count(&b, r->load.of[UNIT_REQUESTS]);
    bind_count(&b, r->load.of[UNIT_TOKENS]);
    for (int i = 0; i < PARTS; i++) {
        bind_count(&b, parts.of[i]);
    }
    bind_i64(&b, r->load.of[UNIT_USD]);
    if (b.rc == SQLITE_OK) {
        b.rc = run(b.stmt);
    }
    if (b.rc == SQLITE_OK) {
        c->last_seq = sqlite3_last_insert_rowid(sqlite3_db_handle(b.stmt));
    }
    return b.rc;
}

/* --- Sums. --- */

static int add_rows(struct clerk *c, int64_t after_seq, int64_t last_seq, int sign)
{
    bool one = last_seq - after_seq == 1;
    sqlite3_stmt *stmt = c->statements[one ? LEDGER_ADD_ONE : LEDGER_ADD_UP];
    int rc = sqlite3_bind_int64(stmt, 1, after_seq);
    rc = rc == SQLITE_OK ? sqlite3_bind_int64(stmt, 2, last_seq) : rc;
    rc = rc == SQLITE_OK ? sqlite3_bind_int(stmt, 3, sign) : rc;
    return rc == SQLITE_OK ? run(stmt) : rc;
}

int clerk_add_up(struct clerk *c)
{
    if (c->last_seq == c->added_seq) {
        return SQLITE_OK;
    }
    int rc = add_rows(c, c->added_seq, c->last_seq, 1);
    if (rc == SQLITE_OK) {
        c->added_seq = c->last_seq;
    }
    return rc;
}

/* --- Booking. --- */

static int find_last(struct clerk *c)
{
    sqlite3_stmt *stmt = c->statements[LEDGER_LAST];
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        c->added_seq = sqlite3_column_int64(stmt, 0);
        c->last_seq = c->added_seq;
        c->known = true;
        rc = SQLITE_DONE;
    }
    int reset = sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? reset : rc;
}

void clerk_forget(struct clerk *c)
{
    c->known = false;
}

/* Takes the row of a lease's expiry out again, where there is one, and says when it was booked. */
static int take_back(struct clerk *c, const struct record *r, int64_t *at_us)
{
    sqlite3_stmt *find = c->statements[LEDGER_FIND_EXPIRED];
    int64_t seq = 0;
    int rc = sqlite3_bind_int64(find, 1, (int64_t)r->lease);
    if (rc == SQLITE_OK && sqlite3_step(find) == SQLITE_ROW) {
        seq = sqlite3_column_int64(find, 0);
        *at_us = sqlite3_column_int64(find, 1);
    }
    int reset = sqlite3_reset(find);
    rc = rc == SQLITE_OK ? reset : rc;
    if (rc != SQLITE_OK || seq == 0) {
        return rc;
    }
    rc = add_rows(c, seq - 1, seq, -1);
    rc = rc == SQLITE_OK ? sqlite3_bind_int64(c->statements[LEDGER_DROP], 1, seq) : rc;
    rc = rc == SQLITE_OK ? run(c->statements[LEDGER_DROP]) : rc;
    return rc == SQLITE_OK ? find_last(c) : rc; /* its number may be given out again */
}

static bool is_charged(const struct load *load)
{
    return load->of[UNIT_REQUESTS] > 0 || load->of[UNIT_TOKENS] > 0 ||
           load->of[UNIT_INPUT_TOKENS] > 0 || load->of[UNIT_OUTPUT_TOKENS] > 0 ||
           load->of[UNIT_USD] > 0;
}

int clerk_book(struct clerk *c, const struct record *r)
{
    bool settled = r->kind == RECORD_SETTLE;
    if (!settled && (r->kind != RECORD_EXPIRE || !is_charged(&r->load))) {
        return SQLITE_OK;
    }
    int64_t at_us = max_i64(0, add_sat(r->at_us, r->skew_us));
    int rc = c->known ? SQLITE_OK : find_last(c);
    if (r->late && rc == SQLITE_OK) {
        rc = clerk_add_up(c);
        rc = rc == SQLITE_OK ? take_back(c, r, &at_us) : rc;
    }
    return rc == SQLITE_OK ? insert(c, r, at_us) : rc;
}

/* --- Forgetting. --- */

static int prune(sqlite3_stmt *stmt, int64_t before, uint64_t *gone)
{
    int rc = sqlite3_bind_int64(stmt, 1, before);
    rc = rc == SQLITE_OK ? sqlite3_bind_int(stmt, 2, LEDGER_PRUNE_ROWS_MAX) : rc;
    rc = rc == SQLITE_OK ? run(stmt) : rc;
    *gone = rc == SQLITE_OK ? (uint64_t)sqlite3_changes64(sqlite3_db_handle(stmt)) : 0;
    return rc;
}

int clerk_prune(struct clerk *c, int64_t horizon_us, uint64_t *pruned, bool *more)
{
    int64_t hour = horizon_us / LEDGER_HOUR_US;
    uint64_t hours = 0;
    *pruned = 0;
    c->known = false; /* the newest number may go, and be given out again */
    int rc = prune(c->statements[LEDGER_PRUNE_ROWS], hour * LEDGER_HOUR_US, pruned);
    if (rc == SQLITE_OK && *pruned < LEDGER_PRUNE_ROWS_MAX) {
        rc = prune(c->statements[LEDGER_PRUNE_HOURS], hour, &hours);
    }
    *more = rc == SQLITE_OK && (*pruned == LEDGER_PRUNE_ROWS_MAX || hours == LEDGER_PRUNE_ROWS_MAX);
    return rc;
}
