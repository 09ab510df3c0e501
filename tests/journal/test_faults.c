/* Disks that fail: each operation in turn, a disk that is full for real, and what is kept
 * meanwhile. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "faults.h"
#include "fixture.h"
#include "journal/store.h"

#define BATCHES   4
#define BATCH_LEN 40

static const struct hash_key key = {1, 2};

static int setup(void **state)
{
    faults_set(0, false);
    return fixture_setup(state);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    faults_set(0, false);
    fixture_close(f);
    umount2(f->dir, MNT_DETACH); /* where a test left a file system of its own */
    return fixture_teardown(state);
}

/* Writes the batches, each again until it succeeds, and keeps the store tidy in between. */
static void write_through(struct store *store)
{
    struct backlog b;
    struct backlog_cursor cursor;
    assert_int_equal(backlog_init(&b, 64u << 20, &key, &cursor), 0);
    for (uint64_t batch = 0; batch < BATCHES; batch++) {
        for (uint64_t i = 0; i < BATCH_LEN; i++) {
            struct record record = sample_grant(batch * BATCH_LEN + i, 1000);
            assert_int_equal(backlog_append(&b, &record), 0);
        }
        backlog_hand_over(&b);
        int tries = 0;
        while (store_write(store, &cursor, BATCH_LEN) != 0) {
            assert_true(strlen(store_words(store)) > 0);
            assert_true(++tries < 3);
        }
        wal_checkpoint(store_wal(store));
    }
    bool more;
    store_tidy(store, &more);
    backlog_release(&b);
}

/* Everything is there, once, and in order. */
static void assert_all_there(struct fixture *f)
{
    fixture_open(f, DURABILITY_FULL);
    fixture_replay(f);
    assert_int_equal(f->seen_n, BATCHES * BATCH_LEN);
    for (size_t i = 0; i < f->seen_n; i++) {
        assert_int_equal(f->seen[i].lease, i);
    }
    assert_int_equal(fixture_close(f), 0);
    fixture_sql(f, "DELETE FROM sheet");
}

/* How often a store of that durability waits for the disk while it writes one batch. */
static int syncs_of_a_batch(struct store *store)
{
    struct backlog b;
    struct backlog_cursor cursor;
    struct record record = sample_grant(1, 1000);
    assert_int_equal(backlog_init(&b, 1u << 20, &key, &cursor), 0);
    assert_int_equal(backlog_append(&b, &record), 0);
    backlog_hand_over(&b);
    faults_set(0, false);
    assert_int_equal(store_write(store, &cursor, 1), 0);
    backlog_release(&b);
    return faults_syncs();
}

static void test_a_rest_changes_nothing_in_what_a_commit_waits_for(void **state)
{
    static const enum durability durabilities[] = {DURABILITY_FULL, DURABILITY_PROCESS};
    struct fixture *f = *state;
    bool more;
    for (int i = 0; i < 2; i++) {
        bool waits = durabilities[i] == DURABILITY_FULL;
        struct store *store = NULL;
        assert_int_equal(store_open(f->path, durabilities[i], &store, &f->why), 0);
        syncs_of_a_batch(store); /* the first one after a start also writes the WAL's head */
        assert_int_equal(syncs_of_a_batch(store) > 0, waits);
        store_tidy(store, &more);
        assert_int_equal(syncs_of_a_batch(store) > 0, waits);
        store_close(store);
        unlink(f->path);
    }
}

static void test_any_one_operation_may_fail_and_nothing_is_lost(void **state)
{
    struct fixture *f = *state;
    int refused = 0;
    bool reached = true;
    for (int nth = 1; reached; nth++) {
        struct store *store = NULL;
        buf_clear(&f->why);
        faults_set(nth, false);
        int rc = store_open(f->path, DURABILITY_FULL, &store, &f->why);
        if (rc) {
            assert_int_equal(rc, ERR_STORE_FAILED);
            assert_non_null(strstr(f->why.at, f->path));
            refused++;
            continue;
        }
        write_through(store);
        reached = faults_count() >= nth;
        store_close(store);
        faults_set(0, false);
        assert_all_there(f);
    }
    assert_true(refused > 0);
}

/* A settlement, an expiry, and the late word of an expiry of the batch before. */
static size_t ends_of_batch(uint64_t batch, struct record ends[3])
{
    ends[0] = sample_end(RECORD_SETTLE, 10 * batch, 1000);
    ends[1] = sample_end(RECORD_EXPIRE, 10 * batch + 1, 1000);
    ends[2] = sample_end(RECORD_SETTLE, 10 * batch - 9, 2000);
    ends[2].late = true;
    return batch > 1 ? 3 : 2;
}

