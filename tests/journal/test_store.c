/* The file stays small: what is pruned, what must not be, and what becomes of the pages and the
 * WAL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/num.h"
#include "fixture.h"
#include "journal/sheet.h"
#include "journal/store.h"

static const struct hash_key key = {1, 2};

/* More than fit a sheet. */
#define SHEET_RECORDS (SHEET_BYTES / 40)

static struct store *open_store(struct fixture *f)
{
    struct store *store = NULL;
    if (store_open(f->path, DURABILITY_PROCESS, &store, &f->why) != 0) {
        fail_msg("cannot open: %s", f->why.at);
    }
    assert_int_equal(store_count(store), 0);
    return store;
}

static void write_records(struct store *store, const struct record *records, size_t n)
{
    struct backlog b;
    struct backlog_cursor cursor;
    assert_int_equal(backlog_init(&b, 64u << 20, &key, &cursor), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(backlog_append(&b, &records[i]), 0);
    }
    assert_int_equal(store_write(store, &cursor, backlog_hand_over(&b)), 0);
    backlog_release(&b);
}

/* Each in a transaction of its own, and so on a sheet of its own. */
static void write_each(struct store *store, const struct record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        write_records(store, &records[i], 1);
    }
}

static void write_grants(struct store *store, unsigned n, int64_t from_us)
{
    static struct record records[10000];
    assert_true(n <= 10000);
    for (unsigned i = 0; i < n; i++) {
        records[i] = sample_grant(i, from_us + i);
    }
    write_records(store, records, n);
}

/* Prunes until there is nothing more to prune, and returns how many rows went. */
static uint64_t prune_all(struct store *store, int64_t horizon_us)
{
    uint64_t sum = 0;
    bool more = true;
    while (more) {
        uint64_t pruned;
        assert_int_equal(store_prune(store, horizon_us, &pruned, &more), 0);
        assert_true(pruned <= SHEET_RECORDS * STORE_PRUNE_SHEETS_MAX + STORE_PRUNE_COUNTERS_MAX);
        sum += pruned;
    }
    return sum;
}

static void test_what_is_older_than_the_horizon_goes(void **state)
{
    struct fixture *f = *state;
    struct store *store = open_store(f);
    for (int64_t i = 0; i < 1000; i++) {
        struct record record = sample_grant((uint64_t)i, 1000 + i);
        write_each(store, &record, 1);
    }
    assert_int_equal(prune_all(store, 1000), 0);
    assert_int_equal(prune_all(store, 1001), 1);
    assert_int_equal(prune_all(store, 1900), 899);
    assert_int_equal(prune_all(store, 1900), 0);
    assert_int_equal(store_rows(store), 100);
    assert_int_equal(prune_all(store, INT64_MAX), 100);
    assert_int_equal(store_rows(store), 0);
    store_close(store);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM record"), 0);
}

/* What was written together on a sheet goes together, when the last of it may go. */
static void test_a_sheet_goes_as_a_whole(void **state)
{
    struct fixture *f = *state;
    struct store *store = open_store(f);
    write_grants(store, 5000, 1000);
    for (int64_t horizon_us = 1000; horizon_us <= 6000; horizon_us += 8) {
        prune_all(store, horizon_us);
        int64_t left = store_rows(store);
        assert_true(left >= 6000 - horizon_us && left < 6000 - horizon_us + SHEET_RECORDS);
    }
    assert_int_equal(store_rows(store), 0);
    store_close(store);
}

static struct record counter_until(const char *scope_key, int64_t expires_us)
{
    struct record record = sample_counter("daily", scope_key, 1);
    record.expires_us = expires_us;
    return record;
}

/* One counter for each of the sessions of a day; no two have the same key. */
static void write_sessions(struct store *store, unsigned n, unsigned day, int64_t expires_us)
{
    static struct record records[10000];
    static char keys[10000][24];
    assert_true(n <= 10000);
    for (unsigned i = 0; i < n; i++) {
        uint32_t scattered = (day * 10000 + i) * UINT32_C(2654435761);
        snprintf(keys[i], sizeof(keys[i]), "session-%08x", (unsigned)scattered);
        records[i] = counter_until(keys[i], expires_us);
    }
    write_records(store, records, n);
}

