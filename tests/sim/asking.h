/*
 * Asking: events of the world as requests of the API, in JSON.
 *
 * May depend on src.
 */
#ifndef SLUICE_TESTS_SIM_ASKING_H
#define SLUICE_TESTS_SIM_ASKING_H

#include "base/buf.h"
#include "core/core.h"

/* Appends the object that asks for what the event says; a RENEW is written as the lease's name. The
 * API counts in milliseconds, so times are rounded up. A release tells in the words of `provider`
 * what came of the call. */
void asking_write(struct buf *body, const struct event *e, const char *provider);

/* Puts elements that stand one behind the other, with commas between, into the request for them. */
void asking_bundle(struct buf *body, const struct buf *leases, int64_t lease_us);

#endif
