/* The machine loses power, or the process its life, before each operation in turn: what was
 * answered is there again, and nothing is there by halves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "disk.h"
#include "faults.h"
#include "fixture.h"
#include "journal/store.h"

#define BATCHES   3
#define BATCH_LEN 20

static const struct hash_key key = {1, 2};

static int die_at;
static int operations;
static enum disk_loss loss;

/* Before the operation whose turn has come the process is dead; what it still does has no effect.
 */
static void count_down(void)
{
    if (++operations == die_at) {
        disk_die(loss, (uint64_t)die_at);
    }
}

static int setup(void **state)
{
    disk_clear();
    return fixture_setup(state);
}

static int teardown(void **state)
{
    faults_hook(NULL);
    return fixture_teardown(state);
}

/* Writes batches, and makes room between them, until the disk is dead. Returns how many were said
 * to be durable. */
static uint64_t write_batches(struct store *store)
{
    struct backlog b;
    struct backlog_cursor cursor;
    bool more;
    uint64_t durable = 0;
    assert_int_equal(backlog_init(&b, 1u << 20, &key, &cursor), 0);
    for (uint64_t batch = 0; batch < BATCHES && durable == batch; batch++) {
        for (uint64_t i = 0; i < BATCH_LEN; i++) {
            struct record record = sample_grant(batch * BATCH_LEN + i, 1000);
            assert_int_equal(backlog_append(&b, &record), 0);
        }
        backlog_hand_over(&b);
        durable += store_write(store, &cursor, BATCH_LEN) == 0;
        if (batch == 1) {
            store_tidy(store, &more);
        } else {
            wal_checkpoint(store_wal(store));
        }
    }
    backlog_release(&b);
    return durable;
}

/* One life that ends before its n-th operation. False where it had no more than that. */
static bool live_until(struct fixture *f, int nth, enum durability durability)
{
    struct store *store = NULL;
    uint64_t durable = 0;
    disk_clear();
    buf_clear(&f->why);
    die_at = nth;
    operations = 0;
    faults_hook(count_down);
    if (store_open(f->path, durability, &store, &f->why) == 0) {
        durable = write_batches(store);
        store_close(store);
    }
    faults_hook(NULL);
    fixture_open(f, durability);
    fixture_replay(f);
    assert_true(f->seen_n >= durable * BATCH_LEN);
    assert_int_equal(f->seen_n % BATCH_LEN, 0);
    for (size_t i = 0; i < f->seen_n; i++) {
        assert_int_equal(f->seen[i].lease, i);
    }
    assert_int_equal(fixture_close(f), 0);
    return operations >= nth;
}

static void live_many_times(struct fixture *f, enum durability durability, enum disk_loss how)
{
    int nth = 1;
    loss = how;
    while (live_until(f, nth, durability)) {
        nth++;
    }
    assert_true(nth > 30);
}

static void test_full_survives_a_loss_of_all_that_was_not_synced(void **state)
{
    live_many_times(*state, DURABILITY_FULL, DISK_LOSES_UNSYNCED);
}

static void test_full_survives_writes_that_were_torn(void **state)
{
    live_many_times(*state, DURABILITY_FULL, DISK_LOSES_SOME);
}

static void test_full_survives_the_end_of_the_process(void **state)
{
    live_many_times(*state, DURABILITY_FULL, DISK_LOSES_NOTHING);
}

static void test_process_survives_the_end_of_the_process(void **state)
{
    live_many_times(*state, DURABILITY_PROCESS, DISK_LOSES_NOTHING);
}

/* Or the tests above would show nothing. */
static void test_process_does_not_survive_a_loss_of_power(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    assert_int_equal(store_open(f->path, DURABILITY_PROCESS, &store, &f->why), 0);
    bool more;
    store_tidy(store, &more); /* what it is made of is on the disk */
    assert_int_equal(write_batches(store), BATCHES);
    store_close(store);
    store = NULL;
    assert_int_equal(store_open(f->path, DURABILITY_PROCESS, &store, &f->why), 0);
    struct backlog b;
    struct backlog_cursor cursor;
    struct record record = sample_grant(BATCHES * BATCH_LEN, 1000);
    assert_int_equal(backlog_init(&b, 1u << 20, &key, &cursor), 0);
    assert_int_equal(backlog_append(&b, &record), 0);
    backlog_hand_over(&b);
    assert_int_equal(store_write(store, &cursor, 1), 0);
    backlog_release(&b);
    disk_die(DISK_LOSES_UNSYNCED, 1);
    store_close(store);
    fixture_open(f, DURABILITY_PROCESS);
    fixture_replay(f);
    assert_int_equal(f->seen_n, BATCHES * BATCH_LEN);
}

int main(void)
{
    disk_install();
    faults_install();
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_full_survives_a_loss_of_all_that_was_not_synced),
        T(test_full_survives_writes_that_were_torn),
        T(test_full_survives_the_end_of_the_process),
        T(test_process_survives_the_end_of_the_process),
        T(test_process_does_not_survive_a_loss_of_power),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