static void write_ends(struct store *store)
{
    struct backlog b;
    struct backlog_cursor cursor;
    assert_int_equal(backlog_init(&b, 1u << 20, &key, &cursor), 0);
    for (uint64_t batch = 1; batch <= BATCHES; batch++) {
        struct record ends[3];
        size_t n = ends_of_batch(batch, ends);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(backlog_append(&b, &ends[i]), 0);
        }
        backlog_hand_over(&b);
        int tries = 0;
        while (store_write(store, &cursor, n) != 0) {
            assert_true(++tries < 3);
        }
    }
    backlog_release(&b);
}

static void assert_booked_once(struct fixture *f)
{
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger"), 2 * BATCHES);
    assert_int_equal(fixture_sql(f, "SELECT sum(calls) FROM usage_hour"), 2 * BATCHES);
    assert_int_equal(fixture_sql(f, "SELECT sum(late) FROM ledger"), BATCHES - 1);
    assert_int_equal(fixture_sql(f, "SELECT sum(expired) FROM usage_hour"), 1);
    assert_int_equal(fixture_sql(f, "SELECT (SELECT sum(tokens) FROM ledger) = (SELECT "
                                    "sum(tokens) FROM usage_hour)"),
                     1);
}

/* What the clerk keeps in memory of the ledger is as the file is, also after a transaction that was
 * taken back. */
static void test_any_one_operation_may_fail_and_the_ledger_adds_up(void **state)
{
    struct fixture *f = *state;
    bool reached = true;
    for (int nth = 1; reached; nth += 3) {
        struct store *store = NULL;
        assert_int_equal(store_open(f->path, DURABILITY_PROCESS, &store, &f->why), 0);
        faults_set(nth, false);
        write_ends(store);
        reached = faults_count() >= nth;
        faults_set(0, false);
        store_close(store);
        assert_booked_once(f);
        fixture_remove_files(f);
    }
}

static void test_a_disk_that_stays_broken_loses_only_what_was_never_durable(void **state)
{
    struct fixture *f = *state;
    for (int nth = 1; nth < 60; nth += 3) {
        faults_set(0, false);
        fixture_start(f, DURABILITY_FULL);
        faults_set(nth, true);
        uint64_t durable = 0;
        for (uint64_t batch = 1; batch <= BATCHES; batch++) {
            struct record record = sample_grant(batch, 1000);
            assert_int_equal(journal_append(f->journal, &record), 0);
            assert_int_equal(journal_append(f->journal, &record), 0);
            unsigned since = fixture_progress(f);
            assert_int_equal(journal_commit(f->journal), batch);
            fixture_await(f, since);
            if (journal_trouble(f->journal, &f->why) != 0) {
                break;
            }
            assert_int_equal(journal_durable(f->journal), batch);
            durable = batch;
        }
        assert_int_equal(fixture_close(f), durable == BATCHES ? 0 : ERR_STORE_FAILED);
        faults_set(0, false);
        fixture_open(f, DURABILITY_FULL);
        fixture_replay(f);
        assert_true(f->seen_n >= 2 * durable);
        assert_int_equal(f->seen_n % 2, 0);
        assert_int_equal(fixture_close(f), 0);
        fixture_sql(f, "DELETE FROM sheet");
    }
}

static void test_trouble_is_told_and_ends_when_the_disk_is_well(void **state)
{
    struct fixture *f = *state;
    struct record record = sample_grant(1, 1000);
    fixture_start(f, DURABILITY_PROCESS);
    assert_int_equal(journal_trouble(f->journal, &f->why), 0);
    assert_int_equal(journal_append(f->journal, &record), 0);
    unsigned since = fixture_progress(f);
    faults_set(1, true);
    journal_commit(f->journal);
    fixture_await(f, since);
    assert_int_equal(journal_trouble(f->journal, &f->why), ERR_STORE_FAILED);
    assert_non_null(strstr(f->why.at, f->path));
    assert_int_equal(journal_durable(f->journal), 0);
    /* Later batches queue behind the one that failed. */
    record.lease = 2;
    assert_int_equal(journal_append(f->journal, &record), 0);
    faults_set(0, false);
    fixture_commit(f);
    assert_int_equal(journal_durable(f->journal), 2);
    assert_int_equal(journal_trouble(f->journal, &f->why), 0);
    struct journal_stats stats;
    journal_stats(f->journal, &stats);
    assert_int_equal(stats.failures, 1);
    fixture_reopen_and_replay(f);
    assert_int_equal(f->seen_n, 2);
    assert_int_equal(f->seen[1].lease, 2);
}

