#include "rig.h"
#include "core/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "http/http.h"
#include "journal/journal.h"

/* --- A journal that is only a count of batches. --- */

static struct {
    uint64_t records;
    uint64_t gathering;
    uint64_t batch;
    uint64_t durable;
    bool failing;
    bool unreadable;
} store;

int journal_append(struct journal *journal, const struct record *record)
{
    (void)journal;
    (void)record;
    store.records++;
    store.gathering++;
    return 0;
}

uint64_t journal_commit(struct journal *journal)
{
    (void)journal;
    store.batch += store.gathering > 0;
    store.gathering = 0;
    return store.batch;
}

uint64_t journal_durable(const struct journal *journal)
{
    (void)journal;
    return store.durable;
}

int journal_trouble(struct journal *journal, struct buf *why)
{
    (void)journal;
    if (!store.failing) {
        return 0;
    }
    buf_add_str(why, "the disk is full");
    return ERR_STORE_FAILED;
}

int journal_counter(struct journal *journal, struct record *record, bool *found)
{
    (void)journal;
    (void)record;
    *found = false;
    return store.unreadable ? ERR_STORE_FAILED : 0;
}

void journal_stats(struct journal *journal, struct journal_stats *stats)
{
    (void)journal;
    *stats = (struct journal_stats){.records = store.records};
}

const char *journal_path(const struct journal *journal)
{
    (void)journal;
    return NULL;
}

int journal_replay(struct journal *journal, int (*each)(void *ctx, const struct record *record),
                   void *ctx, struct buf *why)
{
    (void)journal;
    (void)each;
    (void)ctx;
    (void)why;
    return 0;
}

/* --- Peers that are only a memory of what they were told. --- */

struct http_request {
    const char *method;
    const char *path;
    const char *body;
    void (*gone)(void *ctx);
    void *ctx;
    bool streaming;
    bool ended;
};

static struct http_request peers[RIG_PEERS_MAX];
static size_t peers_n;
static struct rig *current;

/* The beginning of a long body is enough. */
static void note(const struct http_request *peer, int status, struct text body)
{
    struct rig *r = current;
    assert_true(r->answers_n < RIG_ANSWERS_MAX);
    struct rig_answer *answer = &r->answers[r->answers_n++];
    size_t len = body.len < RIG_BODY_MAX ? body.len : RIG_BODY_MAX - 1;
    answer->peer = peer;
    answer->status = status;
    if (len > 0) {
        memcpy(answer->body, body.at, len);
    }
    answer->body[len] = '\0';
}

struct text http_method(const struct http_request *req)
{
    return text_of(req->method);
}

struct text http_path(const struct http_request *req)
{
    return (struct text){req->path, strcspn(req->path, "?")};
}

struct text http_query(const struct http_request *req)
{
    const char *query = strchr(req->path, '?');
    return query ? text_of(query + 1) : TEXT_NONE;
}

struct text http_body(const struct http_request *req)
{
    return text_of(req->body);
}

struct text http_header(const struct http_request *req, const char *name)
{
    (void)req;
    (void)name;
    return TEXT_NONE;
}

/* Of one parameter that needs no decoding. */
bool http_query_get(const struct http_request *req, const char *name, struct buf *out)
{
    const char *query = strchr(req->path, '?');
    size_t len = strlen(name);
    if (!query || strncmp(query + 1, name, len) != 0 || query[1 + len] != '=') {
        return false;
    }
    buf_add_str(out, query + 1 + len + 1);
    return !out->failed;
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
    *stats = (struct http_stats){.connections = peers_n};
}

