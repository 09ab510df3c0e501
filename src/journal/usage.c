#include "journal/usage.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/num.h"
#include "journal/clerk.h"

#define SQL_BYTES_MAX      8192
#define BUSY_TIMEOUT_MS    5000
#define PROGRESS_STEPS     20000 /* of SQLite's machine, between looks at the clock */
#define SECONDS_PER_HOUR   3600
#define KEY_BYTES_MAX      32 /* of a date */
#define LABEL_FUNCTION_SQL "label_value"
#define FACT_SQL           "fact"
#define FACT_MAX           INT64_C(1000000000000000000) /* all that a row may say */
#define OUTCOME_SQL        "outcome"

/* --- The statement. --- */

/* What rows are grouped by, in the sums of hours (NULL: not told there) and in the ledger. */
static const struct dimension {
    const char *of_hour;
    const char *of_row;
} dimensions[USAGE_BYS] = {
    [USAGE_BY_TENANT] = {"tenant", "coalesce(tenant, '')"},
    [USAGE_BY_SESSION] = {NULL, "coalesce(session, '')"},
    [USAGE_BY_MODEL] = {"model", "coalesce(model, '')"},
    [USAGE_BY_RESOURCE] = {"resource", "coalesce(resource, '')"},
    [USAGE_BY_ACCOUNT] = {"account", "coalesce(account, '')"},
    [USAGE_BY_ROUTE] = {"route", "coalesce(route, '')"},
    [USAGE_BY_OUTCOME] = {NULL, OUTCOME_SQL "(facts)"},
    [USAGE_BY_LABEL] = {NULL, LABEL_FUNCTION_SQL "(labels, ?10)"},
    [USAGE_BY_DAY] = {"hour / 24", "at_us / 86400000000"},
    [USAGE_BY_HOUR] = {"hour", "at_us / 3600000000"},
};

static bool by_time(enum usage_by by)
{
    return by == USAGE_BY_DAY || by == USAGE_BY_HOUR;
}

/* The filters' parameters and columns. */
struct filter_column {
    size_t offset; /* in the question */
    int parameter;
    const char *column;
    bool by_hour; /* told by the sums of hours, which have the names of rows as well */
};

#define FILTER(name, parameter, by_hour)                                                           \
    {                                                                                              \
        offsetof(struct usage_question, name), parameter, #name, by_hour                           \
    }

static const struct filter_column filters[] = {
    FILTER(tenant, 3, true),   FILTER(session, 4, false), FILTER(model, 5, true),
    FILTER(resource, 6, true), FILTER(account, 7, true),  FILTER(route, 8, true),
};

#define FILTERS_N (sizeof(filters) / sizeof(filters[0]))

static const struct usage_filter *filter_of(const struct usage_question *q, size_t i)
{
    return (const void *)((const char *)q + filters[i].offset);
}

static bool sums_tell(const struct usage_question *q)
{
    bool tell = dimensions[q->by].of_hour != NULL;
    for (size_t i = 0; i < FILTERS_N; i++) {
        tell = tell && (filters[i].by_hour || !filter_of(q, i)->set);
    }
    return tell;
}

/* A row's session may be NULL, and is compared so that its index is used where there is one. Its
 * names may be, where its sums were lost with a damaged page; they are compared so that the sums
 * are still looked up by the row, and not the other way around. */
static void add_filters(struct buf *sql, const struct usage_question *q, bool rows)
{
    for (size_t i = 0; i < FILTERS_N; i++) {
        const struct usage_filter *f = filter_of(q, i);
        const char *column = filters[i].column;
        if (f->set && !filters[i].by_hour && f->value.len == 0) {
            buf_addf(sql, " AND %s IS NULL", column);
        } else if (f->set && filters[i].by_hour && rows) {
            buf_addf(sql, " AND coalesce(%s, '') = ?%d", column, filters[i].parameter);
        } else if (f->set) {
            buf_addf(sql, " AND %s = ?%d", column, filters[i].parameter);
        }
    }
}

