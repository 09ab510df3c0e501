#include "journal/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "journal/bind.h"
#include "journal/clerk.h"
#include "journal/lock.h"
#include "journal/replay.h"
#include "journal/row.h"
#include "journal/schema.h"
#include "journal/sheet.h"
#include "journal/wal.h"

#define WORDS_LEN_MAX   256
#define BUSY_TIMEOUT_MS 5000 /* an operator's sqlite3 may hold the file for a moment */

/* The loop waits for the reader, and everyone for the loop. A writer does not hold up who reads a
 * WAL; only another process that is recovering the file does, for as long as that takes. */
#define READER_TIMEOUT_MS 20

enum statement {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_LAST,
    STMT_SHEET,
    STMT_COUNTER,
    STMT_HEALTH,
    STMT_LEARNED,
    STMT_PRUNE_LOOK,
    STMT_PRUNE,
    STMT_PRUNE_COUNTERS,
    STMT_PRUNE_HEALTH,
    STMT_COUNT
};

static const char *const statement_sql[STMT_COUNT] = {
    [STMT_BEGIN] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_LAST] = "SELECT seq + records_n FROM sheet ORDER BY seq DESC LIMIT 1",
    [STMT_SHEET] = ROW_INSERT_SHEET,
    [STMT_COUNTER] = ROW_UPSERT_COUNTER,
    [STMT_HEALTH] = ROW_REPLACE_HEALTH,
    [STMT_LEARNED] = ROW_REPLACE_LEARNED,
    [STMT_PRUNE_LOOK] = "SELECT seq, emitted_us, exact, records_n FROM sheet WHERE seq > ? "
                        "ORDER BY seq LIMIT ?",
    [STMT_PRUNE] = "DELETE FROM sheet WHERE seq <= ?",
    /* The condition of the partial index has to be repeated for it to be used. It only says where
     * to look: each row is asked itself before it goes. */
    [STMT_PRUNE_COUNTERS] =
        "DELETE FROM counter WHERE +expires_us < ?1 AND (resource, limit_name, scope_key) IN "
        "(SELECT resource, limit_name, scope_key FROM counter WHERE expires_us < ?1 AND "
        "expires_us < 9223372036854775807 ORDER BY expires_us LIMIT ?2)",
    [STMT_PRUNE_HEALTH] = "DELETE FROM health WHERE expires_us < ?",
};

struct store {
    char *path;
    int lock; /* -1 while none is held */
    sqlite3 *db;
    sqlite3_stmt *statements[STMT_COUNT];
    struct clerk clerk;
    sqlite3 *reader;
    sqlite3_stmt *read_counter;
    char counts[COUNTS_LEN_MAX]; /* of the counter that was looked up last */
    struct wal wal;
    int64_t rows;
    int64_t next_seq;   /* the number of the next record; 0: the file has to be asked */
    int64_t prune_seq;  /* sheets up to here were looked at in this pass of pruning, and stay … */
    int64_t prune_rows; /* … and have so many records */
    struct sheet sheet; /* that is being written, or read back */
    char words[WORDS_LEN_MAX];
};

/* --- Opening --- */

/* Creates the file for its owner alone, and finds out why it cannot be opened, in the system's own
 * words: SQLite would only say that it could not. */
static int touch_file(const char *path, struct buf *why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        lock_explain(path, errno, why);
        return ERR_STORE_FAILED;
    }
    close(fd);
    return 0;
}

/* A store reached by two names must have one lock, so links are followed first. */
static char *real_path(const char *path)
{
    char *real = realpath(path, NULL);
    return real ? real : strdup(path);
}

static int connect_db(struct store *s, sqlite3 **db, struct buf *why)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(s->path, db, flags, NULL);
    if (rc != SQLITE_OK) {
        return schema_trouble(*db, rc, s->path, why);
    }
    sqlite3_busy_timeout(*db, BUSY_TIMEOUT_MS);
    return 0;
}

static int run(struct store *s, sqlite3 *db, const char *sql, struct buf *why)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : schema_trouble(db, rc, s->path, why);
}

