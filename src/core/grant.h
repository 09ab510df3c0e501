/*
 * Granting: how a lease is made, charged to its counters, and told.
 *
 * Every decision does this, so it stands here to be built into whoever grants: the facts that a
 * lease is made from go into it without being written down in between.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_GRANT_H
#define SLUICE_CORE_GRANT_H

#include "core/charge.h"
#include "core/emit.h"
#include "core/health.h"
#include "core/learn.h"
#include "core/lease.h"
#include "core/timer.h"
#include "core/turn.h"
#include "core/way.h"

/* What a lease keeps copies of. */
struct grant_facts {
    struct line *line;
    size_t charges_n; /* at most */
    const struct load *load;
    const struct way *way; /* NULL: none */
    struct text tenant, session, labels, id;
};

/* The number of the next lease. */
static inline uint64_t lease_next(struct core *core)
{
    if (unlikely(!core->numbering)) {
        /* Numbers of an earlier run that has left no trace were counted from an earlier time, and
         * more slowly than microseconds pass. */
        core->next_lease = (uint64_t)max_i64((int64_t)core->next_lease, core->now_us);
        core->numbering = true;
    }
    return core->next_lease;
}

static inline void lease_fill(const struct core *core, struct lease *restrict l,
                              const struct grant_facts *restrict f)
{
    char *bytes = (char *)&l->charges[f->charges_n];
    l->way = way_copy(bytes, f->way, NULL);
    bytes += way_size(f->way);
    timer_init(&l->timer, TIMER_LEASE);
    list_init(&l->place);
    l->state = LEASE_OPEN;
    l->line = f->line;
    l->load = *f->load;
    l->used = (struct load){0};
    l->retry = 0;
    l->gave_up = NULL;
    l->deal = NULL;
    l->noted_us = core->now_us;
    l->waiting_below = 0;
    l->ended_us = 0;
    l->tenant = text_copy(&bytes, f->tenant);
    l->session = text_copy(&bytes, f->session);
    l->labels = text_copy(&bytes, f->labels);
    l->id = text_copy(&bytes, f->id);
    l->charges_n = 0;
}

/* A lease that is known to nobody and charged to nothing; there is room for it in all tables. Its
 * maker sets the rest: `lease`, `parent`, `priority`, `attempt`, `origin`, when it was granted, how
 * long it had waited, and when it expires. NULL without memory. */
static inline struct lease *lease_new(struct core *core, const struct grant_facts *f)
{
    size_t bytes = f->tenant.len + f->session.len + f->labels.len + f->id.len;
    size_t size =
        sizeof(struct lease) + f->charges_n * sizeof(struct charge) + way_size(f->way) + bytes;
    bool room = timer_admit(core) == 0 && map_reserve(&core->leases) == 0 &&
                (f->id.len == 0 || map_reserve(&core->lease_ids) == 0);
    struct lease *l = likely(room) ? spares_take(&core->spares, size) : NULL;
    if (likely(l)) {
        l->size = size;
        lease_fill(core, l, f);
    }
    return l;
}

static inline void lease_charge(struct core *core, struct lease *l, struct counter *const *counters)
{
    struct charge *ch = l->charges;
    struct counter *const *end = counters + l->line->rules_n;
    for (struct counter *const *at = counters; at < end; at++) {
        struct counter *c = *at;
        if (!c) {
            continue;
        }
        counter_ref(c);
        ch->counter = c;
        ch->amount = l->load.of[c->rule->unit];
        ch->seen = unlikely(core->restoring) ? SEEN_UNKNOWN : counter_seen(c);
        ch->mark = counter_charge(core, c, ch->amount, l->granted_us, l->skew_us);
        ch++;
    }
    l->charges_n = (size_t)(ch - l->charges);
}

/* Makes it known by all its names. */
static inline void lease_register(struct core *core, struct lease *l)
{
    struct line *line = l->line;
    core->timers_n++;
    if (l->lease >= core->next_lease) {
        core->next_lease = l->lease + 1;
    }
    map_insert(&core->leases, &l->by_lease, l->lease);
    if (l->id.len) {
        map_insert(&core->lease_ids, &l->by_id, text_hash(l->id, &core->hash_key));
    }
    list_append(&core->open, &l->place);
    core->open_n++;
    line->leases++;
    load_hold(&line->stats.held, &l->load);
}

/* A new lease begins: charged to the counters, by its line's rules, in all of which there is room
 * for a charge. */
static inline void lease_grant(struct core *core, struct lease *l, struct counter *const *counters)
{
    lease_charge(core, l, counters);
    lease_register(core, l);
    timer_set(core, &l->timer, l->expires_us);
}

/* A lease was granted to the caller: counted, remembered and told. */
static inline void tell_grant(struct core *core, caller_id caller, const struct lease *lease,
                              struct counter *const *counters)
{
    struct line *line = lease->line;
    line->stats.granted++;
    effect_record(core, lease, RECORD_GRANT, lease->granted_us);
    effect_grant(core, caller, lease, false);
    if (unlikely(lease->way)) {
        way_served(core, lease->way, lease->session);
    }
    if (unlikely(!line_is_well(line))) {
        health_granted(core, line, lease);
    }
    if (unlikely(line->shares_scopes)) {
        tell_sharers_of_scopes(core, line, counters);
    }
}

#endif
