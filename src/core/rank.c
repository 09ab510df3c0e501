#include "core/rank.h"

#include <stdlib.h>

#include "base/error.h"

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
    while (r->first < wanted && r->blocks[rank_slot(r, r->first)] == 0) {
        r->first++;
    }
}

static int rank_grow(struct rank *r, uint64_t first, uint64_t last)
{
    size_t blocks_n = r->blocks_n ? r->blocks_n : 1;
    while (last - first >= blocks_n) {
        blocks_n *= 2;
    }
    struct rank grown = {.blocks_n = blocks_n, .first = first, .len = r->len};
    grown.words = calloc(blocks_n * RANK_BLOCK_WORDS, sizeof(uint64_t));
    grown.blocks = calloc(blocks_n, sizeof(uint16_t));
    if (!grown.words || !grown.blocks) {
        rank_release(&grown);
        return ERR_NO_MEMORY;
    }
    for (uint64_t b = r->first; b < r->first + r->blocks_n; b++) {
        size_t from = rank_slot(r, b);
        if (r->blocks[from] == 0) {
            continue;
        }
        size_t to = rank_slot(&grown, b);
        grown.blocks[to] = r->blocks[from];
        for (size_t i = 0; i < RANK_BLOCK_WORDS; i++) {
            grown.words[to * RANK_BLOCK_WORDS + i] = r->words[from * RANK_BLOCK_WORDS + i];
        }
    }
    free(r->words);
    free(r->blocks);
    *r = grown;
    return 0;
}

int rank_reach(struct rank *r, uint64_t number)
{
    uint64_t block = rank_block(number);
    if (r->blocks_n > 0) {
        rank_trim(r, block);
    }
    if (rank_covers(r, number)) {
        return 0;
    }
    /* The ring covers [first, first + blocks_n); an older number moves its start back. */
    uint64_t first = r->len > 0 && r->first < block ? r->first : block;
    uint64_t last = r->len > 0 ? r->first + r->blocks_n - 1 : block;
    while (r->len > 0 && last > block && last > first && r->blocks[rank_slot(r, last)] == 0) {
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

size_t rank_before(const struct rank *r, uint64_t number)
{
    size_t before = 0;
    if (r->len == 0) {
        return 0;
    }
    uint64_t block = rank_block(number);
    for (uint64_t b = r->first; b < block && b < r->first + r->blocks_n; b++) {
        before += r->blocks[rank_slot(r, b)];
    }
    if (block < r->first || block >= r->first + r->blocks_n) {
        return before;
    }
    const uint64_t *words = &r->words[rank_slot(r, block) * RANK_BLOCK_WORDS];
    size_t last = number % RANK_BLOCK_BITS / RANK_WORD_BITS;
    for (size_t i = 0; i < last; i++) {
        before += (size_t)__builtin_popcountll(words[i]);
    }
    uint64_t below = (UINT64_C(1) << (number % RANK_WORD_BITS)) - 1;
    return before + (size_t)__builtin_popcountll(words[last] & below);
}
