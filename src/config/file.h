/*
 * The file as a whole: its top-level keys, and the section `server`.
 *
 * May depend on what config/ has below it.
 */
#ifndef SLUICE_CONFIG_FILE_H
#define SLUICE_CONFIG_FILE_H

#include "config/config.h"
#include "config/limit.h"
#include "config/schema.h"

/* What config->owned points to. */
struct owned {
    struct named_zone zones[ZONES_MAX];
    size_t zones_n;
    struct route *routes;
    char **answers; /* the static ones, by route; NULL where it has none */
    size_t routes_n;
    char *prices_path; /* what `prices` names, or NULL */
    struct price_table *prices;
};

extern const struct section file_section;
extern const struct section server_section;

/* Reads the tree of a file into a configuration that is zeroed but for `owned`. */
void file_read(struct problems *p, const struct node *root, struct config *config);

#endif
