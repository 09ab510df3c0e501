/* links: journal
 *
 * Stores as nobody wrote them: replay gives records that a core may have emitted, or refuses.
 *
 * The first byte chooses. Even: the rest becomes rows, in tables that take any type. For each row a
 * byte chooses the table, and for each column a byte chooses a value: 0 NULL, 1 integer (8 bytes
 * follow), 2 text (a length and so many bytes follow), 3 blob (likewise), 4 real (8 bytes), more: a
 * plausible value. Odd: the rest is damage to a sound store, as pieces of five bytes: where (three
 * bytes), what, and how often in a row. */
#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "journal/journal.h"
#include "journal/row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SHEET_COLUMNS   4
#define COUNTER_COLUMNS 10
#define SOUND_BYTES_MAX (1u << 20)
#define ROWS_MAX        64

static char dir[] = "/dev/shm/fuzz-journal-XXXXXX";
static char rows_path[64];
static char damaged_path[64];
static uint8_t sound[SOUND_BYTES_MAX];
static size_t sound_len;
static sqlite3 *rows_db;
static sqlite3_stmt *insert_sheet;
static sqlite3_stmt *insert_counter;

static const char loose_tables[] =
    "PRAGMA synchronous=OFF; DROP VIEW history; DROP VIEW record; DROP TABLE sheet; "
    "DROP TABLE counter; CREATE TABLE sheet (seq INTEGER PRIMARY KEY, records_n, emitted_us, "
    "exact, "
    "records); CREATE TABLE counter (resource, limit_name, scope_key, at_us, expires_us, "
    "period_us, "
    "used, level, since_us, counts)";

/* What a sheet says that has 1 in each of its other columns. */
static const char one_record[] =
    "[[1,1,1,0,0,0,0,0,0,1,5,1,0,0,0,0,0,\"m\",\"\",\"\",\"\",\"\",\"\"]]";

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "fuzz_journal: %s\n", what);
        abort();
    }
}

static void ignore_progress(void *ctx)
{
    (void)ctx;
}

static int open_journal(const char *path, struct journal **journal, struct buf *why)
{
    struct journal_options options = {.path = path, .durability = DURABILITY_PROCESS};
    return journal_open(&options, journal, why);
}

/* A store with some of everything. */
static void make_store(const char *path, unsigned records)
{
    struct journal *journal = NULL;
    struct buf why;
    buf_init(&why, 4096);
    must(open_journal(path, &journal, &why) == 0, "open");
    must(journal_start(journal, ignore_progress, NULL) == 0, "start");
    for (unsigned i = 0; i < records; i++) {
        struct record record = {
            .kind = i % 4 == 0 ? RECORD_COUNTER : i % 4,
            .at_us = 1000 + i,
            .lease = i,
            .expires_us = 9000,
            .priority = 5,
            .resource = TEXT("gpt-4o"),
            .tenant = TEXT("team"),
            .limit = TEXT("daily"),
            .scope_key = i % 8 ? TEXT("a") : TEXT("b"),
        };
        must(journal_append(journal, &record) == 0, "append");
    }
    journal_commit(journal);
    must(journal_close(journal) == 0, "close");
    buf_release(&why);
}

static void remove_store(const char *store)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char path[96];
        snprintf(path, sizeof(path), "%s%s", store, suffixes[i]);
        unlink(path);
    }
}

static void clean_up(void)
{
    sqlite3_finalize(insert_sheet);
    sqlite3_finalize(insert_counter);
    sqlite3_close(rows_db);
    remove_store(rows_path);
    remove_store(damaged_path);
    rmdir(dir);
}

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *stmt;
    must(sqlite3_prepare_v2(rows_db, sql, -1, &stmt, NULL) == SQLITE_OK, "prepare");
    return stmt;
}

static void set_up(void)
{
    must(mkdtemp(dir) != NULL, "no directory");
    snprintf(rows_path, sizeof(rows_path), "%s/rows.db", dir);
    snprintf(damaged_path, sizeof(damaged_path), "%s/damaged.db", dir);
    make_store(rows_path, 0);
    must(sqlite3_open(rows_path, &rows_db) == SQLITE_OK, "open rows");
    must(sqlite3_exec(rows_db, loose_tables, NULL, NULL, NULL) == SQLITE_OK, "tables");
    insert_sheet = prepare("INSERT INTO sheet VALUES (NULL, ?, ?, ?, ?)");
    insert_counter = prepare("INSERT INTO counter VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    make_store(damaged_path, 200);
    FILE *file = fopen(damaged_path, "rb");
    must(file != NULL, "no store");
    sound_len = fread(sound, 1, sizeof(sound), file);
    fclose(file);
    must(sound_len > 0 && sound_len < sizeof(sound), "store's size");
    atexit(clean_up);
}

/* --- Rows --- */

struct input {
    const uint8_t *at;
    size_t left;
};

static uint8_t take_byte(struct input *in)
{
    if (in->left == 0) {
        return 0xff;
    }
    in->left--;
    return *in->at++;
}

static uint64_t take_u64(struct input *in)
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++) {
        n |= (uint64_t)take_byte(in) << (8 * i);
    }
    return n;
}

