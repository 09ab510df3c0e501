#include "provider.h"

#include <string.h>

#include "base/num.h"
#include "support/random.h"

/* What the provider is like towards one resource in one stretch of time. */
struct mood {
    int64_t window_us;
    int64_t requests, tokens; /* per window, what others leave of it */
    bool slow, overloaded, day_over, out_of_money;
};

void provider_init(struct provider *p, uint64_t seed, bool tells)
{
    memset(p, 0, sizeof(*p));
    p->seed = seed;
    p->tells = tells;
}

static struct random chance_of(const struct provider *p, uint64_t what, uint64_t number)
{
    struct random r = {p->seed * UINT64_C(0x9e3779b97f4a7c15) + (what << 32) + number};
    random_u64(&r);
    return r;
}

static struct mood mood_at(const struct provider *p, size_t resource, int64_t at_us)
{
    struct random lasting = chance_of(p, 1, resource);
    struct mood m = {.window_us = random_in(&lasting, 1, 60) * US_PER_S};
    m.requests = random_in(&lasting, 1, 20);
    m.tokens = random_in(&lasting, 50, 1500);
    int64_t stretch_us = random_in(&lasting, 5, 90) * US_PER_S;
    uint64_t stretch = (uint64_t)(at_us / stretch_us) * PROVIDER_RESOURCES + resource;
    struct random passing = chance_of(p, 2, stretch);
    static const int64_t DRIFTS[] = {100, 100, 100, 50, 20, 150};
    int64_t percent = DRIFTS[random_in(&passing, 0, 5)];
    percent = percent * (random_chance(&passing, 70) ? 100 : random_in(&passing, 30, 90)) / 100;
    m.requests = max_i64(1, m.requests * percent / 100);
    m.tokens = max_i64(10, m.tokens * percent / 100);
    int64_t dice = random_in(&passing, 0, 99);
    m.overloaded = dice < 12;
    m.slow = dice >= 12 && dice < 18;
    m.day_over = dice == 18;
    m.out_of_money = dice == 19;
    return m;
}

/* How much of a window is used, without the calls after `at_us`; and when the oldest leaves. */
static void add_up(const struct provider_side *s, const struct mood *m, int64_t at_us,
                   struct provider_call *sum)
{
    uint64_t first = s->calls_n > PROVIDER_CALLS_MAX ? s->calls_n - PROVIDER_CALLS_MAX : 0;
    *sum = (struct provider_call){.at_us = INT64_MAX};
    for (uint64_t i = first; i < s->calls_n; i++) {
        const struct provider_call *c = &s->calls[i % PROVIDER_CALLS_MAX];
        if (c->at_us <= at_us && c->at_us + m->window_us > at_us) {
            sum->requests += c->requests;
            sum->tokens += c->tokens;
            sum->at_us = min_i64(sum->at_us, c->at_us);
        }
    }
}

static void let_through(struct provider_side *s, const struct provider_ask *ask)
{
    s->calls[s->calls_n++ % PROVIDER_CALLS_MAX] =
        (struct provider_call){ask->now_us, ask->load.of[UNIT_REQUESTS], ask->load.of[UNIT_TOKENS]};
}

/* --- Headers. --- */

static void tell(struct answer *a, enum unit unit, enum reading_span span, int64_t limit,
                 int64_t used, struct random *r)
{
    struct reading *to = &a->readings[a->readings_n++];
    int64_t left = max_i64(0, limit - used);
    *to = (struct reading){unit, span, limit, left, 1, US_PER_MIN};
    switch (random_in(r, 0, 19)) {
    case 0: to->remaining = limit; break;
    case 1: to->remaining = 0; break;
    case 2: to->limit = random_in(r, 1, 3 * limit); break;
    case 3: to->limit = -1; break;
    case 4: to->remaining = -1; break;
    case 5: to->grain = random_in(r, 2, 50); break;
    default: break;
    }
    if (to->limit >= 0 && to->remaining > to->limit) {
        to->remaining = to->limit;
    }
}

