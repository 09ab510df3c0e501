/*
 * Deals: what was called at a grant and at what price, where a new policy says otherwise since.
 *
 * A lease is settled at the price that it was held at, and counts for the model that it was granted
 * for. Both follow from its line and from the step of its route, so a lease needs no deal until a
 * reload changes one of them.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_DEAL_H
#define SLUICE_CORE_DEAL_H

#include "core/lease.h"
#include "core/way.h"

struct deal {
    struct price price;
    size_t model_len;
    char model[NAME_LEN_MAX];
};

/* What a lease was granted for: at its line and step as they are, or by its deal. */
static inline const struct price *lease_price(const struct lease *l)
{
    return l->deal ? &l->deal->price : price_at(l->line, way_step(l->way));
}

struct text lease_model(const struct lease *lease);

/* A copy of a lease under a new policy keeps what the old one was granted for. 0 or ERR_NO_MEMORY.
 */
int deal_carry(struct lease *lease, const struct lease *old);

#endif
