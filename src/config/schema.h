/*
 * The schema of the configuration: tables of keys.
 *
 * One table a section says for each key how its value is read and where to, what it may be, what
 * holds when it is left out, and what it is for. The same tables drive parsing, the suggestion for
 * a misspelt key, and the reference of keys in docs/configuration.md; so they cannot disagree.
 *
 * A section is read into a draft: a struct of settings and words that remember their lines, so
 * that what is checked later, across keys, can still say where. May depend on src/base and
 * core/policy.h, and its messages on hint.h and what config.h reads numbers by.
 */
#ifndef SLUICE_CONFIG_SCHEMA_H
#define SLUICE_CONFIG_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "config/problem.h"
#include "config/tree.h"
#include "core/policy.h"

/* A number, time, share or choice as it was given. */
struct setting {
    int64_t value;
    int line; /* 0: not given; -1: given, but not as it should be, which has been reported */
};

/* A text as it was given; lent by the tree. */
struct word {
    struct text text;
    int line; /* as in struct setting */
};

/* Where a value stands, for messages: "resources.gpt-4o.limits[2].amount". */
struct place {
    const struct place *up; /* NULL at the top */
    struct text name;       /* empty for a member of a list … */
    size_t index;           /* … which has its number here, from 1 */
};

#define PLACE_LEN_MAX 320

struct key_row;

typedef void key_read_fn(struct problems *p, const struct place *at, const struct key_row *row,
                         const struct node *value, void *into);

struct key_row {
    const char *name;
    key_read_fn *read;
    size_t offset;              /* of the member of the draft */
    const char *const *choices; /* read_choice: the names of 0, 1, …; ended by NULL */
    int64_t min;                /* read_amount, read_duration, read_share: what is allowed */
    int64_t max;
    const char *takes;    /* what a value looks like, for people */
    const char *fallback; /* what holds when the key is left out */
    const char *help;     /* what it is for: one sentence */
};

struct section {
    const char *title; /* for the reference */
    const struct key_row *rows;
    size_t rows_n;
    const char *sample; /* what its map may look like, for messages; or NULL */
};

/* The section's row of that name, or NULL. */
const struct key_row *section_row(const struct section *section, struct text name);

/* Reads a map by the section's table; every problem is reported. */
void section_read(struct problems *p, const struct place *at, const struct section *section,
                  const struct node *map, void *draft);

/* Readers of one value. Into a struct setting: */
key_read_fn read_amount;
key_read_fn read_duration;
key_read_fn read_share;
key_read_fn read_choice;
/* Into a struct word: any text of 1 to NAME_LEN_MAX printable bytes; or one to be read later. */
key_read_fn read_name;
key_read_fn read_word;
/* Into a const struct node *: taken as it is. */
key_read_fn read_node;

/* Whether a node is a scalar that says something; reports it where it is not. */
bool node_says(struct problems *p, const struct place *at, const struct node *value,
               const char *takes);

/* Whether a node is a list; reports it where it is not. */
bool list_wanted(struct problems *p, const struct place *at, const struct node *n,
                 const char *takes);

/* Whether a node is a map of at most `max` members; then *array has room for one more than them,
 * zeroed and to be freed by the caller. Reports it where it is not. */
bool map_wanted(struct problems *p, const struct place *at, const struct node *map, size_t max,
                size_t size, void **array);

/* Whether a text may be a name: 1 to NAME_LEN_MAX bytes, none of them a control character. */
bool name_allowed(struct text t);

/* Copies a text of at most NAME_LEN_MAX bytes and ends it with a zero. */
void name_copy(char to[NAME_LEN_MAX + 1], struct text name);

/* The place in words; `text` has room for PLACE_LEN_MAX bytes. Returns `text`. */
const char *place_text(const struct place *at, char *text);

/* A text's length for printf's %.*s, cut to what a message bears. */
int shown_len(struct text t);

#endif
