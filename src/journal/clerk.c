#include "journal/clerk.h"

#include <assert.h>

#include "base/num.h"
#include "core/answer.h"
#include "journal/bind.h"

#define OUTCOME_EXPIRED "expired"

/* The words of the file: they never change, whatever the classes are called elsewhere. */
const char *const clerk_outcomes[] = {
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

_Static_assert(sizeof(clerk_outcomes) / sizeof(clerk_outcomes[0]) == ANSWER_CLASSES,
               "a word for each class");

/* Adds to the sums of an hour. What is in the row already grows, up to a cap. */
#define ADD_UP_SQL                                                                                 \
    "INSERT INTO usage_hour (hour, resource, account, model, route, tenant, calls, errors, "       \
    "expired, waited_us, held_us, requests, tokens, input, cache_read, cache_write_5m, "           \
    "cache_write_1h, output, usd_milli, usd_rest, first_seq, last_seq) VALUES "                    \
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "                          \
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
    "usd_rest = min(1000000000000000000, usd_rest + excluded.usd_rest), "                          \
    "first_seq = min(first_seq, excluded.first_seq), last_seq = max(last_seq, excluded.last_seq)"

/* The one row ?1 as it was added to its hour, to be taken out again. */
#define SUBTRACT_SQL                                                                               \
    "UPDATE usage_hour SET calls = calls - 1, expired = expired - 1, "                             \
    "waited_us = usage_hour.waited_us - l.waited_us, held_us = usage_hour.held_us - l.held_us, "   \
    "requests = usage_hour.requests - l.requests, tokens = usage_hour.tokens - l.tokens, "         \
    "input = usage_hour.input - l.input, cache_read = usage_hour.cache_read - l.cache_read, "      \
    "cache_write_5m = usage_hour.cache_write_5m - l.cache_write_5m, "                              \
    "cache_write_1h = usage_hour.cache_write_1h - l.cache_write_1h, "                              \
    "output = usage_hour.output - l.output, usd_milli = usd_milli - l.usd_pico / 1000000000, "     \
    "usd_rest = usd_rest - l.usd_pico % 1000000000 "                                               \
    "FROM (SELECT * FROM ledger WHERE seq = ?1) AS l WHERE "                                       \
    "hour = l.at_us / 3600000000 AND usage_hour.tenant = coalesce(l.tenant, '') AND "              \
    "usage_hour.resource = l.resource AND usage_hour.account = coalesce(l.account, '') AND "       \
    "usage_hour.model = coalesce(l.model, '') AND usage_hour.route = coalesce(l.route, '')"

#define ROW_TUPLE   "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define ROW_TUPLE_4 ROW_TUPLE "," ROW_TUPLE "," ROW_TUPLE "," ROW_TUPLE
#define ROW_COLUMNS 24
#define INSERT_SQL                                                                                 \
    "INSERT INTO ledger (seq, at_us, lease, resource, account, model, route, step, tenant, "       \
    "session, "                                                                                    \
    "labels, outcome, attempt, late, waited_us, held_us, requests, tokens, input, cache_read, "    \
    "cache_write_5m, cache_write_1h, output, usd_pico) VALUES "

static const char *const statement_sql[LEDGER_STATEMENTS] = {
    [LEDGER_INSERT_1] = INSERT_SQL ROW_TUPLE,
    [LEDGER_INSERT_4] = INSERT_SQL ROW_TUPLE_4,
    [LEDGER_INSERT_16] = INSERT_SQL ROW_TUPLE_4 "," ROW_TUPLE_4 "," ROW_TUPLE_4 "," ROW_TUPLE_4,
    [LEDGER_ADD_UP] = ADD_UP_SQL,
    [LEDGER_SUBTRACT] = SUBTRACT_SQL,
    [LEDGER_FIND_EXPIRED] = "SELECT seq, at_us FROM ledger WHERE lease = ? AND outcome = "
                            "'expired' ORDER BY seq DESC",
    [LEDGER_DROP] = "DELETE FROM ledger WHERE seq = ?",
    [LEDGER_PRUNE_ROWS] =
        "DELETE FROM ledger WHERE seq IN (SELECT seq FROM ledger WHERE at_us < ?1 * 3600000000 "
        "AND "
        "seq >= (SELECT min(first_seq) FROM usage_hour WHERE hour < ?1) AND "
        "seq <= (SELECT max(last_seq) FROM usage_hour WHERE hour < ?1) ORDER BY seq LIMIT ?2)",
    [LEDGER_PRUNE_HOURS] =
        "DELETE FROM usage_hour WHERE (hour, tenant, resource, account, model, route) IN "
        "(SELECT "
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

/* --- A row. --- */

static void bind_count(struct binder *b, int64_t n)
{
    bind_i64(b, min_i64(n, LEDGER_COUNT_MAX));
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
    return r->kind == RECORD_EXPIRE ? OUTCOME_EXPIRED : clerk_outcomes[r->outcome];
}

static int bind_row(sqlite3_stmt *stmt, int nth, const struct ledger_row *row)
{
    struct binder b = {.stmt = stmt, .at = nth * ROW_COLUMNS};
    const struct record *r = row->record;
    bind_i64_or_null(&b, row->seq); /* a row without a number is given the next one */
    bind_i64(&b, row->at_us);
    bind_i64(&b, (int64_t)r->lease);
    bind_text(&b, r->resource);
    bind_text_or_null(&b, r->account);
    bind_text_or_null(&b, r->model);
    bind_text_or_null(&b, r->route);
    bind_i64_or_null(&b, r->step);
    bind_text_or_null(&b, r->tenant);
    bind_text_or_null(&b, r->session);
    bind_text_or_null(&b, r->labels);
    bind_text(&b, text_of(outcome_of(r)));
    bind_i64(&b, r->attempt);
    bind_i64(&b, r->late);
    bind_i64(&b, min_i64(r->waited_us, LEDGER_TIME_US_MAX));
    bind_i64(&b, min_i64(r->held_for_us, LEDGER_TIME_US_MAX));
    bind_count(&b, r->load.of[UNIT_REQUESTS]);
    bind_count(&b, r->load.of[UNIT_TOKENS]);
    for (int i = 0; i < PARTS; i++) {
        bind_count(&b, row->parts.of[i]);
    }
    bind_i64(&b, r->load.of[UNIT_USD]);
    assert(b.at == (nth + 1) * ROW_COLUMNS);
    return b.rc;
}

/* --- Sums. --- */

static bool same_group(const struct hour_sums *s, const struct record *r, int64_t hour)
{
    return s->hour == hour && text_equal(s->tenant, r->tenant) &&
           text_equal(s->resource, r->resource) && text_equal(s->model, r->model) &&
           text_equal(s->account, r->account) && text_equal(s->route, r->route);
}

static int write_sums(struct clerk *c, const struct hour_sums *s)
{
    struct binder b = {.stmt = c->statements[LEDGER_ADD_UP]};
    const struct text names[] = {s->resource, s->account, s->model, s->route, s->tenant};
    bind_i64(&b, s->hour);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        bind_text(&b, names[i]);
    }
    for (int i = 0; i < SUMS; i++) {
        bind_i64(&b, min_i64(s->of[i], LEDGER_SUM_MAX));
    }
    bind_i64(&b, s->first_seq);
    bind_i64(&b, s->last_seq);
    return b.rc == SQLITE_OK ? bind_run(b.stmt) : b.rc;
}

static int write_all_sums(struct clerk *c)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; i < c->sums_n && rc == SQLITE_OK; i++) {
        rc = write_sums(c, &c->sums[i]);
    }
    c->sums_n = 0;
    return rc;
}

