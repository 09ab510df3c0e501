/*
 * The server: its listeners, its one timer, and the end of each loop turn.
 *
 * A connection that has something to send, or to take from what is pipelined, marks itself dirty.
 * Dirty connections are settled before the loop sleeps, and while there are any the loop does not
 * sleep: `before_poll` settles those of this turn, and `awake`, which is active exactly while some
 * are dirty, keeps the loop turning for those that became dirty after it.
 */
#include "http/server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "http/address.h"

#define LISTEN_BACKLOG 4096

void http_options_default(struct http_options *o)
{
    *o = (struct http_options){
        .connections_max = 16384,
        .header_bytes_max = 32 << 10,
        .headers_max = 100,
        .target_bytes_max = 8 << 10,
        .body_bytes_max = 4 << 20,
        .stream_bytes_max = 4 << 20,
        .header_timeout_us = 10 * US_PER_S,
        .body_timeout_us = 30 * US_PER_S,
        .idle_timeout_us = 90 * US_PER_S,
        .write_timeout_us = 30 * US_PER_S,
    };
}

int64_t server_now_us(const struct http_server *s)
{
    return (int64_t)uv_now(s->loop) * US_PER_MS;
}

/* --- The end of a turn. --- */

/* Being active is all it is for. */
static void on_awake(uv_idle_t *handle)
{
    (void)handle;
}

void server_mark_dirty(struct connection *c)
{
    struct http_server *s = c->server;
    if (c->state == CONN_CLOSED || list_holds(&c->dirty)) {
        return;
    }
    if (list_empty(&s->dirty)) {
        uv_idle_start(&s->awake, on_awake);
    }
    list_append(&s->dirty, &c->dirty);
}

/* Settles those that are dirty now; what becomes dirty meanwhile waits for the next turn. */
static void server_settle(struct http_server *s)
{
    if (list_empty(&s->dirty)) {
        return;
    }
    /* Not a local: gcc 13 takes the list for a place that would outlive it. */
    struct list *last = &s->dirty_last;
    list_append(&s->dirty, last);
    for (struct list *node = list_first(&s->dirty); node != last; node = list_first(&s->dirty)) {
        struct connection *c = CONTAINER_OF(node, struct connection, dirty);
        list_remove(node);
        connection_settle(c);
    }
    list_remove(last);
    if (list_empty(&s->dirty)) {
        uv_idle_stop(&s->awake);
    }
}

static void on_before_poll(uv_prepare_t *handle)
{
    server_settle(CONTAINER_OF(handle, struct http_server, before_poll));
}

/* --- Deadlines. --- */

static void server_accept(struct listener *l);

static void server_expire_state(struct http_server *s, enum connection_state state, int64_t now_us)
{
    int64_t timeout_us = connection_state_timeout_us(s, state);
    struct list *node;
    while (timeout_us && (node = list_first(&s->by_state[state]))) {
        struct connection *c = CONTAINER_OF(node, struct connection, by_state);
        if (c->since_us + timeout_us > now_us) {
            server_wake_at(s, c->since_us + timeout_us);
            return;
        }
        connection_expire(c);
    }
}

static void server_expire_writes(struct http_server *s, int64_t now_us)
{
    struct list *node;
    while ((node = list_first(&s->by_write))) {
        struct connection *c = CONTAINER_OF(node, struct connection, by_write);
        int64_t due_us = c->write_us + s->options.write_timeout_us;
        if (due_us > now_us) {
            server_wake_at(s, due_us);
            return;
        }
        connection_expire_write(c);
    }
}