/* Rows from one moment until before another. The sums of the hours say where the rows are; those of
 * one session are few, and its index says. */
struct range {
    const char *since;
    const char *until;
};

static void add_range(struct buf *sql, const struct usage_question *q, struct range range)
{
    static const struct {
        const char *compare;
        const char *number;
    } ends[] = {{">=", "min(first_seq)"}, {"<=", "max(last_seq)"}};
    buf_addf(sql, "at_us >= %s AND at_us < %s", range.since, range.until);
    bool indexed = q->session.set && q->session.value.len > 0;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]) && !indexed; i++) {
        buf_addf(sql,
                 " AND seq %s (SELECT %s FROM usage_hour WHERE hour >= (%s) / 3600000000 AND "
                 "hour <= (%s - 1) / 3600000000)",
                 ends[i].compare, ends[i].number, range.since, range.until);
    }
}

/* What sums are of, out of a row's text. */
static void add_facts(struct buf *sql)
{
    static const struct {
        enum ledger_fact fact;
        const char *rest;
    } columns[] = {
        {FACT_WAITED_US, ""},
        {FACT_HELD_US, ""},
        {FACT_REQUESTS, ""},
        {FACT_TOKENS, ""},
        {FACT_INPUT, ""},
        {FACT_CACHE_READ, ""},
        {FACT_CACHE_WRITE_5M, ""},
        {FACT_CACHE_WRITE_1H, ""},
        {FACT_OUTPUT, ""},
        {FACT_USD_PICO, " / 1000000000"},
        {FACT_USD_PICO, " % 1000000000"},
    };
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        buf_addf(sql, FACT_SQL "(facts, %d)%s, ", (int)columns[i].fact, columns[i].rest);
    }
}

/* The names of rows are those of their sums, which need not be looked at for anything else. */
static void add_rows(struct buf *sql, const struct usage_question *q, struct range range)
{
    buf_addf(sql, "SELECT %s AS key, 1, refused(facts), expired(facts), ",
             dimensions[q->by].of_row);
    add_facts(sql);
    buf_add_str(sql, "at_us FROM entry LEFT JOIN usage_hour AS s ON s.id = sums WHERE ");
    add_range(sql, q, range);
    add_filters(sql, q, true);
}

static void add_hours(struct buf *sql, const struct usage_question *q)
{
    buf_addf(sql,
             "SELECT %s AS key, calls, errors, expired, waited_us, held_us, requests, tokens, "
             "input, cache_read, cache_write_5m, cache_write_1h, output, usd_milli, usd_rest, "
             "NULL FROM usage_hour WHERE hour >= ?11 AND hour < ?12",
             dimensions[q->by].of_hour);
    add_filters(sql, q, false);
}

static void add_all(struct buf *sql, const struct usage_question *q, bool hours)
{
    if (hours) {
        add_hours(sql, q);
        buf_add_str(sql, " UNION ALL ");
        add_rows(sql, q, (struct range){"?1", "?11 * 3600000000"});
        buf_add_str(sql, " UNION ALL ");
        add_rows(sql, q, (struct range){"?12 * 3600000000", "?2"});
    } else {
        add_rows(sql, q, (struct range){"?1", "?2"});
    }
}

static void write_sql(struct buf *sql, const struct usage_question *q, bool hours)
{
    buf_add_str(sql, "WITH said (key, calls, errors, expired, waited_us, held_us, requests, "
                     "tokens, input, cache_read, cache_write_5m, cache_write_1h, output, "
                     "usd_milli, usd_rest, at) AS (");
    add_all(sql, q, hours);
    buf_add_str(sql, ") SELECT key, sum(calls), sum(errors), sum(expired), sum(waited_us), "
                     "sum(held_us), sum(requests), sum(tokens), sum(input), sum(cache_read), "
                     "sum(cache_write_5m), sum(cache_write_1h), sum(output), sum(usd_milli), "
                     "sum(usd_rest), coalesce(min(at), 0), coalesce(max(at), 0) FROM said ");
    if (q->after.set) {
        buf_add_str(sql, "WHERE key > ?9 ");
    }
    buf_add_str(sql, "GROUP BY key HAVING sum(calls) > 0 ORDER BY key LIMIT ?13");
}

