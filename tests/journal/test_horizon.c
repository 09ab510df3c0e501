/* When the worker prunes, turned by hand: the worker runs when the test lets it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/num.h"
#include "fixture.h"
#include "sim/worker.h"

static void nothing(void *ctx)
{
    (void)ctx;
}

static void start(struct fixture *f)
{
    fixture_open(f, DURABILITY_PROCESS);
    fixture_replay(f);
    assert_int_equal(journal_start(f->journal, nothing, NULL), 0);
}

static void append(struct fixture *f, struct record record)
{
    assert_int_equal(journal_append(f->journal, &record), 0);
}

/* The core says that nothing before an hour is needed, because a lease has just ended; but its end
 * is still being gathered when the process dies. Then the lease is open again, and must be there.
 */
static void test_a_lease_whose_end_is_not_durable_is_not_pruned(void **state)
{
    struct fixture *f = *state;
    start(f);
    append(f, sample_grant(1, US_PER_S));
    journal_commit(f->journal);
    worker_run(-1);
    append(f, sample_end(RECORD_EXPIRE, 1, US_PER_H));
    journal_prune(f->journal, US_PER_H / 2);
    worker_run(-1);
    fixture_close(f); /* writes what was handed over, which the end was not */
    fixture_reopen_and_replay(f);
    assert_int_equal(f->seen_n, 1);
    assert_int_equal(f->seen[0].kind, RECORD_GRANT);
    fixture_close(f);
}

static void test_once_the_end_is_durable_the_beginning_goes(void **state)
{
    struct fixture *f = *state;
    start(f);
    append(f, sample_grant(1, US_PER_S));
    journal_commit(f->journal);
    worker_run(-1);
    append(f, sample_end(RECORD_EXPIRE, 1, US_PER_H));
    journal_prune(f->journal, US_PER_H / 2);
    journal_commit(f->journal);
    worker_run(-1);
    fixture_close(f);
    fixture_reopen_and_replay(f);
    assert_int_equal(f->seen_n, 1);
    assert_int_equal(f->seen[0].kind, RECORD_EXPIRE);
    fixture_close(f);
}

int main(void)
{
    time_set(2 * US_PER_H, 0);
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_lease_whose_end_is_not_durable_is_not_pruned),
        T(test_once_the_end_is_durable_the_beginning_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