static void server_retry_accept(struct http_server *s)
{
    for (struct list *node = s->listeners.next; node != &s->listeners; node = node->next) {
        struct listener *l = CONTAINER_OF(node, struct listener, node);
        if (l->pending) {
            l->pending = false;
            server_accept(l);
        }
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct http_server *s = CONTAINER_OF(timer, struct http_server, timer);
    int64_t now_us = server_now_us(s);
    s->timer_due_us = INT64_MAX;
    for (int state = 0; state < CONN_STATES; state++) {
        server_expire_state(s, (enum connection_state)state, now_us);
    }
    server_expire_writes(s, now_us);
    server_retry_accept(s);
}

void server_wake_at(struct http_server *s, int64_t at_us)
{
    if (at_us >= s->timer_due_us || s->closing) {
        return;
    }
    int64_t wait_us = max_i64(at_us - server_now_us(s), 0);
    s->timer_due_us = at_us;
    uv_timer_start(&s->timer, on_timer, (uint64_t)((wait_us + US_PER_MS - 1) / US_PER_MS), 0);
}

/* --- Accepting. --- */

/* Tells a connection over the cap so, and sees it off. */
static void server_turn_away(struct connection *c)
{
    c->server->stats.connections--;
    c->refusing = true;
    if (c->server->refusing++ >= HTTP_REFUSING_MAX) {
        connection_close(c);
        return;
    }
    connection_refuse(c, 503, "there are too many connections");
    connection_start(c);
}

static void server_accept(struct listener *l)
{
    struct http_server *s = l->server;
    struct connection *c = connection_new(s, l->is_pipe);
    if (!c) {
        /* libuv stops accepting on this listener until the connection is taken. */
        l->pending = true;
        server_wake_at(s, server_now_us(s) + HTTP_ACCEPT_RETRY_US);
        return;
    }
    bool over = s->stats.connections >= s->options.connections_max;
    s->stats.connections++;
    s->stats.accepted++;
    if (uv_accept(&l->stream, &c->stream)) {
        connection_close(c);
    } else if (over) {
        server_turn_away(c);
    } else {
        connection_start(c);
    }
}

static void on_connection(uv_stream_t *stream, int status)
{
    /* Out of descriptors (EMFILE), libuv has already let go of the connection by its reserve. */
    if (status == 0) {
        server_accept(CONTAINER_OF(stream, struct listener, stream));
    }
}

/* --- Listening. --- */

static void listener_free(uv_handle_t *handle)
{
    struct listener *l = CONTAINER_OF(handle, struct listener, handle);
    struct http_server *s = l->server;
    list_remove(&l->node);
    free(l);
    server_forget(s);
}

/* Removes a socket file whose server is gone: nobody answers there. Any other file is left alone,
 * although connecting to it is refused as well. */
static bool remove_stale_socket(const char *path)
{
    struct stat found;
    if (lstat(path, &found) || !S_ISSOCK(found.st_mode)) {
        return false;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1); /* address_parse saw to its length */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    int rc = connect(fd, (struct sockaddr *)&address, sizeof(address));
    bool stale = rc < 0 && errno == ECONNREFUSED;
    close(fd);
    return stale && unlink(path) == 0;
}

static int listen_pipe(struct listener *l, const char *path)
{
    int rc = uv_pipe_bind(&l->pipe, path);
    if (rc == UV_EADDRINUSE && remove_stale_socket(path)) {
        rc = uv_pipe_bind(&l->pipe, path);
    }
    return rc ? rc : uv_listen(&l->stream, LISTEN_BACKLOG, on_connection);
}

static int listen_tcp(struct listener *l, const struct address *address)
{
    /* libuv sets SO_REUSEADDR; accepted sockets inherit TCP_NODELAY on Linux. */
    int rc = uv_tcp_bind(&l->tcp, (const struct sockaddr *)&address->socket, 0);
    rc = rc ? rc : uv_tcp_nodelay(&l->tcp, 1);
    rc = rc ? rc : uv_listen(&l->stream, LISTEN_BACKLOG, on_connection);
    return rc ? rc : uv_tcp_simultaneous_accepts(&l->tcp, 1);
}

static struct listener *listener_new(struct http_server *s, bool is_pipe)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (!l) {
        return NULL;
    }
    l->server = s;
    l->is_pipe = is_pipe;
    int rc = is_pipe ? uv_pipe_init(s->loop, &l->pipe, 0) : uv_tcp_init(s->loop, &l->tcp);
    if (rc) {
        free(l);
        return NULL;
    }
    s->handles_open++;
    list_append(&s->listeners, &l->node);
    return l;
}

int http_server_listen(struct http_server *s, const char *text, struct buf *why)
{
    struct address address;
    int err = address_parse(text, &address, why);
    if (err) {
        return err;
    }
    struct listener *l = listener_new(s, address.path[0] != '\0');
    if (!l) {
        buf_add_str(why, "out of memory");
        return ERR_INTERNAL;
    }
    int rc = l->is_pipe ? listen_pipe(l, address.path) : listen_tcp(l, &address);
    if (rc) {
        /* libuv gives one code for both. */
        bool may_lack_directory = l->is_pipe && rc == UV_EACCES;
        buf_addf(why, "%s: %s", text,
                 may_lack_directory ? "permission denied, or no such directory" : uv_strerror(rc));
        uv_close(&l->handle, listener_free);
        list_remove(&l->node);
        return ERR_INTERNAL;
    }
    return 0;
}