static void test_counters_that_are_spent_go_a_step_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct store *store = open_store(f);
    write_sessions(store, 5000, 1, 1000);
    write_sessions(store, 500, 2, 2000);
    assert_int_equal(prune_all(store, 1000), 0);
    uint64_t pruned;
    bool more;
    assert_int_equal(store_prune(store, 1001, &pruned, &more), 0);
    assert_int_equal(pruned, STORE_PRUNE_COUNTERS_MAX);
    assert_true(more);
    assert_int_equal(prune_all(store, 1001), 5000 - STORE_PRUNE_COUNTERS_MAX);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM counter"), 500);
    assert_int_equal(fixture_sql(f, "SELECT min(expires_us) FROM counter"), 2000);
    assert_int_equal(store_rows(store), 0);
    store_close(store);
}

static void test_counters_go_beside_records(void **state)
{
    struct fixture *f = *state;
    struct store *store = open_store(f);
    write_grants(store, 3000, 1000);
    write_sessions(store, 3000, 1, 1000);
    uint64_t pruned = prune_all(store, 2000);
    assert_true(pruned <= 1000 + 3000 && pruned > 1000 + 3000 - SHEET_RECORDS);
    assert_int_equal(store_rows(store), 3000 + 3000 - (int64_t)pruned);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM counter"), 0);
    store_close(store);
}

static void test_lifetime_counters_are_never_pruned(void **state)
{
    struct fixture *f = *state;
    struct store *store = open_store(f);
    struct record records[] = {counter_until("a", INT64_MAX), counter_until("b", INT64_MAX - 1),
                               sample_grant(1, 1)};
    write_records(store, records, 3);
    assert_int_equal(prune_all(store, INT64_MAX), 2);
    assert_int_equal(fixture_sql(f, "SELECT scope_key = 'a' FROM counter"), 1);
    store_close(store);
}

static void test_a_counter_that_was_written_again_is_judged_anew(void **state)
{
    struct fixture *f = *state;
    struct store *store = open_store(f);
    struct record first[] = {counter_until("later", 1000), counter_until("for ever", 1000),
                             counter_until("sooner", 9000)};
    struct record second[] = {counter_until("later", 9000), counter_until("for ever", INT64_MAX),
                              counter_until("sooner", 1000)};
    write_records(store, first, 3);
    write_records(store, second, 3);
    assert_int_equal(prune_all(store, 5000), 1);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM counter WHERE scope_key = 'sooner'"), 0);
    assert_int_equal(prune_all(store, INT64_MAX), 1);
    assert_int_equal(fixture_sql(f, "SELECT scope_key = 'for ever' FROM counter"), 1);
    store_close(store);
}

/* An index that does not agree with its table must not cost a counter that matters. */
static void test_a_counter_goes_by_its_row_and_not_by_the_index(void **state)
{
    struct fixture *f = *state;
    struct store *store = open_store(f);
    struct record record = counter_until("a", 1000);
    write_records(store, &record, 1);
    store_close(store);
    /* Without its entry in the schema the index is not kept while the row is changed. */
    fixture_sql(f, "PRAGMA writable_schema=ON; CREATE TABLE kept AS SELECT * FROM sqlite_schema "
                   "WHERE name = 'counter_spent'; DELETE FROM sqlite_schema WHERE name = "
                   "'counter_spent'");
    fixture_sql(f, "UPDATE counter SET expires_us = 9000");
    fixture_sql(f, "PRAGMA writable_schema=ON; INSERT INTO sqlite_schema SELECT * FROM kept");
    fixture_sql(f, "DROP TABLE kept");
    store = open_store(f);
    assert_int_equal(prune_all(store, 5000), 0);
    store_close(store);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM counter"), 1);
}

static void test_the_file_stays_small_over_many_days_of_sessions(void **state)
{
    struct fixture *f = *state;
    struct store *store = open_store(f);
    const int64_t day_us = 24 * US_PER_H;
    int64_t settled = 0;
    for (unsigned day = 0; day < 40; day++) {
        write_sessions(store, 3000, day, (day + 1) * day_us);
        /* The day before ended at this horizon, and not before it: its sessions stay as well. */
        prune_all(store, day * day_us);
        wal_checkpoint(store_wal(store));
        if (day == 3) {
            settled = store_bytes(store);
        }
    }
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM counter"), 2 * 3000);
    assert_true(store_bytes(store) <= settled * 3 / 2);
    store_close(store);
}

