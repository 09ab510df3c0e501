/*
 * Time zones: an IANA name made into a table of offset changes, which the core can use without
 * knowing any calendar rules.
 *
 * The table covers ZONE_FROM_US to ZONE_UNTIL_US. It is made once, when a configuration is loaded;
 * a newer version of the system's zone data takes effect with the next reload. GLib lives in
 * zone.c alone. May depend on core/policy.h.
 */
#ifndef SLUICE_CONFIG_ZONE_H
#define SLUICE_CONFIG_ZONE_H

#include <stdint.h>

#include "base/text.h"
#include "core/policy.h"

#define ZONE_FROM_US     INT64_C(1577836800000000) /* 2020-01-01T00:00:00Z */
#define ZONE_UNTIL_US    INT64_C(4102444800000000) /* 2100-01-01T00:00:00Z */
#define ZONE_CHANGES_MAX 1024

/* The zone of an IANA name ("Europe/Berlin", "UTC"). 0, or ERR_NOT_FOUND for a name the system's
 * zone data does not have, or ERR_NO_MEMORY. To be freed with zone_free. */
int zone_new(struct text name, struct zone **zone);

void zone_free(struct zone *zone); /* NULL is allowed */

#endif
