/*
 * The backlog: records on their way to the store, between two threads.
 *
 * The loop's thread appends records to a chain of chunks and owns all of its memory. The worker
 * reads the records that were handed over, with a cursor of its own. Records never move, so
 * handing over is no more than telling a number: the worker may read the records numbered below
 * it. Who tells it (under a lock, in journal.c) orders the memory between the threads; nothing
 * here locks.
 *
 * Counters that are under way are also found by key, so that one which is written often within
 * a batch is written once, and the newest value can be read before the store has it.
 *
 * Invariants: the bytes of all chunks never exceed the cap; a record that was handed over is
 * never changed; a chunk goes only when the worker has read beyond it.
 * May depend on src/base and core/record.h.
 */
#ifndef SLUICE_JOURNAL_BACKLOG_H
#define SLUICE_JOURNAL_BACKLOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "base/text.h"
#include "core/record.h"

#define BACKLOG_CHUNK_BYTES (64u << 10)
#define BACKLOG_SPARES_MAX  8 /* chunks kept for reuse */

struct chunk;

struct backlog {
    struct chunk *first; /* the oldest that is kept */
    struct chunk *last;  /* the one that is being filled */
    struct chunk *spare; /* those kept for reuse, the one that was used last first */
    size_t spares_n;
    size_t bytes; /* of all chunks */
    size_t cap;
    uint64_t appended; /* records so far */
    uint64_t handed;   /* records that must not change any more */
    struct map counters;
    struct hash_key key;
};

/* Where the worker reads on. */
struct backlog_cursor {
    const struct chunk *chunk;
    size_t at;
};

/* `cursor` starts at the first record. 0 or ERR_NO_MEMORY. */
int backlog_init(struct backlog *b, size_t cap, const struct hash_key *key,
                 struct backlog_cursor *cursor);
void backlog_release(struct backlog *b);

/* Copies a record, or replaces the value of a counter that was appended but not yet handed over.
 * 0, ERR_NO_MEMORY or ERR_OVER_CAP, and then nothing has changed. */
int backlog_append(struct backlog *b, const struct record *record);

/* Fixes all records appended so far, and returns how many there are. */
uint64_t backlog_hand_over(struct backlog *b);

/* Lets go of chunks the worker has done with: records numbered below `done` are stored. */
void backlog_reap(struct backlog *b, uint64_t done);

/* The newest value under way of the counter that `key` names, or NULL. Valid until the next call.
 */
const struct record *backlog_counter(const struct backlog *b, const struct record *key);

/* The next record. The caller knows that there is one, and that it was handed over. */
const struct record *backlog_next(struct backlog_cursor *cursor);

#endif
