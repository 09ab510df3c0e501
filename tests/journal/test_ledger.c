/* The ledger: what is booked with the records of ends, what its sums say, and what goes with time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/num.h"
#include "fixture.h"
#include "journal/clerk.h"
#include "journal/usage.h"

#define ROWS_MAX 64

static const int64_t day_us = 24 * US_PER_H;

struct row {
    char key[64];
    struct usage_sums sums;
};

struct told {
    struct row rows[ROWS_MAX];
    size_t n;
    bool more;
};

static void take_row(void *ctx, struct text key, const struct usage_sums *sums)
{
    struct told *a = ctx;
    assert_true(a->n < ROWS_MAX && key.len < sizeof(a->rows[0].key));
    struct row *row = &a->rows[a->n++];
    memcpy(row->key, key.len ? key.at : "", key.len);
    row->key[key.len] = '\0';
    row->sums = *sums;
}

static struct usage_question all_by(enum usage_by by)
{
    return (struct usage_question){.by = by, .until_us = USAGE_TIME_US_MAX, .rows_max = ROWS_MAX};
}

static struct told ask(struct fixture *f, const struct usage_question *q)
{
    struct told a = {.n = 0};
    atomic_bool stop = false;
    buf_clear(&f->why);
    if (usage_ask(f->path, q, &stop, take_row, &a, &a.more, &f->why) != 0) {
        fail_msg("cannot ask: %s", f->why.at);
    }
    return a;
}

static int64_t picousd(const struct usage_sums *s)
{
    return s->usd_milli * PICOUSD_PER_MILLIUSD + s->usd_rest;
}

static struct record settled(uint64_t lease, int64_t at_us, const char *tenant, int64_t usd)
{
    struct record r = sample_end(RECORD_SETTLE, lease, at_us);
    r.skew_us = 0;
    r.late = false;
    r.tenant = text_of(tenant);
    r.load.of[UNIT_USD] = usd;
    return r;
}

static void append(struct fixture *f, const struct record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(journal_append(f->journal, &records[i]), 0);
    }
    fixture_commit(f);
}

/* What must be true whatever was booked. */
static void assert_hours_agree(struct fixture *f)
{
    static const char *const columns[] = {"waited_us",      "held_us",        "requests",
                                          "tokens",         "input",          "cache_read",
                                          "cache_write_5m", "cache_write_1h", "output"};
    char sql[256];
    assert_int_equal(fixture_sql(f, "SELECT count(*) - (SELECT coalesce(sum(calls), 0) FROM "
                                    "usage_hour) FROM ledger"),
                     0);
    assert_int_equal(fixture_sql(f, "SELECT coalesce(sum(usd_pico), 0) - (SELECT "
                                    "coalesce(sum(usd_milli * 1000000000 + usd_rest), 0) FROM "
                                    "usage_hour) FROM ledger"),
                     0);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        snprintf(sql, sizeof(sql),
                 "SELECT coalesce(sum(%s), 0) - (SELECT coalesce(sum(%s), 0) FROM usage_hour) FROM "
                 "ledger",
                 columns[i], columns[i]);
        assert_int_equal(fixture_sql(f, sql), 0);
    }
}

static void test_a_settlement_has_one_row_with_all_it_is_known_by(void **state)
{
    struct fixture *f = *state;
    struct record r = settled(7, 5 * day_us, "acme", 1234567890123);
    r.outcome = ANSWER_OVERLOAD;
    r.has_parts = true;
    r.parts = (struct parts){{1, 2, 3, 4, 5}};
    r.model = TEXT("m-1");
    r.account = TEXT("second");
    r.route = TEXT("best");
    r.step = 2;
    r.held_for_us = 99;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, &r, 1);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger"), 1);
    assert_int_equal(fixture_sql(f, "SELECT lease = 7 AND tenant = 'acme' AND model = 'm-1' AND "
                                    "account = 'second' AND outcome = 'overload' AND late = 0 AND "
                                    "held_us = 99 AND route = 'best' AND step = 2 FROM ledger"),
                     1);
    assert_int_equal(fixture_sql(f, "SELECT input || cache_read || cache_write_5m || "
                                    "cache_write_1h || output = '12345' FROM ledger"),
                     1);
    assert_int_equal(fixture_sql(f, "SELECT usd_pico FROM ledger"), 1234567890123);
    assert_int_equal(fixture_sql(f, "SELECT at_us FROM ledger"), 5 * day_us);
    assert_hours_agree(f);
}

