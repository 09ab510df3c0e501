/*
 * A table for a terminal: cells added row by row, columns as wide as their widest cell.
 *
 * What it is for: what subcommands print for people to read. Columns of numbers stand to the right.
 * May depend on src/base.
 */
#ifndef SLUICE_CMD_TABLE_H
#define SLUICE_CMD_TABLE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/text.h"

#define TABLE_COLUMNS_MAX 16
#define TABLE_CELL_MAX    48 /* bytes; longer cells are cut */

struct table {
    struct buf cells; /* each cell ended by a zero */
    size_t columns;
    unsigned right; /* a bit for each column that is aligned to the right */
    size_t width[TABLE_COLUMNS_MAX];
    size_t next; /* column */
};

/* An empty table with a row of heads. */
void table_init(struct table *t, const char *const *heads, size_t columns, unsigned right);
void table_release(struct table *t);

/* The next cell of the row, or the first of the next row. */
void table_add(struct table *t, struct text cell);
void table_add_str(struct table *t, const char *cell);
void table_addf(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes it all down; `out` fails where the table had no memory. */
void table_write(const struct table *t, struct buf *out);

#endif
