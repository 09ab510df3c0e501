/*
 * The simulator: the production core in a random world, judged by the oracle after every step.
 *
 *     sim --seed N [--seeds COUNT] [--steps N] [--file SEEDS] [--verbose]
 *
 * A seed decides everything; more steps than one world lasts go on with the seeds after it. What
 * happens is first made up by the world (world.h), then given to the core; between happenings the
 * core gets a tick at each deadline it asks for and at no other time. The journal is modelled as
 * what it promises: records become durable in order, batch by batch, and a crash loses those that
 * were not; the next core gets the durable ones back.
 *
 * When the oracle objects, the run is repeated with happenings left out while it still objects, and
 * what remains is printed as a case for tests/core/cases, with the seed and the step.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/record_log.h"
#include "core/table.h"
#include "core/view.h"
#include "oracle.h"
#include "world.h"

#define TICKS_MAX       3000
#define SEED_STEPS_MAX  5000
#define SHRINK_RUNS_MAX 400
#define PROBLEM_MAX     4096

struct sim {
    struct world *world;
    struct core *cores[2]; /* the second, with other hash keys, in some runs only */
    struct effects effects[2];
    struct record_log log;
    size_t durable; /* records that a crash does not lose */
    struct oracle *oracle;
    const struct policy *policy;
    int64_t now_us;
    int64_t skew_us;
    uint64_t steps;
    uint64_t rested; /* after so many of them the oracle was asked */
    bool twin;
    bool late_ticks;
    struct table_names *names; /* NULL where nothing is printed */
    struct buf problem;
};

struct story {
    struct happening *at;
    size_t len;
};

static void objection(struct sim *s, const char *text)
{
    if (!s->problem.len) {
        buf_addf(&s->problem, "at %lld: %s\n", (long long)s->now_us, text);
    }
}

/* --- Cores --- */

static void open_cores(struct sim *s)
{
    for (size_t k = 0; k < 1u + s->twin; k++) {
        struct core_options options = {.seed = {k + 1, 99 - k}, .spill = true};
        if (core_new(&options, &s->cores[k]) != 0) {
            abort();
        }
    }
}

static void close_cores(struct sim *s)
{
    for (size_t k = 0; k < 2; k++) {
        core_free(s->cores[k]);
        s->cores[k] = NULL;
    }
}

static void print_effects(struct sim *s, const struct event *e)
{
    struct buf out;
    buf_init(&out, 1u << 22);
    if (e->kind == EVENT_CONFIGURE) {
        table_write_policy(&out, e->policy);
    }
    table_write_event(&out, e, s->names);
    buf_add_char(&out, '\n');
    for (size_t i = 0; i < s->effects[0].len; i++) {
        if (s->effects[0].at[i].kind != EFFECT_PERSIST) {
            buf_add_str(&out, "  ");
            table_write_effect(&out, &s->effects[0].at[i], s->names);
            buf_add_char(&out, '\n');
        }
    }
    fputs(out.at, stdout);
    buf_release(&out);
}

static void write_effects(struct buf *out, const struct effects *e, struct table_names *names)
{
    for (size_t i = 0; i < e->len; i++) {
        table_write_effect(out, &e->at[i], names);
        buf_add_char(out, '\n');
    }
}

/* P10: two cores that differ in nothing but the keys of their hashes say the same. */
static void compare_twins(struct sim *s)
{
    static struct table_names names[2];
    struct buf out[2];
    for (size_t k = 0; k < 2; k++) {
        names[k].leases.len = names[k].tickets.len = 0;
        buf_init(&out[k], 1u << 22);
        write_effects(&out[k], &s->effects[k], &names[k]);
    }
    if (out[0].len != out[1].len || (out[0].len && memcmp(out[0].at, out[1].at, out[0].len) != 0)) {
        objection(s, "P10: two cores say different things");
    }
    buf_release(&out[0]);
    buf_release(&out[1]);
}

static void step(struct sim *s, const struct event *e)
{
    s->now_us = e->now_us > s->now_us ? e->now_us : s->now_us;
    s->steps++;
    for (size_t k = 0; k < 1u + s->twin; k++) {
        if (core_step(s->cores[k], e, &s->effects[k]) != 0) {
            objection(s, "a step fails without a reason");
        }
    }
    if (s->names) {
        print_effects(s, e);
    }
    if (s->twin) {
        compare_twins(s);
    }
    if (s->steps % 8 == 0) {
        core_check(s->cores[0]);
    }
    for (size_t i = 0; i < s->effects[0].len; i++) {
        if (s->effects[0].at[i].kind == EFFECT_PERSIST) {
            record_log_add(&s->log, &s->effects[0].at[i].record);
        }
    }
    oracle_step(s->oracle, e, &s->effects[0]);
    world_see(s->world, &s->effects[0]);
}

