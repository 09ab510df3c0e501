#include "core/retry.h"

#include <string.h>

#include "base/num.h"
#include "core/choose.h"
#include "core/emit.h"
#include "core/health.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/request.h"
#include "core/restore.h"

#define PPM       INT64_C(1000000)
#define DOUBLINGS 20

void retry_earned(struct line *line)
{
    line->retry_ppm =
        min_i64(RETRIES_KEPT_PPM, line->retry_ppm + line->resource->feedback.retry_share_ppm);
}

/* --- Whether, and when. --- */

static int64_t retry_after_us(const struct core *core, const struct lease *l,
                              const struct answer *a)
{
    const struct feedback *f = &l->line->resource->feedback;
    int64_t doublings = min_i64(max_i64(l->attempt - 1, 0), DOUBLINGS);
    int64_t span_us = min_i64(f->backoff_us_max, mul_sat(f->backoff_us, INT64_C(1) << doublings));
    int64_t us = jitter((uint64_t)core->now_us, l->lease, span_us + 1);
    int64_t opens_us = health_opens_us(core, l->line);
    if (opens_us != INT64_MAX) {
        us = max_i64(us, opens_us - core->now_us);
    }
    return max_i64(us, a->retry_after_us);
}

/* Why there is no further attempt, or NULL. Calls that were on their way together are one refusal,
 * of which one is paid for: else an outage would lose whoever it caught beyond the few at hand. */
static const char *out_of(const struct lease *l, int64_t after_us, bool pays)
{
    const struct feedback *f = &l->line->resource->feedback;
    int32_t attempts_max = l->origin.attempts_max ? l->origin.attempts_max : f->attempts_max;
    if (l->attempt >= attempts_max) {
        return "attempts";
    }
    if (after_us > l->origin.wait_left_us) {
        return "deadline";
    }
    return pays && l->line->retry_ppm < PPM ? "retry_budget" : NULL;
}

static bool is_retryable(const struct answer *a)
{
    return a->class == ANSWER_WAIT || a->class == ANSWER_SLOW_DOWN || a->class == ANSWER_OVERLOAD;
}

/* A provider that says not to send a call again says so of the call, for good. */
static bool is_unwanted(const struct answer *a)
{
    return is_retryable(a) && a->resend == RESEND_NO;
}

/* What the request itself allows counts on all resources of its route. */
static bool is_used_up(const struct lease *l)
{
    return l->origin.attempts_max > 0 && l->attempt >= l->origin.attempts_max;
}

/* --- Elsewhere. --- */

/* The way of a lease's request, with the steps that will not serve it any more: the one it was at,
 * PASS_NONE: that may; and with a context that is too small, all that are known to take no more. */
static struct way way_after(const struct lease *l, enum pass pass)
{
    struct way way = l->way ? *l->way : (struct way){.path = NULL};
    const struct route *route = way.path ? way.path->route : NULL;
    for (size_t i = 0; i < ROUTE_STEPS_MAX && route && i < route->steps_n; i++) {
        bool small = pass == PASS_CONTEXT &&
                     route->steps[i].context_tokens <= route->steps[way.step].context_tokens;
        if (pass != PASS_NONE && (i == way.step || small)) {
            way.failed |= (uint8_t)(1u << i);
            way.passed[i] = (uint8_t)pass;
        }
    }
    return way;
}

/* One who falls back has at least the time for which a ticket is kept. */
static const struct request *stand_at(struct core *core, struct lease *l, struct way *way,
                                      const struct choice *choice)
{
    way->step = (uint8_t)choice->step;
    way->max_output = choice->max_output;
    memcpy(way->passed, choice->passed, sizeof(way->passed));
    const struct attempt attempt = {
        .line = choice->line,
        .load = &choice->load,
        .estimated = choice->estimated,
        .way = way,
        .wait_us = max_i64(l->origin.wait_left_us, TICKET_KEPT_US),
    };
    return request_again(core, l, &attempt);
}

/* Another step for the request of a lease, if there is one; `way` says which will not do any more.
 * 0 or ERR_NO_MEMORY. */
