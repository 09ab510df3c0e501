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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/likely.h"

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

/* Adds a node for which room was reserved. */
void map_insert(struct map *m, struct map_node *node, uint64_t hash);

/* Removes a node that is in this map. */
void map_remove(struct map *m, struct map_node *node);

/* The first node of that hash, or NULL. */
struct map_node *map_find(const struct map *m, uint64_t hash);

/* The next node of the same hash as n, or NULL. */
struct map_node *map_next_equal(const struct map_node *n);

/* Calls fn for each node; fn must not change the map. */
void map_each(const struct map *m, void (*fn)(void *ctx, struct map_node *n), void *ctx);

#endif