static void bind_bytes(sqlite3_stmt *stmt, int column, struct input *in, bool text)
{
    size_t len = take_byte(in);
    len = len < in->left ? len : in->left;
    const char *at = len ? (const char *)in->at : "";
    int rc = text ? sqlite3_bind_text(stmt, column, at, (int)len, SQLITE_TRANSIENT)
                  : sqlite3_bind_blob(stmt, column, at, (int)len, SQLITE_TRANSIENT);
    must(rc == SQLITE_OK, "bind");
    in->at += len;
    in->left -= len;
}

static void bind_value(sqlite3_stmt *stmt, int column, struct input *in, const char *plausible)
{
    switch (take_byte(in)) {
    case 0: sqlite3_bind_null(stmt, column); break;
    case 1: sqlite3_bind_int64(stmt, column, (int64_t)take_u64(in)); break;
    case 2: bind_bytes(stmt, column, in, true); break;
    case 3: bind_bytes(stmt, column, in, false); break;
    case 4: sqlite3_bind_double(stmt, column, (double)(int64_t)take_u64(in) / 16); break;
    default:
        if (plausible) {
            sqlite3_bind_text(stmt, column, plausible, -1, SQLITE_STATIC);
        } else {
            sqlite3_bind_int64(stmt, column, 1);
        }
    }
}

static void insert_rows(struct input *in)
{
    must(sqlite3_exec(rows_db, "BEGIN; DELETE FROM sheet; DELETE FROM counter", NULL, NULL, NULL) ==
             SQLITE_OK,
         "delete");
    for (int row = 0; row < ROWS_MAX && in->left > 0; row++) {
        bool counter = take_byte(in) % 4 == 0;
        sqlite3_stmt *stmt = counter ? insert_counter : insert_sheet;
        int columns = counter ? COUNTER_COLUMNS : SHEET_COLUMNS;
        for (int i = 0; i < columns; i++) {
            const char *text = counter  ? (i < 3 || i == 9 ? "x" : NULL)
                               : i == 3 ? one_record
                                        : NULL;
            bind_value(stmt, i + 1, in, text);
        }
        must(sqlite3_step(stmt) == SQLITE_DONE && sqlite3_reset(stmt) == SQLITE_OK, "insert");
    }
    must(sqlite3_exec(rows_db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK, "commit");
}

/* --- Damage --- */

static void write_damaged(struct input *in)
{
    static uint8_t bytes[SOUND_BYTES_MAX];
    memcpy(bytes, sound, sound_len);
    while (in->left > 0) {
        size_t where = take_byte(in);
        where |= (size_t)take_byte(in) << 8;
        where |= (size_t)take_byte(in) << 16;
        uint8_t what = take_byte(in);
        size_t n = take_byte(in);
        for (size_t i = 0; i <= n; i++) {
            bytes[(where + i) % sound_len] = what;
        }
    }
    remove_store(damaged_path);
    FILE *file = fopen(damaged_path, "wb");
    must(file && fwrite(bytes, 1, sound_len, file) == sound_len && fclose(file) == 0, "write");
}

/* --- What must hold --- */

static int check_record(void *ctx, const struct record *record)
{
    uint64_t *sum = ctx;
    const struct text *texts[] = {&record->resource, &record->tenant, &record->session,
                                  &record->labels,   &record->id,     &record->limit,
                                  &record->scope_key};
    assert(row_problem(record) == NULL);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (size_t k = 0; k < texts[i]->len; k++) {
            *sum += (unsigned char)texts[i]->at[k];
        }
    }
    return 0;
}

/* Opens and replays; what was taken is also written to, looked into, and closed. */
static void check_store(const char *path)
{
    struct journal *journal = NULL;
    struct buf why;
    uint64_t sum = 0;
    buf_init(&why, 1u << 16);
    int rc = open_journal(path, &journal, &why);
    if (rc == 0) {
        rc = journal_replay(journal, check_record, &sum, &why);
    }
    assert(rc == 0 || rc == ERR_STORE_DAMAGED || rc == ERR_STORE_NEWER || rc == ERR_STORE_FAILED);
    assert(rc == 0 || why.len > 0);
    if (rc == 0 && journal_start(journal, ignore_progress, NULL) == 0) {
        struct record record = {.kind = RECORD_COUNTER, .limit = TEXT("daily")};
        bool found;
        (void)!journal_counter(journal, &record, &found);
        assert(journal_append(journal, &record) == 0);
        journal_commit(journal);
        journal_prune(journal, INT64_MAX);
    }
    (void)!journal_close(journal);
    buf_release(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rows_db) {
        set_up();
    }
    if (size == 0) {
        return 0;
    }
    struct input in = {data + 1, size - 1};
    if (data[0] % 2 == 0) {
        insert_rows(&in);
        check_store(rows_path);
    } else {
        write_damaged(&in);
        check_store(damaged_path);
    }
    return 0;
}