/* --- Keys that are times. --- */

static struct text time_key(enum usage_by by, int64_t n, char key[KEY_BYTES_MAX])
{
    time_t seconds = (time_t)(by == USAGE_BY_DAY ? n * 24 : n) * SECONDS_PER_HOUR;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len =
        strftime(key, KEY_BYTES_MAX, by == USAGE_BY_DAY ? "%Y-%m-%d" : "%Y-%m-%dT%H:00:00Z", &tm);
    return (struct text){key, len};
}

/* The number of the day or hour that a key names: of what time_key writes, and of nothing else. */
static bool read_time_key(enum usage_by by, struct text key, int64_t *n)
{
    char text[KEY_BYTES_MAX];
    char again[KEY_BYTES_MAX];
    struct tm tm = {0};
    if (key.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, key.at, key.len);
    text[key.len] = '\0';
    const char *end = strptime(text, by == USAGE_BY_DAY ? "%Y-%m-%d" : "%Y-%m-%dT%H:00:00Z", &tm);
    if (!end || *end) {
        return false;
    }
    int64_t hours = (int64_t)timegm(&tm) / SECONDS_PER_HOUR;
    *n = by == USAGE_BY_DAY ? hours / 24 : hours;
    return text_equal(time_key(by, *n, again), key);
}

/* --- Asking. --- */

struct asking {
    const atomic_bool *stop;
    time_t until;
    sqlite3 *db;
    sqlite3_stmt *stmt;
};

static time_t seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static int on_progress(void *ctx)
{
    const struct asking *a = ctx;
    return atomic_load(a->stop) || seconds_now() > a->until;
}

/* label_value(labels, key): the value of a label in lines of key=value; '' where there is none. */
static void label_value(sqlite3_context *ctx, int n, sqlite3_value **values)
{
    (void)n;
    const char *at = (const char *)sqlite3_value_text(values[0]);
    const char *key = (const char *)sqlite3_value_text(values[1]);
    size_t key_len = key ? strlen(key) : 0;
    while (at && key) {
        size_t len = strcspn(at, "\n");
        if (len > key_len && at[key_len] == '=' && memcmp(at, key, key_len) == 0) {
            sqlite3_result_text(ctx, at + key_len + 1, (int)(len - key_len - 1), SQLITE_TRANSIENT);
            return;
        }
        at = at[len] ? at + len + 1 : NULL;
    }
    sqlite3_result_text(ctx, "", 0, SQLITE_STATIC);
}

static bool begins(const char *facts, const char *with)
{
    return facts && strncmp(facts, with, strlen(with)) == 0;
}

/* outcome(facts): the word that a row's text begins with. */
static void outcome(sqlite3_context *ctx, int n, sqlite3_value **values)
{
    (void)n;
    const char *facts = (const char *)sqlite3_value_text(values[0]);
    if (begins(facts, FACTS_HEAD)) {
        const char *word = facts + strlen(FACTS_HEAD);
        sqlite3_result_text(ctx, word, (int)strcspn(word, "\""), SQLITE_TRANSIENT);
    }
}

/* expired(facts): whether that word is `expired`. */
static void expired(sqlite3_context *ctx, int n, sqlite3_value **values)
{
    (void)n;
    const char *facts = (const char *)sqlite3_value_text(values[0]);
    sqlite3_result_int(ctx, begins(facts, FACTS_HEAD "expired\""));
}

/* refused(facts): whether it is neither that nor `ok`. */
static void refused(sqlite3_context *ctx, int n, sqlite3_value **values)
{
    (void)n;
    const char *facts = (const char *)sqlite3_value_text(values[0]);
    sqlite3_result_int(ctx,
                       !begins(facts, FACTS_HEAD "ok\"") && !begins(facts, FACTS_HEAD "expired\""));
}