/* The sums to which a row is to be added; the newest are looked at first. NULL with a code where
 * others could not be written to make room. */
static struct hour_sums *find_sums(struct clerk *c, const struct record *r, int64_t hour, int *rc)
{
    for (size_t i = c->sums_n; i > 0; i--) {
        if (same_group(&c->sums[i - 1], r, hour)) {
            return &c->sums[i - 1];
        }
    }
    *rc = c->sums_n == LEDGER_SUMS_MAX ? write_all_sums(c) : SQLITE_OK;
    if (*rc != SQLITE_OK) {
        return NULL;
    }
    struct hour_sums *s = &c->sums[c->sums_n++];
    *s = (struct hour_sums){.hour = hour,
                            .resource = r->resource,
                            .account = r->account,
                            .model = r->model,
                            .route = r->route,
                            .tenant = r->tenant,
                            .first_seq = INT64_MAX};
    return s;
}

static int add_to_sums(struct clerk *c, const struct ledger_row *row, int64_t seq)
{
    const struct record *r = row->record;
    int rc = SQLITE_OK;
    struct hour_sums *s = find_sums(c, r, row->at_us / LEDGER_HOUR_US, &rc);
    if (!s) {
        return rc;
    }
    bool expired = r->kind == RECORD_EXPIRE;
    s->first_seq = min_i64(s->first_seq, seq);
    s->last_seq = max_i64(s->last_seq, seq);
    s->of[SUM_CALLS]++;
    s->of[SUM_ERRORS] += !expired && r->outcome != ANSWER_OK;
    s->of[SUM_EXPIRED] += expired;
    s->of[SUM_WAITED_US] += min_i64(r->waited_us, LEDGER_TIME_US_MAX);
    s->of[SUM_HELD_US] += min_i64(r->held_for_us, LEDGER_TIME_US_MAX);
    s->of[SUM_REQUESTS] += min_i64(r->load.of[UNIT_REQUESTS], LEDGER_COUNT_MAX);
    s->of[SUM_TOKENS] += min_i64(r->load.of[UNIT_TOKENS], LEDGER_COUNT_MAX);
    for (int i = 0; i < PARTS; i++) {
        s->of[SUM_PARTS + i] += min_i64(row->parts.of[i], LEDGER_COUNT_MAX);
    }
    s->of[SUM_USD_MILLI] += r->load.of[UNIT_USD] / LEDGER_PICOUSD_PER_MILLI;
    s->of[SUM_USD_REST] += r->load.of[UNIT_USD] % LEDGER_PICOUSD_PER_MILLI;
    return SQLITE_OK;
}

