/*
 * Replies in pieces: chunked, for HTTP/1.0 until the connection ends, and cut off.
 */
#include "rig.h"

#include <stdlib.h>
#include <unistd.h>

#define STREAM   "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"
#define BEGINS   "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
#define BEGINS10 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"

static int start(void **state)
{
    struct rig *rig = malloc(sizeof(*rig));
    rig_init(rig);
    rig->options.stream_bytes_max = 1 << 20;
    rig_start(rig);
    *state = rig;
    return 0;
}

/* Ends a stream as the rig's handler would. */
static void end(struct parked *parked)
{
    struct http_request *req = parked->req;
    parked->req = NULL;
    http_stream_end(req);
}

static void test_a_stream_arrives_piece_by_piece(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, STREAM);
    struct parked *parked = rig_parked(rig, 0);
    peer_expect(p, BEGINS);
    assert_true(http_stream_write(parked->req, TEXT("one")));
    peer_expect(p, "3\r\none\r\n");
    assert_true(http_stream_write(parked->req, TEXT("0123456789abcdef")));
    assert_true(http_stream_write(parked->req, TEXT("two")));
    peer_expect(p, "10\r\n0123456789abcdef\r\n3\r\ntwo\r\n");
    end(parked);
    peer_expect(p, "0\r\n\r\n");
    assert_false(p->ended);
    peer_free(p);
}

static void test_an_empty_piece_does_not_end_a_stream(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, STREAM);
    struct parked *parked = rig_parked(rig, 0);
    assert_true(http_stream_write(parked->req, TEXT_NONE));
    assert_true(http_stream_write(parked->req, TEXT("x")));
    peer_expect(p, BEGINS "1\r\nx\r\n");
    end(parked);
    peer_expect(p, "0\r\n\r\n");
    peer_free(p);
}

static void test_a_request_may_follow_a_stream(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, STREAM "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
    struct parked *parked = rig_parked(rig, 0);
    peer_expect(p, BEGINS);
    end(parked);
    peer_expect(p, "0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    peer_free(p);
}

static void test_an_http10_client_reads_a_stream_to_the_end_of_the_connection(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    struct parked *parked = rig_parked(rig, 0);
    http_stream_write(parked->req, TEXT("one"));
    http_stream_write(parked->req, TEXT("two"));
    end(parked);
    peer_wait_end(p);
    peer_expect(p, BEGINS10 "onetwo");
    assert_false(p->reset);
    peer_free(p);
}

static void test_head_of_a_stream_has_no_body(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, "HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    struct parked *parked = rig_parked(rig, 0);
    assert_true(http_stream_write(parked->req, TEXT("one")));
    end(parked);
    peer_expect(p, BEGINS);
    peer_say(p, "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_expect(p, "HTTP/1.1 204 No Content\r\n\r\n");
    peer_free(p);
}

static void test_a_hang_up_is_noticed_during_a_stream(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, STREAM);
    struct parked *parked = rig_parked(rig, 0);
    http_stream_write(parked->req, TEXT("one"));
    peer_free(p);
    RIG_WHILE(rig, !parked->gone);
}

static void test_a_hang_up_is_noticed_though_too_much_is_pipelined_behind_a_stream(void **state)
{
    struct rig *rig = *state;
    for (int before = 0; before <= 1; before++) {
        struct peer *p = peer_new(rig);
        peer_say(p, before ? PARKED : STREAM);
        struct parked *parked = rig_parked(rig, (size_t)before);
        for (int i = 0; i < 4000; i++) {
            peer_say(p, GET_A);
        }
        rig_breathe(rig);
        if (before) {
            http_stream_begin(parked->req, 200, "text/plain");
        }
        rig_breathe(rig);
        assert_false(parked->gone);
        peer_free(p);
        RIG_WHILE(rig, !parked->gone);
    }
}

static void test_a_reader_too_slow_for_a_stream_is_cut_off(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    char piece[4096] = {0};
    size_t pieces = 0;
    uv_poll_stop(&p->poll);
    peer_say(p, STREAM);
    struct parked *parked = rig_parked(rig, 0);
    while (http_stream_write(parked->req, (struct text){piece, sizeof(piece)})) {
        assert_true(++pieces < 100000);
        rig_turn(rig, true);
    }
    assert_false(parked->gone); /* not from within the call */
    assert_false(http_stream_write(parked->req, TEXT("more")));
    RIG_WHILE(rig, !parked->gone);
    peer_free(p);
}

static void test_a_piece_over_the_cap_cuts_a_stream_off(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, STREAM);
    struct parked *parked = rig_parked(rig, 0);
    assert_false(http_stream_write(parked->req, (struct text){rig->big, BIG_BYTES}));
    RIG_WHILE(rig, !parked->gone);
    peer_wait_end(p);
    assert_null(p->got.at ? strstr(p->got.at, "\r\n0\r\n") : NULL);
    peer_free(p);
}

static void test_a_stream_over_its_cap_may_still_be_ended(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, STREAM "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
    struct parked *parked = rig_parked(rig, 0);
    assert_false(http_stream_write(parked->req, (struct text){rig->big, BIG_BYTES}));
    end(parked);
    peer_wait_end(p);
    assert_false(parked->gone);
    assert_int_equal(rig->handled_n, 1);
    peer_free(p);
}

static void test_an_aborted_stream_ends_without_its_last_chunk(void **state)
{
    struct rig *rig = *state;
    struct peer *p = peer_new(rig);
    peer_say(p, STREAM);
    struct parked *parked = rig_parked(rig, 0);
    http_stream_write(parked->req, TEXT("one"));
    struct http_request *req = parked->req;
    parked->req = NULL;
    http_stream_abort(req);
    peer_wait_end(p);
    peer_expect(p, BEGINS "3\r\none\r\n");
    assert_false(parked->gone);
    peer_free(p);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_stream_arrives_piece_by_piece),
        CASE(test_an_empty_piece_does_not_end_a_stream),
        CASE(test_a_request_may_follow_a_stream),
        CASE(test_an_http10_client_reads_a_stream_to_the_end_of_the_connection),
        CASE(test_head_of_a_stream_has_no_body),
        CASE(test_a_hang_up_is_noticed_during_a_stream),
        CASE(test_a_hang_up_is_noticed_though_too_much_is_pipelined_behind_a_stream),
        CASE(test_a_reader_too_slow_for_a_stream_is_cut_off),
        CASE(test_a_piece_over_the_cap_cuts_a_stream_off),
        CASE(test_a_stream_over_its_cap_may_still_be_ended),
        CASE(test_an_aborted_stream_ends_without_its_last_chunk),
    };
    return cmocka_run_group_tests_name("http stream", tests, NULL, NULL);
}
