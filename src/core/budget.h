/*
 * Budgets: an operator gives back what a limit has counted in its present period.
 *
 * A correction, not a new amount: the limit stays what the policy says, and the next period begins
 * as ever. Never more is given back than was used. What open leases hold beside the window is not
 * touched; what they charged to the window at their grant is forgiven with the rest.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_BUDGET_H
#define SLUICE_CORE_BUDGET_H

#include "core/event.h"

struct core;

/* Answers EVENT_BUDGET: with the counter as it stands then, or a refusal. */
void budget_correct(struct core *core, const struct event *event);

#endif
