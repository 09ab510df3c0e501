/*
 * The oracle: a naive model that judges what a core did.
 *
 * It is told every event and every effect, keeps the plain history of leases and waiting requests
 * in arrays, and works out every sum again from that history each time it is asked: nothing is
 * counted along. It does not decide what a core should do; it decides whether what was done keeps
 * the promises P1–P7 and P9 of ARCHITECTURE.md. Where the rules leave freedom it lets the core
 * choose, and where the outcome of a rule is in doubt (two start tags that differ by rounding) it
 * says nothing.
 *
 * May depend on src/base and the headers of src/core. It shares no code with the core.
 */
#ifndef SLUICE_TESTS_SIM_ORACLE_H
#define SLUICE_TESTS_SIM_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/core.h"

struct oracle;

/* `problem` receives what is wrong, in words, once; the oracle is silent after that. `late`: ticks
 * come later than they are asked for, so that time's own events are judged in an order of their
 * own: nothing is said of whose turn it was, and of idleness only when all is done. */
struct oracle *oracle_new(struct buf *problem, bool late);
void oracle_free(struct oracle *o);

/* Before a step at now_us, everything due earlier having been done: nothing may have become
 * possible since without the core having asked for a tick (lost wake-ups). */
void oracle_before(struct oracle *o, int64_t now_us);

/* One step: what went in and what came out. Of the core itself it is asked only where those stand
 * who came by a route. */
void oracle_step(struct oracle *o, const struct core *core, const struct event *event,
                 const struct effects *effects);

/* After a step and all ticks due at its time: nothing that fits is left waiting, nobody is
 * overdue, and the core's own views agree with the history. */
void oracle_rest(struct oracle *o, const struct core *core);

/* The process died; only the first `records` records of all that were emitted are durable. The
 * next step is the CONFIGURE of a fresh core, and then oracle_restored says that the records
 * were given back. */
void oracle_crash(struct oracle *o, size_t records);
void oracle_restored(struct oracle *o);
/* Between both: what this one said of a counter did not matter any more, and is gone. */
void oracle_lost(struct oracle *o, const struct record *record);

/* How many grants were judged, of which so many passed a stalled head. */
struct oracle_counts {
    uint64_t grants;
    uint64_t passes;
    uint64_t refusals;
    uint64_t ordered; /* grants whose place in the order was beyond doubt */
};

struct oracle_counts oracle_counts(const struct oracle *o);

#endif
