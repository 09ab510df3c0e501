/*
 * Callers: whoever waits for an answer of the core, and the connections they wait on.
 *
 * A caller is one question to the core: a request of its own, or one element of an array,
 * whose answers share a stream. Its id goes through the core as a number that says nothing;
 * an id that comes back after its caller has gone finds nobody, since each reuse of a slot
 * changes the id.
 *
 *     FREE → ASKED      caller_new; the event is being judged
 *     ASKED → WAITING   the core has not answered in that step
 *     ASKED, WAITING → ANSWERED   the answer stands in a turn and waits for its batch
 *     any but FREE → FREE         answered, or the peer has hung up
 *
 * A client is one API key, or everyone where there are no keys; it counts its callers that are
 * WAITING and its tickets that are out, so that no key can fill the line alone.
 *
 * Invariants: a client's `waiting` is the number of its callers in WAITING; a stream's list
 * holds its callers that are not FREE. May depend on src/base, core/core.h and http/http.h.
 */
#ifndef SLUICE_SERVER_CALLER_H
#define SLUICE_SERVER_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "core/core.h"
#include "http/http.h"

#define CALLERS_MAX (1u << 20) /* questions under way in all; further ones are refused over_cap */

enum caller_state { CALLER_FREE, CALLER_ASKED, CALLER_WAITING, CALLER_ANSWERED };

/* Which API this is, hence how a line about it is tagged. */
enum caller_kind {
    CALLER_ACQUIRE,
    CALLER_RELEASE,
    CALLER_RENEW,
    CALLER_CANCEL,
    CALLER_REOPEN,
    CALLER_BUDGET,
};

struct client {
    char name[NAME_LEN_MAX + 1];   /* the key's name; "" where there are no keys */
    char tenant[NAME_LEN_MAX + 1]; /* the tenant the key is bound to, or "" */
    size_t waiting;
    size_t away; /* tickets it was given and has not come back with; see ticket.h */
    struct client *next;
};

struct stream;
struct callers;

struct caller {
    struct list node; /* among the stream's callers, or the free ones */
    struct callers *callers;
    struct http_request *req; /* NULL for one in a stream */
    struct stream *stream;    /* NULL for a request of its own */
    struct client *client;
    uint64_t lease; /* RELEASE: the lease it is about */
    uint32_t slot;
    uint32_t uses;    /* of the slot: the upper half of the id */
    uint32_t index;   /* in the array */
    uint8_t state;    /* enum caller_state */
    uint8_t kind;     /* enum caller_kind */
    bool line_capped; /* its client may not wait: a would_wait is a line_full */
};

/* An array's answer: lines, as each element is decided. */
struct stream {
    struct list callers;
    struct callers *pool;
    struct http_request *req; /* NULL once the peer has hung up */
    bool begun;               /* the reply's head has been sent */
    bool open;                /* elements are still being added */
};

struct callers {
    struct caller **slabs;
    size_t slabs_n;
    size_t used; /* slots ever used */
    size_t live;
    struct list free;
    struct client *clients;
    struct client *everyone; /* of the clients, or NULL where nobody has asked without a key */
    /* A caller who waits is gone: tell the core. Another's answer is void. */
    void (*gone)(void *ctx, struct caller *caller);
    void *ctx;
};

void callers_init(struct callers *callers, void (*gone)(void *ctx, struct caller *caller),
                  void *ctx);
void callers_release(struct callers *callers);

/* The client of that name; a new one where there is none yet. NULL: out of memory. */
struct client *callers_client(struct callers *callers, const char *name, const char *tenant);

/* The client of everyone, where there are no keys: the one without a name. NULL: out of memory. */
static inline struct client *callers_everyone(struct callers *callers)
{
    if (unlikely(!callers->everyone)) {
        callers->everyone = callers_client(callers, "", "");
    }
    return callers->everyone;
}

/* A caller that is ASKED. Parks `req`, so that a hang-up is noticed. NULL at the cap. */
struct caller *caller_new(struct callers *callers, struct client *client, enum caller_kind kind,
                          struct http_request *req);

/* Makes sure that the next `n` callers can be made: 0, ERR_OVER_CAP or ERR_NO_MEMORY. */
int callers_reserve(struct callers *callers, size_t n);

/* A stream for an array; parks `req`. NULL: out of memory. */
struct stream *stream_new(struct callers *callers, struct http_request *req);

/* The next element's caller, for which room was reserved. */
struct caller *stream_add(struct stream *stream, struct client *client, enum caller_kind kind,
                          uint32_t index);

/* No more elements follow: the stream ends with its last line. */
void stream_close(struct stream *stream);

/* Sends a line. */
void stream_line(struct stream *stream, struct text line);

caller_id caller_id_of(const struct caller *caller);

/* The caller of that id, or NULL if it is gone. */
struct caller *callers_find(const struct callers *callers, caller_id id);

/* Moves between states, keeping the client's count. */
void caller_set(struct caller *caller, enum caller_state state);

/* Its answer is sent: the slot is free again. A stream that has all its lines ends. */
void caller_done(struct caller *caller);

#endif
