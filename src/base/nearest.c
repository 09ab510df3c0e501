#include "base/nearest.h"

#define COMPARED_LEN_MAX 32 /* longer names are nobody's misspelling */

/* A letter without its capital; the C library's own asks for a locale. */
static char folded(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The number of letters to change, add, drop or swap with a neighbour. Neither text is longer than
 * COMPARED_LEN_MAX. */
static size_t edit_distance(struct text a, struct text b)
{
    size_t rows[3][COMPARED_LEN_MAX + 1];
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = folded(a.at[i - 1]), y = folded(b.at[j - 1]);
            row[j] = least(up[j - 1] + (x != y), least(up[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && x == folded(b.at[j - 2]) && y == folded(a.at[i - 2])) {
                row[j] = least(row[j], up2[j - 2] + 1);
            }
        }
    }
    return rows[a.len % 3][b.len];
}

const char *nearest_name(struct text wrong, name_at_fn *name_at, const void *names, size_t n)
{
    const char *nearest = NULL;
    size_t bound = wrong.len / 3 + 2; /* a word that differs in more was hardly meant */
    for (size_t i = 0; i < n && wrong.len <= COMPARED_LEN_MAX; i++) {
        struct text name = text_of(name_at(names, i));
        if (name.len > COMPARED_LEN_MAX) {
            continue;
        }
        size_t distance = edit_distance(wrong, name);
        if (distance < bound && distance < name.len) {
            bound = distance;
            nearest = name.at;
        }
    }
    return nearest;
}
