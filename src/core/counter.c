#include "core/counter.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/charge.h"
#include "core/line.h"
#include "core/timer.h"

#define IDLE_LOOK_US US_PER_MIN /* how long a counter must be idle to be forgotten */
#define SWEEP_MAX    8

static uint64_t key_hash(const struct core *core, const struct rule *rule, struct text key)
{
    return text_hash(key, &core->hash_key) + rule->index * UINT64_C(0x9e3779b97f4a7c15);
}

struct text counter_key(const struct counter *c)
{
    return (struct text){c->key, c->key_len};
}

struct counter *counter_find(const struct core *core, const struct rule *rule, struct text key)
{
    uint64_t hash = key_hash(core, rule, key);
    for (struct map_node *n = map_find(&core->counters, hash); n; n = map_next_equal(n)) {
        struct counter *c = CONTAINER_OF(n, struct counter, node);
        if (c->rule == rule && text_equal(counter_key(c), key)) {
            return c;
        }
    }
    return NULL;
}

static void counter_init(struct core *core, struct counter *c, struct rule *rule, struct text key)
{
    c->rule = rule;
    c->due_us = INT64_MIN;
    window_init(&c->window, &rule->terms, core->now_us);
    window_init(&c->slice, &rule->slice, core->now_us);
    heap_init(&c->sleepers);
    timer_init(&c->timer, TIMER_COUNTER);
    list_init(&c->idle);
    list_init(&c->dirty);
    list_init(&c->gained);
    c->key_len = key.len;
    if (key.len) {
        memcpy(c->key, key.at, key.len);
    }
}

/* The list of idle counters is in order of when to look: all are put off by the same time. */
void counter_put_off(struct core *core, struct counter *c)
{
    c->check_us = add_sat(core->now_us, IDLE_LOOK_US);
    list_append(&core->idle, &c->idle);
}

int counter_new(struct core *core, struct rule *rule, struct text key, struct counter **counter)
{
    bool scoped = rule->limit->scope != SCOPE_RESOURCE;
    struct counter *c = calloc(1, sizeof(struct counter) + key.len);
    if (!c || timer_admit(core) != 0 || (scoped && map_reserve(&core->counters) != 0)) {
        free(c);
        return ERR_NO_MEMORY;
    }
    core->timers_n++;
    counter_init(core, c, rule, key);
    list_append(&rule->counters, &c->of_rule);
    rule->counters_n++;
    if (scoped) {
        map_insert(&core->counters, &c->node, key_hash(core, rule, key));
        counter_put_off(core, c);
    }
    *counter = c;
    return 0;
}

void counter_free(struct core *core, struct counter *c)
{
    assert(c->refs == 0 && c->sleepers.len == 0);
    if (c->rule->limit->scope != SCOPE_RESOURCE) {
        map_remove(&core->counters, &c->node);
    }
    timer_clear(core, &c->timer);
    core->timers_n--;
    list_remove(&c->of_rule);
    c->rule->counters_n--;
    list_remove(&c->idle);
    list_remove(&c->dirty);
    list_remove(&c->gained);
    window_release(&c->window, &c->rule->terms);
    window_release(&c->slice, &c->rule->slice);
    heap_release(&c->sleepers);
    free(c);
}

bool counter_is_past_mark(const struct counter *c)
{
    const struct terms *t = &c->rule->terms;
    if (!c->rule->watched) {
        return false;
    }
    int64_t used = sub_sat(t->burst, sub_sat(window_free(&c->window, t), c->held));
    return used >= mul_div_sat(t->burst, c->rule->limit->warn_ppm, 1000000);
}

/* More is to be done than to let go what has left a log. */
APART static void advance_all(struct core *core, struct counter *c)
{
    const struct rule *rule = c->rule;
    if (core->restoring && rule->recorded) {
        return; /* its record says where it stands; the wall clock of then would end its period */
    }
    int64_t due_us = window_advance(&c->window, &rule->terms, core->now_us, core->skew_us);
    if (rule->paced) {
        int64_t next_us = window_advance(&c->slice, &rule->slice, core->now_us, core->skew_us);
        due_us = min_i64(due_us, next_us);
    }
    c->due_us = core->restoring ? INT64_MIN : due_us; /* then by a wall clock of the past */
    if (c->warned) {
        c->warned = counter_is_past_mark(c);
    }
}

void counter_advance_now(struct core *core, struct counter *c)
{
    const struct rule *rule = c->rule;
    if (unlikely(rule->terms.kind != WINDOW_ROLLING || rule->paced || c->warned ||
                 core->restoring)) {
        advance_all(core, c);
        return;
    }
    c->due_us = rolling_advance(&c->window.rolling, rule->terms.stay_us, core->now_us);
}

bool slice_fits(const struct counter *c, int64_t amount, int64_t claimed)
{
    bool idle = claimed == 0 && window_idle(&c->slice, &c->rule->slice);
    return idle || window_free(&c->slice, &c->rule->slice) >= add_sat(amount, claimed);
}

int64_t counter_fits_us(struct core *core, struct counter *c, int64_t amount)
{
    counter_advance(core, c);
    int64_t need = add_sat(amount, c->held);
    int64_t at_us = window_fits_us(&c->window, &c->rule->terms, core->now_us, need);
    if (c->rule->paced && !slice_fits(c, amount, 0)) {
        int64_t pace = min_i64(amount, c->rule->slice.amount);
        at_us = max_i64(at_us, window_fits_us(&c->slice, &c->rule->slice, core->now_us, pace));
    }
    return at_us;
}

