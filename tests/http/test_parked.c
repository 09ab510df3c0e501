/*
 * Requests that are answered later: parking, hanging up, and what is pipelined behind them.
 */
#include "rig.h"

#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPLY(n) "HTTP/1.1 200 OK\r\nContent-Length: " #n "\r\n\r\n"
/* Closes a peer's socket so that the server is reset, or with a proper end. */
static void hang_up(struct peer *p, bool reset)
{
    struct linger linger = {.l_onoff = reset, .l_linger = 0};
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    peer_free(p);
}

static void test_a_parked_request_is_answered_later(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, PARKED);
    struct parked *parked = rig_parked(rig, 0);
    rig_breathe(rig);
    assert_int_equal(p->got.len, 0);
    assert_int_equal(rig_stats(rig).parked, 1);
    rig_answer(parked, "now");
    assert_int_equal(rig_stats(rig).parked, 0);
    peer_expect(p, REPLY(3) "now");
    peer_say(p, GET_A);
    peer_expect(p, REPLY_TO_A);
    assert_false(parked->gone);
    peer_free(p);
}

static void test_parked_requests_are_answered_in_any_order(void **state)
{
    struct rig *rig = *state;
    struct peer *peers[3];
    for (size_t i = 0; i < 3; i++) {
        peers[i] = peer_new(rig);
        peer_say(peers[i], PARKED);
        rig_parked(rig, i);
    }
    rig_answer(&rig->parked[2], "c");
    rig_answer(&rig->parked[0], "a");
    rig_answer(&rig->parked[1], "b");
    peer_expect(peers[0], REPLY(1) "a");
    peer_expect(peers[1], REPLY(1) "b");
    peer_expect(peers[2], REPLY(1) "c");
    for (size_t i = 0; i < 3; i++) {
        peer_free(peers[i]);
    }
}

static void check_hang_up(struct rig *rig, bool reset)
{
    struct peer *p = peer_new(rig);
    peer_say(p, PARKED);
    struct parked *parked = rig_parked(rig, 0);
    hang_up(p, reset);
    RIG_WHILE(rig, !parked->gone);
    rig_breathe(rig);
    assert_int_equal(rig_stats(rig).parked, 0);
    assert_int_equal(rig_stats(rig).connections, 0);
}

static void test_a_hang_up_is_noticed_while_parked(void **state)
{
    check_hang_up(*state, false);
}

static void test_a_reset_is_noticed_while_parked(void **state)
{
    check_hang_up(*state, true);
}

static void test_the_peers_end_of_stream_counts_as_a_hang_up(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, PARKED);
    struct parked *parked = rig_parked(rig, 0);
    shutdown(p->fd, SHUT_WR);
    RIG_WHILE(rig, !parked->gone);
    peer_wait_end(p);
    assert_int_equal(p->got.len, 0);
    peer_free(p);
}

static void test_a_reply_at_once_reaches_a_client_that_has_ended_its_side(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, GET_A);
    shutdown(p->fd, SHUT_WR);
    peer_wait_end(p);
    peer_expect(p, REPLY_TO_A);
    assert_false(p->reset);
    peer_free(p);
}

static void test_a_pipelined_request_waits_for_the_reply_before_it(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, PARKED GET_A PARKED GET_A);
    struct parked *first = rig_parked(rig, 0);
    rig_breathe(rig);
    assert_int_equal(rig->handled_n, 1);
    rig_answer(first, "1");
    peer_expect(p, REPLY(1) "1" REPLY_TO_A);
    assert_int_equal(rig->handled_n, 3);
    rig_answer(rig_parked(rig, 1), "2");
    peer_expect(p, REPLY(1) "2" REPLY_TO_A);
    peer_free(p);
}

static void test_a_pipelined_body_may_arrive_while_the_request_before_it_is_parked(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, PARKED "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nh");
    struct parked *parked = rig_parked(rig, 0);
    peer_say(p, "i\r\n0\r\n\r\n" GET_A);
    rig_breathe(rig);
    rig_answer(parked, "");
    peer_expect(p,
                REPLY(0) "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 16\r\n\r\n"
                         "POST /a\nbody=hi\n" REPLY_TO_A);
    peer_free(p);
}

static void say_often(struct peer *p, const char *words, size_t times)
{
    struct buf all;
    buf_init(&all, 16u << 20);
    for (size_t i = 0; i < times; i++) {
        buf_add_str(&all, words);
    }
    assert_false(all.failed);
    peer_send(p, buf_text(&all));
    buf_release(&all);
}