static int choose_elsewhere(struct core *core, const struct lease *l, const struct way *way,
                            struct choice *choice)
{
    struct acquire a;
    lease_facts(l, &a);
    const struct wish wish = {
        .path = way->path,
        .asked = &a,
        .failed = way->failed,
        .passed = way->passed,
        .wait_us = l->origin.wait_left_us,
        .seq = l->origin.seq ? l->origin.seq : core->next_seq,
        .midway = true,
    };
    return choose(core, &wish, choice);
}

/* A place at another step of its route, where one will do. Where none will, the way says why not.
 * Without memory for a place the caller may ask anew. */
static bool advise_fallback(struct core *core, struct lease *l, struct way *way, const char *reason,
                            struct advice *advice)
{
    struct choice choice;
    if (!way->path || core->draining || is_used_up(l)) {
        return false;
    }
    const struct request *r = NULL;
    if (choose_elsewhere(core, l, way, &choice) == 0) {
        if (!choice.line || choice.line == l->line) {
            memcpy(way->passed, choice.passed, sizeof(way->passed));
            return false;
        }
        r = stand_at(core, l, way, &choice);
    }
    way->path->stats.fallbacks++;
    l->retry = r ? r->seq : 0;
    *advice = (struct advice){
        .action = ADVICE_FALLBACK,
        .ticket = l->retry,
        .reason = reason,
        .resource = r ? flow_line(r->flow)->name : TEXT_NONE,
    };
    return true;
}

/* --- The advice. --- */

static bool is_closed(const struct core *core, const struct line *line)
{
    return !health_lets(core, line) && line->health.state != HEALTH_RECOVERING;
}

/* Whether the journal alone knows what a budget has used that a retry would be charged to: a limit
 * that is younger than the lease. It is read for whoever asks anew, not in the midst of a step. */
static bool is_forgotten(const struct core *core, const struct lease *l)
{
    struct acquire a;
    struct record key;
    lease_facts(l, &a);
    a.load = l->load;
    return missing_at(core, l->line, &a, &key, 1) > 0;
}

/* As after a restart: whoever asks anew has the id. */
static void lose_place(struct core *core, struct lease *l, int64_t after_us)
{
    lease_drop_id(core, l);
    l->retry = RETRY_LOST;
    l->again_us = add_sat(core->now_us, after_us);
}

/* A place kept at the head of its tenant's line. */
static void keep_place(struct core *core, struct lease *l, int64_t after_us, const char *reason,
                       struct advice *advice)
{
    const struct attempt attempt = {
        .line = l->line,
        .load = &l->load,
        .estimated = l->origin.estimated,
        .way = l->way,
        .after_us = after_us,
        .wait_us = l->origin.wait_left_us,
    };
    l->line->stats.retries++;
    const struct request *r = is_forgotten(core, l) ? NULL : request_again(core, l, &attempt);
    *advice = (struct advice){
        .action = ADVICE_RETRY,
        .after_us = after_us,
        .ticket = r ? r->seq : 0,
        .reason = reason,
    };
    if (r) {
        l->retry = r->seq;
    } else {
        lose_place(core, l, after_us);
    }
}

/* What ends the route of a request ends it with what the route is configured to end in. The lease
 * remembers, for whoever asks again. */
static void give_up(struct lease *l, const struct way *way, const char *reason,
                    struct effect *settled)
{
    settled->settled.advice = (struct advice){.action = ADVICE_GIVE_UP, .reason = reason};
    l->gave_up = reason;
    if (way->path) {
        memcpy(l->way->passed, way->passed, sizeof(way->passed));
        effect_end_route(settled, way);
        count_exhausted(way->path, way);
    }
}

static void advise_retry(struct core *core, struct lease *l, const struct answer *a, bool news,
                         struct effect *settled)
{
    int64_t after_us = retry_after_us(core, l, a);
    const char *why_not = out_of(l, after_us, news);
    const char *reason = why_not ? why_not : answer_class_name(a->class);
    bool late = after_us > l->origin.wait_left_us;
    enum pass pass = !why_not ? PASS_NONE : late ? PASS_DEADLINE : PASS_ATTEMPTS;
    struct way way = way_after(l, pass);
    bool elsewhere = why_not || is_closed(core, l->line);
    if (elsewhere && advise_fallback(core, l, &way, reason, &settled->settled.advice)) {
        return;
    }
    if (why_not) {
        give_up(l, &way, why_not, settled);
        return;
    }
    l->line->retry_ppm -= news ? PPM : 0;
    keep_place(core, l, after_us, reason, &settled->settled.advice);
}

