/*
 * What the server does when memory is refused: at each allocation in turn, one allocation fails
 * while a whole conversation takes place. Whatever fails, each request that reached the handler is
 * answered or gone, nothing leaks, and the server serves the next client.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "http/http.h"
#include "http/json.h"
#include "support/memory.h"

/* --- A server whose handler allocates nothing of its own. --- */

struct scene {
    uv_loop_t loop;
    struct http_server *server; /* NULL once closed */
    struct http_request *parked;
    bool streams;
    size_t begun;
    size_t ended;
};

static char large[400000];

static void on_gone(void *ctx)
{
    struct scene *scene = ctx;
    scene->parked = NULL;
    scene->ended++;
}

static void handle(void *ctx, struct http_request *req)
{
    struct scene *scene = ctx;
    struct text path = http_path(req);
    scene->begun++;
    if (text_equal(path, TEXT("/now"))) {
        http_reply_header(req, "X-One", "1");
        http_reply(req, 200, "text/plain", http_body(req));
        scene->ended++;
        return;
    }
    if (text_equal(path, TEXT("/large"))) {
        http_reply(req, 200, NULL, (struct text){large, sizeof(large)});
        scene->ended++;
        return;
    }
    assert_null(scene->parked);
    scene->parked = req;
    scene->streams = text_equal(path, TEXT("/stream"));
    http_request_park(req, on_gone, scene);
    if (scene->streams) {
        http_stream_begin(req, 200, NULL);
    }
}

static void answer_parked(struct scene *scene)
{
    struct http_request *req = scene->parked;
    scene->parked = NULL;
    scene->ended++;
    if (scene->streams) {
        (void)http_stream_write(req, TEXT("piece"));
        http_stream_end(req);
    } else {
        http_reply(req, 200, NULL, TEXT("later"));
    }
}

static void write_error(void *ctx, int status, const char *reason, struct buf *body)
{
    (void)ctx;
    buf_addf(body, "%d %s", status, reason);
}

static void on_done(void *ctx)
{
    struct scene *scene = ctx;
    scene->server = NULL;
}

static int scene_begin(struct scene *scene)
{
    struct http_options options;
    *scene = (struct scene){.server = NULL};
    http_options_default(&options);
    options.handler = handle;
    options.error_body = write_error;
    options.ctx = scene;
    assert_int_equal(uv_loop_init(&scene->loop), 0);
    return http_server_new(&scene->loop, &options, &scene->server);
}

static void scene_end(struct scene *scene)
{
    if (scene->server) {
        http_server_close(scene->server, on_done, scene);
    }
    uv_run(&scene->loop, UV_RUN_DEFAULT);
    assert_null(scene->server);
    assert_int_equal(uv_loop_close(&scene->loop), 0);
    assert_int_equal(scene->begun, scene->ended);
}

/* --- A client that allocates nothing. --- */

static int client_new(struct scene *scene)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)http_server_port(scene->server, 0))};
    int small = 4096;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Says something, and reads until the server has nothing more to say. Returns what it said first.
 */
