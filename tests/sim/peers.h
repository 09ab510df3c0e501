/*
 * Peers: the network, replaced at http/http.h. Each peer has sent one request and is owed one
 * reply, or one line for each element of an array.
 *
 * What the core told a caller is noted with the peer as a promise; when the reply comes, it is read
 * back from its JSON and held against the promise (P8, P9).
 *
 * May depend on src, stage.h and world.h.
 */
#ifndef SLUICE_TESTS_SIM_PEERS_H
#define SLUICE_TESTS_SIM_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/core.h"
#include "http/http.h"
#include "stage.h"

#define PEER_CLIENTS_MAX 8

/* What an effect of the core says to a caller. */
struct promise {
    bool made;
    bool capped; /* its client may not wait, so would_wait is told as line_full */
    enum effect_kind kind;
    enum error_code code; /* REFUSE */
    char limit[NAME_LEN_MAX + 1];
    uint64_t number; /* lease or ticket */
    struct load load;
    int64_t expires_us;
    bool late;
    char resource[NAME_LEN_MAX + 1]; /* GRANT: who serves … */
    size_t step;                     /* … at which step of the route, 0: without one … */
    int64_t attempt;                 /* … and for which time */
    enum advice_action action;       /* SETTLED: what is advised … */
    uint64_t ticket;                 /* … with which ticket, or 0 … */
    int64_t after_us;                /* … and after how long */
    size_t records;                  /* which must be durable before it may be told */
};

struct http_request {
    struct http_request *next;
    struct peers *peers;
    caller_id clients[PEER_CLIENTS_MAX];
    struct promise promises[PEER_CLIENTS_MAX];
    bool answered[PEER_CLIENTS_MAX];
    int said[PEER_CLIENTS_MAX]; /* RELEASE: enum answer_class of what the provider answered, or -1
                                 */
    size_t clients_n;
    size_t promises_n; /* in a bundle: so far */
    bool array;
    char path[NAME_LEN_MAX + 1]; /* the part of it that names something */
    bool bundle;                 /* one reply with an element for each */
    bool troubled;               /* it asked while the store was in trouble */
    bool streaming;
    void (*gone)(void *ctx);
    void *ctx;
};

struct peers {
    struct http_request *first;
    struct stage *stage;
    int64_t now_us;
    size_t promised;          /* records that somebody was told of */
    const bool *store_failed; /* the driver knows that the store cannot be written */
    const bool *disk_fails;   /* … or may just meet it */
    bool lines_capped;
    uint64_t replies, failures;
};

void peers_init(struct peers *p, struct stage *stage);

/* A new peer, which the reply or its hanging up ends. */
struct http_request *peer_new(struct peers *p);

/* `said` is the class of the answer that is passed on, or -1. */
void peer_add(struct http_request *peer, caller_id client, int said);

/* The peer on which a client waits, or NULL. */
struct http_request *peer_of(const struct peers *p, caller_id client);

void peer_hang_up(struct http_request *peer);
void peers_hang_up(struct peers *p);

/* Notes what the core says to the element at `index`. */
void peer_promise(struct http_request *peer, size_t index, const struct effect *e, bool capped,
                  size_t records);

/* answer_read.c: holds a reply or line against what was promised, and tells the client. */
void answer_judge(struct http_request *peer, int status, struct text body);

#endif
