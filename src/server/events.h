/*
 * The event stream: what happens, told to those who listen (GET /v1/events, server-sent events).
 *
 * A notice is written only where somebody listens, and leaves with the answers of its turn, so
 * that nobody hears of what is not durable. Each listener may choose a resource and kinds; one
 * whose key is bound to a tenant hears of that tenant's business only. A listener that does not
 * keep up is cut off by the cap of its stream, and never holds up the others.
 *
 * May depend on src/base, core/core.h and http/http.h.
 */
#ifndef SLUICE_SERVER_EVENTS_H
#define SLUICE_SERVER_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "core/core.h"
#include "http/http.h"

#define LISTENERS_MAX 64

enum notice_kind {
    NOTICE_GRANTED,
    NOTICE_SETTLED,
    NOTICE_REFUSED,
    NOTICE_EXPIRED,
    NOTICE_STATE,
    NOTICE_ALERT,
    NOTICE_CONFIG,
    NOTICE_STORE,
    NOTICE_KINDS
};

struct events {
    struct list listeners;
    size_t listeners_n;
    unsigned kinds; /* a bit for each kind that somebody listens for */
    uint64_t cut;
};

/* Who may hear of a notice. */
struct notice {
    enum notice_kind kind;
    struct text resource; /* may be empty */
    struct text tenant;   /* whose business it is … */
    bool of_tenant;       /* … false: only those hear it who may hear all */
};

void events_init(struct events *events);

/* Ends all streams. */
void events_close(struct events *events);

static inline bool events_wanted(const struct events *events, enum notice_kind kind)
{
    return events->kinds & 1u << kind;
}

/* Begins a stream for a request. `resource` may be empty; `kinds` has a bit for each wanted kind;
 * `tenant` bounds it where `bound`. 0, or ERR_OVER_CAP or ERR_NO_MEMORY, and the request is still
 * to be answered. */
int events_listen(struct events *events, struct http_request *req, struct text resource,
                  unsigned kinds, struct text tenant, bool bound);

/* Reads "granted,expired" into bits. */
bool events_read_kinds(struct text names, unsigned *kinds);

/* Tells of a notice: `data` is one line of JSON. */
void events_tell(struct events *events, const struct notice *notice, struct text data);

/* A comment to each listener, so that a dead one is noticed. */
void events_keep_alive(struct events *events);

#endif