/* --- The journal's part --- */

static void give_missing(struct sim *s, const struct acquire *a)
{
    for (size_t k = 0; k < 1u + s->twin; k++) {
        if (record_log_give_missing(&s->log, s->cores[k], a) != 0) {
            objection(s, "a counter that was asked for is refused");
        }
    }
}

/* --- Time --- */

/* All that is due has been done: asks the oracle, once after each step. */
static void rest(struct sim *s)
{
    if (s->rested < s->steps && !s->problem.len) {
        s->rested = s->steps;
        oracle_rest(s->oracle, s->cores[0]);
    }
}

static void tick(struct sim *s, int64_t now_us)
{
    struct event e = {.kind = EVENT_TICK, .now_us = now_us};
    step(s, &e);
}

static void crash(struct sim *s)
{
    record_log_cut(&s->log, s->durable);
    world_crash(s->world, s->log.at, s->log.len);
    oracle_crash(s->oracle, s->durable);
    close_cores(s);
    open_cores(s);
    struct event e = {.kind = EVENT_CONFIGURE, .now_us = s->now_us, .policy = s->policy};
    step(s, &e);
    e = (struct event){.kind = EVENT_CLOCK, .now_us = s->now_us, .skew_us = s->skew_us};
    step(s, &e);
    for (size_t k = 0; k < 1u + s->twin; k++) {
        if (record_log_replay(&s->log, s->cores[k]) != 0) {
            objection(s, "P8: a record is refused when it is given back");
        }
    }
    give_missing(s, NULL);
    oracle_restored(s->oracle);
    tick(s, s->now_us);
    core_check(s->cores[0]);
    if (s->names) {
        printf("restart\n");
    }
}

/* All ticks that the core asks for up to until_us. */
static void pass_time(struct sim *s, int64_t until_us)
{
    for (size_t ticks = 0; !s->problem.len; ticks++) {
        int64_t due_us = core_next_deadline(s->cores[0]);
        if (due_us > until_us) {
            return;
        }
        if (ticks == TICKS_MAX) {
            objection(s, "the core asks for ticks and never has enough");
            return;
        }
        due_us = s->late_ticks ? until_us : due_us > s->now_us ? due_us : s->now_us;
        if (due_us > s->now_us && !s->late_ticks) {
            rest(s);
            oracle_before(s->oracle, due_us);
        }
        tick(s, due_us);
    }
}

