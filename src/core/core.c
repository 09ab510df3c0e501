/*
 * A step: time first, then the event, then the lines, then what must be recorded. Most steps find
 * nobody waiting and nothing to record, and `to_do` tells them so at once.
 *
 * Timers that are due are served before the event, in order of their time, because what they give
 * back came back earlier. Decisions are counted against CORE_STEP_MAX; where it runs out, timers
 * and lines that are left keep core_next_deadline at `now`, and the next step goes on. A line that
 * is still to be run lets nobody in by the fast path, so order holds across steps.
 */
#include "core/core.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/acquire.h"
#include "core/budget.h"
#include "core/configure.h"
#include "core/counter.h"
#include "core/deal.h"
#include "core/emit.h"
#include "core/health.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/release.h"
#include "core/request.h"
#include "core/restore.h"
#include "core/timer.h"
#include "core/turn.h"

int core_new(const struct core_options *options, struct core **out)
{
    *out = NULL;
    struct core *core = calloc(1, sizeof(struct core));
    if (!core) {
        return ERR_NO_MEMORY;
    }
    core->hash_key = (struct hash_key){options->seed[0], options->seed[1]};
    core->spill = options->spill;
    core->next_seq = 1;
    core->next_lease = 1;
    core->expired_us = -1;
    core->starting = true;
    core->to_do = true;
    state_init(core);
    *out = core;
    return 0;
}

void core_free(struct core *core)
{
    if (core) {
        state_release(core);
        free(core);
    }
}

/* --- Events. --- */

/* Every calendar window is to be looked at again, after the period that the clock has shown so far
 * has begun in it: which one goes on must not depend on who looked. */
static void step_clock(struct core *core, int64_t skew_us)
{
    int64_t before_us = core->skew_us;
    for (size_t i = 0; i < core->rules_n; i++) {
        struct list *all = &core->rules[i]->counters;
        for (struct list *at = all->next; at != all; at = at->next) {
            struct counter *c = CONTAINER_OF(at, struct counter, of_rule);
            core->skew_us = before_us;
            counter_advance(core, c);
            c->due_us = INT64_MIN;
            core->skew_us = skew_us;
            counter_keep_record(core, c);
            counter_gained(core, c);
        }
    }
    core->skew_us = skew_us;
}

static void step_reopen(struct core *core, const struct event *event)
{
    struct line *line = line_find(core, event->reopen.resource);
    if (!line || line->retired) {
        struct effect *e = effect_refuse(core, event->caller, NULL, ERR_UNKNOWN_RESOURCE);
        e->refuse.resource = event->reopen.resource;
        return;
    }
    health_reopen(core, line, event->caller);
}

/* All but the two kinds that almost all events are of. */
APART static int step_other(struct core *core, const struct event *event)
{
    switch (event->kind) {
    case EVENT_ACQUIRE:
    case EVENT_RELEASE: break;
    case EVENT_TICK: return 0;
    case EVENT_RESUME: request_resume(core, event); return 0;
    case EVENT_HANGUP: request_hangup(core, event); return 0;
    case EVENT_CANCEL: request_cancel(core, event); return 0;
    case EVENT_RENEW: lease_renew(core, event); return 0;
    case EVENT_CLOCK: step_clock(core, event->skew_us); return 0;
    case EVENT_CONFIGURE: return configure(core, event->policy);
    case EVENT_REOPEN: step_reopen(core, event); return 0;
    case EVENT_BUDGET: budget_correct(core, event); return 0;
    case EVENT_DRAIN:
        core->draining = true;
        core->to_do = true;
        return 0;
    }
    assert(!"a known kind of event");
    return ERR_INTERNAL;
}

static inline int step_event(struct core *core, const struct event *event)
{
    if (event->kind == EVENT_ACQUIRE) {
        return request_acquire(core, event);
    }
    if (likely(event->kind == EVENT_RELEASE)) {
        lease_release(core, event);
        return 0;
    }
    return step_other(core, event);
}

/* --- Time. --- */

static void expire(struct core *core, struct lease *l)
{
    struct line *line = l->line;
    lease_expire(core, l);
    line->stats.expired++;
    health_unanswered(core, line, l);
    effect_record(core, l, RECORD_EXPIRE, core->now_us)->model = lease_model(l);
    struct effect *e = effect_add(core, EFFECT_EXPIRED, 0);
    e->expired.lease = l->lease;
    e->expired.resource = line->name;
    e->expired.tenant = l->tenant;
}

static void serve_timer(struct core *core, struct timer *t)
{
    timer_clear(core, t);
    switch (t->kind) {
    case TIMER_REQUEST: request_timer(core, CONTAINER_OF(t, struct request, timer)); break;
    case TIMER_LEASE: expire(core, CONTAINER_OF(t, struct lease, timer)); break;
    case TIMER_LINE: line_make_pending(core, CONTAINER_OF(t, struct line, timer)); break;
    case TIMER_COUNTER: counter_gained(core, CONTAINER_OF(t, struct counter, timer)); break;
    case TIMER_AGEING: line_age(core, CONTAINER_OF(t, struct flow, ageing)); break;
    }
}

/* Nobody is granted anything once the core drains, whatever comes back. */
static inline void go_on(struct core *core)
{
    if (likely(!core->draining)) {
        run_lines(core);
    }
}

/* Whether lines are run before a timer is served, so that a request whose time is up at the very
 * instant at which its turn comes is granted. A retry that may be made again from this instant on
 * stands in line first: at the end of a pause it has been told to come back just then. */
