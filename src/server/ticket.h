/*
 * Tickets that are out: places in line whose holders were told to ask again and have not yet, be it
 * that they wait or that a call is to be made again.
 *
 * The core keeps such a place for TICKET_KEPT_US from when they may come back, and then drops it
 * without a word. Here is noted
 * which client each belongs to, so that the cap on a client's places counts those it has walked
 * away from as well as those it waits at; else whoever asks with a short `hold_ms` fills the line
 * alone. What it is not for: finding requests, which is the core's business.
 *
 * Invariants: a client's `away` is the number of its tickets noted here; by_time orders them by
 * when they end. A ticket that could not be noted for want of memory is not counted, and a place
 * that is taken up again by the request's id instead of its ticket is counted as away for the rest
 * of its time.
 *
 * May depend on src/base and caller.h.
 */
#ifndef SLUICE_SERVER_TICKET_H
#define SLUICE_SERVER_TICKET_H

#include <stdint.h>

#include "base/heap.h"
#include "base/map.h"
#include "server/caller.h"

struct tickets {
    struct map by_ticket;
    struct heap by_time;
};

void tickets_init(struct tickets *tickets);
void tickets_release(struct tickets *tickets);

/* A client is given a ticket, or is given it once more, to come back with at that time. */
void tickets_give(struct tickets *tickets, uint64_t ticket, struct client *client, int64_t at_us);

/* The holder has come back, or the place is given up. */
void tickets_take(struct tickets *tickets, uint64_t ticket);

/* Forgets those that the core has dropped by now. */
void tickets_expire(struct tickets *tickets, int64_t now_us);

/* Whose ticket it is; NULL where none such is out. */
const struct client *tickets_holder(const struct tickets *tickets, uint64_t ticket);

#endif
