/* Counters are found by key wherever their newest value stands, and memory under way is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/error.h"
#include "fixture.h"
#include "journal/backlog.h"
#include "journal/schema.h"

static const struct hash_key key = {1, 2};

static void append(struct fixture *f, struct record record)
{
    assert_int_equal(journal_append(f->journal, &record), 0);
}

/* Its expires_us grows with what is used, as that of a bucket. */
static struct record counter(const char *limit, const char *scope_key, int64_t used)
{
    struct record record = sample_counter(limit, scope_key, used);
    record.expires_us += used;
    return record;
}

/* What journal_counter finds for a tenant's counter; -1: nothing. */
static int64_t stored(struct fixture *f, const char *limit, const char *scope_key)
{
    struct record record = {.resource = TEXT("gpt-4o"),
                            .limit = text_of(limit),
                            .scope_key = text_of(scope_key),
                            .since_us = -1};
    bool found;
    assert_int_equal(journal_counter(f->journal, &record, &found), 0);
    if (!found) {
        return -1;
    }
    assert_int_equal(record.kind, RECORD_COUNTER);
    assert_int_equal(record.expires_us, 9000000 + record.used);
    assert_int_equal(record.period_us, 4000000);
    assert_int_equal(record.level, -3);
    assert_int_equal(record.since_us, 2000000);
    return record.used;
}

static void test_a_counter_is_found_while_its_batch_is_gathering(void **state)
{
    struct fixture *f = *state;
    fixture_open(f, DURABILITY_PROCESS);
    assert_int_equal(stored(f, "daily", "a"), -1);
    append(f, counter("daily", "a", 1));
    append(f, counter("daily", "a", 2));
    assert_int_equal(stored(f, "daily", "a"), 2);
}

static void test_a_counter_is_found_while_its_batch_is_under_way(void **state)
{
    struct fixture *f = *state;
    fixture_open(f, DURABILITY_PROCESS);
    append(f, counter("daily", "a", 1));
    /* Without a worker the batch stays under way. */
    journal_commit(f->journal);
    assert_int_equal(stored(f, "daily", "a"), 1);
    append(f, counter("daily", "a", 2));
    assert_int_equal(stored(f, "daily", "a"), 2);
}

static void test_a_counter_is_found_in_the_store(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, counter("daily", "a", 5));
    fixture_commit(f);
    assert_int_equal(fixture_close(f), 0);
    fixture_open(f, DURABILITY_PROCESS);
    assert_int_equal(stored(f, "daily", "a"), 5);
}

/* What a limit counts may change by a reload while its value is gathering, under way or stored. */
static void assert_counts(struct fixture *f, const char *counts)
{
    struct record record = sample_counter("daily", "a", 0);
    bool found;
    record.counts = TEXT_NONE;
    assert_int_equal(journal_counter(f->journal, &record, &found), 0);
    assert_true(found);
    assert_true(text_equal(record.counts, text_of(counts)));
}

static void test_what_a_counter_counts_is_kept_with_its_value(void **state)
{
    struct fixture *f = *state;
    struct record in_tokens = sample_counter("daily", "a", 2);
    in_tokens.counts = TEXT("tokens calendar day tenant");
    fixture_start(f, DURABILITY_PROCESS);
    append(f, sample_counter("daily", "a", 1));
    assert_counts(f, "usd calendar day tenant");
    append(f, in_tokens);
    assert_counts(f, "tokens calendar day tenant");
    fixture_commit(f);
    assert_int_equal(fixture_close(f), 0);
    fixture_open(f, DURABILITY_PROCESS);
    assert_counts(f, "tokens calendar day tenant");
    assert_int_equal(fixture_close(f), 0);
    assert_int_equal(fixture_sql(f, "SELECT used FROM counter WHERE counts = 'tokens calendar day "
                                    "tenant'"),
                     2);
}

