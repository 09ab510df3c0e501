#include "core/timer.h"

bool timer_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct timer *x = CONTAINER_OF(a, struct timer, node);
    const struct timer *y = CONTAINER_OF(b, struct timer, node);
    return x->at_us != y->at_us ? x->at_us < y->at_us : x->seq < y->seq;
}

int timer_admit(struct core *core)
{
    return heap_reserve(&core->timers, core->timers_n + 1 - core->timers.len);
}

void timer_set(struct core *core, struct timer *t, int64_t at_us)
{
    if (at_us == INT64_MAX) {
        timer_clear(core, t);
        return;
    }
    if (heap_holds(&t->node) && t->at_us == at_us) {
        return;
    }
    t->at_us = at_us;
    t->seq = core->next_timer++;
    if (heap_holds(&t->node)) {
        heap_resort(&core->timers, &t->node);
    } else {
        heap_push(&core->timers, &t->node);
    }
}

void timer_clear(struct core *core, struct timer *t)
{
    if (heap_holds(&t->node)) {
        heap_remove(&core->timers, &t->node);
    }
}

struct timer *timer_due(const struct core *core)
{
    struct heap_node *first = heap_first(&core->timers);
    if (!first) {
        return NULL;
    }
    struct timer *t = CONTAINER_OF(first, struct timer, node);
    return t->at_us <= core->now_us ? t : NULL;
}
