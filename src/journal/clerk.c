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
    "usage_hour.id = (SELECT sums FROM entry WHERE seq = ?1)"

#define ROW_TUPLE   "(?, ?, ?, ?, ?, ?, ?)"
#define ROW_TUPLE_4 ROW_TUPLE "," ROW_TUPLE "," ROW_TUPLE "," ROW_TUPLE
#define ROW_COLUMNS 7
#define INSERT_SQL  "INSERT INTO entry (seq, at_us, lease, sums, session, labels, facts) VALUES "

static const char *const statement_sql[LEDGER_STATEMENTS] = {
    [LEDGER_INSERT_1] = INSERT_SQL ROW_TUPLE,
    [LEDGER_INSERT_4] = INSERT_SQL ROW_TUPLE_4,
    [LEDGER_INSERT_16] = INSERT_SQL ROW_TUPLE_4 "," ROW_TUPLE_4 "," ROW_TUPLE_4 "," ROW_TUPLE_4,
    [LEDGER_SUBTRACT] = SUBTRACT_SQL,
    [LEDGER_LAST] = "SELECT max(seq) FROM entry",
    [LEDGER_DROP] = "DELETE FROM entry WHERE seq = ?",
    [LEDGER_PRUNE_ROWS] =
        "DELETE FROM entry WHERE seq IN (SELECT seq FROM entry WHERE at_us < ?1 * 3600000000 AND "
        "seq >= (SELECT min(first_seq) FROM usage_hour WHERE hour < ?1) AND "
        "seq <= (SELECT max(last_seq) FROM usage_hour WHERE hour < ?1) ORDER BY seq LIMIT ?2)",
    [LEDGER_PRUNE_HOURS] = "DELETE FROM usage_hour WHERE id IN "
                           "(SELECT id FROM usage_hour WHERE hour < ? LIMIT ?)",
    /* Those at the beginning of which no row is left. What is behind one that stays waits for it.
     */
    [LEDGER_PRUNE_EXPIRIES] =
        "DELETE FROM expiry WHERE (lease, first_seq) IN (SELECT lease, first_seq FROM "
        "(SELECT lease, first_seq, last_seq FROM expiry ORDER BY lease, first_seq LIMIT ?2) "
        "WHERE last_seq < (SELECT coalesce(min(seq), 9223372036854775807) FROM entry))",
};

int clerk_prepare(struct clerk *c, sqlite3 *db)
{
    int rc = bind_prepare(db, statement_sql, c->statements, LEDGER_STATEMENTS);
    rc = rc == SQLITE_OK ? sums_prepare(&c->sums, db) : rc;
    return rc == SQLITE_OK ? expiries_prepare(&c->expiries, db) : rc;
}

void clerk_release(struct clerk *c)
{
    sums_release(&c->sums);
    expiries_release(&c->expiries);
    bind_release(c->statements, LEDGER_STATEMENTS);
}

/* --- A row. --- */

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

static int64_t count_of(int64_t n)
{
    return min_i64(n, LEDGER_COUNT_MAX);
}

static int64_t time_of(int64_t us)
{
    return min_i64(us, LEDGER_TIME_US_MAX);
}

static void write_facts(struct ledger_row *row)
{
    const struct record *r = row->record;
    const int64_t *parts = row->parts.of;
    const int64_t facts[FACTS] = {
        [FACT_ATTEMPT] = r->attempt,
        [FACT_REQUESTS] = count_of(r->load.of[UNIT_REQUESTS]),
        [FACT_TOKENS] = count_of(r->load.of[UNIT_TOKENS]),
        [FACT_HELD_US] = time_of(r->held_for_us),
        [FACT_WAITED_US] = time_of(r->waited_us),
        [FACT_INPUT] = count_of(parts[PART_INPUT]),
        [FACT_OUTPUT] = count_of(parts[PART_OUTPUT]),
        [FACT_USD_PICO] = r->load.of[UNIT_USD],
        [FACT_CACHE_READ] = count_of(parts[PART_CACHE_READ]),
        [FACT_CACHE_WRITE_5M] = count_of(parts[PART_CACHE_WRITE_5M]),
        [FACT_CACHE_WRITE_1H] = count_of(parts[PART_CACHE_WRITE_1H]),
        [FACT_STEP] = r->step,
        [FACT_LATE] = r->late,
    };
    int n = FACTS;
    while (n > FACT_ATTEMPT && facts[n - 1] == 0) {
        n--;
    }
    char *at = row->facts;
    text_copy(&at, TEXT(FACTS_HEAD));
    text_copy(&at, text_of(outcome_of(r)));
    *at++ = '"';
    for (int i = FACT_ATTEMPT; i < n; i++) {
        *at++ = ',';
        at = text_put_i64(at, facts[i]);
    }
    *at++ = ']';
    row->facts_len = (size_t)(at - row->facts);
    assert(row->facts_len <= sizeof(row->facts));
}

