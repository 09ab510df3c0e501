/*
 * A rank: how many of a line's waiting requests arrived before a given one.
 *
 * A set of arrival numbers that mostly grow, as a ring of bits with a count for each block of 512.
 * Insertion and removal are O(1); a question adds up the counts of the blocks before it: a few
 * hundred additions for 100,000 waiting. Pure; may depend on src/base only.
 */
#ifndef SLUICE_CORE_RANK_H
#define SLUICE_CORE_RANK_H

#include <stddef.h>
#include <stdint.h>

struct rank {
    uint64_t *words;
    uint16_t *blocks; /* how many are set in each block */
    size_t blocks_n;  /* of the ring: a power of two, or 0 */
    uint64_t first;   /* block number of the oldest block that may hold any */
    size_t len;
};

void rank_release(struct rank *r);

/* Makes room for `number`; 0 or ERR_NO_MEMORY. */
int rank_reserve(struct rank *r, uint64_t number);

/* Inserts a number that is not in the set and for which room was reserved. */
void rank_insert(struct rank *r, uint64_t number);

void rank_remove(struct rank *r, uint64_t number);

/* How many members are smaller than `number`. */
size_t rank_before(const struct rank *r, uint64_t number);

#endif