/* --- Booking. --- */

/* The statements that insert, the largest first. */
static const struct insert {
    enum clerk_statement statement;
    size_t rows;
} inserts[] = {{LEDGER_INSERT_16, 16}, {LEDGER_INSERT_4, 4}, {LEDGER_INSERT_1, 1}};

#define INSERTS_N (sizeof(inserts) / sizeof(inserts[0]))

_Static_assert(LEDGER_ROWS_MAX == 16, "what is gathered is one statement");

static int insert_rows(struct clerk *c, const struct insert *insert, const struct ledger_row *rows)
{
    sqlite3_stmt *stmt = c->statements[insert->statement];
    int rc = SQLITE_OK;
    for (size_t i = 0; i < insert->rows && rc == SQLITE_OK; i++) {
        rc = bind_row(stmt, (int)i, &rows[i]);
    }
    rc = rc == SQLITE_OK ? bind_run(stmt) : rc;
    int64_t last_seq = sqlite3_last_insert_rowid(sqlite3_db_handle(stmt));
    for (size_t i = 0; i < insert->rows && rc == SQLITE_OK; i++) {
        rc = add_to_sums(c, &rows[i], last_seq - (int64_t)(insert->rows - 1 - i));
    }
    return rc;
}

/* Writes the rows that were gathered, in their order, by as few statements as it takes. */
static int write_rows(struct clerk *c)
{
    const struct ledger_row *rows = c->rows;
    size_t n = c->rows_n;
    int rc = SQLITE_OK;
    c->rows_n = 0;
    for (const struct insert *at = inserts; at < inserts + INSERTS_N; at++) {
        for (; rc == SQLITE_OK && n >= at->rows; n -= at->rows) {
            rc = insert_rows(c, at, rows);
            rows += at->rows;
        }
    }
    return rc;
}

