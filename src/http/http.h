/*
 * HTTP/1.1 connections on libuv: requests parsed, replies and streams written.
 *
 * What it is for: the listening side of the coordination API and of the pretend provider. It
 * parses, applies caps and timeouts, refuses smuggling shapes, keeps connections alive, and hands
 * whole requests (head and body) to one handler. A handler may answer at once or keep the request
 * and answer later: a kept ("parked") request costs a few hundred bytes, and its `gone` callback
 * runs as soon as the peer hangs up.
 * What it is not for: routing, JSON, authentication, TLS.
 *
 * Invariants: one request of a connection is with the handler at a time, and pipelined ones
 * wait for its reply; each request gets exactly one reply; after the reply, or after `gone`,
 * the request no longer exists. All calls come from the loop's thread. Objects are freed at
 * the end of a loop turn, never inside their own callback.
 *
 * May depend on src/base, libuv and the HTTP parser.
 */
#ifndef SLUICE_HTTP_HTTP_H
#define SLUICE_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/text.h"

struct http_server;
struct http_request;

/* Called once for each complete request. Before it returns, it has answered the request or parked
 * it, whether to answer later or to go on with a stream. A HEAD request is for the handler to
 * answer like GET; the body is left out here. */
typedef void http_handler(void *ctx, struct http_request *req);

/* Answers a request that never reached the handler (malformed, over a cap, unknown method): writes
 * the body of the error reply. `status` is the HTTP status, `reason` a clause for people. */
typedef void http_error_body(void *ctx, int status, const char *reason, struct buf *body);

struct http_options {
    http_handler *handler;
    http_error_body *error_body; /* NULL: an empty body */
    void *ctx;
    size_t connections_max;    /* further ones are answered 503 and closed */
    size_t header_bytes_max;   /* request line and headers, in all: 431 */
    size_t headers_max;        /* their number: 431 */
    size_t target_bytes_max;   /* 414 */
    size_t body_bytes_max;     /* 413 */
    size_t stream_bytes_max;   /* unsent bytes of one stream; a slower reader is cut off */
    int64_t header_timeout_us; /* from the first byte of a request to the end of its headers: 408 */
    int64_t body_timeout_us;   /* from the end of the headers to the end of the body: 408 */
    int64_t idle_timeout_us;   /* keep-alive without a request */
    int64_t write_timeout_us;  /* a reply that the peer does not take */
};

/* Sensible values for all but handler and ctx. */
void http_options_default(struct http_options *o);

/* A server on `loop`, not yet listening. 0 or ERR_NO_MEMORY. Options are copied. */
int http_server_new(uv_loop_t *loop, const struct http_options *options,
                    struct http_server **server);

/* Listens on "HOST:PORT", "[V6]:PORT" or "unix:PATH"; port 0 lets the system choose. May be called
 * several times. On failure returns ERR_INVALID_REQUEST (address) or ERR_INTERNAL (system), and
 * says why. */
int http_server_listen(struct http_server *server, const char *address, struct buf *why);

/* The port of the n-th listener; 0 for a unix socket. */
int http_server_port(const struct http_server *server, size_t n);

/* Stops accepting and closes idle connections; those with a request are closed after its reply. */
void http_server_drain(struct http_server *server);

/* Closes everything that is left (each parked request's `gone` is called), then calls `done` from a
 * later loop turn, when the server no longer exists. */
void http_server_close(struct http_server *server, void (*done)(void *ctx), void *ctx);

struct http_stats {
    size_t connections;
    size_t parked; /* requests with the handler */
    uint64_t accepted;
    uint64_t requests;
    uint64_t refused; /* answered without the handler */
    uint64_t bytes_in;
    uint64_t bytes_out;
};

void http_server_stats(const struct http_server *server, struct http_stats *stats);

/* 0 where an address can be listened on as far as its words go, or ERR_INVALID_REQUEST with a
 * clause in `why`. */
int http_address_check(const char *address, struct buf *why);

/* Whether an address reaches only this machine: 127.0.0.0/8, ::1, localhost, unix sockets. */
bool http_address_is_loopback(const char *address);

/* --- A request. Texts are valid until the handler returns, parks the request, or replies. --- */

struct text http_method(const struct http_request *req);
struct text http_path(const struct http_request *req);  /* as sent, not decoded, before '?' */
struct text http_query(const struct http_request *req); /* after '?', may be empty */
struct text http_body(const struct http_request *req);
/* The value of a header, by its lower-case name; empty where there is none. */
struct text http_header(const struct http_request *req, const char *name);
/* The value of a query parameter, percent-decoded into `out`; false where there is none, it is
 * malformed, or `out` has failed. */
bool http_query_get(const struct http_request *req, const char *name, struct buf *out);

/* Whether the query has no parameter but those of `names`, which NULL ends; else `other` is the
 * first of the others, as sent. */
bool http_query_only(const struct http_request *req, const char *const *names, struct text *other);

/* Whether all of the query can be decoded. */
bool http_query_well_formed(const struct http_request *req);

/* Keeps the request for later and frees its texts. `gone` (not NULL) is called at most once, if the
 * connection ends before the reply: the peer hung up, a stream passed its cap, or the server
 * closes. The request must not be touched in it nor after it. Never called from within the
 * handler's own calls on this request. */
void http_request_park(struct http_request *req, void (*gone)(void *ctx), void *ctx);

/* --- The reply. --- */

/* Adds a header to the reply to come. Name and value must not hold line ends. */
void http_reply_header(struct http_request *req, const char *name, const char *value);

/* Answers with a whole body and ends the request. HEAD is answered without the body. */
void http_reply(struct http_request *req, int status, const char *content_type, struct text body);

/* Begins a chunked reply. The request goes on existing until http_stream_end or `gone`. Before
 * it, park the request to learn of a hang-up. */
void http_stream_begin(struct http_request *req, int status, const char *content_type);

/* Sends bytes now; writes of one loop turn are gathered. False where the stream's cap was
 * reached, after which `gone` follows. */
bool http_stream_write(struct http_request *req, struct text bytes);

void http_stream_end(struct http_request *req);

/* Cuts the connection without a proper end: for pretending trouble. Frees the request. */
void http_stream_abort(struct http_request *req);

#endif
