/*
 * Price tables from what others publish: genai-prices' data.json (version 2, full or slim) and
 * LiteLLM's model_prices_and_context_window.json, told apart by their shape.
 *
 * Text tokens alone are taken, in the prices that are in force on a given day; where a price
 * depends on the time of day, the dearest. A second tier above a size is kept; of several, the
 * first size and the dearest price. Prices of zero for both input and output are how these files
 * say that they do not know, and are left out. Pure. May depend on table.h and http/json.h.
 */
#ifndef SLUICE_PRICE_IMPORT_H
#define SLUICE_PRICE_IMPORT_H

#include "price/table.h"

#define IMPORT_BYTES_MAX (32u << 20)

struct import_facts {
    const char *format;
    size_t taken;
    size_t unpriced; /* models left out for want of a price per token */
    size_t twins;    /* models that were there twice, of which the dearer was taken */
    size_t rounded;  /* prices finer than a picodollar a token, rounded up */
    size_t bad;      /* models with prices that cannot be read; each named in `why` */
};

/* Writes a table as table.h describes it into `csv`. `today` is "YYYY-MM-DD". 0, or
 * ERR_INVALID_REQUEST with the problems in `why`, one a line ("line 5: …", "model x: …"), or
 * ERR_NO_MEMORY. With skip_bad, models that cannot be read are left out, and no problem. */
int price_import(struct text json, const char *today, bool skip_bad, struct buf *csv,
                 struct import_facts *facts, struct buf *why);

#endif