static int use_wal(struct store *s, struct buf *why)
{
    char mode[SCHEMA_WORD_MAX];
    int code = schema_word(s->db, s->path, "PRAGMA journal_mode=WAL", mode, why);
    if (code == 0 && strcmp(mode, "wal") != 0) {
        buf_addf(why, "%s is on a file system without shared memory, which the store needs",
                 s->path);
        code = ERR_STORE_FAILED;
    }
    return code;
}

static int prepare_all(struct store *s, struct buf *why)
{
    static const char *const read_counter[] = {ROW_SELECT_COUNTER};
    int rc = bind_prepare(s->db, statement_sql, s->statements, STMT_COUNT);
    rc = rc == SQLITE_OK ? clerk_prepare(&s->clerk, s->db) : rc;
    if (rc != SQLITE_OK) {
        return schema_trouble(s->db, rc, s->path, why);
    }
    rc = bind_prepare(s->reader, read_counter, &s->read_counter, 1);
    return rc == SQLITE_OK ? 0 : schema_trouble(s->reader, rc, s->path, why);
}

/* Looks before it touches: until the store is known to be ours and sound, nothing is written to
 * it, not even the WAL that a crash may have left. */
static int open_checked(struct store *s, struct buf *why)
{
    size_t version = 0;
    int rc = connect_db(s, &s->db, why);
    if (rc) {
        return rc;
    }
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    rc = schema_version(s->db, s->path, schema_steps_n, &version, why);
    if (rc == 0 && version > 0) {
        rc = schema_check(s->db, s->path, store_bytes(s) <= STORE_CHECK_BYTES_MAX, why);
    }
    if (rc == 0) {
        rc = run(s, s->db, "PRAGMA auto_vacuum=INCREMENTAL", why);
    }
    if (rc == 0) {
        rc = schema_migrate(s->db, s->path, version, schema_steps, schema_steps_n, why);
    }
    if (rc == 0) {
        rc = use_wal(s, why);
    }
    if (rc == 0) {
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    }
    return rc;
}

static int set_up(struct store *s, enum durability durability, struct buf *why)
{
    int rc = wal_init(&s->wal, s->db, durability == DURABILITY_FULL);
    if (rc != SQLITE_OK) {
        return schema_trouble(s->db, rc, s->path, why);
    }
    rc = run(s, s->db, "PRAGMA secure_delete=OFF; PRAGMA cache_size=-8192", why);
    if (rc == 0) {
        rc = connect_db(s, &s->reader, why);
    }
    if (rc == 0) {
        rc = run(s, s->reader, "PRAGMA query_only=ON", why);
    }
    if (rc == 0) {
        rc = prepare_all(s, why);
    }
    if (rc == 0) {
        sqlite3_busy_timeout(s->reader, READER_TIMEOUT_MS);
    }
    return rc;
}

int store_open(const char *path, enum durability durability, struct store **store, struct buf *why)
{
    /* Nobody asks how much memory SQLite has, and to count it takes a lock that is the process's at
     * each allocation. It can be said before SQLite's first use alone, and is no harm later. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    struct store *s = calloc(1, sizeof(*s));
    if (s) {
        s->lock = -1;
        s->rows = -1;
        s->path = real_path(path);
    }
    if (!s || !s->path) {
        free(s);
        return ERR_NO_MEMORY;
    }
    int rc = lock_take(s->path, &s->lock, why);
    if (rc == 0) {
        rc = touch_file(s->path, why);
    }
    if (rc == 0) {
        rc = open_checked(s, why);
    }
    if (rc == 0) {
        rc = set_up(s, durability, why);
    }
    if (rc) {
        store_close(s);
        return rc;
    }
    *store = s;
    return 0;
}

/* --- Reading --- */

int store_replay(struct store *s, int (*each)(void *ctx, const struct record *record), void *ctx,
                 struct buf *why)
{
    struct replay replay = {
        .db = s->db, .path = s->path, .sheet = &s->sheet, .each = each, .ctx = ctx, .why = why};
    int rc = replay_all(&replay);
    s->rows = replay.rows;
    return rc;
}

int store_count(struct store *s)
{
    sqlite3_int64 rows;
    int rc = schema_number(s->db, "SELECT coalesce(sum(records_n), 0) FROM sheet", &rows);
    if (rc != SQLITE_OK) {
        return ERR_STORE_FAILED;
    }
    s->rows = rows;
    return 0;
}

int64_t store_rows(const struct store *s)
{
    return s->rows;
}

/* The row goes with the statement. */
static void keep_counts(struct store *s, struct record *record)
{
    if (record->counts.len) {
        memcpy(s->counts, record->counts.at, record->counts.len);
        record->counts.at = s->counts;
    }
}

int store_counter(struct store *s, struct record *record, bool *found)
{
    int rc = row_bind_counter_key(s->read_counter, record);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(s->read_counter);
    }
    int code = 0;
    if (rc == SQLITE_ROW) {
        code = row_read_counter_value(s->read_counter, record) ? ERR_STORE_DAMAGED : 0;
        keep_counts(s, record);
    } else if (rc != SQLITE_DONE) {
        code = ERR_STORE_FAILED;
    }
    *found = rc == SQLITE_ROW;
    sqlite3_reset(s->read_counter);
    return code;
}

