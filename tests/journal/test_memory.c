/* Every allocation fails once, of the journal and of SQLite within it: it says so, and goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/error.h"
#include "fixture.h"
#include "journal/store.h"
#include "support/memory.h"

#define RECORDS 300

static sqlite3_mem_methods real_methods;

static void *sqlite_malloc(int size)
{
    return memory_refuses() ? NULL : real_methods.xMalloc(size);
}

static void *sqlite_realloc(void *at, int size)
{
    return memory_refuses() ? NULL : real_methods.xRealloc(at, size);
}

static void wrap_sqlite(void)
{
    sqlite3_shutdown();
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_methods), SQLITE_OK);
    sqlite3_mem_methods methods = real_methods;
    methods.xMalloc = sqlite_malloc;
    methods.xRealloc = sqlite_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
}

static struct record nth_record(uint64_t i)
{
    return i % 3 == 0 ? sample_counter("daily", i % 2 ? "a" : "b", (int64_t)i)
                      : sample_grant(i, 1000);
}

/* Runs the whole life of a backlog and a store; whatever fails is tried again. */
static int live(struct fixture *f)
{
    static const struct hash_key key = {1, 2};
    struct backlog b;
    struct backlog_cursor cursor;
    struct store *store = NULL;
    int rc = backlog_init(&b, 64u << 20, &key, &cursor);
    if (rc) {
        return rc;
    }
    rc = store_open(f->path, DURABILITY_PROCESS, &store, &f->why);
    if (rc) {
        assert_null(store);
        backlog_release(&b);
        return rc;
    }
    for (uint64_t i = 0; i < RECORDS; i++) {
        struct record record = nth_record(i);
        rc = backlog_append(&b, &record);
        if (rc) {
            assert_int_equal(rc, ERR_NO_MEMORY);
            assert_int_equal(backlog_append(&b, &record), 0);
        }
    }
    struct record spent = sample_counter("daily", "spent", 1);
    spent.expires_us = 0;
    if (backlog_append(&b, &spent) != 0) {
        assert_int_equal(backlog_append(&b, &spent), 0);
    }
    uint64_t count = backlog_hand_over(&b);
    if (store_write(store, &cursor, count) != 0) {
        assert_int_equal(store_write(store, &cursor, count), 0);
    }
    uint64_t pruned;
    bool more;
    if (store_prune(store, 1, &pruned, &more) != 0) {
        assert_int_equal(store_prune(store, 1, &pruned, &more), 0);
    }
    store_checkpoint(store);
    struct record wanted = sample_counter("daily", "a", 0);
    bool found;
    if (store_counter(store, &wanted, &found) != 0) {
        assert_int_equal(store_counter(store, &wanted, &found), 0);
    }
    assert_true(found);
    assert_int_equal(wanted.used, 297);
    store_tidy(store, &more);
    store_close(store);
    backlog_release(&b);
    return 0;
}

static int ignore(void *ctx, const struct record *record)
{
    (void)record;
    ++*(int *)ctx;
    return 0;
}

static void test_any_one_allocation_may_fail_while_writing(void **state)
{
    struct fixture *f = *state;
    int refusals = 0;
    int nth = 0;
    do {
        buf_clear(&f->why);
        memory_fail(++nth);
        int rc = live(f);
        memory_pause();
        if (rc) {
            assert_int_equal(rc, ERR_NO_MEMORY);
            refusals++;
            continue;
        }
        fixture_open(f, DURABILITY_PROCESS);
        fixture_replay(f);
        assert_int_equal(f->seen_n, 2 + RECORDS * 2 / 3);
        assert_int_equal(fixture_close(f), 0);
        fixture_sql(f, "DELETE FROM sheet; DELETE FROM counter");
    } while (memory_failed());
    assert_true(refusals > 20);
}

static void test_any_one_allocation_may_fail_while_reading_back(void **state)
{
    struct fixture *f = *state;
    int refusals = 0;
    assert_int_equal(live(f), 0);
    int nth = 0;
    do {
        int seen = 0;
        buf_clear(&f->why);
        memory_fail(++nth);
        int rc = fixture_try_open(f, DURABILITY_FULL);
        if (rc == 0) {
            rc = journal_replay(f->journal, ignore, &seen, &f->why);
        }
        memory_pause();
        assert_true(rc == 0 || rc == ERR_NO_MEMORY);
        assert_true(rc != 0 || seen == 2 + RECORDS * 2 / 3);
        refusals += rc != 0;
        assert_int_equal(fixture_close(f), 0);
    } while (memory_failed());
    assert_true(refusals > 20);
}

int main(void)
{
    wrap_sqlite();
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_any_one_allocation_may_fail_while_writing),
        T(test_any_one_allocation_may_fail_while_reading_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
