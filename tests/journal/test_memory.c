/* Every allocation fails once, of the journal and of SQLite within it: it says so, and goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unwind.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/error.h"
#include "fixture.h"
#include "journal/store.h"
#include "support/memory.h"

#define RECORDS         300
#define KEPT            (2 + RECORDS * 2 / 3) /* of them, once they are read back */
#define ALLOCATIONS_MAX 50000
#define STACKS_MAX      10000

/* --- Which allocations fail. ---
 *
 * Every one of ours does. SQLite makes thousands for a single start, most of them again and again
 * in the same places: of its own, those fail whose callers, up to main(), are others than before.
 */

static bool tracing;
static bool again[ALLOCATIONS_MAX]; /* by its number: an earlier one had the same callers */
static uint64_t stacks[STACKS_MAX];
static size_t stacks_n;

static _Unwind_Reason_Code add_caller(struct _Unwind_Context *at, void *hash)
{
    *(uint64_t *)hash = (*(uint64_t *)hash ^ _Unwind_GetIP(at)) * UINT64_C(1099511628211);
    return _URC_NO_REASON;
}

static bool stack_seen(void)
{
    uint64_t hash = 0;
    _Unwind_Backtrace(add_caller, &hash);
    for (size_t i = 0; i < stacks_n; i++) {
        if (stacks[i] == hash) {
            return true;
        }
    }
    assert_true(stacks_n < STACKS_MAX);
    stacks[stacks_n++] = hash;
    return false;
}

static bool sqlite_refuses(void)
{
    int before = memory_counted();
    bool refuses = memory_refuses();
    if (tracing && memory_counted() > before) {
        assert_in_range(memory_counted(), 0, ALLOCATIONS_MAX - 1);
        again[memory_counted()] = stack_seen();
    }
    return refuses;
}

typedef void deed(struct fixture *f);

/* Does it once to see its allocations, and then once for each that fails. How many did. */
static int each_allocation(struct fixture *f, deed *prepare, deed *act)
{
    memset(again, 0, sizeof(again));
    stacks_n = 0;
    int all = 0;
    int failed = 0;
    for (int nth = 0; nth <= all; nth++) {
        if (again[nth]) {
            continue;
        }
        memory_pause();
        prepare(f);
        buf_clear(&f->why);
        memory_fail(nth);
        tracing = nth == 0;
        act(f);
        memory_pause();
        tracing = false;
        all = nth == 0 ? memory_counted() : all;
        failed += memory_failed();
    }
    return failed;
}

static sqlite3_mem_methods real_methods;

static void *sqlite_malloc(int size)
{
    return sqlite_refuses() ? NULL : real_methods.xMalloc(size);
}

static void *sqlite_realloc(void *at, int size)
{
    return sqlite_refuses() ? NULL : real_methods.xRealloc(at, size);
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

/* --- A start. --- */

static struct store *store;

static void close_store(struct fixture *f)
{
    (void)f;
    if (store) {
        store_close(store);
        store = NULL;
    }
}

/* What a start that failed has left is where the next one begins, unless it made the tables. */
static void forget_store(struct fixture *f)
{
    struct stat seen;
    close_store(f);
    if (stat(f->path, &seen) == 0 && seen.st_size > 0) {
        fixture_remove_files(f);
    }
}

static void open_store(struct fixture *f)
{
    int rc = store_open(f->path, DURABILITY_PROCESS, &store, &f->why);
    assert_true(rc == 0 || (rc == ERR_NO_MEMORY && memory_failed()));
    assert_int_equal(rc == 0, store != NULL);
}

static void test_a_store_is_made_or_there_is_no_memory_for_it(void **state)
{
    struct fixture *f = *state;
    assert_true(each_allocation(f, forget_store, open_store) > 500);
    forget_store(f);
}

static void test_a_store_is_opened_or_there_is_no_memory_for_it(void **state)
{
    struct fixture *f = *state;
    open_store(f);
    assert_true(each_allocation(f, close_store, open_store) > 500);
    close_store(f);
}

/* --- Writing. --- */

/* Whatever fails is tried again. */
#define AT_LAST(call)                                                                              \
    do {                                                                                           \
        if ((call) != 0) {                                                                         \
            assert_true(memory_failed());                                                          \
            assert_int_equal((call), 0);                                                           \
        }                                                                                          \
    } while (0)

static void open_empty(struct fixture *f)
{
    close_store(f);
    fixture_sql(f, "DELETE FROM sheet; DELETE FROM counter");
    open_store(f);
}

static void write_records(struct fixture *f)
{
    static const struct hash_key key = {1, 2};
    struct backlog b;
    struct backlog_cursor cursor;
    (void)f;
    AT_LAST(backlog_init(&b, 64u << 20, &key, &cursor));
    for (uint64_t i = 0; i < RECORDS; i++) {
        struct record record = nth_record(i);
        AT_LAST(backlog_append(&b, &record));
    }
    struct record spent = sample_counter("daily", "spent", 1);
    spent.expires_us = 0;
    AT_LAST(backlog_append(&b, &spent));
    uint64_t count = backlog_hand_over(&b);
    AT_LAST(store_write(store, &cursor, count));
    uint64_t pruned;
    bool more;
    AT_LAST(store_prune(store, 1, &pruned, &more));
    wal_checkpoint(store_wal(store));
    struct record wanted = sample_counter("daily", "a", 0);
    bool found;
    AT_LAST(store_counter(store, &wanted, &found));
    assert_true(found);
    assert_int_equal(wanted.used, 297);
    store_tidy(store, &more);
    backlog_release(&b);
}

static void write_and_read_back(struct fixture *f)
{
    write_records(f);
    memory_pause();
    close_store(f);
    fixture_open(f, DURABILITY_PROCESS);
    fixture_replay(f);
    assert_int_equal(f->seen_n, KEPT);
    assert_int_equal(fixture_close(f), 0);
}

static void test_any_one_allocation_may_fail_while_writing(void **state)
{
    struct fixture *f = *state;
    open_store(f);
    assert_true(each_allocation(f, open_empty, write_and_read_back) > 20);
}

/* --- Reading back. --- */

static int count(void *ctx, const struct record *record)
{
    (void)record;
    ++*(int *)ctx;
    return 0;
}

static void open_journal(struct fixture *f)
{
    assert_int_equal(fixture_close(f), 0);
    fixture_open(f, DURABILITY_FULL);
}

static void read_back(struct fixture *f)
{
    int seen = 0;
    int rc = journal_replay(f->journal, count, &seen, &f->why);
    assert_true(rc == 0 || (rc == ERR_NO_MEMORY && memory_failed()));
    assert_true(rc != 0 || seen == KEPT);
}

static void test_any_one_allocation_may_fail_while_reading_back(void **state)
{
    struct fixture *f = *state;
    open_store(f);
    write_records(f);
    close_store(f);
    assert_true(each_allocation(f, open_journal, read_back) > 20);
}

int main(void)
{
    wrap_sqlite();
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_store_is_made_or_there_is_no_memory_for_it),
        T(test_a_store_is_opened_or_there_is_no_memory_for_it),
        T(test_any_one_allocation_may_fail_while_writing),
        T(test_any_one_allocation_may_fail_while_reading_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
