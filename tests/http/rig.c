#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WATCHDOG_MS   20000
#define BREATHS       20
#define PEER_GOT_MAX  (64u << 20)
#define PEER_READ_MAX 65536

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    fprintf(stderr, "rig: what the test waits for does not come\n");
    abort();
}

/* --- The handler. --- */

static void on_gone(void *ctx)
{
    struct parked *parked = ctx;
    assert_non_null(parked->req);
    parked->req = NULL;
    parked->gone = true;
}

static struct parked *park(struct rig *rig, struct http_request *req)
{
    assert_true(rig->parked_n < PARKED_MAX);
    struct parked *parked = &rig->parked[rig->parked_n++];
    *parked = (struct parked){.req = req};
    http_request_park(req, on_gone, parked);
    return parked;
}

static void add_line(struct buf *out, const char *name, struct text value)
{
    if (value.len) {
        buf_addf(out, "%s=", name);
        buf_add_text(out, value);
        buf_add_char(out, '\n');
    }
}

static void say_back(struct http_request *req)
{
    struct buf out;
    buf_init(&out, 16 << 20);
    buf_add_text(&out, http_method(req));
    buf_add_char(&out, ' ');
    buf_add_text(&out, http_path(req));
    buf_add_char(&out, '\n');
    add_line(&out, "query", http_query(req));
    add_line(&out, "say", http_header(req, "x-say"));
    add_line(&out, "body", http_body(req));
    http_reply(req, 200, "text/plain", buf_text(&out));
    buf_release(&out);
}

static void handle(void *ctx, struct http_request *req)
{
    struct rig *rig = ctx;
    struct text path = http_path(req);
    rig->handled_n++;
    if (text_equal(path, TEXT("/parked"))) {
        park(rig, req);
    } else if (text_equal(path, TEXT("/stream"))) {
        park(rig, req);
        http_stream_begin(req, 200, "text/plain");
    } else if (text_equal(path, TEXT("/header"))) {
        http_reply_header(req, "X-One", "1");
        http_reply_header(req, "X-Two", "2");
        http_reply(req, 429, NULL, TEXT("slow"));
    } else if (text_equal(path, TEXT("/empty"))) {
        http_reply(req, 204, "text/plain", TEXT("not sent"));
    } else if (text_equal(path, TEXT("/big"))) {
        http_reply(req, 200, NULL, (struct text){rig->big, BIG_BYTES});
    } else {
        say_back(req);
    }
}

static void write_error(void *ctx, int status, const char *reason, struct buf *body)
{
    (void)ctx;
    buf_addf(body, "%d: %s\n", status, reason);
}

/* --- The rig. --- */

void rig_init(struct rig *rig)
{
    *rig = (struct rig){.server = NULL};
    http_options_default(&rig->options);
    rig->options.handler = handle;
    rig->options.error_body = write_error;
    rig->options.ctx = rig;
    strcpy(rig->address, "127.0.0.1:0");
    rig->big = malloc(BIG_BYTES);
    assert_non_null(rig->big);
    memset(rig->big, 'x', BIG_BYTES);
}

void rig_start(struct rig *rig)
{
    struct buf why;
    buf_init(&why, 1024);
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    uv_timer_init(&rig->loop, &rig->watchdog);
    uv_timer_start(&rig->watchdog, on_watchdog, WATCHDOG_MS, 0);
    assert_int_equal(http_server_new(&rig->loop, &rig->options, &rig->server), 0);
    assert_int_equal(http_server_listen(rig->server, rig->address, &why), 0);
    buf_release(&why);
}

static void on_done(void *ctx)
{
    struct rig *rig = ctx;
    rig->server = NULL;
}

void rig_stop(struct rig *rig)
{
    if (rig->server) {
        http_server_close(rig->server, on_done, rig);
        RIG_WHILE(rig, rig->server);
    }
    uv_close((uv_handle_t *)&rig->watchdog, NULL);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    free(rig->big);
}

int rig_setup(void **state)
{
    struct rig *rig = malloc(sizeof(*rig));
    assert_non_null(rig);
    rig_init(rig);
    rig_start(rig);
    *state = rig;
    return 0;
}

