/*
 * The core alone: each happening is an event, and the core gets a tick at each deadline it asks for
 * and at no other time. The journal is modelled as what it promises: records become durable in
 * order, and a crash loses those that were not; the next core gets the durable ones back.
 */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/record_log.h"
#include "core/view.h"

#define TICKS_MAX 3000
#define TEXT_MAX  (1u << 22)

struct alone {
    struct stage stage;
    struct core *cores[2]; /* the second, with other hash keys, in some runs only */
    struct effects effects[2];
    struct record_log log;
    size_t durable; /* records that a crash does not lose */
    const struct policy *policy;
    int64_t now_us;
    int64_t skew_us;
    uint64_t rested; /* after so many steps the oracle was asked */
    bool twin;
    bool late_ticks;
};

/* --- Cores --- */

static void open_cores(struct alone *s)
{
    for (size_t k = 0; k < 1u + s->twin; k++) {
        struct core_options options = {.seed = {k + 1, 99 - k}, .spill = true};
        if (core_new(&options, &s->cores[k]) != 0) {
            abort();
        }
    }
}

static void close_cores(struct alone *s)
{
    for (size_t k = 0; k < 2; k++) {
        core_free(s->cores[k]);
        s->cores[k] = NULL;
    }
}

static void write_effects(struct buf *out, const struct effects *e, struct table_names *names)
{
    for (size_t i = 0; i < e->len; i++) {
        table_write_effect(out, &e->at[i], names);
        buf_add_char(out, '\n');
    }
}

/* P10: two cores that differ in nothing but the keys of their hashes say the same. */
static void compare_twins(struct alone *s)
{
    static struct table_names names[2];
    struct buf out[2];
    for (size_t k = 0; k < 2; k++) {
        names[k].leases.len = names[k].tickets.len = 0;
        buf_init(&out[k], TEXT_MAX);
        write_effects(&out[k], &s->effects[k], &names[k]);
    }
    if (out[0].len != out[1].len || (out[0].len && memcmp(out[0].at, out[1].at, out[0].len) != 0)) {
        stage_object(&s->stage, s->now_us, "P10: two cores say different things");
        printf("ONE:\n%.*sTWO:\n%.*s", (int)out[0].len, out[0].at, (int)out[1].len, out[1].at);
    }
    buf_release(&out[0]);
    buf_release(&out[1]);
}

static void step(struct alone *s, const struct event *e)
{
    s->now_us = e->now_us > s->now_us ? e->now_us : s->now_us;
    s->stage.steps++;
    for (size_t k = 0; k < 1u + s->twin; k++) {
        if (core_step(s->cores[k], e, &s->effects[k]) != 0) {
            stage_object(&s->stage, s->now_us, "a step fails without a reason");
        }
    }
    if (s->stage.names) {
        stage_print(&s->stage, e, &s->effects[0]);
    }
    if (s->twin) {
        compare_twins(s);
    }
    if (s->stage.steps % 8 == 0) {
        core_check(s->cores[0]);
    }
    for (size_t i = 0; i < s->effects[0].len; i++) {
        if (s->effects[0].at[i].kind == EFFECT_PERSIST) {
            record_log_add(&s->log, &s->effects[0].at[i].record);
        }
    }
    oracle_step(s->stage.oracle, s->cores[0], e, &s->effects[0]);
    world_see(s->stage.world, s->now_us, &s->effects[0]);
}

/* --- The journal's part --- */

static void give_missing(struct alone *s, const struct acquire *a)
{
    for (size_t k = 0; k < 1u + s->twin; k++) {
        if (record_log_give_missing(&s->log, s->cores[k], a) != 0) {
            stage_object(&s->stage, s->now_us, "a counter that was asked for is refused");
        }
    }
}

/* --- Time --- */

/* All that is due has been done: asks the oracle, once after each step. */
static void rest(struct alone *s)
{
    if (s->rested < s->stage.steps && !s->stage.problem.len) {
        s->rested = s->stage.steps;
        oracle_rest(s->stage.oracle, s->cores[0]);
    }
}