static void test_grants_renewals_and_cancels_are_not_in_the_ledger(void **state)
{
    struct fixture *f = *state;
    struct record records[] = {sample_grant(1, 1000), sample_grant(2, 1000),
                               sample_end(RECORD_CANCEL, 1, 2000)};
    records[1].kind = RECORD_RENEW;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, records, 3);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger"), 0);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM usage_hour"), 0);
}

/* More than are kept at once, of tenants that come again. */
static void test_one_transaction_may_be_of_very_many_tenants(void **state)
{
    struct fixture *f = *state;
    struct told by_tenant;
    enum { TENANTS = 2 * SUMS_KEPT, ROWS = 3 * TENANTS + 7 };
    fixture_start(f, DURABILITY_PROCESS);
    for (uint64_t i = 0; i < ROWS; i++) {
        char tenant[16];
        snprintf(tenant, sizeof(tenant), "t%u", (unsigned)(i % TENANTS));
        struct record r = settled(i, 1000, tenant, 10);
        assert_int_equal(journal_append(f->journal, &r), 0);
    }
    fixture_commit(f);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM usage_hour"), TENANTS);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger"), ROWS);
    assert_hours_agree(f);
    struct usage_question q = all_by(USAGE_BY_TENANT);
    by_tenant = ask(f, &q);
    assert_true(by_tenant.n == ROWS_MAX && by_tenant.more);
    assert_int_equal(by_tenant.rows[0].sums.calls, 4);
}

static void test_an_expiry_is_booked_where_it_was_charged(void **state)
{
    struct fixture *f = *state;
    struct record records[] = {settled(1, 1000, "a", 50), settled(2, 1000, "a", 0)};
    records[0].kind = records[1].kind = RECORD_EXPIRE;
    records[1].load = (struct load){.of = {[UNIT_SLOTS] = 1}};
    fixture_start(f, DURABILITY_PROCESS);
    append(f, records, 2);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger WHERE outcome = 'expired'"), 1);
    struct usage_question q = all_by(USAGE_BY_TENANT);
    struct told a = ask(f, &q);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.rows[0].sums.expired, 1);
    assert_int_equal(a.rows[0].sums.errors, 0);
    assert_int_equal(picousd(&a.rows[0].sums), 50);
}

static void test_a_late_settlement_takes_the_place_of_the_expiry(void **state)
{
    struct fixture *f = *state;
    struct record expired = settled(1, 3 * day_us - 1, "a", 5000);
    struct record other = settled(2, 3 * day_us, "a", 7);
    struct record late = settled(1, 3 * day_us + 10, "a", 40);
    expired.kind = RECORD_EXPIRE;
    late.late = true;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, &expired, 1);
    append(f, (struct record[]){other, late}, 2);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger"), 2);
    struct usage_question q = all_by(USAGE_BY_DAY);
    struct told a = ask(f, &q);
    assert_int_equal(a.n, 2);
    assert_string_equal(a.rows[0].key, "1970-01-03");
    assert_int_equal(picousd(&a.rows[0].sums), 40);
    assert_int_equal(a.rows[0].sums.expired, 0);
    assert_string_equal(a.rows[1].key, "1970-01-04");
    assert_int_equal(picousd(&a.rows[1].sums), 7);
    assert_hours_agree(f);
}

/* The row that goes may be the newest, whose number is given out again. */
static void test_an_expiry_and_its_settlement_may_be_of_one_batch(void **state)
{
    struct fixture *f = *state;
    struct record expired = settled(1, day_us, "a", 5000);
    struct record late = settled(1, day_us + 10, "a", 40);
    expired.kind = RECORD_EXPIRE;
    late.late = true;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, (struct record[]){expired, late}, 2);
    append(f, &expired, 1);
    append(f, &late, 1);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger WHERE usd_pico = 40"), 2);
    assert_hours_agree(f);
}

/* It is given the number of the newest row, which is none for those that follow. */
static void test_a_late_settlement_may_be_the_first_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct record expired = settled(1, day_us, "a", 5000);
    struct record late = settled(1, day_us + 10, "a", 40);
    struct record next = settled(2, day_us + 20, "a", 7);
    expired.kind = RECORD_EXPIRE;
    late.late = true;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, &expired, 1);
    assert_int_equal(fixture_close(f), 0);
    fixture_start(f, DURABILITY_PROCESS);
    append(f, (struct record[]){late, next}, 2);
    assert_int_equal(fixture_sql(f, "SELECT sum(usd_pico) FROM ledger"), 47);
    assert_int_equal(fixture_sql(f, "SELECT seq FROM ledger WHERE lease = 2"), 2);
    assert_hours_agree(f);
}

