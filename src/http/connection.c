/*
 * The life of a connection.
 *
 * Bytes are read into one buffer that all connections of a server share. As long as whole requests
 * arrive, the handler looks at them there and nothing is copied; only what is left over, a part of
 * a request or requests behind one that is with the handler, is kept in the connection's own `in`.
 * So an idle or parked connection holds no buffer at all.
 *
 * A connection stands in the list of its state:
 *
 *   IDLE ──> HEAD ──> BODY ──> HANDLED <──> STALLED        a request is received and handled
 *     ^                          │  └──> STREAMING <──> CHOKED
 *     │                          │           │             its reply is written in pieces
 *     └──────────────────────────┴───────────┘             the reply is complete: keep-alive
 *   any of these ──> LAST ──> LINGER ──> CLOSED            the last reply, or a refusal
 *   any ──> CLOSED                                         the peer has left, or time is up
 *
 * Steps may be skipped where everything arrives at once; `moves` lists what is allowed. All
 * connections of a list have the same timeout and join it at its end, so the first is always the
 * next to expire, and one timer serves all of them.
 *
 * Replies are gathered in `out` and sent at the end of the loop's turn (connection_settle), by
 * uv_try_write, and by uv_write for what the socket does not take. The reply to a request that was
 * parked is sent at once (connection_send): nothing else is about to gather. While much is unsent
 * no further request is taken, so a client that does not read its replies costs a bounded amount.
 *
 * A hang-up is noticed because reading goes on while the handler has the request. Only a client
 * that pipelines more than HTTP_PIPELINED_BYTES_MAX behind it makes reading stop; such a STALLED or
 * CHOKED connection is looked at every HTTP_STALL_CHECK_US instead. The peer's end of stream counts
 * as a hang-up while a request is with the handler: over TCP it cannot be told from one.
 *
 * After the last reply the sending side is shut down first, and what still arrives is read and
 * dropped for a while (LINGER): closing at once would reset the connection, and the reset may
 * overtake the reply.
 */
#include "http/server.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#define M(state) (1u << CONN_##state)

static const uint16_t moves[CONN_STATES] = {
    [CONN_IDLE] = M(HEAD) | M(BODY) | M(HANDLED) | M(LAST) | M(CLOSED),
    [CONN_HEAD] = M(BODY) | M(HANDLED) | M(LAST) | M(CLOSED),
    [CONN_BODY] = M(HANDLED) | M(LAST) | M(CLOSED),
    [CONN_HANDLED] = M(IDLE) | M(STALLED) | M(STREAMING) | M(LAST) | M(CLOSED),
    [CONN_STALLED] = M(IDLE) | M(HANDLED) | M(CHOKED) | M(LAST) | M(CLOSED),
    [CONN_STREAMING] = M(IDLE) | M(CHOKED) | M(LAST) | M(CLOSED),
    [CONN_CHOKED] = M(IDLE) | M(STREAMING) | M(LAST) | M(CLOSED),
    [CONN_LAST] = M(LINGER) | M(CLOSED),
    [CONN_LINGER] = M(CLOSED),
    [CONN_CLOSED] = 0,
};

bool connection_streams(const struct connection *c)
{
    return c->state == CONN_STREAMING || c->state == CONN_CHOKED;
}

bool connection_with_handler(const struct connection *c)
{
    return c->state == CONN_HANDLED || c->state == CONN_STALLED || connection_streams(c);
}

size_t connection_unsent(const struct connection *c)
{
    return c->out.len + (c->sending ? c->sending->unsent : 0);
}

int64_t connection_state_timeout_us(const struct http_server *s, enum connection_state state)
{
    switch (state) {
    case CONN_IDLE: return s->options.idle_timeout_us;
    case CONN_HEAD: return s->options.header_timeout_us;
    case CONN_BODY: return s->options.body_timeout_us;
    case CONN_STALLED:
    case CONN_CHOKED: return HTTP_STALL_CHECK_US;
    case CONN_LINGER: return HTTP_LINGER_US;
    default: return 0;
    }
}

static void connection_enter(struct connection *c, enum connection_state state)
{
    struct http_server *s = c->server;
    c->state = (uint8_t)state;
    c->since_us = server_now_us(s);
    list_append(&s->by_state[state], &c->by_state);
    int64_t timeout_us = connection_state_timeout_us(s, state);
    if (timeout_us) {
        server_wake_at(s, c->since_us + timeout_us);
    }
}

