#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

#include "base/ahead.h"
#include "base/error.h"
#include "base/likely.h"

#define MAP_CHAINS_MIN 16
#define MAP_MOVE_STEP  4
/* Nodes numbered in order come, and go, one chain behind the other: those this far on are next. */
#define MAP_AHEAD 16

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_release(struct map *m)
{
    free(m->chains);
    free(m->old);
    map_init(m);
}

static struct map_node **chain_of(struct map_node **chains, size_t chains_n, uint64_t hash)
{
    return &chains[hash & (chains_n - 1)];
}

/* Moves one chain of the old table to the new one. */
static void map_move_chain(struct map *m, struct map_node **from)
{
    struct map_node *node = *from;
    *from = NULL;
    while (node) {
        struct map_node *next = node->next;
        struct map_node **to = chain_of(m->chains, m->chains_n, node->hash);
        node->next = *to;
        *to = node;
        node = next;
    }
}

/* Moves up to `count` chains from the old table to the new one. */
static void map_move(struct map *m, size_t count)
{
    while (m->old && count--) {
        map_move_chain(m, &m->old[m->moved++]);
        if (m->moved == m->old_n) {
            free(m->old);
            m->old = NULL;
        }
    }
}

int map_grow(struct map *m, size_t n)
{
    assert(n > m->chains_n);
    size_t chains_n = m->chains_n ? m->chains_n * 2 : MAP_CHAINS_MIN;
    while (chains_n < n) {
        chains_n *= 2;
    }
    struct map_node **chains = calloc(chains_n, sizeof(struct map_node *));
    if (!chains) {
        return ERR_NO_MEMORY;
    }
    map_move(m, SIZE_MAX);
    assert(!m->old);
    m->old = m->chains;
    m->old_n = m->chains_n;
    m->moved = 0;
    m->chains = chains;
    m->chains_n = chains_n;
    return 0;
}

void map_insert(struct map *m, struct map_node *node, uint64_t hash)
{
    assert(m->len < m->chains_n);
    if (unlikely(m->old)) {
        /* All nodes of one hash stand in one table, so that a lookup need only search on
         * in the table where it found the first. */
        map_move_chain(m, chain_of(m->old, m->old_n, hash));
        map_move(m, MAP_MOVE_STEP);
    }
    struct map_node **chain = chain_of(m->chains, m->chains_n, hash);
    expect_memory(chain + MAP_AHEAD, 1);
    node->hash = hash;
    node->next = *chain;
    *chain = node;
    m->len++;
}

static bool unlink_from(struct map_node **link, struct map_node *node)
{
    for (; *link; link = &(*link)->next) {
        if (likely(*link == node)) {
            *link = node->next;
            node->next = NULL;
            return true;
        }
    }
    return false;
}

void map_remove(struct map *m, struct map_node *node)
{
    struct map_node **chain = chain_of(m->chains, m->chains_n, node->hash);
    expect_memory(chain + MAP_AHEAD, 1);
    bool found = unlink_from(chain, node);
    if (unlikely(!found) && m->old) {
        found = unlink_from(chain_of(m->old, m->old_n, node->hash), node);
    }
    assert(found);
    m->len--;
}

static struct map_node *first_equal(struct map_node *node, uint64_t hash)
{
    while (node && unlikely(node->hash != hash)) {
        node = node->next;
    }
    return node;
}

struct map_node *map_find(const struct map *m, uint64_t hash)
{
    if (m->len == 0) {
        return NULL;
    }
    struct map_node *node = first_equal(*chain_of(m->chains, m->chains_n, hash), hash);
    if (!node && unlikely(m->old)) {
        node = first_equal(*chain_of(m->old, m->old_n, hash), hash);
    }
    return node;
}

struct map_node *map_next_equal(const struct map_node *n)
{
    return first_equal(n->next, n->hash);
}

static void each_in(struct map_node **chains, size_t chains_n,
                    void (*fn)(void *ctx, struct map_node *n), void *ctx)
{
    for (size_t i = 0; i < chains_n; i++) {
        for (struct map_node *node = chains[i]; node; node = node->next) {
            fn(ctx, node);
        }
    }
}

void map_each(const struct map *m, void (*fn)(void *ctx, struct map_node *n), void *ctx)
{
    each_in(m->chains, m->chains_n, fn, ctx);
    if (m->old) {
        each_in(m->old, m->old_n, fn, ctx);
    }
}