static void bind_again(struct binder *b, int64_t n, int64_t *bound)
{
    if (n != *bound) {
        bind_i64_or_null(b, n);
        *bound = n;
    } else {
        b->at++;
    }
}

static void bind_text_again(struct binder *b, struct text t, bool *bound)
{
    if (t.len > 0 || *bound) {
        bind_text_or_null(b, t);
        *bound = t.len > 0;
    } else {
        b->at++;
    }
}

/* Parameters stay bound from one run of a statement to the next. So what was NULL and is again, as
 * most of it is from row to row, is passed over, and so are the sums of before. */
static void bind_row(struct binder *b, const struct ledger_row *row, struct ledger_slot *slot)
{
    const struct record *r = row->record;
    bind_again(b, row->given_seq, &slot->given_seq);
    bind_i64(b, row->at_us);
    bind_i64(b, (int64_t)r->lease);
    bind_again(b, row->sums, &slot->sums);
    bind_text_again(b, r->session, &slot->session);
    bind_text_again(b, r->labels, &slot->labels);
    bind_text(b, (struct text){row->facts, row->facts_len});
}

static void add_to_sums(struct hour_sums *s, const struct ledger_row *row)
{
    const struct record *r = row->record;
    bool expired = r->kind == RECORD_EXPIRE;
    s->first_seq = min_i64(s->first_seq, row->seq);
    s->last_seq = max_i64(s->last_seq, row->seq);
    sums_add(s, SUM_CALLS, 1);
    sums_add(s, SUM_ERRORS, !expired && r->outcome != ANSWER_OK);
    sums_add(s, SUM_EXPIRED, expired);
    sums_add(s, SUM_WAITED_US, time_of(r->waited_us));
    sums_add(s, SUM_HELD_US, time_of(r->held_for_us));
    sums_add(s, SUM_REQUESTS, count_of(r->load.of[UNIT_REQUESTS]));
    sums_add(s, SUM_TOKENS, count_of(r->load.of[UNIT_TOKENS]));
    for (int i = 0; i < PARTS; i++) {
        sums_add(s, (enum sum)(SUM_PARTS + i), count_of(row->parts.of[i]));
    }
    sums_add(s, SUM_USD_MILLI, r->load.of[UNIT_USD] / LEDGER_PICOUSD_PER_MILLI);
    sums_add(s, SUM_USD_REST, r->load.of[UNIT_USD] % LEDGER_PICOUSD_PER_MILLI);
}

/* --- Booking. --- */

/* The statements that insert, the largest first. */
static const struct insert {
    enum clerk_statement statement;
    size_t rows;
    size_t slot; /* of its first row */
} inserts[] = {{LEDGER_INSERT_16, 16, 0}, {LEDGER_INSERT_4, 4, 16}, {LEDGER_INSERT_1, 1, 20}};

#define INSERTS_N (sizeof(inserts) / sizeof(inserts[0]))

_Static_assert(LEDGER_ROWS_MAX == 16, "what is gathered is one statement");

/* SQLite numbers rows from the highest number on, as the clerk does: that takes less than to be
 * given numbers, of which each is looked for first. */