static void test_a_counter_of_a_store_of_before_does_not_say_what_it_counts(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(schema_migrate(db, f->path, 0, schema_steps, 7, &f->why), 0);
    assert_int_equal(sqlite3_exec(db,
                                  "INSERT INTO counter VALUES ('gpt-4o', 'daily', 'a', 5, 9, 0, "
                                  "42, 0, 2)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    fixture_open(f, DURABILITY_PROCESS);
    assert_counts(f, "");
}

static void test_keys_that_run_together_are_different_counters(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, counter("daily", "ab", 1));
    append(f, counter("dailya", "b", 2));
    append(f, counter("daily", "", 3));
    fixture_commit(f);
    assert_int_equal(fixture_close(f), 0);
    fixture_open(f, DURABILITY_PROCESS);
    assert_int_equal(stored(f, "daily", "ab"), 1);
    assert_int_equal(stored(f, "dailya", "b"), 2);
    assert_int_equal(stored(f, "daily", ""), 3);
    assert_int_equal(stored(f, "daily", "a"), -1);
}

static void test_a_counter_that_was_handed_over_is_not_changed(void **state)
{
    (void)state;
    struct backlog b;
    struct backlog_cursor cursor;
    struct record first = sample_counter("daily", "a", 1);
    struct record second = sample_counter("daily", "a", 2);
    assert_int_equal(backlog_init(&b, 1u << 20, &key, &cursor), 0);
    assert_int_equal(backlog_append(&b, &first), 0);
    assert_int_equal(backlog_hand_over(&b), 1);
    assert_int_equal(backlog_append(&b, &second), 0);
    assert_int_equal(backlog_append(&b, &second), 0);
    assert_int_equal(backlog_hand_over(&b), 2);
    assert_int_equal(backlog_next(&cursor)->used, 1);
    assert_int_equal(backlog_next(&cursor)->used, 2);
    backlog_release(&b);
}

static void test_the_backlog_ends_at_its_cap_and_goes_on_when_there_is_room(void **state)
{
    (void)state;
    struct backlog b;
    struct backlog_cursor cursor;
    struct record counter = sample_counter("daily", "a", 1);
    assert_int_equal(backlog_init(&b, 4 * BACKLOG_CHUNK_BYTES, &key, &cursor), 0);
    assert_int_equal(backlog_append(&b, &counter), 0);
    uint64_t lease = 0;
    int rc = 0;
    while (rc == 0) {
        struct record record = sample_grant(lease, 1);
        rc = backlog_append(&b, &record);
        lease += rc == 0;
    }
    assert_int_equal(rc, ERR_OVER_CAP);
    assert_true(b.bytes <= b.cap);
    assert_true(lease > 100);
    uint64_t handed = backlog_hand_over(&b);
    assert_int_equal(handed, lease + 1);
    assert_int_equal(backlog_next(&cursor)->kind, RECORD_COUNTER);
    for (uint64_t i = 0; i < lease; i++) {
        assert_int_equal(backlog_next(&cursor)->lease, i);
    }
    backlog_reap(&b, handed);
    assert_null(backlog_counter(&b, &counter));
    struct record record = sample_grant(lease, 1);
    assert_int_equal(backlog_append(&b, &record), 0);
    assert_int_equal(backlog_next(&cursor)->lease, lease);
    backlog_release(&b);
}

static void test_memory_stays_flat_while_records_flow(void **state)
{
    (void)state;
    struct backlog b;
    struct backlog_cursor cursor;
    assert_int_equal(backlog_init(&b, 64 * BACKLOG_CHUNK_BYTES, &key, &cursor), 0);
    for (uint64_t i = 0; i < 20000; i++) {
        struct record record = sample_grant(i, 1);
        assert_int_equal(backlog_append(&b, &record), 0);
        uint64_t handed = backlog_hand_over(&b);
        assert_int_equal(backlog_next(&cursor)->lease, i);
        backlog_reap(&b, handed);
    }
    assert_true(b.bytes < 4 * BACKLOG_CHUNK_BYTES);
    backlog_release(&b);
}

static void test_a_record_that_could_not_be_read_back_is_not_taken(void **state)
{
    struct fixture *f = *state;
    static char longer[NAME_LEN_MAX + 2];
    memset(longer, 'x', sizeof(longer) - 1);
    struct record record = sample_grant(1, 1);
    fixture_open(f, DURABILITY_PROCESS);
    record.tenant = text_of(longer);
    assert_int_equal(journal_append(f->journal, &record), ERR_OVER_CAP);
    record = sample_grant(1, 1);
    record.load.of[UNIT_TOKENS] = AMOUNT_MAX + 1;
    assert_int_equal(journal_append(f->journal, &record), ERR_OVER_CAP);
    record = sample_grant(1, -1);
    assert_int_equal(journal_append(f->journal, &record), ERR_OVER_CAP);
    record = sample_counter("daily", "a", 1);
    record.expires_us = -1;
    assert_int_equal(journal_append(f->journal, &record), ERR_OVER_CAP);
    assert_int_equal(journal_commit(f->journal), 0);
}

static int ignore(void *ctx, const struct record *record)
{
    (void)ctx;
    (void)record;
    return 0;
}

static void test_a_stored_counter_that_expires_before_all_time_is_damage(void **state)
{
    struct fixture *f = *state;
    struct record wanted = sample_counter("daily", "a", 0);
    bool found;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, sample_counter("daily", "a", 1));
    journal_commit(f->journal);
    assert_int_equal(fixture_close(f), 0);
    fixture_sql(f, "UPDATE counter SET expires_us = -1");
    fixture_open(f, DURABILITY_PROCESS);
    assert_int_equal(journal_replay(f->journal, ignore, NULL, &f->why), ERR_STORE_DAMAGED);
    assert_non_null(strstr(f->why.at, "row 1 of table counter: a time is out of range"));
    assert_int_equal(journal_counter(f->journal, &wanted, &found), ERR_STORE_DAMAGED);
}

static void test_any_time_from_the_beginning_to_for_ever_is_read_back(void **state)
{
    struct fixture *f = *state;
    const int64_t times[] = {0, 1, INT64_MAX - 1, INT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        struct record record = sample_counter("daily", "a", 1);
        record.expires_us = times[i];
        fixture_start(f, DURABILITY_PROCESS);
        append(f, record);
        journal_commit(f->journal);
        fixture_reopen_and_replay(f);
        assert_int_equal(f->seen_n, 1);
        assert_same_record(&f->seen[0], &record);
        assert_int_equal(fixture_close(f), 0);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_counter_is_found_while_its_batch_is_gathering),
        T(test_a_counter_is_found_while_its_batch_is_under_way),
        T(test_a_counter_is_found_in_the_store),
        T(test_what_a_counter_counts_is_kept_with_its_value),
        T(test_a_counter_of_a_store_of_before_does_not_say_what_it_counts),
        T(test_keys_that_run_together_are_different_counters),
        T(test_a_counter_that_was_handed_over_is_not_changed),
        T(test_the_backlog_ends_at_its_cap_and_goes_on_when_there_is_room),
        T(test_memory_stays_flat_while_records_flow),
        T(test_a_record_that_could_not_be_read_back_is_not_taken),
        T(test_a_stored_counter_that_expires_before_all_time_is_damage),
        T(test_any_time_from_the_beginning_to_for_ever_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
