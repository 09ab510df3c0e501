/* The driver: nothing is told before it is durable, and nothing is held for nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "core/view.h"
#include "rig.h"

static void expect_answer(const struct rig *r, size_t i, int status, const char *words)
{
    assert_true(i < r->answers_n);
    if (r->answers[i].status != status || !strstr(r->answers[i].body, words)) {
        fail_msg("answer %zu is %d %s, not %d %s", i, r->answers[i].status, r->answers[i].body,
                 status, words);
    }
}

static uint64_t any_lease(const struct rig *r)
{
    struct lease_view view;
    assert_true(core_lease_next(r->core, 0, &view));
    return view.lease;
}

static void test_an_answer_leaves_when_its_batch_is_durable_and_not_before(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 1);
    rig_acquire(&r, "");
    assert_int_equal(rig_records(), 1);
    driver_turn(&r.driver);
    driver_turn(&r.driver);
    assert_int_equal(r.answers_n, 0);
    assert_false(driver_idle(&r.driver));
    rig_store_durable(&r);
    driver_turn(&r.driver);
    assert_int_equal(r.answers_n, 1);
    expect_answer(&r, 0, 200, "\"lease\":\"ls_");
    assert_true(driver_idle(&r.driver));
    rig_release(&r);
}

static void test_answers_of_one_turn_leave_with_one_batch_in_order(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 3);
    rig_acquire(&r, "a");
    rig_acquire(&r, "b");
    driver_turn(&r.driver);
    rig_acquire(&r, "c");
    rig_store_durable(&r); /* the first batch; the second is still gathering */
    driver_turn(&r.driver);
    assert_int_equal(r.answers_n, 2);
    rig_store_durable(&r);
    driver_turn(&r.driver);
    assert_int_equal(r.answers_n, 3);
    assert_int_equal(rig_open(&r), 3);
    rig_release(&r);
}

static void test_a_refusal_does_not_overtake_what_it_was_judged_by(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 1);
    rig_acquire(&r, "");
    driver_turn(&r.driver);
    struct caller *caller = caller_new(&r.driver.callers, r.client, CALLER_ACQUIRE, rig_peer());
    driver_refuse(&r.driver, caller, TEXT_NONE, ERR_LINE_FULL, NULL);
    driver_turn(&r.driver);
    assert_int_equal(r.answers_n, 0);
    rig_store_durable(&r);
    driver_turn(&r.driver);
    assert_int_equal(r.answers_n, 2);
    expect_answer(&r, 1, 503, "line_full");
    rig_release(&r);
}

static void test_who_hangs_up_leaves_the_line(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 1);
    rig_acquire(&r, "");
    struct http_request *waits = rig_acquire(&r, "");
    assert_int_equal(rig_waiting(&r), 1);
    assert_int_equal(r.client->waiting, 1);
    rig_hang_up(waits);
    assert_int_equal(rig_waiting(&r), 0);
    assert_int_equal(r.client->waiting, 0);
    rig_release(&r);
}

static void test_a_lease_whose_asker_hung_up_before_the_answer_is_taken_back(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 1);
    struct http_request *peer = rig_acquire(&r, "");
    driver_turn(&r.driver);
    rig_hang_up(peer);
    assert_int_equal(rig_open(&r), 1);
    rig_store_durable(&r);
    assert_true(driver_turn(&r.driver)); /* what was taken back is yet to be committed */
    assert_int_equal(rig_open(&r), 0);
    assert_int_equal(r.answers_n, 0);
    assert_int_equal(r.driver.taken_back, 1);
    assert_false(driver_turn(&r.driver));
    rig_release(&r);
}

static void test_a_lease_with_an_id_waits_for_its_asker_to_come_again(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 1);
    struct http_request *peer = rig_acquire(&r, "mine");
    driver_turn(&r.driver);
    rig_hang_up(peer);
    rig_store_durable(&r);
    driver_turn(&r.driver);
    assert_int_equal(rig_open(&r), 1);
    rig_acquire(&r, "mine");
    driver_turn(&r.driver);
    assert_int_equal(rig_open(&r), 1);
    expect_answer(&r, 0, 200, "\"lease\":\"ls_");
    rig_release(&r);
}

