/*
 * An intrusive hash map: chained, doubling, no removal surprises.
 *
 * The owner embeds a struct map_node and keeps the key; the map keeps the hash. A lookup
 * walks the nodes of one hash, and the owner compares keys:
 *
 *     for (struct map_node *n = map_find(&m, hash); n; n = map_next_equal(n))
 *         if (text_equal(CONTAINER_OF(n, struct tenant, node)->name, name)) ...
 *
 * Growth moves a few chains at each insertion instead of all at once, so no single
 * insertion is slow. Iteration order is that of insertion, reversed within a chain, and
 * the same in every run.
 */
#ifndef SLUICE_BASE_MAP_H
#define SLUICE_BASE_MAP_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/likely.h"

/* Nodes numbered in order come, and go, one chain behind the other: those this far on are next. */
#define MAP_AHEAD 16

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_node **chains; /* NULL until the first insertion */
    size_t chains_n;          /* a power of two, or 0 */
    struct map_node **old;    /* the smaller table while its chains are being moved, or NULL */
    size_t old_n;
    size_t moved; /* chains of `old` already moved */
    size_t len;
};

void map_init(struct map *m);

/* Frees the tables, not the nodes. */
void map_release(struct map *m);

/* Makes room for more nodes than there is: `n` in all. 0 or ERR_NO_MEMORY. */
int map_grow(struct map *m, size_t n);

/* Makes room for `n` nodes in all: for a map whose nodes come back after they were removed, when
 * failing is no longer possible. 0 or ERR_NO_MEMORY. */
static inline int map_reserve_for(struct map *m, size_t n)
{
    return likely(n <= m->chains_n) ? 0 : map_grow(m, n);
}

/* Makes room for one further node; 0 or ERR_NO_MEMORY. */
static inline int map_reserve(struct map *m)
{
    return map_reserve_for(m, m->len + 1);
}

static inline struct map_node **map_chain(struct map_node **chains, size_t chains_n, uint64_t hash)
{
    return &chains[hash & (chains_n - 1)];
}

/* Moves some chains of the old table to the new one, that of the hash among them. */
APART void map_move_some(struct map *m, uint64_t hash);

/* Adds a node for which room was reserved. */
static inline void map_insert(struct map *m, struct map_node *node, uint64_t hash)
{
    assert(m->len < m->chains_n);
    if (unlikely(m->old)) {
        map_move_some(m, hash);
    }
    struct map_node **chain = map_chain(m->chains, m->chains_n, hash);
    __builtin_prefetch(chain + MAP_AHEAD);
    node->hash = hash;
    node->next = *chain;
    *chain = node;
    m->len++;
}

/* Takes a node out of its chain. */
APART void map_unlink(struct map *m, struct map_node *node);

/* Removes a node that is in this map. */
static inline void map_remove(struct map *m, struct map_node *node)
{
    struct map_node **chain = map_chain(m->chains, m->chains_n, node->hash);
    __builtin_prefetch(chain + MAP_AHEAD);
    if (likely(*chain == node)) {
        *chain = node->next;
    } else {
        map_unlink(m, node);
    }
    m->len--;
}

static inline struct map_node *map_first_equal(struct map_node *node, uint64_t hash)
{
    while (node && unlikely(node->hash != hash)) {
        node = node->next;
    }
    return node;
}

struct map_node *map_find_old(const struct map *m, uint64_t hash);

/* The first node of that hash, or NULL. */
static inline struct map_node *map_find(const struct map *m, uint64_t hash)
{
    if (m->len == 0) {
        return NULL;
    }
    struct map_node *node = map_first_equal(*map_chain(m->chains, m->chains_n, hash), hash);
    return !node && unlikely(m->old) ? map_find_old(m, hash) : node;
}

/* The next node of the same hash as n, or NULL. */
static inline struct map_node *map_next_equal(const struct map_node *n)
{
    return map_first_equal(n->next, n->hash);
}

/* Calls fn for each node; fn must not change the map. */
void map_each(const struct map *m, void (*fn)(void *ctx, struct map_node *n), void *ctx);

#endif
