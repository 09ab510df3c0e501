#include "core/pace.h"

#include "base/num.h"
#include "core/counter.h"
#include "core/learn.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/remember.h"

#define MILLI          INT64_C(1000)
#define SLOTS_UNTOLD   4096 /* as far as trying goes where nobody gives a bound */
#define SHORT_SHARE    8    /* a new latency moves that of late by an eighth … */
#define LONG_SHARE     256  /* … and that of the long run by so much, once it has seen as many */
#define TOLERANCE      1500 /* thousandths: latency may grow by half before that tells something */
#define GRADIENT_MIN   500  /* thousandths, of one answer */
#define SMOOTHING      5    /* a fifth of the way with each answer */
#define OVERLOAD_KEEPS 900  /* thousandths */
#define TALLY_CALLS    256  /* what calls use of late is of so many of them, or up to twice */
#define NOTED_SHARE    8    /* it is written down when it has changed by such a part */

/* --- Setting the limit. --- */

static bool adapts(const struct line *line)
{
    return line->resource->slots_max > 0;
}

static int64_t slots_most(const struct line *line)
{
    return adapts(line) ? line->resource->slots_max : SLOTS_UNTOLD;
}

static int64_t slots_least(const struct line *line)
{
    return adapts(line) ? line->resource->slots_min : 1;
}

static int64_t slots_now(const struct line *line)
{
    const struct pace *p = &line->pace;
    return p->told ? AMOUNT_MAX : p->slots_milli / MILLI;
}

static void set_rules(struct line *line)
{
    const struct limit *limit = line->pace.rule->limit;
    for (size_t i = 0; i < line->rules_n; i++) {
        if (line->rules[i]->limit == limit) {
            line->rules[i]->slots = slots_now(line);
            rule_make_terms(line->rules[i]);
        }
    }
}

static void apply(struct core *core, struct line *line)
{
    const struct limit *limit = line->pace.rule->limit;
    int64_t slots = slots_now(line);
    for (size_t i = 0; i < line->rules_n; i++) {
        struct rule *rule = line->rules[i];
        bool mine = rule->limit == limit && rule->slots != slots;
        if (mine) {
            rule->slots = slots;
            rule_changed(core, rule);
        }
    }
}

static void set_milli(struct core *core, struct line *line, int64_t milli)
{
    struct pace *p = &line->pace;
    int64_t most = slots_most(line) * MILLI;
    p->slots_milli = max_i64(slots_least(line) * MILLI, min_i64(milli, most));
    apply(core, line);
    int64_t moved = p->slots_milli - p->noted_milli;
    if (max_i64(moved, -moved) * NOTED_SHARE >= p->noted_milli) {
        p->noted_milli = p->slots_milli;
        remember_rule(core, p->rule);
    }
}

void pace_init(struct line *line)
{
    struct pace *p = &line->pace;
    for (size_t i = 0; i < line->limits_n && !p->rule; i++) {
        struct rule *rule = line->rules[i];
        bool own = rule->unit == UNIT_SLOTS && rule->whole && rule->users_n == 1 &&
                   rule->limit->shared[0] == '\0';
        p->rule = own && (rule->limit->learned || adapts(line)) ? rule : NULL;
    }
    p->doubling_upto = SLOTS_UNTOLD;
    p->cut_us = INT64_MIN;
    if (p->rule) {
        p->slots_milli = slots_least(line) * MILLI;
        p->noted_milli = p->slots_milli;
        set_rules(line);
    }
}

void pace_back(struct line *line, int64_t slots_milli, int64_t doubling_upto)
{
    struct pace *p = &line->pace;
    int64_t most = slots_most(line) * MILLI;
    p->slots_milli = max_i64(slots_least(line) * MILLI, min_i64(slots_milli, most));
    p->noted_milli = p->slots_milli;
    p->doubling_upto = doubling_upto;
    set_rules(line);
}

void pace_carry(struct line *line, const struct pace *old)
{
    struct pace *p = &line->pace;
    struct rule *rule = p->rule;
    bool same = rule && old->rule && rule->limit->learned == old->rule->limit->learned;
    p->short_us = old->short_us;
    p->long_us = old->long_us;
    p->newer = old->newer;
    p->older = old->older;
    if (same) {
        *p = *old;
        p->rule = rule;
        int64_t most = slots_most(line) * MILLI;
        p->slots_milli = max_i64(slots_least(line) * MILLI, min_i64(p->slots_milli, most));
        set_rules(line);
    }
}

/* --- What answers do. --- */

static void note_latency(struct pace *p, int64_t us)
{
    if (us <= 0) {
        return;
    }
    p->short_us = p->short_us > 0 ? p->short_us + (us - p->short_us) / SHORT_SHARE : us;
    p->long_us = p->long_us > 0 ? p->long_us + (us - p->long_us) / LONG_SHARE : us;
    if (p->long_us > 2 * p->short_us) { /* a long bad time is over: forget it sooner */
        p->long_us -= p->long_us / 20;
    }
}

