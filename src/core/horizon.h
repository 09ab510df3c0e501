/*
 * The horizon: how far back a start has to read.
 *
 * What a lease left in a window, and what repeats of it are answered, is rebuilt from the newest
 * record of its grant together with that of its end. So that record is needed for as long as the
 * end matters, however long the lease was open. Ends are noted by stretches of time, a few to a
 * window: the horizon is never too late, and too early by at most one stretch.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_HORIZON_H
#define SLUICE_CORE_HORIZON_H

#include <stddef.h>
#include <stdint.h>

#define HORIZON_STRETCHES 8                       /* to a window */
#define HORIZON_MAX       (2 * HORIZON_STRETCHES) /* kept; more join the newest */

struct horizon {
    struct {
        int64_t since_us;
        int64_t until_us;
        int64_t noted_us; /* the oldest newest record among the leases that ended then */
    } ends[HORIZON_MAX];  /* in order of time */
    size_t ends_n;
};

/* A lease ended now, whose newest record of its grant is that old; its end matters for so long. */
void horizon_note(struct horizon *h, int64_t now_us, int64_t noted_us, int64_t matters_us);

/* The oldest record of a grant whose lease's end still matters, or INT64_MAX. */
int64_t horizon_oldest_us(const struct horizon *h, int64_t now_us, int64_t matters_us);

#endif
