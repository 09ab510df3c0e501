#include "journal/sums.h"

#include <assert.h>

#include "base/num.h"
#include "journal/bind.h"

#define VALUES_SQL                                                                                 \
    "calls, errors, expired, waited_us, held_us, requests, tokens, input, cache_read, "            \
    "cache_write_5m, cache_write_1h, output, usd_milli, usd_rest, first_seq, last_seq"

static const char *const statement_sql[SUMS_STATEMENTS] = {
    [SUMS_SELECT] = "SELECT id, " VALUES_SQL " FROM usage_hour WHERE hour = ? AND resource = ? AND "
                    "account = ? AND model = ? AND route = ? AND tenant = ?",
    [SUMS_INSERT] =
        "INSERT INTO usage_hour (hour, resource, account, model, route, tenant, " VALUES_SQL
        ") VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "
        "9223372036854775807, 0)",
    [SUMS_UPDATE] = "UPDATE usage_hour SET calls = ?, errors = ?, expired = ?, waited_us = ?, "
                    "held_us = ?, requests = ?, tokens = ?, input = ?, cache_read = ?, "
                    "cache_write_5m = ?, cache_write_1h = ?, output = ?, usd_milli = ?, "
                    "usd_rest = ?, first_seq = ?, last_seq = ? WHERE id = ?",
};

int sums_prepare(struct sums *sums, sqlite3 *db)
{
    return bind_prepare(db, statement_sql, sums->statements, SUMS_STATEMENTS);
}

void sums_release(struct sums *sums)
{
    bind_release(sums->statements, SUMS_STATEMENTS);
}

void sums_forget(struct sums *sums)
{
    for (size_t i = 0; i < SUMS_KEPT; i++) {
        sums->kept[i].id = 0;
    }
    for (size_t i = 0; i < SUMS_WORDS; i++) {
        sums->changed[i] = 0;
    }
}

/* --- The file. --- */

static void bind_key(struct binder *b, const struct hour_sums *s)
{
    bind_i64(b, s->hour);
    for (int i = 0; i < SUMS_NAMES; i++) {
        bind_text(b, s->names[i]);
    }
}

/* What is read is held within what may be added to. */
static void read_sums(sqlite3_stmt *stmt, struct hour_sums *s)
{
    int at = 0;
    s->id = sqlite3_column_int64(stmt, at++);
    for (int i = 0; i < SUMS; i++) {
        int64_t sum = sqlite3_column_int64(stmt, at++);
        s->of[i] = max_i64(-LEDGER_SUM_MAX, min_i64(sum, LEDGER_SUM_MAX));
    }
    s->first_seq = sqlite3_column_int64(stmt, at++);
    s->last_seq = sqlite3_column_int64(stmt, at++);
}

static int read_row(struct sums *sums, struct hour_sums *s)
{
    struct binder b = {.stmt = sums->statements[SUMS_SELECT]};
    bind_key(&b, s);
    int rc = b.rc == SQLITE_OK ? sqlite3_step(b.stmt) : b.rc;
    if (rc == SQLITE_ROW) {
        read_sums(b.stmt, s);
    }
    int reset = sqlite3_reset(b.stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? reset : rc;
}

static int insert_row(struct sums *sums, struct hour_sums *s)
{
    struct binder b = {.stmt = sums->statements[SUMS_INSERT]};
    bind_key(&b, s);
    int rc = b.rc == SQLITE_OK ? bind_run(b.stmt) : b.rc;
    if (rc == SQLITE_OK) {
        s->id = sqlite3_last_insert_rowid(sqlite3_db_handle(b.stmt));
    }
    return rc;
}

static int update_row(struct sums *sums, const struct hour_sums *s)
{
    struct binder b = {.stmt = sums->statements[SUMS_UPDATE]};
    for (int i = 0; i < SUMS; i++) {
        bind_i64(&b, s->of[i]);
    }
    bind_i64(&b, s->first_seq);
    bind_i64(&b, s->last_seq);
    bind_i64(&b, s->id);
    return b.rc == SQLITE_OK ? bind_run(b.stmt) : b.rc;
}

int sums_write(struct sums *sums)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; i < SUMS_WORDS; i++) {
        for (; sums->changed[i] && rc == SQLITE_OK; sums->changed[i] &= sums->changed[i] - 1) {
            size_t at = 64 * i + (size_t)__builtin_ctzll(sums->changed[i]);
            rc = update_row(sums, &sums->kept[at]);
        }
    }
    return rc;
}

/* --- What is kept. --- */

/* A hash that anybody can foresee (FNV-1a): names that were chosen to meet at one place only have
 * their sums read from the file more often. */
static uint64_t mix(uint64_t hash, struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        hash = (hash ^ (unsigned char)t.at[i]) * UINT64_C(1099511628211);
    }
    return (hash ^ t.len) * UINT64_C(1099511628211);
}

static size_t place_of(const struct text names[SUMS_NAMES], int64_t hour)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)hour;
    for (int i = 0; i < SUMS_NAMES; i++) {
        hash = mix(hash, names[i]);
    }
    return (size_t)((hash ^ hash >> 32) % SUMS_KEPT);
}

static bool is_of(const struct hour_sums *s, const struct text names[SUMS_NAMES], int64_t hour)
{
    bool same = s->id != 0 && s->hour == hour;
    for (int i = 0; i < SUMS_NAMES && same; i++) {
        same = text_equal(s->names[i], names[i]);
    }
    return same;
}

static void name(struct hour_sums *s, const struct text names[SUMS_NAMES], int64_t hour)
{
    char *to = s->bytes;
    s->id = 0;
    s->hour = hour;
    s->first_seq = INT64_MAX;
    s->last_seq = 0;
    memset(s->of, 0, sizeof(s->of));
    for (int i = 0; i < SUMS_NAMES; i++) {
        assert(names[i].len <= NAME_LEN_MAX);
        s->names[i] = text_copy(&to, names[i]);
    }
}

/* What was kept at the place is written where it has changed, and gives way. */
static int replace(struct sums *sums, size_t at, const struct text names[SUMS_NAMES], int64_t hour)
{
    struct hour_sums *s = &sums->kept[at];
    uint64_t bit = UINT64_C(1) << at % 64;
    int rc = SQLITE_OK;
    if (sums->changed[at / 64] & bit) {
        rc = update_row(sums, s);
        sums->changed[at / 64] &= ~bit;
    }
    name(s, names, hour);
    rc = rc == SQLITE_OK ? read_row(sums, s) : rc;
    return rc == SQLITE_OK && s->id == 0 ? insert_row(sums, s) : rc;
}

int sums_find(struct sums *sums, const struct record *r, int64_t hour, struct hour_sums **found)
{
    const struct text names[SUMS_NAMES] = {r->resource, r->account, r->model, r->route, r->tenant};
    size_t at = place_of(names, hour);
    *found = &sums->kept[at];
    int rc = is_of(*found, names, hour) ? SQLITE_OK : replace(sums, at, names, hour);
    if (rc == SQLITE_OK) {
        sums->changed[at / 64] |= UINT64_C(1) << at % 64;
    }
    return rc;
}