static void test_a_failing_store_takes_back_what_it_could_not_keep(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 1);
    rig_acquire(&r, "");
    rig_acquire(&r, "");
    driver_turn(&r.driver);
    rig_store_failing(&r, true);
    driver_turn(&r.driver);
    expect_answer(&r, 0, 503, "store_failed");
    expect_answer(&r, 0, 503, "the disk is full");
    /* What was taken back went to the one in line, and is taken back from it in turn. */
    for (int i = 0; i < 4; i++) {
        driver_turn(&r.driver);
    }
    assert_int_equal(r.answers_n, 2);
    expect_answer(&r, 1, 503, "store_failed");
    assert_int_equal(rig_open(&r), 0);
    const char *words;
    assert_int_equal(driver_ready(&r.driver, &words), ERR_STORE_FAILED);
    assert_string_equal(words, "the disk is full");
    rig_store_failing(&r, false);
    driver_turn(&r.driver);
    assert_int_equal(driver_ready(&r.driver, &words), ERR_NONE);
    rig_acquire(&r, "");
    driver_turn(&r.driver);
    rig_store_durable(&r);
    driver_turn(&r.driver);
    expect_answer(&r, 2, 200, "\"lease\":\"ls_");
    rig_release(&r);
}

static void test_lines_keep_their_tags_when_the_store_fails(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 2);
    struct stream *stream = stream_new(&r.driver.callers, rig_peer());
    rig_acquire_in(&r, stream, "a", 0);
    rig_acquire_in(&r, stream, "", 1);
    stream_close(stream);
    driver_turn(&r.driver);
    rig_store_failing(&r, true);
    driver_turn(&r.driver);
    expect_answer(&r, 0, 0, "{\"index\":0,\"id\":\"a\",\"status\":503,\"error\":{");
    expect_answer(&r, 1, 0, "{\"index\":1,\"status\":503,\"error\":{");
    expect_answer(&r, 2, -1, "end");
    rig_release(&r);
}

static void test_a_stream_ends_with_its_last_line(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 1);
    struct stream *stream = stream_new(&r.driver.callers, rig_peer());
    rig_acquire_in(&r, stream, "a", 0);
    rig_acquire_in(&r, stream, "b", 1);
    stream_close(stream);
    driver_turn(&r.driver);
    rig_store_durable(&r);
    driver_turn(&r.driver);
    assert_int_equal(r.answers_n, 1);
    expect_answer(&r, 0, 0, "{\"index\":0,\"id\":\"a\",\"status\":200,\"lease\":");
    rig_release_lease(&r, any_lease(&r));
    driver_turn(&r.driver);
    rig_store_durable(&r);
    driver_turn(&r.driver);
    expect_answer(&r, 1, 0, "{\"index\":1,\"id\":\"b\",\"status\":200,\"lease\":");
    expect_answer(&r, 2, -1, "end");
    assert_int_equal(r.driver.callers.live, 0);
    rig_release(&r);
}

static void test_hanging_up_on_a_stream_cancels_all_of_it(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 1);
    struct http_request *peer = rig_peer();
    struct stream *stream = stream_new(&r.driver.callers, peer);
    for (uint32_t i = 0; i < 5; i++) {
        rig_acquire_in(&r, stream, "", i);
    }
    stream_close(stream);
    assert_int_equal(rig_waiting(&r), 4);
    rig_hang_up(peer);
    assert_int_equal(rig_waiting(&r), 0);
    assert_int_equal(r.driver.callers.live, 0);
    driver_turn(&r.driver);
    rig_store_durable(&r);
    driver_turn(&r.driver);
    assert_int_equal(rig_open(&r), 0);
    rig_release(&r);
}