/* What is left, as of some moment while the call was out. */
static void tell_limits(const struct provider *p, const struct provider_ask *ask,
                        const struct mood *m, struct random *r, struct answer *a)
{
    struct provider_call sum;
    int64_t at_us = random_in(r, ask->granted_us, max_i64(ask->granted_us, ask->now_us));
    enum reading_span span = random_chance(r, 70) ? READING_MINUTE : READING_SECOND;
    add_up(&p->sides[ask->resource], m, at_us, &sum);
    tell(a, UNIT_REQUESTS, span, m->requests, sum.requests, r);
    tell(a, UNIT_TOKENS, span, m->tokens, sum.tokens, r);
}

/* --- Refusals. --- */

static void refuse(struct answer *a, enum answer_class class, int status, const char *reason)
{
    a->class = class;
    a->status = status;
    a->reason = text_of(reason);
}

/* How long to wait, honestly, wrongly, or not said. */
static int64_t wait_said(struct random *r, int64_t honest_us)
{
    switch (random_in(r, 0, 5)) {
    case 0: return -1;
    case 1: return random_in(r, 0, RETRY_AFTER_US_MAX);
    case 2: return 0;
    default: return min_i64(max_i64(0, honest_us), RETRY_AFTER_US_MAX);
    }
}

static void overload(struct answer *a, struct random *r)
{
    static const int STATUS[] = {529, 503, 500, 0};
    refuse(a, ANSWER_OVERLOAD, STATUS[random_in(r, 0, 3)], "overloaded_error");
    a->reached = a->status != 0;
    a->retry_after_us = random_chance(r, 20) ? random_in(r, 1, 100) * US_PER_S : -1;
}

static void own_fault(struct answer *a, struct random *r)
{
    static const enum answer_class FAULTS[] = {ANSWER_NEVER_FITS, ANSWER_TOO_LONG,
                                               ANSWER_BAD_REQUEST, ANSWER_AUTH};
    refuse(a, FAULTS[random_in(r, 0, 3)], 400, "invalid_request_error");
}

/* --- All of it. --- */

static void judge(struct provider *p, const struct provider_ask *ask, const struct mood *m,
                  struct random *r, struct answer *a)
{
    struct provider_side *s = &p->sides[ask->resource];
    struct provider_call sum;
    add_up(s, m, ask->now_us, &sum);
    bool over = sum.requests + ask->load.of[UNIT_REQUESTS] > m->requests ||
                sum.tokens + ask->load.of[UNIT_TOKENS] > m->tokens;
    if (m->overloaded && random_chance(r, 90)) {
        overload(a, r);
    } else if (m->out_of_money) {
        refuse(a, ANSWER_OUT_OF_MONEY, 429, "insufficient_quota");
    } else if (m->day_over) {
        refuse(a, ANSWER_DAY_OVER, 429, "quota_exceeded");
    } else if (over) {
        refuse(a, ANSWER_WAIT, 429, "rate_limit_exceeded");
        int64_t leaves_us = sum.at_us == INT64_MAX ? 0 : sum.at_us + m->window_us - ask->now_us;
        a->retry_after_us = wait_said(r, leaves_us);
    } else if (m->slow && random_chance(r, 30)) {
        refuse(a, ANSWER_SLOW_DOWN, 429, "slow_down");
        a->retry_after_us = random_chance(r, 20) ? random_in(r, 0, 20) * US_PER_S : -1;
    } else if (random_chance(r, 3)) {
        own_fault(a, r);
    } else {
        let_through(s, ask);
    }
}

void provider_answer(struct provider *p, const struct provider_ask *ask, struct answer *a)
{
    struct random r = chance_of(p, 3, ask->number);
    struct mood m = mood_at(p, ask->resource, ask->now_us);
    *a = (struct answer){.class = ANSWER_OK, .reached = true, .status = 200, .retry_after_us = -1};
    a->elapsed_us = max_i64(0, ask->now_us - ask->granted_us);
    judge(p, ask, &m, &r, a);
    if (p->tells && a->reached && random_chance(&r, 80)) {
        tell_limits(p, ask, &m, &r, a);
    }
}
