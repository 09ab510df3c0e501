/*
 * The pace of a resource: how many calls may be in flight where nobody knows, found by trying.
 *
 * Two ways, by what the resource's own limit of slots says:
 *
 *   - its amount is to be learned (`limits: from_provider`): it begins with one call, doubles with
 *     each round that is served, and after a refusal goes on from half of what was in flight, one
 *     more a round (additive increase, multiplicative decrease: Chiu and Jain, 1989). Once headers
 *     tell how many requests a minute or a second may have, those decide, and this limit no longer
 *     does;
 *   - the concurrency adapts (slots_max > 0): the amount follows the gradient of the latency, as
 *     Gradient2 of Netflix's concurrency-limits does. Latency of late above half as much again as
 *     in the long run means that calls wait at the provider, and shrinks it; the root of
 *     them are tried beyond that all the time; an overload takes a tenth.
 *
 * It grows only while it is in use. Internal to src/core.
 */
#ifndef SLUICE_CORE_PACE_H
#define SLUICE_CORE_PACE_H

#include "core/answer.h"

struct core;
struct line;
struct lease;
struct rule;

/* What a line had settled at some time, and what it had used. */
struct tally {
    int64_t settled;
    struct load used;
};

struct pace {
    struct rule *rule;     /* the limit that it sets, or NULL */
    int64_t slots_milli;   /* thousandths of slots; 0: has not begun */
    int64_t noted_milli;   /* of slots, by the newest record */
    int64_t doubling_upto; /* slots */
    int64_t cut_us;        /* refusals of calls granted before say nothing new */
    bool told;             /* headers tell the rate: calls in flight need no limit */
    int64_t short_us;      /* latency of late … */
    int64_t long_us;       /* … and in the long run; 0: none was seen */
    struct tally newer;    /* TALLY_CALLS ago at most … */
    struct tally older;    /* … and so many before that: calls of late are what came since */
};

/* Finds the limit that the line's pace is to set, and sets it to where it begins; all rules of the
 * line stand. */
void pace_init(struct line *line);

/* Goes on with what was found under the policy before. */
void pace_carry(struct line *line, const struct pace *old);

/* Goes on with what an earlier run had found. */
void pace_back(struct line *line, int64_t slots_milli, int64_t doubling_upto);

/* Whether headers tell a rate by now, so that the calls in flight need no limit. */
void pace_look(struct core *core, struct line *line);

/* Takes in how the call of a lease went that was settled in this step. */
void pace_answer(struct core *core, const struct lease *lease, const struct answer *answer);

/* Calls in flight that use the limits of the line in full at the latency of late: Little's law; 0:
 * nothing says how many. */
int64_t pace_suggests(const struct line *line);

#endif
