/* links: price_import
 *
 * Tables of prices, and what others publish: whatever is taken can be written and read back, and
 * every model in it is found. */
#include <assert.h>

#include "price/find.h"
#include "price/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_table(struct text csv)
{
    struct price_table *table = NULL;
    struct buf why;
    buf_init(&why, 10000);
    if (price_table_read(csv, "fuzz", &table, &why) == 0) {
        const struct price_table *tables[] = {table, &price_table_builtin};
        for (size_t i = 0; i < table->rows_n && i < 10; i++) {
            const struct price_row *row = NULL;
            enum price_found found = price_find(tables, 2, text_of(table->rows[i].provider),
                                                text_of(table->rows[i].model), &row);
            struct price price;
            price_row_price(&table->rows[i], &price);
            assert(price.known && (row || found == PRICE_UNKNOWN));
        }
    } else {
        assert(why.len > 0 || why.failed);
    }
    price_table_free(table);
    buf_release(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text t = {(const char *)data, size};
    struct buf csv, why;
    struct import_facts facts;
    buf_init(&csv, PRICE_BYTES_MAX);
    buf_init(&why, 1u << 20);
    check_table(t);
    if (price_import(t, "2026-11-22", true, &csv, &facts, &why) == 0) {
        struct price_table *table = NULL;
        int error = price_table_read(buf_text(&csv), "back", &table, &why);
        assert(error == 0 && table->rows_n == facts.taken);
        price_table_free(table);
    }
    buf_release(&csv);
    buf_release(&why);
    return 0;
}