static void happen(struct sim *s, const struct happening *h)
{
    struct event e;
    if (s->policy) {
        pass_time(s, h->event.now_us);
        if (!s->late_ticks) {
            oracle_before(s->oracle, h->event.now_us);
        }
    }
    if (h->kind == WORLD_CRASH) {
        crash(s);
    } else if (h->kind == WORLD_SYNC) {
        s->durable = s->log.len;
    } else if (world_resolve(s->world, h, &e)) {
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

/* --- Runs --- */

static void sim_open(struct sim *s, struct world *w, uint64_t seed, bool print)
{
    memset(s, 0, sizeof(*s));
    s->world = w;
    s->twin = seed % 4 == 0;
    s->late_ticks = w->late_ticks;
    buf_init(&s->problem, PROBLEM_MAX);
    s->oracle = oracle_new(&s->problem, w->late_ticks);
    record_log_init(&s->log);
    effects_init(&s->effects[0]);
    effects_init(&s->effects[1]);
    s->names = print ? calloc(1, sizeof(*s->names)) : NULL;
    open_cores(s);
}

static void sim_close(struct sim *s)
{
    close_cores(s);
    effects_release(&s->effects[0]);
    effects_release(&s->effects[1]);
    record_log_release(&s->log);
    oracle_free(s->oracle);
    buf_release(&s->problem);
    free(s->names);
}

/* Tells a story to a new core. The objection's text goes to `why`; false where there is none. */
static bool retell(const struct story *story, const bool *kept, uint64_t seed, struct world *w,
                   bool print, struct buf *why)
{
    struct sim s;
    memset(w->clients, 0, CLIENTS_MAX * sizeof(*w->clients));
    sim_open(&s, w, seed, print);
    for (size_t i = 0; i < story->len && !s.problem.len; i++) {
        if (!kept || kept[i]) {
            happen(&s, &story->at[i]);
        }
    }
    buf_clear(why);
    buf_add_text(why, buf_text(&s.problem));
    bool failed = s.problem.len > 0;
    sim_close(&s);
    return failed;
}

/* Whether two objections are of one kind: the same words up to the first number. */
static bool same_kind(const struct buf *a, const char *b)
{
    const char *x = a->len ? strchr(a->at, ' ') : NULL, *y = strchr(b, ' ');
    x = x ? strchr(x + 1, ' ') : NULL;
    y = y ? strchr(y + 1, ' ') : NULL;
    return x && y && strncmp(x, y, 20) == 0;
}

/* Leaves out as many happenings as it can. */
static void shrink(const struct story *story, bool *kept, uint64_t seed, struct world *w,
                   const char *problem)
{
    struct buf why;
    buf_init(&why, PROBLEM_MAX);
    size_t runs = 0;
    bool *before = malloc(story->len + 1);
    for (size_t chunk = story->len / 2; chunk > 0; chunk /= 2) {
        for (size_t first = 1; first < story->len && runs < SHRINK_RUNS_MAX; first += chunk) {
            size_t n = first + chunk > story->len ? story->len - first : chunk, some = 0;
            memcpy(before, kept + first, n);
            for (size_t i = 0; i < n; i++) {
                some += kept[first + i];
                kept[first + i] = false;
            }
            if (some == 0) {
                continue;
            }
            runs++;
            if (!retell(story, kept, seed, w, false, &why) || !same_kind(&why, problem)) {
                memcpy(kept + first, before, n);
            }
        }
    }
    free(before);
    buf_release(&why);
}

static void report(const struct story *story, uint64_t seed, struct world *w, const char *problem,
                   uint64_t steps)
{
    struct buf why;
    buf_init(&why, PROBLEM_MAX);
    bool *kept = malloc(story->len + 1);
    memset(kept, true, story->len + 1);
    printf("seed %llu, step %llu: %s", (unsigned long long)seed, (unsigned long long)steps,
           problem);
    fflush(stdout);
    shrink(story, kept, seed, w, problem);
    printf("case seed %llu\n", (unsigned long long)seed);
    retell(story, kept, seed, w, true, &why);
    printf("# %s\n", why.len ? why.at : "not reproduced\n");
    free(kept);
    buf_release(&why);
}

struct totals {
    uint64_t steps;
    struct oracle_counts counts;
};

/* One seed. False where the oracle objected. */
static bool run_seed(uint64_t seed, uint64_t steps, bool verbose, struct totals *totals)
{
    struct world w;
    struct sim s;
    world_init(&w, seed);
    sim_open(&s, &w, seed, verbose);
    struct story story = {calloc(steps + 1, sizeof(*story.at)), 0};
    while (s.steps < steps && story.len < steps && !s.problem.len) {
        world_next(&w, &story.at[story.len]);
        happen(&s, &story.at[story.len++]);
    }
    totals->steps += s.steps;
    struct oracle_counts c = oracle_counts(s.oracle);
    totals->counts.grants += c.grants;
    totals->counts.passes += c.passes;
    totals->counts.refusals += c.refusals;
    totals->counts.ordered += c.ordered;
    bool failed = s.problem.len > 0;
    char *problem = strdup(failed ? s.problem.at : "");
    uint64_t at_step = s.steps;
    sim_close(&s);
    if (failed) {
        report(&story, seed, &w, problem, at_step);
    }
    free(problem);
    free(story.at);
    world_release(&w);
    return !failed;
}

static size_t run_file(const char *path, uint64_t steps, struct totals *totals)
{
    FILE *f = fopen(path, "r");
    char line[200];
    size_t failed = 0;
    if (!f) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return 1;
    }
    while (fgets(line, sizeof(line), f)) {
        unsigned long long seed, n = steps;
        if (sscanf(line, "%llu %llu", &seed, &n) >= 1) {
            failed += !run_seed(seed, n, false, totals);
        }
    }
    fclose(f);
    return failed;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, seeds = 1, steps = 2500;
    const char *file = NULL;
    bool verbose = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
            continue;
        }
        i++;
        if (strcmp(argv[i - 1], "--seed") == 0) {
            seed = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--seeds") == 0) {
            seeds = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--steps") == 0) {
            steps = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--file") == 0) {
            file = value;
        } else {
            fprintf(stderr, "usage: sim --seed N [--seeds COUNT] [--steps N] [--file SEEDS]\n");
            return 2;
        }
    }
    struct totals totals = {0};
    size_t failed = file ? run_file(file, steps, &totals) : 0;
    uint64_t wanted = steps > SEED_STEPS_MAX ? steps : 0; /* more than one world lasts */
    steps = wanted ? SEED_STEPS_MAX : steps;
    for (uint64_t i = 0; wanted ? totals.steps < wanted : i < seeds; i++) {
        failed += !run_seed(seed + i, steps, verbose, &totals);
    }
    printf("%llu steps, %llu grants (%llu with no doubt whose turn it was, %llu past a stalled "
           "head), %llu refusals; %zu seeds failed\n",
           (unsigned long long)totals.steps, (unsigned long long)totals.counts.grants,
           (unsigned long long)totals.counts.ordered, (unsigned long long)totals.counts.passes,
           (unsigned long long)totals.counts.refusals, failed);
    return failed != 0;
}
