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

static inline bool timer_before(const struct timer *a, const struct timer *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->turn < b->turn;
}

/* The row of a timer that is about to be set; TIMER_ROWS where it has to stand alone: because it is
 * not one of many, or another delay has the row that its own would have. */
static inline uint32_t row_for(const struct core *core, const struct timer *t, int64_t delay_us)
{
    if (t->kind != TIMER_REQUEST && t->kind != TIMER_LEASE) {
        return TIMER_ROWS;
    }
    uint64_t hash = ((uint64_t)delay_us * 2 + t->kind) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t i = (uint32_t)(hash >> 32) % TIMER_ROWS;
    const struct timer_row *row = &core->rows.of[i];
    bool next = !row->last || (row->delay_us == delay_us && row->last->kind == t->kind &&
                               row->last->at_us <= t->at_us);
    return next ? i : TIMER_ROWS;
}

/* The first of all that stand in rows, or NULL. Looked for where it is asked for, which is far
 * rarer than timers are set and unset. */
static struct timer *rows_first(const struct timer_rows *rows)
{
    struct timer *first = NULL;
    for (uint64_t left = rows->used; left; left &= left - 1) {
        struct timer *t = rows->of[__builtin_ctzll(left)].first;
        first = !first || timer_before(t, first) ? t : first;
    }
    return first;
}

static inline void rows_append(struct timer_rows *rows, struct timer *t, int64_t delay_us)
{
    struct timer_row *row = &rows->of[t->row];
    t->ahead = row->last;
    t->behind = NULL;
    row->last = t;
    if (t->ahead) {
        t->ahead->behind = t;
        return;
    }
    row->first = t;
    row->delay_us = delay_us;
    rows->used |= UINT64_C(1) << t->row;
}

static inline void rows_remove(struct timer_rows *rows, struct timer *t)
{
    struct timer_row *row = &rows->of[t->row];
    *(t->ahead ? &t->ahead->behind : &row->first) = t->behind;
    *(t->behind ? &t->behind->ahead : &row->last) = t->ahead;
    if (!row->first) {
        rows->used &= ~(UINT64_C(1) << t->row);
    }
    t->row = TIMER_ROWS;
}

APART static void stand_alone(struct core *core, struct timer *t)
{
    heap_push(&core->timers, &t->node, (uint64_t)t->at_us, t->turn);
}

/* Sets a timer that is not set. */
static inline void set_anew(struct core *core, struct timer *t, int64_t at_us)
{
    int64_t delay_us = at_us - core->now_us;
    t->at_us = at_us;
    core->timer_us = min_i64(core->timer_us, at_us);
    t->turn = turn_of(core, t);
    t->row = row_for(core, t, delay_us);
    if (likely(t->row < TIMER_ROWS)) {
        rows_append(&core->rows, t, delay_us);
    } else {
        stand_alone(core, t);
    }
}

APART static void set_again(struct core *core, struct timer *t, int64_t at_us)
{
    if (t->at_us != at_us) {
        timer_unset(core, t);
        if (at_us != INT64_MAX) {
            set_anew(core, t, at_us);
        }
    }
}

void timer_set(struct core *core, struct timer *t, int64_t at_us)
{
    assert(at_us >= 0);
    if (timer_is_set(t)) {
        set_again(core, t, at_us);
    } else if (likely(at_us != INT64_MAX)) {
        set_anew(core, t, at_us);
    }
}

void timer_unset(struct core *core, struct timer *t)
{
    if (likely(t->row < TIMER_ROWS)) {
        rows_remove(&core->rows, t);
    } else {
        heap_remove(&core->timers, &t->node);
    }
}

/* The first of all, or NULL. */
static inline struct timer *timer_first(const struct core *core)
{
    struct heap_node *node = heap_first(&core->timers);
    struct timer *alone = node ? CONTAINER_OF(node, struct timer, node) : NULL;
    struct timer *in_row = rows_first(&core->rows);
    return !in_row || (alone && timer_before(alone, in_row)) ? alone : in_row;
}

int64_t timer_next_us(const struct core *core)
{
    const struct timer *first = timer_first(core);
    return first ? first->at_us : INT64_MAX;
}

struct timer *timer_due(const struct core *core)
{
    struct timer *first = timer_first(core);
    return first && first->at_us <= core->now_us ? first : NULL;
}
