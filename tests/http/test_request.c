/*
 * Requests in, replies out: one row a behaviour, each sent in one piece and byte by byte.
 */
#include "rig.h"

#define REPLY(connection, length)                                                                  \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" connection "Content-Length: " length         \
    "\r\n\r\n"
#define OK(length)    REPLY("", length)
#define CLOSE(length) REPLY("Connection: close\r\n", length)
#define KEEP(length)  REPLY("Connection: keep-alive\r\n", length)

struct row {
    const char *behaviour;
    const char *in;
    const char *out;
    bool closes; /* the server ends the connection after it */
};

static const struct row rows[] = {
    {"a request is answered", "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", OK("7") "GET /a\n", false},
    {"the query is cut off at the first question mark", "GET /a?b=c?d HTTP/1.1\r\nHost: h\r\n\r\n",
     OK("19") "GET /a\nquery=b=c?d\n", false},
    {"a header is found in any case and trimmed",
     "GET /a HTTP/1.1\r\nhOST: h\r\nX-sAy: \t v w \t\r\n\r\n", OK("15") "GET /a\nsay=v w\n", false},
    {"of two headers of one name the first is shown",
     "GET /a HTTP/1.1\r\nHost: h\r\nX-Say: 1\r\nX-Say: 2\r\n\r\n", OK("13") "GET /a\nsay=1\n",
     false},
    {"an empty header is allowed", "GET /a HTTP/1.1\r\nHost:\r\nX-Say:\r\n\r\n", OK("7") "GET /a\n",
     false},
    {"bytes above 127 pass in a header's value",
     "GET /a HTTP/1.1\r\nHost: h\r\nX-Say: \xc3\xa9\r\n\r\n", OK("14") "GET /a\nsay=\xc3\xa9\n",
     false},
    {"a body of a stated length arrives",
     "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
     OK("19") "POST /a\nbody=hello\n", false},
    {"a body of length 0 is empty", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
     OK("8") "POST /a\n", false},
    {"a length may have leading zeros",
     "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 005\r\n\r\nhello",
     OK("19") "POST /a\nbody=hello\n", false},
    {"a body may come with any method",
     "DELETE /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxy",
     OK("18") "DELETE /a\nbody=xy\n", false},
    {"a chunked body is put together",
     "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
     "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
     OK("19") "POST /a\nbody=hello\n", false},
    {"chunked in any case, sizes in hex of either case, with zeros before them",
     "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: CHUNKED\r\n\r\n"
     "000A\r\n0123456789\r\nb\r\n0123456789a\r\n00\r\n\r\n",
     OK("35") "POST /a\nbody=01234567890123456789a\n", false},
    {"chunk extensions and trailers are dropped",
     "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
     "2;a=b;c=\"d\"\r\nhi\r\n0 ;x\r\nTrailer: t\r\nX-Say: no\r\n\r\n",
     OK("16") "POST /a\nbody=hi\n", false},
    {"an empty chunked body",
     "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     OK("8") "POST /a\n", false},
    {"pipelined requests are answered in order",
     "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
     "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n",
     OK("7") "GET /1\n" OK("15") "POST /2\nbody=x\n" OK("7") "GET /3\n", false},
    {"a request may follow a chunked one",
     "POST /1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
     "POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ny\r\n0\r\n\r\n"
     "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n",
     OK("15") "POST /1\nbody=x\n" OK("15") "POST /2\nbody=y\n" OK("7") "GET /3\n", false},
    {"empty lines before a request are skipped",
     "\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
     OK("7") "GET /a\n" OK("7") "GET /b\n", false},
    {"HEAD is answered without the body and with its length",
     "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
     OK("8") OK("7") "GET /b\n", false},
    {"204 has neither body nor length", "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n",
     "HTTP/1.1 204 No Content\r\n\r\n", false},
    {"the handler's own headers go out once",
     "GET /header HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n",
     "HTTP/1.1 429 Too Many Requests\r\nX-One: 1\r\nX-Two: 2\r\nContent-Length: 4\r\n\r\nslow" OK(
         "7") "GET /a\n",
     false},
    {"a client may ask for the connection to be closed",
     "GET /a HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
     CLOSE("7") "GET /a\n", true},
    {"HTTP/1.0 closes", "GET /a HTTP/1.0\r\n\r\n", CLOSE("7") "GET /a\n", true},
    {"HTTP/1.0 may ask to keep the connection",
     "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
     KEEP("7") "GET /a\n" CLOSE("7") "GET /b\n", true},
    {"an offer to upgrade is ignored",
     "GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
     "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
     OK("7") "GET /a\n" OK("7") "GET /b\n", false},
    {"the absolute form names the path behind the host",
     "GET http://h:1/a?q HTTP/1.1\r\nHost: h\r\n\r\nGET HTTPS://h HTTP/1.1\r\nHost: h\r\n\r\n",
     OK("15") "GET /a\nquery=q\n" OK("6") "GET /\n", false},
    {"the absolute form may have a query and no path", "GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n",
     OK("14") "GET /\nquery=q\n", false},
    {"OPTIONS may ask for the server itself", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
     OK("10") "OPTIONS *\n", false},
    {"a method that the handler does not know is the handler's to refuse",
     "PROPFIND /a HTTP/1.1\r\nHost: h\r\n\r\n", OK("12") "PROPFIND /a\n", false},
    {"HTTP/1.0 knows no expectations",
     "POST /a HTTP/1.0\r\nContent-Length: 2\r\nExpect: x\r\n\r\nhi",
     CLOSE("16") "POST /a\nbody=hi\n", true},
};

#define ROWS_N (sizeof(rows) / sizeof(rows[0]))

static void check_row(const struct row *row, bool bytewise)
{
    struct rig rig;
    rig_init(&rig);
    rig_start(&rig);
    struct peer *p = peer_new(&rig);
    peer_send_in_pieces(p, text_of(row->in), bytewise ? 1 : SIZE_MAX);
    if (row->closes) {
        peer_wait_end(p);
    }
    peer_expect(p, row->out);
    assert_int_equal(p->ended, row->closes);
    assert_false(p->reset);
    peer_free(p);
    rig_stop(&rig);
}

static void test_row(void **state)
{
    check_row(*state, false);
    check_row(*state, true);
}

int main(void)
{
    struct CMUnitTest tests[ROWS_N];
    for (size_t i = 0; i < ROWS_N; i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].behaviour, .test_func = test_row, .initial_state = (void *)&rows[i]};
    }
    return _cmocka_run_group_tests("http request", tests, ROWS_N, NULL, NULL);
}
