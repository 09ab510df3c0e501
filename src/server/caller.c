#include "server/caller.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

#define SLAB_LEN  1024u
#define SLABS_MAX (CALLERS_MAX / SLAB_LEN)

void callers_init(struct callers *callers, void (*gone)(void *ctx, struct caller *caller),
                  void *ctx)
{
    *callers = (struct callers){.gone = gone, .ctx = ctx};
    list_init(&callers->free);
}

void callers_release(struct callers *callers)
{
    for (size_t i = 0; i < callers->slabs_n; i++) {
        free(callers->slabs[i]);
    }
    free(callers->slabs);
    while (callers->clients) {
        struct client *next = callers->clients->next;
        free(callers->clients);
        callers->clients = next;
    }
}

struct client *callers_client(struct callers *callers, const char *name, const char *tenant)
{
    struct client *client = callers->clients;
    while (client && strcmp(client->name, name) != 0) {
        client = client->next;
    }
    if (!client) {
        client = calloc(1, sizeof(*client));
        if (!client) {
            return NULL;
        }
        memcpy(client->name, name, strlen(name) + 1);
        client->next = callers->clients;
        callers->clients = client;
    }
    memcpy(client->tenant, tenant, strlen(tenant) + 1);
    return client;
}

static bool add_slab(struct callers *callers)
{
    if (callers->slabs_n == SLABS_MAX) {
        return false;
    }
    if (!callers->slabs) {
        callers->slabs = calloc(SLABS_MAX, sizeof(struct caller *));
    }
    struct caller *slab = callers->slabs ? calloc(SLAB_LEN, sizeof(struct caller)) : NULL;
    if (!slab) {
        return false;
    }
    callers->slabs[callers->slabs_n++] = slab;
    return true;
}

int callers_reserve(struct callers *callers, size_t n)
{
    if (n > CALLERS_MAX - callers->live) {
        return ERR_OVER_CAP;
    }
    while (callers->slabs_n * SLAB_LEN - callers->live < n) {
        if (!add_slab(callers)) {
            return ERR_NO_MEMORY;
        }
    }
    return 0;
}

static struct caller *slot_at(const struct callers *callers, size_t slot)
{
    return &callers->slabs[slot / SLAB_LEN][slot % SLAB_LEN];
}

static struct caller *slot_new(struct callers *callers)
{
    struct list *node = list_first(&callers->free);
    if (node) {
        list_remove(node);
        return CONTAINER_OF(node, struct caller, node);
    }
    if (callers->used == callers->slabs_n * SLAB_LEN && !add_slab(callers)) {
        return NULL;
    }
    struct caller *caller = slot_at(callers, callers->used);
    caller->slot = (uint32_t)callers->used++;
    caller->callers = callers;
    list_init(&caller->node);
    return caller;
}

static struct caller *caller_take(struct callers *callers, struct client *client,
                                  enum caller_kind kind)
{
    struct caller *caller = slot_new(callers);
    if (!caller) {
        return NULL;
    }
    assert(caller->state == CALLER_FREE);
    callers->live++;
    caller->uses += caller->uses == UINT32_MAX ? 2 : 1; /* an id is never 0 */
    caller->state = CALLER_ASKED;
    caller->kind = (uint8_t)kind;
    caller->client = client;
    caller->lease = 0;
    caller->line_capped = false;
    return caller;
}

static void caller_free(struct caller *caller)
{
    caller_set(caller, CALLER_FREE);
    list_remove(&caller->node);
    caller->req = NULL;
    caller->stream = NULL;
    caller->callers->live--;
    list_append(&caller->callers->free, &caller->node);
}

/* The peer of a request of its own has hung up. */
static void request_gone(void *ctx)
{
    struct caller *caller = ctx;
    struct callers *callers = caller->callers;
    caller->req = NULL;
    callers->gone(callers->ctx, caller);
    caller_free(caller);
}

struct caller *caller_new(struct callers *callers, struct client *client, enum caller_kind kind,
                          struct http_request *req)
{
    struct caller *caller = caller_take(callers, client, kind);
    if (caller) {
        caller->req = req;
        http_request_park(req, request_gone, caller);
    }
    return caller;
}

/* The peer of an array has hung up: so have all its elements. */
static void stream_gone(void *ctx)
{
    struct stream *stream = ctx;
    struct callers *callers = stream->pool;
    struct list *node;
    assert(!stream->open);
    stream->req = NULL;
    while ((node = list_first(&stream->callers)) != NULL) {
        struct caller *caller = CONTAINER_OF(node, struct caller, node);
        callers->gone(callers->ctx, caller);
        caller_free(caller);
    }
    free(stream);
}

struct stream *stream_new(struct callers *callers, struct http_request *req)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream) {
        return NULL;
    }
    list_init(&stream->callers);
    stream->pool = callers;
    stream->req = req;
    stream->open = true;
    http_request_park(req, stream_gone, stream);
    return stream;
}

struct caller *stream_add(struct stream *stream, struct client *client, enum caller_kind kind,
                          uint32_t index)
{
    struct caller *caller = caller_take(stream->pool, client, kind);
    assert(caller);
    caller->stream = stream;
    caller->index = index;
    list_append(&stream->callers, &caller->node);
    return caller;
}

/* The head goes out with the first line, so that lines decided in one turn are one write. */
static void stream_begin(struct stream *stream)
{
    if (!stream->begun) {
        stream->begun = true;
        http_stream_begin(stream->req, 200, "application/x-ndjson");
    }
}

static void stream_end_if_done(struct stream *stream)
{
    if (stream->open || !list_empty(&stream->callers)) {
        return;
    }
    if (stream->req) {
        stream_begin(stream);
        http_stream_end(stream->req);
    }
    free(stream);
}

void stream_close(struct stream *stream)
{
    stream->open = false;
    stream_end_if_done(stream);
}

void stream_line(struct stream *stream, struct text line)
{
    if (!stream->req) {
        return;
    }
    stream_begin(stream);
    /* A peer that takes no more is hung up on, and the stream is told so. */
    (void)http_stream_write(stream->req, line);
}

caller_id caller_id_of(const struct caller *caller)
{
    return (uint64_t)caller->uses << 32 | caller->slot;
}

struct caller *callers_find(const struct callers *callers, caller_id id)
{
    uint32_t slot = (uint32_t)id;
    if (slot >= callers->used) {
        return NULL;
    }
    struct caller *caller = slot_at(callers, slot);
    return caller->uses == id >> 32 && caller->state != CALLER_FREE ? caller : NULL;
}

void caller_set(struct caller *caller, enum caller_state state)
{
    static const uint8_t allowed[] = {
        [CALLER_FREE] = 0,
        [CALLER_ASKED] = 1 << CALLER_WAITING | 1 << CALLER_ANSWERED | 1 << CALLER_FREE,
        [CALLER_WAITING] = 1 << CALLER_ANSWERED | 1 << CALLER_FREE,
        [CALLER_ANSWERED] = 1 << CALLER_FREE,
    };
    assert(allowed[caller->state] & 1 << state);
    if (caller->state == CALLER_WAITING) {
        assert(caller->client->waiting > 0);
        caller->client->waiting--;
    }
    caller->state = (uint8_t)state;
    if (state == CALLER_WAITING) {
        caller->client->waiting++;
    }
}

void caller_done(struct caller *caller)
{
    struct stream *stream = caller->stream;
    caller_free(caller);
    if (stream) {
        stream_end_if_done(stream);
    }
}
