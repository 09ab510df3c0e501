/*
 * What a resource does about its provider's answers, as a configuration writes it: the keys
 * `feedback`, `retry`, `breaker`, `cooldown` and `day_zone`.
 *
 * All numbers start from the core's feedback_default, so a configuration that says nothing has
 * feedback. May depend on what config/ has below it.
 */
#ifndef SLUICE_CONFIG_FEEDBACK_H
#define SLUICE_CONFIG_FEEDBACK_H

#include "config/limit.h"

struct feedback_draft {
    const struct node *feedback, *retry, *breaker;
    struct setting cooldown;
    struct word day_zone;
};

extern const struct section feedback_section;
extern const struct section retry_section;
extern const struct section breaker_section;

/* Fills in the resource's feedback and cool-down. */
void feedback_build(struct limit_context *c, const struct place *at,
                    const struct feedback_draft *draft, const struct profile *profile,
                    struct resource *resource);

#endif
