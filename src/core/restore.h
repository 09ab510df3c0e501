/*
 * The end of a start: what core_restore and core_recall took back becomes what the core goes on
 * from. See restore.c.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_RESTORE_H
#define SLUICE_CORE_RESTORE_H

#include "core/state.h"

/* In the first step after the policy and whatever core_restore took back: tells leases which limits
 * they were charged to, and charges what is open to limits that are new. Where that step tells of
 * the wall clock it has shown so all along: no period has begun by another. */
__attribute__((cold)) void restore_finish(struct core *core, const struct event *first);

/* The lifetime counters that a request would be charged to at a line and that are not known here;
 * how many were filled in. */
size_t missing_at(const struct core *core, const struct line *line, const struct acquire *a,
                  struct record *keys, size_t max);

#endif