void connection_move(struct connection *c, enum connection_state to)
{
    assert(moves[c->state] & (1u << to));
    bool was_with_handler = connection_with_handler(c);
    list_remove(&c->by_state);
    connection_enter(c, to);
    if (connection_with_handler(c) != was_with_handler) {
        c->server->stats.parked += was_with_handler ? (size_t)-1 : 1;
    }
    assert((c->state == CONN_BODY) == (c->body != NULL));
}

/* --- The end of a connection. --- */

static void connection_free(uv_handle_t *handle)
{
    struct connection *c = CONTAINER_OF(handle, struct connection, handle);
    struct http_server *s = c->server;
    assert(c->state == CONN_CLOSED && !c->sending);
    list_remove(&c->by_state);
    buf_release(&c->in); /* not before: a handler may have been reading there */
    if (c->refusing) {
        s->refusing--;
    } else {
        s->stats.connections--;
    }
    free(c);
    server_forget(s);
}

static void connection_drop_body(struct connection *c)
{
    free(c->body);
    c->body = NULL;
}

void connection_close(struct connection *c)
{
    if (c->state == CONN_CLOSED) {
        return;
    }
    void (*gone)(void *) = connection_with_handler(c) ? c->request.gone : NULL;
    connection_drop_body(c);
    connection_move(c, CONN_CLOSED);
    list_remove(&c->by_write);
    list_remove(&c->dirty);
    buf_release(&c->request.fields);
    buf_release(&c->out);
    c->searched = 0;
    uv_close(&c->handle, connection_free);
    if (gone) {
        gone(c->request.ctx);
    }
}

/* Everything is sent: ends our side, and waits for the peer to end its own. */
static void connection_linger(struct connection *c)
{
    uv_os_fd_t fd;
    if (c->ended || uv_fileno(&c->handle, &fd) || shutdown(fd, SHUT_WR)) {
        connection_close(c);
        return;
    }
    connection_move(c, CONN_LINGER);
}

void connection_refuse(struct connection *c, int status, const char *reason)
{
    struct http_server *s = c->server;
    struct buf body;
    s->stats.refused++;
    buf_init(&body, HTTP_REPLY_BYTES_MAX);
    if (s->options.error_body) {
        s->options.error_body(s->options.ctx, status, reason, &body);
    }
    c->request.keep_alive = false;
    c->request.is_head = false;
    c->request.is_http10 = false;
    reply_write(c, status, body.len ? "application/json" : NULL, buf_text(&body));
    buf_release(&body);
    connection_drop_body(c);
    connection_move(c, CONN_LAST);
    server_mark_dirty(c);
}

/* --- Taking requests. --- */

/* Gives the request whose head is in the server's `head` to the handler. */
static void connection_deliver(struct connection *c, struct text body)
{
    struct http_server *s = c->server;
    assert(!s->shown);
    c->request.gone = NULL;
    c->request.keep_alive = s->head.keep_alive;
    c->request.is_head = text_equal(s->head.method, TEXT("HEAD"));
    c->request.is_http10 = s->head.minor == 0;
    connection_move(c, CONN_HANDLED);
    s->stats.requests++;
    s->body = body;
    s->shown = &c->request;
    s->options.handler(s->options.ctx, &c->request);
    s->shown = NULL;
    assert(!connection_with_handler(c) || c->request.gone); /* answered or parked */
}

/* The head is whole and the body is not: the bytes will be kept from the head on. */
static int connection_begin_body(struct connection *c, bool any_came)
{
    struct http_server *s = c->server;
    struct body *body = malloc(sizeof(*body));
    if (!body) {
        return 503;
    }
    *body = (struct body){
        .head_bytes = s->head.bytes, .length = s->head.length, .chunked = s->head.chunked};
    chunk_init(&body->decoder);
    c->body = body;
    connection_move(c, CONN_BODY);
    if (s->head.expects_continue && !any_came) {
        buf_add_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
        server_mark_dirty(c);
    }
    return 0;
}

/* Finds and judges the head at the front of `bytes`. The head's `bytes` stays 0 while its end is
 * missing. */
static int take_head(struct connection *c, struct text bytes, const char **reason)
{
    struct http_server *s = c->server;
    int status = head_find_end(&s->head, bytes, &c->searched, reason);
    if (status || s->head.bytes == 0) {
        return status;
    }
    status = head_parse(&s->head, (struct text){bytes.at, s->head.bytes}, reason);
    if (!status && s->head.length > s->options.body_bytes_max) {
        *reason = "the body is too large";
        return 413;
    }
    return status;
}