#define MANY 20000

static void test_what_is_pipelined_is_kept_up_to_a_cap_and_then_left_in_the_socket(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    int small = 16384;
    setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    peer_say(p, PARKED);
    struct parked *parked = rig_parked(rig, 0);
    for (int i = 0; i < 1000; i++) {
        /* Sends what the sockets take; the server must not take more than its cap and one read. */
        ssize_t n = send(p->fd, GET_A, strlen(GET_A), MSG_DONTWAIT);
        (void)n;
    }
    rig_breathe(rig);
    for (int i = 0; i < 100000; i++) {
        if (send(p->fd, "\r\n\r\n", 4, MSG_DONTWAIT) < 4) {
            rig_breathe(rig);
        }
    }
    assert_true(rig_stats(rig).bytes_in < 3 * 65536);
    assert_int_equal(rig->handled_n, 1);
    assert_false(parked->gone);
    rig_answer(parked, "");
    RIG_WHILE(rig, rig->handled_n < 2);
    peer_free(p);
}

static void test_a_large_body_may_be_pipelined(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, PARKED);
    struct parked *parked = rig_parked(rig, 0);
    peer_say(p, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    say_often(p, "0123456789", 10000);
    rig_breathe(rig);
    rig_answer(parked, "");
    say_often(p, "0123456789", 90000);
    RIG_WHILE(rig, rig->handled_n < 2);
    peer_free(p);
}

static void test_all_that_was_pipelined_is_answered(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    size_t length = strlen(REPLY(0)) + MANY * strlen(REPLY_TO_A);
    peer_say(p, PARKED);
    struct parked *parked = rig_parked(rig, 0);
    say_often(p, GET_A, 1000);
    rig_breathe(rig);
    rig_answer(parked, "");
    say_often(p, GET_A, MANY - 1000);
    peer_wait(p, length);
    assert_int_equal(p->got.len, length);
    assert_int_equal(rig->handled_n, MANY + 1);
    peer_free(p);
}

static void test_a_hang_up_is_noticed_though_too_much_is_pipelined(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, PARKED);
    struct parked *parked = rig_parked(rig, 0);
    say_often(p, GET_A, 4000);
    rig_breathe(rig);
    hang_up(p, false);
    RIG_WHILE(rig, !parked->gone);
}

static void test_a_client_that_does_not_read_its_replies_is_not_served_further(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    uv_poll_stop(&p->poll);
    say_often(p, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n", 8);
    RIG_WHILE(rig, rig->handled_n == 0);
    rig_breathe(rig);
    assert_int_equal(rig->handled_n, 1);
    hang_up(p, false);
    RIG_WHILE(rig, rig_stats(rig).connections > 0);
}

static void test_a_big_reply_arrives_whole(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n";
    peer_say(p, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n" GET_A);
    peer_wait(p, strlen(head) + BIG_BYTES + strlen(REPLY_TO_A));
    assert_memory_equal(p->got.at, head, strlen(head));
    assert_memory_equal(p->got.at + strlen(head), rig->big, BIG_BYTES);
    assert_string_equal(p->got.at + strlen(head) + BIG_BYTES, REPLY_TO_A);
    peer_free(p);
}

/* Sends a body of a million bytes in the given form, and checks that it is said back. */
static void check_large_body(struct rig *rig, const char *head, const char *before,
                             const char *after)
{
    enum { SIZE = 1000000 };
    struct peer *p = peer_new(rig);
    char *body = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        body[i] = (char)('a' + i % 23);
    }
    peer_say(p, head);
    peer_say(p, before);
    peer_send(p, (struct text){body, SIZE});
    peer_say(p, after);
    const char begins[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "
                          "1000014\r\n\r\nPOST /a\nbody=";
    peer_wait(p, strlen(begins) + SIZE + 1);
    assert_memory_equal(p->got.at, begins, strlen(begins));
    assert_memory_equal(p->got.at + strlen(begins), body, SIZE);
    free(body);
    peer_free(p);
}

static void test_a_large_body_arrives_whole(void **state)
{
    check_large_body(*state, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n", "",
                     "");
}

static void test_a_large_chunk_arrives_whole(void **state)
{
    check_large_body(*state, "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
                     "f4240\r\n", "\r\n0\r\n\r\n");
}

static void test_many_small_chunks_arrive_whole(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    say_often(p, "1\r\nx\r\n", 100000);
    peer_say(p, "0\r\n\r\n");
    const char begins[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "
                          "100014\r\n\r\nPOST /a\nbody=xxx";
    peer_wait(p, strlen(begins) - 3 + 100000 + 1);
    assert_memory_equal(p->got.at, begins, strlen(begins));
    peer_free(p);
}

static void test_framing_out_of_proportion_is_refused(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;");
    say_often(p, "extension", 10000);
    peer_wait_end(p);
    assert_memory_equal(p->got.at, "HTTP/1.1 413 ", 13);
    peer_free(p);
}

static void test_a_client_is_told_to_continue_when_it_asks(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n");
    peer_expect(p, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(rig->handled_n, 0);
    peer_say(p, "hi");
    peer_expect(p, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 16\r\n\r\n"
                   "POST /a\nbody=hi\n");
    peer_say(p,
             "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi");
    peer_expect(p, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 16\r\n\r\n"
                   "POST /a\nbody=hi\n");
    peer_free(p);
}

static void test_a_client_is_not_told_to_continue_with_a_body_that_is_refused(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n"
                "Expect: 100-continue\r\n\r\n");
    peer_wait_end(p);
    assert_memory_equal(p->got.at, "HTTP/1.1 413 ", 13);
    peer_free(p);
}

static void test_a_refusal_reaches_a_client_that_goes_on_sending(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n");
    say_often(p, "0123456789abcdef", 100000);
    peer_wait_end(p);
    assert_false(p->reset);
    assert_memory_equal(p->got.at, "HTTP/1.1 413 ", 13);
    peer_free(p);
}

#define CROWD 500

static void connect_and_park(struct rig *rig, int *fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)http_server_port(rig->server, 0))};
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(*fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(*fd, PARKED, strlen(PARKED), 0), strlen(PARKED));
}

