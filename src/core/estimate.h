/*
 * Estimates: what a request will use where its caller does not say.
 *
 * A resource remembers what settled calls used: tokens of input by the byte, and tokens of input
 * and of output of each tenant, in histograms of logarithmic buckets whose past fades. The estimate
 * is a percentile of those: what so many of a hundred calls have kept to. It begins careful, with a
 * few made-up calls that used much; a tenant is judged by everyone's calls until a few of its own
 * have settled.
 *
 * Memory is bounded: so many tenants a resource, the one not heard of longest goes. Nothing of it
 * outlives a run. An estimate never makes a request too large for a limit. Internal to src/core.
 */
#ifndef SLUICE_CORE_ESTIMATE_H
#define SLUICE_CORE_ESTIMATE_H

#include "core/event.h"

#define ESTIMATE_TENANTS_MAX 256
#define COST_PERCENTILE      99 /* of the tokens by which a cost is held: money is not overspent */

struct core;
struct line;
struct lease;
struct estimates; /* of one resource */

/* Whether the load of an acquire leaves open what somebody counts, or gives what it follows from.
 */
bool estimate_wanted(const struct line *line, const struct acquire *acquire, bool priced);

/* Fills in what the load of an acquire leaves open: what `percentile` of a hundred calls of the
 * resource have kept to. */
void estimate_load(const struct core *core, struct line *line, struct acquire *acquire,
                   int64_t percentile);

/* Takes in what the call of a lease really used that was served; nothing before the first estimate
 * of the resource. */
void estimate_learn(struct core *core, const struct lease *lease, const struct load *usage);

/* Another holder of the same, and one fewer; NULL is nothing. */
struct estimates *estimates_share(struct estimates *estimates);
void estimates_drop(struct estimates *estimates);

#endif