/* Takes the request at the front of `bytes`, if it is whole, and returns its length. */
static size_t take_request(struct connection *c, struct text bytes)
{
    struct head *head = &c->server->head;
    const char *reason = "out of memory";
    if (c->state == CONN_IDLE && bytes.at[0] == '\r' && (bytes.len == 1 || bytes.at[1] == '\n')) {
        return bytes.len == 1 ? 0 : 2; /* an empty line before a request is allowed */
    }
    int status = take_head(c, bytes, &reason);
    if (!status && head->bytes == 0) {
        if (c->state == CONN_IDLE) {
            connection_move(c, CONN_HEAD);
        }
        return 0;
    }
    c->searched = 0;
    size_t behind = bytes.len - head->bytes;
    if (!status && !head->chunked && head->length <= behind) {
        size_t total = head->bytes + (size_t)head->length;
        connection_deliver(c, (struct text){bytes.at + head->bytes, (size_t)head->length});
        return total;
    }
    if (!status) {
        status = connection_begin_body(c, behind > 0);
    }
    if (status) {
        connection_refuse(c, status, reason);
    }
    return 0;
}

/* Takes the requests that stand whole in `bytes`, and returns how much of it they were. */
static size_t take_requests(struct connection *c, struct text bytes)
{
    size_t used = 0;
    while (used < bytes.len && (c->state == CONN_IDLE || c->state == CONN_HEAD) &&
           connection_unsent(c) <= HTTP_UNSENT_BYTES_MAX) {
        size_t n = take_request(c, (struct text){bytes.at + used, bytes.len - used});
        if (n == 0) {
            break;
        }
        used += n;
    }
    return used;
}

/* Decodes the chunks that have arrived behind the payload; 200 when the body is whole. */
static int decode_chunks(struct connection *c)
{
    struct body *body = c->body;
    size_t at = body->head_bytes + body->payload;
    size_t taken = 0;
    size_t put = 0;
    int status = chunk_decode(&body->decoder, c->in.at + at, c->in.at + at, c->in.len - at,
                              c->server->options.body_bytes_max, &taken, &put);
    size_t left = c->in.len - at - taken;
    memmove(c->in.at + at + put, c->in.at + at + taken, left);
    c->in.len = at + put + left;
    body->payload += put;
    return status;
}

/* Whether the body has arrived as a whole: 200, 0 if not yet, or a status to refuse with. */
static int body_progress(struct connection *c)
{
    struct body *body = c->body;
    if (body->chunked) {
        return decode_chunks(c);
    }
    if (c->in.len - body->head_bytes < body->length) {
        return 0;
    }
    body->payload = (size_t)body->length;
    return 200;
}

/* Hands the request over if its body is whole now. False when it is not, or was refused. */
static bool take_body(struct connection *c)
{
    struct http_server *s = c->server;
    int status = body_progress(c);
    if (status == 0) {
        return false;
    }
    if (status != 200) {
        connection_refuse(c, status,
                          status == 413 ? "the body is too large" : "a chunk is malformed");
        return false;
    }
    size_t head_bytes = c->body->head_bytes;
    size_t payload = c->body->payload;
    const char *reason = NULL;
    connection_drop_body(c);
    status = head_parse(&s->head, (struct text){c->in.at, head_bytes}, &reason);
    assert(status == 0); /* it passed when the body began */
    connection_deliver(c, (struct text){c->in.at + head_bytes, payload});
    buf_shift(&c->in, head_bytes + payload);
    return true;
}

static bool takes_input(const struct connection *c)
{
    return c->state != CONN_LAST && c->state != CONN_LINGER && c->state != CONN_CLOSED;
}

/* Goes on with what is kept in `in`, and frees it when it is used up. */
static void take_kept(struct connection *c)
{
    while (c->in.len > 0 && takes_input(c)) {
        if (c->state == CONN_BODY) {
            if (!take_body(c)) {
                break;
            }
            continue;
        }
        buf_shift(&c->in, take_requests(c, buf_text(&c->in)));
        if (c->state != CONN_BODY) {
            break;
        }
    }
    if (c->in.len == 0 || !takes_input(c)) {
        buf_release(&c->in);
    }
}

/* --- Reading. --- */

