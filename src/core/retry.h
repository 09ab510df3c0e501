/*
 * Retries: what a caller is to do after a call, and the place that is kept for the next one.
 *
 * A call that was refused for a passing reason may be tried again: after a wait with full jitter,
 * doubled with each attempt (Exponential Backoff And Jitter, AWS Architecture Blog 2015), not
 * before the provider or the resource's own state allows it, within the request's attempts and time
 * in line. Retries have a budget for each resource, earned by first attempts, so that they cannot
 * become the traffic (Google SRE Book, chapter 21); of calls that were on their way together one
 * pays. The retry stands in line as a request whose
 * holder is away, by its old number: at the head of its tenant's line.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_RETRY_H
#define SLUICE_CORE_RETRY_H

#include "core/state.h"

#define RETRIES_KEPT_PPM INT64_C(10000000) /* a quiet resource has ten retries at hand */

/* A first attempt was granted. */
void retry_earned(struct line *line);

/* What to do after an answer to the call of a lease that has just ended, `news` as health_answer
 * says; where that ends its route, also why, and what is left instead. */
void advise(struct core *core, struct lease *lease, const struct answer *answer, bool news,
            struct effect *settled);

/* What was advised before a restart, by the record of the settlement: the place in line is lost,
 * and the id, which had gone there, is free. */
void advice_back(struct core *core, struct lease *lease, const struct record *settled);

/* The same again for a release that was repeated. */
void advise_again(const struct core *core, const struct lease *lease, struct effect *settled);

#endif