static void tick(struct alone *s, int64_t now_us)
{
    struct event e = {.kind = EVENT_TICK, .now_us = now_us};
    step(s, &e);
}

static void crash(struct alone *s)
{
    record_log_cut(&s->log, s->durable);
    world_crash(s->stage.world, s->log.at, s->log.len);
    oracle_crash(s->stage.oracle, s->durable);
    close_cores(s);
    open_cores(s);
    /* The daemon configures its core by the wall clock of then, whatever the store says after. */
    struct event e = {.kind = EVENT_CLOCK, .now_us = s->now_us, .skew_us = s->skew_us};
    step(s, &e);
    e = (struct event){.kind = EVENT_CONFIGURE, .now_us = s->now_us, .policy = s->policy};
    step(s, &e);
    for (size_t k = 0; k < 1u + s->twin; k++) {
        if (record_log_replay(&s->log, s->cores[k]) != 0) {
            stage_object(&s->stage, s->now_us, "P8: a record is refused when it is given back");
        }
    }
    give_missing(s, NULL);
    oracle_restored(s->stage.oracle);
    e = (struct event){.kind = EVENT_CLOCK, .now_us = s->now_us, .skew_us = s->skew_us};
    step(s, &e);
    tick(s, s->now_us);
    core_check(s->cores[0]);
    if (s->stage.names) {
        printf("restart\n");
    }
}

/* All ticks that the core asks for up to until_us. */
static void pass_time(struct alone *s, int64_t until_us)
{
    for (size_t ticks = 0; !s->stage.problem.len; ticks++) {
        int64_t due_us = core_next_deadline(s->cores[0]);
        if (due_us > until_us) {
            return;
        }
        if (ticks == TICKS_MAX) {
            stage_object(&s->stage, s->now_us, "the core asks for ticks and never has enough");
            return;
        }
        due_us = s->late_ticks ? until_us : due_us > s->now_us ? due_us : s->now_us;
        if (due_us > s->now_us && !s->late_ticks) {
            rest(s);
            oracle_before(s->stage.oracle, due_us);
        }
        tick(s, due_us);
    }
}

static void alone_happen(struct stage *stage, const struct happening *h)
{
    struct alone *s = (struct alone *)stage;
    struct event e;
    if (s->policy) {
        pass_time(s, h->event.now_us);
        if (!s->late_ticks) {
            oracle_before(s->stage.oracle, h->event.now_us);
        }
    }
    if (h->kind == WORLD_CRASH) {
        s->policy = h->event.policy ? h->event.policy : s->policy;
        crash(s);
    } else if (h->kind == WORLD_SYNC) {
        s->durable = s->log.len;
    } else if (world_resolve(s->stage.world, h, &e)) {
        if (e.kind == EVENT_CONFIGURE) {
            s->policy = e.policy;
        }
        s->skew_us = e.kind == EVENT_CLOCK ? e.skew_us : s->skew_us;
        if (e.kind == EVENT_ACQUIRE) {
            give_missing(s, &e.acquire);
        }
        step(s, &e);
    }
    pass_time(s, h->event.now_us);
    rest(s);
}

/* --- Life cycle --- */

static struct stage *alone_open(struct world *w, uint64_t seed, bool print)
{
    struct alone *s = calloc(1, sizeof(*s));
    if (!s) {
        abort();
    }
    stage_init(&s->stage, &core_stage, w, print);
    s->twin = seed % 4 == 0;
    s->late_ticks = w->late_ticks;
    record_log_init(&s->log);
    effects_init(&s->effects[0]);
    effects_init(&s->effects[1]);
    open_cores(s);
    return &s->stage;
}

static void alone_close(struct stage *stage)
{
    struct alone *s = (struct alone *)stage;
    close_cores(s);
    effects_release(&s->effects[0]);
    effects_release(&s->effects[1]);
    record_log_release(&s->log);
    stage_release(stage);
    free(s);
}

const struct stage_kind core_stage = {
    .open = alone_open,
    .happen = alone_happen,
    .close = alone_close,
};