static void test_a_late_settlement_without_its_expiry_is_booked_by_itself(void **state)
{
    struct fixture *f = *state;
    struct record late = settled(1, day_us, "a", 40);
    late.late = true;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, &late, 1);
    assert_int_equal(fixture_sql(f, "SELECT late FROM ledger WHERE at_us = 86400000000"), 1);
    assert_hours_agree(f);
}

/* Many expire side by side in an order of their own; some are settled late, long after, half of
 * them when the daemon has been started anew. */
static void test_a_late_settlement_finds_its_expiry_among_many(void **state)
{
    struct fixture *f = *state;
    enum { LEASES = 1500, BATCH = 100 };
    fixture_start(f, DURABILITY_PROCESS);
    for (uint64_t i = 0; i < LEASES; i++) {
        uint64_t lease = i * 7919 % LEASES * 13;
        struct record expired = settled(lease, (int64_t)i * US_PER_MIN, "a", 5000);
        expired.kind = RECORD_EXPIRE;
        assert_int_equal(journal_append(f->journal, &expired), 0);
        if (i % BATCH == BATCH - 1) {
            fixture_commit(f);
        }
    }
    for (uint64_t i = 0; i < LEASES; i += 7) {
        if (i == LEASES / 2 / 7 * 7) {
            assert_int_equal(fixture_close(f), 0);
            fixture_start(f, DURABILITY_PROCESS);
        }
        struct record late = settled(i * 13, 50 * day_us, "a", 40);
        late.late = true;
        append(f, &late, 1);
    }
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger"), LEASES);
    assert_int_equal(fixture_sql(f, "SELECT sum(late) FROM ledger"), (LEASES + 6) / 7);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger WHERE at_us >= 50 * 86400000000"),
                     0);
    assert_int_equal(
        fixture_sql(f, "SELECT count(*) FROM ledger WHERE late = (lease / 13 % 7 > 0)"), 0);
    assert_hours_agree(f);
}

/* Of leases whose numbers have one remainder, only the newest expiry is remembered in memory. */
static void test_a_late_settlement_finds_its_expiry_behind_others_of_its_remainder(void **state)
{
    struct fixture *f = *state;
    enum { LEASES = 3 };
    fixture_start(f, DURABILITY_PROCESS);
    for (uint64_t i = 0; i < LEASES; i++) {
        struct record expired = settled(5 + i * EXPIRY_HINTS, 1000, "a", 5000);
        expired.kind = RECORD_EXPIRE;
        append(f, &expired, 1);
    }
    for (uint64_t i = 0; i < LEASES; i++) {
        struct record late = settled(5 + i * EXPIRY_HINTS, 2000, "a", 40);
        late.late = true;
        append(f, &late, 1);
        assert_int_equal(fixture_sql(f, "SELECT sum(late) FROM ledger"), (int64_t)i + 1);
    }
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger WHERE at_us = 1000"), LEASES);
    assert_int_equal(fixture_sql(f, "SELECT count(DISTINCT lease) FROM ledger"), LEASES);
    assert_hours_agree(f);
}

/* What is remembered of where it stood is not believed. */
static void test_a_late_settlement_whose_expiry_is_gone_takes_no_other_row_out(void **state)
{
    struct fixture *f = *state;
    struct record expired = settled(1, 1000, "a", 5000);
    struct record other = settled(2, 1500, "a", 7);
    struct record late = settled(1, 2000, "a", 40);
    expired.kind = other.kind = RECORD_EXPIRE;
    late.late = true;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, &expired, 1);
    fixture_sql(f, "DELETE FROM entry");
    append(f, &other, 1);
    fixture_sql(f, "UPDATE entry SET seq = 1");
    append(f, &late, 1);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger WHERE lease = 2"), 1);
    assert_int_equal(fixture_sql(f, "SELECT at_us FROM ledger WHERE lease = 1"), 2000);
}

