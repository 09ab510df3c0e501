/*
 * What a decision costs in the core: an acquire and its settle over three stacked limits (requests
 * and tokens per minute, calls in flight), first with nobody waiting, then with 100,000 in line and
 * 100,000 entries in the windows. Beside each, in the same rounds, what plain containers need for
 * the books alone (books.h): the machine's own speed at that moment. Prints the medians of several
 * interleaved rounds, in nanoseconds of processor time.
 *
 *     core_decide [ROUNDS]
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "books.h"
#include "core/core.h"
#include "core/view.h"

#define DECISIONS  200000
#define WAITING    100000
#define ENTRIES    100000
#define TENANTS    16
#define ROUNDS_MAX 101
#define SLOTS      1000

struct setting {
    struct core *core;
    struct effects effects;
    struct policy policy;
    struct resource resource;
    struct event asks, tells;
    int64_t now_us;
    int64_t step_us;
    uint64_t caller;
    uint64_t leases[SLOTS];
    size_t leases_n;
};

/* Processor time: what else runs on the machine takes none of it, but still slows it down. */
static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void add_limit(struct resource *r, const char *name, enum unit unit, int64_t amount)
{
    struct limit *l = &r->limits[r->limits_n++];
    snprintf(l->name, sizeof(l->name), "%s", name);
    l->unit = unit;
    l->amount = amount;
    l->window = unit == UNIT_SLOTS ? WINDOW_NONE : WINDOW_ROLLING;
    l->per_us = unit == UNIT_SLOTS ? 0 : 60000000;
    l->guard_us = unit == UNIT_SLOTS ? 0 : 250000;
}

/* What all events of a setting have in common. */
static void setting_events(struct setting *s)
{
    s->asks = (struct event){.kind = EVENT_ACQUIRE};
    s->asks.acquire = (struct acquire){
        .resource = TEXT("gpt-4o"),
        .priority = 5,
        .wait_us = WAIT_US_MAX,
        .hold_us = WAIT_US_MAX,
        .lease_us = 3600000000,
        .load.of = {[UNIT_REQUESTS] = 1, [UNIT_TOKENS] = 700, [UNIT_SLOTS] = 1},
    };
    s->tells = (struct event){.kind = EVENT_RELEASE, .any_tenant = true};
    s->tells.release.has_usage = true;
    s->tells.release.usage = (struct load){.of = {1, 500, 300, 200, 1, 0}};
}

static void setting_init(struct setting *s, int64_t slots, int64_t step_us)
{
    static const struct core_options options = {.seed = {1, 2}};
    memset(s, 0, sizeof(*s));
    struct resource *r = &s->resource;
    snprintf(r->name, sizeof(r->name), "gpt-4o");
    snprintf(r->model, sizeof(r->model), "gpt-4o");
    r->line_len_max = 2 * WAITING;
    r->tenant_line_len_max = 2 * WAITING;
    add_limit(r, "rpm", UNIT_REQUESTS, 1000000000);
    add_limit(r, "tpm", UNIT_TOKENS, 1000000000000);
    add_limit(r, "concurrency", UNIT_SLOTS, slots);
    s->policy = (struct policy){
        .resources = r, .resources_n = 1, .leases_max = 10000, .counters_max = 1000};
    s->step_us = step_us;
    s->now_us = 1000000;
    effects_init(&s->effects);
    setting_events(s);
    int rc = core_new(&options, &s->core);
    struct event e = {.kind = EVENT_CONFIGURE, .now_us = s->now_us, .policy = &s->policy};
    rc = rc ? rc : core_step(s->core, &e, &s->effects);
    assert(rc == 0);
}

static void step(struct setting *s, const struct event *e)
{
    int rc = core_step(s->core, e, &s->effects);
    assert(rc == 0);
    for (size_t i = 0; i < s->effects.len; i++) {
        if (s->effects.at[i].kind == EFFECT_GRANT) {
            s->leases[s->leases_n++] = s->effects.at[i].grant.lease;
        }
    }
}

static void acquire(struct setting *s)
{
    static const char tenants[TENANTS + 1] = "abcdefghijklmnop";
    s->asks.now_us = s->now_us;
    s->asks.caller = ++s->caller;
    s->asks.acquire.tenant = (struct text){&tenants[s->caller % TENANTS], 1};
    step(s, &s->asks);
}

static void release(struct setting *s)
{
    assert(s->leases_n > 0);
    s->tells.now_us = s->now_us;
    s->tells.release.lease = s->leases[--s->leases_n];
    step(s, &s->tells);
}

static double round_ns(struct setting *s)
{
    int64_t from_ns = now_ns();
    for (int i = 0; i < DECISIONS; i++) {
        s->now_us += s->step_us;
        acquire(s);
        release(s);
    }
    return (double)(now_ns() - from_ns) / DECISIONS;
}

static double books_round_ns(struct books *b)
{
    int64_t from_ns = now_ns();
    for (int i = 0; i < DECISIONS; i++) {
        books_turn(b);
    }
    return (double)(now_ns() - from_ns) / DECISIONS;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *of, int n)
{
    qsort(of, (size_t)n, sizeof(double), by_value);
    return of[n / 2];
}

static void print(const char *what, double ns, double books_ns)
{
    printf("%s: %.0f ns\n", what, ns);
    printf("  the books alone, by GLib's hash table and queues: %.0f ns (%.2f times)\n", books_ns,
           ns / books_ns);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 7;
    static struct setting idle, busy;
    double idle_ns[ROUNDS_MAX], busy_ns[ROUNDS_MAX];
    double idle_books_ns[ROUNDS_MAX], busy_books_ns[ROUNDS_MAX];
    if (rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "core_decide: ROUNDS must be 1 to %d\n", ROUNDS_MAX);
        return 2;
    }
    setting_init(&idle, SLOTS, 1000);
    /* A step of 600 µs keeps 100,000 granules of a minute's 131,072 in use. */
    setting_init(&busy, 1, 60000000 / ENTRIES);
    acquire(&busy);
    for (int i = 0; i < WAITING; i++) {
        acquire(&busy);
    }
    round_ns(&busy);
    struct books *idle_books = books_new(0, idle.step_us);
    struct books *busy_books = books_new(WAITING, busy.step_us);
    for (int i = 0; i < rounds; i++) {
        idle_ns[i] = round_ns(&idle);
        idle_books_ns[i] = books_round_ns(idle_books);
        busy_ns[i] = round_ns(&busy);
        busy_books_ns[i] = books_round_ns(busy_books);
    }
    struct core_totals totals;
    core_totals(busy.core, &totals);
    char with_line[96];
    snprintf(with_line, sizeof(with_line), "the same with %zu waiting and %d entries a window",
             totals.waiting, ENTRIES);
    print("acquire and settle, three limits, nobody waiting", median(idle_ns, rounds),
          median(idle_books_ns, rounds));
    print(with_line, median(busy_ns, rounds), median(busy_books_ns, rounds));
    printf("with a line: %.2f times as long as without\n",
           busy_ns[rounds / 2] / idle_ns[rounds / 2]);
    books_free(idle_books);
    books_free(busy_books);
    core_free(idle.core);
    core_free(busy.core);
    effects_release(&idle.effects);
    effects_release(&busy.effects);
    return 0;
}
