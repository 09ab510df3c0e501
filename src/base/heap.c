#include "base/heap.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/likely.h"

#define HEAP_ARITY    4
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

static bool entry_before(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->major != b->major ? a->major < b->major : a->minor < b->minor;
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

/* The first in order of the children of i, or len where it has none. */
static size_t heap_first_child(const struct heap *h, size_t i)
{
    size_t child = i * HEAP_ARITY + 1;
    if (child >= h->len) {
        return h->len;
    }
    size_t end = child + HEAP_ARITY < h->len ? child + HEAP_ARITY : h->len;
    size_t best = child;
    for (child++; child < end; child++) {
        if (entry_before(&h->entries[child], &h->entries[best])) {
            best = child;
        }
    }
    return best;
}

static void heap_sink(struct heap *h, size_t i, struct heap_entry e)
{
    for (;;) {
        size_t child = heap_first_child(h, i);
        if (child == h->len || !entry_before(&h->entries[child], &e)) {
            break;
        }
        heap_put(h, i, h->entries[child]);
        i = child;
    }
    heap_put(h, i, e);
}

/* Puts an entry where it belongs, beginning at a place that is free. */
static void heap_settle(struct heap *h, size_t i, struct heap_entry e)
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

void heap_rekey(struct heap *h, struct heap_node *node, uint64_t major, uint64_t minor)
{
    assert(heap_holds(node) && heap_entry_of(h, node)->node == node);
    heap_settle(h, node->place - 1, (struct heap_entry){major, minor, node});
}

struct heap_node *heap_second(const struct heap *h)
{
    if (h->len < 2) {
        return NULL;
    }
    return h->entries[heap_first_child(h, 0)].node;
}