/* They are stored as signed numbers, of which the ends are far apart. */
static void test_a_late_settlement_finds_its_expiry_whatever_the_lease(void **state)
{
    struct fixture *f = *state;
    static const uint64_t leases[] = {0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    enum { LEASES = sizeof(leases) / sizeof(leases[0]) };
    fixture_start(f, DURABILITY_PROCESS);
    for (size_t i = 0; i < LEASES; i++) {
        struct record expired = settled(leases[i], 1000, "a", 5000);
        expired.kind = RECORD_EXPIRE;
        append(f, &expired, 1);
    }
    for (size_t i = 0; i < LEASES; i++) {
        struct record late = settled(leases[i], 2000, "a", 40);
        late.late = true;
        append(f, &late, 1);
    }
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger WHERE late = 1"), LEASES);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger WHERE at_us = 1000"), LEASES);
    assert_hours_agree(f);
}

/* A text that is none of ours is no expiry, and does not stop the journal. */
static void test_a_late_settlement_passes_over_a_row_that_was_damaged(void **state)
{
    struct fixture *f = *state;
    struct record expired = settled(1, 1000, "a", 5000);
    struct record late = settled(1, 2000, "a", 40);
    expired.kind = RECORD_EXPIRE;
    late.late = true;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, &expired, 1);
    fixture_sql(f, "UPDATE entry SET facts = '[\"expired\", noise'");
    append(f, &late, 1);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM entry"), 2);
    assert_int_equal(journal_trouble(f->journal, &f->why), 0);
}

static void test_rows_are_booked_by_the_wall_clock(void **state)
{
    struct fixture *f = *state;
    struct record r = settled(1, 2 * day_us - 5, "a", 1);
    r.skew_us = 10;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, &r, 1);
    struct usage_question q = all_by(USAGE_BY_HOUR);
    struct told a = ask(f, &q);
    assert_string_equal(a.rows[0].key, "1970-01-03T00:00:00Z");
}

/* Whatever the edges, the sums of hours and the rows at both ends make up the whole. */
static void test_any_range_of_time_adds_up(void **state)
{
    struct fixture *f = *state;
    static struct record records[200];
    const int64_t step_us = US_PER_H / 7;
    for (int i = 0; i < 200; i++) {
        records[i] = settled((uint64_t)i, i * step_us, i % 3 ? "a" : "", INT64_C(1) << (i % 40));
    }
    fixture_start(f, DURABILITY_PROCESS);
    append(f, records, 200);
    for (int from = 0; from < 200; from += 11) {
        for (int to = from; to <= 200; to += 13) {
            struct usage_question q = all_by(USAGE_BY_TENANT);
            q.since_us = from * step_us;
            q.until_us = to * step_us;
            int64_t want = 0;
            int64_t got = 0;
            int64_t calls = 0;
            for (int i = from; i < to; i++) {
                want += records[i].load.of[UNIT_USD];
            }
            struct told a = ask(f, &q);
            for (size_t i = 0; i < a.n; i++) {
                got += picousd(&a.rows[i].sums);
                calls += a.rows[i].sums.calls;
            }
            assert_int_equal(got, want);
            assert_int_equal(calls, to - from);
        }
    }
}

static void test_a_label_groups_and_what_lacks_it_has_no_key(void **state)
{
    struct fixture *f = *state;
    struct record records[] = {settled(1, 1, "a", 1), settled(2, 1, "a", 2), settled(3, 1, "a", 4),
                               settled(4, 1, "a", 8)};
    records[0].labels = TEXT("team=red\nteam2=blue\n");
    records[1].labels = TEXT("x=1\nteam=red");
    records[2].labels = TEXT("team2=red\n");
    records[3].labels = TEXT_NONE;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, records, 4);
    struct usage_question q = all_by(USAGE_BY_LABEL);
    q.label = TEXT("team");
    struct told a = ask(f, &q);
    assert_int_equal(a.n, 2);
    assert_string_equal(a.rows[0].key, "");
    assert_int_equal(picousd(&a.rows[0].sums), 12);
    assert_string_equal(a.rows[1].key, "red");
    assert_int_equal(picousd(&a.rows[1].sums), 3);
}

static void test_filters_narrow_a_question(void **state)
{
    struct fixture *f = *state;
    struct record records[] = {settled(1, 1, "a", 1), settled(2, 1, "b", 2), settled(3, 1, "", 4)};
    records[0].session = TEXT("s");
    records[1].session = TEXT("s");
    records[2].session = TEXT_NONE;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, records, 3);
    struct usage_question q = all_by(USAGE_BY_RESOURCE);
    q.session = (struct usage_filter){true, TEXT("s")};
    assert_int_equal(picousd(&ask(f, &q).rows[0].sums), 3);
    q.tenant = (struct usage_filter){true, TEXT("b")};
    assert_int_equal(picousd(&ask(f, &q).rows[0].sums), 2);
    q.session.set = false;
    q.tenant.value = TEXT_NONE;
    assert_int_equal(picousd(&ask(f, &q).rows[0].sums), 4);
    q.tenant.value = TEXT("nobody");
    assert_int_equal(ask(f, &q).n, 0);
}

