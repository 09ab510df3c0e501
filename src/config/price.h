/*
 * What a resource's tokens cost, as a configuration writes it: `price`, `batch`, and the table that
 * `prices` names.
 *
 * A resource takes its price from what it says itself, else from the file's table, else from the
 * one that is built in. One with a limit in usd has a price, or says that its callers know the
 * cost. May depend on what config/ has below it, and on src/price.
 */
#ifndef SLUICE_CONFIG_PRICE_H
#define SLUICE_CONFIG_PRICE_H

#include "config/limit.h"

struct price_draft {
    const struct node *price;
    struct setting batch;
};

extern const struct section price_section;
extern const struct section price_over_section;

/* Reads the table of a file. NULL where there is none, which is reported. The path is lent to the
 * table. */
struct price_table *prices_load(struct problems *p, const char *path, int line);

/* Fills in the resource's price. To be called once its limits are known; `line` is its own. */
void price_build(struct limit_context *c, const struct place *at, int line,
                 const struct price_draft *draft, struct resource *resource);

/* The price of a step that names another model than its resource does, or a price. It is batched as
 * the resource is. */
void price_build_step(struct limit_context *c, const struct place *at, int line,
                      const struct node *price, const struct resource *resource,
                      struct route_step *step);

/* A limit in usd stands over a resource whose price is not known. */
void price_missing(struct problems *p, const struct place *at, int line, const char *model);

#endif
