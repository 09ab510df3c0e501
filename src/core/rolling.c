#include "core/rolling.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define RING_SIZE_MIN  8
#define LOOK_AHEAD_MAX 64

int rolling_grow(struct rolling *r, size_t need)
{
    size_t size = r->size ? r->size : RING_SIZE_MIN;
    while (size < need) {
        size *= 2;
    }
    struct rolling_entry *entries = malloc(size * sizeof(struct rolling_entry));
    if (!entries) {
        return ERR_NO_MEMORY;
    }
    for (uint64_t i = r->first; i < r->next; i++) {
        entries[i & (size - 1)] = *rolling_at(r, i);
    }
    free(r->entries);
    r->entries = entries;
    r->size = size;
    return 0;
}

/* The number at which looking ahead ends. */
static uint64_t look_end(const struct rolling *r)
{
    return r->next - r->first > LOOK_AHEAD_MAX ? r->first + LOOK_AHEAD_MAX : r->next;
}

int64_t rolling_fits_at_us(const struct rolling *r, int64_t stay_us, int64_t amount, int64_t now_us,
                           int64_t need)
{
    int64_t free = amount - r->sum;
    int64_t at_us = now_us;
    uint64_t end = look_end(r);
    for (uint64_t i = r->first; i < end && free < need; i++) {
        free += rolling_at(r, i)->amount;
        at_us = max_i64(now_us, rolling_at(r, i)->at_us + stay_us);
    }
    return free < need && end == r->next ? INT64_MAX : at_us;
}

int64_t rolling_free_at(const struct rolling *r, int64_t stay_us, int64_t amount, int64_t at_us)
{
    int64_t free = amount - r->sum;
    uint64_t end = look_end(r);
    for (uint64_t i = r->first; i < end && rolling_at(r, i)->at_us + stay_us <= at_us; i++) {
        free += rolling_at(r, i)->amount;
    }
    return free;
}

int rolling_carry(struct rolling *to, const struct rolling *from)
{
    if (from->size == 0) {
        return 0;
    }
    struct rolling_entry *entries = malloc(from->size * sizeof(struct rolling_entry));
    if (!entries) {
        return ERR_NO_MEMORY;
    }
    memcpy(entries, from->entries, from->size * sizeof(struct rolling_entry));
    free(to->entries);
    *to = *from;
    to->entries = entries;
    return 0;
}

void rolling_release(struct rolling *r)
{
    free(r->entries);
    *r = (struct rolling){0};
}
