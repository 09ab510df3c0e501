#include "core/rank.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/likely.h"

#define WORD_BITS   64
#define BLOCK_WORDS 8
#define BLOCK_BITS  (WORD_BITS * BLOCK_WORDS)

static uint64_t block_of(uint64_t number)
{
    return number / BLOCK_BITS;
}

static size_t slot_of(const struct rank *r, uint64_t block)
{
    return (size_t)(block & (r->blocks_n - 1));
}

static uint64_t *word_of(const struct rank *r, uint64_t number)
{
    return &r->words[slot_of(r, block_of(number)) * BLOCK_WORDS + number % BLOCK_BITS / WORD_BITS];
}

void rank_release(struct rank *r)
{
    free(r->words);
    free(r->blocks);
    *r = (struct rank){0};
}

/* Passes over empty blocks at the old end, up to the one that is wanted. */
static void rank_trim(struct rank *r, uint64_t wanted)
{
    if (r->len == 0) {
        r->first = wanted;
    }
    while (r->first < wanted && r->blocks[slot_of(r, r->first)] == 0) {
        r->first++;
    }
}

static bool rank_covers(const struct rank *r, uint64_t block)
{
    return r->len > 0 && block >= r->first && block - r->first < r->blocks_n;
}

static int rank_grow(struct rank *r, uint64_t first, uint64_t last)
{
    size_t blocks_n = r->blocks_n ? r->blocks_n : 1;
    while (last - first >= blocks_n) {
        blocks_n *= 2;
    }
    struct rank grown = {.blocks_n = blocks_n, .first = first, .len = r->len};
    grown.words = calloc(blocks_n * BLOCK_WORDS, sizeof(uint64_t));
    grown.blocks = calloc(blocks_n, sizeof(uint16_t));
    if (!grown.words || !grown.blocks) {
        rank_release(&grown);
        return ERR_NO_MEMORY;
    }
    for (uint64_t b = r->first; b < r->first + r->blocks_n; b++) {
        size_t from = slot_of(r, b);
        if (r->blocks[from] == 0) {
            continue;
        }
        size_t to = slot_of(&grown, b);
        grown.blocks[to] = r->blocks[from];
        for (size_t i = 0; i < BLOCK_WORDS; i++) {
            grown.words[to * BLOCK_WORDS + i] = r->words[from * BLOCK_WORDS + i];
        }
    }
    free(r->words);
    free(r->blocks);
    *r = grown;
    return 0;
}

int rank_reserve(struct rank *r, uint64_t number)
{
    uint64_t block = block_of(number);
    if (likely(rank_covers(r, block))) {
        return 0;
    }
    if (r->blocks_n > 0) {
        rank_trim(r, block);
    }
    if (rank_covers(r, block)) {
        return 0;
    }
    /* The ring covers [first, first + blocks_n); an older number moves its start back. */
    uint64_t first = r->len > 0 && r->first < block ? r->first : block;
    uint64_t last = r->len > 0 ? r->first + r->blocks_n - 1 : block;
    while (r->len > 0 && last > block && last > first && r->blocks[slot_of(r, last)] == 0) {
        last--;
    }
    if (last < block) {
        last = block;
    }
    if (r->blocks_n == 0 || last - first >= r->blocks_n) {
        return rank_grow(r, first, last);
    }
    r->first = first;
    return 0;
}

void rank_insert(struct rank *r, uint64_t number)
{
    uint64_t bit = UINT64_C(1) << (number % WORD_BITS);
    uint64_t block = block_of(number);
    assert(block >= r->first && block - r->first < r->blocks_n);
    assert(!(*word_of(r, number) & bit));
    *word_of(r, number) |= bit;
    r->blocks[slot_of(r, block)]++;
    r->len++;
}

void rank_remove(struct rank *r, uint64_t number)
{
    uint64_t bit = UINT64_C(1) << (number % WORD_BITS);
    assert(*word_of(r, number) & bit);
    *word_of(r, number) &= ~bit;
    r->blocks[slot_of(r, block_of(number))]--;
    r->len--;
}

size_t rank_before(const struct rank *r, uint64_t number)
{
    size_t before = 0;
    if (r->len == 0) {
        return 0;
    }
    uint64_t block = block_of(number);
    for (uint64_t b = r->first; b < block && b < r->first + r->blocks_n; b++) {
        before += r->blocks[slot_of(r, b)];
    }
    if (block < r->first || block >= r->first + r->blocks_n) {
        return before;
    }
    const uint64_t *words = &r->words[slot_of(r, block) * BLOCK_WORDS];
    size_t last = number % BLOCK_BITS / WORD_BITS;
    for (size_t i = 0; i < last; i++) {
        before += (size_t)__builtin_popcountll(words[i]);
    }
    uint64_t below = (UINT64_C(1) << (number % WORD_BITS)) - 1;
    return before + (size_t)__builtin_popcountll(words[last] & below);
}
