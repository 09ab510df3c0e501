/*
 * The driver: the shell around the core. Events in, effects made durable, answers out.
 *
 * One turn of the loop is: requests are judged as they arrive (driver_step), and at the end,
 * driver_turn lets time pass in the core, hands the records of the whole turn to the journal as
 * one batch, and sends the answers of all turns whose batch has become durable. So no answer
 * leaves before what it says is on the disk (P8), and the next turn gathers while the disk
 * works.
 *
 * What it is not for: sockets and timers (server.c), words (answer.c, request.c). It touches
 * no libuv, so that a test or a simulator can turn it by hand.
 *
 * Invariants: a turn's text holds the answers of its replies until they are sent or void; turns
 * leave in order; while the store is in trouble nothing is granted: what could not be made
 * durable is answered store_failed, and a lease that was granted with it is taken back.
 *
 * May depend on src/base, src/core, journal/journal.h, http/json.h, caller.h, ticket.h, turn.h,
 * answer.h, alert.h, watch.h, events.h, tell.h, restore.h and log.h.
 */
#ifndef SLUICE_SERVER_DRIVER_H
#define SLUICE_SERVER_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "core/core.h"
#include "journal/journal.h"
#include "server/alert.h"
#include "server/caller.h"
#include "server/events.h"
#include "server/ticket.h"
#include "server/turn.h"
#include "server/watch.h"

#define DRIVER_TICKS_MAX 16      /* steps of due time in one turn */
#define CLOCK_SKEW_US    1000000 /* a wall clock that moves further is told to the core */

struct driver_options {
    struct core *core;
    struct journal *journal;
    const struct clock *clock;
    struct events *events;
    /* Sends an answer. Afterwards the caller is done with. */
    void (*deliver)(void *ctx, struct caller *caller, int status, int64_t retry_after_s,
                    struct text body);
    /* An alert that is to be told outside of the daemon; may be NULL. Texts are lent. */
    void (*alerted)(void *ctx, const struct alert *alert, int64_t now_us);
    /* There is something to do at the end of this turn; may be called again before it. */
    void (*wake)(void *ctx);
    void *ctx;
};

struct driver {
    struct driver_options o;
    const struct policy *policy; /* the one the core has; NULL before the first */
    struct callers callers;
    struct tickets tickets;
    struct alerts alerts;
    struct watch watch;
    struct effects effects;
    struct turn *turn;  /* the one that is gathering */
    struct list closed; /* turns handed over, waiting for their batch, oldest first */
    struct list spare;  /* one empty turn at most */
    struct buf bundle;  /* answers to the callers of a bundle, one after the other */
    caller_id bundled;  /* who is answered in the bundle, or 0 */
    int64_t now_us;     /* this turn's time, or 0 where the clock has not been read yet */
    int64_t skew_us;    /* last told to the core */
    bool appended;      /* records of this turn are with the journal */
    bool draining;
    bool progress;       /* the journal has something new to say */
    bool trouble;        /* the store cannot be written */
    struct buf why;      /* its own words */
    uint64_t taken_back; /* leases whose answer reached nobody */
};

int driver_init(struct driver *d, const struct driver_options *options);
void driver_release(struct driver *d);

/* This turn's time. */
int64_t driver_now(struct driver *d);

/* Judges an event at this turn's time, which it fills in. A caller that is not answered now
 * is WAITING afterwards. Out of memory, the event's caller is answered so. */
void driver_step(struct driver *d, struct event *event);

/* Brings back forgotten counters that the acquire needs, then judges it. */
void driver_acquire(struct driver *d, struct event *event);

/* Brings back forgotten counters that the request of a failed call may need elsewhere, then judges
 * the release. */
void driver_settle(struct driver *d, struct event *event);

/* How many places in line a client has: those it waits at, and the tickets it may come back with,
 * without `ticket` (0: none). */
size_t driver_places(struct driver *d, const struct client *client, uint64_t ticket);

/* Answers a caller with an error of the daemon's own, in turn. `id` tags a line of a stream. */
void driver_refuse(struct driver *d, struct caller *caller, struct text id, enum error_code code,
                   const char *message);

/* Gathers the answers of several events for one caller as the elements of an array; the caller's
 * answer is `before`, the elements, and `after`. */
void driver_bundle_begin(struct driver *d, struct caller *caller);
void driver_bundle_end(struct driver *d, struct caller *caller, const char *before,
                       const char *after);

/* Ends the turn. True where there is more to do at once. */
bool driver_turn(struct driver *d);

/* The journal has called: batches are durable, or trouble has come or gone. */
void driver_progress(struct driver *d);

/* Gives the alerts that no event gives by itself; once a second. */
void driver_look_around(struct driver *d);

/* Tells the core where the wall clock stands, if it has moved far since it was last told … */
void driver_check_clock(struct driver *d);
/* … or at once, after the clock was anchored anew. */
void driver_clock_changed(struct driver *d);

/* Gives the core a new policy, which must outlive its use. 0 or ERR_NO_MEMORY. */
int driver_configure(struct driver *d, const struct policy *policy);

/* Refuses all that wait and all that come. */
void driver_drain(struct driver *d);

/* Whether every answer has been sent. */
bool driver_idle(const struct driver *d);

/* Whether it grants: 0, ERR_STORE_FAILED (`words` are the store's, or NULL), ERR_SHUTTING_DOWN. */
enum error_code driver_ready(const struct driver *d, const char **words);

#endif
