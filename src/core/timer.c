#include "core/timer.h"

#include <assert.h>

#include "core/state.h"

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

/* The row of a timer that is about to be set; TIMER_ROWS where it has to stand alone: because it is
 * not one of many, or another delay has the row that its own would have. */
static uint32_t row_for(const struct core *core, const struct timer *t)
{
    if (t->kind != TIMER_REQUEST && t->kind != TIMER_LEASE) {
        return TIMER_ROWS;
    }
    int64_t delay_us = t->at_us - core->now_us;
    uint64_t hash = ((uint64_t)delay_us * 2 + t->kind) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t i = (uint32_t)(hash >> 32) % TIMER_ROWS;
    const struct timer_row *row = &core->rows[i];
    bool next = row->last && row->delay_us == delay_us && row->last->kind == t->kind &&
                row->last->at_us <= t->at_us;
    return !row->last || next ? i : TIMER_ROWS;
}

static void row_append(struct core *core, struct timer_row *row, struct timer *t)
{
    t->ahead = row->last;
    if (row->last) {
        row->last->behind = t;
    } else {
        row->first = t;
        row->delay_us = t->at_us - core->now_us;
    }
    row->last = t;
}

static void row_remove(struct timer_row *row, struct timer *t)
{
    if (t->behind) {
        t->behind->ahead = t->ahead;
    } else {
        row->last = t->ahead;
    }
    if (t->ahead) {
        t->ahead->behind = t->behind;
    } else {
        row->first = t->behind;
    }
    t->ahead = NULL;
    t->behind = NULL;
}

void timer_set(struct core *core, struct timer *t, int64_t at_us)
{
    assert(at_us >= 0);
    if (timer_is_set(t)) {
        if (t->at_us == at_us) {
            return;
        }
        timer_clear(core, t);
    }
    if (at_us == INT64_MAX) {
        return;
    }
    t->at_us = at_us;
    t->turn = turn_of(core, t);
    t->row = row_for(core, t);
    if (t->row < TIMER_ROWS) {
        row_append(core, &core->rows[t->row], t);
    }
    if (!t->ahead) {
        heap_push(&core->timers, &t->node, (uint64_t)at_us, t->turn);
    }
}

void timer_clear(struct core *core, struct timer *t)
{
    struct timer *next = t->behind;
    if (!timer_is_set(t)) {
        return;
    }
    if (t->row < TIMER_ROWS) {
        row_remove(&core->rows[t->row], t);
    }
    if (heap_holds(&t->node) && next) {
        heap_replace(&core->timers, &t->node, &next->node, (uint64_t)next->at_us, next->turn);
    } else if (heap_holds(&t->node)) {
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
