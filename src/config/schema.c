#include "config/schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "config/config.h"
#include "config/hint.h"

#define SHOWN_MAX 80 /* of a wrong value, in a message */

int shown_len(struct text t)
{
    size_t len = t.len < SHOWN_MAX ? t.len : SHOWN_MAX;
    /* A character of several bytes is shown whole or not at all. */
    while (len < t.len && len > 0 && ((unsigned char)t.at[len] & 0xc0) == 0x80) {
        len--;
    }
    return (int)len;
}

static void place_append(const struct place *at, struct buf *b)
{
    if (at->up) {
        place_append(at->up, b);
    }
    if (at->name.len) {
        buf_addf(b, "%s%.*s", b->len ? "." : "", shown_len(at->name), at->name.at);
    } else if (at->index) {
        buf_addf(b, "[%zu]", at->index);
    }
}

const char *place_text(const struct place *at, char *text)
{
    struct buf b;
    buf_init(&b, PLACE_LEN_MAX - 1);
    place_append(at, &b);
    memcpy(text, b.at ? b.at : "", b.len + 1);
    buf_release(&b);
    return text;
}

static void report_unknown(struct problems *p, const struct place *up,
                           const struct section *section, const struct node *key)
{
    char where[PLACE_LEN_MAX];
    place_text(up, where);
    /* Past the cap nothing is printed, so nothing need be looked for. */
    struct hint hint = {.text = ""};
    if (p->len < PROBLEMS_MAX) {
        hint = hint_key(section, key->text);
    }
    problem_add(p, key->line, "%s%s\"%.*s\" is not a key here%s", where, *where ? ": " : "",
                shown_len(key->text), key->text.at, hint.text);
}

const struct key_row *section_row(const struct section *section, struct text name)
{
    for (size_t i = 0; i < section->rows_n; i++) {
        if (text_equal(name, text_of(section->rows[i].name))) {
            return &section->rows[i];
        }
    }
    return NULL;
}

static void report_no_map(struct problems *p, const struct place *at, const struct section *section,
                          const struct node *n)
{
    char where[PLACE_LEN_MAX];
    struct hint hint = {.text = ""};
    place_text(at, where);
    if (n->kind == NODE_SCALAR && !node_empty(n)) {
        hint = hint_map(section, n->text);
    }
    problem_add(p, n->line, "%s%sa map of keys is wanted here%s%s%s%s", where, *where ? ": " : "",
                section->sample ? ", as in " : "", section->sample ? section->sample : "",
                n->kind == NODE_SCALAR && node_empty(n)
                    ? "; its keys stand further right than its name"
                    : "",
                hint.text);
}

void section_read(struct problems *p, const struct place *at, const struct section *section,
                  const struct node *map, void *draft)
{
    if (map->kind != NODE_MAP) {
        report_no_map(p, at, section, map);
        return;
    }
    for (const struct node *n = map->first; n; n = n->next) {
        const struct key_row *row = section_row(section, n->key->text);
        if (!row) {
            report_unknown(p, at, section, n->key);
            continue;
        }
        struct place here = {.up = at, .name = n->key->text};
        row->read(p, &here, row, n, (char *)draft + row->offset);
    }
}

bool node_says(struct problems *p, const struct place *at, const struct node *value,
               const char *takes)
{
    char where[PLACE_LEN_MAX];
    if (value->kind != NODE_SCALAR) {
        problem_add(p, value->line, "%s: a %s stands here, but what is wanted is %s",
                    place_text(at, where), value->kind == NODE_MAP ? "map" : "list", takes);
        return false;
    }
    if (node_empty(value)) {
        problem_add(p, value->line, "%s: nothing is given; what is wanted is %s",
                    place_text(at, where), takes);
        return false;
    }
    return true;
}

static void report_value(struct problems *p, const struct place *at, const struct key_row *row,
                         const struct node *value, struct hint hint)
{
    char where[PLACE_LEN_MAX];
    problem_add(p, value->line, "%s: \"%.*s\" is not %s%s", place_text(at, where),
                shown_len(value->text), value->text.at, row->takes, hint.text);
}

