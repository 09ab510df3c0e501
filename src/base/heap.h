/*
 * An intrusive min-heap: each member knows its own place, so any can be removed or
 * re-sorted in O(log n).
 *
 * The owner embeds a struct heap_node and supplies the order. Nodes that compare equal
 * would come out in an unspecified order, so an order must end in a tie-breaker. Four
 * children a node: fewer levels and cache lines than two.
 */
#ifndef SLUICE_BASE_HEAP_H
#define SLUICE_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct heap_node {
    size_t place; /* index in the heap + 1; 0 while in none */
};

/* Whether a comes out before b. */
typedef bool heap_before_fn(const struct heap_node *a, const struct heap_node *b);

struct heap {
    struct heap_node **nodes;
    size_t len;
    size_t size;
    heap_before_fn *before;
};

void heap_init(struct heap *h, heap_before_fn *before);

/* Frees the array, not the nodes. */
void heap_release(struct heap *h);

/* Makes room for `more` further nodes; 0 or ERR_NO_MEMORY. A push after that cannot fail. */
int heap_reserve(struct heap *h, size_t more);

/* Adds a node for which room was reserved and that is in no heap. */
void heap_push(struct heap *h, struct heap_node *node);

/* Removes a node that is in this heap. */
void heap_remove(struct heap *h, struct heap_node *node);

/* Puts a node back in order after its key has changed. */
void heap_resort(struct heap *h, struct heap_node *node);

/* The first node, or NULL when empty. */
static inline struct heap_node *heap_first(const struct heap *h)
{
    return h->len ? h->nodes[0] : NULL;
}

/* The node that would be first if the first were removed, or NULL. */
struct heap_node *heap_second(const struct heap *h);

static inline bool heap_holds(const struct heap_node *node)
{
    return node->place != 0;
}

#endif
