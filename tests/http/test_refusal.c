/*
 * Requests that are refused before they reach the handler: one row a shape, each sent in one piece
 * and byte by byte. The answer names the status, says that the connection is closed, closes it
 * without a reset, and the handler never hears of the request nor of one smuggled behind it.
 */
#include <stdio.h>

#include "rig.h"

#define GET(fields)  "GET / HTTP/1.1\r\nHost: h\r\n" fields "\r\n"
#define POST(fields) "POST / HTTP/1.1\r\nHost: h\r\n" fields "\r\n"
#define CHUNKED      POST("Transfer-Encoding: chunked\r\n")
#define SMUGGLED     "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
#define TEN          "aaaaaaaaaa"
#define HUNDRED      TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
/* A text as an initializer; it may hold NULs. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        "" literal, sizeof("" literal) - 1                                                         \
    }

struct row {
    const char *behaviour;
    struct text in;
    int status;
};

static const struct row rows[] = {
    /* The request line. */
    {"not HTTP at all", BYTES("hello\r\n\r\n"), 400},
    {"a request line of two words", BYTES("GET /\r\n\r\n"), 400},
    {"two spaces after the method", BYTES("GET  / HTTP/1.1\r\nHost: h\r\n\r\n"), 400},
    {"a space after the version", BYTES("GET / HTTP/1.1 \r\nHost: h\r\n\r\n"), 400},
    {"a tab between the words", BYTES("GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n"), 400},
    {"a space before the method", BYTES(" GET / HTTP/1.1\r\nHost: h\r\n\r\n"), 400},
    {"a space inside the target", BYTES("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"), 400},
    {"a control character in the target", BYTES("GET /a\x01 HTTP/1.1\r\nHost: h\r\n\r\n"), 400},
    {"a NUL in the target", BYTES("GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n"), 400},
    {"an unencoded byte above 127 in the target",
     BYTES("GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n"), 400},
    {"a fragment in the target", BYTES("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"), 400},
    {"a target without a slash", BYTES("GET a HTTP/1.1\r\nHost: h\r\n\r\n"), 400},
    {"an asterisk for a method other than OPTIONS", BYTES("GET * HTTP/1.1\r\nHost: h\r\n\r\n"),
     400},
    {"a target of another scheme", BYTES("GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n"), 400},
    {"a method that nobody knows", BYTES("BREW / HTTP/1.1\r\nHost: h\r\n\r\n"), 501},
    {"a method in lower case", BYTES("get / HTTP/1.1\r\nHost: h\r\n\r\n"), 501},
    {"a method that is no token", BYTES("G(T / HTTP/1.1\r\nHost: h\r\n\r\n"), 400},
    {"CONNECT: this is no proxy", BYTES("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n"), 501},
    {"HTTP/2", BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505},
    {"HTTP/1.2", BYTES("GET / HTTP/1.2\r\nHost: h\r\n\r\n"), 505},
    {"HTTP/0.9", BYTES("GET / HTTP/0.9\r\nHost: h\r\n\r\n"), 505},
    {"a version of two digits", BYTES("GET / HTTP/1.11\r\nHost: h\r\n\r\n"), 400},
    {"a version in lower case", BYTES("GET / http/1.1\r\nHost: h\r\n\r\n"), 400},
    {"a target over its cap", BYTES("GET /" HUNDRED " HTTP/1.1\r\nHost: h\r\n\r\n"), 414},
    {"a request line that does not end", BYTES("GET /" HUNDRED HUNDRED HUNDRED HUNDRED), 414},
    /* Line ends and fields. */
    {"bare LF after the request line", BYTES("GET / HTTP/1.1\nHost: h\r\n\r\n"), 400},
    {"bare LF after a header", BYTES("GET / HTTP/1.1\r\nHost: h\n\r\n"), 400},
    {"bare LF for the empty line", BYTES("GET / HTTP/1.1\r\nHost: h\r\n\n"), 400},
    {"a bare LF before a request", BYTES("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 400},
    {"a CR inside a header's value", BYTES(GET("A: b\rc\r\n")), 400},
    {"a doubled CR", BYTES("GET / HTTP/1.1\r\nHost: h\r\r\n\r\n"), 400},
    {"a space before the colon", BYTES(GET("Content-Length : 5\r\n") "hello"), 400},
    {"a tab before the colon", BYTES(GET("A\t: b\r\n")), 400},
    {"a space before the first header's name", BYTES("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), 400},
    {"a folded header", BYTES(GET("A: b\r\n c\r\n")), 400},
    {"a header folded by a tab", BYTES(GET("A: b\r\n\tc\r\n")), 400},
    {"a header without a colon", BYTES(GET("A\r\n")), 400},
    {"a header without a name", BYTES(GET(": b\r\n")), 400},
    {"a character in a name that is no token's", BYTES(GET("A{}: b\r\n")), 400},
    {"a NUL in a name", BYTES(GET("A\0: b\r\n")), 400},
    {"a NUL in a value", BYTES(GET("A: b\0c\r\n")), 400},
    {"a control character in a value", BYTES(GET("A: b\x08\r\n")), 400},
    {"a DEL in a value", BYTES(GET("A: b\x7f\r\n")), 400},
    {"no Host", BYTES("GET / HTTP/1.1\r\n\r\n"), 400},
    {"two Hosts", BYTES(GET("Host: i\r\n")), 400},
    {"two Hosts in HTTP/1.0", BYTES("GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n"), 400},
    {"too many headers", BYTES(GET("A:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\nH:\r\n")), 431},
    {"headers over their cap", BYTES(GET("A: " HUNDRED HUNDRED HUNDRED "\r\n")), 431},
    {"a header that does not end", BYTES("GET / HTTP/1.1\r\nA: " HUNDRED HUNDRED HUNDRED), 431},
    /* The body's length. */
    {"Content-Length with Transfer-Encoding",
     BYTES(POST("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n") "0\r\n\r\n" SMUGGLED), 400},
    {"Transfer-Encoding with Content-Length",
     BYTES(POST("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n") "0\r\n\r\n" SMUGGLED), 400},
    {"two Content-Lengths that differ",
     BYTES(POST("Content-Length: 1\r\nContent-Length: 2\r\n") "x" SMUGGLED), 400},
    {"two Content-Lengths that agree",
     BYTES(POST("Content-Length: 1\r\nContent-Length: 1\r\n") "x" SMUGGLED), 400},
    {"a list of Content-Lengths", BYTES(POST("Content-Length: 1, 1\r\n") "x" SMUGGLED), 400},
    {"an empty Content-Length", BYTES(POST("Content-Length:\r\n")), 400},
    {"a Content-Length with a sign", BYTES(POST("Content-Length: +1\r\n") "x"), 400},
    {"a negative Content-Length", BYTES(POST("Content-Length: -1\r\n") "x"), 400},
    {"a Content-Length in hex", BYTES(POST("Content-Length: 0x1\r\n") "x"), 400},
    {"a Content-Length with a space inside", BYTES(POST("Content-Length: 1 1\r\n") "x"), 400},
    {"a Content-Length beyond 64 bits", BYTES(POST("Content-Length: 18446744073709551617\r\n") "x"),
     413},
    {"a Content-Length over the cap", BYTES(POST("Content-Length: 1001\r\n") "x"), 413},
    {"a transfer encoding other than chunked", BYTES(POST("Transfer-Encoding: gzip\r\n")), 501},
    {"a second transfer encoding", BYTES(POST("Transfer-Encoding: gzip, chunked\r\n") "0\r\n\r\n"),
     501},
    {"chunked twice", BYTES(POST("Transfer-Encoding: chunked, chunked\r\n") "0\r\n\r\n"), 501},
    {"chunked in two headers",
     BYTES(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") "0\r\n\r\n"), 501},
    {"a quoted chunked", BYTES(POST("Transfer-Encoding: \"chunked\"\r\n") "0\r\n\r\n"), 501},
    {"chunked with a control character before it",
     BYTES(POST("Transfer-Encoding: \x0b"
                "chunked\r\n") "0\r\n\r\n"),
     400},
    {"an empty Transfer-Encoding", BYTES(POST("Transfer-Encoding:\r\n")), 501},
    {"Transfer-Encoding in HTTP/1.0",
     BYTES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {"a POST without a length", BYTES(POST("")), 411},
    {"a PUT without a length", BYTES("PUT / HTTP/1.1\r\nHost: h\r\n\r\n"), 411},
    {"an expectation that cannot be met", BYTES(POST("Content-Length: 1\r\nExpect: tea\r\n") "x"),
     417},
    {"two expectations",
     BYTES(POST("Content-Length: 1\r\nExpect: 100-continue\r\nExpect: tea\r\n") "x"), 417},
    /* Chunks. */
    {"a chunk's size that is no number", BYTES(CHUNKED "x\r\n"), 400},
    {"a chunk without a size", BYTES(CHUNKED "\r\n"), 400},
    {"a chunk's size with a sign", BYTES(CHUNKED "-1\r\n"), 400},
    {"a chunk's size with 0x before it", BYTES(CHUNKED "0x1\r\nx\r\n0\r\n\r\n"), 400},
    {"a chunk's size with a space before it", BYTES(CHUNKED " 1\r\nx\r\n0\r\n\r\n"), 400},
    {"a chunk's size with an underscore", BYTES(CHUNKED "1_0\r\n"), 400},
    {"a chunk's size beyond 64 bits", BYTES(CHUNKED "10000000000000001\r\nx"), 400},
    {"a chunk's size just below 64 bits", BYTES(CHUNKED "fffffffffffffff\r\nx"), 413},
    {"bare LF after a chunk's size", BYTES(CHUNKED "1\nx\r\n0\r\n\r\n"), 400},
    {"bare LF inside an extension", BYTES(CHUNKED "1;a\nb\r\nx\r\n0\r\n\r\n"), 400},
    {"a CR inside an extension", BYTES(CHUNKED "1;a\rb\r\nx\r\n0\r\n\r\n"), 400},
    {"bare LF after a chunk", BYTES(CHUNKED "1\r\nx\n0\r\n\r\n"), 400},
    {"two other bytes for the line end after a chunk", BYTES(CHUNKED "1\r\nxyz0\r\n\r\n"), 400},
    {"a chunk that is longer than its size", BYTES(CHUNKED "1\r\nxx\r\n0\r\n\r\n"), 400},
    {"bare LF at the end of the chunks", BYTES(CHUNKED "0\r\n\n"), 400},
    {"bare LF after a trailer", BYTES(CHUNKED "0\r\nA: b\n\r\n"), 400},
    {"a control character in a trailer", BYTES(CHUNKED "0\r\nA: \x01\r\n\r\n"), 400},
    {"a chunk over the cap", BYTES(CHUNKED "3e9\r\nx"), 413},
    {"chunks that pass the cap together", BYTES(CHUNKED "1\r\nx\r\n3e8\r\nx"), 413},
};

#define ROWS_N (sizeof(rows) / sizeof(rows[0]))

static void use_small_caps(struct rig *rig)
{
    rig->options.target_bytes_max = 64;
    rig->options.header_bytes_max = 256;
    rig->options.headers_max = 8;
    rig->options.body_bytes_max = 1000;
}

/* The reply's head must be that of its status, and its body the error body. */
static void check_reply(struct peer *p, int status)
{
    char begins[32];
    char says[16];
    snprintf(begins, sizeof(begins), "HTTP/1.1 %d ", status);
    snprintf(says, sizeof(says), "\r\n\r\n%d: ", status);
    assert_non_null(p->got.at);
    assert_memory_equal(p->got.at, begins, strlen(begins));
    assert_non_null(strstr(p->got.at, "\r\nConnection: close\r\n"));
    const char *length = strstr(p->got.at, "\r\nContent-Length: ");
    assert_non_null(length);
    assert_null(strstr(length + 1, "\r\nContent-Length: ")); /* there is one reply */
    assert_non_null(strstr(p->got.at, says));
}

static void check_row(const struct row *row, size_t step)
{
    struct rig rig;
    struct http_stats stats;
    rig_init(&rig);
    use_small_caps(&rig);
    rig_start(&rig);
    struct peer *p = peer_new(&rig);
    peer_send_in_pieces(p, row->in, step);
    peer_wait_end(p);
    assert_false(p->reset);
    check_reply(p, row->status);
    assert_int_equal(rig.handled_n, 0);
    http_server_stats(rig.server, &stats);
    assert_int_equal(stats.refused, 1);
    assert_int_equal(stats.requests, 0);
    peer_free(p);
    rig_stop(&rig);
}

static void test_row(void **state)
{
    check_row(*state, SIZE_MAX);
    check_row(*state, 1);
}

int main(void)
{
    struct CMUnitTest tests[ROWS_N];
    for (size_t i = 0; i < ROWS_N; i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].behaviour, .test_func = test_row, .initial_state = (void *)&rows[i]};
    }
    return _cmocka_run_group_tests("http refusal", tests, ROWS_N, NULL, NULL);
}
