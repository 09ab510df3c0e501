/*
 * Who may come in, and with what weight: the sections `keys` and `tenants`.
 *
 * May depend on what config/ has below it.
 */
#ifndef SLUICE_CONFIG_ACCESS_H
#define SLUICE_CONFIG_ACCESS_H

#include "config/config.h"
#include "config/schema.h"

#define TENANTS_MAX 65536
#define KEYS_MAX    4096

extern const struct section tenant_section;
extern const struct section key_section;

/* Fills in the policy's weights. */
void tenants_read(struct problems *p, const struct node *map, struct policy *policy);

/* Fills in the configuration's keys. */
void keys_read(struct problems *p, const struct node *list, struct config *config);

#endif
