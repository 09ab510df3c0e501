/*
 * A yardstick: what plain containers need for the books of a decision, without any judgement.
 *
 * GLib's hash table knows the open calls by number, its queues are a log of requests, a log of
 * tokens and a line of who waits; each entry is its own allocation. An acquire stands in line where
 * somebody does, lets go what is older than a minute, and enters a call into table and logs; a
 * release finds it there, corrects its tokens and takes it out. There is no priority, no fairness,
 * no time-out, no record and no answer in it. Where the core costs so many times as much as this,
 * it does so on any machine, however busy that is at the moment.
 */
#ifndef SLUICE_BENCH_BOOKS_H
#define SLUICE_BENCH_BOOKS_H

#include <stddef.h>
#include <stdint.h>

struct books;

/* With so many in line, and a log of the last minute at one call each step_us. */
struct books *books_new(size_t waiting, int64_t step_us);
void books_free(struct books *books);

/* An acquire and its release, step_us after the one before. */
void books_turn(struct books *books);

#endif
