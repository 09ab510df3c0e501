/*
 * A turn of the line: judging whoever is next, granting while it fits.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_TURN_H
#define SLUICE_CORE_TURN_H

#include "core/counter.h"
#include "core/state.h"

/* Whoever asks: a request in line, or one that has just come. */
struct asker {
    struct line *line;
    struct counter *const *counters; /* by the line's rules; NULL where it asks nothing */
    const struct load *load;
    int priority;
    uint64_t seq;
    const struct flow *flow; /* NULL for one that has just come */
};

enum verdict {
    VERDICT_FITS,
    VERDICT_OVER_BUDGET, /* a limit refuses rather than lets wait */
    VERDICT_ASLEEP,      /* a limit of its scope holds it */
    VERDICT_STALLED,     /* a limit of the whole resource holds it */
};

struct judgement {
    enum verdict verdict;
    struct counter *by; /* NULL when it fits */
    uint32_t held_by;   /* asleep, stalled: bits of the line's limits that do not let it pass */
    bool claims;        /* stalled, and only by limits that other resources share */
};

/* What stalled heads of other lines claim of a shared limit before this asker. */
int64_t claimed_by_heads(const struct rule *rule, const struct asker *asker);

static inline int64_t claimed(const struct rule *rule, const struct asker *asker)
{
    return likely(rule->users_n == 1) ? 0 : claimed_by_heads(rule, asker);
}

/* Whether somebody who comes before is asleep at the counter. */
bool others_asleep(const struct counter *c, const struct asker *asker);

/* The verdict of one limit, of whose unit the asker wants n > 0. */
static inline enum verdict judge_limit(struct core *core, const struct asker *a, struct counter *c,
                                       int64_t n)
{
    const struct rule *rule = c->rule;
    if (counter_fits(core, c, n, claimed(rule, a)) &&
        (likely(rule->whole) || !others_asleep(c, a))) {
        return VERDICT_FITS;
    }
    if (rule->refuses && counter_free_units(core, c) < n) {
        return VERDICT_OVER_BUDGET;
    }
    return rule->whole ? VERDICT_STALLED : VERDICT_ASLEEP;
}

/* Whether a limit that is no plain one lets the asker pass. */
bool limit_lets(struct core *core, const struct asker *a, struct counter *c, int64_t n);

/* Whether one limit, of whose unit the asker wants n > 0, lets it pass now. */
static inline bool lets_pass(struct core *core, const struct asker *a, struct counter *c, int64_t n)
{
    return likely(c->rule->plain) ? counter_free_units(core, c) >= n : limit_lets(core, a, c, n);
}

/* Whether all limits let the asker pass now. */
static inline bool fits(struct core *core, const struct asker *a)
{
    struct counter *const *end = a->counters + a->line->limits_n;
    for (struct counter *const *at = a->counters; at < end; at++) {
        if (*at && unlikely(!lets_pass(core, a, *at, a->load->of[(*at)->rule->unit]))) {
            return false;
        }
    }
    return true;
}

/* The gravest verdict of all limits. */
struct judgement judge(struct core *core, const struct asker *asker);

/* Whether answers of its provider slow the line down in no way, and nothing of that is to be kept.
 */
static inline bool line_is_well(const struct line *line)
{
    return likely(line->health.state == HEALTH_OK);
}

/* Whether nobody in line has to be judged: everybody asks of the line's gate, and nothing is left
 * of it. Most lines that stall do it here, after each grant. */
static inline bool line_is_shut(struct core *core, const struct line *line)
{
    struct counter *gate = line->gate;
    return gate && line->waiting_zero[gate->rule->unit] == 0 && !line->lowered &&
           counter_free_units(core, gate) <= 0;
}

/* Whether a request that has just come may be judged without joining the line: nobody stands in it.
 */
bool line_is_open(const struct core *core, const struct line *line);

/* A grant of the line has taken from these counters: stalled heads of other lines that are charged
 * to one of a scope may have to sleep there now, and then stand in nobody's way. */
void tell_sharers_of_scopes(struct core *core, const struct line *line,
                            struct counter *const *counters);

/* Wakes flows asleep at counters that gained, then runs all pending lines, within the budget. */
void run_lines_due(struct core *core);

static inline void run_lines(struct core *core)
{
    if (unlikely(!list_empty(&core->gained) || !list_empty(&core->pending) ||
                 !list_empty(&core->paths.moving))) {
        run_lines_due(core);
    }
}

/* Which limits hold the asker, or else the head that it stands behind: P9. The counter of the first
 * of them, as the asker's own resource counts it, or NULL. */
struct counter *explain(struct core *core, const struct asker *asker, struct held_by *held_by);

/* How long the asker will wait, as far as one can say. */
int64_t estimate_us(struct core *core, const struct asker *asker, int64_t position);

/* A request in line, as whoever asks. */
struct asker asker_of(const struct request *r);

#endif