/* A handler that parks without keeping count, so that all memory used is the server's. */
static void ignore_gone(void *ctx)
{
    (void)ctx;
}

static void park_only(void *ctx, struct http_request *req)
{
    (void)ctx;
    http_request_park(req, ignore_gone, NULL);
}

static void test_a_parked_request_costs_well_under_a_kilobyte(void **state)
{
    struct rig rig;
    int fds[CROWD];
    (void)state;
    rig_init(&rig);
    rig.options.handler = park_only;
    rig_start(&rig);
    rig_breathe(&rig);
    size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < CROWD; i++) {
        connect_and_park(&rig, &fds[i]);
    }
    RIG_WHILE(&rig, rig_stats(&rig).parked < CROWD);
    size_t each = (mallinfo2().uordblks - before) / CROWD;
    print_message("%zu bytes each\n", each);
    assert_true(each < 640);
    for (size_t i = 0; i < CROWD; i++) {
        close(fds[i]);
    }
    RIG_WHILE(&rig, rig_stats(&rig).connections > 0);
    rig_stop(&rig);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_parked_request_is_answered_later),
        CASE(test_parked_requests_are_answered_in_any_order),
        CASE(test_a_hang_up_is_noticed_while_parked),
        CASE(test_a_reset_is_noticed_while_parked),
        CASE(test_the_peers_end_of_stream_counts_as_a_hang_up),
        CASE(test_a_reply_at_once_reaches_a_client_that_has_ended_its_side),
        CASE(test_a_pipelined_request_waits_for_the_reply_before_it),
        CASE(test_a_pipelined_body_may_arrive_while_the_request_before_it_is_parked),
        CASE(test_what_is_pipelined_is_kept_up_to_a_cap_and_then_left_in_the_socket),
        CASE(test_a_large_body_may_be_pipelined),
        CASE(test_all_that_was_pipelined_is_answered),
        CASE(test_a_hang_up_is_noticed_though_too_much_is_pipelined),
        CASE(test_a_client_that_does_not_read_its_replies_is_not_served_further),
        CASE(test_a_big_reply_arrives_whole),
        CASE(test_a_large_body_arrives_whole),
        CASE(test_a_large_chunk_arrives_whole),
        CASE(test_many_small_chunks_arrive_whole),
        CASE(test_framing_out_of_proportion_is_refused),
        CASE(test_a_client_is_told_to_continue_when_it_asks),
        CASE(test_a_client_is_not_told_to_continue_with_a_body_that_is_refused),
        CASE(test_a_refusal_reaches_a_client_that_goes_on_sending),
        cmocka_unit_test(test_a_parked_request_costs_well_under_a_kilobyte),
    };
    return cmocka_run_group_tests_name("http parked", tests, NULL, NULL);
}
