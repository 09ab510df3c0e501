/*
 * What an operator is told of, and where: the section `alerts`.
 *
 * May depend on what config/ has below it.
 */
#ifndef SLUICE_CONFIG_ALERT_H
#define SLUICE_CONFIG_ALERT_H

#include "config/config.h"
#include "config/schema.h"

extern const struct section alerts_section;

/* Fills in the configuration; a NULL section is all defaults. */
void alerts_read(struct problems *p, const struct node *map, struct config *config);

#endif