int64_t counter_free_at(const struct counter *c, int64_t at_us)
{
    return sub_sat(window_free_at(&c->window, &c->rule->terms, at_us), c->held);
}

/* What is charged now never is of the past: clocks that are set back do not bring a period back. */
bool counter_passes_over(const struct core *core, const struct counter *c, int64_t at_us,
                         int64_t skew_us, window_mark *mark)
{
    *mark = window_mark_at(&c->window, &c->rule->terms, add_sat(at_us, skew_us));
    bool known = core->restoring && c->rule->recorded;
    bool past = at_us < core->now_us && c->rule->terms.kind == WINDOW_CALENDAR &&
                *mark < c->window.count.period.start_us;
    return known || past;
}

window_mark counter_book(struct core *core, struct counter *c, int64_t booked)
{
    if (core->restoring && c->rule->recorded) {
        int64_t wall_us = add_sat(core->now_us, core->skew_us);
        return window_mark_at(&c->window, &c->rule->terms, wall_us);
    }
    counter_changed(core, c);
    c->taken = add_sat(c->taken, booked);
    return window_charge(&c->window, &c->rule->terms, core->now_us, booked);
}

void counter_overran(struct core *core, const struct counter *c)
{
    const struct rule *rule = c->rule;
    bool matters = rule->reserve >= 0 || !rule->whole;
    for (size_t i = 0; matters && i < rule->users_n; i++) {
        if (rule->users[i]->head) {
            line_make_pending(core, rule->users[i]);
        }
    }
}

/* A bucket forgets whom it was charged for: there it is charged beside what was before. */
int counter_set_foreign(struct core *core, struct counter *c, int64_t amount)
{
    const struct terms *t = &c->rule->terms;
    if (counter_reserve(core, c) != 0) {
        return ERR_NO_MEMORY;
    }
    int64_t before = t->kind == WINDOW_BUCKET ? 0 : counter_foreign(c);
    if (before > 0) {
        window_adjust(&c->window, t, c->foreign_mark, -before);
    }
    c->foreign = amount;
    c->foreign_at_us = core->now_us;
    c->foreign_mark = window_charge(&c->window, t, core->now_us, amount);
    if (amount != before) {
        counter_changed(core, c);
    }
    if (amount < before) {
        counter_gained(core, c);
    }
    return 0;
}

/* When a fresh counter would do as well, by the terms and the clocks of now. What is held beside
 * the window does not count: it is charged, and recorded, when its lease ends. */
static int64_t counter_expires_us(const struct core *core, const struct counter *c)
{
    const struct window *w = &c->window;
    const struct terms *t = &c->rule->terms;
    switch (t->kind) {
    case WINDOW_BUCKET: return window_fits_us(w, t, w->bucket.at_us, t->burst);
    case WINDOW_CALENDAR:
        return max_i64(core->now_us, sub_sat(w->count.period.end_us, core->skew_us));
    case WINDOW_LIFETIME:
    case WINDOW_ROLLING:
    case WINDOW_NONE: break;
    }
    return INT64_MAX;
}

void counter_keep_record(struct core *core, struct counter *c)
{
    enum window_kind kind = c->rule->terms.kind;
    bool lapses = kind == WINDOW_CALENDAR || kind == WINDOW_BUCKET;
    if (lapses && !window_idle(&c->window, &c->rule->terms) &&
        counter_expires_us(core, c) > c->lapses_us) {
        counter_changed(core, c);
    }
}

void counter_record(struct core *core, const struct counter *c, struct record *record)
{
    const struct rule *rule = c->rule;
    bool pooled = rule->limit->shared[0] != '\0';
    *record = (struct record){
        .kind = RECORD_COUNTER,
        .at_us = core->now_us,
        .expires_us = counter_expires_us(core, c),
        .since_us = rule->since_us,
        .resource = pooled ? TEXT_NONE : text_of(rule->resource),
        .limit = text_of(pooled ? rule->limit->shared : rule->limit->name),
        .scope_key = counter_key(c),
        .counts = text_of(rule->counts),
    };
    if (rule->terms.kind == WINDOW_BUCKET) {
        record->period_us = c->window.bucket.at_us;
        record->level = window_free(&c->window, &rule->terms);
        record->used = sub_sat(rule->terms.burst, record->level);
        return;
    }
    record->used = c->window.count.used;
    if (rule->terms.kind == WINDOW_CALENDAR) {
        record->period_us = c->window.count.period.start_us;
        record->period_end_us = c->window.count.period.end_us;
    }
}

/* Whether a counter that nothing points to could be made anew, or read back, without a difference.
 */
static bool counter_is_spent(struct core *core, struct counter *c)
{
    if (list_holds(&c->dirty) || list_holds(&c->gained)) {
        return false;
    }
    counter_advance(core, c);
    assert(c->held == 0);
    if (c->rule->paced && !window_idle(&c->slice, &c->rule->slice)) {
        return false;
    }
    bool spilled = core->spill && c->rule->terms.kind == WINDOW_LIFETIME;
    return spilled || window_idle(&c->window, &c->rule->terms);
}

void counter_sweep(struct core *core)
{
    for (int i = 0; i < SWEEP_MAX && !list_empty(&core->idle); i++) {
        struct counter *c = CONTAINER_OF(list_first(&core->idle), struct counter, idle);
        if (c->check_us > core->now_us) {
            return;
        }
        if (counter_is_spent(core, c)) {
            counter_free(core, c);
        } else {
            list_remove(&c->idle);
            counter_put_off(core, c);
        }
    }
}