int http_server_port(const struct http_server *s, size_t n)
{
    const struct list *node = s->listeners.next;
    for (; node != &s->listeners && n > 0; n--) {
        node = node->next;
    }
    if (node == &s->listeners) {
        return 0;
    }
    const struct listener *l = CONTAINER_OF(node, const struct listener, node);
    struct sockaddr_storage name = {0};
    int len = sizeof(name);
    if (l->is_pipe || uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&name, &len)) {
        return 0;
    }
    return address_port(&name);
}

/* --- Life cycle. --- */

int http_server_new(uv_loop_t *loop, const struct http_options *options,
                    struct http_server **server)
{
    assert(options->handler);
    struct http_server *s = calloc(1, sizeof(*s));
    struct head_field *fields = calloc(options->headers_max, sizeof(*fields));
    if (!s || !fields) {
        free(s);
        free(fields);
        return ERR_NO_MEMORY;
    }
    s->loop = loop;
    s->options = *options;
    s->timer_due_us = INT64_MAX;
    s->head = (struct head){.fields = fields,
                            .fields_max = options->headers_max,
                            .target_bytes_max = options->target_bytes_max,
                            .bytes_max = options->header_bytes_max};
    buf_init(&s->spare, HTTP_REPLY_BYTES_MAX);
    list_init(&s->listeners);
    list_init(&s->by_write);
    list_init(&s->dirty);
    list_init(&s->dirty_last);
    for (int state = 0; state < CONN_STATES; state++) {
        list_init(&s->by_state[state]);
    }
    uv_timer_init(loop, &s->timer);
    uv_prepare_init(loop, &s->before_poll);
    uv_idle_init(loop, &s->awake);
    uv_prepare_start(&s->before_poll, on_before_poll);
    s->handles_open = 3;
    *server = s;
    return 0;
}

static void server_stop_listening(struct http_server *s)
{
    for (struct list *node = s->listeners.next; node != &s->listeners; node = node->next) {
        struct listener *l = CONTAINER_OF(node, struct listener, node);
        l->pending = false;
        if (!uv_is_closing(&l->handle)) {
            uv_close(&l->handle, listener_free);
        }
    }
}

void http_server_drain(struct http_server *s)
{
    s->draining = true;
    server_stop_listening(s);
    struct list *node;
    while ((node = list_first(&s->by_state[CONN_IDLE]))) {
        struct connection *c = CONTAINER_OF(node, struct connection, by_state);
        connection_move(c, CONN_LAST);
        server_mark_dirty(c);
    }
}

void server_forget(struct http_server *s)
{
    assert(s->handles_open > 0);
    if (--s->handles_open > 0) {
        return;
    }
    void (*done)(void *) = s->done;
    void *ctx = s->done_ctx;
    free(s->head.fields);
    buf_release(&s->spare);
    free(s);
    if (done) {
        done(ctx);
    }
}

static void server_close_all(struct http_server *s)
{
    for (int state = 0; state < CONN_CLOSED; state++) {
        struct list *node;
        while ((node = list_first(&s->by_state[state]))) {
            connection_close(CONTAINER_OF(node, struct connection, by_state));
        }
    }
}

static void on_own_handle_closed(uv_handle_t *handle)
{
    server_forget(handle->data);
}

void http_server_close(struct http_server *s, void (*done)(void *ctx), void *ctx)
{
    assert(!s->closing);
    s->closing = true;
    s->draining = true;
    s->done = done;
    s->done_ctx = ctx;
    server_stop_listening(s);
    server_close_all(s);
    uv_handle_t *own[] = {(uv_handle_t *)&s->timer, (uv_handle_t *)&s->before_poll,
                          (uv_handle_t *)&s->awake};
    for (size_t i = 0; i < 3; i++) {
        own[i]->data = s;
        uv_close(own[i], on_own_handle_closed);
    }
}

void http_server_stats(const struct http_server *s, struct http_stats *stats)
{
    *stats = s->stats;
}
