/*
 * A rank: how many of a line's waiting requests arrived before a given one.
 *
 * A set of arrival numbers that mostly grow, as a ring of bits with a count for each block of 512.
 * Insertion and removal are O(1); a question adds up the counts of the blocks before it: a few
 * hundred additions for 100,000 waiting. What every one who joins or leaves does stands here, so
 * that it can be built into its callers. Pure; may depend on src/base only.
 */
#ifndef SLUICE_CORE_RANK_H
#define SLUICE_CORE_RANK_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/likely.h"

#define RANK_WORD_BITS   64
#define RANK_BLOCK_WORDS 8
#define RANK_BLOCK_BITS  (RANK_WORD_BITS * RANK_BLOCK_WORDS)

struct rank {
    uint64_t *words;
    uint16_t *blocks; /* how many are set in each block */
    size_t blocks_n;  /* of the ring: a power of two, or 0 */
    uint64_t first;   /* block number of the oldest block that may hold any */
    size_t len;
};

void rank_release(struct rank *r);

static inline uint64_t rank_block(uint64_t number)
{
    return number / RANK_BLOCK_BITS;
}

static inline size_t rank_slot(const struct rank *r, uint64_t block)
{
    return (size_t)(block & (r->blocks_n - 1));
}

static inline uint64_t *rank_word(const struct rank *r, uint64_t number)
{
    size_t slot = rank_slot(r, rank_block(number));
    return &r->words[slot * RANK_BLOCK_WORDS + number % RANK_BLOCK_BITS / RANK_WORD_BITS];
}

/* Whether the ring has a place for that number. */
static inline bool rank_covers(const struct rank *r, uint64_t number)
{
    uint64_t block = rank_block(number);
    return r->len > 0 && block >= r->first && block - r->first < r->blocks_n;
}

/* Moves the ring on, or doubles it, until it covers `number`; 0 or ERR_NO_MEMORY. */
int rank_reach(struct rank *r, uint64_t number);

/* Makes room for `number`; 0 or ERR_NO_MEMORY. */
static inline int rank_reserve(struct rank *r, uint64_t number)
{
    return likely(rank_covers(r, number)) ? 0 : rank_reach(r, number);
}

/* Inserts a number that is not in the set and for which room was reserved. */
static inline void rank_insert(struct rank *r, uint64_t number)
{
    uint64_t bit = UINT64_C(1) << (number % RANK_WORD_BITS);
    uint64_t *word = rank_word(r, number);
    assert(rank_block(number) - r->first < r->blocks_n && !(*word & bit));
    *word |= bit;
    r->blocks[rank_slot(r, rank_block(number))]++;
    r->len++;
}

static inline void rank_remove(struct rank *r, uint64_t number)
{
    uint64_t bit = UINT64_C(1) << (number % RANK_WORD_BITS);
    uint64_t *word = rank_word(r, number);
    assert(*word & bit);
    *word &= ~bit;
    r->blocks[rank_slot(r, rank_block(number))]--;
    r->len--;
}

/* How many members are smaller than `number`. */
size_t rank_before(const struct rank *r, uint64_t number);

#endif
