/*
 * A day of sessions: a million of them, each with one call, over 24 hours of pretended time. Every
 * session has a budget of its own and a limit of requests a minute, so each makes two counters;
 * what no longer matters must be forgotten, or memory grows with every session there ever was.
 * Prints what the process takes after each tenth, as one JSON object.
 *
 *     core_sessions [SESSIONS]
 *
 * The journal's part is played as a driver plays it: it keeps the budgets that the core forgets,
 * and is asked whether it knows a session that comes. None comes twice, so it never does.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/core.h"
#include "core/view.h"
#include "histogram.h"

#define DAY_US     INT64_C(86400000000)
#define CALL_US    INT64_C(5000000) /* from a grant to its settle */
#define IN_CALL    64               /* calls under way: a day's sessions, that far apart */
#define TENTHS     10
#define MISSES_MAX 16

struct day {
    struct core *core;
    struct effects effects;
    struct policy policy;
    struct resource resource;
    int64_t now_us;
    uint64_t leases[IN_CALL]; /* a ring of those under way */
    uint64_t granted, settled;
    size_t counters_max;
};

static void add_limits(struct resource *r)
{
    struct limit *budget = &r->limits[r->limits_n++];
    snprintf(budget->name, sizeof(budget->name), "usd/lifetime/session");
    budget->unit = UNIT_USD;
    budget->amount = INT64_C(1000000000000);
    budget->window = WINDOW_LIFETIME;
    budget->scope = SCOPE_SESSION;
    budget->exceed = EXCEED_REFUSE;
    budget->charge = CHARGE_AT_SETTLE;
    struct limit *pace = &r->limits[r->limits_n++];
    snprintf(pace->name, sizeof(pace->name), "requests/1m/session");
    pace->unit = UNIT_REQUESTS;
    pace->amount = 60;
    pace->window = WINDOW_ROLLING;
    pace->per_us = 60000000;
    pace->guard_us = 250000;
    pace->scope = SCOPE_SESSION;
}

static void day_init(struct day *d)
{
    static const struct core_options options = {.seed = {1, 2}, .spill = true};
    struct resource *r = &d->resource;
    snprintf(r->name, sizeof(r->name), "gpt-4o");
    snprintf(r->model, sizeof(r->model), "gpt-4o");
    r->line_len_max = r->tenant_line_len_max = 1000;
    add_limits(r);
    d->policy = (struct policy){
        .resources = r, .resources_n = 1, .leases_max = 1000000, .counters_max = 1000000};
    d->now_us = INT64_C(1700000000000000);
    effects_init(&d->effects);
    int rc = core_new(&options, &d->core);
    struct event e = {.kind = EVENT_CONFIGURE, .now_us = d->now_us, .policy = &d->policy};
    rc = rc ? rc : core_step(d->core, &e, &d->effects);
    assert(rc == 0);
}

/* Judges an event; the lease that it granted, or 0. */
static uint64_t judge(struct day *d, struct event *e)
{
    uint64_t lease = 0;
    e->now_us = d->now_us;
    int rc = core_step(d->core, e, &d->effects);
    assert(rc == 0);
    for (size_t i = 0; i < d->effects.len; i++) {
        lease = d->effects.at[i].kind == EFFECT_GRANT ? d->effects.at[i].grant.lease : lease;
        d->settled += d->effects.at[i].kind == EFFECT_SETTLED;
    }
    return lease;
}

static void recall(struct day *d, const struct acquire *a)
{
    struct record keys[MISSES_MAX];
    size_t n = core_missing(d->core, a, keys, MISSES_MAX);
    for (size_t i = 0; i < n; i++) {
        keys[i].used = 0;
        int rc = core_recall(d->core, &keys[i]);
        assert(rc == 0);
    }
}

static void settle(struct day *d, uint64_t lease)
{
    struct event e = {.kind = EVENT_RELEASE, .any_tenant = true};
    e.release.lease = lease;
    e.release.has_usage = true;
    e.release.usage = (struct load){.of = {1, 1200, 1000, 200, 1, INT64_C(4500000000)}};
    judge(d, &e);
}

static void begin_session(struct day *d, uint64_t number)
{
    char session[32];
    uint64_t *slot = &d->leases[number % IN_CALL];
    if (*slot) {
        settle(d, *slot);
    }
    int len = snprintf(session, sizeof(session), "session-%08llu", (unsigned long long)number);
    struct event e = {.kind = EVENT_ACQUIRE, .caller = number + 1};
    e.acquire = (struct acquire){
        .resource = TEXT("gpt-4o"),
        .priority = PRIORITY_DEFAULT,
        .session = {session, (size_t)len},
        .wait_us = 0,
        .hold_us = WAIT_US_MAX,
        .lease_us = 10 * CALL_US,
        .load.of = {1, 1500, 1000, 500, 1, INT64_C(7500000000)},
    };
    recall(d, &e.acquire);
    *slot = judge(d, &e);
    d->granted += *slot != 0;
}

static void let_time_pass(struct day *d, int64_t until_us)
{
    int64_t due_us;
    while ((due_us = core_next_deadline(d->core)) <= until_us) {
        d->now_us = due_us > d->now_us ? due_us : d->now_us;
        judge(d, &(struct event){.kind = EVENT_TICK});
    }
    d->now_us = until_us;
}

/* What the process has in memory, in KiB. */
static long resident_kib(void)
{
    long pages = 0;
    char line[256];
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fgets(line, sizeof(line), f)) {
        char *end;
        strtol(line, &end, 10);
        pages = strtol(end, NULL, 10);
    }
    if (f) {
        fclose(f);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int argc, char **argv)
{
    static struct day d;
    uint64_t sessions = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    if (sessions < TENTHS) {
        fprintf(stderr, "usage: core_sessions [SESSIONS]\n");
        return 2;
    }
    day_init(&d);
    int64_t began_us = d.now_us, began_ns = histogram_now_ns();
    printf("{\"sessions\": %llu, \"rss_kib\": [", (unsigned long long)sessions);
    for (uint64_t i = 0; i < sessions; i++) {
        let_time_pass(&d, began_us + (int64_t)((double)DAY_US * (double)i / (double)sessions));
        begin_session(&d, i);
        struct core_totals totals;
        core_totals(d.core, &totals);
        d.counters_max = totals.counters > d.counters_max ? totals.counters : d.counters_max;
        if ((i + 1) % (sessions / TENTHS) == 0) {
            printf("%s%ld", i + 1 > sessions / TENTHS ? ", " : "", resident_kib());
        }
    }
    printf("], \"granted\": %llu, \"settled\": %llu, \"counters_max\": %zu, \"seconds\": %.2f}\n",
           (unsigned long long)d.granted, (unsigned long long)d.settled, d.counters_max,
           (double)(histogram_now_ns() - began_ns) / 1e9);
    core_free(d.core);
    effects_release(&d.effects);
    return d.granted == sessions ? 0 : 1;
}
