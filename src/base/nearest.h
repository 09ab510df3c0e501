/*
 * The nearest of several names to a misspelt one, for "did you mean".
 *
 * For messages alone: what it suggests is a guess. May depend on text.h only.
 */
#ifndef SLUICE_BASE_NEAREST_H
#define SLUICE_BASE_NEAREST_H

#include "base/text.h"

/* The i-th of the names. */
typedef const char *name_at_fn(const void *names, size_t i);

/* The nearest of n names, capitals or not; NULL where none is near. */
const char *nearest_name(struct text wrong, name_at_fn *name_at, const void *names, size_t n);

#endif
