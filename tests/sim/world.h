/*
 * The world around a core: random policies, and random clients that ask, settle, hang up, renew,
 * come back late or never.
 *
 * Events speak of leases and tickets by the caller who was given them, so that a run stays
 * meaningful when some of its events are dropped (the shrinking of a failure relies on it).
 */
#ifndef SLUICE_TESTS_SIM_WORLD_H
#define SLUICE_TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/core.h"
#include "random.h"

/* A policy that owns all it points to. */
struct world_policy {
    struct policy policy;
    struct resource resources[4];
    struct tenant_weight weights[4];
};

/* Beyond the core's own kinds of events. */
enum deed_of_world {
    WORLD_EVENT, /* `event`, with its subjects put in */
    WORLD_CRASH, /* the process dies; what was not yet durable is lost */
    WORLD_SYNC,  /* all records so far are durable */
};

struct happening {
    enum deed_of_world kind;
    struct event event;
    caller_id subject; /* RESUME, CANCEL, RELEASE, RENEW: who was given the lease or ticket */
    caller_id parent;  /* ACQUIRE: who holds the parent lease, or 0 */
    bool by_lease;     /* CANCEL: the subject's lease, not its ticket */
    int usage_percent; /* RELEASE: of what was held; < 0: usage is not told */
};

/* What the clients know, from the effects they saw. */
struct client {
    uint64_t lease;
    uint64_t ticket;
    struct load held;
    bool ended;
    bool gone; /* hung up */
};

#define CLIENTS_MAX 60000

struct world {
    struct random random;
    int64_t now_us;
    struct world_policy *policy; /* in force */
    struct world_policy **policies;
    size_t policies_n;
    struct client *clients; /* by caller */
    caller_id callers;      /* so many so far */
    int64_t skew_us;
    int busy;     /* percent of events that are acquires */
    bool holds;   /* some ask for tickets */
    bool parents; /* some have parent leases */
    bool crashes;
    bool reloads;
    bool skews;
    bool late_ticks;
    bool hurried; /* little time passes, so lines are long */
    bool pools;   /* some limits are shared */
};

void world_init(struct world *w, uint64_t seed);
void world_release(struct world *w);

/* The next thing that happens. */
void world_next(struct world *w, struct happening *h);

/* Tells the clients what came out. */
void world_see(struct world *w, const struct effects *effects);

/* The process has died: clients forget what no durable record says they were given. */
void world_crash(struct world *w, const struct record *records, size_t n);

/* Puts leases and tickets in for subjects. False where the subject has none: nothing happens. */
bool world_resolve(const struct world *w, const struct happening *h, struct event *event);

#endif