/* --- Writing --- */

const char *store_path(const struct store *s)
{
    return s->path;
}

struct wal *store_wal(struct store *s)
{
    return &s->wal;
}

const char *store_words(const struct store *s)
{
    return s->words;
}

static int step(struct store *s, enum statement which)
{
    return bind_run(s->statements[which]);
}

/* Keeps SQLite's words, and ends the transaction if SQLite has not done so itself. */
static int give_up(struct store *s)
{
    sqlite3_snprintf(sizeof(s->words), s->words, "%s: %s", s->path, sqlite3_errmsg(s->db));
    if (!sqlite3_get_autocommit(s->db)) {
        step(s, STMT_ROLLBACK);
    }
    clerk_forget(&s->clerk);
    s->next_seq = 0;
    return ERR_STORE_FAILED;
}

static int write_value(struct store *s, const struct record *record)
{
    enum statement which = record->kind == RECORD_HEALTH    ? STMT_HEALTH
                           : record->kind == RECORD_LEARNED ? STMT_LEARNED
                                                            : STMT_COUNTER;
    int rc = row_bind_value(s->statements[which], record);
    return rc == SQLITE_OK ? step(s, which) : rc;
}

/* Where the newest sheet ends. */
static int find_next_seq(struct store *s)
{
    sqlite3_stmt *stmt = s->statements[STMT_LAST];
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        s->next_seq = rc == SQLITE_ROW ? max_i64(1, sqlite3_column_int64(stmt, 0)) : 1;
        rc = SQLITE_OK;
    }
    int reset = sqlite3_reset(stmt);
    return rc == SQLITE_OK ? reset : rc;
}

static int write_sheet(struct store *s)
{
    int rc = s->next_seq ? SQLITE_OK : find_next_seq(s);
    if (rc == SQLITE_OK) {
        sheet_end(&s->sheet);
        rc = row_bind_sheet(s->statements[STMT_SHEET], s->next_seq, &s->sheet);
    }
    rc = rc == SQLITE_OK ? step(s, STMT_SHEET) : rc;
    if (rc == SQLITE_OK) {
        s->next_seq += s->sheet.records_n;
        sheet_begin(&s->sheet);
    }
    return rc;
}

static int write_record(struct store *s, const struct record *record)
{
    sheet_add(&s->sheet, record);
    int rc = clerk_book(&s->clerk, record);
    return rc == SQLITE_OK && sheet_full(&s->sheet) ? write_sheet(s) : rc;
}

/* Values are in tables of their own and need not keep their place among the records of leases. */
static int write_all(struct store *s, struct backlog_cursor *cursor, uint64_t count, int64_t *rows)
{
    int rc = SQLITE_OK;
    sheet_begin(&s->sheet);
    for (uint64_t i = 0; rc == SQLITE_OK && i < count; i++) {
        const struct record *record = backlog_next(cursor);
        bool value = record_is_value(record->kind);
        *rows += !value;
        rc = value ? write_value(s, record) : write_record(s, record);
    }
    if (rc == SQLITE_OK && s->sheet.records_n > 0) {
        rc = write_sheet(s);
    }
    return rc == SQLITE_OK ? clerk_finish(&s->clerk) : rc;
}

