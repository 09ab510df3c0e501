#include "core/health.h"

#include <assert.h>
#include <string.h>

#include "base/num.h"
#include "core/calendar.h"
#include "core/emit.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/move.h"
#include "core/remember.h"

#define PPM          INT64_C(1000000)
#define RATE_MIN_PPM 20000 /* however often a rate is cut */
#define DOUBLINGS    20

const struct feedback feedback_default = {
    .pause_us = US_PER_S,
    .backoff_us = US_PER_S,
    .backoff_us_max = US_PER_MIN,
    .ramp_us = INT64_C(10) * US_PER_S,
    .slow_ppm = 700000,
    .growth_ppm = 50000,
    .breaker_refusals = 3,
    .breaker_us = US_PER_MIN,
    .breaker_us_max = INT64_C(10) * US_PER_MIN,
    .attempts_max = 5,
    .retry_share_ppm = 200000,
    .money_probe_us = INT64_C(60) * US_PER_MIN,
};

const char *health_state_name(enum health_state state)
{
    static const char *const names[HEALTH_STATES] = {
        [HEALTH_OK] = "ok",
        [HEALTH_RECOVERING] = "recovering",
        [HEALTH_PAUSED] = "paused",
        [HEALTH_BACKOFF] = "backoff",
        [HEALTH_BREAKER_OPEN] = "breaker_open",
        [HEALTH_PROBING] = "probing",
        [HEALTH_DAY_OVER] = "day_over",
        [HEALTH_OUT_OF_MONEY] = "out_of_money",
    };
    return names[state];
}

const char *answer_class_name(enum answer_class class)
{
    static const char *const names[ANSWER_CLASSES] = {
        [ANSWER_OK] = "ok",
        [ANSWER_WAIT] = "wait",
        [ANSWER_SLOW_DOWN] = "slow_down",
        [ANSWER_OVERLOAD] = "overload",
        [ANSWER_DAY_OVER] = "day_over",
        [ANSWER_OUT_OF_MONEY] = "out_of_money",
        [ANSWER_NEVER_FITS] = "never_fits",
        [ANSWER_TOO_LONG] = "too_long",
        [ANSWER_BAD_REQUEST] = "bad_request",
        [ANSWER_AUTH] = "auth",
    };
    return names[class];
}

/* The finalizer of splitmix64 (Steele, Lea, Flood 2014). */
int64_t jitter(uint64_t a, uint64_t b, int64_t n)
{
    uint64_t x = a * UINT64_C(0x9e3779b97f4a7c15) + b;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return n > 0 ? (int64_t)(x % (uint64_t)n) : 0;
}

/* --- The rate. --- */

static bool is_closed(const struct health *h)
{
    return h->state != HEALTH_OK && h->state != HEALTH_RECOVERING && h->state != HEALTH_PROBING;
}

/* What has grown of the rate by now, where the state does not say it. */
static int64_t grown_ppm(const struct health *h, int64_t now_us)
{
    int64_t grown = mul_div_sat(now_us - h->rate_at_us, h->growth_ppm, US_PER_MIN);
    return min_i64(PPM, add_sat(h->rate_ppm, grown));
}

static int64_t rate_ppm(const struct health *h, int64_t now_us)
{
    return h->state == HEALTH_OK ? PPM : grown_ppm(h, now_us);
}

/* How much of the time of its limits a load takes: a tenth of a minute's tokens are six seconds. */
static int64_t time_share_us(const struct line *line, const struct load *load)
{
    int64_t share_us = 0;
    for (size_t i = 0; i < line->limits_n; i++) {
        const struct rule *rule = line->rules[i];
        const struct terms *t = &rule->terms;
        int64_t n = load->of[rule->limit->unit];
        if (!rule->whole) {
            continue;
        }
        if (t->kind == WINDOW_ROLLING || t->kind == WINDOW_BUCKET) {
            share_us = max_i64(share_us, mul_div_sat(n, t->per_us, t->amount));
        } else if (t->kind == WINDOW_NONE && line->stats.settled > 0) {
            int64_t held_us = line->stats.held_for_us / (int64_t)line->stats.settled;
            share_us = max_i64(share_us, mul_div_sat(n, held_us, t->amount));
        }
    }
    return share_us;
}

/* --- Changes of state. --- */

static void tell(struct core *core, struct line *line, enum health_state was)
{
    struct effect *e = effect_add(core, EFFECT_HEALTH, 0);
    e->health.resource = line->name;
    e->health.was = was;
    health_view(core, line, &e->health.view);
}

static int64_t div_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

