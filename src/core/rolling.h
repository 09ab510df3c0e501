/*
 * Rolling logs: what was charged within the last while, exactly.
 *
 * Time is cut into granules of per_us / 131,072 (half a millisecond for a minute, one microsecond
 * for all windows shorter than 131 ms); an amount charged at t joins the entry of the granule that
 * ends at or after t, and leaves stay_us after that end: never early, and at most one granule late.
 * So a log has a bounded number of entries, whatever the traffic. Entries lie in a ring that
 * doubles; their running numbers stay valid as marks while they are inside, so that a settle
 * changes an entry in place in O(1).
 *
 * What every decision does stands here, so that it can be built into its callers. Only window.h
 * uses it. Invariants: entries are in order of time; `sum` is their sum. May depend on src/base
 * only.
 */
#ifndef SLUICE_CORE_ROLLING_H
#define SLUICE_CORE_ROLLING_H

#include <assert.h>
#include <stddef.h>

#include "base/ahead.h"
#include "base/num.h"

/* A log has at most this many entries and one: the length of a window is cut into as many granules,
 * and what is charged within one granule leaves together, with its end. */
#define ROLLING_GRANULES 131072

#define ENTRIES_AHEAD 8 /* those that far behind the first leave next: two lines of the cache */

struct rolling_entry {
    int64_t at_us; /* end of the granule in which it was charged */
    int64_t amount;
};

struct rolling {
    struct rolling_entry *entries; /* a ring; NULL until the first reserve */
    size_t size;                   /* of the ring, a power of two, or 0 */
    uint64_t first;                /* entries have running numbers: [first, next) are inside */
    uint64_t next;
    int64_t newest_us; /* at_us of the last of them */
    int64_t sum;
};

/* Doubles the ring until it holds `need` entries; 0 or ERR_NO_MEMORY. */
int rolling_grow(struct rolling *r, size_t need);

/* Makes room for so many charges; 0 or ERR_NO_MEMORY. */
static inline int rolling_reserve(struct rolling *r, size_t charges)
{
    size_t need = (size_t)(r->next - r->first) + charges;
    return likely(need <= r->size) ? 0 : rolling_grow(r, need);
}

/* The entry of that number, which is inside. */
static inline struct rolling_entry *rolling_at(const struct rolling *r, uint64_t number)
{
    assert(number - r->first < r->next - r->first);
    return &r->entries[number & (r->size - 1)];
}

/* Charges an amount, room having been reserved; the number of its entry. A time before the newest
 * entry's counts as that entry's. */
static inline uint64_t rolling_charge(struct rolling *r, const struct divisor *granule_us,
                                      int64_t now_us, int64_t amount)
{
    r->sum = add_sat(r->sum, amount);
    if (r->first < r->next && now_us <= r->newest_us) {
        struct rolling_entry *e = rolling_at(r, r->next - 1);
        e->amount = add_sat(e->amount, amount);
        return r->next - 1;
    }
    assert(r->next - r->first < r->size);
    uint64_t by = granule_us->by;
    r->newest_us = (int64_t)(divide((uint64_t)now_us + by - 1, granule_us) * by);
    r->entries[r->next & (r->size - 1)] = (struct rolling_entry){r->newest_us, amount};
    return r->next++;
}

/* Changes an entry by `delta` if it is still inside; says whether it is. */
static inline bool rolling_adjust(struct rolling *r, uint64_t number, int64_t delta)
{
    if (unlikely(number < r->first)) {
        return false;
    }
    struct rolling_entry *e = rolling_at(r, number);
    e->amount = add_sat(e->amount, delta);
    r->sum = add_sat(r->sum, delta);
    return true;
}

/* Lets go what has left by now_us. Until when that holds: what is charged from now on stays at
 * least as long as if it came now. */
static inline int64_t rolling_advance(struct rolling *r, int64_t stay_us, int64_t now_us)
{
    const struct rolling_entry *entries = r->entries;
    const uint64_t mask = r->size - 1, next = r->next;
    int64_t left = 0;
    uint64_t at = r->first;
    for (; at < next && entries[at & mask].at_us <= now_us - stay_us; at++) {
        left += entries[at & mask].amount;
    }
    expect_memory(&entries[(at + ENTRIES_AHEAD) & mask], 1);
    r->sum -= left;
    r->first = at;
    return add_sat(at < next ? entries[at & mask].at_us : now_us, stay_us);
}

/* The earliest time from now_us on at which so much of `amount` is free; INT64_MAX: never by time
 * alone. Where that lies more than a few dozen entries ahead, an earlier time. */
int64_t rolling_fits_at_us(const struct rolling *r, int64_t stay_us, int64_t amount, int64_t now_us,
                           int64_t need);

/* What of `amount` is free at a later time; entries more than a few dozen ahead count as inside. */
int64_t rolling_free_at(const struct rolling *r, int64_t stay_us, int64_t amount, int64_t at_us);

/* Makes a log the same as another. 0 or ERR_NO_MEMORY. */
int rolling_carry(struct rolling *to, const struct rolling *from);

void rolling_release(struct rolling *r);

#endif