int rig_teardown(void **state)
{
    rig_stop(*state);
    free(*state);
    return 0;
}

struct http_stats rig_stats(const struct rig *rig)
{
    struct http_stats stats;
    http_server_stats(rig->server, &stats);
    return stats;
}

void rig_turn(struct rig *rig, bool poll_only)
{
    uv_run(&rig->loop, poll_only ? UV_RUN_NOWAIT : UV_RUN_ONCE);
}

void rig_breathe(struct rig *rig)
{
    for (int i = 0; i < BREATHS; i++) {
        rig_turn(rig, true);
    }
}

struct parked *rig_parked(struct rig *rig, size_t n)
{
    RIG_WHILE(rig, rig->parked_n <= n);
    return &rig->parked[n];
}

void rig_answer(struct parked *parked, const char *body)
{
    struct http_request *req = parked->req;
    assert_non_null(req);
    parked->req = NULL;
    http_reply(req, 200, NULL, text_of(body));
}

/* --- Peers. --- */

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct peer *p = CONTAINER_OF(poll, struct peer, poll);
    (void)events;
    char *to = buf_reserve(&p->got, PEER_READ_MAX);
    assert_non_null(to);
    ssize_t n = status < 0 ? -1 : recv(p->fd, to, PEER_READ_MAX, MSG_DONTWAIT);
    if (n > 0) {
        p->got.len += (size_t)n;
        p->got.at[p->got.len] = '\0';
    } else if (n == 0 || status < 0 || (errno != EAGAIN && errno != EINTR)) {
        p->ended = true;
        p->reset = n < 0;
        uv_poll_stop(poll);
    }
}

static int connect_to(struct rig *rig)
{
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    if (strncmp(rig->address, "unix:", 5) == 0) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        strcpy(local.sun_path, rig->address + 5);
        assert_int_equal(connect(fd, (struct sockaddr *)&local, sizeof(local)), 0);
        return fd;
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    tcp.sin_port = htons((uint16_t)http_server_port(rig->server, 0));
    assert_int_equal(connect(fd, (struct sockaddr *)&tcp, sizeof(tcp)), 0);
    return fd;
}

struct peer *peer_new(struct rig *rig)
{
    struct peer *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->rig = rig;
    p->fd = connect_to(rig);
    buf_init(&p->got, PEER_GOT_MAX);
    uv_poll_init(&rig->loop, &p->poll, p->fd);
    uv_poll_start(&p->poll, UV_READABLE, on_readable);
    return p;
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct peer, poll));
}

void peer_free(struct peer *p)
{
    uv_close((uv_handle_t *)&p->poll, on_poll_closed);
    close(p->fd);
    buf_release(&p->got);
}

void peer_send(struct peer *p, struct text bytes)
{
    while (bytes.len) {
        ssize_t n = send(p->fd, bytes.at, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            bytes = (struct text){bytes.at + n, bytes.len - (size_t)n};
            continue;
        }
        if (errno == EPIPE || errno == ECONNRESET) {
            return; /* the server has had enough */
        }
        assert_int_equal(errno, EAGAIN);
        rig_turn(p->rig, true);
    }
}

void peer_send_in_pieces(struct peer *p, struct text bytes, size_t step)
{
    while (bytes.len) {
        size_t n = step < bytes.len ? step : bytes.len;
        peer_send(p, (struct text){bytes.at, n});
        rig_turn(p->rig, true);
        bytes = (struct text){bytes.at + n, bytes.len - n};
    }
}

void peer_say(struct peer *p, const char *words)
{
    peer_send(p, text_of(words));
}

void peer_wait(struct peer *p, size_t bytes)
{
    RIG_WHILE(p->rig, p->got.len < bytes && !p->ended);
}

void peer_wait_end(struct peer *p)
{
    RIG_WHILE(p->rig, !p->ended);
}

void peer_expect(struct peer *p, const char *bytes)
{
    peer_wait(p, strlen(bytes));
    rig_breathe(p->rig);
    assert_string_equal(p->got.at ? p->got.at : "", bytes);
    buf_clear(&p->got);
}
