#include "core/release.h"

#include "core/deal.h"
#include "core/emit.h"
#include "core/health.h"
#include "core/learn.h"
#include "core/lease.h"
#include "core/retry.h"

/* The lease an event names, if it is one of the caller's tenant. */
static struct lease *named_lease(const struct core *core, const struct event *event, uint64_t id)
{
    struct lease *l = lease_find(core, id);
    bool visible = l && (event->any_tenant || text_equal(l->tenant, event->tenant));
    return visible ? l : NULL;
}

/* What a call cost whose usage is known. */
static int64_t cost_of(const struct event *event, const struct lease *l)
{
    const struct price *price = lease_price(l);
    const struct load *usage = &event->release.usage;
    if (event->release.has_usd || likely(!price->known)) {
        return usage->of[UNIT_USD];
    }
    return event->release.parts ? price_cost(price, event->release.parts)
                                : price_worst(price, usage);
}

/* What a call used of which nobody gave the usage: nothing but itself where the provider refused
 * it, and all that was held where it may have been served, if only in part: an error can come in
 * the midst of a stream, behind a status of success. */
static struct load usage_of(const struct event *event, const struct lease *l)
{
    const struct answer *a = event->release.answer;
    if (likely(event->release.has_usage)) {
        struct load usage = event->release.usage;
        usage.of[UNIT_USD] = cost_of(event, l);
        return usage;
    }
    bool served = !a || a->class == ANSWER_OK || (a->status >= 200 && a->status < 300);
    bool refused = !served && a->reached;
    if (!refused) {
        return l->load;
    }
    return (struct load){.of = {
                             [UNIT_REQUESTS] = l->load.of[UNIT_REQUESTS],
                             [UNIT_SLOTS] = l->load.of[UNIT_SLOTS],
                         }};
}

/* The sums stay at the largest number there is. What was used is never negative, so one that is
 * has wrapped: the signs of all are looked at together. */
static inline void count_usage(struct line *line, const struct load *restrict usage)
{
    struct load *restrict sum = &line->stats.used;
    uint64_t signs = 0;
    for (int u = 0; u < UNIT_COUNT; u++) {
        uint64_t more = (uint64_t)sum->of[u] + (uint64_t)usage->of[u];
        sum->of[u] = (int64_t)more;
        signs |= more;
    }
    for (int u = 0; unlikely((int64_t)signs < 0) && u < UNIT_COUNT; u++) {
        sum->of[u] = sum->of[u] < 0 ? INT64_MAX : sum->of[u];
    }
}

/* The record of a settlement says what the ledger wants to know. */
static struct record *record_settle(struct core *core, const struct event *event,
                                    const struct lease *l, bool late)
{
    const struct answer *answer = event->release.answer;
    const struct parts *parts = event->release.parts;
    struct record *r = effect_record(core, l, RECORD_SETTLE, core->now_us);
    r->late = late;
    if (unlikely(l->deal)) {
        r->model = lease_model(l);
    }
    r->outcome = answer ? answer->class : ANSWER_OK;
    if (unlikely(parts)) {
        r->has_parts = true;
        r->parts = *parts;
    }
    return r;
}

/* What is advised is told again to whoever asks again, also after a restart: so it stands in the
 * settlement's record. */
__attribute__((cold)) static void record_advice(const struct core *core,
                                                const struct advice *advice, struct record *r)
{
    r->advice = advice->action;
    if (advice->action == ADVICE_GIVE_UP) {
        r->reason = text_of(advice->reason);
    } else {
        r->again_us = add_sat(core->now_us, advice->after_us);
    }
}

static inline void release_open(struct core *core, const struct load *usage, struct lease *l)
{
    struct line *line = l->line;
    lease_settle(core, l, usage);
    line->stats.settled++;
    line->stats.held_for_us = add_sat(line->stats.held_for_us, l->ended_us - l->granted_us);
    count_usage(line, usage);
}

RARE static void release_late(struct core *core, const struct load *usage, struct lease *l)
{
    lease_settle_late(core, l, usage);
    l->line->stats.late++;
    count_usage(l->line, usage);
}

void lease_release(struct core *core, const struct event *event)
{
    static const struct answer served = {.class = ANSWER_OK, .reached = true, .retry_after_us = -1};
    struct lease *l = named_lease(core, event, event->release.lease);
    if (unlikely(!l)) {
        effect_refuse(core, event->caller, NULL, ERR_UNKNOWN_LEASE);
        return;
    }
    const struct answer *answer = event->release.answer ? event->release.answer : &served;
    bool open = l->state == LEASE_OPEN;
    bool late = l->state == LEASE_EXPIRED;
    struct load usage = usage_of(event, l);
    struct basis basis;
    basis.n = 0;
    if (unlikely(answer->readings_n > 0)) {
        learn_note(l, &basis);
    }
    if (likely(open)) {
        release_open(core, &usage, l);
    } else if (late) {
        release_late(core, &usage, l);
    }
    /* There is room for all effects of a step from its start, so the record stays where it is. */
    struct record *record = likely(open || late) ? record_settle(core, event, l, late) : NULL;
    struct effect *e = effect_settled(core, event->caller, l, late, !open && !late);
    if (likely(record)) {
        l->line->stats.answers[answer->class]++;
        learn_answer(core, l, answer, &basis);
        pace_answer(core, l, answer);
        if (l->line->resource->output_percentile > 0 && event->release.has_usage &&
            answer->class == ANSWER_OK) {
            estimate_learn(core, l, &usage);
        }
        bool news = health_answer(core, l->line, l, answer);
        advise(core, l, answer, news, e);
        if (unlikely(answer->class != ANSWER_OK)) {
            record_advice(core, &e->settled.advice, record);
        }
    } else {
        advise_again(core, l, e);
    }
}

void lease_renew(struct core *core, const struct event *event)
{
    struct lease *l = named_lease(core, event, event->renew.lease);
    if (!l || l->state != LEASE_OPEN) {
        effect_refuse(core, event->caller, l ? l->line : NULL, ERR_UNKNOWN_LEASE);
        return;
    }
    lease_extend(core, l, add_sat(core->now_us, event->renew.lease_us));
    effect_record(core, l, RECORD_RENEW, l->granted_us);
    struct effect *e = effect_add(core, EFFECT_RENEWED, event->caller);
    e->renewed.lease = l->lease;
    e->renewed.expires_us = l->expires_us;
}
