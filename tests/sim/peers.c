#include "peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void peers_init(struct peers *p, struct stage *stage)
{
    memset(p, 0, sizeof(*p));
    p->stage = stage;
}

struct http_request *peer_new(struct peers *p)
{
    struct http_request *peer = calloc(1, sizeof(*peer));
    if (!peer) {
        abort();
    }
    peer->peers = p;
    peer->troubled = *p->store_failed || *p->disk_fails;
    peer->next = p->first;
    p->first = peer;
    return peer;
}

void peer_add(struct http_request *peer, caller_id client, int said)
{
    peer->said[peer->clients_n] = said;
    peer->clients[peer->clients_n++] = client;
}

struct http_request *peer_of(const struct peers *p, caller_id client)
{
    for (struct http_request *peer = p->first; peer; peer = peer->next) {
        for (size_t i = 0; i < peer->clients_n; i++) {
            if (peer->clients[i] == client) {
                return peer;
            }
        }
    }
    return NULL;
}

static void peer_free(struct http_request *peer)
{
    struct http_request **at = &peer->peers->first;
    while (*at != peer) {
        at = &(*at)->next;
    }
    *at = peer->next;
    free(peer);
}

void peer_hang_up(struct http_request *peer)
{
    void (*gone)(void *ctx) = peer->gone;
    void *ctx = peer->ctx;
    peer_free(peer);
    if (gone) {
        gone(ctx);
    }
}

void peers_hang_up(struct peers *p)
{
    while (p->first) {
        peer_hang_up(p->first);
    }
}

static void note_effect(struct promise *promise, const struct effect *e)
{
    promise->kind = e->kind;
    switch (e->kind) {
    case EFFECT_GRANT:
        promise->number = e->grant.lease;
        promise->load = e->grant.held;
        promise->expires_us = e->grant.expires_us;
        promise->step = e->grant.routed.step;
        promise->attempt = e->grant.attempt;
        snprintf(promise->resource, sizeof(promise->resource), "%.*s", (int)e->grant.resource.len,
                 e->grant.resource.at);
        break;
    case EFFECT_WAIT: promise->number = e->wait.ticket; break;
    case EFFECT_REFUSE:
        promise->code = e->refuse.code;
        snprintf(promise->limit, sizeof(promise->limit), "%s",
                 e->refuse.limit ? e->refuse.limit : "");
        break;
    case EFFECT_SETTLED:
        promise->load = e->settled.settled;
        promise->late = e->settled.late;
        promise->action = e->settled.advice.action;
        promise->ticket = e->settled.advice.ticket;
        promise->after_us = e->settled.advice.after_us;
        break;
    case EFFECT_RENEWED:
        promise->number = e->renewed.lease;
        promise->expires_us = e->renewed.expires_us;
        break;
    default: break;
    }
}

void peer_promise(struct http_request *peer, size_t index, const struct effect *e, bool capped,
                  size_t records)
{
    struct peers *p = peer->peers;
    index = peer->bundle ? peer->promises_n++ : index;
    if (index >= peer->clients_n || peer->promises[index].made) {
        stage_object(p->stage, p->now_us, "a caller is answered twice by the core");
        return;
    }
    struct promise *promise = &peer->promises[index];
    promise->made = true;
    promise->capped = capped;
    promise->records = records;
    note_effect(promise, e);
}

/* --- http/http.h --- */

struct text http_method(const struct http_request *req)
{
    (void)req;
    return TEXT("POST");
}

struct text http_path(const struct http_request *req)
{
    (void)req;
    return TEXT("/");
}

struct text http_query(const struct http_request *req)
{
    (void)req;
    return TEXT_NONE;
}

bool http_query_get(const struct http_request *req, const char *name, struct buf *out)
{
    (void)req;
    (void)name;
    (void)out;
    return false;
}

struct text http_body(const struct http_request *req)
{
    (void)req;
    return TEXT_NONE;
}

struct text http_header(const struct http_request *req, const char *name)
{
    (void)req;
    (void)name;
    return TEXT_NONE;
}

bool http_query_only(const struct http_request *req, const char *const *names, struct text *other)
{
    (void)req;
    (void)names;
    (void)other;
    return true;
}

bool http_query_well_formed(const struct http_request *req)
{
    (void)req;
    return true;
}

void http_server_stats(const struct http_server *server, struct http_stats *stats)
{
    (void)server;
    memset(stats, 0, sizeof(*stats));
}

void http_request_park(struct http_request *req, void (*gone)(void *ctx), void *ctx)
{
    req->gone = gone;
    req->ctx = ctx;
}

void http_reply_header(struct http_request *req, const char *name, const char *value)
{
    (void)req;
    (void)name;
    (void)value;
}

void http_reply(struct http_request *req, int status, const char *content_type, struct text body)
{
    struct peers *p = req->peers;
    if (req->streaming || req->array || strcmp(content_type, "application/json") != 0) {
        stage_object(p->stage, p->now_us, "a reply of the wrong form: %.*s", (int)body.len,
                     body.at);
    }
    answer_judge(req, status, body);
    peer_free(req);
}

void http_stream_begin(struct http_request *req, int status, const char *content_type)
{
    struct peers *p = req->peers;
    if (req->streaming || !req->array || status != 200 ||
        strcmp(content_type, "application/x-ndjson") != 0) {
        stage_object(p->stage, p->now_us, "a stream begins that was not asked for");
    }
    req->streaming = true;
}

bool http_stream_write(struct http_request *req, struct text bytes)
{
    answer_judge(req, 0, bytes);
    return true;
}

void http_stream_end(struct http_request *req)
{
    struct peers *p = req->peers;
    for (size_t i = 0; i < req->clients_n; i++) {
        if (!req->answered[i]) {
            stage_object(p->stage, p->now_us, "a stream ends without the line of element %zu", i);
        }
    }
    peer_free(req);
}

void http_stream_abort(struct http_request *req)
{
    peer_free(req);
}
