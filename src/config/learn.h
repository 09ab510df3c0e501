/*
 * What a resource learns by itself, as a configuration writes it: `limits: from_provider`,
 * `concurrency: adaptive` and `estimates`.
 *
 * May depend on what config/ has below it.
 */
#ifndef SLUICE_CONFIG_LEARN_H
#define SLUICE_CONFIG_LEARN_H

#include "config/limit.h"

struct learn_draft {
    bool limits;       /* from_provider is among them */
    struct word slots; /* a number of calls in flight, to be read as a limit */
    int adaptive_line; /* where it says that they adapt; 0: it does not */
    struct setting slots_min, slots_max;
    const struct node *estimates;
};

extern const struct section adaptive_section;
extern const struct section estimates_section;

/* `concurrency`: an amount, `adaptive`, or {adaptive: {min, max}}. Into a struct learn_draft. */
key_read_fn read_concurrency;

/* Fills in what is learned, once all limits that are written out are there. */
void learn_build(struct limit_context *c, const struct place *at, const struct learn_draft *draft,
                 const struct profile *profile, struct resource *resource);

#endif
