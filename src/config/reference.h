/*
 * The reference of the configuration's keys, written from the tables that read them.
 *
 * docs/configuration.md holds it word for word; a test compares. May depend on what config/ has.
 */
#ifndef SLUICE_CONFIG_REFERENCE_H
#define SLUICE_CONFIG_REFERENCE_H

#include "base/buf.h"

/* Every section as a Markdown table, then the providers' rules. */
void reference_write(struct buf *b);

#endif
