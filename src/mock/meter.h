/*
 * A meter: how much of one amount is used in one provider's window.
 *
 * Written for the pretend provider, simple and exact, and independent of src/core on purpose:
 * the one is tested against the other. Three kinds of windows are published by providers:
 * a rolling log, a bucket refilled continuously, and a fixed window that starts anew.
 *
 * Time comes in as an argument and never runs backwards. A meter whose amount is 0 measures
 * nothing and always has room. Amounts reach METER_AMOUNT_MAX, so that no product overflows.
 * A provider may change an amount while it measures; what was used stays used.
 *
 * Invariants: amounts in a rolling window are at least 1 each; a bucket's level never passes its
 * size; `peak` is the most that was ever used at one instant since the start or the reset.
 *
 * May depend on src/base.
 */
#ifndef SLUICE_MOCK_METER_H
#define SLUICE_MOCK_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METER_AMOUNT_MAX  INT64_C(1000000000)
#define METER_ENTRIES_MAX (1u << 20) /* of one rolling window; further ones are merged */

enum meter_kind { METER_ROLLING, METER_BUCKET, METER_FIXED };

struct meter_entry {
    int64_t at_us;
    int64_t amount;
};

struct meter {
    enum meter_kind kind;
    int64_t amount;   /* per window; 0: no limit */
    int64_t most;     /* that the amount has ever been */
    int64_t per_us;   /* the window's length */
    int64_t phase_us; /* FIXED: one of its windows starts here */
    int64_t peak;
    /* ROLLING and FIXED */
    int64_t used;
    /* ROLLING: a ring of a power of two; NULL until the first entry */
    struct meter_entry *ring;
    size_t ring_size;
    size_t first;
    size_t len;
    /* FIXED */
    int64_t started_us;
    /* BUCKET: tokens times per_us, so that the refill of each microsecond is whole */
    int64_t level;
    int64_t filled_us;
};

void meter_init(struct meter *m, enum meter_kind kind, int64_t amount, int64_t per_us,
                int64_t phase_us, int64_t now_us);
void meter_release(struct meter *m);

/* From now on the amount, which was and stays above 0, is another. */
void meter_change(struct meter *m, int64_t now_us, int64_t amount);

/* Counts n >= 0 now, whether it fits or not. */
void meter_add(struct meter *m, int64_t now_us, int64_t n);

/* Gives n >= 0 back to a bucket, which is never filled above its size. */
void meter_refund(struct meter *m, int64_t now_us, int64_t n);

/* What is used at `now_us`; above the amount after an overrun. */
int64_t meter_used(struct meter *m, int64_t now_us);

/* How long until n has room if nothing else happens: 0 now, -1 never. */
int64_t meter_room_in_us(struct meter *m, int64_t now_us, int64_t n);

/* How long until nothing is used any more if nothing else happens. */
int64_t meter_empty_in_us(struct meter *m, int64_t now_us);

#endif
