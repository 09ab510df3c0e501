/*
 * Resources as a configuration writes them, made into what the core judges by. May depend on what
 * config/ has below it.
 */
#ifndef SLUICE_CONFIG_RESOURCE_H
#define SLUICE_CONFIG_RESOURCE_H

#include "config/limit.h"

extern const struct section resource_section;
extern const struct section account_section;
extern const struct section reserve_section;

/* How many pools of accounts the section `resources` has. */
size_t pools_count(const struct node *map);

/* The section `resources`: fills in its part of the policy. */
void resources_read(struct limit_context *c, const struct node *map, struct policy *policy);

#endif
