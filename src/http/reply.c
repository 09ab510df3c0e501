/*
 * Replies. A whole reply goes into the connection's `out` in one piece; a stream is chunked, or,
 * for an HTTP/1.0 client, as long as the connection lives.
 */
#include "http/server.h"

#include <assert.h>

#define HEAD_BYTES_GUESS 192

struct phrase {
    int status;
    const char *words;
};

static const struct phrase phrases[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {529, "Overloaded"},
};

static const char *phrase_of(int status)
{
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        if (phrases[i].status == status) {
            return phrases[i].words;
        }
    }
    return "Unknown";
}

static bool has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* The status line and all fields but those of the body's length. */
static void add_head(struct connection *c, int status, const char *content_type)
{
    struct buf *out = &c->out;
    buf_add_str(out, "HTTP/1.1 ");
    buf_add_i64(out, status);
    buf_add_char(out, ' ');
    buf_add_str(out, phrase_of(status));
    buf_add_str(out, "\r\n");
    if (content_type && has_body(status)) {
        buf_add_str(out, "Content-Type: ");
        buf_add_str(out, content_type);
        buf_add_str(out, "\r\n");
    }
    buf_add_text(out, buf_text(&c->request.fields));
    out->failed |= c->request.fields.failed;
    buf_release(&c->request.fields);
    if (!c->request.keep_alive) {
        buf_add_str(out, "Connection: close\r\n");
    } else if (c->request.is_http10) {
        buf_add_str(out, "Connection: keep-alive\r\n");
    }
}

void reply_write(struct connection *c, int status, const char *content_type, struct text body)
{
    struct buf *out = &c->out;
    assert(status >= 200 && status <= 999);
    connection_lend_room(c);
    buf_reserve(out, HEAD_BYTES_GUESS + c->request.fields.len + body.len);
    add_head(c, status, content_type);
    if (has_body(status)) {
        buf_add_str(out, "Content-Length: ");
        buf_add_u64(out, body.len);
        buf_add_str(out, "\r\n");
    }
    buf_add_str(out, "\r\n");
    if (has_body(status) && !c->request.is_head) {
        buf_add_text(out, body);
    }
}

/* The reply is complete: the connection is free for its next request, or has had its last. What is
 * still to be sent is the caller's to see to. */
static void request_end(struct connection *c)
{
    if (c->server->shown == &c->request) {
        c->server->shown = NULL;
    }
    c->request.gone = NULL;
    c->request.keep_alive = c->request.keep_alive && !c->doomed;
    connection_move(c, c->request.keep_alive ? CONN_IDLE : CONN_LAST);
}

/* Decides whether the connection outlives the reply that is about to begin. */
static void settle_keep_alive(struct connection *c)
{
    if (c->server->draining) {
        c->request.keep_alive = false;
    }
}

void http_reply_header(struct http_request *req, const char *name, const char *value)
{
    assert(!strpbrk(name, "\r\n") && !strpbrk(value, "\r\n"));
    buf_addf(&req->fields, "%s: %s\r\n", name, value);
}

void http_reply(struct http_request *req, int status, const char *content_type, struct text body)
{
    struct connection *c = connection_of(req);
    if (c->state == CONN_CLOSED) {
        return; /* the handler closed the server before it answered */
    }
    assert(c->state == CONN_HANDLED || c->state == CONN_STALLED);
    bool parked = req->gone != NULL;
    settle_keep_alive(c);
    reply_write(c, status, content_type, body);
    request_end(c);
    if (parked) {
        connection_send(c); /* its turn is over: nothing more will gather with it */
    } else {
        server_mark_dirty(c);
    }
}

void http_stream_begin(struct http_request *req, int status, const char *content_type)
{
    struct connection *c = connection_of(req);
    if (c->state == CONN_CLOSED) {
        return;
    }
    assert(c->state == CONN_HANDLED || c->state == CONN_STALLED);
    assert(has_body(status));
    settle_keep_alive(c);
    if (req->is_http10) {
        req->keep_alive = false; /* the end of the connection is the end of the body */
    }
    add_head(c, status, content_type);
    buf_add_str(&c->out, req->is_http10 ? "\r\n" : "Transfer-Encoding: chunked\r\n\r\n");
    connection_move(c, c->state == CONN_HANDLED ? CONN_STREAMING : CONN_CHOKED);
    server_mark_dirty(c);
}

/* A chunk's length, as the protocol writes it. */
static void add_hex(struct buf *out, size_t n)
{
    char digits[2 * sizeof(n)];
    size_t at = sizeof(digits);
    do {
        digits[--at] = "0123456789abcdef"[n & 15];
        n >>= 4;
    } while (n);
    buf_add(out, digits + at, sizeof(digits) - at);
}

static void add_chunk(struct connection *c, struct text bytes)
{
    if (c->request.is_http10) {
        buf_add_text(&c->out, bytes);
        return;
    }
    add_hex(&c->out, bytes.len);
    buf_add_str(&c->out, "\r\n");
    buf_add_text(&c->out, bytes);
    buf_add_str(&c->out, "\r\n");
}

bool http_stream_write(struct http_request *req, struct text bytes)
{
    struct connection *c = connection_of(req);
    if (c->state == CONN_CLOSED) {
        return false;
    }
    assert(connection_streams(c));
    server_mark_dirty(c);
    if (bytes.len > c->server->options.stream_bytes_max ||
        connection_unsent(c) > c->server->options.stream_bytes_max - bytes.len) {
        c->doomed = true;
    }
    if (!c->doomed && bytes.len && !req->is_head) {
        add_chunk(c, bytes);
    }
    return !c->doomed && !c->out.failed;
}

void http_stream_end(struct http_request *req)
{
    struct connection *c = connection_of(req);
    if (c->state == CONN_CLOSED) {
        return;
    }
    assert(connection_streams(c));
    if (!req->is_http10 && !req->is_head) {
        buf_add_str(&c->out, "0\r\n\r\n");
    }
    request_end(c);
    server_mark_dirty(c);
}

void http_stream_abort(struct http_request *req)
{
    struct connection *c = connection_of(req);
    if (c->state == CONN_CLOSED) {
        return;
    }
    c->doomed = true;
    request_end(c);
    server_mark_dirty(c);
}