int clerk_finish(struct clerk *c)
{
    int rc = write_rows(c);
    return rc == SQLITE_OK ? write_all_sums(c) : rc;
}

void clerk_forget(struct clerk *c)
{
    c->rows_n = 0;
    c->sums_n = 0;
}

static int run_for(sqlite3_stmt *stmt, int64_t seq)
{
    int rc = sqlite3_bind_int64(stmt, 1, seq);
    return rc == SQLITE_OK ? bind_run(stmt) : rc;
}

/* Takes the row of a lease's expiry out again, where there is one; the late settlement has its
 * number and its time. */
static int take_back(struct clerk *c, struct ledger_row *late)
{
    sqlite3_stmt *find = c->statements[LEDGER_FIND_EXPIRED];
    int rc = sqlite3_bind_int64(find, 1, (int64_t)late->record->lease);
    if (rc == SQLITE_OK && sqlite3_step(find) == SQLITE_ROW) {
        late->seq = sqlite3_column_int64(find, 0);
        late->at_us = sqlite3_column_int64(find, 1);
    }
    int reset = sqlite3_reset(find);
    rc = rc == SQLITE_OK ? reset : rc;
    if (rc != SQLITE_OK || late->seq == 0) {
        return rc;
    }
    rc = run_for(c->statements[LEDGER_SUBTRACT], late->seq);
    return rc == SQLITE_OK ? run_for(c->statements[LEDGER_DROP], late->seq) : rc;
}

/* The expiry may be among what was gathered, so that is written first; and the row has a number
 * that does not follow on the others', so it is written by itself. */
static int book_late(struct clerk *c, struct ledger_row *late)
{
    int rc = clerk_finish(c);
    rc = rc == SQLITE_OK ? take_back(c, late) : rc;
    return rc == SQLITE_OK ? insert_rows(c, &inserts[INSERTS_N - 1], late) : rc;
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
    struct ledger_row row = {.record = r, .parts = parts_of(r)};
    row.at_us = max_i64(0, add_sat(r->at_us, r->skew_us));
    if (r->late) {
        return book_late(c, &row);
    }
    c->rows[c->rows_n++] = row;
    return c->rows_n == LEDGER_ROWS_MAX ? write_rows(c) : SQLITE_OK;
}

/* --- Forgetting. --- */

static int prune(sqlite3_stmt *stmt, int64_t before, uint64_t *gone)
{
    int rc = sqlite3_bind_int64(stmt, 1, before);
    rc = rc == SQLITE_OK ? sqlite3_bind_int(stmt, 2, LEDGER_PRUNE_ROWS_MAX) : rc;
    rc = rc == SQLITE_OK ? bind_run(stmt) : rc;
    *gone = rc == SQLITE_OK ? (uint64_t)sqlite3_changes64(sqlite3_db_handle(stmt)) : 0;
    return rc;
}

int clerk_prune(struct clerk *c, int64_t horizon_us, uint64_t *pruned, bool *more)
{
    int64_t hour = horizon_us / LEDGER_HOUR_US;
    uint64_t hours = 0;
    *pruned = 0;
    int rc = prune(c->statements[LEDGER_PRUNE_ROWS], hour, pruned);
    if (rc == SQLITE_OK && *pruned < LEDGER_PRUNE_ROWS_MAX) {
        rc = prune(c->statements[LEDGER_PRUNE_HOURS], hour, &hours);
    }
    *more = rc == SQLITE_OK && (*pruned == LEDGER_PRUNE_ROWS_MAX || hours == LEDGER_PRUNE_ROWS_MAX);
    return rc;
}
