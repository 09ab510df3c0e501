/*
 * A driver on a bench: the production core, driver and API, a journal that becomes durable when the
 * test says so, and peers that are only pretended. It allocates nothing of its own once it is set
 * up.
 */
#ifndef SLUICE_TESTS_SERVER_RIG_H
#define SLUICE_TESTS_SERVER_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "server/api.h"
#include "server/driver.h"

#define RIG_ANSWERS_MAX 64
#define RIG_PEERS_MAX   64
#define RIG_BODY_MAX    32768

struct rig_answer {
    int status; /* 0: a piece of a stream; -1: its end */
    const struct http_request *peer;
    char body[RIG_BODY_MAX];
};

struct rig {
    struct core *core;
    struct clock clock;
    struct events events;
    struct driver driver;
    struct api api;
    struct restored restored;
    struct config config;
    struct client *client;
    struct policy policy;
    struct resource resource;
    struct rig_answer answers[RIG_ANSWERS_MAX]; /* in the order in which they left */
    size_t answers_n;
};

/* One resource, "chat", with so many slots. */
void rig_init(struct rig *r, int64_t slots);
void rig_release(struct rig *r);

/* The journal: all that is handed over becomes durable, or cannot be written, or can again. */
void rig_store_durable(struct rig *r);
void rig_store_failing(struct rig *r, bool failing);
void rig_store_unreadable(struct rig *r, bool unreadable); /* for counters that are looked up */
uint64_t rig_records(void);

/* A request of its own from a new peer; `id` may be "". Returns the peer. */
struct http_request *rig_acquire(struct rig *r, const char *id);

/* An element of an array. */
void rig_acquire_in(struct rig *r, struct stream *stream, const char *id, uint32_t index);
struct http_request *rig_peer(void);

/* A request of the API, as it comes from a peer. */
struct http_request *rig_ask(struct rig *r, const char *method, const char *path, const char *body);

/* Whether a peer waits for an answer or reads a stream. */
bool rig_parked(const struct http_request *peer);

/* A peer hangs up. */
void rig_hang_up(struct http_request *peer);

void rig_release_lease(struct rig *r, uint64_t lease);

/* How many leases are open, and who waits. */
size_t rig_open(const struct rig *r);
size_t rig_waiting(const struct rig *r);

#endif
