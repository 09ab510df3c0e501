/*
 * Learning: what the provider's answers say of its limits, beyond what is configured.
 *
 * Headers tell how much of a limit is left. What the provider has counted beyond all that can have
 * been ours is the usage of others: it is charged at once and leaves with the window. What can have
 * been ours at the moment when the provider wrote the header is no more than what of ours the
 * window had when the call was granted and what entered it since: a charge notes the first at the
 * grant (`seen`). So usage of our own is never counted twice, and calls that were granted together
 * do not look like others.
 *
 * Others go on. In a rolling window what they were seen to use stands until so much time has passed
 * since the newest call told of it; each answer shows at least a part of it, since some of what it
 * shows may be ours, and what it does not show goes over the length of a window. An answer of a
 * call that was granted earlier than one that has told already may only add. A bucket and a
 * calendar's period only count up: there every answer only adds.
 *
 * An amount that is told counts from then on where it is less than the configured one, or where
 * none is configured. Of amounts only those count that the newest call was told.
 *
 * A call that is refused although the model says that it fits means that the provider counted
 * something longer than we did: the guard of a rolling window that is well used is raised, and
 * sinks by a hundredth each minute.
 *
 * Amounts and guards outlast a restart (remember.h); the usage of others in rolling windows is of
 * this run alone. Internal to src/core.
 */
#ifndef SLUICE_CORE_LEARN_H
#define SLUICE_CORE_LEARN_H

#include "core/counter.h"

#define SEEN_UNKNOWN (INT64_MAX / 2) /* a lease of an earlier run: nothing follows from it */

/* What the windows of a lease had when it was granted. */
struct basis {
    struct {
        struct counter *counter;
        int64_t seen;
    } of[RESOURCE_LIMITS_MAX];
    size_t n;
};

/* What a charge notes at the grant, before it is entered. A bucket refills all the time; of it only
 * what was given back is noted. */
static inline int64_t counter_seen(struct counter *c)
{
    const struct terms *t = &c->rule->terms;
    return unlikely(t->kind == WINDOW_BUCKET)
               ? -c->given
               : window_used(&c->window, t) - c->taken - counter_foreign(c);
}

/* Whether an amount is to be learned and nothing holds in its place: all fits. */
static inline bool rule_is_untold(const struct rule *rule)
{
    int64_t slots = rule->slots;
    return rule->limit->learned && rule->told == 0 && (slots == 0 || slots >= AMOUNT_MAX);
}

/* The terms of a rule by its limit and by what was learned. */
void rule_make_terms(struct rule *rule);

/* What headers may tell of a limit. */
enum reading_span span_of(const struct limit *limit);

/* A new policy's rule goes on with what the old one's has learned. */
void rule_carry(struct rule *rule, const struct rule *old);

/* The amount of a rule, or how long its entries stay, is no longer what it was. */
void rule_changed(struct core *core, struct rule *rule);

/* Notes what an answer to a lease is to be held against; before the lease is settled. */
void learn_note(const struct lease *lease, struct basis *basis);

/* Takes in what the provider said to the call of a lease that was settled in this step. */
void learn_answer(struct core *core, const struct lease *lease, const struct answer *answer,
                  const struct basis *basis);

#endif