static void check_pages(struct fixture *f, enum usage_by by, size_t rows)
{
    struct usage_question q = all_by(by);
    char key[64];
    size_t seen = 0;
    q.rows_max = 1;
    for (bool more = true; more; seen++) {
        struct told a = ask(f, &q);
        assert_int_equal(a.n, 1);
        more = a.more;
        memcpy(key, a.rows[0].key, sizeof(key));
        q.after = (struct usage_filter){true, text_of(key)};
    }
    assert_int_equal(seen, rows);
    assert_int_equal(ask(f, &q).n, 0);
}

static void test_pages_go_on_where_the_last_one_ended(void **state)
{
    struct fixture *f = *state;
    struct record records[] = {settled(1, 1, "", 1), settled(2, day_us, "a", 1),
                               settled(3, 2 * day_us, "b", 1)};
    fixture_start(f, DURABILITY_PROCESS);
    append(f, records, 3);
    check_pages(f, USAGE_BY_TENANT, 3);
    check_pages(f, USAGE_BY_DAY, 3);
    check_pages(f, USAGE_BY_HOUR, 3);
    struct usage_question q = all_by(USAGE_BY_DAY);
    q.after = (struct usage_filter){true, TEXT("no day")};
    assert_int_equal(ask(f, &q).n, 0);
}

/* What a caller claims must not stop the journal, nor turn into something else in a sum. */
static void test_absurd_amounts_are_capped_and_money_is_not(void **state)
{
    struct fixture *f = *state;
    static struct record records[20];
    for (int i = 0; i < 20; i++) {
        records[i] = settled((uint64_t)i, 1, "a", USD_AMOUNT_MAX);
        records[i].load.of[UNIT_TOKENS] = AMOUNT_MAX;
        records[i].load.of[UNIT_REQUESTS] = AMOUNT_MAX;
    }
    fixture_start(f, DURABILITY_PROCESS);
    append(f, records, 20);
    append(f, records, 20);
    struct usage_question q = all_by(USAGE_BY_TENANT);
    struct told a = ask(f, &q);
    assert_int_equal(a.rows[0].sums.usd_milli, INT64_C(40) * 1000000000);
    assert_int_equal(a.rows[0].sums.tokens, 40 * LEDGER_COUNT_MAX);
    assert_int_equal(journal_trouble(f->journal, &f->why), 0);
}

static void test_a_question_that_is_stopped_says_so(void **state)
{
    struct fixture *f = *state;
    static struct record records[3000];
    for (int i = 0; i < 3000; i++) {
        records[i] = settled((uint64_t)i, i, "a", 1);
    }
    fixture_start(f, DURABILITY_PROCESS);
    append(f, records, 3000);
    struct usage_question q = all_by(USAGE_BY_SESSION);
    struct told a = {.n = 0};
    atomic_bool stop = true;
    assert_int_equal(usage_ask(f->path, &q, &stop, take_row, &a, &a.more, &f->why), ERR_CANCELLED);
}

static void prune_to(struct fixture *f, int64_t horizon_us, int64_t rows)
{
    struct journal_stats stats;
    journal_prune_ledger(f->journal, horizon_us);
    do {
        /* Each batch is written before the next step of pruning, and reported. */
        struct record grant = sample_grant(1, 1);
        append(f, &grant, 1);
        journal_stats(f->journal, &stats);
    } while (fixture_sql(f, "SELECT count(*) FROM ledger") > rows ||
             fixture_sql(f, "SELECT sum(calls) FROM usage_hour") > rows);
}

static void test_rows_older_than_the_horizon_go_by_whole_hours(void **state)
{
    struct fixture *f = *state;
    static struct record records[3000];
    for (int i = 0; i < 3000; i++) {
        records[i] = settled((uint64_t)i, i * US_PER_H / 1000, "a", 1);
    }
    fixture_start(f, DURABILITY_PROCESS);
    append(f, records, 3000);
    prune_to(f, 2 * US_PER_H - 1, 2000);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger"), 2000);
    assert_int_equal(fixture_sql(f, "SELECT min(at_us) FROM ledger"), US_PER_H);
    prune_to(f, 2 * US_PER_H, 1000);
    assert_int_equal(fixture_sql(f, "SELECT min(at_us) FROM ledger"), 2 * US_PER_H);
    assert_hours_agree(f);
}

