/*
 * What a start brings back: every stored record goes to the core, in order.
 *
 * May depend on src/base, core/core.h and journal/journal.h.
 */
#ifndef SLUICE_SERVER_RESTORE_H
#define SLUICE_SERVER_RESTORE_H

#include <stdint.h>

#include "base/buf.h"
#include "core/core.h"
#include "journal/journal.h"

struct restored {
    uint64_t records;
    uint64_t skipped;  /* of resources or limits that are no longer configured */
    uint64_t counters; /* of the records, those of counters … */
    uint64_t learned;  /* … of what was learned of limits … */
    uint64_t states;   /* … and of resources that were not well */
    size_t leases;     /* open after it */
    int64_t newest_us; /* a time that has passed, or 0 */
    int64_t took_us;
};

/* Replays the journal into a core that has its policy. 0, or the journal's or the core's error with
 * a sentence in `why`. */
int restore_run(struct journal *journal, struct core *core, struct restored *restored,
                struct buf *why);

/* Looks up in the journal the counters that the core needs and has forgotten, for an acquire or,
 * with NULL, for the leases brought back, and says how many there were. 0 or the core's error. */
int restore_missing(struct journal *journal, struct core *core, const struct acquire *acquire,
                    size_t *found);

#endif
