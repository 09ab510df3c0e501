/*
 * What the pretend provider does when memory is refused: at each allocation of a call in turn, one
 * fails. Whatever fails, the call is answered or its connection ends, nothing is counted that is
 * under way for ever, and the next call is served in full.
 */
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "mock/mock.h"
#include "support/memory.h"

#define SAID_MAX   65536
#define TURNS_MAX  20000
#define TURN_WAITS 1 /* ms */

/* --- A provider, and calls to it. --- */

static uv_loop_t loop;
static struct mock *mock;
static char said[SAID_MAX];

static int begin(void)
{
    struct mock_options options;
    mock_options_default(&options);
    options.amount[QUOTA_REQUESTS] = 1000000;
    assert_int_equal(uv_loop_init(&loop), 0);
    mock = NULL;
    return mock_new(&loop, &options, &mock);
}

static void listen_somewhere(void)
{
    struct buf why;
    buf_init(&why, 1024);
    assert_int_equal(mock_listen(mock, "127.0.0.1:0", &why), 0);
    buf_release(&why);
}

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void end(void)
{
    bool closed = mock == NULL;
    if (mock) {
        mock_close(mock, on_closed, &closed);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static int client_new(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)mock_port(mock))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Sends a request whose answer ends its connection, and reads until it has; -1 where the connection
 * was reset. */
static int call(const char *words)
{
    int fd = client_new();
    size_t got = 0;
    ssize_t n = send(fd, words, strlen(words), MSG_NOSIGNAL);
    assert_int_equal(n, strlen(words));
    for (int turns = 0;; turns++) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        assert_true(turns < TURNS_MAX && got < SAID_MAX - 1);
        uv_run(&loop, UV_RUN_NOWAIT);
        if (poll(&readable, 1, TURN_WAITS) == 0) {
            continue;
        }
        n = recv(fd, said + got, SAID_MAX - 1 - got, 0);
        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    said[got] = '\0';
    close(fd);
    uv_run(&loop, UV_RUN_NOWAIT);
    return n < 0 ? -1 : 0;
}

/* --- The calls. --- */

#define TAIL      "HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
#define GET(path) "GET " path " " TAIL "\r\n"

struct sample {
    const char *path; /* of a POST, or a whole request where there is no body */
    const char *body;
    const char *ends; /* what a whole answer has */
};

#define SAY "\"messages\":[{\"role\":\"user\",\"content\":\"hello there\"}]"

static const struct sample samples[] = {
    {"/v1/chat/completions", "{\"model\":\"m\"," SAY ",\"max_tokens\":20}", "total_tokens"},
    {"/v1/chat/completions",
     "{\"model\":\"m\"," SAY
     ",\"max_tokens\":20,\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
     "data: [DONE]"},
    {"/v1/responses", "{\"model\":\"m\",\"input\":\"hello\",\"max_output_tokens\":20}",
     "total_tokens"},
    {"/v1/responses",
     "{\"model\":\"m\",\"input\":\"hello\",\"max_output_tokens\":20,\"stream\":true}",
     "response.completed"},
    {"/v1/embeddings", "{\"model\":\"m\",\"input\":\"hello\"}", "embedding"},
    {"/v1/messages", "{\"model\":\"m\"," SAY ",\"max_tokens\":20}", "output_tokens"},
    {"/v1/messages", "{\"model\":\"m\"," SAY ",\"max_tokens\":20,\"stream\":true}", "message_stop"},
    {"/v1/messages/count_tokens", "{\"model\":\"m\"," SAY "}", "input_tokens"},
    {GET("/v1/models"), NULL, "\"data\""},
    {GET("/mock/stats"), NULL, "\"admitted\""},
    {GET("/nowhere"), NULL, "error"},
};

static int place(const struct sample *s)
{
    static char words[4096];
    if (!s->body) {
        return call(s->path);
    }
    snprintf(words, sizeof(words),
             "POST %s " TAIL "Content-Type: application/json\r\nanthropic-version: 2023-06-01\r\n"
             "x-api-key: k\r\nAuthorization: Bearer k\r\nContent-Length: %zu\r\n\r\n%s",
             s->path, strlen(s->body), s->body);
    return call(words);
}

static void assert_served(const struct sample *s)
{
    int rc = place(s);
    if (rc != 0 || !strstr(said, s->ends)) {
        fail_msg("%.60s is not served: %s", s->path, said);
    }
}

/* An answer is the whole or an error; a stream that ends as it should has all of its events. */
static void assert_answered(const struct sample *s, int rc)
{
    static const char last[] = "\r\n0\r\n\r\n";
    size_t len = strlen(said);
    bool streams = strstr(said, "text/event-stream") != NULL;
    bool ended = len > sizeof(last) && strcmp(said + len - (sizeof(last) - 1), last) == 0;
    if (rc != 0 || len == 0 || strstr(said, s->ends) || (streams && !ended)) {
        return;
    }
    if (strncmp(said, "HTTP/1.1 5", 10) != 0 && strncmp(said, "HTTP/1.1 4", 10) != 0) {
        fail_msg("%.60s: %s", s->path, said);
    }
}

/* Places a call in which the nth allocation fails. False where it has fewer. */
static bool survives(const struct sample *s, int nth)
{
    assert_int_equal(begin(), 0);
    listen_somewhere();
    assert_served(&samples[0]); /* what is made once is made */
    memory_fail(nth);
    int rc = place(s);
    memory_pause();
    assert_answered(s, rc);
    bool failed = memory_failed();
    if (!failed) {
        assert_non_null(strstr(said, s->ends));
    }
    assert_served(s);
    assert_served(&(struct sample){GET("/mock/stats"), NULL, "\"in_flight\":0"});
    end();
    return failed;
}

static void test_a_call_survives_any_allocation_that_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        int nth = 1;
        while (survives(&samples[i], nth)) {
            nth++;
        }
        assert_true(nth > 2);
    }
}

static void test_a_provider_that_cannot_begin_says_so(void **state)
{
    (void)state;
    int nth = 0;
    int rc;
    do {
        memory_fail(++nth);
        rc = begin();
        memory_pause();
        assert_true(rc == 0 || rc == ERR_NO_MEMORY);
        assert_true(rc == 0 || mock == NULL);
        end();
    } while (rc != 0);
    assert_true(nth > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_survives_any_allocation_that_fails),
        cmocka_unit_test(test_a_provider_that_cannot_begin_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