static struct record renew(uint64_t lease, int64_t granted_us, int64_t expires_us)
{
    struct record record = sample_grant(lease, granted_us);
    record.kind = RECORD_RENEW;
    record.expires_us = expires_us;
    return record;
}

/* A RENEW carries the time of a grant that may be long gone; it was emitted later. */
static void test_a_renewal_outlives_the_time_of_its_grant(void **state)
{
    struct fixture *f = *state;
    struct store *store = open_store(f);
    struct record records[] = {sample_grant(1, 1000), renew(1, 1000, 9000)};
    write_each(store, records, 2);
    assert_int_equal(prune_all(store, 8000), 1);
    assert_int_equal(store_rows(store), 1);
    /* At its end it is proved to be old. */
    assert_int_equal(prune_all(store, 9001), 1);
    store_close(store);
}

static void test_a_renewal_does_not_stop_the_pruning_of_what_follows(void **state)
{
    struct fixture *f = *state;
    struct store *store = open_store(f);
    struct record records[] = {
        renew(1, 1000, 90000),
        sample_end(RECORD_SETTLE, 1, 2000),
        renew(2, 1000, 90000),
        sample_grant(3, 4000),
    };
    write_each(store, records, 4);
    /* The settle at 2000 proves that the first renewal is older than 3000; nothing tells of the
     * second. */
    assert_int_equal(prune_all(store, 3000), 2);
    assert_int_equal(fixture_sql(f, "SELECT lease FROM record ORDER BY seq LIMIT 1"), 2);
    store_close(store);
}

static void test_a_lease_that_ended_never_comes_back(void **state)
{
    struct fixture *f = *state;
    for (int64_t horizon_us = 0; horizon_us < 120; horizon_us += 7) {
        struct store *store = open_store(f);
        static struct record records[40];
        for (int i = 0; i < 20; i++) {
            records[2 * i] = renew((uint64_t)i, 0, i % 3 ? 60 + i : 1000);
            records[2 * i + 1] = sample_end(RECORD_SETTLE, (uint64_t)i, 5 * i);
        }
        write_each(store, records, 17);
        write_records(store, records + 17, 23);
        prune_all(store, horizon_us);
        assert_int_equal(fixture_sql(f,
                                     "SELECT count(*) FROM record r WHERE kind = 2 AND NOT EXISTS "
                                     "(SELECT 1 FROM record s WHERE s.lease = r.lease AND "
                                     "s.kind = 3 AND s.seq > r.seq)"),
                         0);
        store_close(store);
        fixture_sql(f, "DELETE FROM sheet");
    }
}

static void test_pages_of_pruned_rows_are_used_again(void **state)
{
    struct fixture *f = *state;
    struct store *store = open_store(f);
    bool more;
    int64_t largest = 0;
    for (int64_t round = 0; round < 40; round++) {
        write_grants(store, 2000, round * 10000);
        prune_all(store, round * 10000);
        wal_checkpoint(store_wal(store));
        if (round == 5) {
            largest = store_bytes(store);
        }
    }
    assert_true(store_bytes(store) <= largest * 3 / 2);
    store_tidy(store, &more);
    assert_false(more);
    store_close(store);
}

static void test_a_file_that_is_mostly_free_is_given_back(void **state)
{
    struct fixture *f = *state;
    struct store *store = open_store(f);
    for (int64_t round = 0; round < 10; round++) {
        write_grants(store, 10000, round * 10000);
    }
    bool more = true;
    store_tidy(store, &more);
    int64_t full = store_bytes(store);
    prune_all(store, INT64_MAX);
    unsigned steps = 0;
    for (more = true; more; steps++) {
        store_tidy(store, &more);
    }
    assert_true(steps > 1);
    assert_true(store_bytes(store) < full / 2);
    store_close(store);
}

static void test_the_wal_is_emptied_when_there_is_time(void **state)
{
    struct fixture *f = *state;
    struct store *store = open_store(f);
    bool more;
    char wal[128];
    snprintf(wal, sizeof(wal), "%s-wal", f->path);
    write_grants(store, 10000, 1);
    assert_true(store_wal(store)->pages > 100);
    store_tidy(store, &more);
    assert_int_equal(store_wal(store)->pages, 0);
    FILE *file = fopen(wal, "rb");
    assert_non_null(file);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
    store_close(store);
}

