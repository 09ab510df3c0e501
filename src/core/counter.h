/*
 * Counters: what one scope has used of one limit, in the window and held beside it.
 *
 * A counter answers whether an amount fits, takes charges, gives back, and says who is to be looked
 * at again when something came back: the lines of its limit, and the flows asleep at it. Counters
 * of scopes come and go with use; counter_sweep forgets those that no longer matter.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_COUNTER_H
#define SLUICE_CORE_COUNTER_H

#include <assert.h>

#include "core/line.h"
#include "core/state.h"

/* The scoped counter of that key, or NULL. */
struct counter *counter_find(const struct core *core, const struct rule *rule, struct text key);

/* A new, unused counter; 0 or ERR_NO_MEMORY. */
int counter_new(struct core *core, struct rule *rule, struct text key, struct counter **counter);

/* Removes a counter from everywhere, and frees it. */
void counter_free(struct core *core, struct counter *c);

struct text counter_key(const struct counter *c);

/* Looks at an idle counter again after a while. */
void counter_put_off(struct core *core, struct counter *c);

/* References keep a scoped counter in memory. */
static inline void counter_ref(struct counter *c)
{
    c->refs++;
    if (unlikely(list_holds(&c->idle))) {
        list_remove(&c->idle);
    }
}

static inline void counter_unref(struct core *core, struct counter *c)
{
    assert(c->refs > 0);
    c->refs--;
    if (unlikely(!c->rule->whole) && c->refs == 0) {
        counter_put_off(core, c);
    }
}

/* Brings the windows up to now, where that changes anything. */
void counter_advance_now(struct core *core, struct counter *c);

static inline void counter_advance(struct core *core, struct counter *c)
{
    if (unlikely(core->now_us >= c->due_us)) {
        counter_advance_now(core, c);
    }
}

/* What could be taken now. Slices are not looked at. */
static inline int64_t counter_free_units(struct core *core, struct counter *c)
{
    counter_advance(core, c);
    return sub_sat(window_free(&c->window, &c->rule->terms), c->held);
}

/* A slice lets pass what it has room for; what is larger than a slice passes an empty one, unless
 * some of it is claimed for others. */
bool slice_fits(const struct counter *c, int64_t amount, int64_t claimed);

/* Whether an amount > 0 fits now, with `claimed` set aside for others. */
static inline bool counter_fits(struct core *core, struct counter *c, int64_t amount,
                                int64_t claimed)
{
    return sub_sat(counter_free_units(core, c), claimed) >= amount &&
           (likely(!c->rule->paced) || slice_fits(c, amount, claimed));
}

/* When an amount may fit if nothing is given back; see window_fits_us. */
int64_t counter_fits_us(struct core *core, struct counter *c, int64_t amount);

/* What will be free at a later time if nothing is charged or given back before; see window_free_at.
 */
int64_t counter_free_at(const struct counter *c, int64_t at_us);

/* Makes room for one charge in a counter that is advanced to now; 0 or ERR_NO_MEMORY. */
static inline int counter_make_room(struct counter *c)
{
    int rc = window_reserve(&c->window, &c->rule->terms, c->owed + 1);
    return rc == 0 && unlikely(c->rule->paced) ? window_reserve(&c->slice, &c->rule->slice, 1) : rc;
}

static inline int counter_reserve(struct core *core, struct counter *c)
{
    counter_advance(core, c);
    return counter_make_room(c);
}

/* What others are seen to use of the window, and still inside. */
static inline int64_t counter_foreign(struct counter *c)
{
    bool inside =
        unlikely(c->foreign > 0) && window_adjust(&c->window, &c->rule->terms, c->foreign_mark, 0);
    return inside ? c->foreign : 0;
}

/* From now on others are taken to use so much of it: 0 or ERR_NO_MEMORY. */
int counter_set_foreign(struct core *core, struct counter *c, int64_t amount);

/* The lines of a limit are to be run again, where somebody waits for it: a head that the limit
 * holds if it is of the whole resource, or whoever waits at another account of the pool. */
static inline void rule_gained(struct core *core, const struct rule *rule)
{
    for (size_t i = 0; i < rule->users_n; i++) {
        struct line *line = rule->users[i];
        bool holds = rule->whole && line->head;
        if (holds || (line->crossing.pool && pool_waits(line->crossing.pool))) {
            line_make_pending(core, line);
        }
    }
}

/* Something came back, or may have: whoever waits for this counter is to be looked at. */
static inline void counter_gained(struct core *core, struct counter *c)
{
    if (core->waiting == 0) {
        return;
    }
    if (unlikely(c->sleepers.len > 0) && !list_holds(&c->gained)) {
        leave_to_do(core, &core->gained, &c->gained);
    }
    rule_gained(core, c->rule);
}

/* The counter as a durable fact; only for windows that records of leases cannot rebuild. */
void counter_record(struct core *core, const struct counter *c, struct record *record);

/* The wall clock or the terms have changed: where the counter matters for longer now than its
 * newest record is kept, another is to be emitted. */
void counter_keep_record(struct core *core, struct counter *c);

/* Whether so much is used that its operator wants to hear of it. */
bool counter_is_past_mark(const struct counter *c);

/* Forgets a few idle counters that no longer matter. */
APART void counter_sweep(struct core *core);

#endif
