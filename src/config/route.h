/*
 * Routes as a configuration writes them: what is tried in which order, and what is left when none
 * of it will do. May depend on what config/ has below it.
 */
#ifndef SLUICE_CONFIG_ROUTE_H
#define SLUICE_CONFIG_ROUTE_H

#include "config/file.h"
#include "config/limit.h"

#define ROUTES_MAX 1024

extern const struct section route_section;
extern const struct section step_section;

/* Makes room for the routes of both sections, pools of accounts among them. Either map may be NULL.
 * False without memory, or where there are too many, which is reported. */
bool routes_begin(struct limit_context *c, const struct node *resources, const struct node *routes,
                  struct owned *owned);

/* The section `routes`, once all resources are known: fills in its part of the policy, and adds the
 * routes' own limits to their resources. */
void routes_read(struct limit_context *c, const struct node *map, struct policy *policy,
                 struct owned *owned);

#endif
