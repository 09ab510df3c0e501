#include "core/timer.h"

#include <assert.h>

int timer_admit(struct core *core)
{
    return heap_reserve(&core->timers, core->timers_n + 1 - core->timers.len);
}

/* Timers of one instant are served in the order in which they were set, but those of requests last:
 * a request whose turn comes at the very instant at which its time is up is granted. */
static uint64_t turn_of(struct core *core, const struct timer *t)
{
    uint64_t last = t->kind == TIMER_REQUEST ? UINT64_C(1) << 63 : 0;
    return last | core->next_timer++;
}

void timer_set(struct core *core, struct timer *t, int64_t at_us)
{
    assert(at_us >= 0);
    if (at_us == INT64_MAX) {
        timer_clear(core, t);
    } else if (!heap_holds(&t->node)) {
        heap_push(&core->timers, &t->node, (uint64_t)at_us, turn_of(core, t));
    } else if (heap_entry_of(&core->timers, &t->node)->major != (uint64_t)at_us) {
        heap_rekey(&core->timers, &t->node, (uint64_t)at_us, turn_of(core, t));
    }
}

void timer_clear(struct core *core, struct timer *t)
{
    if (heap_holds(&t->node)) {
        heap_remove(&core->timers, &t->node);
    }
}

int64_t timer_next_us(const struct core *core)
{
    return core->timers.len ? (int64_t)core->timers.entries[0].major : INT64_MAX;
}

struct timer *timer_due(const struct core *core)
{
    return timer_next_us(core) <= core->now_us
               ? CONTAINER_OF(heap_first(&core->timers), struct timer, node)
               : NULL;
}