static void test_a_bundle_answers_once_for_several_events(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 1);
    rig_acquire(&r, "");
    uint64_t lease = any_lease(&r);
    struct caller *caller = caller_new(&r.driver.callers, r.client, CALLER_RENEW, rig_peer());
    uint64_t named[] = {lease, lease + 1};
    driver_bundle_begin(&r.driver, caller);
    for (size_t i = 0; i < 2; i++) {
        struct event event = {
            .kind = EVENT_RENEW, .caller = caller_id_of(caller), .any_tenant = true};
        event.renew.lease = caller->lease = named[i];
        event.renew.lease_us = 1000;
        driver_step(&r.driver, &event);
    }
    driver_bundle_end(&r.driver, caller, "[", "]");
    driver_turn(&r.driver);
    rig_store_durable(&r);
    driver_turn(&r.driver);
    assert_int_equal(r.answers_n, 2);
    expect_answer(&r, 1, 200, "\"expires_ms\":");
    expect_answer(&r, 1, 200, "},{\"lease\":\"ls_");
    expect_answer(&r, 1, 200, "unknown_lease");
    rig_release(&r);
}

static void test_a_drain_refuses_those_who_wait(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, 1);
    rig_acquire(&r, "");
    rig_acquire(&r, "");
    driver_drain(&r.driver);
    driver_turn(&r.driver);
    rig_store_durable(&r);
    driver_turn(&r.driver);
    expect_answer(&r, 0, 200, "\"lease\"");
    expect_answer(&r, 1, 503, "shutting_down");
    assert_true(driver_idle(&r.driver));
    rig_release(&r);
}

/* A budget of which nothing can be read is not one of which nothing was used. */
static void test_a_budget_that_cannot_be_read_is_neither_shown_nor_corrected(void **state)
{
    static const char reset[] =
        "{\"resource\":\"chat\",\"limit\":\"budget\",\"scope_key\":\"s\",\"reset\":true}";
    struct rig r;
    (void)state;
    rig_init(&r, 1);
    r.resource.limits[r.resource.limits_n++] = (struct limit){.name = "budget",
                                                              .unit = UNIT_USD,
                                                              .window = WINDOW_LIFETIME,
                                                              .scope = SCOPE_SESSION,
                                                              .exceed = EXCEED_REFUSE,
                                                              .charge = CHARGE_AT_SETTLE,
                                                              .amount = PICOUSD_PER_USD};
    assert_int_equal(driver_configure(&r.driver, &r.policy), 0);
    rig_store_unreadable(&r, true);
    rig_ask(&r, "POST", "/v1/budget", reset);
    rig_ask(&r, "GET", "/v1/sessions/s", NULL);
    rig_store_unreadable(&r, false);
    rig_ask(&r, "POST", "/v1/budget", reset);
    driver_turn(&r.driver);
    rig_store_durable(&r);
    driver_turn(&r.driver);
    for (size_t i = 0; i < 2; i++) {
        expect_answer(&r, i, 503, "store_failed");
    }
    expect_answer(&r, 2, 200, "\"given_back\":0");
    rig_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_leaves_when_its_batch_is_durable_and_not_before),
        cmocka_unit_test(test_answers_of_one_turn_leave_with_one_batch_in_order),
        cmocka_unit_test(test_a_refusal_does_not_overtake_what_it_was_judged_by),
        cmocka_unit_test(test_who_hangs_up_leaves_the_line),
        cmocka_unit_test(test_a_lease_whose_asker_hung_up_before_the_answer_is_taken_back),
        cmocka_unit_test(test_a_lease_with_an_id_waits_for_its_asker_to_come_again),
        cmocka_unit_test(test_a_failing_store_takes_back_what_it_could_not_keep),
        cmocka_unit_test(test_lines_keep_their_tags_when_the_store_fails),
        cmocka_unit_test(test_a_stream_ends_with_its_last_line),
        cmocka_unit_test(test_hanging_up_on_a_stream_cancels_all_of_it),
        cmocka_unit_test(test_a_bundle_answers_once_for_several_events),
        cmocka_unit_test(test_a_drain_refuses_those_who_wait),
        cmocka_unit_test(test_a_budget_that_cannot_be_read_is_neither_shown_nor_corrected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
