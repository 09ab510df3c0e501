/*
 * Limits as a configuration writes them, made into limits as the core judges them.
 *
 * A limit is read into a draft, and built once its resource's provider is known: what the draft
 * leaves open comes from the provider's profile. Shorthand keys (rpm, tpm …) are drafts as well, so
 * there is one way to build a limit. May depend on what config/ has below it.
 */
#ifndef SLUICE_CONFIG_LIMIT_H
#define SLUICE_CONFIG_LIMIT_H

#include <stdbool.h>
#include <stddef.h>

#include "config/profile.h"
#include "config/schema.h"
#include "core/policy.h"
#include "price/table.h"

#define RESOURCES_MAX 4096 /* accounts counted one by one */
#define POOLS_MAX     256  /* pool names in a file */
#define ZONES_MAX     64   /* zone names in a file */

struct limit_draft {
    int line;
    size_t keys;    /* how many are given */
    bool broken;    /* a problem was found in it */
    bool shorthand; /* of a key like rpm: the profile says what kind of window a day has */
    struct word name, amount, burst, per, zone, shared, scope;
    struct setting unit, window, guard, headroom, settle, on_expire, charge, exceed, warn_at, pace;
    struct setting headers;
};

/* The first full definition of a pool; later ones must agree. */
struct pool {
    struct limit limit;
    int line;
};

struct named_zone {
    char name[NAME_LEN_MAX + 1];
    struct zone *zone;
};

/* What the limits of one file share. */
struct limit_context {
    struct problems *problems;
    struct pool pools[POOLS_MAX];
    size_t pools_n;
    struct named_zone *zones; /* room for ZONES_MAX; owned by the configuration */
    size_t *zones_n;
    const struct price_table *tables[2]; /* the file's, if it names one, then the built-in one */
    size_t tables_n;
    struct route *routes; /* room for all of the file's; owned by the configuration */
    size_t routes_n;
    /* The file's own, before anything of them is read: what limits may name. Or NULL. */
    const struct node *resources_node, *routes_node;
};

extern const struct section limit_section;

/* The zone of that name; NULL for UTC, for none, and where there is no such zone, which is reported
 * at `at`. Owned by the configuration. */
const struct zone *zone_named(struct limit_context *c, const struct place *at, struct text name,
                              int line);

/* Builds a limit. False where that is not possible; the problems are reported. */
bool limit_build(struct limit_context *c, const struct place *at, const struct limit_draft *draft,
                 const struct profile *profile, struct limit *limit);

#endif
