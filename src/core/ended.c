/*
 * Leases that have ended: remembered for a while, for whoever asks again or releases late, and then
 * forgotten, in the order in which they ended.
 */
#include <stdlib.h>

#include "core/lease.h"
#include "core/line.h"

#define LEASE_SWEEP_MAX 4

/* Whether it is time to forget the lease that ended first. */
static inline bool is_old(const struct core *core, const struct lease *first)
{
    bool over = (int64_t)(core->open_n + core->ended_n) > core->policy->leases_max;
    return over || first->ended_us <= core->now_us - LEASE_REMEMBERED_US;
}

void lease_free(struct core *core, struct lease *l)
{
    if (unlikely(l->charges_n > 0)) { /* it was not settled */
        lease_drop_charges(core, l);
    }
    l->line->remembered -= l->state != LEASE_OPEN;
    timer_clear(core, &l->timer);
    core->timers_n--;
    map_remove(&core->leases, &l->by_lease);
    if (l->id.len) {
        map_remove(&core->lease_ids, &l->by_id);
    }
    list_remove(&l->place);
    if (l->deal) { /* hardly any has one */
        free(l->deal);
    }
    spares_give(&core->spares, l, l->size);
}

static inline void forget(struct core *core, struct lease *l)
{
    if (unlikely(l->waiting_below > 0)) {
        /* A descendant in line still leads to its ancestors through it, maybe for a day; those
         * behind it are not kept for that. */
        list_remove(&l->place);
        list_append(&core->ended, &l->place);
        return;
    }
    core->ended_n--;
    /* The next is looked at now, the one behind it by the next sweep: it has lain long. */
    expect_memory(CONTAINER_OF(l->place.next->next, struct lease, place), sizeof(*l));
    lease_free(core, l);
}

/* The one that ended first, if it is time to forget it; or NULL. */
static inline struct lease *oldest(const struct core *core)
{
    struct lease *first = CONTAINER_OF(core->ended.next, struct lease, place);
    return !list_empty(&core->ended) && is_old(core, first) ? first : NULL;
}

APART static void forget_some(struct core *core, struct lease *l)
{
    for (int i = 0; l && i < LEASE_SWEEP_MAX; i++) {
        forget(core, l);
        l = oldest(core);
    }
}

void lease_sweep(struct core *core)
{
    struct lease *l = oldest(core);
    if (l) {
        forget_some(core, l);
    }
}
