/*
 * Requests, flows and parties: what a line is made of below its priorities.
 *
 * Only the structures; request.h and flow.h have what can be done with them, state.h who owns them.
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_PARTY_H
#define SLUICE_CORE_PARTY_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/num.h"
#include "core/event.h"
#include "core/rank.h"
#include "core/timer.h"

#define PARTIES_RECENT 32 /* of a line, found without a hash: most who ask have asked before */

struct line;
struct counter;
struct way;

enum request_state { REQUEST_WAITING, REQUEST_AWAY, REQUEST_OVER };

struct request {
    /* What entering and leaving a line touch comes first: with 100,000 waiting, each cache line
     * of the one that leaves is a miss. */
    struct list in_flow; /* in flow->requests, or in core->graveyard when over */
    struct list in_line; /* in line->all */
    struct flow *flow;
    uint64_t seq;     /* order of arrival, over all lines; the ticket */
    uint64_t arrival; /* in its line */
    uint8_t priority; /* effective */
    uint8_t base_priority;
    bool ticketed;
    enum request_state state;
    struct timer timer;
    struct load load;
    int64_t enqueued_us;
    int64_t deadline_us; /* end of its time in line */
    int64_t hold_us;     /* when it becomes away; or, away, when it is dropped */
    int64_t lease_us;
    caller_id caller; /* 0 while away */
    struct map_node by_caller;
    uint64_t parent;
    struct text tenant, session, labels, id; /* behind the struct */
    int32_t attempt;                         /* 1 for the first */
    int32_t attempts_max;                    /* 0: as the resource says */
    uint32_t size;                           /* of all of it */
    bool estimated;                          /* the load is, by … */
    int64_t input_bytes;                     /* … these, where they are known */
    struct way *way;           /* by which route; NULL: none. It lies behind, before the texts */
    int64_t not_before_us;     /* a retry stays away until then, whoever asks */
    struct map_node by_ticket; /* in a map while `ticketed` */
    struct map_node by_id;     /* in a map while it has an id */
};

struct flow {
    struct map_node node; /* in core->flows, unless solo */
    struct party *party;
    struct list requests;
    struct heap_node place;    /* in party->flows or asleep_at->sleepers */
    struct counter *asleep_at; /* NULL while awake or away */
    struct counter *woken_by;  /* at which it slept before, since when it has not slept; or NULL */
    struct timer ageing;
    int base_priority; /* of its requests; the party's is the effective one */
    bool solo;         /* holds one request that was away once */
    size_t counters_n;
    struct counter *counters[]; /* by the line's rules; NULL where its requests ask nothing */
};

struct party {
    struct map_node node;   /* in core->parties */
    struct heap_node place; /* in its priority's heap, while it has awake flows */
    struct list idle;       /* in core->idle_parties, while it has no flows */
    struct line *line;
    int priority;
    struct divisor weight;
    struct heap flows;   /* awake, by arrival of their first request */
    size_t flows_n;      /* all */
    struct flow *recent; /* of those in core->flows, the one made last; or NULL */
    size_t waiting;      /* requests, away ones included */
    uint64_t start;      /* start tag while it has awake flows */
    uint64_t finish;     /* finish tag of its last grant */
    size_t tenant_len;
    char tenant[];
};

struct urgency { /* one priority of a line */
    struct heap parties;
    size_t parties_n;
    uint64_t vtime;      /* start tag of the last grant */
    uint64_t finish_max; /* of all parties */
    struct rank rank;
};

#endif