/* Or a budget that was spent would begin anew. */
static void test_a_counter_that_cannot_be_read_is_not_taken_for_none(void **state)
{
    struct fixture *f = *state;
    struct record record = sample_counter("daily", "a", 1);
    bool found;
    fixture_open(f, DURABILITY_PROCESS);
    assert_int_equal(journal_counter(f->journal, &record, &found), 0);
    assert_false(found);
    fixture_sql(f, "DROP TABLE counter");
    assert_int_equal(journal_counter(f->journal, &record, &found), ERR_STORE_FAILED);
}

/* The loop asks, so everyone waits for the answer. */
static void test_a_counter_is_not_waited_for_while_the_store_is_locked(void **state)
{
    struct fixture *f = *state;
    struct record record = sample_counter("daily", "a", 7);
    bool found;
    fixture_start(f, DURABILITY_PROCESS);
    assert_int_equal(journal_append(f->journal, &record), 0);
    fixture_commit(f);
    fixture_reopen_and_replay(f);
    faults_recovering(true);
    int rc = journal_counter(f->journal, &record, &found);
    int64_t slept_us = faults_slept_us();
    faults_recovering(false);
    assert_int_equal(rc, ERR_STORE_FAILED);
    assert_in_range(slept_us, 1, 20000);
    record.used = 0;
    assert_int_equal(journal_counter(f->journal, &record, &found), 0);
    assert_true(found);
    assert_int_equal(record.used, 7);
}

/* Appends and commits until the journal fails, and returns how many batches became durable. */
static uint64_t fill(struct fixture *f, uint64_t most)
{
    for (uint64_t batch = 1; batch <= most; batch++) {
        for (uint64_t i = 0; i < 100; i++) {
            struct record record = sample_grant(batch, 1000);
            assert_int_equal(journal_append(f->journal, &record), 0);
        }
        unsigned since = fixture_progress(f);
        journal_commit(f->journal);
        fixture_await(f, since);
        if (journal_trouble(f->journal, &f->why) != 0) {
            return batch - 1;
        }
    }
    return most;
}

static void assert_whole_batches(struct fixture *f, uint64_t least)
{
    fixture_open(f, DURABILITY_PROCESS);
    fixture_replay(f);
    assert_int_equal(f->seen_n % 100, 0);
    assert_true(f->seen_n / 100 >= least);
    for (size_t i = 0; i < f->seen_n; i++) {
        assert_int_equal(f->seen[i].lease, i / 100 + 1);
    }
    assert_int_equal(fixture_close(f), 0);
}

static void test_a_disk_that_is_full_for_real_stops_and_goes_on_with_room(void **state)
{
    struct fixture *f = *state;
    if (mount("none", f->dir, "tmpfs", 0, "size=1m") != 0) {
        skip(); /* needs root */
    }
    char ballast[128];
    snprintf(ballast, sizeof(ballast), "%s/ballast", f->dir);
    FILE *file = fopen(ballast, "wb");
    assert_non_null(file);
    char block[4096] = {0};
    for (int i = 0; i < 100; i++) {
        fwrite(block, 1, sizeof(block), file);
    }
    fclose(file);
    fixture_start(f, DURABILITY_FULL);
    uint64_t durable = fill(f, 1000);
    assert_true(durable > 0 && durable < 1000);
    assert_non_null(strstr(f->why.at, "full"));
    assert_int_equal(unlink(ballast), 0);
    fixture_commit(f);
    assert_int_equal(journal_durable(f->journal), durable + 1);
    assert_int_equal(fixture_close(f), 0);
    assert_whole_batches(f, durable + 1);
}

static void test_a_limit_on_file_sizes_is_a_full_disk(void **state)
{
    struct fixture *f = *state;
    struct rlimit before;
    fixture_start(f, DURABILITY_PROCESS);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {.rlim_cur = 200000, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    uint64_t durable = fill(f, 1000);
    assert_true(durable > 0 && durable < 1000);
    /* The last try may succeed, because the WAL was copied and starts anew. */
    int rc = fixture_close(f);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_whole_batches(f, rc == 0 ? durable + 1 : durable);
}

int main(void)
{
    faults_install();
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_rest_changes_nothing_in_what_a_commit_waits_for),
        T(test_any_one_operation_may_fail_and_nothing_is_lost),
        T(test_any_one_operation_may_fail_and_the_ledger_adds_up),
        T(test_a_disk_that_stays_broken_loses_only_what_was_never_durable),
        T(test_trouble_is_told_and_ends_when_the_disk_is_well),
        T(test_a_counter_that_cannot_be_read_is_not_taken_for_none),
        T(test_a_counter_is_not_waited_for_while_the_store_is_locked),
        T(test_a_disk_that_is_full_for_real_stops_and_goes_on_with_room),
        T(test_a_limit_on_file_sizes_is_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
