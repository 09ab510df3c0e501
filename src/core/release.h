/*
 * A release: a lease ends with what its call used and what the provider answered.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_RELEASE_H
#define SLUICE_CORE_RELEASE_H

#include "core/state.h"

/* EVENT_RELEASE and EVENT_RENEW. */
void lease_release(struct core *core, const struct event *event);
void lease_renew(struct core *core, const struct event *event);

#endif
