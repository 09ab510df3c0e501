/*
 * The journal's worker, and the time, as the simulator wants them.
 *
 * The worker stays a thread of its own, but it and the simulator's thread never run at once: it
 * runs when it is let to, until it waits for work or comes to an operation of the disk that is one
 * too many. So how far a batch has come at any moment is decided by the story and not by the
 * machine. What the journal calls of pthreads is wrapped at link time (meson.build), and
 * src/base/clock.c is replaced by a clock that is set.
 */
#ifndef SLUICE_TESTS_SIM_WORKER_H
#define SLUICE_TESTS_SIM_WORKER_H

#include <stdbool.h>
#include <stdint.h>

/* Lets the worker begin so many operations of the disk; < 0: all that it has to do. It stops early
 * when it has nothing to do. */
void worker_run(int64_t operations);

/* What is called before each operation of the disk (faults_hook). */
void worker_at_disk(void);

/* Somebody waits for a lock that the worker may hold. */
void worker_awaited(void);

/* The machine's monotonic time, which is also the wall's but for its skew. */
void time_set(int64_t now_us, int64_t skew_us);

#endif
