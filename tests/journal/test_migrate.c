/* The machine loses power, or the process its life, before each operation of a store's way to the
 * newest version; or the disk is full from there on. What is left has the old version and all that
 * it had, or the newest and all that it had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "disk.h"
#include "faults.h"
#include "fixture.h"
#include "journal/schema.h"
#include "journal/store.h"

#define TOLD_MAX (1u << 20)

static int die_at;
static int operations;
static enum disk_loss loss;
static struct buf before, after, whole; /* what a store says */

static void count_down(void)
{
    if (++operations == die_at) {
        disk_die(loss, (uint64_t)die_at);
    }
}

static int setup(void **state)
{
    disk_clear();
    faults_set(0, false);
    buf_init(&before, TOLD_MAX);
    buf_init(&after, TOLD_MAX);
    buf_init(&whole, TOLD_MAX);
    return fixture_setup(state);
}

static int teardown(void **state)
{
    faults_hook(NULL);
    faults_set(0, false);
    buf_release(&before);
    buf_release(&after);
    buf_release(&whole);
    return fixture_teardown(state);
}

/* --- Stores of before --- */

static const char rows_1[] =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)\n"
    "INSERT INTO record SELECT i, 1, 100 * i, i, 1, 20, 15, 5, 1, 99, 900, 5, 1, 3, 0, NULL, 'm',\n"
    "  'a \"quoted\" name', 's' || i, 'k=v' || char(10) || 'l=w', 'id' || i FROM n;\n"
    "INSERT INTO counter VALUES ('m', 'money', '', 5, 9223372036854775807, 0, 42, 0);\n"
    "INSERT INTO counter VALUES ('m', 'money', 's', 5, 9223372036854775807, 0, 43, 0);\n";

static const char rows_7[] =
    "INSERT INTO learned VALUES ('m', 'rpm', 5, 9223372036854775807, 60, 7, 0, 0, 0, 0);\n";

static const char rows_3[] =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)\n"
    "INSERT INTO ledger SELECT i, 120000000 * i, i, 'm', NULL, 'model', NULL, NULL, 't' || i % 3,\n"
    "  's' || i % 7, NULL, iif(i % 10 = 0, 'expired', 'ok'), 1, 0, 3, 4, 1, 20, 15, 0, 0, 0, 5,\n"
    "  99 FROM n;\n"
    "INSERT INTO usage_hour SELECT at_us / 3600000000, 'm', '', 'model', '', tenant, count(*), 0,\n"
    "  sum(outcome = 'expired'), sum(waited_us), sum(held_us), sum(requests), sum(tokens),\n"
    "  sum(input), 0, 0, 0, sum(output), 0, sum(usd_pico) FROM ledger GROUP BY 1, tenant;\n";

/* The rows of a version are put in while the store has it, and go on with it from there. */
static void make_store(struct fixture *f, size_t version)
{
    sqlite3 *db;
    disk_clear();
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    for (size_t v = 0; v < version; v++) {
        assert_int_equal(schema_migrate(db, f->path, v, schema_steps, v + 1, &f->why), 0);
        const char *rows = v == 0 ? rows_1 : v == 2 ? rows_3 : v == 6 ? rows_7 : "";
        assert_int_equal(sqlite3_exec(db, rows, NULL, NULL, NULL), SQLITE_OK);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* --- What a store says --- */

static void tell(sqlite3 *db, const char *sql, struct buf *out)
{
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const char *text = (const char *)sqlite3_column_text(stmt, i);
            buf_addf(out, "%s|", text ? text : "NULL");
        }
        buf_add_char(out, '\n');
    }
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
}

static bool has_table(sqlite3 *db, const char *name)
{
    char sql[96];
    sqlite3_int64 n = 0;
    sqlite3_snprintf(sizeof(sql), sql, "SELECT count(*) FROM sqlite_schema WHERE name = %Q", name);
    assert_int_equal(schema_number(db, sql, &n), SQLITE_OK);
    return n > 0;
}

/* The version, that the file is sound, and all rows that people can ask for. */
static size_t tell_all(struct fixture *f, struct buf *out)
{
    static const char *const names[] = {"record", "ledger", "usage_hour", "usage",  "expiry",
                                        "entry",  "sheet",  "counter",    "learned"};
    sqlite3 *db;
    sqlite3_int64 version = -1;
    buf_clear(out);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(schema_number(db, "PRAGMA user_version", &version), SQLITE_OK);
    tell(db, "PRAGMA integrity_check", out);
    tell(db, "SELECT type, name, sql FROM sqlite_schema ORDER BY name", out);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char sql[96];
        snprintf(sql, sizeof(sql), "SELECT * FROM %s ORDER BY 1, 2, 3", names[i]);
        if (has_table(db, names[i])) {
            tell(db, sql, out);
        }
    }
    assert_int_equal(strncmp(out->at, "ok|\n", 4), 0);
    assert_true(out->len < TOLD_MAX);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return (size_t)version;
}

