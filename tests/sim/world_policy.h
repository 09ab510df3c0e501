/*
 * The policies of a world: random limits of every kind, pools, reserves, weights; in storms what
 * answers do, prices, budgets, routes, accounts, and limits that are to be learned.
 *
 * May depend on src/base, src/core's plain data, random.h and world.h.
 */
#ifndef SLUICE_TESTS_SIM_WORLD_POLICY_H
#define SLUICE_TESTS_SIM_WORLD_POLICY_H

#include "world.h"

#define RESOURCES_N 3
#define TENANTS_N   4

extern const char *const RESOURCES[RESOURCES_N];
extern const char *const TENANTS[TENANTS_N];

#define PICK(r, array) array[random_in(r, 0, (int64_t)(sizeof(array) / sizeof(array[0])) - 1)]

/* What a world begins with. */
struct world_policy *world_policy_random(struct world *w);

/* The same policy with some things changed: amounts, a limit more or less, a resource less. */
struct world_policy *world_policy_changed(struct world *w);

#endif