static int64_t length_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void test_a_wal_that_is_waited_for_has_its_length_beforehand(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    bool more;
    char wal[128];
    snprintf(wal, sizeof(wal), "%s-wal", f->path);
    assert_int_equal(store_open(f->path, DURABILITY_FULL, &store, &f->why), 0);
    assert_int_equal(store_count(store), 0);
    write_grants(store, 100, 1);
    wal_lay_out(store_wal(store));
    int64_t length = length_of(wal);
    assert_true(length > WAL_SYNCED_PAGES_MAX * 4096);
    for (int64_t round = 1; round < 4; round++) {
        write_grants(store, 1000, 1 + round * 1000);
        store_tidy(store, &more);
        assert_int_equal(store_wal(store)->pages, 0);
        assert_int_equal(length_of(wal), length);
    }
    assert_int_equal(store_rows(store), 3100);
    store_close(store);
    fixture_reopen_and_replay(f);
    assert_int_equal(f->seen_n, 3100);
}

static void test_the_journal_prunes_with_later_batches(void **state)
{
    struct fixture *f = *state;
    struct journal_stats stats = {0};
    fixture_start(f, DURABILITY_PROCESS);
    for (unsigned i = 0; i < 5000; i++) {
        struct record record = sample_grant(i, 1000 + i);
        assert_int_equal(journal_append(f->journal, &record), 0);
    }
    fixture_commit(f);
    journal_prune(f->journal, 5000);
    for (int64_t at_us = 10000; stats.pruned <= 4000 - SHEET_RECORDS; at_us++) {
        struct record record = sample_grant(1, at_us);
        assert_int_equal(journal_append(f->journal, &record), 0);
        fixture_commit(f);
        journal_stats(f->journal, &stats);
        assert_true(stats.pruned <= 4000);
    }
    fixture_reopen_and_replay(f);
    assert_int_equal(f->seen[0].at_us, 1000 + (int64_t)stats.pruned);
}

/* Whichever the worker does first, the newest value is there in the end. */
static void test_the_journal_prunes_no_counter_that_is_being_written_again(void **state)
{
    struct fixture *f = *state;
    struct journal_stats stats = {0};
    fixture_start(f, DURABILITY_PROCESS);
    for (int64_t round = 1; round <= 50; round++) {
        struct record again = counter_until("again", round * 1000);
        struct record spent = counter_until(round % 2 ? "odd" : "even", round * 1000 - 1);
        assert_int_equal(journal_append(f->journal, &again), 0);
        assert_int_equal(journal_append(f->journal, &spent), 0);
        journal_prune(f->journal, round * 1000);
        fixture_commit(f);
    }
    /* The worker may prune after the last batch it was asked for. */
    for (uint64_t lease = 1; stats.pruned == 0; lease++) {
        struct record record = sample_grant(lease, 100000);
        assert_int_equal(journal_append(f->journal, &record), 0);
        fixture_commit(f);
        journal_stats(f->journal, &stats);
    }
    struct record wanted = sample_counter("daily", "again", 0);
    bool found;
    assert_int_equal(journal_counter(f->journal, &wanted, &found), 0);
    assert_true(found);
    assert_int_equal(fixture_close(f), 0);
    assert_int_equal(fixture_sql(f, "SELECT expires_us FROM counter WHERE scope_key = 'again'"),
                     50 * 1000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_what_is_older_than_the_horizon_goes),
        T(test_a_sheet_goes_as_a_whole),
        T(test_counters_that_are_spent_go_a_step_at_a_time),
        T(test_counters_go_beside_records),
        T(test_lifetime_counters_are_never_pruned),
        T(test_a_counter_that_was_written_again_is_judged_anew),
        T(test_a_counter_goes_by_its_row_and_not_by_the_index),
        T(test_the_file_stays_small_over_many_days_of_sessions),
        T(test_a_renewal_outlives_the_time_of_its_grant),
        T(test_a_renewal_does_not_stop_the_pruning_of_what_follows),
        T(test_a_lease_that_ended_never_comes_back),
        T(test_pages_of_pruned_rows_are_used_again),
        T(test_a_file_that_is_mostly_free_is_given_back),
        T(test_the_wal_is_emptied_when_there_is_time),
        T(test_a_wal_that_is_waited_for_has_its_length_beforehand),
        T(test_the_journal_prunes_with_later_batches),
        T(test_the_journal_prunes_no_counter_that_is_being_written_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
