#include "core/retry.h"

#include "base/num.h"
#include "core/health.h"
#include "core/lease.h"
#include "core/request.h"

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

/* Why there is no further attempt, or NULL. */
static const char *out_of(const struct lease *l, int64_t after_us)
{
    const struct feedback *f = &l->line->resource->feedback;
    int32_t attempts_max = l->origin.attempts_max ? l->origin.attempts_max : f->attempts_max;
    if (l->attempt >= attempts_max) {
        return "attempts";
    }
    if (after_us > l->origin.wait_left_us) {
        return "deadline";
    }
    return l->line->retry_ppm < PPM ? "retry_budget" : NULL;
}

static bool is_retryable(const struct answer *a)
{
    return a->class == ANSWER_WAIT || a->class == ANSWER_SLOW_DOWN || a->class == ANSWER_OVERLOAD;
}

/* --- The advice. --- */

static void advise_retry(struct core *core, struct lease *l, const struct answer *a,
                         struct advice *advice)
{
    int64_t after_us = retry_after_us(core, l, a);
    const char *why_not = out_of(l, after_us);
    if (why_not) {
        *advice = (struct advice){.action = ADVICE_GIVE_UP, .reason = why_not};
        return;
    }
    l->line->retry_ppm -= PPM;
    l->line->stats.retries++;
    const struct request *r = request_retry(core, l, after_us);
    l->retry = r ? r->seq : 0;
    *advice = (struct advice){
        .action = ADVICE_RETRY,
        .after_us = after_us,
        .ticket = l->retry,
        .reason = answer_class_name(a->class),
    };
}

void advise(struct core *core, struct lease *l, const struct answer *a, struct advice *advice)
{
    if (a->class == ANSWER_OK) {
        *advice = (struct advice){.action = ADVICE_DONE, .reason = "settled"};
    } else if (is_retryable(a) && !core->draining && !l->line->retired) {
        advise_retry(core, l, a, advice);
    } else {
        *advice = (struct advice){.action = ADVICE_GIVE_UP, .reason = answer_class_name(a->class)};
    }
}

void advise_again(const struct core *core, const struct lease *l, struct advice *advice)
{
    const struct request *r = l->retry ? request_find_ticket(core, l->retry) : NULL;
    *advice = (struct advice){.action = ADVICE_DONE, .reason = "settled"};
    if (r) {
        *advice = (struct advice){
            .action = ADVICE_RETRY,
            .after_us = max_i64(0, r->not_before_us - core->now_us),
            .ticket = r->seq,
            .reason = "repeated",
        };
    }
}
