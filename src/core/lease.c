#include "core/lease.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/charge.h"
#include "core/counter.h"
#include "core/emit.h"
#include "core/grant.h"
#include "core/learn.h"
#include "core/line.h"
#include "core/timer.h"

static const bool moves[LEASE_CANCELLED + 1][LEASE_CANCELLED + 1] = {
    [LEASE_OPEN] = {[LEASE_SETTLED] = true, [LEASE_EXPIRED] = true, [LEASE_CANCELLED] = true},
    [LEASE_EXPIRED] = {[LEASE_SETTLED] = true},
};

/* --- Finding. --- */

/* Leases are numbered in order: as their own hash they lie in the table as they come and go. */
struct lease *lease_find(const struct core *core, uint64_t lease)
{
    struct map_node *n = map_find(&core->leases, lease);
    for (; n; n = map_next_equal(n)) {
        struct lease *l = CONTAINER_OF(n, struct lease, by_lease);
        if (likely(l->lease == lease)) {
            return l;
        }
    }
    return NULL;
}

struct lease *lease_find_id(const struct core *core, struct text id, const struct text *tenant)
{
    struct map_node *n = map_find(&core->lease_ids, text_hash(id, &core->hash_key));
    for (; n; n = map_next_equal(n)) {
        struct lease *l = CONTAINER_OF(n, struct lease, by_id);
        bool over = l->state != LEASE_OPEN && core->now_us - l->ended_us >= LEASE_REMEMBERED_US;
        if (!over && text_equal(l->id, id) && (!tenant || text_equal(l->tenant, *tenant))) {
            return l;
        }
    }
    return NULL;
}

void lease_facts(const struct lease *l, struct acquire *a)
{
    *a = (struct acquire){
        .load = l->load,
        .priority = l->priority,
        .tenant = l->tenant,
        .session = l->session,
        .labels = l->labels,
        .id = l->id,
        .parent = l->parent,
        .attempts_max = l->origin.attempts_max,
        .estimated = l->origin.estimated,
        .input_bytes = l->origin.input_bytes,
        .lease_us = l->origin.lease_us,
    };
    if (l->way) {
        way_asked(l->way, a);
    }
}

/* --- Making. --- */

int counters_admit(struct core *core, const struct line *line, struct counter *const *counters)
{
    struct counter *const *end = counters + line->rules_n;
    for (struct counter *const *at = counters; at < end; at++) {
        if (*at && unlikely(counter_reserve(core, *at) != 0)) {
            return ERR_NO_MEMORY;
        }
    }
    return 0;
}

/* --- Ending. --- */

void lease_drop_charges(struct core *core, struct lease *l)
{
    for (struct charge *ch = l->charges, *end = ch + l->charges_n; ch < end; ch++) {
        counter_unref(core, ch->counter);
    }
    l->charges_n = 0;
}

int64_t lease_end_matters_us(const struct core *core)
{
    return max_i64(core->stay_us_max, LEASE_REMEMBERED_US);
}

/* Takes an open lease out of what is open; its charges are the caller's business. */
static inline void lease_close(struct core *core, struct lease *l, enum lease_state state)
{
    assert(moves[l->state][state]);
    struct line *line = l->line;
    timer_clear(core, &l->timer);
    list_remove(&l->place);
    list_append(&core->ended, &l->place);
    core->open_n--;
    core->ended_n++;
    line->leases--;
    line->remembered++;
    load_let_go(&line->stats.held, &l->load);
    l->state = state;
    l->ended_us = core->now_us;
    horizon_note(&core->horizon, core->now_us, l->noted_us, lease_end_matters_us(core));
}

/* What a limit takes an expired lease of that load to have used of what it held. */
static int64_t expired_usage(const struct rule *rule, const struct load *load, int64_t held)
{
    if (rule->limit->on_expire == EXPIRE_NOTHING) {
        return 0;
    }
    if (rule->limit->on_expire == EXPIRE_FULL) {
        return held;
    }
    switch (rule->unit) {
    case UNIT_TOKENS: return min_i64(held, load->of[UNIT_INPUT_TOKENS]);
    case UNIT_OUTPUT_TOKENS: return 0;
    default: return held;
    }
}

/* While a descendant waits (sign 1), what the lease holds cannot come back; then it can (-1). */
static void lease_count_stuck(struct lease *l, int sign)
{
    for (size_t i = 0; i < l->charges_n; i++) {
        struct charge *ch = &l->charges[i];
        if (ch->counter->rule->holds) {
            ch->counter->stuck += sign * ch->amount;
        }
    }
}

/* An operator wants to hear of a limit that is over because more was used than was held. */
static void tell_overrun(struct core *core, const struct lease *l, struct counter *c)
{
    if (c->rule->reserve < 0 && counter_free_units(core, c) < 0) {
        effect_alert(core, ALERT_OVERRUN, l->line, c);
    }
}

void lease_settle(struct core *core, struct lease *l, const struct load *usage)
{
    if (unlikely(l->waiting_below > 0)) {
        lease_count_stuck(l, -1);
    }
    for (struct charge *ch = l->charges, *end = ch + l->charges_n; ch < end; ch++) {
        struct counter *c = ch->counter;
        int64_t booked = rule_booked(c->rule, ch->amount, usage->of[c->rule->unit]);
        counter_settle(core, c, ch, booked);
        if (unlikely(booked > ch->amount)) {
            tell_overrun(core, l, c);
        }
        counter_unref(core, c);
    }
    l->charges_n = 0;
    lease_close(core, l, LEASE_SETTLED);
    l->used = *usage;
}

