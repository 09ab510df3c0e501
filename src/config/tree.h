/*
 * A YAML file as a tree: the part of YAML that a configuration needs, and no more.
 *
 * Maps, lists and scalars, each with its line. Refused, with the line: more than one document,
 * anchors, aliases and tags (so nothing grows beyond its own text), a key that is not a plain
 * word, a key given twice, tabs for indentation, what is not UTF-8, nesting deeper than
 * TREE_DEPTH_MAX and texts larger than TREE_BYTES_MAX. What a scalar means is not decided here:
 * every one is text.
 *
 * libyaml lives here alone. May depend on src/base.
 */
#ifndef SLUICE_CONFIG_TREE_H
#define SLUICE_CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "config/problem.h"

#define TREE_BYTES_MAX (1u << 20)
#define TREE_DEPTH_MAX 12
#define TREE_NODES_MAX 200000

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    bool quoted;            /* a scalar in quotes; an empty one that is not says nothing at all */
    int line;               /* from 1 */
    struct text text;       /* scalars */
    const struct node *key; /* of a member of a map: a scalar */
    struct node *first;     /* members of a list or map, in order */
    struct node *last;
    struct node *next;  /* within the parent */
    size_t members;     /* of a list or map */
    struct node *chain; /* all nodes of the tree, for tree_free */
};

struct tree {
    struct node *root; /* NULL where the text holds nothing */
    struct node *chain;
    size_t nodes;
};

/* Reads the text. True where the tree is whole, though problems may have been found; else it is
 * what could be read. To be freed in any case. */
bool tree_read(struct text t, struct tree *y, struct problems *p);

void tree_free(struct tree *y);

/* Whether a node is a scalar that says nothing: `key:` and no more, `~` or `null`. */
bool node_empty(const struct node *n);

#endif