int64_t health_next_us(const struct core *core, const struct line *line)
{
    const struct health *h = &line->health;
    int64_t now_us = core->now_us;
    if (h->state == HEALTH_RECOVERING) {
        int64_t missing = PPM - rate_ppm(h, now_us);
        int64_t full_us = h->growth_ppm > 0
                              ? add_sat(now_us, div_up(missing * US_PER_MIN, h->growth_ppm))
                              : INT64_MAX;
        const struct path *pool = line->crossing.pool;
        /* Whoever waits at another account is served here by the same rate. */
        bool wanted = line->backlog > 0 || (pool && pool_waits(pool));
        return wanted && h->next_us > now_us ? min_i64(h->next_us, full_us) : full_us;
    }
    return is_closed(h) ? h->until_us : INT64_MAX;
}

static void set_state(struct core *core, struct line *line, enum health_state state,
                      int64_t until_us)
{
    struct health *h = &line->health;
    enum health_state was = h->state;
    h->state = state;
    h->since_us = was != state ? core->now_us : h->since_us;
    h->until_us = until_us;
    h->probe = 0;
    line_make_pending(core, line);
    if (is_closed(h)) {
        line_closed(core, line);
    }
    tell(core, line, was);
}

/* The rate grows from what it was at that moment; it may be all there again by now. */
static void recover(struct core *core, struct line *line, int64_t at_us, int64_t from_ppm,
                    int64_t growth_ppm)
{
    struct health *h = &line->health;
    assert(from_ppm > 0);
    h->rate_ppm = (int32_t)from_ppm;
    h->growth_ppm = growth_ppm;
    h->rate_at_us = at_us;
    h->next_us = core->now_us;
    bool full = grown_ppm(h, core->now_us) >= PPM;
    set_state(core, line, full ? HEALTH_OK : HEALTH_RECOVERING, 0);
}

/* From where the refusal left the rate to all of it, since `from_us`. */
static void ramp_up(struct core *core, struct line *line, int64_t from_us)
{
    const struct feedback *f = &line->resource->feedback;
    if (f->ramp_us == 0) {
        recover(core, line, core->now_us, PPM, 0);
        return;
    }
    int64_t growth_ppm = mul_div_sat(PPM / 2, US_PER_MIN, f->ramp_us);
    recover(core, line, from_us, line->health.after_ppm, growth_ppm);
}

/* The rate to begin with after a refusal: every further one halves it again. One that says nothing
 * new leaves it as it is, but for the first of all that close. */
static void cut_rate(const struct core *core, struct health *h, int64_t by)
{
    int64_t rate = is_closed(h) ? h->after_ppm : rate_ppm(h, core->now_us);
    h->after_ppm = (int32_t)max_i64(rate / by, RATE_MIN_PPM);
}

static void close_until(struct core *core, struct line *line, enum health_state state,
                        int64_t until_us)
{
    struct health *h = &line->health;
    bool longer = h->state != state || until_us > h->until_us;
    if (longer) {
        set_state(core, line, state, until_us);
    }
}

static int64_t doubled(int64_t us, int64_t times, int64_t us_max)
{
    return min_i64(us_max, mul_sat(us, INT64_C(1) << min_i64(times, DOUBLINGS)));
}

static void open_breaker(struct core *core, struct line *line)
{
    const struct feedback *f = &line->resource->feedback;
    struct health *h = &line->health;
    int64_t pause_us = doubled(f->breaker_us, h->breaks, f->breaker_us_max);
    h->breaks++;
    h->refusals = 0;
    close_until(core, line, HEALTH_BREAKER_OPEN, add_sat(core->now_us, pause_us));
}

/* --- Answers. --- */

static void note_why(struct health *h, const struct answer *a)
{
    size_t len = a->reason.len < HEALTH_REASON_MAX - 1 ? a->reason.len : HEALTH_REASON_MAX - 1;
    h->why = a->class;
    if (len) {
        memcpy(h->reason, a->reason.at, len);
    }
    h->reason[len] = '\0';
}

/* Counts a refusal in a row; true where it was one too many. */
static bool is_last_straw(struct core *core, struct line *line, bool probed)
{
    const struct feedback *f = &line->resource->feedback;
    struct health *h = &line->health;
    h->refusals++;
    h->incident_us = core->now_us;
    if (f->breaker_refusals > 0 && (probed || h->refusals >= f->breaker_refusals)) {
        open_breaker(core, line);
        return true;
    }
    return false;
}

