/*
 * Timers: everything in the core that happens because time has passed, in one heap: by time, then
 * by which was set first.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_TIMER_H
#define SLUICE_CORE_TIMER_H

#include "core/state.h"

static inline void timer_init(struct timer *t, enum timer_kind kind)
{
    *t = (struct timer){.kind = kind};
}

/* Makes room for one further timer; 0 or ERR_NO_MEMORY. Its owner then adds 1 to timers_n, and
 * takes it off again when it is freed. */
int timer_admit(struct core *core);

/* Sets or moves a timer; INT64_MAX clears it. */
void timer_set(struct core *core, struct timer *t, int64_t at_us);
void timer_clear(struct core *core, struct timer *t);

/* When the first timer is due; INT64_MAX: none is set. */
int64_t timer_next_us(const struct core *core);

/* The first timer that is due now, or NULL. */
struct timer *timer_due(const struct core *core);

#endif