static bool comes_after_lines(const struct core *core, const struct timer *t)
{
    return t->kind == TIMER_REQUEST &&
           !request_comes_back(core, CONTAINER_OF(t, struct request, timer));
}

APART static void serve_due(struct core *core)
{
    struct timer *t;
    while (core->budget > 0 && (t = timer_due(core)) != NULL) {
        if (comes_after_lines(core, t)) {
            go_on(core);
            if (core->budget == 0 || timer_due(core) != t) {
                continue;
            }
        }
        core->budget--;
        serve_timer(core, t);
    }
    core->timer_us = timer_next_us(core);
}

/* Serves what is due, and what earlier steps have left. */
static inline void serve_time(struct core *core)
{
    if (unlikely(core->timer_us <= core->now_us)) {
        serve_due(core);
    }
    if (core->to_do) {
        go_on(core);
    }
}

/* --- Draining. --- */

RARE static void refuse_all(struct core *core)
{
    for (size_t i = 0; i < core->lines_n; i++) {
        struct request *r;
        while (core->budget > 0 && (r = line_oldest(core->lines[i])) != NULL) {
            core->budget--;
            request_refuse(core, r, ERR_SHUTTING_DOWN);
        }
    }
}

/* --- The step. --- */

/* Warns once when a counter passes its mark, and again after it has fallen below. */
static void watch_budget(struct core *core, struct counter *c)
{
    bool past = counter_is_past_mark(c);
    if (past && !c->warned) {
        effect_alert(core, ALERT_BUDGET_WARN, c->rule->users[0], c);
    }
    c->warned = past;
}

/* The newest first: what this step has changed is told with it. A change of policy may leave more
 * than a step has room for, and the next ones go on. */
static void record_counters(struct core *core)
{
    while (!list_empty(&core->dirty) && effects_left(core->effects) >= 2) {
        struct counter *c = CONTAINER_OF(core->dirty.prev, struct counter, dirty);
        list_remove(&c->dirty);
        watch_budget(core, c);
        if (c->rule->recorded) {
            struct effect *e = effect_add(core, EFFECT_PERSIST, 0);
            counter_record(core, c, &e->record);
            c->lapses_us = e->record.expires_us;
        }
    }
}

/* Whether some list of what is still to be done holds anything. */
static bool is_to_do(const struct core *core)
{
    return !list_empty(&core->graveyard) || !list_empty(&core->idle_parties) ||
           !list_empty(&core->gained) || !list_empty(&core->pending) ||
           !list_empty(&core->paths.moving) || !list_empty(&core->dirty) || core->draining ||
           core->starting;
}

/* What the steps before have left to be cleared away. */
APART static void begin(struct core *core, const struct event *event)
{
    if (unlikely(core->starting) && (core->restored || event->kind != EVENT_CONFIGURE)) {
        restore_finish(core, event);
    }
    graveyard_clear(core);
    party_sweep(core);
    core->to_do = is_to_do(core);
}

/* What follows from the event. */
APART static void finish(struct core *core)
{
    go_on(core);
    if (unlikely(core->draining)) {
        refuse_all(core);
    }
    record_counters(core);
    core->to_do = is_to_do(core);
}

/* Not before an acquire: the counters it needs may just have been given back by core_recall. */
static inline void sweep(struct core *core, enum event_kind kind)
{
    if (kind != EVENT_ACQUIRE && !list_empty(&core->idle)) {
        counter_sweep(core);
    }
    lease_sweep(core);
}

int core_step(struct core *core, const struct event *event, struct effects *effects)
{
    size_t more = unlikely(event->kind == EVENT_CONFIGURE) ? 2 * core->waiting : 0;
    if (unlikely(effects_begin(effects, more) != 0)) {
        return ERR_NO_MEMORY;
    }
    core->effects = effects;
    core->now_us = max_i64(core->now_us, event->now_us);
    core->budget = CORE_STEP_MAX;
    if (core->to_do) {
        begin(core, event);
    }
    sweep(core, event->kind);
    if (likely(event->kind != EVENT_CONFIGURE)) {
        serve_time(core);
    }
    int rc = step_event(core, event);
    if (core->to_do) {
        finish(core);
    }
    core->effects = NULL;
    return rc;
}

int64_t core_next_deadline(const struct core *core)
{
    bool to_run = !list_empty(&core->pending) || !list_empty(&core->gained) ||
                  !list_empty(&core->paths.moving);
    bool at_once = !list_empty(&core->dirty) || (core->draining ? core->waiting > 0 : to_run);
    return at_once ? core->now_us : timer_next_us(core);
}

void load_complete(struct load *load, unsigned given)
{
    bool input = given & (1u << UNIT_INPUT_TOKENS);
    bool output = given & (1u << UNIT_OUTPUT_TOKENS);
    bool total = given & (1u << UNIT_TOKENS);
    int64_t *of = load->of;
    of[UNIT_SLOTS] = 1;
    if (!(given & (1u << UNIT_REQUESTS))) {
        of[UNIT_REQUESTS] = 1;
    }
    if (!total) {
        of[UNIT_TOKENS] = add_sat(of[UNIT_INPUT_TOKENS], of[UNIT_OUTPUT_TOKENS]);
        return;
    }
    if (!input) {
        of[UNIT_INPUT_TOKENS] = max_i64(0, of[UNIT_TOKENS] - of[UNIT_OUTPUT_TOKENS]);
    }
    if (!output) {
        of[UNIT_OUTPUT_TOKENS] = max_i64(0, of[UNIT_TOKENS] - (input ? of[UNIT_INPUT_TOKENS] : 0));
    }
}
