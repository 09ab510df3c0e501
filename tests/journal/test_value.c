/* How resources and limits stand: the newest value of each comes back, checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/error.h"
#include "fixture.h"
#include "journal/schema.h"
#include "journal/store.h"

static struct record health(const char *resource, enum health_state state)
{
    return (struct record){
        .kind = RECORD_HEALTH,
        .at_us = 5000000,
        .expires_us = state == HEALTH_OK ? 6000000 : INT64_MAX,
        .resource = text_of(resource),
        .id = TEXT("overloaded_error"),
        .health = {.state = state,
                   .why = ANSWER_OVERLOAD,
                   .rate_ppm = 250000,
                   .after_ppm = 500000,
                   .refusals = 2,
                   .breaks = 3,
                   .growth_ppm = 1000000,
                   .rate_at_us = 1,
                   .since_us = 2,
                   .until_us = INT64_MAX,
                   .next_us = 4,
                   .incident_us = 5,
                   .cool_us = 6,
                   .probe = UINT64_MAX - 7},
    };
}

static struct record learned(const char *limit, int64_t told)
{
    return (struct record){
        .kind = RECORD_LEARNED,
        .at_us = 5000000,
        .expires_us = INT64_MAX,
        .limit = text_of(limit),
        .counts = TEXT("requests rolling"),
        .per_us = 60000000,
        .learned = {.told = told,
                    .told_by = UINT64_MAX,
                    .guard_us = 750000,
                    .guard_at_us = 4000000,
                    .slots_milli = 12500,
                    .doubling_upto = 4096},
    };
}

static void append(struct fixture *f, struct record record)
{
    assert_int_equal(journal_append(f->journal, &record), 0);
}

static void assert_same_health(const struct record *a, const struct record *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->at_us, b->at_us);
    assert_int_equal(a->expires_us, b->expires_us);
    assert_true(text_equal(a->resource, b->resource) && text_equal(a->id, b->id));
    assert_memory_equal(&a->health, &b->health, sizeof(a->health));
}

static void test_every_state_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    fixture_start(f, DURABILITY_FULL);
    for (int i = 0; i < HEALTH_STATES; i++) {
        append(f, health(names[i], (enum health_state)i));
    }
    fixture_commit(f);
    fixture_reopen_and_replay(f);
    assert_int_equal(f->seen_n, HEALTH_STATES);
    for (int i = 0; i < HEALTH_STATES; i++) {
        struct record want = health(names[i], (enum health_state)i);
        assert_same_health(&f->seen[i], &want);
    }
}

static void test_the_newest_value_comes_back_before_the_records_of_leases(void **state)
{
    struct fixture *f = *state;
    struct record want = health("m", HEALTH_DAY_OVER);
    struct record taught = learned("rpm", 60);
    fixture_start(f, DURABILITY_PROCESS);
    append(f, sample_grant(1, 1000000));
    append(f, health("m", HEALTH_PAUSED));
    append(f, learned("rpm", 500));
    append(f, sample_counter("daily", "a", 1));
    fixture_commit(f);
    append(f, taught);
    append(f, want);
    fixture_commit(f);
    fixture_reopen_and_replay(f);
    assert_int_equal(f->seen_n, 4);
    assert_memory_equal(&f->seen[0].learned, &taught.learned, sizeof(taught.learned));
    assert_true(text_equal(f->seen[0].limit, taught.limit));
    assert_true(text_equal(f->seen[0].counts, taught.counts));
    assert_int_equal(f->seen[0].per_us, taught.per_us);
    assert_same_health(&f->seen[1], &want);
    assert_int_equal(f->seen[2].kind, RECORD_COUNTER);
    assert_int_equal(f->seen[3].kind, RECORD_GRANT);
}

static void test_people_read_states_by_their_names(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, health("m", HEALTH_OUT_OF_MONEY));
    fixture_commit(f);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM health WHERE state = 'out_of_money' AND "
                                    "why = 'overload' AND reason = 'overloaded_error'"),
                     1);
}

static void test_a_state_that_no_longer_matters_is_pruned(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    uint64_t pruned;
    bool more;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, health("well", HEALTH_OK));
    append(f, health("closed", HEALTH_BREAKER_OPEN));
    fixture_commit(f);
    assert_int_equal(fixture_close(f), 0);
    assert_int_equal(store_open(f->path, DURABILITY_PROCESS, &store, &f->why), 0);
    assert_int_equal(store_prune(store, 6000000, &pruned, &more), 0);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM health"), 2);
    assert_int_equal(store_prune(store, 6000001, &pruned, &more), 0);
    store_close(store);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM health WHERE resource = 'closed'"), 1);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM health"), 1);
}

static int pass_over(void *ctx, const struct record *record)
{
    (void)ctx;
    (void)record;
    return 0;
}

static void assert_damaged(struct fixture *f, const char *sql, const char *words)
{
    fixture_start(f, DURABILITY_PROCESS);
    append(f, health("m", HEALTH_RECOVERING));
    append(f, learned("rpm", 60));
    fixture_commit(f);
    assert_int_equal(fixture_close(f), 0);
    fixture_sql(f, sql);
    fixture_open(f, DURABILITY_PROCESS);
    assert_int_equal(journal_replay(f->journal, pass_over, NULL, &f->why), ERR_STORE_DAMAGED);
    if (!strstr(f->why.at, words)) {
        fail_msg("\"%s\" does not say \"%s\"", f->why.at, words);
    }
    assert_int_equal(fixture_close(f), 0);
    buf_clear(&f->why);
    fixture_sql(f, "DELETE FROM health; DELETE FROM learned");
}

static void test_what_no_sluice_has_written_is_damage(void **state)
{
    struct fixture *f = *state;
    assert_damaged(f, "UPDATE health SET state = 'asleep'", "health: a word is unknown");
    assert_damaged(f, "UPDATE health SET until_us = -1", "health: a time is out of range");
    assert_damaged(f, "UPDATE health SET rate_ppm = 0", "health: a rate is out of range");
    assert_damaged(f, "UPDATE health SET refusals = 1 << 40", "health: a number is out of range");
    assert_damaged(f, "UPDATE health SET reason = hex(zeroblob(40))",
                   "health: the reason is too long");
    assert_damaged(f, "UPDATE learned SET told = -1", "learned: an amount is out of range");
    assert_damaged(f, "UPDATE learned SET guard_us = -1", "learned: a time is out of range");
    assert_damaged(f, "UPDATE learned SET limit_name = ''", "learned: the limit is missing");
    assert_damaged(f, "UPDATE learned SET per_us = -1", "learned: a time is out of range");
    assert_damaged(f, "UPDATE learned SET counts = hex(zeroblob(100))",
                   "learned: what the limit counts is too long");
}

static void test_a_store_of_version_5_learns_to_keep_values(void **state)
{
    struct fixture *f = *state;
    struct record want = health("m", HEALTH_PAUSED);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(schema_migrate(db, f->path, 0, schema_steps, 5, &f->why), 0);
    assert_int_equal(
        sqlite3_exec(db,
                     "INSERT INTO sheet VALUES (1, 1, 100, 1, '[[1,100,7,1,20,15,5,1,99,900,5,1,3,"
                     "0,0,0,0,\"m\",\"\",\"\",\"\",\"\",\"\"]]')",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    fixture_start(f, DURABILITY_PROCESS);
    append(f, want);
    fixture_commit(f);
    fixture_reopen_and_replay(f);
    assert_int_equal(f->seen_n, 2);
    assert_same_health(&f->seen[0], &want);
    assert_int_equal(f->seen[1].lease, 7);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_every_state_comes_back_as_it_was),
        T(test_the_newest_value_comes_back_before_the_records_of_leases),
        T(test_people_read_states_by_their_names),
        T(test_a_state_that_no_longer_matters_is_pruned),
        T(test_what_no_sluice_has_written_is_damage),
        T(test_a_store_of_version_5_learns_to_keep_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