/* fact(facts, n): the n-th number behind the outcome; 0 where it was left out. */
static void fact(sqlite3_context *ctx, int n, sqlite3_value **values)
{
    (void)n;
    const char *at = (const char *)sqlite3_value_text(values[0]);
    int64_t number = 0;
    for (int left = sqlite3_value_int(values[1]); at && *at && left > 0; at++) {
        left -= *at == ',';
    }
    for (; at && *at >= '0' && *at <= '9' && number <= FACT_MAX / 10; at++) {
        number = number * 10 + (*at - '0');
    }
    sqlite3_result_int64(ctx, number);
}

/* What is asked of a row with what SQLite has of its own for JSON takes several times as long. */
static int create_functions(sqlite3 *db)
{
    static const struct {
        const char *name;
        int arguments;
        void (*call)(sqlite3_context *ctx, int n, sqlite3_value **values);
    } functions[] = {
        {LABEL_FUNCTION_SQL, 2, label_value},
        {OUTCOME_SQL, 1, outcome},
        {"expired", 1, expired},
        {"refused", 1, refused},
        {FACT_SQL, 2, fact},
    };
    int rc = SQLITE_OK;
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]) && rc == SQLITE_OK; i++) {
        rc = sqlite3_create_function_v2(db, functions[i].name, functions[i].arguments,
                                        SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, functions[i].call,
                                        NULL, NULL, NULL);
    }
    return rc;
}

static int fail(const struct asking *a, int rc, struct buf *why)
{
    if ((rc & 0xff) == SQLITE_INTERRUPT) {
        bool stopped = atomic_load(a->stop);
        buf_add_str(why, stopped ? "it was stopped"
                                 : "the question takes too long; ask about a shorter time");
        return stopped ? ERR_CANCELLED : ERR_OVER_CAP;
    }
    const char *words = a->db ? sqlite3_errmsg(a->db) : sqlite3_errstr(rc);
    buf_addf(why, "the ledger cannot be read: %s", words);
    return strcmp(words, "integer overflow") == 0 ? ERR_OVER_CAP : ERR_STORE_FAILED;
}

static int open_reader(struct asking *a, const char *path)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(path, &a->db, flags, NULL);
    if (rc != SQLITE_OK) {
        return rc;
    }
    sqlite3_busy_timeout(a->db, BUSY_TIMEOUT_MS);
    sqlite3_db_config(a->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_progress_handler(a->db, PROGRESS_STEPS, on_progress, a);
    rc = sqlite3_exec(a->db,
                      "PRAGMA query_only=ON; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-32768",
                      NULL, NULL, NULL);
    return rc == SQLITE_OK ? create_functions(a->db) : rc;
}

static int bind_text(sqlite3_stmt *stmt, int parameter, struct text t)
{
    return sqlite3_bind_text(stmt, parameter, t.len ? t.at : "", (int)t.len, SQLITE_STATIC);
}

static int bind_after(sqlite3_stmt *stmt, const struct usage_question *q)
{
    int64_t n;
    if (!by_time(q->by)) {
        return bind_text(stmt, 9, q->after.value);
    }
    /* No time at all comes after what is none. */
    bool read = read_time_key(q->by, q->after.value, &n);
    return sqlite3_bind_int64(stmt, 9, read ? n : INT64_MAX);
}

