/*
 * Hints: what a wrong key or value was probably meant to be, as the end of a message about it.
 *
 * A hint is "; " and a few words, or nothing where none is near. A value is only suggested after
 * it was read as the key would read it, so whoever follows a hint gets no second message.
 *
 * May depend on src/base, core/limit.h, the sections' tables (reference.h), zone.h and what
 * config.h reads numbers by.
 */
#ifndef SLUICE_CONFIG_HINT_H
#define SLUICE_CONFIG_HINT_H

#include <stdint.h>

#include "base/nearest.h"
#include "config/schema.h"
#include "core/limit.h"

struct hint {
    char text[200];
};

/* The name_at of an array of texts. */
name_at_fn choice_name;

/* For a key that `section` does not have: the word for it here, the section that has it, or the
 * nearest of this section's. */
struct hint hint_key(const struct section *section, struct text wrong);

/* For what is none of n names: the one that other programs call so, or the nearest of them. */
struct hint hint_name(struct text wrong, name_at_fn *name_at, const void *names, size_t n);

/* For what is no scope: as hint_name for the n that are one word, or else a label of that key. */
struct hint hint_scope(struct text wrong, name_at_fn *name_at, const void *names, size_t n);

/* For what is no time: as hint_name for the n that have a name, or else as hint_duration. */
struct hint hint_time(struct text wrong, name_at_fn *name_at, const void *names, size_t n,
                      int64_t max_us);

/* For a text where a map of `section` is wanted: a missing colon, or else nothing. */
struct hint hint_map(const struct section *section, struct text wrong);

/* For what is not an amount, such as "200_000", "200K" or "500/min". */
struct hint hint_amount(enum unit unit, struct text wrong);

/* For what is not a duration of `min_us` to `max_us`, such as "60" or "5min". */
struct hint hint_duration(struct text wrong, int64_t min_us, int64_t max_us);

/* For what is not a share of at most `max_ppm`, such as "80". */
struct hint hint_share(struct text wrong, int64_t max_ppm);

/* For a zone that is not known: the same with a continent before it. */
struct hint hint_zone(struct text wrong);

#endif
