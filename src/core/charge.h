/*
 * Charging: what a grant takes of a counter, and what its settlement makes of that.
 *
 * Every decision does this once for each limit, so it stands here to be built into its callers;
 * what only some limits need is in counter.c.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_CHARGE_H
#define SLUICE_CORE_CHARGE_H

#include "core/counter.h"

/* What was charged at a time of the past to a window that counts up may be known to it, or be of a
 * period that is over: then nothing is charged, and this is its mark. */
bool counter_passes_over(const struct core *core, const struct counter *c, int64_t at_us,
                         int64_t skew_us, window_mark *mark);

/* Enters into the window what was only held until now; the mark of it. */
window_mark counter_book(struct core *core, struct counter *c, int64_t booked);

/* More was used than was held, which may change whose turn it is: a reserve's holder is no longer
 * below its share, or a stalled head has to sleep at a counter of its scope. */
void counter_overran(struct core *core, const struct counter *c);

/* Its record is to be emitted, and its mark looked at. */
static inline void counter_changed(struct core *core, struct counter *c)
{
    if (unlikely(c->rule->reported) && !core->restoring) {
        list_remove(&c->dirty);
        leave_to_do(core, &core->dirty, &c->dirty);
    }
}

/* Charges at a grant, when the wall clock was `skew_us` ahead: an amount > 0 for which room was
 * reserved. */
static inline window_mark counter_charge(struct core *core, struct counter *c, int64_t amount,
                                         int64_t at_us, int64_t skew_us)
{
    const struct rule *rule = c->rule;
    window_mark mark;
    assert(amount > 0);
    if (unlikely(at_us < core->now_us)) {
        c->due_us = INT64_MIN; /* what is charged then may have left by now */
    }
    if (unlikely(rule->paced)) {
        window_charge(&c->slice, &rule->slice, at_us, amount);
    }
    if (rule->holds) {
        c->held = add_sat(c->held, amount);
        c->owed++;
        return 0;
    }
    if (unlikely(rule->terms.kind != WINDOW_ROLLING) &&
        counter_passes_over(core, c, at_us, skew_us, &mark)) {
        return mark;
    }
    counter_changed(core, c);
    c->taken = add_sat(c->taken, amount);
    return window_charge(&c->window, &rule->terms, at_us, amount);
}

/* Corrects by `delta` what was booked at `mark`, if that is still inside; says whether it did. */
static inline bool counter_correct(struct core *core, struct counter *c, window_mark mark,
                                   int64_t delta)
{
    counter_advance(core, c);
    bool known = c->rule->recorded && core->restoring;
    if (delta == 0 || known || !window_adjust(&c->window, &c->rule->terms, mark, delta)) {
        return false;
    }
    counter_changed(core, c);
    if (delta > 0) {
        c->taken = add_sat(c->taken, delta);
        counter_overran(core, c);
    } else {
        c->given = sub_sat(c->given, delta);
        counter_gained(core, c);
    }
    return true;
}

/* Ends a charge whose real amount is known: gives back what was held, enters `booked` into the
 * window or corrects what was entered at the grant. Returns the mark of what was booked. */
static inline window_mark counter_settle(struct core *core, struct counter *c,
                                         const struct charge *charge, int64_t booked)
{
    if (!c->rule->holds) {
        counter_correct(core, c, charge->mark, sub_sat(booked, charge->amount));
        return charge->mark;
    }
    assert(c->held >= charge->amount && c->owed > 0);
    counter_advance(core, c);
    c->held -= charge->amount;
    c->owed--;
    bool counts = c->rule->terms.kind != WINDOW_NONE;
    window_mark mark = counts ? counter_book(core, c, booked) : charge->mark;
    if (booked > charge->amount) {
        counter_overran(core, c);
    }
    counter_gained(core, c);
    return mark;
}

/* The amount that replaces a charge of `held` when `real` was used. */
static inline int64_t rule_booked(const struct rule *rule, int64_t held, int64_t real)
{
    switch (rule->settle) {
    case SETTLE_KEEP: return held;
    case SETTLE_REFUND_ONLY: return min_i64(held, real);
    case SETTLE_TRUE_UP: break;
    }
    return real;
}

/* A sum of what comes and goes wraps where it does not fit, and is right again once it does. */
static inline void load_hold(struct load *restrict sum, const struct load *restrict load)
{
    for (int u = 0; u < UNIT_COUNT; u++) {
        sum->of[u] = (int64_t)((uint64_t)sum->of[u] + (uint64_t)load->of[u]);
    }
}

static inline void load_let_go(struct load *restrict sum, const struct load *restrict load)
{
    for (int u = 0; u < UNIT_COUNT; u++) {
        sum->of[u] = (int64_t)((uint64_t)sum->of[u] - (uint64_t)load->of[u]);
    }
}

#endif