static void test_what_is_booked_after_its_hour_went_is_summed_up_anew(void **state)
{
    struct fixture *f = *state;
    struct record expired = settled(1, 1000, "a", 1);
    struct record again = settled(2, 2000, "a", 1);
    expired.kind = RECORD_EXPIRE;
    fixture_start(f, DURABILITY_PROCESS);
    append(f, &expired, 1);
    prune_to(f, US_PER_H, 0);
    append(f, &again, 1);
    assert_int_equal(fixture_sql(f, "SELECT sum(calls) FROM usage_hour"), 1);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM ledger WHERE tenant = 'a'"), 1);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM expiry"), 0);
    assert_hours_agree(f);
}

/* Sums that give way to others come back with what they stood at. */
static void test_tenants_that_take_turns_keep_their_sums(void **state)
{
    struct fixture *f = *state;
    enum { TENANTS = 3 * SUMS_KEPT, TURNS = 3 };
    fixture_start(f, DURABILITY_PROCESS);
    for (uint64_t i = 0; i < TURNS * TENANTS; i++) {
        char tenant[16];
        snprintf(tenant, sizeof(tenant), "t%u", (unsigned)(i % TENANTS));
        struct record r = settled(i, 1000, tenant, 10);
        assert_int_equal(journal_append(f->journal, &r), 0);
        if (i % 50 == 0) {
            fixture_commit(f);
        }
    }
    fixture_commit(f);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM usage_hour WHERE calls = 3"), TENANTS);
    assert_int_equal(fixture_sql(f, "SELECT count(*) FROM usage_hour"), TENANTS);
    assert_hours_agree(f);
}

static void test_the_view_is_for_people(void **state)
{
    struct fixture *f = *state;
    struct record r = settled(1, day_us, "acme", 1500000000000);
    r.labels = TEXT("a=1\nb=2\n");
    fixture_start(f, DURABILITY_PROCESS);
    append(f, &r, 1);
    assert_int_equal(fixture_sql(f, "SELECT usd = 1.5 AND tenant = 'acme' AND labels = 'a=1 b=2' "
                                    "AND at_utc = '1970-01-02T00:00:00.000Z' FROM usage"),
                     1);
}

static void test_the_ledger_goes_on_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct record r = settled(1, day_us, "a", 1);
    for (int i = 0; i < 3; i++) {
        fixture_start(f, DURABILITY_PROCESS);
        append(f, &r, 1);
        assert_int_equal(fixture_close(f), 0);
    }
    assert_int_equal(fixture_sql(f, "SELECT sum(calls) FROM usage_hour"), 3);
    assert_hours_agree(f);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_settlement_has_one_row_with_all_it_is_known_by),
        T(test_grants_renewals_and_cancels_are_not_in_the_ledger),
        T(test_one_transaction_may_be_of_very_many_tenants),
        T(test_an_expiry_is_booked_where_it_was_charged),
        T(test_a_late_settlement_takes_the_place_of_the_expiry),
        T(test_an_expiry_and_its_settlement_may_be_of_one_batch),
        T(test_a_late_settlement_may_be_the_first_after_a_restart),
        T(test_a_late_settlement_without_its_expiry_is_booked_by_itself),
        T(test_a_late_settlement_finds_its_expiry_among_many),
        T(test_a_late_settlement_finds_its_expiry_behind_others_of_its_remainder),
        T(test_a_late_settlement_whose_expiry_is_gone_takes_no_other_row_out),
        T(test_a_late_settlement_finds_its_expiry_whatever_the_lease),
        T(test_a_late_settlement_passes_over_a_row_that_was_damaged),
        T(test_rows_are_booked_by_the_wall_clock),
        T(test_any_range_of_time_adds_up),
        T(test_a_label_groups_and_what_lacks_it_has_no_key),
        T(test_filters_narrow_a_question),
        T(test_pages_go_on_where_the_last_one_ended),
        T(test_absurd_amounts_are_capped_and_money_is_not),
        T(test_a_question_that_is_stopped_says_so),
        T(test_rows_older_than_the_horizon_go_by_whole_hours),
        T(test_what_is_booked_after_its_hour_went_is_summed_up_anew),
        T(test_tenants_that_take_turns_keep_their_sums),
        T(test_the_view_is_for_people),
        T(test_the_ledger_goes_on_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
#undef T
}
