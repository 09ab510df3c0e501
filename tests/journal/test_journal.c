/* What is appended is read back: order, completeness, counters, batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/error.h"
#include "fixture.h"

static void append(struct fixture *f, struct record record)
{
    assert_int_equal(journal_append(f->journal, &record), 0);
}

static void test_records_come_back_as_they_were(void **state)
{
    struct fixture *f = *state;
    struct record grant = sample_grant(UINT64_MAX - 5, 1000000);
    struct record settle = sample_end(RECORD_SETTLE, UINT64_MAX - 5, 2000000);
    settle.late = true;
    struct record bare = {.kind = RECORD_EXPIRE, .lease = 1};
    settle.advice = ADVICE_GIVE_UP;
    settle.reason = TEXT("att\"empts");
    settle.again_us = 7000000;
    fixture_start(f, DURABILITY_FULL);
    append(f, grant);
    append(f, settle);
    fixture_commit(f);
    append(f, bare);
    fixture_commit(f);
    fixture_reopen_and_replay(f);
    assert_int_equal(f->seen_n, 3);
    assert_same_record(&f->seen[0], &grant);
    assert_same_record(&f->seen[1], &settle);
    assert_same_record(&f->seen[2], &bare);
    assert_int_equal(fixture_close(f), 0);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM record WHERE advice = 3 AND "
                                    "again_us = 7000000 AND reason = 'att\"empts'"),
                     1);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM record WHERE advice IS NULL"), 2);
}

static void test_the_newest_value_of_a_counter_comes_back_before_the_records(void **state)
{
    struct fixture *f = *state;
    struct record counter = sample_counter("daily", "team-a", 3);
    fixture_start(f, DURABILITY_PROCESS);
    append(f, sample_grant(1, 1000000));
    append(f, sample_counter("daily", "team-a", 1));
    append(f, sample_counter("daily", "team-b", 9));
    append(f, sample_counter("daily", "team-a", 2));
    fixture_commit(f);
    append(f, counter);
    fixture_commit(f);
    fixture_reopen_and_replay(f);
    assert_int_equal(f->seen_n, 3);
    assert_same_record(&f->seen[0], &counter);
    assert_int_equal(f->seen[1].used, 9);
    assert_int_equal(f->seen[2].kind, RECORD_GRANT);
}

static void test_an_empty_batch_is_no_batch(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, DURABILITY_PROCESS);
    assert_int_equal(journal_commit(f->journal), 0);
    append(f, sample_grant(1, 1));
    assert_int_equal(journal_commit(f->journal), 1);
    assert_int_equal(journal_commit(f->journal), 1);
}

static void test_closing_waits_for_what_was_handed_over(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, DURABILITY_FULL);
    for (unsigned i = 0; i < 1000; i++) {
        append(f, sample_grant(i, 1000 + i));
        journal_commit(f->journal);
    }
    fixture_reopen_and_replay(f);
    assert_int_equal(f->seen_n, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(f->seen[i].lease, i);
    }
}

static void test_without_durability_every_batch_counts_at_once(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    fixture_start(f, DURABILITY_NONE);
    append(f, sample_grant(1, 1));
    assert_int_equal(journal_commit(f->journal), 1);
    assert_int_equal(journal_durable(f->journal), 1);
    assert_int_equal(fixture_close(f), 0);
    assert_int_not_equal(stat(f->path, &st), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_records_come_back_as_they_were),
        T(test_the_newest_value_of_a_counter_comes_back_before_the_records),
        T(test_an_empty_batch_is_no_batch),
        T(test_closing_waits_for_what_was_handed_over),
        T(test_without_durability_every_batch_counts_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
