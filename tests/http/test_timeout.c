/*
 * Deadlines. Those under test are a few milliseconds long and all others minutes; a test waits for
 * what the deadline causes and asserts no durations.
 */
#include "rig.h"

#include <stdlib.h>

#define SOON_US  20000
#define NEVER_US (INT64_C(600) * 1000000)

static void start(struct rig *rig)
{
    rig_init(rig);
    rig->options.header_timeout_us = NEVER_US;
    rig->options.body_timeout_us = NEVER_US;
    rig->options.idle_timeout_us = NEVER_US;
    rig->options.write_timeout_us = NEVER_US;
}

static void check_refused_as_too_slow(struct rig *rig, const char *words)
{
    struct peer *p = peer_new(rig);
    peer_say(p, words);
    peer_wait_end(p);
    assert_non_null(p->got.at);
    assert_memory_equal(p->got.at, "HTTP/1.1 408 Request Timeout\r\n", 30);
    assert_non_null(strstr(p->got.at, "Connection: close\r\n"));
    assert_int_equal(rig->handled_n, 0);
    peer_free(p);
}

static void test_headers_that_do_not_come_are_not_waited_for(void **state)
{
    struct rig rig;
    (void)state;
    start(&rig);
    rig.options.header_timeout_us = SOON_US;
    rig_start(&rig);
    check_refused_as_too_slow(&rig, "G");
    check_refused_as_too_slow(&rig, "GET /a HTTP/1.1\r\nHost: h\r\n");
    rig_stop(&rig);
}

/* Sends a byte a turn until the server has had enough. */
static void drip(struct peer *p, const char *head)
{
    peer_say(p, head);
    while (!p->ended) {
        peer_say(p, "x");
        rig_turn(p->rig, true);
    }
    assert_memory_equal(p->got.at, "HTTP/1.1 408 ", 13);
    peer_free(p);
}

static void test_dripping_headers_do_not_prolong_the_time(void **state)
{
    struct rig rig;
    (void)state;
    start(&rig);
    rig.options.header_timeout_us = SOON_US;
    rig.options.header_bytes_max = 1u << 30;
    rig.options.target_bytes_max = 1u << 30;
    rig_start(&rig);
    drip(peer_new(&rig), "GET /a HTTP/1.1\r\nHost: ");
    rig_stop(&rig);
}

static void test_a_body_that_does_not_come_is_not_waited_for(void **state)
{
    struct rig rig;
    (void)state;
    start(&rig);
    rig.options.body_timeout_us = SOON_US;
    rig_start(&rig);
    check_refused_as_too_slow(&rig, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n");
    check_refused_as_too_slow(&rig, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx");
    check_refused_as_too_slow(
        &rig, "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n");
    rig_stop(&rig);
}

static void test_a_dripping_body_does_not_prolong_the_time(void **state)
{
    struct rig rig;
    (void)state;
    start(&rig);
    rig.options.body_timeout_us = SOON_US;
    rig_start(&rig);
    drip(peer_new(&rig), "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n");
    rig_stop(&rig);
}

static void test_an_idle_connection_is_closed_without_words(void **state)
{
    struct rig rig;
    (void)state;
    start(&rig);
    rig.options.idle_timeout_us = SOON_US;
    rig_start(&rig);
    struct peer *fresh = peer_new(&rig);
    struct peer *used = peer_new(&rig);
    peer_say(used, "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_wait_end(used);
    peer_wait_end(fresh);
    assert_string_equal(used->got.at, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(fresh->got.len, 0);
    peer_free(fresh);
    peer_free(used);
    rig_stop(&rig);
}

static void test_a_parked_request_outlives_every_timeout(void **state)
{
    struct rig rig;
    (void)state;
    start(&rig);
    rig.options.idle_timeout_us = SOON_US;
    rig.options.header_timeout_us = SOON_US;
    rig.options.body_timeout_us = SOON_US;
    rig_start(&rig);
    struct peer *p = peer_new(&rig);
    peer_say(p, "GET /parked HTTP/1.1\r\nHost: h\r\n\r\n");
    struct parked *parked = rig_parked(&rig, 0);
    /* Two connections that came later run out of time one after the other. */
    for (int i = 0; i < 2; i++) {
        struct peer *idle = peer_new(&rig);
        peer_wait_end(idle);
        peer_free(idle);
    }
    assert_false(parked->gone);
    rig_answer(parked, "");
    peer_wait_end(p);
    assert_string_equal(p->got.at, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    peer_free(p);
    rig_stop(&rig);
}

static void test_a_reply_that_is_not_taken_is_given_up(void **state)
{
    struct rig rig;
    struct http_stats stats;
    (void)state;
    start(&rig);
    rig.options.write_timeout_us = SOON_US;
    rig_start(&rig);
    struct peer *p = peer_new(&rig);
    uv_poll_stop(&p->poll);
    peer_say(p, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    RIG_WHILE(&rig, rig.handled_n == 0);
    do {
        rig_turn(&rig, false);
        http_server_stats(rig.server, &stats);
    } while (stats.connections > 0);
    peer_free(p);
    rig_stop(&rig);
}

static void test_a_refused_client_that_stays_is_left_in_the_end(void **state)
{
    struct rig rig;
    struct http_stats stats;
    (void)state;
    start(&rig);
    rig_start(&rig);
    struct peer *p = peer_new(&rig);
    peer_say(p, "nonsense\r\n\r\n");
    peer_wait_end(p);
    do {
        rig_turn(&rig, false);
        http_server_stats(rig.server, &stats);
    } while (stats.connections > 0);
    peer_free(p);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_that_do_not_come_are_not_waited_for),
        cmocka_unit_test(test_dripping_headers_do_not_prolong_the_time),
        cmocka_unit_test(test_a_body_that_does_not_come_is_not_waited_for),
        cmocka_unit_test(test_a_dripping_body_does_not_prolong_the_time),
        cmocka_unit_test(test_an_idle_connection_is_closed_without_words),
        cmocka_unit_test(test_a_parked_request_outlives_every_timeout),
        cmocka_unit_test(test_a_reply_that_is_not_taken_is_given_up),
        cmocka_unit_test(test_a_refused_client_that_stays_is_left_in_the_end),
    };
    return cmocka_run_group_tests_name("http timeout", tests, NULL, NULL);
}
