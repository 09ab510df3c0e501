/*
 * Decimal numbers, exact: "2.5", "1.5e-07".
 *
 * At most the 15 digits that a double carries are taken, rounded: the files that hold prices are
 * written by programs that compute with doubles, and what stands behind those digits is an echo of
 * that (0.30000000000000004). Pure. May depend on src/base.
 */
#ifndef SLUICE_PRICE_DECIMAL_H
#define SLUICE_PRICE_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

/* The number times 10^shift, rounded up to a whole one; `exact` says whether that changed nothing.
 * False where the text is not a number from 0 on, or the result is over max. */
bool decimal_read(struct text t, int shift, int64_t max, int64_t *out, bool *exact);

#endif