static int insert_rows(struct clerk *c, const struct insert *insert, const struct ledger_row *rows)
{
    struct binder b = {.stmt = c->statements[insert->statement]};
    for (size_t i = 0; i < insert->rows; i++) {
        bind_row(&b, &rows[i], &c->slots[insert->slot + i]);
    }
    assert(b.at == (int)insert->rows * ROW_COLUMNS);
    int rc = b.rc == SQLITE_OK ? bind_run(b.stmt) : b.rc;
    sqlite3_int64 last_seq = sqlite3_last_insert_rowid(sqlite3_db_handle(b.stmt));
    return rc == SQLITE_OK && last_seq != rows[insert->rows - 1].seq ? SQLITE_CORRUPT : rc;
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
    rc = rc == SQLITE_OK ? expiries_write(&c->expiries) : rc;
    return rc == SQLITE_OK ? sums_write(&c->sums) : rc;
}

void clerk_forget(struct clerk *c)
{
    c->rows_n = 0;
    c->next_seq = 0;
    sums_forget(&c->sums);
    expiries_forget(&c->expiries);
}

static int find_next_seq(struct clerk *c)
{
    sqlite3_stmt *stmt = c->statements[LEDGER_LAST];
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        c->next_seq = add_sat(max_i64(0, sqlite3_column_int64(stmt, 0)), 1);
    }
    int reset = sqlite3_reset(stmt);
    return rc == SQLITE_ROW ? reset : rc;
}

static int run_for(sqlite3_stmt *stmt, int64_t seq)
{
    int rc = sqlite3_bind_int64(stmt, 1, seq);
    return rc == SQLITE_OK ? bind_run(stmt) : rc;
}

/* Takes the row of a lease's expiry out again, where there is one, and says which number and time
 * it had. The expiry may be among what was gathered, so that is written first. */
static int take_back(struct clerk *c, uint64_t lease, int64_t *seq, int64_t *at_us)
{
    int rc = clerk_finish(c);
    rc = rc == SQLITE_OK ? expiries_find(&c->expiries, lease, seq, at_us) : rc;
    if (rc != SQLITE_OK || *seq == 0) {
        return rc;
    }
    rc = run_for(c->statements[LEDGER_SUBTRACT], *seq);
    sums_forget(&c->sums);
    return rc == SQLITE_OK ? run_for(c->statements[LEDGER_DROP], *seq) : rc;
}

/* Adds a row to its sums, and to those that one statement is to write. */
static int gather(struct clerk *c, const struct record *r, int64_t seq, int64_t at_us)
{
    struct ledger_row *row = &c->rows[c->rows_n];
    struct hour_sums *sums;
    int rc = sums_find(&c->sums, r, at_us / LEDGER_HOUR_US, &sums);
    if (rc != SQLITE_OK) {
        return rc;
    }
    row->record = r;
    row->given_seq = seq;
    row->seq = seq ? seq : c->next_seq++;
    row->at_us = at_us;
    row->sums = sums->id;
    row->parts = parts_of(r);
    write_facts(row);
    add_to_sums(sums, row);
    if (r->kind == RECORD_EXPIRE) {
        rc = expiries_note(&c->expiries, r->lease, row->seq);
    }
    c->rows_n++;
    return rc == SQLITE_OK && c->rows_n == LEDGER_ROWS_MAX ? write_rows(c) : rc;
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
    int64_t seq = 0; /* the next */
    int64_t at_us = max_i64(0, add_sat(r->at_us, r->skew_us));
    /* Asked while nothing is gathered, and before the newest row may be taken back. */
    int rc = c->next_seq ? SQLITE_OK : find_next_seq(c);
    if (rc == SQLITE_OK && r->late) {
        rc = take_back(c, r->lease, &seq, &at_us);
    }
    return rc == SQLITE_OK ? gather(c, r, seq, at_us) : rc;
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
    uint64_t expiries = 0;
    *pruned = 0;
    int rc = prune(c->statements[LEDGER_PRUNE_ROWS], hour, pruned);
    c->next_seq = 0; /* it may have been the newest */
    if (rc == SQLITE_OK && *pruned < LEDGER_PRUNE_ROWS_MAX) {
        rc = prune(c->statements[LEDGER_PRUNE_HOURS], hour, &hours);
        sums_forget(&c->sums);
    }
    if (rc == SQLITE_OK) {
        rc = prune(c->statements[LEDGER_PRUNE_EXPIRIES], 0, &expiries);
    }
    *more = rc == SQLITE_OK &&
            (*pruned == LEDGER_PRUNE_ROWS_MAX || hours == LEDGER_PRUNE_ROWS_MAX || expiries > 0);
    return rc;
}
