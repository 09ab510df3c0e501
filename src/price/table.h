/*
 * Price tables: what models cost, by provider and name, and how large their contexts are.
 *
 * One table is built into the program, made from data/prices.csv by tools/prices.py; others are
 * read from files of the same form, which `sluice prices import` writes. A table says what its
 * source says and no more; what is left out is filled in by price_row_price, in one place.
 *
 * The form: a first line that names the columns, then a line for each model, fields parted by
 * commas, no quotes. Prices are USD per million tokens, exact to the picodollar a token.
 *
 *   provider, model, input            required
 *   output                            nothing where a model makes none, as embeddings do
 *   context_window                    tokens
 *   cache_read, cache_write_5m, cache_write_1h
 *   tier_start_tokens                 larger prompts cost …
 *   input_over, output_over, cache_read_over, cache_write_5m_over, cache_write_1h_over
 *
 * Names of providers are those of genai-prices. Pure: no files, no clock. May depend on src/base
 * and core/price.h.
 */
#ifndef SLUICE_PRICE_TABLE_H
#define SLUICE_PRICE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"
#include "core/price.h"

#define PRICE_UNSAID     INT64_C(-1)
#define PRICE_ROWS_MAX   20000
#define PRICE_BYTES_MAX  (4u << 20) /* of a table as text */
#define PRICE_TOKENS_MAX INT64_C(1000000000000)

struct price_row {
    const char *provider;
    const char *model;
    int64_t context_tokens; /* input and output together; 0: not known */
    int64_t of[PARTS];      /* picodollars a token, 0..PRICE_MAX, or PRICE_UNSAID */
    int64_t tier_start;     /* prompts of more tokens cost `over`; 0: no such tier */
    int64_t over[PARTS];
};

struct price_table {
    const char *source; /* for people: what it was made from */
    const struct price_row *rows;
    size_t rows_n;
};

extern const struct price_table price_table_builtin;

/* Reads a table; `source` is lent for as long as the table lives. 0, or ERR_INVALID_REQUEST with
 * the first problem in `why` ("line 5: …"), or ERR_NO_MEMORY. To be freed. */
int price_table_read(struct text csv, const char *source, struct price_table **table,
                     struct buf *why);

void price_table_free(struct price_table *table); /* NULL is allowed; not for the built-in one */

/* A price to compute with. What a row leaves out costs as much as uncached input does, or more:
 * nothing is free by omission. */
void price_row_price(const struct price_row *row, struct price *price);

/* The names of the columns, in the order in which they are written, and one row. */
void price_table_write_head(struct buf *b);
void price_table_write_row(struct buf *b, const struct price_row *row);

#endif
