/*
 * Flows and parties: who is first within a priority of a line.
 *
 * A flow is the list of one tenant's requests at one priority that are charged to the same
 * counters; a party is the tenant there, with its fair-queueing tags. Both are made for the first
 * request that needs them; a flow goes with its last request, a party when its tags no longer
 * matter. The essay in line.c says how they make up the order.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_FLOW_H
#define SLUICE_CORE_FLOW_H

#include "core/state.h"

struct party *party_find(const struct core *core, const struct line *line, int priority,
                         struct text tenant);

/* The party of a tenant at a priority; made where there is none. 0 or ERR_NO_MEMORY. */
int party_get(struct core *core, struct line *line, int priority, struct text tenant,
              struct party **party);

/* Counts a grant of `load` to the first of the party, which is about to leave its flow: with that
 * the party goes to its new place among the others. */
void party_served(struct party *p, const struct load *load);

/* Frees a party without flows. */
void party_free(struct core *core, struct party *p);

/* Forgets a few idle parties whose past no longer matters. */
void party_sweep(struct core *core);

/* The flow of a request about to join; made where there is none. 0 or ERR_NO_MEMORY. */
int flow_get(struct core *core, struct line *line, const struct request *r,
             struct counter *const *counters, struct flow **flow);

/* The flow of a party for a request, made where there is none. One that is older than those who
 * stand there, having come from another line, has a flow of its own; `solo`: it has in any case. 0
 * or ERR_NO_MEMORY. */
int flow_for(struct core *core, struct party *party, const struct request *r,
             struct counter *const *counters, bool solo, struct flow **flow);

/* A flow without requests; `solo`: for one request that does not stand where it was first put. 0 or
 * ERR_NO_MEMORY. */
int flow_new(struct core *core, struct party *party, int base_priority,
             struct counter *const *counters, bool solo, struct flow **flow);

/* Adds a request behind the last; takes one out, and frees the flow with its last one. */
void flow_append(struct core *core, struct flow *flow, struct request *r);
void flow_drop(struct core *core, struct request *r);

/* Lets a flow with requests, that is in no heap, compete. */
void flow_place_awake(struct core *core, struct flow *flow);

/* Puts an awake flow to sleep at a counter, or wakes it. */
void flow_sleep(struct flow *flow, struct counter *c);
void flow_wake(struct core *core, struct flow *flow);

/* Sets the flow's ageing timer by its first request, where waiting makes more urgent. */
void flow_set_ageing(struct core *core, struct flow *flow);

static inline struct request *flow_first(const struct flow *flow)
{
    struct list *first = list_first(&flow->requests);
    return first ? CONTAINER_OF(first, struct request, in_flow) : NULL;
}

/* The flow whose first request is next of all that are as urgent, but for reserves; or NULL. */
static inline struct flow *urgency_first(const struct urgency *u)
{
    struct heap_node *first = heap_first(&u->parties);
    if (!first) {
        return NULL;
    }
    const struct party *p = CONTAINER_OF(first, struct party, place);
    return CONTAINER_OF(heap_first(&p->flows), struct flow, place);
}

static inline struct line *flow_line(const struct flow *flow)
{
    return flow->party->line;
}

/* The ageing timer follows the first request, which is the one that has waited longest. */
static inline void flow_time_ageing(struct core *core, struct flow *flow)
{
    if (unlikely(flow_line(flow)->resource->ageing_us > 0)) {
        flow_set_ageing(core, flow);
    }
}

#endif
