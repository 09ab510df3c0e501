/*
 * Reading back: every record that a store's file has, given to whoever starts from it.
 *
 * Values come first, table by table, then the records of leases in the order they were written. A
 * row is believed in nothing: what cannot be decoded is told with its table and number.
 *
 * May depend on src/base, core/record.h, row.h, sheet.h and schema.h. Knows SQLite.
 */
#ifndef SLUICE_JOURNAL_REPLAY_H
#define SLUICE_JOURNAL_REPLAY_H

#include <sqlite3.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/record.h"
#include "journal/sheet.h"

struct replay {
    sqlite3 *db;
    const char *path;    /* for what is said in `why` */
    struct sheet *sheet; /* to read each sheet into */
    int (*each)(void *ctx, const struct record *record);
    void *ctx;
    struct buf *why;
    int64_t rows; /* of leases' records that were given */
};

/* Stops at the first non-zero result of `each` and returns it; else 0, or ERR_STORE_DAMAGED,
 * ERR_STORE_FAILED or ERR_NO_MEMORY with a sentence in `why`. */
int replay_all(struct replay *replay);

#endif