/* Binds what the statement asks for; parameters that it does not have are no harm. */
static int bind_all(sqlite3_stmt *stmt, const struct usage_question *q, int64_t first_hour,
                    int64_t end_hour)
{
    int rc = sqlite3_bind_int64(stmt, 1, q->since_us);
    rc = rc == SQLITE_OK ? sqlite3_bind_int64(stmt, 2, q->until_us) : rc;
    for (size_t i = 0; i < FILTERS_N && rc == SQLITE_OK; i++) {
        const struct usage_filter *f = filter_of(q, i);
        rc = f->set ? bind_text(stmt, filters[i].parameter, f->value) : SQLITE_OK;
    }
    if (rc == SQLITE_OK && q->after.set) {
        rc = bind_after(stmt, q);
    }
    if (rc == SQLITE_OK && q->by == USAGE_BY_LABEL) {
        rc = bind_text(stmt, 10, q->label);
    }
    rc = rc == SQLITE_OK ? sqlite3_bind_int64(stmt, 11, first_hour) : rc;
    rc = rc == SQLITE_OK ? sqlite3_bind_int64(stmt, 12, end_hour) : rc;
    return rc == SQLITE_OK ? sqlite3_bind_int64(stmt, 13, q->rows_max + 1) : rc;
}

static int prepare(struct asking *a, const struct usage_question *q)
{
    struct buf sql;
    int64_t first_hour = q->since_us / LEDGER_HOUR_US + (q->since_us % LEDGER_HOUR_US > 0);
    int64_t end_hour = q->until_us / LEDGER_HOUR_US;
    buf_init(&sql, SQL_BYTES_MAX);
    write_sql(&sql, q, sums_tell(q) && first_hour < end_hour);
    int rc =
        sql.failed ? SQLITE_NOMEM : sqlite3_prepare_v2(a->db, sql.at, (int)sql.len, &a->stmt, NULL);
    buf_release(&sql);
    return rc == SQLITE_OK ? bind_all(a->stmt, q, first_hour, end_hour) : rc;
}

static void read_sums(sqlite3_stmt *stmt, struct usage_sums *s)
{
    int64_t *const columns[] = {
        &s->calls,
        &s->errors,
        &s->expired,
        &s->waited_us,
        &s->held_us,
        &s->requests,
        &s->tokens,
        &s->parts.of[PART_INPUT],
        &s->parts.of[PART_CACHE_READ],
        &s->parts.of[PART_CACHE_WRITE_5M],
        &s->parts.of[PART_CACHE_WRITE_1H],
        &s->parts.of[PART_OUTPUT],
        &s->usd_milli,
        &s->usd_rest,
        &s->first_us,
        &s->last_us,
    };
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        *columns[i] = sqlite3_column_int64(stmt, (int)i + 1);
    }
    s->usd_milli += s->usd_rest / PICOUSD_PER_MILLIUSD;
    s->usd_rest %= PICOUSD_PER_MILLIUSD;
}

static void give_row(sqlite3_stmt *stmt, enum usage_by by,
                     void (*each)(void *ctx, struct text key, const struct usage_sums *sums),
                     void *ctx)
{
    char time[KEY_BYTES_MAX];
    struct usage_sums sums;
    struct text key;
    read_sums(stmt, &sums);
    if (by_time(by)) {
        key = time_key(by, sqlite3_column_int64(stmt, 0), time);
    } else {
        const char *at = (const char *)sqlite3_column_text(stmt, 0);
        key = (struct text){at, at ? (size_t)sqlite3_column_bytes(stmt, 0) : 0};
    }
    each(ctx, key, &sums);
}

int usage_ask(const char *path, const struct usage_question *q, const atomic_bool *stop,
              void (*each)(void *ctx, struct text key, const struct usage_sums *sums), void *ctx,
              bool *more, struct buf *why)
{
    struct asking a = {.stop = stop, .until = seconds_now() + USAGE_SECONDS_MAX};
    int64_t rows = 0;
    int rc = open_reader(&a, path);
    rc = rc == SQLITE_OK ? prepare(&a, q) : rc;
    *more = false;
    if (rc == SQLITE_OK) {
        while ((rc = sqlite3_step(a.stmt)) == SQLITE_ROW) {
            if (rows++ == q->rows_max) {
                *more = true;
                rc = SQLITE_DONE;
                break;
            }
            give_row(a.stmt, q->by, each, ctx);
        }
    }
    int code = rc == SQLITE_DONE ? 0 : fail(&a, rc, why);
    sqlite3_finalize(a.stmt);
    sqlite3_close(a.db);
    return code;
}