/* How long everyone waits: what the provider asks for, or else doubling with each in a row. */
static int64_t wait_us(const struct core *core, const struct line *line, const struct answer *a,
                       int64_t first_us)
{
    const struct feedback *f = &line->resource->feedback;
    const struct health *h = &line->health;
    if (a->retry_after_us >= 0) {
        return a->retry_after_us;
    }
    int64_t us = doubled(first_us, max_i64(h->refusals - 1, 0), f->backoff_us_max);
    return us / 2 + jitter((uint64_t)core->now_us, line->index, us / 2 + 1);
}

static void told_to_wait(struct core *core, struct line *line, const struct answer *a, bool news,
                         bool probed)
{
    const struct feedback *f = &line->resource->feedback;
    bool more = news || a->retry_after_us > 0;
    if (f->pause_us == 0 || !more || (news && is_last_straw(core, line, probed))) {
        return;
    }
    if (line->health.state == HEALTH_BREAKER_OPEN) {
        return;
    }
    if (news || line->health.after_ppm == 0) {
        cut_rate(core, &line->health, 2);
    }
    int64_t until_us = add_sat(core->now_us, wait_us(core, line, a, f->pause_us));
    close_until(core, line, HEALTH_PAUSED, until_us);
}

static void told_to_slow_down(struct core *core, struct line *line, const struct answer *a,
                              bool news, bool probed)
{
    const struct feedback *f = &line->resource->feedback;
    struct health *h = &line->health;
    if (f->slow_ppm == 0 || !news || is_last_straw(core, line, probed)) {
        return;
    }
    int64_t rate = mul_div_sat(rate_ppm(h, core->now_us), f->slow_ppm, PPM);
    recover(core, line, core->now_us, max_i64(rate, RATE_MIN_PPM), f->growth_ppm);
    if (a->retry_after_us > 0) {
        h->next_us = add_sat(core->now_us, a->retry_after_us);
    }
}

/* One call that failed says little of the others, unless the provider says when to come back. */
static void overloaded(struct core *core, struct line *line, const struct answer *a, bool news,
                       bool probed)
{
    const struct feedback *f = &line->resource->feedback;
    struct health *h = &line->health;
    if (f->backoff_us == 0 || !news || is_last_straw(core, line, probed)) {
        return;
    }
    if (h->refusals > 1 || a->retry_after_us > 0) {
        cut_rate(core, h, 2);
        int64_t until_us = add_sat(core->now_us, wait_us(core, line, a, f->backoff_us));
        close_until(core, line, HEALTH_BACKOFF, until_us);
    }
}

static void day_over(struct core *core, struct line *line)
{
    const struct feedback *f = &line->resource->feedback;
    int64_t wall_us = add_sat(core->now_us, core->skew_us);
    struct period day = calendar_period(STEP_DAY, f->day_zone, wall_us);
    close_until(core, line, HEALTH_DAY_OVER, sub_sat(day.end_us, core->skew_us));
}

static void out_of_money(struct core *core, struct line *line)
{
    const struct feedback *f = &line->resource->feedback;
    if (f->money_probe_us > 0) {
        close_until(core, line, HEALTH_OUT_OF_MONEY, add_sat(core->now_us, f->money_probe_us));
    }
}

static void served(struct core *core, struct line *line, bool news, bool probed)
{
    struct health *h = &line->health;
    bool counted = news && h->refusals > 0;
    h->refusals = news ? 0 : h->refusals;
    if (probed) {
        h->breaks = 0;
        line->crossing.cool_us = core->now_us;
        h->after_ppm = PPM / 4;
        ramp_up(core, line, core->now_us);
    }
    if (counted || probed) {
        remember_health(core, line);
    }
}

/* Routes keep away from a resource that was refused, or whose key was. */
static void cool_down(struct core *core, struct line *line, const struct answer *a)
{
    const struct health *h = &line->health;
    bool refused = a->class >= ANSWER_WAIT && a->class <= ANSWER_OUT_OF_MONEY;
    bool lone = a->class == ANSWER_OVERLOAD && h->refusals == 1 && a->retry_after_us <= 0;
    if ((refused && !lone) || a->class == ANSWER_AUTH) {
        line->crossing.cool_us = add_sat(core->now_us, line->resource->cooldown_us);
    }
    if (refused || a->class == ANSWER_AUTH) {
        remember_health(core, line);
    }
}

