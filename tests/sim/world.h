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
#include "provider.h"
#include "support/random.h"

/* A policy that owns all it points to. */
struct world_policy {
    struct policy policy;
    struct resource resources[4];
    struct tenant_weight weights[4];
    struct route routes[2];
};

/* Beyond the core's own kinds of events. */
enum deed_of_world {
    WORLD_EVENT, /* `event`, with its subjects put in */
    WORLD_CRASH, /* the process dies; what was not yet durable is lost */
    WORLD_SYNC,  /* all records so far are durable */
    /* Through the API only. */
    WORLD_STOP,    /* the daemon leaves in order, and is started again */
    WORLD_TROUBLE, /* the disk begins to fail */
    WORLD_WELL,    /* … and is well again */
    WORLD_PRUNE,   /* the journal is told what it may forget */
};

/* How a happening goes on through the driver and the journal. */
struct course {
    bool joins;       /* it is asked in one array with the next of its kind */
    bool ends_turn;   /* the loop's turn is over behind it */
    bool hears;       /* the driver learns what the journal has to say */
    int64_t disk_ops; /* so much does the journal's worker do then; < 0: all that it can */
    int loss;         /* CRASH: enum disk_loss */
    uint64_t chance;  /* CRASH: which of the unsynced is lost */
    int64_t down_us;  /* CRASH, STOP: until it is started again */
    int fails_at;     /* TROUBLE: from which operation of the disk on … */
    bool lasting;     /* … or only that one */
};

struct happening {
    enum deed_of_world kind;
    struct event event; /* CRASH, STOP: `policy` is that of the next run, or NULL: the same */
    caller_id subject;  /* RESUME, CANCEL, RELEASE, RENEW: who was given the lease or ticket */
    caller_id parent;   /* ACQUIRE: who holds the parent lease, or 0 */
    bool by_lease;      /* CANCEL: the subject's lease, not its ticket */
    int usage_percent;  /* RELEASE: of what was held; < 0: usage is not told */
    bool answered;      /* RELEASE: with what the provider answered … */
    bool apart;         /* … and the tokens by what they cost */
    struct course course;
};

/* What the clients know, from the effects they saw. */
struct world_client {
    uint64_t lease;
    uint64_t ticket;
    size_t resource;    /* of the lease, by its place among the names of resources */
    int64_t granted_us; /* so far as it is known */
    struct load held;
    bool ended;
    bool gone; /* hung up */
};

#define CLIENTS_MAX 60000
/* From here on worlds are rough; also reckoned by the calendar, in zones that reloads change; rough
 * alone, with limits that come to count something else under their names. */
#define ROUGH_SEEDS  1000000
#define ZONED_SEEDS  2000000
#define SHIFTY_SEEDS 3000000

struct world {
    struct random random;
    int64_t now_us;
    struct world_policy *policy; /* in force */
    struct world_policy **policies;
    size_t policies_n;
    struct world_client *clients; /* by caller */
    caller_id callers;            /* so many so far */
    int64_t skew_us;
    int busy;     /* percent of events that are acquires */
    bool holds;   /* some ask for tickets */
    bool parents; /* some have parent leases */
    bool crashes;
    bool reloads;
    bool skews;
    bool sets_back;   /* the wall clock also goes back, and reloads change zones */
    bool scopes_days; /* limits of the calendar may be of a scope where the clock goes back */
    bool late_ticks;
    bool hurried; /* little time passes, so lines are long */
    bool pools;   /* some limits are shared */
    bool zoned;   /* most windows are of the calendar, and reloads change their zones */
    bool shifty;  /* limits change their unit, kind of window and length, also between two runs */
    bool rough;   /* what changes a policy or the clock goes together with crashes and pools */
    bool stormy;  /* calls go to a provider, and what it answers has effects */
    bool routed;  /* some ask for routes */
    bool unknown; /* some limits are to be learned from the provider */
    bool guesses; /* some do not say what they will use */
    struct random guessing;
    int64_t seen_us; /* when the effects happened that were seen last, by the world's time */
    struct provider provider;
    struct answer answer; /* of the event that was resolved last … */
    struct parts parts;   /* … and its parts */
    bool api;             /* what follows is for worlds behind the API */
    bool crowded;         /* several happenings share a turn, often */
    bool slow;            /* the disk does little at a time */
    bool troubles;
    int durability;     /* enum durability */
    int64_t client_max; /* so many of a client may wait */
};

void world_init(struct world *w, uint64_t seed, bool api, bool stormy);
void world_release(struct world *w);

/* The next thing that happens. */
void world_next(struct world *w, struct happening *h);

/* Clients know nothing, as at the start: the same story is told again. */
void world_begin_again(struct world *w);

/* Tells the clients what came out … */
void world_see(struct world *w, int64_t now_us, const struct effects *effects);
/* … or one of them what it was answered. */
void world_grant(struct world *w, caller_id client, uint64_t lease, const struct load *held,
                 struct text resource);
void world_ticket(struct world *w, caller_id client, uint64_t ticket);

/* The process has died: clients forget what no durable record says they were given. */
void world_crash(struct world *w, const struct record *records, size_t n);
/* … or forget all of it, or their places in line alone. */
void world_forget(struct world *w, bool leases);

/* The provider of the resource at which a client has a lease; "" where it has none. */
const char *world_provider(const struct world *w, caller_id client);

/* Puts leases and tickets in for subjects, and what the provider answers, which lives until the
 * next. False where the subject has none: nothing happens. */
bool world_resolve(struct world *w, const struct happening *h, struct event *event);

#endif