int store_write(struct store *s, struct backlog_cursor *cursor, uint64_t count)
{
    struct backlog_cursor at = *cursor;
    int64_t rows = 0;
    int rc = step(s, STMT_BEGIN);
    if (rc == SQLITE_OK) {
        rc = write_all(s, &at, count, &rows);
    }
    if (rc == SQLITE_OK) {
        rc = step(s, STMT_COMMIT);
    }
    if (rc != SQLITE_OK) {
        return give_up(s);
    }
    *cursor = at;
    s->rows += rows;
    return 0;
}

/* --- Keeping it small --- */

/*
 * Which sheets may go. Every record that a start needs was emitted at or after the horizon. Sheets
 * are in order of emission, and each says when its last record was emitted, or only before when,
 * where that is a RENEW. So a sheet that is older than the horizon proves that it and all before it
 * may go; another one that knows when ends the search; and one that does not proves nothing. Only
 * whole beginnings of the table are deleted, so that the end of a lease is never forgotten before
 * the lease.
 */
enum sheet_age { AGE_OLD, AGE_UNKNOWN, AGE_NEW };

static enum sheet_age sheet_age(sqlite3_stmt *stmt, int64_t horizon_us)
{
    bool exact = sqlite3_column_int64(stmt, 2) != 0;
    return sqlite3_column_int64(stmt, 1) < horizon_us ? AGE_OLD : exact ? AGE_NEW : AGE_UNKNOWN;
}

/* What a look at the next sheets has found: the last that is proved to be older, and how many
 * records it and those before it have. */
struct prune_look {
    int64_t old_seq; /* 0: none */
    int64_t old_rows;
    bool more;
};

static int prune_look(struct store *s, int64_t horizon_us, struct prune_look *look)
{
    sqlite3_stmt *stmt = s->statements[STMT_PRUNE_LOOK];
    int seen = 0;
    int rc = sqlite3_bind_int64(stmt, 1, s->prune_seq);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int(stmt, 2, STORE_PRUNE_SHEETS_MAX);
    }
    enum sheet_age age = AGE_UNKNOWN;
    while (rc == SQLITE_OK && age != AGE_NEW && sqlite3_step(stmt) == SQLITE_ROW) {
        seen++;
        age = sheet_age(stmt, horizon_us);
        s->prune_seq = sqlite3_column_int64(stmt, 0);
        s->prune_rows = add_sat(s->prune_rows, sqlite3_column_int64(stmt, 3));
        if (age == AGE_OLD) {
            look->old_seq = s->prune_seq;
            look->old_rows = s->prune_rows;
        }
    }
    int reset = sqlite3_reset(stmt);
    look->more = age != AGE_NEW && seen == STORE_PRUNE_SHEETS_MAX;
    return rc == SQLITE_OK ? reset : rc;
}

static int prune_records(struct store *s, int64_t horizon_us, uint64_t *pruned, bool *more)
{
    struct prune_look look = {.old_seq = 0};
    int rc = prune_look(s, horizon_us, &look);
    *more = look.more;
    if (rc == SQLITE_OK && look.old_seq > 0) {
        rc = sqlite3_bind_int64(s->statements[STMT_PRUNE], 1, look.old_seq);
        if (rc == SQLITE_OK) {
            rc = step(s, STMT_PRUNE);
        }
    }
    if (rc == SQLITE_OK && look.old_seq > 0) {
        *pruned = (uint64_t)max_i64(0, look.old_rows);
        s->rows = max_i64(0, s->rows - look.old_rows);
        s->prune_rows -= look.old_rows;
    }
    if (rc != SQLITE_OK || !*more) {
        s->prune_seq = 0;
        s->prune_rows = 0;
    }
    return rc;
}

/* Counters have no order among each other: each goes by its own expires_us, as it is stored at that
 * moment. What was written again is judged anew, because one thread does both. */
