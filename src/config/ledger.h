/*
 * How long what was used and what it cost is kept: the section `ledger`.
 *
 * May depend on what config/ has below it.
 */
#ifndef SLUICE_CONFIG_LEDGER_H
#define SLUICE_CONFIG_LEDGER_H

#include "config/config.h"
#include "config/schema.h"

extern const struct section ledger_section;

/* Fills in the configuration; a NULL section is all defaults. */
void ledger_read(struct problems *p, const struct node *map, struct config *config);

#endif
