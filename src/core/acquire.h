/*
 * Acquiring: what is said of a request when it comes.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_ACQUIRE_H
#define SLUICE_CORE_ACQUIRE_H

#include "core/turn.h"

/* Judges EVENT_ACQUIRE: grants, refuses, or puts in line. 0 or ERR_NO_MEMORY. */
int request_acquire(struct core *core, const struct event *event);

/* Whether a rule counts a request at all, if it asks something of its unit. */
bool rule_counts(const struct rule *rule, const struct resource *resource, const struct acquire *a);

/* The key by which a rule counts a request. */
struct text scope_key(const struct core *core, const struct rule *rule, const struct line *line,
                      const struct acquire *a);

/* The counter of a limit for the scope that a request is of; made where it is missing. 0 or
 * ERR_NO_MEMORY. */
int counter_of_scope(struct core *core, const struct line *line, struct rule *rule,
                     const struct acquire *a, struct counter **counter);

/* The counter that a rule charges a request to, NULL where it asks nothing of it; made where it is
 * missing. 0 or ERR_NO_MEMORY. */
static inline int counter_of(struct core *core, const struct line *line, struct rule *rule,
                             const struct acquire *a, struct counter **counter)
{
    bool counts = a->load.of[rule->unit] > 0 &&
                  (likely(rule->of_all) || rule_counts(rule, line->resource, a));
    *counter = counts ? rule->whole : NULL;
    return unlikely(counts && !rule->whole) ? counter_of_scope(core, line, rule, a, counter) : 0;
}

/* The counters that a request is charged to, by the line's rules. 0 or ERR_NO_MEMORY. */
static inline int counters_of(struct core *core, const struct line *line, const struct acquire *a,
                              struct counter **counters)
{
    struct rule *const *end = line->rules + line->rules_n;
    for (struct rule *const *at = line->rules; at < end; at++, counters++) {
        if (counter_of(core, line, *at, a, counters) != 0) {
            return ERR_NO_MEMORY;
        }
    }
    return 0;
}

/* Completes the load of a request for a line, by the step of a route or NULL: the tokens by what is
 * known of such calls, no more output than the step allows, and what those can cost. The step's cap
 * on the output, where it took something; or 0. */
int64_t complete_load(struct core *core, struct line *line, const struct route_step *step,
                      struct acquire *a);

/* What refuses, as it is today, rather than let wait: the limit, or NULL. */
struct counter *refused_today(struct core *core, const struct asker *asker, uint64_t parent,
                              enum error_code *code);

/* What makes a request refused without waiting: the limit, or NULL. What can never fit is said
 * before what does not fit today. */
static inline struct counter *never_fits(struct core *core, const struct asker *a, uint64_t parent,
                                         enum error_code *code)
{
    struct counter *const *end = a->counters + a->line->limits_n;
    for (struct counter *const *at = a->counters; at < end; at++) {
        if (*at && unlikely(a->load->of[(*at)->rule->unit] > (*at)->rule->terms.burst)) {
            *code = ERR_NEVER_FITS;
            return *at;
        }
    }
    return unlikely(a->line->refuses || parent) ? refused_today(core, a, parent, code) : NULL;
}

/* Whether the resource stays closed longer than the caller would wait. */
bool closed_for(const struct core *core, const struct line *line, int64_t wait_us);

#endif
