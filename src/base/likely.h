/*
 * Which way most decisions go, where a compiler would guess otherwise.
 *
 * A decision runs through a few thousand instructions, too many to be kept decoded: it takes as
 * long as reading them takes, and each jump over what only some need costs as much as several of
 * them. A hint, and nothing but that. Depends on nothing.
 */
#ifndef SLUICE_BASE_LIKELY_H
#define SLUICE_BASE_LIKELY_H

#define likely(condition)   __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/* For a function that few decisions call: not built into its callers, who then need neither its
 * room on the stack nor its registers. RARE: laid out of the way as well, and whatever leads to it
 * is taken to be unlikely. */
#define APART __attribute__((noinline))
#define RARE  __attribute__((noinline, cold))

#endif