/* A turn of what calls of late are. */
static void take_tally(struct line *line)
{
    struct pace *p = &line->pace;
    p->older = p->newer;
    p->newer = (struct tally){(int64_t)line->stats.settled, line->stats.used};
}

/* In flight when the answer came, with the call that it answers. */
static int64_t in_flight(const struct line *line)
{
    return line->pace.rule->whole->held + 1;
}

static bool is_in_use(const struct line *line)
{
    return 2 * in_flight(line) > line->pace.slots_milli / MILLI;
}

/* One more a served call doubles them each round; one more a round adds one. */
static void grow(struct core *core, struct line *line)
{
    struct pace *p = &line->pace;
    bool doubling = p->slots_milli < p->doubling_upto * MILLI;
    int64_t more = doubling ? MILLI : max_i64(1, MILLI * MILLI / p->slots_milli);
    set_milli(core, line, p->slots_milli + more);
}

static void halve(struct core *core, struct line *line)
{
    struct pace *p = &line->pace;
    int64_t slots = min_i64(p->slots_milli / MILLI, in_flight(line));
    p->doubling_upto = max_i64(1, slots / 2);
    p->cut_us = core->now_us;
    set_milli(core, line, p->doubling_upto * MILLI);
}

/* That are tried beyond what the gradient leaves: the root of those there are. */
static int64_t extra_slots(int64_t slots)
{
    int64_t root = 1;
    while ((root + 1) * (root + 1) <= slots) {
        root++;
    }
    return root;
}

static void follow_gradient(struct core *core, struct line *line)
{
    struct pace *p = &line->pace;
    int64_t gradient = mul_div_sat(p->long_us, TOLERANCE, max_i64(1, p->short_us));
    gradient = max_i64(GRADIENT_MIN, min_i64(gradient, 1000));
    int64_t extra = extra_slots(p->slots_milli / MILLI);
    int64_t aim = p->slots_milli * gradient / MILLI + extra * MILLI;
    set_milli(core, line, p->slots_milli + (aim - p->slots_milli) / SMOOTHING);
}

static void cut(struct core *core, struct line *line)
{
    line->pace.cut_us = core->now_us;
    set_milli(core, line, line->pace.slots_milli * OVERLOAD_KEEPS / MILLI);
}

/* Whether headers told how many requests a short time may have. */
static bool rate_is_told(const struct line *line)
{
    for (size_t i = 0; i < line->limits_n; i++) {
        const struct rule *rule = line->rules[i];
        bool short_time = rule->span == READING_SECOND || rule->span == READING_MINUTE;
        if (rule->unit == UNIT_REQUESTS && short_time && rule->told > 0) {
            return true;
        }
    }
    return false;
}

void pace_look(struct core *core, struct line *line)
{
    struct pace *p = &line->pace;
    if (p->rule && !adapts(line) && !p->told && rate_is_told(line)) {
        p->told = true;
        apply(core, line);
    }
}

void pace_answer(struct core *core, const struct lease *l, const struct answer *a)
{
    struct line *line = l->line;
    struct pace *p = &line->pace;
    bool ok = a->class == ANSWER_OK;
    bool refused = a->reached && a->class >= ANSWER_WAIT && a->class <= ANSWER_OVERLOAD;
    if (ok) {
        note_latency(p, a->elapsed_us > 0 ? a->elapsed_us : l->ended_us - l->granted_us);
        if ((int64_t)line->stats.settled >= p->newer.settled + TALLY_CALLS) {
            take_tally(line);
        }
    }
    if (likely(!p->rule)) {
        return;
    }
    pace_look(core, line);
    bool news = l->granted_us >= p->cut_us;
    if (p->told || !(ok || (refused && news))) {
        return;
    }
    if (refused) {
        adapts(line) ? cut(core, line) : halve(core, line);
    } else if (is_in_use(line)) {
        adapts(line) ? follow_gradient(core, line) : grow(core, line);
    }
}

/* --- Little's law. --- */

/* Calls that a limit lets through in a time, in thousandths; INT64_MAX: as many as one likes. */
static int64_t calls_in(const struct line *line, const struct rule *rule, int64_t us)
{
    const struct terms *t = &rule->terms;
    bool by_time = t->kind == WINDOW_ROLLING || t->kind == WINDOW_BUCKET;
    const struct tally *since = &line->pace.older;
    int64_t settled = (int64_t)line->stats.settled - since->settled;
    if (!by_time || !rule->whole || rule_is_untold(rule) || settled == 0) {
        return INT64_MAX;
    }
    int64_t units = mul_div_sat(t->amount, mul_sat(us, MILLI), t->per_us);
    int64_t used = sub_sat(line->stats.used.of[rule->unit], since->used.of[rule->unit]);
    return used > 0 ? mul_div_sat(units, settled, used) : INT64_MAX;
}

int64_t pace_suggests(const struct line *line)
{
    int64_t milli = INT64_MAX;
    for (size_t i = 0; i < line->limits_n && line->pace.short_us > 0; i++) {
        milli = min_i64(milli, calls_in(line, line->rules[i], line->pace.short_us));
    }
    return milli == INT64_MAX ? 0 : (milli + MILLI - 1) / MILLI;
}