void read_amount(struct problems *p, const struct place *at, const struct key_row *row,
                 const struct node *value, void *into)
{
    struct setting *s = into;
    *s = (struct setting){.line = -1};
    if (!node_says(p, at, value, row->takes)) {
        return;
    }
    int64_t n;
    if (!config_read_amount(value->text, row->max, &n) || n < row->min) {
        report_value(p, at, row, value, (struct hint){.text = ""});
        return;
    }
    *s = (struct setting){n, value->line};
}

void read_duration(struct problems *p, const struct place *at, const struct key_row *row,
                   const struct node *value, void *into)
{
    struct setting *s = into;
    *s = (struct setting){.line = -1};
    if (!node_says(p, at, value, row->takes)) {
        return;
    }
    int64_t us;
    if (!config_read_duration(value->text, &us) || us < row->min || us > row->max) {
        report_value(p, at, row, value, hint_duration(value->text, row->min, row->max));
        return;
    }
    *s = (struct setting){us, value->line};
}

void read_share(struct problems *p, const struct place *at, const struct key_row *row,
                const struct node *value, void *into)
{
    struct setting *s = into;
    *s = (struct setting){.line = -1};
    if (!node_says(p, at, value, row->takes)) {
        return;
    }
    int32_t ppm;
    if (!config_read_share(value->text, &ppm) || ppm < row->min || ppm > row->max) {
        report_value(p, at, row, value, hint_share(value->text, row->max));
        return;
    }
    *s = (struct setting){ppm, value->line};
}

void read_choice(struct problems *p, const struct place *at, const struct key_row *row,
                 const struct node *value, void *into)
{
    struct setting *s = into;
    *s = (struct setting){.line = -1};
    if (!node_says(p, at, value, row->takes)) {
        return;
    }
    size_t n = 0;
    for (; row->choices[n]; n++) {
        if (text_equal(value->text, text_of(row->choices[n]))) {
            *s = (struct setting){(int64_t)n, value->line};
            return;
        }
    }
    report_value(p, at, row, value, hint_name(value->text, choice_name, row->choices, n));
}

/* Names go into logs, headers and journals, where control characters could pretend to be more. */
bool name_allowed(struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        if ((unsigned char)t.at[i] < 0x20 || t.at[i] == 0x7f) {
            return false;
        }
    }
    return t.len > 0 && t.len <= NAME_LEN_MAX;
}

void read_name(struct problems *p, const struct place *at, const struct key_row *row,
               const struct node *value, void *into)
{
    struct word *w = into;
    *w = (struct word){.line = -1};
    if (!node_says(p, at, value, row->takes)) {
        return;
    }
    if (!name_allowed(value->text)) {
        report_value(p, at, row, value, (struct hint){.text = ""});
        return;
    }
    *w = (struct word){value->text, value->line};
}

void read_word(struct problems *p, const struct place *at, const struct key_row *row,
               const struct node *value, void *into)
{
    struct word *w = into;
    *w = (struct word){.line = -1};
    if (node_says(p, at, value, row->takes)) {
        *w = (struct word){value->text, value->line};
    }
}

void read_node(struct problems *p, const struct place *at, const struct key_row *row,
               const struct node *value, void *into)
{
    (void)p, (void)at, (void)row;
    const struct node **n = into;
    *n = value;
}

void name_copy(char to[NAME_LEN_MAX + 1], struct text name)
{
    if (name.len) {
        memcpy(to, name.at, name.len);
    }
    to[name.len] = '\0';
}

bool list_wanted(struct problems *p, const struct place *at, const struct node *n,
                 const char *takes)
{
    if (n->kind == NODE_LIST) {
        return true;
    }
    char where[PLACE_LEN_MAX];
    problem_add(p, n->line, "%s: what is wanted is %s%s", place_text(at, where), takes,
                node_empty(n) ? "" : "; put it into [ ]");
    return false;
}

bool map_wanted(struct problems *p, const struct place *at, const struct node *map, size_t max,
                size_t size, void **array)
{
    if (map->kind != NODE_MAP) {
        problem_add(p, map->line, "%.*s: what is wanted is a map, NAME: {…}", shown_len(at->name),
                    at->name.at);
        return false;
    }
    if (map->members > max) {
        problem_add(p, map->line, "%.*s: more than %zu", shown_len(at->name), at->name.at, max);
        return false;
    }
    *array = calloc(map->members + 1, size);
    p->no_memory |= !*array;
    return *array != NULL;
}
