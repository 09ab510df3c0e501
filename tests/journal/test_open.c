/* What opening a store promises: one owner, a sound file of a known version, and a sentence that
 * says what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "fixture.h"
#include "journal/schema.h"
#include "journal/store.h"

static void assert_says(const struct fixture *f, const char *words)
{
    assert_non_null(f->why.at);
    if (!strstr(f->why.at, words)) {
        fail_msg("\"%s\" does not say \"%s\"", f->why.at, words);
    }
}

static void assert_refused(struct fixture *f, int code, const char *words)
{
    assert_int_equal(fixture_try_open(f, DURABILITY_PROCESS), code);
    assert_null(f->journal);
    assert_says(f, words);
}

static void make_store(struct fixture *f, unsigned records)
{
    fixture_start(f, DURABILITY_PROCESS);
    for (unsigned i = 0; i < records; i++) {
        struct record record = sample_grant(i, 1000 + i);
        assert_int_equal(journal_append(f->journal, &record), 0);
    }
    fixture_commit(f);
    assert_int_equal(fixture_close(f), 0);
}

static void write_file(const char *path, long at, const void *bytes, size_t len)
{
    FILE *file = fopen(path, at < 0 ? "wb" : "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at < 0 ? 0 : at, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void test_a_second_journal_in_this_process_is_refused(void **state)
{
    struct fixture *f = *state;
    struct journal_options options = {.path = f->path, .durability = DURABILITY_FULL};
    struct journal *second = NULL;
    fixture_open(f, DURABILITY_FULL);
    assert_int_equal(journal_open(&options, &second, &f->why), ERR_STORE_IN_USE);
    assert_null(second);
    assert_says(f, "held by another sluice (process ");
    assert_int_equal(fixture_close(f), 0);
    fixture_open(f, DURABILITY_FULL);
}

static void test_a_second_journal_in_another_process_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_open(f, DURABILITY_FULL);
    pid_t child = fork();
    if (child == 0) {
        struct journal_options options = {.path = f->path, .durability = DURABILITY_FULL};
        struct journal *second = NULL;
        _exit(journal_open(&options, &second, &f->why) == ERR_STORE_IN_USE ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_a_link_to_a_store_has_the_same_lock(void **state)
{
    struct fixture *f = *state;
    char link_path[128];
    make_store(f, 1);
    snprintf(link_path, sizeof(link_path), "%s/link.db", f->dir);
    assert_int_equal(symlink(f->path, link_path), 0);
    fixture_open(f, DURABILITY_FULL);
    struct journal_options options = {.path = link_path, .durability = DURABILITY_FULL};
    struct journal *second = NULL;
    assert_int_equal(journal_open(&options, &second, &f->why), ERR_STORE_IN_USE);
}

static void test_others_can_read_while_the_store_is_open(void **state)
{
    struct fixture *f = *state;
    struct record record = sample_grant(1, 1000);
    fixture_start(f, DURABILITY_PROCESS);
    assert_int_equal(journal_append(f->journal, &record), 0);
    fixture_commit(f);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM history WHERE what = 'grant'"), 1);
}

static void test_only_the_owner_may_read_the_store(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    fixture_open(f, DURABILITY_FULL);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_a_store_says_what_it_is(void **state)
{
    struct fixture *f = *state;
    make_store(f, 1);
    assert_int_equal(fixture_sql(f, "PRAGMA application_id"), SCHEMA_APPLICATION_ID);
    assert_int_equal(fixture_sql(f, "PRAGMA user_version"), JOURNAL_SCHEMA_VERSION);
}

static void test_a_store_of_a_newer_version_is_refused_untouched(void **state)
{
    struct fixture *f = *state;
    make_store(f, 1);
    fixture_sql(f, "PRAGMA user_version=9");
    assert_refused(f, ERR_STORE_NEWER, "has version 9 and this sluice knows up to 8");
    assert_int_equal(fixture_sql(f, "PRAGMA user_version"), 9);
}

static void test_a_database_of_another_program_is_refused_untouched(void **state)
{
    struct fixture *f = *state;
    fixture_sql(f, "CREATE TABLE other (x); PRAGMA application_id=99");
    assert_refused(f, ERR_STORE_FAILED, "database of another program");
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM sqlite_schema"), 1);
    assert_int_equal(fixture_sql(f, "PRAGMA application_id"), 99);
}

static void test_a_store_without_its_version_is_damaged(void **state)
{
    struct fixture *f = *state;
    make_store(f, 1);
    fixture_sql(f, "PRAGMA user_version=0");
    assert_refused(f, ERR_STORE_DAMAGED, "do not agree");
}

static void test_a_file_that_is_no_database_is_damaged(void **state)
{
    struct fixture *f = *state;
    char text[5000];
    memset(text, 'x', sizeof(text));
    write_file(f->path, -1, text, sizeof(text));
    assert_refused(f, ERR_STORE_DAMAGED, "file is not a database");
    assert_says(f, ".dump");
}

/* Its last page is noise. */
static void make_broken_store(struct fixture *f)
{
    char noise[4096];
    struct stat st;
    memset(noise, 0xa5, sizeof(noise));
    make_store(f, 2000);
    assert_int_equal(stat(f->path, &st), 0);
    write_file(f->path, st.st_size - (off_t)sizeof(noise), noise, sizeof(noise));
}

