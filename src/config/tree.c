#include "config/tree.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* What is being built. The nodes above the current one are kept in a fixed stack, so depth is
 * bounded whatever the file says. */
struct builder {
    struct tree *tree;
    struct problems *problems;
    struct node *above[TREE_DEPTH_MAX];
    struct node *key; /* read, and waiting for its value; only ever of the innermost map */
    size_t depth;
    bool ended; /* a document has ended */
    bool stop;  /* what follows cannot be made sense of */
};

static int line_of(const yaml_mark_t *mark)
{
    return (int)mark->line + 1;
}

static void give_up(struct builder *b, int line, const char *problem)
{
    problem_add(b->problems, line, "%s", problem);
    b->stop = true;
}

static struct node *node_new(struct builder *b, enum node_kind kind, int line, struct text text)
{
    if (b->tree->nodes >= TREE_NODES_MAX) {
        give_up(b, line, "the file has more than 200,000 values");
        return NULL;
    }
    struct node *n = calloc(1, sizeof(*n) + text.len + 1);
    if (!n) {
        b->problems->no_memory = true;
        b->stop = true;
        return NULL;
    }
    n->kind = kind;
    n->line = line;
    if (text.len) {
        memcpy(n + 1, text.at, text.len);
    }
    n->text = (struct text){(const char *)(n + 1), text.len};
    n->chain = b->tree->chain;
    b->tree->chain = n;
    b->tree->nodes++;
    return n;
}

/* Hangs a node into the innermost open list or map, or makes it the root. */
static void node_place(struct builder *b, struct node *n)
{
    if (b->depth == 0) {
        b->tree->root = n;
        return;
    }
    struct node *parent = b->above[b->depth - 1];
    n->key = b->key;
    b->key = NULL;
    if (parent->last) {
        parent->last->next = n;
    } else {
        parent->first = n;
    }
    parent->last = n;
    parent->members++;
}

static bool expects_key(const struct builder *b)
{
    return b->depth > 0 && b->above[b->depth - 1]->kind == NODE_MAP && !b->key;
}

static void take_scalar(struct builder *b, const yaml_event_t *e)
{
    struct text text = {(const char *)e->data.scalar.value, e->data.scalar.length};
    struct node *n = node_new(b, NODE_SCALAR, line_of(&e->start_mark), text);
    if (!n) {
        return;
    }
    n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (memchr(n->text.at, '\0', n->text.len)) {
        problem_add(b->problems, n->line, "a text holds a zero byte, which nothing here may");
    }
    if (expects_key(b)) {
        b->key = n;
    } else {
        node_place(b, n);
    }
}

static void take_start(struct builder *b, const yaml_event_t *e, enum node_kind kind)
{
    int line = line_of(&e->start_mark);
    if (expects_key(b)) {
        give_up(b, line, "a key must be a word, not a list or a map");
        return;
    }
    if (b->depth == TREE_DEPTH_MAX) {
        give_up(b, line, "nested deeper than 12 levels");
        return;
    }
    struct node *n = node_new(b, kind, line, TEXT_NONE);
    if (n) {
        node_place(b, n);
        b->above[b->depth++] = n;
    }
}

