/*
 * Changing the policy while running: all or nothing.
 *
 * The new state is built aside - rules, lines, counters, leases, requests - and takes the place of
 * the old one only when it is whole, so that a failed allocation changes nothing. What has the same
 * name and kind carries its counters over; a lowered amount revokes nothing.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_CONFIGURE_H
#define SLUICE_CORE_CONFIGURE_H

#include "core/state.h"

/* 0 or ERR_NO_MEMORY. */
__attribute__((cold)) int configure(struct core *core, const struct policy *policy);

/* Adds a line without rules for a resource. 0 or ERR_NO_MEMORY, where *line may have been added. */
int core_add_line(struct core *core, const struct resource *resource, struct line **line);

/* Makes a line judge by a rule. 0 or ERR_NO_MEMORY. */
int rule_use(struct rule *rule, struct line *line);

/* From when on what expires was charged to a limit that comes in force now: what has expired at
 * this very instant was not. What expires in the rest of it is then taken to have done so before,
 * and is not corrected after a restart: too much counts, never too little. */
int64_t in_force_from_us(const struct core *core);

/* The limit of that name, or that pool (resource empty); NULL where there is none. */
struct rule *rule_find(const struct core *core, struct text resource, struct text limit);

#endif
