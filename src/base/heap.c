#include "base/heap.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/likely.h"
#include "base/num.h"

#define HEAP_ARITY    4 /* heap_first_child compares as many */
#define HEAP_SIZE_MIN 16

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_release(struct heap *h)
{
    free(h->entries);
    heap_init(h);
}

int heap_reserve(struct heap *h, size_t more)
{
    if (likely(h->size - h->len >= more)) {
        return 0;
    }
    size_t size = h->size ? h->size * 2 : HEAP_SIZE_MIN;
    while (size - h->len < more) {
        size *= 2;
    }
    struct heap_entry *entries = realloc(h->entries, size * sizeof(struct heap_entry));
    if (!entries) {
        return ERR_NO_MEMORY;
    }
    h->entries = entries;
    h->size = size;
    return 0;
}

/* One comparison of both keys as one number: which of two comes first is as good as chance, and a
 * jump by chance costs more than all the rest. */
static inline bool entry_before(const struct heap_entry *a, const struct heap_entry *b)
{
    return ((uint128)a->major << 64 | a->minor) < ((uint128)b->major << 64 | b->minor);
}

static void heap_put(struct heap *h, size_t i, struct heap_entry e)
{
    h->entries[i] = e;
    e.node->place = i + 1;
}

static void heap_rise(struct heap *h, size_t i, struct heap_entry e)
{
    while (i > 0) {
        size_t parent = (i - 1) / HEAP_ARITY;
        if (!entry_before(&e, &h->entries[parent])) {
            break;
        }
        heap_put(h, i, h->entries[parent]);
        i = parent;
    }
    heap_put(h, i, e);
}

/* The first in order of the children of i, or a place behind the last where it has none. */
static inline size_t heap_first_child(const struct heap *h, size_t i)
{
    const struct heap_entry *e = h->entries;
    size_t child = i * HEAP_ARITY + 1;
    if (likely(child + HEAP_ARITY <= h->len)) {
        size_t a = child + entry_before(&e[child + 1], &e[child]);
        size_t b = child + 2 + entry_before(&e[child + 3], &e[child + 2]);
        return entry_before(&e[b], &e[a]) ? b : a;
    }
    size_t first = child;
    for (child++; child < h->len; child++) {
        first = entry_before(&e[child], &e[first]) ? child : first;
    }
    return first;
}

static inline void heap_sink(struct heap *h, size_t i, struct heap_entry e)
{
    size_t child = heap_first_child(h, i);
    while (child < h->len && entry_before(&h->entries[child], &e)) {
        heap_put(h, i, h->entries[child]);
        i = child;
        child = heap_first_child(h, i);
    }
    heap_put(h, i, e);
}

/* Puts an entry where it belongs, beginning at a place that is free. */
static inline void heap_settle(struct heap *h, size_t i, struct heap_entry e)
{
    if (i > 0 && entry_before(&e, &h->entries[(i - 1) / HEAP_ARITY])) {
        heap_rise(h, i, e);
    } else {
        heap_sink(h, i, e);
    }
}

void heap_push(struct heap *h, struct heap_node *node, uint64_t major, uint64_t minor)
{
    assert(!heap_holds(node));
    assert(h->len < h->size);
    h->len++;
    heap_rise(h, h->len - 1, (struct heap_entry){major, minor, node});
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    assert(heap_holds(node) && heap_entry_of(h, node)->node == node);
    size_t i = node->place - 1;
    node->place = 0;
    struct heap_entry last = h->entries[--h->len];
    if (last.node != node) {
        heap_settle(h, i, last);
    }
}

void heap_rekey_among(struct heap *h, struct heap_node *node, uint64_t major, uint64_t minor)
{
    assert(heap_holds(node) && heap_entry_of(h, node)->node == node);
    heap_settle(h, node->place - 1, (struct heap_entry){major, minor, node});
}

struct heap_node *heap_second(const struct heap *h)
{
    size_t second = heap_first_child(h, 0);
    return second < h->len ? h->entries[second].node : NULL;
}
