/*
 * A connection and its request, as the files of src/http see them; http.h is the interface.
 *
 * A connection is in one state, which is the list it stands in; connection_move is the only way
 * from one to another (the essay and the table are in connection.c). A request is a part of its
 * connection: there is one at a time.
 */
#ifndef SLUICE_HTTP_CONNECTION_H
#define SLUICE_HTTP_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "http/chunk.h"
#include "http/head.h"
#include "http/http.h"

#define HTTP_PIPELINED_BYTES_MAX 65536        /* kept while a request is with the handler */
#define HTTP_UNSENT_BYTES_MAX    262144       /* no further request is taken above this */
#define HTTP_REPLY_BYTES_MAX     (256u << 20) /* head and body of one reply, and what is unsent */
#define HTTP_FIELDS_BYTES_MAX    8192         /* the handler's own headers of one reply */
#define HTTP_LINGER_US           INT64_C(2000000)
#define HTTP_STALL_CHECK_US      INT64_C(250000)

enum connection_state {
    CONN_IDLE,      /* nothing of a request has come */
    CONN_HEAD,      /* a part of a head */
    CONN_BODY,      /* a whole head and a part of the body */
    CONN_HANDLED,   /* the request is with the handler */
    CONN_STALLED,   /* the same, and so much is pipelined behind it that reading stopped */
    CONN_STREAMING, /* the handler has begun a chunked reply */
    CONN_CHOKED,    /* the same, with too much behind it */
    CONN_LAST,      /* the last reply is being sent; nothing is taken any more */
    CONN_LINGER,    /* it is sent; what still comes is dropped until the peer has left */
    CONN_CLOSED,    /* the socket is being closed */
    CONN_STATES
};

struct http_request {
    void (*gone)(void *ctx); /* NULL unless parked */
    void *ctx;
    struct buf fields; /* the handler's own headers for the reply */
    bool keep_alive;
    bool is_head;
    bool is_http10;
};

/* What uv_write still has in hand; there is none while uv_try_write suffices. */
struct sending {
    uv_write_t write;
    struct buf bytes;
    size_t unsent;
};

struct connection {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    struct http_server *server;
    struct list by_state;
    struct list by_write;    /* held while something is unsent */
    struct list dirty;       /* held while the end of the turn has something to do */
    int64_t since_us;        /* when the state was entered */
    int64_t write_us;        /* when the peer last took something, while held by by_write */
    struct buf in;           /* received and not used yet; no memory while there is nothing */
    struct buf out;          /* replies of this turn; no memory while there is nothing */
    struct sending *sending; /* NULL while uv_write has nothing */
    struct body *body;       /* NULL unless a body is arriving */
    struct http_request request;
    size_t searched; /* how far the head at hand was searched for its end */
    uint8_t state;
    bool reading;
    bool ended;    /* the peer has ended its side */
    bool doomed;   /* a stream's cap was reached, or memory failed: cut at the end of the turn */
    bool refusing; /* counted among those over the cap */
};

/* The body that is arriving: the connection's `in` holds the head, then the payload so far. */
struct body {
    size_t head_bytes;
    uint64_t length; /* unless chunked */
    bool chunked;
    struct chunk_decoder decoder;
    size_t payload;
};

/* --- connection.c --- */

struct connection *connection_new(struct http_server *s, bool is_pipe);
void connection_start(struct connection *c);
void connection_move(struct connection *c, enum connection_state to);
/* Sends a reply at once where the end of the turn would do no more, or leaves it to that. */
void connection_send(struct connection *c);
/* Gives `out` the memory that another connection's replies have left, if there is some. */
void connection_lend_room(struct connection *c);
/* The end of a turn: takes what is pipelined, sends what is to be sent. */
void connection_settle(struct connection *c);
void connection_refuse(struct connection *c, int status, const char *reason);
void connection_close(struct connection *c);
/* Handles the passing of its state's deadline. */
void connection_expire(struct connection *c);
void connection_expire_write(struct connection *c);
/* How long a connection may be in a state; 0 is for ever. */
int64_t connection_state_timeout_us(const struct http_server *s, enum connection_state state);
bool connection_with_handler(const struct connection *c);
bool connection_streams(const struct connection *c); /* its reply has begun, in pieces */
size_t connection_unsent(const struct connection *c);

static inline struct connection *connection_of(struct http_request *req)
{
    return CONTAINER_OF(req, struct connection, request);
}

/* --- reply.c --- */

void reply_write(struct connection *c, int status, const char *content_type, struct text body);

#endif