static void assert_same(const struct buf *a, const struct buf *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->at, b->at, a->len);
}

/* What a store of that version says before and after a start that nothing comes in the way of. */
static void learn_what_to_expect(struct fixture *f, size_t version)
{
    make_store(f, version);
    assert_int_equal(tell_all(f, &before), version);
    fixture_open(f, DURABILITY_FULL);
    assert_int_equal(fixture_close(f), 0);
    assert_int_equal(tell_all(f, &whole), JOURNAL_SCHEMA_VERSION);
    assert_null(strstr(whole.at, "hour_before"));
}

/* It is whole, or it is as it was and the next start makes it whole. Returns whether it was. */
static bool judge(struct fixture *f, size_t version)
{
    size_t found = tell_all(f, &after);
    assert_true(found == version || found == JOURNAL_SCHEMA_VERSION);
    assert_same(&after, found == version ? &before : &whole);
    if (found == JOURNAL_SCHEMA_VERSION) {
        return true;
    }
    buf_clear(&f->why);
    fixture_open(f, DURABILITY_FULL);
    assert_int_equal(fixture_close(f), 0);
    assert_int_equal(tell_all(f, &after), JOURNAL_SCHEMA_VERSION);
    assert_same(&after, &whole);
    return false;
}

/* --- A start that is cut off --- */

static void start(struct fixture *f)
{
    struct store *store = NULL;
    buf_clear(&f->why);
    if (store_open(f->path, DURABILITY_FULL, &store, &f->why) == 0) {
        store_close(store);
    }
}

/* A death before the migration's first operation, before each of those between, and after the last:
 * the store was left at the one version and at the other. */
static void die_everywhere(struct fixture *f, size_t version, enum disk_loss how)
{
    int left[2] = {0, 0};
    bool reached = true;
    learn_what_to_expect(f, version);
    loss = how;
    for (die_at = 1; reached; die_at++) {
        make_store(f, version);
        operations = 0;
        faults_hook(count_down);
        start(f);
        faults_hook(NULL);
        reached = operations >= die_at;
        left[judge(f, version)]++;
    }
    assert_true(left[0] > 10);
    assert_true(left[1] > 0);
}

static void test_version_7_is_brought_up_or_stays_where_the_process_is_killed(void **state)
{
    die_everywhere(*state, 7, DISK_LOSES_NOTHING);
}

static void test_version_7_is_brought_up_or_stays_where_power_is_lost(void **state)
{
    die_everywhere(*state, 7, DISK_LOSES_UNSYNCED);
}

static void test_version_7_is_brought_up_or_stays_where_writes_are_torn(void **state)
{
    die_everywhere(*state, 7, DISK_LOSES_SOME);
}

/* The first one, which takes all steps, the last whose records stood in rows, and the last whose
 * ledger had rows of their own names. */
static void test_older_versions_are_brought_up_or_stay_where_writes_are_torn(void **state)
{
    die_everywhere(*state, 1, DISK_LOSES_SOME);
    die_everywhere(*state, 4, DISK_LOSES_SOME);
    die_everywhere(*state, 6, DISK_LOSES_SOME);
}

/* --- A disk without room --- */

/* From each operation on nothing can be written: the start says so, and how to go on. */
static void fill_everywhere(struct fixture *f, size_t version)
{
    int told = 0;
    bool reached = true;
    learn_what_to_expect(f, version);
    for (int nth = 1; reached; nth++) {
        struct store *store = NULL;
        make_store(f, version);
        buf_clear(&f->why);
        faults_set(nth, true);
        int rc = store_open(f->path, DURABILITY_FULL, &store, &f->why);
        reached = faults_count() >= nth;
        if (rc == 0) {
            store_close(store);
        } else {
            assert_int_equal(rc, ERR_STORE_FAILED);
            assert_non_null(strstr(f->why.at, f->path));
            told += strstr(f->why.at, "make room there, and start again") != NULL;
        }
        faults_set(0, false);
        judge(f, version);
    }
    assert_true(told > 10);
}

static void test_a_migration_on_a_full_disk_says_so_and_leaves_the_store_as_it_was(void **state)
{
    fill_everywhere(*state, 4);
    fill_everywhere(*state, 6);
}

int main(void)
{
    disk_install();
    faults_install();
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_version_7_is_brought_up_or_stays_where_the_process_is_killed),
        T(test_version_7_is_brought_up_or_stays_where_power_is_lost),
        T(test_version_7_is_brought_up_or_stays_where_writes_are_torn),
        T(test_older_versions_are_brought_up_or_stay_where_writes_are_torn),
        T(test_a_migration_on_a_full_disk_says_so_and_leaves_the_store_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