void http_reply(struct http_request *req, int status, const char *content_type, struct text body)
{
    assert_non_null(content_type);
    assert_false(req->ended);
    req->ended = true;
    req->gone = NULL;
    note(req, status, body);
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

void http_stream_begin(struct http_request *req, int status, const char *content_type)
{
    assert_int_equal(status, 200);
    assert_non_null(content_type);
    assert_false(req->streaming || req->ended);
    req->streaming = true;
}

bool http_stream_write(struct http_request *req, struct text bytes)
{
    assert_true(req->streaming && !req->ended);
    note(req, 0, bytes);
    return true;
}

void http_stream_end(struct http_request *req)
{
    assert_true(req->streaming && !req->ended);
    req->ended = true;
    req->gone = NULL;
    note(req, -1, TEXT("end"));
}

static void wake(void *ctx)
{
    (void)ctx;
}

/* --- The bench. --- */

static void make_policy(struct rig *r, int64_t slots)
{
    r->resource = (struct resource){.name = "chat",
                                    .model = "chat",
                                    .limits_n = 1,
                                    .line_len_max = 1000,
                                    .tenant_line_len_max = 1000};
    r->resource.limits[0] = (struct limit){
        .name = "concurrency", .unit = UNIT_SLOTS, .window = WINDOW_NONE, .amount = slots};
    r->policy = (struct policy){
        .resources = &r->resource, .resources_n = 1, .leases_max = 1000, .counters_max = 1000};
}

void rig_init(struct rig *r, int64_t slots)
{
    struct core_options core = {.seed = {1, 2}};
    memset(r, 0, sizeof(*r));
    memset(&store, 0, sizeof(store));
    memset(peers, 0, sizeof(peers));
    peers_n = 0;
    current = r;
    make_policy(r, slots);
    clock_init(&r->clock, 0);
    events_init(&r->events);
    assert_int_equal(core_new(&core, &r->core), 0);
    struct driver_options options = {.core = r->core,
                                     .clock = &r->clock,
                                     .events = &r->events,
                                     .deliver = api_deliver,
                                     .ctx = &r->api,
                                     .wake = wake};
    assert_int_equal(driver_init(&r->driver, &options), 0);
    assert_int_equal(driver_configure(&r->driver, &r->policy), 0);
    r->config = (struct config){.tickets_per_client_max = 1000};
    r->api = (struct api){.driver = &r->driver,
                          .core = r->core,
                          .events = &r->events,
                          .rules = {&r->config, true},
                          .restored = &r->restored};
    r->client = callers_client(&r->driver.callers, "", "");
    assert_non_null(r->client);
}

void rig_release(struct rig *r)
{
    events_close(&r->events);
    for (size_t i = 0; i < peers_n; i++) {
        if (peers[i].gone) {
            rig_hang_up(&peers[i]);
        }
    }
    json_room_release(&r->api.room);
    driver_release(&r->driver);
    core_free(r->core);
}

void rig_store_durable(struct rig *r)
{
    store.durable = store.batch;
    driver_progress(&r->driver);
}

void rig_store_failing(struct rig *r, bool failing)
{
    store.failing = failing;
    store.durable = failing ? store.durable : store.batch;
    driver_progress(&r->driver);
}

void rig_store_unreadable(struct rig *r, bool unreadable)
{
    (void)r;
    store.unreadable = unreadable;
}

uint64_t rig_records(void)
{
    return store.records;
}

struct http_request *rig_peer(void)
{
    assert_true(peers_n < RIG_PEERS_MAX);
    return &peers[peers_n++];
}

struct http_request *rig_ask(struct rig *r, const char *method, const char *path, const char *body)
{
    struct http_request *peer = rig_peer();
    peer->method = method;
    peer->path = path;
    peer->body = body;
    api_handle(&r->api, peer);
    assert_true(peer->gone || peer->ended); /* answered, or kept for later */
    return peer;
}

bool rig_parked(const struct http_request *peer)
{
    return peer->gone != NULL;
}

static void ask(struct rig *r, struct caller *caller, const char *id)
{
    struct event event = {.kind = EVENT_ACQUIRE, .caller = caller_id_of(caller)};
    event.acquire = (struct acquire){.resource = TEXT("chat"),
                                     .priority = PRIORITY_DEFAULT,
                                     .id = text_of(id),
                                     .wait_us = US_PER_H,
                                     .hold_us = US_PER_H,
                                     .lease_us = US_PER_H};
    load_complete(&event.acquire.load, 0);
    driver_acquire(&r->driver, &event);
}

struct http_request *rig_acquire(struct rig *r, const char *id)
{
    struct http_request *peer = rig_peer();
    struct caller *caller = caller_new(&r->driver.callers, r->client, CALLER_ACQUIRE, peer);
    assert_non_null(caller);
    ask(r, caller, id);
    return peer;
}

void rig_acquire_in(struct rig *r, struct stream *stream, const char *id, uint32_t index)
{
    assert_int_equal(callers_reserve(&r->driver.callers, 1), 0);
    struct caller *caller = stream_add(stream, r->client, CALLER_ACQUIRE, index);
    ask(r, caller, id);
}

void rig_hang_up(struct http_request *peer)
{
    void (*gone)(void *ctx) = peer->gone;
    assert_non_null(gone);
    peer->gone = NULL;
    gone(peer->ctx);
}

void rig_release_lease(struct rig *r, uint64_t lease)
{
    struct event event = {.kind = EVENT_RELEASE, .any_tenant = true};
    event.release.lease = lease;
    driver_step(&r->driver, &event);
}

size_t rig_open(const struct rig *r)
{
    struct core_totals totals;
    core_totals(r->core, &totals);
    return totals.leases_open;
}

size_t rig_waiting(const struct rig *r)
{
    struct core_totals totals;
    core_totals(r->core, &totals);
    return totals.waiting;
}