/* The order of keys as text, then of their lines. */
static int key_order(const void *a, const void *b)
{
    const struct node *x = (*(const struct node *const *)a)->key;
    const struct node *y = (*(const struct node *const *)b)->key;
    size_t shorter = x->text.len < y->text.len ? x->text.len : y->text.len;
    int order = memcmp(x->text.at, y->text.at, shorter);
    if (order == 0) {
        order = (x->text.len > y->text.len) - (x->text.len < y->text.len);
    }
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static void check_duplicates(struct builder *b, const struct node *map)
{
    const struct node **sorted = malloc((map->members + 1) * sizeof(struct node *));
    if (!sorted) {
        b->problems->no_memory = true;
        b->stop = true;
        return;
    }
    size_t n = 0;
    for (const struct node *m = map->first; m; m = m->next) {
        sorted[n++] = m;
    }
    qsort(sorted, n, sizeof(struct node *), key_order);
    for (size_t i = 1; i < n; i++) {
        const struct node *key = sorted[i]->key;
        if (text_equal(key->text, sorted[i - 1]->key->text)) {
            problem_add(b->problems, key->line, "%.*s: given twice, first in line %d",
                        (int)(key->text.len < 128 ? key->text.len : 128), key->text.at,
                        sorted[i - 1]->key->line);
        }
    }
    free(sorted);
}

static void take_end(struct builder *b)
{
    struct node *closed = b->above[--b->depth];
    if (closed->kind == NODE_MAP) {
        check_duplicates(b, closed);
    }
}

static void refuse_extras(struct builder *b, int line, const yaml_char_t *anchor,
                          const yaml_char_t *tag)
{
    if (anchor) {
        problem_add(b->problems, line, "anchors (&) are not supported");
    }
    if (tag) {
        problem_add(b->problems, line, "tags (!) are not supported");
    }
}

static void take_event(struct builder *b, const yaml_event_t *e)
{
    int line = line_of(&e->start_mark);
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->ended) {
            give_up(b, line, "a second document begins; a file holds one");
        }
        return;
    case YAML_DOCUMENT_END_EVENT: b->ended = true; return;
    case YAML_ALIAS_EVENT: give_up(b, line, "aliases (*) are not supported"); return;
    case YAML_SCALAR_EVENT:
        refuse_extras(b, line, e->data.scalar.anchor, e->data.scalar.tag);
        take_scalar(b, e);
        return;
    case YAML_SEQUENCE_START_EVENT:
        refuse_extras(b, line, e->data.sequence_start.anchor, e->data.sequence_start.tag);
        take_start(b, e, NODE_LIST);
        return;
    case YAML_MAPPING_START_EVENT:
        refuse_extras(b, line, e->data.mapping_start.anchor, e->data.mapping_start.tag);
        take_start(b, e, NODE_MAP);
        return;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: take_end(b); return;
    default: return;
    }
}

static int line_at(struct text t, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < t.len && i < offset; i++) {
        line += t.at[i] == '\n';
    }
    return line;
}

/* libyaml's own words, with what they mean here where they are about bytes. */
static void report(struct problems *p, const yaml_parser_t *parser, struct text t)
{
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    if (parser->error == YAML_MEMORY_ERROR) {
        p->no_memory = true;
    } else if (parser->error == YAML_READER_ERROR) {
        problem_add(p, line_at(t, parser->problem_offset), "not UTF-8 text: %s", problem);
    } else if (parser->context) {
        problem_add(p, line_of(&parser->problem_mark), "not YAML: %s (%s that began in line %d)",
                    problem, parser->context, line_of(&parser->context_mark));
    } else {
        problem_add(p, line_of(&parser->problem_mark), "not YAML: %s", problem);
    }
}

/* YAML forbids tabs for indentation, and the parser's own message about them misleads. */
static bool refuse_tabs(struct problems *p, struct text t)
{
    bool indent = true;
    int line = 1;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.at[i];
        if (c == '\n') {
            indent = true;
            line++;
        } else if (c == '\t' && indent) {
            problem_add(p, line, "a tab is used for indentation; YAML wants spaces");
            return false;
        } else if (c != ' ') {
            indent = false;
        }
    }
    return true;
}

static void parse(yaml_parser_t *parser, struct builder *b, struct text t)
{
    for (bool more = true; more && !b->stop;) {
        yaml_event_t e;
        if (!yaml_parser_parse(parser, &e)) {
            report(b->problems, parser, t);
            b->stop = true;
            return;
        }
        take_event(b, &e);
        more = e.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
    }
}

bool tree_read(struct text t, struct tree *y, struct problems *p)
{
    *y = (struct tree){0};
    if (t.len > TREE_BYTES_MAX) {
        problem_add(p, 0, "the file is larger than 1 MiB");
        return false;
    }
    if (t.len >= 3 && memcmp(t.at, "\xef\xbb\xbf", 3) == 0) {
        t = (struct text){t.at + 3, t.len - 3};
    }
    if (!refuse_tabs(p, t)) {
        return false;
    }
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        p->no_memory = true;
        return false;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(t.at ? t.at : ""), t.len);
    struct builder b = {.tree = y, .problems = p};
    parse(&parser, &b, t);
    yaml_parser_delete(&parser);
    return !b.stop;
}

void tree_free(struct tree *y)
{
    while (y->chain) {
        struct node *n = y->chain;
        y->chain = n->chain;
        free(n);
    }
    *y = (struct tree){0};
}

bool node_empty(const struct node *n)
{
    return n->kind == NODE_SCALAR && !n->quoted &&
           (n->text.len == 0 || text_equal(n->text, TEXT("~")) ||
            text_equal(n->text, TEXT("null")));
}