/* Why a step will not serve a request any more that its provider has refused for good; or PASS_NONE
 * where that is the request's own fault, which it would be elsewhere. */
static enum pass pass_of(enum answer_class class)
{
    switch (class) {
    case ANSWER_DAY_OVER: return PASS_DAY_OVER;
    case ANSWER_OUT_OF_MONEY: return PASS_OUT_OF_MONEY;
    case ANSWER_NEVER_FITS: return PASS_NEVER_FITS;
    case ANSWER_TOO_LONG: return PASS_CONTEXT;
    case ANSWER_AUTH: return PASS_AUTH;
    default: return PASS_NONE;
    }
}

void advise(struct core *core, struct lease *l, const struct answer *a, bool news,
            struct effect *settled)
{
    const char *reason = answer_class_name(a->class);
    if (likely(a->class == ANSWER_OK)) {
        settled->settled.advice = (struct advice){.action = ADVICE_DONE, .reason = "settled"};
        return;
    }
    if (is_retryable(a) && !is_unwanted(a) && !core->draining && !l->line->retired) {
        advise_retry(core, l, a, news, settled);
        return;
    }
    if (a->class == ANSWER_BAD_REQUEST) {
        static const struct way none;
        give_up(l, &none, reason, settled);
        return;
    }
    struct way way = way_after(l, is_unwanted(a) ? PASS_ATTEMPTS : pass_of(a->class));
    if (!advise_fallback(core, l, &way, reason, &settled->settled.advice)) {
        give_up(l, &way, reason, settled);
    }
}

/* The request's own fault has ended no route. */
static void give_up_again(const struct lease *l, struct effect *settled)
{
    bool own_fault = l->gave_up == answer_class_name(ANSWER_BAD_REQUEST);
    settled->settled.advice = (struct advice){.action = ADVICE_GIVE_UP, .reason = l->gave_up};
    if (l->way && l->way->path && !own_fault) {
        effect_end_route(settled, l->way);
    }
}

/* The word for which a reason stands; NULL: no core gives it. */
static const char *reason_of(struct text word)
{
    static const char *const own[] = {"attempts", "deadline", "retry_budget"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (text_equal(word, text_of(own[i]))) {
            return own[i];
        }
    }
    for (int class = 0; class < ANSWER_CLASSES; class ++) {
        const char *name = answer_class_name((enum answer_class) class);
        if (text_equal(word, text_of(name))) {
            return name;
        }
    }
    return NULL;
}

void advice_back(struct core *core, struct lease *l, const struct record *r)
{
    if (r->advice == ADVICE_GIVE_UP) {
        l->gave_up = reason_of(r->reason);
    } else if (r->advice != ADVICE_DONE) {
        lease_drop_id(core, l); /* it went to the next attempt */
        l->retry = r->advice == ADVICE_RETRY ? RETRY_LOST : FALLBACK_LOST;
        l->again_us = r->again_us;
    }
}

/* Whoever has no place in line any more asks anew. */
static struct advice advice_anew(const struct core *core, const struct lease *l)
{
    return (struct advice){
        .action = l->retry == RETRY_LOST ? ADVICE_RETRY : ADVICE_FALLBACK,
        .after_us = max_i64(0, l->again_us - core->now_us),
        .reason = "repeated",
    };
}

void advise_again(const struct core *core, const struct lease *l, struct effect *settled)
{
    const struct request *r = l->retry ? request_find_ticket(core, l->retry) : NULL;
    struct advice *advice = &settled->settled.advice;
    *advice = (struct advice){.action = ADVICE_DONE, .reason = "settled"};
    if (l->gave_up) {
        give_up_again(l, settled);
    } else if (l->retry >= FALLBACK_LOST) {
        *advice = advice_anew(core, l);
    } else if (r) {
        const struct line *line = flow_line(r->flow);
        *advice = (struct advice){
            .action = line == l->line ? ADVICE_RETRY : ADVICE_FALLBACK,
            .after_us = max_i64(0, r->not_before_us - core->now_us),
            .ticket = r->seq,
            .reason = "repeated",
            .resource = line == l->line ? TEXT_NONE : line->name,
        };
    }
}
