/*
 * links: http
 *
 * Bytes into a connection. The first byte says where the rest is cut in two; the server then meets
 * the same bytes twice, in one piece and in two, over a socket pair, and must say the same both
 * times. The handler answers at once, parks, or streams, by the path. What a connection leaves
 * behind is checked by the assertions of src/http and by the sanitizers.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"

#define INPUT_MAX    16384
#define ANSWERS_MAX  (4u << 20)
#define TURNS_MAX    64
#define CONTINUE     "HTTP/1.1 100 Continue\r\n\r\n"
#define FUZZ_HEADERS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uv_loop_t loop;
static struct http_server *server;
static struct http_request *parked; /* there is one connection, so at most one request */
static bool streams;

static void on_gone(void *ctx)
{
    (void)ctx;
    assert(parked);
    parked = NULL;
}

static void say_back(struct http_request *req)
{
    struct buf out;
    struct buf value;
    buf_init(&out, ANSWERS_MAX);
    buf_init(&value, INPUT_MAX);
    buf_add_text(&out, http_method(req));
    buf_add_text(&out, http_path(req));
    buf_add_text(&out, http_query(req));
    buf_add_text(&out, http_header(req, "host"));
    buf_add_text(&out, http_body(req));
    if (http_query_get(req, "k", &value)) {
        buf_add_text(&out, buf_text(&value));
    }
    http_reply(req, 200, NULL, buf_text(&out));
    buf_release(&value);
    buf_release(&out);
}

static void handle(void *ctx, struct http_request *req)
{
    struct text path = http_path(req);
    char kind = path.len > 1 ? path.at[1] : '\0';
    (void)ctx;
    if (kind != 'p' && kind != 's') {
        say_back(req);
        return;
    }
    assert(!parked);
    parked = req;
    streams = kind == 's';
    http_request_park(req, on_gone, NULL);
    if (streams) {
        http_stream_begin(req, 200, NULL);
    }
}

static void answer_parked(void)
{
    struct http_request *req = parked;
    parked = NULL;
    if (!streams) {
        http_reply(req, 202, "text/plain", TEXT("later"));
        return;
    }
    http_stream_write(req, TEXT("piece"));
    http_stream_end(req);
}

static void start(void)
{
    struct http_options options;
    http_options_default(&options);
    options.handler = handle;
    options.header_bytes_max = 2048;
    options.target_bytes_max = 512;
    options.headers_max = FUZZ_HEADERS;
    options.body_bytes_max = 4096;
    uv_loop_init(&loop);
    int err = http_server_new(&loop, &options, &server);
    assert(!err);
    (void)err;
}

/* Takes what the server has said so far. */
static void drain(int fd, struct buf *said)
{
    ssize_t n;
    char *to;
    while ((to = buf_reserve(said, INPUT_MAX)) && (n = recv(fd, to, INPUT_MAX, MSG_DONTWAIT)) > 0) {
        said->len += (size_t)n;
        said->at[said->len] = '\0';
    }
}

/* Turns the loop until nothing more happens, answering what is parked. */
static void settle(int fd, struct buf *said)
{
    int quiet = 0;
    while (quiet < 3) {
        size_t before = said->len;
        uv_run(&loop, UV_RUN_NOWAIT);
        drain(fd, said);
        bool answered = parked != NULL;
        if (parked) {
            answer_parked();
        }
        quiet = answered || said->len > before ? 0 : quiet + 1;
    }
}

static void give(int fd, struct text bytes, struct buf *said)
{
    if (bytes.len) {
        ssize_t n = send(fd, bytes.at, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)n; /* the server may have ended the connection already */
    }
    settle(fd, said);
}

/* A connection's whole life. */
static void converse(struct text first, struct text second, struct buf *said)
{
    int fds[2];
    int failed = socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
    assert(!failed);
    struct connection *c = connection_new(server, true);
    assert(c);
    failed = uv_pipe_open(&c->pipe, fds[0]);
    assert(!failed);
    (void)failed;
    server->stats.connections++;
    connection_start(c);
    give(fds[1], first, said);
    give(fds[1], second, said);
    close(fds[1]);
    for (int turns = 0; server->stats.connections > 0; turns++) {
        assert(turns < TURNS_MAX);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert(!parked && server->stats.parked == 0);
}

/* A client that has sent its body already is not told to continue, so that is no difference. */
static void forget_continue(struct buf *said)
{
    char *at;
    while (said->at && (at = memmem(said->at, said->len, CONTINUE, strlen(CONTINUE)))) {
        size_t rest = said->len - (size_t)(at - said->at) - strlen(CONTINUE);
        memmove(at, at + strlen(CONTINUE), rest + 1);
        said->len -= strlen(CONTINUE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole;
    struct buf halves;
    if (size == 0 || size > INPUT_MAX) {
        return 0;
    }
    if (!server) {
        start();
    }
    struct text bytes = {(const char *)data + 1, size - 1};
    size_t cut = bytes.len * data[0] / 255;
    buf_init(&whole, ANSWERS_MAX);
    buf_init(&halves, ANSWERS_MAX);
    converse(bytes, TEXT_NONE, &whole);
    converse((struct text){bytes.at, cut}, (struct text){bytes.at + cut, bytes.len - cut}, &halves);
    forget_continue(&whole);
    forget_continue(&halves);
    if (!text_equal(buf_text(&whole), buf_text(&halves))) {
        abort();
    }
    buf_release(&whole);
    buf_release(&halves);
    return 0;
}
