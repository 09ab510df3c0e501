/*
 * The reference of the configuration's keys, written from the tables that read them.
 *
 * docs/configuration.md holds it word for word; a test compares. May depend on what config/ has.
 */
#ifndef SLUICE_CONFIG_REFERENCE_H
#define SLUICE_CONFIG_REFERENCE_H

#include <stddef.h>

#include "base/buf.h"
#include "config/schema.h"

/* The sections in the order of the reference; NULL after the last. */
const struct section *reference_section(size_t i);

/* Every section as a Markdown table, then the providers' rules. */
void reference_write(struct buf *b);

#endif