void lease_cancel(struct core *core, struct lease *l)
{
    if (unlikely(l->waiting_below > 0)) {
        lease_count_stuck(l, -1);
    }
    for (struct charge *ch = l->charges, *end = ch + l->charges_n; ch < end; ch++) {
        counter_settle(core, ch->counter, ch, 0);
    }
    lease_drop_charges(core, l);
    lease_close(core, l, LEASE_CANCELLED);
}

/* What limits of one unit charged may differ, since each has its own rule for expiries. */
static struct load charged(const struct lease *l)
{
    struct load load = l->load;
    unsigned counted = 0;
    for (size_t i = 0; i < l->charges_n; i++) {
        const struct charge *ch = &l->charges[i];
        enum unit unit = ch->counter->rule->unit;
        int64_t before = counted & 1u << unit ? load.of[unit] : 0;
        load.of[unit] = max_i64(before, ch->amount);
        counted |= 1u << unit;
    }
    return load;
}

/* The charges stay, with what was booked for want of a word: a late settle corrects it. */
void lease_expire(struct core *core, struct lease *l)
{
    if (unlikely(l->waiting_below > 0)) {
        lease_count_stuck(l, -1);
    }
    for (struct charge *ch = l->charges, *end = ch + l->charges_n; ch < end; ch++) {
        int64_t booked = expired_usage(ch->counter->rule, &l->load, ch->amount);
        ch->mark = counter_settle(core, ch->counter, ch, booked);
        ch->amount = booked;
    }
    lease_close(core, l, LEASE_EXPIRED);
    l->used = charged(l);
    core->expired_us = core->now_us;
}

void lease_settle_late(struct core *core, struct lease *l, const struct load *usage)
{
    assert(moves[l->state][LEASE_SETTLED]);
    for (size_t i = 0; i < l->charges_n; i++) {
        struct charge *ch = &l->charges[i];
        const struct rule *rule = ch->counter->rule;
        if (rule->terms.kind == WINDOW_NONE) {
            continue;
        }
        int64_t held = l->load.of[rule->unit];
        int64_t booked = rule_booked(rule, held, usage->of[rule->unit]);
        bool inside = counter_correct(core, ch->counter, ch->mark, sub_sat(booked, ch->amount));
        if (inside && booked > ch->amount) {
            tell_overrun(core, l, ch->counter);
        }
    }
    lease_drop_charges(core, l);
    l->state = LEASE_SETTLED;
    l->used = *usage;
}

int lease_copy(struct core *core, struct line *line, const struct lease *from, size_t charges_n,
               struct lease **lease)
{
    struct grant_facts facts = {
        .line = line,
        .charges_n = charges_n,
        .load = &from->load,
        .way = from->way,
        .tenant = from->tenant,
        .session = from->session,
        .labels = from->labels,
        .id = from->id,
    };
    struct lease *l = lease_new(core, &facts);
    if (!l) {
        return ERR_NO_MEMORY;
    }
    l->lease = from->lease;
    l->parent = from->parent;
    l->priority = from->priority;
    l->attempt = from->attempt;
    l->granted_us = from->granted_us;
    l->skew_us = from->skew_us;
    l->expires_us = from->expires_us;
    l->waited_us = from->waited_us;
    l->origin = from->origin;
    lease_register(core, l);
    if (l->way) {
        way_resume(core, line, l->way);
    }
    l->retry = from->retry;
    l->again_us = from->retry >= FALLBACK_LOST ? from->again_us : 0;
    l->gave_up = from->gave_up;
    l->noted_us = from->noted_us;
    if (from->state == LEASE_OPEN) {
        timer_set(core, &l->timer, l->expires_us);
    } else {
        lease_close(core, l, from->state);
        l->ended_us = from->ended_us;
        l->used = from->used;
    }
    *lease = l;
    return 0;
}

/* --- Living on. --- */

/* A record that tells of it as it is was emitted now, or will be in this step. */
static void lease_noted(struct core *core, struct lease *l)
{
    l->noted_us = core->now_us;
    list_remove(&l->place);
    list_append(&core->open, &l->place);
}

void lease_extend(struct core *core, struct lease *l, int64_t expires_us)
{
    l->expires_us = expires_us;
    if (l->state == LEASE_OPEN) {
        timer_set(core, &l->timer, expires_us);
        lease_noted(core, l);
    }
}

/* --- Ancestors. --- */

void lease_ancestors_wait(struct core *core, uint64_t parent, int sign)
{
    for (int depth = 0; parent && depth < ANCESTORS_MAX; depth++) {
        struct lease *l = lease_find(core, parent);
        if (!l) {
            return;
        }
        l->waiting_below += (size_t)sign;
        if (l->state == LEASE_OPEN && l->waiting_below == (sign > 0 ? 1 : 0)) {
            lease_count_stuck(l, sign);
        }
        parent = l->parent;
    }
}

int64_t lease_ancestors_hold(const struct core *core, uint64_t parent, const struct counter *c)
{
    int64_t held = 0;
    for (int depth = 0; parent && depth < ANCESTORS_MAX; depth++) {
        const struct lease *l = lease_find(core, parent);
        if (!l) {
            break;
        }
        for (size_t i = 0; l->state == LEASE_OPEN && l->waiting_below == 0 && i < l->charges_n;
             i++) {
            held += l->charges[i].counter == c ? l->charges[i].amount : 0;
        }
        parent = l->parent;
    }
    return held;
}

/* --- Forgetting. --- */

void lease_drop_id(struct core *core, struct lease *l)
{
    if (l->id.len) {
        map_remove(&core->lease_ids, &l->by_id);
        l->id = TEXT_NONE;
    }
}
