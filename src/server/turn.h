/*
 * A turn: the answers and notices of one turn of the loop, written out and waiting for the
 * batch that makes them true.
 *
 * Texts stand one behind the other in one buffer, which is kept for the next turn, so that an
 * answer costs no allocation of its own. Places in it are offsets, since the buffer moves as it
 * grows. May depend on src/base, caller.h and events.h.
 */
#ifndef SLUICE_SERVER_TURN_H
#define SLUICE_SERVER_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "server/caller.h"
#include "server/events.h"

#define TURN_TEXT_BYTES_MAX (256u << 20) /* answers of one turn */
#define TURN_KEPT_BYTES     (256u << 10) /* a larger turn's memory is given back */

/* A piece of the turn's text. */
struct span {
    uint32_t at;
    uint32_t len;
};

struct reply {
    caller_id caller;
    uint64_t lease; /* a lease that is for nobody if this does not arrive, or 0 */
    struct span body;
    uint32_t tag_len; /* the body's first bytes, which say whose line it is */
    int32_t status;
    int64_t retry_after_s;
};

struct pending_notice {
    struct notice notice; /* without its texts */
    struct span resource;
    struct span tenant;
    struct span data;
};

struct turn {
    struct list node;
    uint64_t batch; /* once closed: what must be durable before it may leave */
    bool failed;    /* a record of it could not be kept */
    struct buf text;
    struct reply *replies;
    size_t replies_n;
    size_t replies_size;
    struct pending_notice *notices;
    size_t notices_n;
    size_t notices_size;
};

struct turn *turn_new(void); /* NULL: out of memory */
void turn_free(struct turn *turn);

/* Empties it, keeping the memory unless there is much of it. */
void turn_clear(struct turn *turn);

static inline bool turn_empty(const struct turn *turn)
{
    return turn->replies_n == 0 && turn->notices_n == 0 && !turn->failed;
}

/* Room for one further reply or notice, zeroed but for what the caller fills in; NULL: out of
 * memory. */
struct reply *turn_add_reply(struct turn *turn);
struct pending_notice *turn_add_notice(struct turn *turn);

/* Copies a text in. */
struct span turn_add_text(struct turn *turn, struct text t);

/* The text of a span, valid until the turn is added to. */
static inline struct text turn_text(const struct turn *turn, struct span span)
{
    return (struct text){span.len ? turn->text.at + span.at : NULL, span.len};
}

#endif
