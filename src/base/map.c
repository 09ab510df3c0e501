#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/likely.h"

#define MAP_CHAINS_MIN 16
#define MAP_MOVE_STEP  4

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

/* Moves one chain of the old table to the new one. */
static void map_move_chain(struct map *m, struct map_node **from)
{
    struct map_node *node = *from;
    *from = NULL;
    while (node) {
        struct map_node *next = node->next;
        struct map_node **to = map_chain(m->chains, m->chains_n, node->hash);
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

void map_move_some(struct map *m, uint64_t hash)
{
    /* All nodes of one hash stand in one table, so that a lookup need only search on
     * in the table where it found the first. */
    map_move_chain(m, map_chain(m->old, m->old_n, hash));
    map_move(m, MAP_MOVE_STEP);
}

static bool unlink_from(struct map_node **link, struct map_node *node)
{
    for (; *link; link = &(*link)->next) {
        if (*link == node) {
            *link = node->next;
            node->next = NULL;
            return true;
        }
    }
    return false;
}

void map_unlink(struct map *m, struct map_node *node)
{
    bool found = unlink_from(map_chain(m->chains, m->chains_n, node->hash), node);
    if (!found && m->old) {
        found = unlink_from(map_chain(m->old, m->old_n, node->hash), node);
    }
    assert(found);
}

struct map_node *map_find_old(const struct map *m, uint64_t hash)
{
    return map_first_equal(*map_chain(m->old, m->old_n, hash), hash);
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