static void connection_stop_reading(struct connection *c)
{
    uv_read_stop(&c->stream);
    c->reading = false;
    if (c->state == CONN_HANDLED || c->state == CONN_STREAMING) {
        connection_move(c, c->state == CONN_HANDLED ? CONN_STALLED : CONN_CHOKED);
    }
}

/* Whether as much is kept as may be. A request that is arriving has caps of its own. */
static bool connection_is_full(const struct connection *c)
{
    return c->state != CONN_HEAD && c->state != CONN_BODY && takes_input(c) &&
           c->in.len >= HTTP_PIPELINED_BYTES_MAX;
}

static void connection_keep(struct connection *c, struct text bytes)
{
    buf_add_text(&c->in, bytes);
    if (c->in.failed) {
        connection_close(c);
    }
}

/* Takes what has arrived; the request's handler may be called, several times. */
static void connection_take(struct connection *c, struct text bytes)
{
    if (!takes_input(c)) {
        return;
    }
    if (c->in.len == 0) {
        size_t used = take_requests(c, bytes);
        bytes = (struct text){bytes.at + used, bytes.len - used};
    }
    if (bytes.len == 0 || !takes_input(c)) {
        return;
    }
    connection_keep(c, bytes);
    take_kept(c);
    if (connection_is_full(c)) {
        connection_stop_reading(c);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct connection *c = CONTAINER_OF(handle, struct connection, handle);
    (void)suggested;
    *buf = uv_buf_init(c->server->read_bytes, sizeof(c->server->read_bytes));
}

/* The peer has ended its side, or the connection is broken. */
static void connection_end(struct connection *c, ssize_t why)
{
    c->ended = true;
    c->reading = false;
    if (why != UV_EOF || connection_with_handler(c) || connection_unsent(c) == 0) {
        connection_close(c);
        return;
    }
    if (c->state != CONN_LAST) {
        connection_drop_body(c);
        connection_move(c, CONN_LAST);
    }
    server_mark_dirty(c);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct connection *c = CONTAINER_OF(stream, struct connection, stream);
    if (nread > 0) {
        c->server->stats.bytes_in += (uint64_t)nread;
        connection_take(c, (struct text){buf->base, (size_t)nread});
    } else if (nread < 0 && c->state != CONN_CLOSED) {
        connection_end(c, nread);
    }
}

static void connection_read(struct connection *c)
{
    if (!c->reading && !c->ended) {
        c->reading = uv_read_start(&c->stream, on_alloc, on_read) == 0;
        if (!c->reading) {
            connection_close(c);
        }
    }
}

/* Reads again once there is room for what comes. */
static void connection_resume(struct connection *c)
{
    if (c->reading || c->state == CONN_CLOSED || connection_is_full(c)) {
        return;
    }
    if (c->state == CONN_STALLED || c->state == CONN_CHOKED) {
        connection_move(c, c->state == CONN_STALLED ? CONN_HANDLED : CONN_STREAMING);
    }
    connection_read(c);
}

/* --- Sending. --- */

static void on_written(uv_write_t *write, int status)
{
    struct sending *sending = CONTAINER_OF(write, struct sending, write);
    struct connection *c = write->data;
    c->sending = NULL;
    list_remove(&c->by_write);
    buf_release(&sending->bytes);
    free(sending);
    if (c->state == CONN_CLOSED) {
        return;
    }
    if (status < 0) {
        connection_close(c);
        return;
    }
    server_mark_dirty(c);
}

/* Leaves to libuv what the socket did not take; `out` moves over. */
static bool connection_send_rest(struct connection *c, size_t sent)
{
    struct http_server *s = c->server;
    struct sending *sending = malloc(sizeof(*sending));
    if (!sending) {
        return false;
    }
    sending->bytes = c->out;
    sending->write.data = c;
    sending->unsent = c->out.len - sent;
    uv_buf_t rest = uv_buf_init(c->out.at + sent, (unsigned)sending->unsent);
    if (uv_write(&sending->write, &c->stream, &rest, 1, on_written)) {
        free(sending);
        return false;
    }
    buf_init(&c->out, HTTP_REPLY_BYTES_MAX);
    c->sending = sending;
    c->write_us = server_now_us(s);
    list_append(&s->by_write, &c->by_write);
    server_wake_at(s, c->write_us + s->options.write_timeout_us);
    return true;
}

void connection_lend_room(struct connection *c)
{
    struct http_server *s = c->server;
    if (!c->out.at && s->spare.at) {
        bool failed = c->out.failed;
        c->out = s->spare;
        c->out.failed = failed;
        buf_init(&s->spare, HTTP_REPLY_BYTES_MAX);
    }
}

/* All of `out` is sent. */
static void connection_drop_out(struct connection *c)
{
    struct http_server *s = c->server;
    if (s->spare.at || c->out.size > HTTP_SPARE_BYTES_MAX) {
        buf_release(&c->out);
        return;
    }
    s->spare = c->out;
    buf_clear(&s->spare);
    buf_init(&c->out, HTTP_REPLY_BYTES_MAX);
}

/* Sends what has gathered. False where the connection is broken. */
static bool connection_flush(struct connection *c)
{
    if (c->sending || c->out.len == 0) {
        return !c->out.failed;
    }
    if (c->out.failed) {
        return false;
    }
    uv_buf_t all = uv_buf_init(c->out.at, (unsigned)c->out.len);
    int n = uv_try_write(&c->stream, &all, 1);
    if (n < 0 && n != UV_EAGAIN) {
        return false;
    }
    size_t sent = n < 0 ? 0 : (size_t)n;
    c->server->stats.bytes_out += c->out.len;
    if (sent < c->out.len) {
        return connection_send_rest(c, sent);
    }
    connection_drop_out(c);
    return true;
}

void connection_send(struct connection *c)
{
    bool only_sends = c->state == CONN_IDLE && c->reading && c->in.len == 0;
    if (!only_sends || list_holds(&c->dirty) || !connection_flush(c)) {
        server_mark_dirty(c);
    }
}

void connection_settle(struct connection *c)
{
    if (c->in.len) {
        take_kept(c);
    }
    if (c->state == CONN_CLOSED) {
        return;
    }
    bool held_up = connection_unsent(c) > HTTP_UNSENT_BYTES_MAX;
    bool intact = connection_flush(c);
    if (c->doomed || !intact) {
        connection_close(c);
        return;
    }
    if (c->state == CONN_LAST && connection_unsent(c) == 0) {
        connection_linger(c);
    }
    if (held_up && connection_unsent(c) <= HTTP_UNSENT_BYTES_MAX) {
        server_mark_dirty(c); /* requests that were kept may be taken now */
    }
    connection_resume(c);
}

/* --- Deadlines. --- */

/* Whether the peer has gone although nothing is read. */
static bool peer_has_left(const struct connection *c)
{
    struct pollfd p = {.events = POLLRDHUP};
    return uv_fileno(&c->handle, &p.fd) || (poll(&p, 1, 0) > 0 && p.revents);
}

void connection_expire(struct connection *c)
{
    switch (c->state) {
    case CONN_HEAD: connection_refuse(c, 408, "the headers took too long"); break;
    case CONN_BODY: connection_refuse(c, 408, "the body took too long"); break;
    case CONN_STALLED:
    case CONN_CHOKED:
        if (peer_has_left(c)) {
            connection_close(c);
        } else {
            list_remove(&c->by_state);
            connection_enter(c, c->state);
        }
        break;
    default: connection_close(c);
    }
}

void connection_expire_write(struct connection *c)
{
    struct http_server *s = c->server;
    size_t unsent = uv_stream_get_write_queue_size(&c->stream);
    if (unsent >= c->sending->unsent) {
        connection_close(c);
        return;
    }
    c->sending->unsent = unsent;
    c->write_us = server_now_us(s);
    list_remove(&c->by_write);
    list_append(&s->by_write, &c->by_write);
}

/* --- The beginning of a connection. --- */

struct connection *connection_new(struct http_server *s, bool is_pipe)
{
    struct connection *c = calloc(1, sizeof(*c));
    if (!c) {
        return NULL;
    }
    int failed = is_pipe ? uv_pipe_init(s->loop, &c->pipe, 0) : uv_tcp_init(s->loop, &c->tcp);
    if (failed) {
        free(c);
        return NULL;
    }
    c->server = s;
    list_init(&c->by_write);
    list_init(&c->dirty);
    buf_init(&c->in, s->options.header_bytes_max + s->options.body_bytes_max +
                         HTTP_PIPELINED_BYTES_MAX + HTTP_READ_BYTES);
    buf_init(&c->out, HTTP_REPLY_BYTES_MAX);
    buf_init(&c->request.fields, HTTP_FIELDS_BYTES_MAX);
    connection_enter(c, CONN_IDLE);
    s->handles_open++;
    return c;
}

void connection_start(struct connection *c)
{
    connection_read(c);
}