static size_t client_say(struct scene *scene, int fd, const char *words, char *said, size_t size)
{
    size_t got = 0;
    int quiet = 0;
    ssize_t sent = send(fd, words, strlen(words), MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* the server may have given this connection up */
    while (quiet < 5) {
        static char rest[65536];
        uv_run(&scene->loop, UV_RUN_NOWAIT);
        if (scene->parked) {
            answer_parked(scene);
        }
        ssize_t n = recv(fd, rest, sizeof(rest), MSG_DONTWAIT);
        quiet = n > 0 ? 0 : quiet + 1;
        for (ssize_t i = 0; i < n && got < size - 1; i++) {
            said[got++] = rest[i];
        }
    }
    said[got] = '\0';
    return got;
}

#define POST_NOW  "POST /now HTTP/1.1\r\nHost: h\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

/* Each is said on a connection of its own, in two parts. */
static const char *const conversations[][2] = {
    {GET("/now"), GET("/now")},
    {POST_NOW "Content-Length: 2\r\n\r\n", "hi"},
    {POST_NOW "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n", "hi"},
    {POST_NOW "Transfer-Encoding: chunked\r\n\r\n2\r\nh", "i\r\n0\r\n\r\n"},
    {GET("/later"), GET("/later") GET("/now")},
    {GET("/stream"), GET("/now")},
    {GET("/large"), GET("/now")},
    {"nonsense\r\n\r\n", ""},
    {"GET /now HT", "TP/1.1\r\nHost: h\r\n\r\n"},
};

static void converse(struct scene *scene, const char *const words[2])
{
    char said[256];
    int fd = client_new(scene);
    client_say(scene, fd, words[0], said, sizeof(said));
    client_say(scene, fd, words[1], said, sizeof(said));
    close(fd);
}

static void check_still_serves(struct scene *scene)
{
    char said[256];
    int fd = client_new(scene);
    client_say(scene, fd, GET("/now"), said, sizeof(said));
    assert_string_equal(said, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-One: 1\r\n"
                              "Content-Length: 0\r\n\r\n");
    close(fd);
}

static void listen_somewhere(struct scene *scene)
{
    struct buf why;
    buf_init(&why, 1024);
    assert_int_equal(http_server_listen(scene->server, "127.0.0.1:0", &why), 0);
    buf_release(&why);
}

/* Fails the nth allocation of a conversation. False where it has fewer. */
static bool check_conversation(const char *const words[2], int nth)
{
    struct scene scene;
    assert_int_equal(scene_begin(&scene), 0);
    listen_somewhere(&scene);
    uv_run(&scene.loop, UV_RUN_NOWAIT);
    memory_fail(nth);
    converse(&scene, words);
    memory_pause();
    if (nth > 1) {
        /* At the first, accepting itself failed, and pauses: that has a test of its own. */
        check_still_serves(&scene);
    }
    scene_end(&scene);
    return memory_failed();
}

static void test_a_conversation_survives_any_allocation_that_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(conversations) / sizeof(conversations[0]); i++) {
        int nth = 1;
        while (check_conversation(conversations[i], nth)) {
            nth++;
        }
        assert_true(nth > 2); /* a connection and a reply at least */
    }
}

static void test_a_connection_that_cannot_be_taken_is_taken_later(void **state)
{
    struct scene scene;
    char said[256];
    size_t got = 0;
    (void)state;
    assert_int_equal(scene_begin(&scene), 0);
    listen_somewhere(&scene);
    int fd = client_new(&scene);
    memory_fail(1);
    while (!memory_failed()) {
        uv_run(&scene.loop, UV_RUN_ONCE);
    }
    /* The loop wakes by the server's own timer, not by the connection. */
    while (got == 0) {
        uv_run(&scene.loop, UV_RUN_ONCE);
        got = client_say(&scene, fd, GET("/now"), said, sizeof(said));
    }
    close(fd);
    scene_end(&scene);
}

static void test_a_server_that_cannot_begin_says_so(void **state)
{
    (void)state;
    for (int nth = 1; nth <= 3; nth++) {
        struct scene scene;
        struct buf why;
        buf_init(&why, 1024);
        assert_non_null(buf_reserve(&why, 512));
        memory_fail(nth);
        int err = scene_begin(&scene);
        assert_int_equal(err, nth <= 2 ? ERR_NO_MEMORY : 0);
        if (!err) {
            assert_int_equal(http_server_listen(scene.server, "127.0.0.1:0", &why), ERR_INTERNAL);
            assert_string_equal(why.at, "out of memory");
        }
        assert_true(memory_failed());
        buf_release(&why);
        scene_end(&scene);
    }
}

static void test_a_json_writer_marks_its_buffer(void **state)
{
    (void)state;
    for (int nth = 1; nth <= 3; nth++) {
        struct buf out;
        struct json_writer w;
        buf_init(&out, 1000);
        json_writer_init(&w, &out);
        memory_fail(nth);
        for (int i = 0; i < 40; i++) {
            json_str(&w, "a text");
        }
        memory_pause();
        assert_true(out.failed);
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_conversation_survives_any_allocation_that_fails),
        cmocka_unit_test(test_a_connection_that_cannot_be_taken_is_taken_later),
        cmocka_unit_test(test_a_server_that_cannot_begin_says_so),
        cmocka_unit_test(test_a_json_writer_marks_its_buffer),
    };
    return cmocka_run_group_tests_name("http no memory", tests, NULL, NULL);
}
