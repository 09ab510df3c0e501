/* What was durable before a `kill -9` is there after it, and every batch as a whole. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "fixture.h"

#define BATCH_LEN 3

/* Commits batches for ever, and says of each that it is durable by one byte. Several are under way
 * at once, as in the daemon, so that the kill meets some of them. */
static _Noreturn void commit_for_ever(struct fixture *f, enum durability durability, int told)
{
    fixture_start(f, durability);
    uint64_t said = 0;
    for (uint64_t batch = 1;; batch++) {
        for (int i = 0; i < BATCH_LEN; i++) {
            struct record record = sample_grant(batch, (int64_t)batch);
            if (journal_append(f->journal, &record) != 0) {
                _exit(1);
            }
        }
        struct record counter = sample_counter("daily", "a", (int64_t)batch);
        if (journal_append(f->journal, &counter) != 0) {
            _exit(1);
        }
        unsigned since = fixture_progress(f);
        journal_commit(f->journal);
        if (batch - said > 5 && journal_durable(f->journal) == said) {
            fixture_await(f, since);
        }
        for (; said < journal_durable(f->journal); said++) {
            if (write(told, "+", 1) != 1) {
                _exit(1);
            }
        }
        journal_prune(f->journal, (int64_t)batch - 100);
    }
}

/* Kills the writer after it has told of `many` batches; returns of how many it told in all. */
static uint64_t kill_after(struct fixture *f, enum durability durability, uint64_t many)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        commit_for_ever(f, durability, ends[1]);
    }
    close(ends[1]);
    uint64_t told = 0;
    char byte;
    while (told < many && read(ends[0], &byte, 1) == 1) {
        told++;
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    while (read(ends[0], &byte, 1) == 1) {
        told++;
    }
    close(ends[0]);
    assert_true(told >= many);
    return told;
}

static void check_store(struct fixture *f, uint64_t told)
{
    fixture_open(f, DURABILITY_PROCESS);
    fixture_replay(f);
    assert_int_equal(f->seen[0].kind, RECORD_COUNTER);
    uint64_t last = (uint64_t)f->seen[0].used;
    assert_true(last >= told);
    assert_true(f->seen_n > 1);
    for (size_t i = 1; i < f->seen_n; i++) {
        size_t from_end = f->seen_n - 1 - i;
        assert_int_equal(f->seen[i].lease, last - from_end / BATCH_LEN);
    }
    assert_int_equal(fixture_close(f), 0);
    fixture_sql(f, "DELETE FROM sheet; DELETE FROM counter");
}

static void crash(struct fixture *f, enum durability durability)
{
    for (uint64_t many = 1; many < 600; many = many * 2 + 1) {
        check_store(f, kill_after(f, durability, many));
    }
}

static void test_full_durability_survives_a_kill(void **state)
{
    crash(*state, DURABILITY_FULL);
}

static void test_process_durability_survives_a_kill(void **state)
{
    crash(*state, DURABILITY_PROCESS);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_full_durability_survives_a_kill),
        T(test_process_durability_survives_a_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
