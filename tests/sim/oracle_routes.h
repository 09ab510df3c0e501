/*
 * Routes: where requests stand that came by one, and why not elsewhere; naive readings of
 * src/core/route.h and of the opening of src/core/choose.c. Internal to the oracle's files.
 *
 * In which line such a request stands is believed, as the core tells it in effects and views. What
 * is judged: what it asks there; that each reason for which a step was passed over is so, and that
 * none is missing; that a route is exhausted only where nothing is left to wait for; that the least
 * loaded account serves; and that no account idles while somebody who fits waits at another one.
 */
#ifndef SLUICE_TESTS_SIM_ORACLE_ROUTES_H
#define SLUICE_TESTS_SIM_ORACLE_ROUTES_H

#include "oracle_state.h"

/* Notes by which route a request comes, if it comes by one. */
void route_arrives(struct oracle *o, const struct acquire *a, struct waiter *w);

/* A new policy: its routes by name. */
void routes_configured(struct oracle *o);

/* Finds where a request stands by what was told in this step; all of them. */
void route_locate(struct oracle *o, const struct effects *effects, struct waiter *w);
void routes_locate(struct oracle *o, const struct effects *effects);

/* The most output that a request may have at a resource by its route; 0: any. */
int64_t step_cap(const struct oracle *o, const struct waiter *w, size_t resource);

/* The request as it would stand, or may have stood, at a step of its route; false past the last. */
bool route_step_waiter(const struct oracle *o, const struct waiter *w, size_t step,
                       struct waiter *there);

/* What a request asks at a resource of its route. */
struct load route_load(const struct oracle *o, const struct waiter *w, size_t resource);

/* Whether a request is what a waiting one, or an open lease, was asked for by the same id. */
bool same_request(const struct oracle *o, const struct waiter *old, const struct waiter *now);
bool same_lease(const struct oracle *o, const struct fact *f, const struct waiter *now);

/* Judges a grant's way, before it is charged. */
void judge_way(struct oracle *o, const struct waiter *w, const struct effect *grant);

/* Whether a request may be told that its route is exhausted. */
bool is_exhausted(struct oracle *o, const struct waiter *w, const struct effect *refusal);

/* No account idles while somebody waits at another one who fits there. */
void judge_accounts(struct oracle *o);

/* Whether the line of a request has no room for one more. */
bool line_is_full(const struct oracle *o, const struct waiter *w);

/* Whether a budget of a resource may be known to the journal alone. */
bool may_be_forgotten(const struct resource *r);

#endif
