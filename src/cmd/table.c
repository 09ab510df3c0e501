#include "cmd/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TABLE_BYTES_MAX (64u << 20)

void table_init(struct table *t, const char *const *heads, size_t columns, unsigned right)
{
    assert(columns > 0 && columns <= TABLE_COLUMNS_MAX);
    *t = (struct table){.columns = columns, .right = right};
    buf_init(&t->cells, TABLE_BYTES_MAX);
    for (size_t i = 0; i < columns; i++) {
        table_add_str(t, heads[i]);
    }
}

void table_release(struct table *t)
{
    buf_release(&t->cells);
}

void table_add(struct table *t, struct text cell)
{
    size_t len = cell.len < TABLE_CELL_MAX ? cell.len : TABLE_CELL_MAX;
    buf_add(&t->cells, len ? cell.at : "", len);
    buf_add_char(&t->cells, '\0');
    if (len > t->width[t->next]) {
        t->width[t->next] = len;
    }
    t->next = (t->next + 1) % t->columns;
}

void table_add_str(struct table *t, const char *cell)
{
    table_add(t, text_of(cell));
}

void table_addf(struct table *t, const char *format, ...)
{
    char cell[TABLE_CELL_MAX + 1];
    va_list args;
    va_start(args, format);
    vsnprintf(cell, sizeof(cell), format, args);
    va_end(args);
    table_add_str(t, cell);
}

static void write_cell(const struct table *t, size_t column, const char *cell, struct buf *out)
{
    bool last = column == t->columns - 1;
    int width = (int)t->width[column];
    if (t->right & 1u << column) {
        buf_addf(out, "%*s", width, cell);
    } else {
        buf_addf(out, "%-*s", last ? 0 : width, cell);
    }
    buf_add_str(out, last ? "\n" : "  ");
}

void table_write(const struct table *t, struct buf *out)
{
    size_t column = 0;
    for (size_t at = 0; at < t->cells.len && !t->cells.failed;) {
        const char *cell = t->cells.at + at;
        write_cell(t, column, cell, out);
        at += strlen(cell) + 1;
        column = (column + 1) % t->columns;
    }
    out->failed |= t->cells.failed;
}
