/*
 * Timers: everything in the core that happens because time has passed, in one order: by time, then
 * by which was set first.
 *
 * Time only goes forward, so timers that are set with one delay are due in the order in which they
 * were set: those of requests and of leases stand in rows, one a delay, and the first of all is
 * the first of a row. Whatever has no row of its own stands in a heap. A hundred thousand requests
 * that wait equally long are one row, and a request that leaves costs no walk through a heap of
 * all.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_TIMER_H
#define SLUICE_CORE_TIMER_H

#include "base/heap.h"

struct core;

enum timer_kind { TIMER_REQUEST, TIMER_LEASE, TIMER_LINE, TIMER_COUNTER, TIMER_AGEING };

struct timer {
    struct heap_node node; /* in core->timers, where it is set and in no row */
    enum timer_kind kind;
    uint32_t row;        /* that it stands in, or TIMER_ROWS */
    struct timer *ahead; /* in its row, or NULL */
    struct timer *behind;
    int64_t at_us;
    uint64_t turn; /* among those of one instant */
};

/* Timers that were set with one delay, in the order in which they are due. */
struct timer_row {
    struct timer *first;
    struct timer *last;
    int64_t delay_us;
};

#define TIMER_ROWS 64

struct timer_rows {
    struct timer_row of[TIMER_ROWS];
    uint64_t used; /* a bit for each that is not empty */
};

static inline void timer_init(struct timer *t, enum timer_kind kind)
{
    t->node.place = 0;
    t->kind = kind;
    t->row = TIMER_ROWS;
}

static inline bool timer_is_set(const struct timer *t)
{
    return t->row < TIMER_ROWS || heap_holds(&t->node);
}

/* Makes room for one further timer; 0 or ERR_NO_MEMORY. Its owner then adds 1 to timers_n, and
 * takes it off again when it is freed. */
int timer_admit(struct core *core);

/* Sets or moves a timer; INT64_MAX clears it. */
void timer_set(struct core *core, struct timer *t, int64_t at_us);

/* Takes a timer that is set out of where it stands. */
void timer_unset(struct core *core, struct timer *t);

static inline void timer_clear(struct core *core, struct timer *t)
{
    if (timer_is_set(t)) {
        timer_unset(core, t);
    }
}

/* When the first timer is due; INT64_MAX: none is set. */
int64_t timer_next_us(const struct core *core);

/* The first timer that is due now, or NULL. */
struct timer *timer_due(const struct core *core);

#endif
