/*
 * Carrying over: what a new policy takes from the state under the old one.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_CARRY_H
#define SLUICE_CORE_CARRY_H

#include "core/state.h"

/* Copies counters, tags, leases and requests from `core` into `next`, whose lines and rules stand.
 * 0, or ERR_NO_MEMORY, after which `next` is to be released. `core` is as it was. */
int carry_over(struct core *next, struct core *core);

#endif
