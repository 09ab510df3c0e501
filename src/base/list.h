/*
 * An intrusive doubly linked list with a sentinel.
 *
 * A node is in at most one list. An unlinked node points to itself, so list_remove on it
 * does nothing and list_holds tells.
 */
#ifndef SLUICE_BASE_LIST_H
#define SLUICE_BASE_LIST_H

#include <stdbool.h>

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Whether a node is in some list. */
static inline bool list_holds(const struct list *node)
{
    return node->next != node;
}

static inline void list_append(struct list *l, struct list *node)
{
    node->next = l;
    node->prev = l->prev;
    l->prev->next = node;
    l->prev = node;
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, or NULL when empty. */
static inline struct list *list_first(const struct list *l)
{
    return list_empty(l) ? (struct list *)0 : l->next;
}

/* Makes `to` the list that `from` was, after the struct around it was copied. */
static inline void list_move(struct list *to, struct list *from)
{
    if (list_empty(from)) {
        list_init(to);
        return;
    }
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    list_init(from);
}

#endif
