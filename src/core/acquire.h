/*
 * Acquiring: what is said of a request when it comes.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_ACQUIRE_H
#define SLUICE_CORE_ACQUIRE_H

#include "core/state.h"

/* Judges EVENT_ACQUIRE: grants, refuses, or puts in line. 0 or ERR_NO_MEMORY. */
int request_acquire(struct core *core, const struct event *event);

/* The counters that a request is charged to, by the line's rules, NULL where it asks nothing; makes
 * those that are missing. 0 or ERR_NO_MEMORY. */
int counters_of(struct core *core, const struct line *line, const struct acquire *a,
                struct counter **counters);

/* The key by which a rule counts a request. */
struct text scope_key(const struct rule *rule, const struct resource *resource,
                      const struct acquire *a);

#endif
