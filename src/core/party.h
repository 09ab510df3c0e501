/*
 * Flows and parties: what a line is made of below its priorities.
 *
 * Only the structures; flow.h has what can be done with them, state.h who owns them. Internal to
 * src/core.
 */
#ifndef SLUICE_CORE_PARTY_H
#define SLUICE_CORE_PARTY_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "core/rank.h"
#include "core/timer.h"

struct line;
struct counter;

struct flow {
    struct map_node node; /* in core->flows, unless solo */
    struct party *party;
    struct list requests;
    struct heap_node place;    /* in party->flows or asleep_at->sleepers */
    struct counter *asleep_at; /* NULL while awake or away */
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
    int32_t weight;
    struct heap flows; /* awake, by arrival of their first request */
    size_t flows_n;    /* all */
    size_t waiting;    /* requests, away ones included */
    uint64_t start;    /* start tag while it has awake flows */
    uint64_t finish;   /* finish tag of its last grant */
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