static void test_a_broken_page_is_damage(void **state)
{
    struct fixture *f = *state;
    make_broken_store(f);
    assert_refused(f, ERR_STORE_DAMAGED, "was left as it is");
}

static void test_a_store_that_was_cut_off_is_damaged(void **state)
{
    struct fixture *f = *state;
    make_store(f, 2000);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(truncate(f->path, st.st_size / 2), 0);
    assert_refused(f, ERR_STORE_DAMAGED, "is damaged");
}

/* The WAL of a crash is part of the store: it must survive a refused start. */
static void test_a_refused_start_keeps_the_wal(void **state)
{
    struct fixture *f = *state;
    char wal[128];
    make_store(f, 1);
    snprintf(wal, sizeof(wal), "%s-wal", f->path);
    pid_t child = fork();
    if (child == 0) {
        /* Leaves a version that is too new in the WAL only. */
        sqlite3 *db;
        _exit(sqlite3_open(f->path, &db) == SQLITE_OK &&
                      sqlite3_exec(db, "PRAGMA user_version=9", NULL, NULL, NULL) == SQLITE_OK
                  ? 0
                  : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct stat before;
    struct stat after;
    assert_int_equal(stat(wal, &before), 0);
    assert_true(before.st_size > 0);
    assert_refused(f, ERR_STORE_NEWER, "version 9");
    assert_int_equal(stat(wal, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
}

static void test_a_missing_directory_is_named(void **state)
{
    struct fixture *f = *state;
    snprintf(f->path, sizeof(f->path), "%s/none/store.db", f->dir);
    assert_refused(f, ERR_STORE_FAILED, "No such file or directory");
    assert_says(f, f->path);
    assert_says(f, "make its directory");
}

static void test_a_directory_is_no_store(void **state)
{
    struct fixture *f = *state;
    snprintf(f->path, sizeof(f->path), "%s", f->dir);
    assert_refused(f, ERR_STORE_FAILED, "Is a directory");
    char lock[96];
    snprintf(lock, sizeof(lock), "%s.lock", f->dir);
    unlink(lock);
}

/* The remedy that the refusal names is tried as it is written there. */
static void test_the_remedy_for_damage_works(void **state)
{
    struct fixture *f = *state;
    make_broken_store(f);
    assert_int_equal(fixture_try_open(f, DURABILITY_PROCESS), ERR_STORE_DAMAGED);
    char *command = strstr(f->why.at, "mv ");
    assert_non_null(command);
    char *end = strstr(command, "; or move it");
    assert_non_null(end);
    *end = '\0';
    /* A store that was closed in good order has no WAL to move. */
    char quiet[2048];
    snprintf(quiet, sizeof(quiet), "(%s) 2>/dev/null", command);
    if (system("sqlite3 -version >/dev/null 2>&1") != 0) {
        skip();
    }
    assert_int_equal(system(quiet), 0);
    fixture_open(f, DURABILITY_PROCESS);
    fixture_replay(f);
    assert_true(f->seen_n > 1000);
}

static const char *const two_steps[] = {
    "CREATE TABLE old (x INTEGER) STRICT; INSERT INTO old VALUES (5)",
    "CREATE TABLE new (x INTEGER, y INTEGER) STRICT; INSERT INTO new SELECT x, x + 1 FROM old; "
    "DROP TABLE old",
};
static const char *const broken_steps[] = {
    "CREATE TABLE old (x INTEGER) STRICT; INSERT INTO old VALUES (5)",
    "DROP TABLE old; DROP TABLE none"};

static sqlite3 *memory_db(void)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    return db;
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_int64 n = -1;
    assert_int_equal(schema_number(db, sql, &n), SQLITE_OK);
    return n;
}

static void test_an_older_version_is_brought_up_step_by_step(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db = memory_db();
    size_t version = 99;
    assert_int_equal(schema_migrate(db, "x", 0, two_steps, 1, &f->why), 0);
    assert_int_equal(schema_version(db, "x", 2, &version, &f->why), 0);
    assert_int_equal(version, 1);
    assert_int_equal(schema_migrate(db, "x", version, two_steps, 2, &f->why), 0);
    assert_int_equal(number(db, "PRAGMA user_version"), 2);
    assert_int_equal(number(db, "SELECT y FROM new"), 6);
    sqlite3_close(db);
}

static void test_what_the_first_version_kept_goes_on_in_the_newest(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db = memory_db();
    assert_int_equal(schema_migrate(db, "x", 0, schema_steps, 1, &f->why), 0);
    assert_int_equal(sqlite3_exec(db,
                                  "INSERT INTO counter VALUES ('m', 'money', '', 5, 9, 0, 42, 0);"
                                  "INSERT INTO record VALUES (1, 1, 5, 7, 1, 0, 0, 0, 1, 0, 9, 5, "
                                  "1, 0, 0, NULL, 'm', NULL, NULL, NULL, NULL)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(schema_migrate(db, "x", 1, schema_steps, schema_steps_n, &f->why), 0);
    assert_int_equal(number(db, "SELECT used + since_us FROM counter"), 42);
    assert_int_equal(number(db, "SELECT lease FROM record WHERE skew_us = 0"), 7);
    assert_int_equal(number(db, "SELECT count(*) FROM usage"), 0);
    sqlite3_close(db);
}

/* A store as version 4 wrote it, with what people put into names. */
static const char version_4_rows[] =
    "INSERT INTO record (kind, at_us, lease, requests, tokens, input_tokens, output_tokens, slots, "
    "usd_pico, expires_us, priority, attempt, waited_us, late, parent, resource, tenant, session, "
    "labels, id, skew_us, route, step) VALUES "
    "(1, 100, -7, 1, 20, 15, 5, 1, 99, 900, 5, 1, 3, 0, NULL, 'm', 'a \"quoted\" \\ name', NULL, "
    "'k=v' || char(10) || 'l=w', 'id' || char(1), -5, 'best', 2), "
    "(2, 100, -7, 1, 20, 15, 5, 1, 99, 1900, 5, 1, 3, 0, 8, 'm', NULL, 's', NULL, NULL, NULL, "
    "NULL, "
    "NULL), "
    "(3, 200, -7, 1, 21, 15, 6, 0, 98, 0, 0, 1, 3, 1, NULL, 'm', NULL, NULL, NULL, NULL, 0, NULL, "
    "NULL);"
    "INSERT INTO ledger (at_us, lease, resource, outcome, attempt, late, waited_us, held_us, "
    "requests, tokens, input, cache_read, cache_write_5m, cache_write_1h, output, usd_pico) VALUES "
    "(200, 1, 'm', 'ok', 1, 0, 0, 0, 1, 10, 0, 0, 0, 0, 0, 0), "
    "(3600000200, 2, 'm', 'ok', 1, 0, 0, 0, 1, 11, 0, 0, 0, 0, 0, 0);"
    "INSERT INTO usage_hour SELECT at_us / 3600000000, 'm', '', '', '', '', 1, 0, 0, 0, 0, 1, "
    "tokens, 0, 0, 0, 0, 0, 0, 0 FROM ledger;";

static void make_version_4(struct fixture *f)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(schema_migrate(db, f->path, 0, schema_steps, 4, &f->why), 0);
    assert_int_equal(sqlite3_exec(db, version_4_rows, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_the_records_of_version_4_come_back_as_they_were(void **state)
{
    struct fixture *f = *state;
    make_version_4(f);
    fixture_open(f, DURABILITY_PROCESS);
    fixture_replay(f);
    assert_int_equal(f->seen_n, 3);
    const struct record grant = {.kind = RECORD_GRANT,
                                 .at_us = 100,
                                 .lease = (uint64_t)-7,
                                 .load = {{1, 20, 15, 5, 1, 99}},
                                 .expires_us = 900,
                                 .priority = 5,
                                 .attempt = 1,
                                 .waited_us = 3,
                                 .skew_us = -5,
                                 .resource = TEXT("m"),
                                 .tenant = TEXT("a \"quoted\" \\ name"),
                                 .labels = TEXT("k=v\nl=w"),
                                 .id = TEXT("id\x01"),
                                 .route = TEXT("best"),
                                 .step = 2};
    assert_same_record(&f->seen[0], &grant);
    assert_true(f->seen[1].kind == RECORD_RENEW && f->seen[1].parent == 8);
    assert_true(f->seen[2].kind == RECORD_SETTLE && f->seen[2].late && f->seen[2].at_us == 200);
    assert_int_equal(fixture_close(f), 0);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM history WHERE what = 'renew'"), 1);
}

static void test_a_store_of_version_4_is_written_on_and_pruned(void **state)
{
    struct fixture *f = *state;
    make_version_4(f);
    fixture_start(f, DURABILITY_PROCESS);
    for (uint64_t lease = 1; lease <= 100; lease++) {
        struct record record = sample_grant(lease, 5000);
        assert_int_equal(journal_append(f->journal, &record), 0);
    }
    fixture_commit(f);
    assert_int_equal(fixture_sql(f, "SELECT count(*) = max(seq) FROM record"), 1);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM record"), 103);
    fixture_reopen_and_replay(f);
    assert_int_equal(f->seen_n, 103);
    assert_int_equal(fixture_close(f), 0);
    struct store *store = NULL;
    uint64_t pruned;
    bool more;
    assert_int_equal(store_open(f->path, DURABILITY_PROCESS, &store, &f->why), 0);
    assert_int_equal(store_count(store), 0);
    assert_int_equal(store_prune(store, 201, &pruned, &more), 0);
    assert_int_equal(pruned, 3);
    assert_int_equal(store_rows(store), 100);
    store_close(store);
}

static void test_the_ledger_of_version_4_is_found_by_time(void **state)
{
    struct fixture *f = *state;
    make_version_4(f);
    fixture_open(f, DURABILITY_PROCESS);
    assert_int_equal(fixture_close(f), 0);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM usage_hour WHERE first_seq = last_seq"),
                     2);
    assert_int_equal(fixture_sql(f, "SELECT last_seq FROM usage_hour WHERE hour = 1"), 2);
}

/* A ledger as version 6 wrote it: names that are there or not, an expiry, amounts of each kind, and
 * a row whose sums are missing. */
static const char version_6_rows[] =
    "INSERT INTO ledger VALUES "
    "(1, 1000, 5, 'r', 'acc', 'm', 'best', 2, 'it''s \"a\"', 's', 'k=v', 'ok', 2, 0, 11, 12, 1, "
    "900, "
    "1, 2, 3, 4, 5, 999), "
    "(2, 2000, -6, 'r', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'expired', 1, 0, 0, 13, 1, 800, "
    "0, 0, 0, 0, 0, 0), "
    "(3, 3600002000, 7, 'r', NULL, NULL, NULL, NULL, NULL, 's', NULL, 'slow_down', 1, 1, 0, 0, 0, "
    "0, 0, 0, 0, 0, 0, 1000000000000000000);"
    "INSERT INTO usage_hour VALUES "
    "(0, 'r', 'acc', 'm', 'best', 'it''s \"a\"', 1, 0, 0, 11, 12, 1, 900, 1, 2, 3, 4, 5, 0, 999, "
    "1, "
    "1), "
    "(0, 'r', '', '', '', '', 1, 0, 1, 0, 13, 1, 800, 0, 0, 0, 0, 0, 0, 0, 2, 2);";

static void make_version_6(struct fixture *f)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(schema_migrate(db, f->path, 0, schema_steps, 6, &f->why), 0);
    assert_int_equal(sqlite3_exec(db, version_6_rows, NULL, NULL, NULL), SQLITE_OK);
    /* What is to be found again. */
    assert_int_equal(sqlite3_exec(db,
                                  "CREATE TABLE was AS SELECT * FROM ledger;"
                                  "CREATE TABLE told AS SELECT * FROM usage;"
                                  "CREATE TABLE summed AS SELECT * FROM usage_hour",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
}

#define SUMMED                                                                                     \
    "SELECT hour, resource, account, model, route, tenant, calls, errors, expired, waited_us, "    \
    "held_us, requests, tokens, input, cache_read, cache_write_5m, cache_write_1h, output, "       \
    "usd_milli, usd_rest, first_seq, last_seq FROM "

static void test_the_ledger_of_version_6_says_what_it_said(void **state)
{
    struct fixture *f = *state;
    make_version_6(f);
    fixture_open(f, DURABILITY_PROCESS);
    assert_int_equal(fixture_close(f), 0);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM (SELECT * FROM ledger EXCEPT SELECT * "
                                    "FROM was)"),
                     0);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM (SELECT * FROM was EXCEPT SELECT * FROM "
                                    "ledger)"),
                     0);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM (SELECT * FROM told EXCEPT SELECT * FROM "
                                    "usage)"),
                     0);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM (SELECT name FROM "
                                    "pragma_table_info('ledger') EXCEPT SELECT name FROM "
                                    "pragma_table_info('was'))"),
                     0);
    assert_int_equal(
        fixture_sql(f, "SELECT count(*) FROM (" SUMMED "summed EXCEPT " SUMMED "usage_hour)"), 0);
}

static void test_an_expiry_of_version_6_may_be_settled_late(void **state)
{
    struct fixture *f = *state;
    struct record late = sample_end(RECORD_SETTLE, (uint64_t)-6, 5000);
    late.late = true;
    make_version_6(f);
    fixture_start(f, DURABILITY_PROCESS);
    assert_int_equal(journal_append(f->journal, &late), 0);
    fixture_commit(f);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger"), 3);
    assert_int_equal(fixture_sql(f, "SELECT seq = 2 AND at_us = 2000 FROM ledger WHERE lease = -6 "
                                    "AND late = 1 AND outcome = 'ok' AND tokens = 900"),
                     1);
    assert_int_equal(fixture_sql(f, "SELECT sum(expired) FROM usage_hour"), 0);
    assert_int_equal(fixture_sql(f, "SELECT sum(tokens) FROM usage_hour"), 1800);
}

static void test_a_step_that_fails_changes_nothing(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db = memory_db();
    assert_int_equal(schema_migrate(db, "x", 0, broken_steps, 1, &f->why), 0);
    assert_int_equal(schema_migrate(db, "x", 1, broken_steps, 2, &f->why), ERR_STORE_FAILED);
    assert_int_equal(number(db, "PRAGMA user_version"), 1);
    assert_int_equal(number(db, "SELECT x FROM old"), 5);
    sqlite3_close(db);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_second_journal_in_this_process_is_refused),
        T(test_a_second_journal_in_another_process_is_refused),
        T(test_a_link_to_a_store_has_the_same_lock),
        T(test_others_can_read_while_the_store_is_open),
        T(test_only_the_owner_may_read_the_store),
        T(test_a_store_says_what_it_is),
        T(test_a_store_of_a_newer_version_is_refused_untouched),
        T(test_a_database_of_another_program_is_refused_untouched),
        T(test_a_store_without_its_version_is_damaged),
        T(test_a_file_that_is_no_database_is_damaged),
        T(test_a_broken_page_is_damage),
        T(test_a_store_that_was_cut_off_is_damaged),
        T(test_a_refused_start_keeps_the_wal),
        T(test_a_missing_directory_is_named),
        T(test_a_directory_is_no_store),
        T(test_the_remedy_for_damage_works),
        T(test_an_older_version_is_brought_up_step_by_step),
        T(test_what_the_first_version_kept_goes_on_in_the_newest),
        T(test_the_records_of_version_4_come_back_as_they_were),
        T(test_a_store_of_version_4_is_written_on_and_pruned),
        T(test_the_ledger_of_version_4_is_found_by_time),
        T(test_the_ledger_of_version_6_says_what_it_said),
        T(test_an_expiry_of_version_6_may_be_settled_late),
        T(test_a_step_that_fails_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