static int prune_counters(struct store *s, int64_t horizon_us, uint64_t *pruned, bool *more)
{
    sqlite3_stmt *stmt = s->statements[STMT_PRUNE_COUNTERS];
    int rc = sqlite3_bind_int64(stmt, 1, horizon_us);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int(stmt, 2, STORE_PRUNE_COUNTERS_MAX);
    }
    if (rc == SQLITE_OK) {
        rc = step(s, STMT_PRUNE_COUNTERS);
    }
    if (rc == SQLITE_OK) {
        *pruned = (uint64_t)sqlite3_changes64(s->db);
        *more = *pruned == STORE_PRUNE_COUNTERS_MAX;
    }
    return rc;
}

/* One for each resource that is well again: too few to be counted. */
static int prune_health(struct store *s, int64_t horizon_us)
{
    int rc = sqlite3_bind_int64(s->statements[STMT_PRUNE_HEALTH], 1, horizon_us);
    return rc == SQLITE_OK ? step(s, STMT_PRUNE_HEALTH) : rc;
}

int store_prune(struct store *s, int64_t horizon_us, uint64_t *pruned, bool *more)
{
    uint64_t counters = 0;
    bool more_counters = false;
    *pruned = 0;
    *more = false;
    int rc = prune_records(s, horizon_us, pruned, more);
    if (rc == SQLITE_OK) {
        rc = prune_counters(s, horizon_us, &counters, &more_counters);
    }
    if (rc == SQLITE_OK) {
        rc = prune_health(s, horizon_us);
    }
    *pruned += counters;
    *more = rc == SQLITE_OK && (*more || more_counters);
    return rc == SQLITE_OK ? 0 : give_up(s);
}

int store_prune_ledger(struct store *s, int64_t horizon_us, uint64_t *pruned, bool *more)
{
    return clerk_prune(&s->clerk, horizon_us, pruned, more) == SQLITE_OK ? 0 : give_up(s);
}

static int64_t free_pages(struct store *s)
{
    sqlite3_int64 pages = 0;
    return schema_number(s->db, "PRAGMA freelist_count", &pages) == SQLITE_OK ? pages : 0;
}

/* Gives some pages back if most of the file is free. False where there is no more to give; a store
 * that was rebuilt from a dump may not be able to give any. */
static bool give_back(struct store *s)
{
    sqlite3_int64 pages = 0;
    int64_t before = free_pages(s);
    if (before <= STORE_FREE_PAGES_MAX ||
        schema_number(s->db, "PRAGMA page_count", &pages) != SQLITE_OK || before <= pages / 2) {
        return false;
    }
    return sqlite3_exec(s->db, "PRAGMA incremental_vacuum(500)", NULL, NULL, NULL) == SQLITE_OK &&
           free_pages(s) < before;
}

/* Whoever reads the file at the moment is not waited for. */
static void come_to_rest(struct store *s)
{
    sqlite3_busy_timeout(s->db, 0);
    wal_come_to_rest(&s->wal);
    sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
}

void store_tidy(struct store *s, bool *more)
{
    *more = give_back(s);
    if (*more) {
        return;
    }
    come_to_rest(s);
}

static int64_t bytes_of(const char *path, const char *suffix)
{
    char name[PATH_MAX];
    struct stat st;
    sqlite3_snprintf(sizeof(name), name, "%s%s", path, suffix);
    return stat(name, &st) == 0 ? st.st_size : 0;
}

int64_t store_bytes(const struct store *s)
{
    return bytes_of(s->path, "") + bytes_of(s->path, "-wal");
}

/* --- Closing --- */

void store_close(struct store *s)
{
    if (s->read_counter) {
        come_to_rest(s); /* it was opened as a whole */
    }
    bind_release(s->statements, STMT_COUNT);
    clerk_release(&s->clerk);
    bind_release(&s->read_counter, 1);
    sqlite3_close(s->reader);
    sqlite3_close(s->db);
    if (s->lock >= 0) {
        lock_drop(s->lock);
    }
    free(s->path);
    free(s);
}