/* An answer that is not just one more of a resource that is well. */
APART static void take_answer(struct core *core, struct line *line, const struct lease *l,
                              const struct answer *a, bool news)
{
    struct health *h = &line->health;
    bool probed = h->state == HEALTH_PROBING && h->probe == l->lease;
    if (a->class >= ANSWER_WAIT && a->class <= ANSWER_OUT_OF_MONEY) {
        note_why(h, a);
    }
    switch (a->class) {
    case ANSWER_WAIT: told_to_wait(core, line, a, news, probed); break;
    case ANSWER_SLOW_DOWN: told_to_slow_down(core, line, a, news, probed); break;
    case ANSWER_OVERLOAD: overloaded(core, line, a, news, probed); break;
    case ANSWER_DAY_OVER: day_over(core, line); break;
    case ANSWER_OUT_OF_MONEY: out_of_money(core, line); break;
    default: served(core, line, news, probed); break;
    }
    if (unlikely(a->class != ANSWER_OK)) {
        cool_down(core, line, a);
    }
    if (unlikely(probed) && h->state == HEALTH_PROBING) { /* refused, but nothing follows from it */
        health_unanswered(core, line, l);
    }
}

bool health_answer(struct core *core, struct line *line, const struct lease *l,
                   const struct answer *a)
{
    const struct health *h = &line->health;
    bool news = l->granted_us >= h->incident_us;
    if (unlikely(a->class != ANSWER_OK || h->state != HEALTH_OK || h->refusals > 0)) {
        take_answer(core, line, l, a, news);
    }
    return news;
}

void health_unanswered(struct core *core, struct line *line, const struct lease *l)
{
    struct health *h = &line->health;
    if (h->state == HEALTH_PROBING && h->probe == l->lease) {
        h->probe = 0;
        line_make_pending(core, line);
    }
}

/* --- Letting pass. --- */

bool health_lets(const struct core *core, const struct line *line)
{
    const struct health *h = &line->health;
    switch (h->state) {
    case HEALTH_OK: return true;
    case HEALTH_RECOVERING: return h->next_us <= core->now_us;
    case HEALTH_PROBING: return h->probe == 0;
    default: return false;
    }
}

int64_t health_opens_us(const struct core *core, const struct line *line)
{
    const struct health *h = &line->health;
    if (health_lets(core, line)) {
        return core->now_us;
    }
    if (h->state == HEALTH_RECOVERING) {
        return h->next_us;
    }
    /* Where a tick is late, it is due. */
    return h->state == HEALTH_PROBING ? INT64_MAX : max_i64(h->until_us, core->now_us);
}

APART void health_granted(struct core *core, struct line *line, const struct lease *l)
{
    struct health *h = &line->health;
    if (h->state == HEALTH_PROBING) {
        h->probe = l->lease;
        remember_health(core, line);
    } else if (h->state == HEALTH_RECOVERING) {
        int64_t full_us = time_share_us(line, &l->load);
        int64_t gap_us = mul_div_sat(full_us, PPM, rate_ppm(h, core->now_us));
        h->next_us = add_sat(max_i64(h->next_us, core->now_us), gap_us);
        line_make_pending(core, line);
    }
}

/* The time of a closed state is up. After a long one nobody knows whether it is over. */
static void let_out(struct core *core, struct line *line)
{
    const struct health *h = &line->health;
    if (h->state == HEALTH_PAUSED || h->state == HEALTH_BACKOFF) {
        ramp_up(core, line, h->until_us);
    } else {
        set_state(core, line, HEALTH_PROBING, INT64_MAX);
    }
}

void health_look(struct core *core, struct line *line)
{
    struct health *h = &line->health;
    enum health_state was = h->state;
    if (was == HEALTH_OK) {
        return;
    }
    if (was == HEALTH_RECOVERING && rate_ppm(h, core->now_us) >= PPM) {
        recover(core, line, core->now_us, PPM, 0);
    } else if (is_closed(h) && h->until_us <= core->now_us) {
        let_out(core, line);
    }
    if (h->state != was) {
        remember_health(core, line);
    }
}

void health_reopen(struct core *core, struct line *line, caller_id caller)
{
    line->health.refusals = 0;
    line->health.breaks = 0;
    line->crossing.cool_us = core->now_us;
    recover(core, line, core->now_us, PPM, 0);
    core->effects->at[core->effects->len - 1].caller = caller;
    remember_health(core, line);
}

/* --- Beginning, going on, showing. --- */

void health_init(struct health *h)
{
    *h = (struct health){.state = HEALTH_OK, .incident_us = INT64_MIN};
}

void health_view(const struct core *core, const struct line *line, struct health_view *view)
{
    const struct health *h = &line->health;
    *view = (struct health_view){
        .state = h->state,
        .since_us = h->since_us,
        .until_us = h->state == HEALTH_PROBING ? INT64_MAX : h->until_us,
        .why = h->why,
        .rate_ppm = (int32_t)(is_closed(h) ? 0 : rate_ppm(h, core->now_us)),
        .refusals = h->refusals,
    };
    memcpy(view->reason, h->reason, sizeof(view->reason));
}
