/*
 * Estimates: what is held for whoever does not say what it will use; a naive reading of
 * src/core/estimate.h. Internal to the oracle's files.
 *
 * All calls that have settled are kept, with a few made-up ones, and the percentile is found by
 * sorting them. What the core holds must lie there, within the width of its buckets: with one call
 * more or less where a route may have looked at a resource without its being told, anywhere
 * between the least and the most. Whoever says all that it uses is held for just that.
 */
#ifndef SLUICE_TESTS_SIM_ORACLE_ESTIMATES_H
#define SLUICE_TESTS_SIM_ORACLE_ESTIMATES_H

#include "oracle_state.h"

/* What a call has used that was served; or that from here on a resource makes up what is not said,
 * and learns what calls use. */
struct sample {
    bool begins;
    char resource[KEY_MAX];
    char tenant[KEY_MAX];
    int64_t input, output;
    int64_t bytes; /* of its input, 0: not given */
};

/* Whether a resource makes up some of what a request asks. */
bool is_guessed(const struct oracle *o, const struct waiter *w, size_t resource);

/* A request comes to a resource by its name, which begins to learn with the first … */
void estimates_begin(struct oracle *o, const struct waiter *w);

/* … and is let in: finds what it asks there by what is told of it. */
void estimate_locate(struct oracle *o, const struct effects *effects, struct waiter *w);

/* Judges what a request is said to ask where some of it is made up. */
void judge_estimate(struct oracle *o, const struct waiter *w, const struct load *told);

/* A request is refused, and what was made up for it is told nowhere: that cannot be too large. */
void judge_untold_refusal(struct oracle *o, const struct waiter *w, const struct effect *f);

/* A call has ended: what it used is told, and remembered. */
void estimates_learn(struct oracle *o, const struct event *e, const struct effects *effects);

#endif
