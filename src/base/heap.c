#include "base/heap.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"

#define HEAP_ARITY    4
#define HEAP_SIZE_MIN 16

void heap_init(struct heap *h, heap_before_fn *before)
{
    *h = (struct heap){.before = before};
}

void heap_release(struct heap *h)
{
    free(h->nodes);
    heap_init(h, h->before);
}

int heap_reserve(struct heap *h, size_t more)
{
    if (h->size - h->len >= more) {
        return 0;
    }
    size_t size = h->size ? h->size * 2 : HEAP_SIZE_MIN;
    while (size - h->len < more) {
        size *= 2;
    }
    struct heap_node **nodes = realloc(h->nodes, size * sizeof(struct heap_node *));
    if (!nodes) {
        return ERR_NO_MEMORY;
    }
    h->nodes = nodes;
    h->size = size;
    return 0;
}

static void heap_put(struct heap *h, size_t i, struct heap_node *node)
{
    h->nodes[i] = node;
    node->place = i + 1;
}

static void heap_rise(struct heap *h, size_t i, struct heap_node *node)
{
    while (i > 0) {
        size_t parent = (i - 1) / HEAP_ARITY;
        if (!h->before(node, h->nodes[parent])) {
            break;
        }
        heap_put(h, i, h->nodes[parent]);
        i = parent;
    }
    heap_put(h, i, node);
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
        if (h->before(h->nodes[child], h->nodes[best])) {
            best = child;
        }
    }
    return best;
}

static void heap_sink(struct heap *h, size_t i, struct heap_node *node)
{
    for (;;) {
        size_t child = heap_first_child(h, i);
        if (child == h->len || !h->before(h->nodes[child], node)) {
            break;
        }
        heap_put(h, i, h->nodes[child]);
        i = child;
    }
    heap_put(h, i, node);
}

void heap_push(struct heap *h, struct heap_node *node)
{
    assert(!heap_holds(node));
    assert(h->len < h->size);
    h->len++;
    heap_rise(h, h->len - 1, node);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    assert(heap_holds(node) && h->nodes[node->place - 1] == node);
    size_t i = node->place - 1;
    node->place = 0;
    struct heap_node *last = h->nodes[--h->len];
    if (last == node) {
        return;
    }
    heap_put(h, i, last);
    heap_resort(h, last);
}

void heap_resort(struct heap *h, struct heap_node *node)
{
    assert(heap_holds(node) && h->nodes[node->place - 1] == node);
    size_t i = node->place - 1;
    if (i > 0 && h->before(node, h->nodes[(i - 1) / HEAP_ARITY])) {
        heap_rise(h, i, node);
    } else {
        heap_sink(h, i, node);
    }
}

struct heap_node *heap_second(const struct heap *h)
{
    if (h->len < 2) {
        return NULL;
    }
    return h->nodes[heap_first_child(h, 0)];
}
