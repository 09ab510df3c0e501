/*
 * The server behind http.h, as the files of src/http see it.
 *
 * Invariants: each connection stands in the list of its state, and in `dirty` while the end of the
 * turn has something to do for it; the texts of at most one request are shown at a time; the server
 * is freed when the last of its libuv handles is closed.
 */
#ifndef SLUICE_HTTP_SERVER_H
#define SLUICE_HTTP_SERVER_H

#include "http/connection.h"

#define HTTP_READ_BYTES      65536 /* one shared buffer a server */
#define HTTP_ACCEPT_RETRY_US INT64_C(100000)
#define HTTP_SPARE_BYTES_MAX 4096
#define HTTP_REFUSING_MAX    64 /* connections over the cap that are being told so */

struct listener {
    struct list node;
    struct http_server *server;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    bool is_pipe;
    bool pending; /* a connection could not be taken for want of memory; tried again later */
};

struct http_server {
    uv_loop_t *loop;
    struct http_options options;
    uv_timer_t timer;
    uv_prepare_t before_poll;
    uv_idle_t awake; /* active while `dirty` is not empty: the loop must not sleep */
    struct list listeners;
    struct list by_state[CONN_STATES];
    struct list by_write;
    struct list dirty;
    struct list dirty_last; /* stands in `dirty` while a turn settles, behind what it began with */
    int64_t timer_due_us;   /* INT64_MAX while the timer is stopped */
    struct head head;       /* of the request that the handler is looking at */
    struct text body;
    const struct http_request *shown; /* whose texts those are; NULL while none may be read */
    struct buf spare;                 /* the memory of replies that are sent, for the next ones */
    struct http_stats stats;
    size_t refusing;
    size_t handles_open;
    bool draining;
    bool closing;
    void (*done)(void *ctx);
    void *done_ctx;
    char read_bytes[HTTP_READ_BYTES];
};

int64_t server_now_us(const struct http_server *s);
/* Sees to it that the timer fires at that time or before. */
void server_wake_at(struct http_server *s, int64_t at_us);
void server_mark_dirty(struct connection *c);
void server_forget(struct http_server *s); /* one of its handles has been closed */

#endif
