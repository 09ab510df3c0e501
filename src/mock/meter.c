#include "mock/meter.h"

#include <assert.h>
#include <stdlib.h>

#include "base/num.h"

#define METER_RING_MIN 16u

void meter_init(struct meter *m, enum meter_kind kind, int64_t amount, int64_t per_us,
                int64_t phase_us, int64_t now_us)
{
    assert(amount >= 0 && amount <= METER_AMOUNT_MAX);
    assert(per_us > 0 && per_us <= US_PER_H);
    *m = (struct meter){.kind = kind, .amount = amount, .per_us = per_us, .phase_us = phase_us};
    m->most = amount;
    m->started_us = INT64_MIN;
    m->level = amount * per_us;
    m->filled_us = now_us;
}

void meter_release(struct meter *m)
{
    free(m->ring);
    *m = (struct meter){0};
}

static struct meter_entry *entry_at(const struct meter *m, size_t i)
{
    return &m->ring[(m->first + i) & (m->ring_size - 1)];
}

static void drop_first(struct meter *m)
{
    m->used -= entry_at(m, 0)->amount;
    m->first = (m->first + 1) & (m->ring_size - 1);
    m->len--;
}

/* The start of the fixed window that holds `now_us`. */
static int64_t fixed_start(const struct meter *m, int64_t now_us)
{
    int64_t into = (now_us - m->phase_us) % m->per_us;
    return now_us - (into < 0 ? into + m->per_us : into);
}

static void bucket_fill(struct meter *m, int64_t now_us)
{
    int64_t size = m->amount * m->per_us;
    int64_t gained = mul_sat(now_us - m->filled_us, m->amount);
    m->level = min_i64(size, add_sat(m->level, gained));
    m->filled_us = now_us;
}

/* Lets go what has left the window. */
static void meter_turn(struct meter *m, int64_t now_us)
{
    switch (m->kind) {
    case METER_ROLLING:
        while (m->len && entry_at(m, 0)->at_us + m->per_us <= now_us) {
            drop_first(m);
        }
        break;
    case METER_FIXED:
        if (fixed_start(m, now_us) != m->started_us) {
            m->started_us = fixed_start(m, now_us);
            m->used = 0;
        }
        break;
    case METER_BUCKET: bucket_fill(m, now_us); break;
    }
}

void meter_change(struct meter *m, int64_t now_us, int64_t amount)
{
    assert(m->amount > 0 && amount > 0 && amount <= METER_AMOUNT_MAX);
    if (amount != m->amount) {
        meter_turn(m, now_us);
        m->amount = amount;
        m->most = max_i64(m->most, amount);
        m->level = min_i64(m->level, amount * m->per_us);
    }
}

/* Doubles the ring; false at the cap or without memory. */
static bool ring_grow(struct meter *m)
{
    size_t size = m->ring_size ? m->ring_size * 2 : METER_RING_MIN;
    if (size > METER_ENTRIES_MAX) {
        return false;
    }
    struct meter_entry *ring = calloc(size, sizeof(*ring));
    if (!ring) {
        return false;
    }
    for (size_t i = 0; i < m->len; i++) {
        ring[i] = *entry_at(m, i);
    }
    free(m->ring);
    m->ring = ring;
    m->ring_size = size;
    m->first = 0;
    return true;
}

static void rolling_add(struct meter *m, int64_t now_us, int64_t n)
{
    m->used += n;
    /* What is left without the oldest entry fills the window already, so the oldest decides
     * nothing any more. Without this, calls that are refused and still count would pile up. */
    while (m->len && m->used - entry_at(m, 0)->amount >= m->most) {
        drop_first(m);
    }
    if (m->len == m->ring_size && !ring_grow(m)) {
        /* No room for another entry: the newest takes it in and leaves later than it would have,
         * which errs on the strict side. */
        if (m->len) {
            struct meter_entry *newest = entry_at(m, m->len - 1);
            newest->at_us = now_us;
            newest->amount += n;
        }
        return;
    }
    m->len++;
    *entry_at(m, m->len - 1) = (struct meter_entry){now_us, n};
}

void meter_add(struct meter *m, int64_t now_us, int64_t n)
{
    assert(n >= 0);
    if (m->amount == 0 || n == 0) {
        return;
    }
    meter_turn(m, now_us);
    switch (m->kind) {
    case METER_ROLLING: rolling_add(m, now_us, n); break;
    case METER_FIXED: m->used += n; break;
    case METER_BUCKET: m->level = sub_sat(m->level, mul_sat(n, m->per_us)); break;
    }
    m->peak = max_i64(m->peak, meter_used(m, now_us));
}

void meter_refund(struct meter *m, int64_t now_us, int64_t n)
{
    assert(n >= 0 && m->kind == METER_BUCKET);
    bucket_fill(m, now_us);
    m->level = min_i64(m->amount * m->per_us, add_sat(m->level, mul_sat(n, m->per_us)));
}

/* What a level of the bucket comes to in whole tokens, rounded down. */
static int64_t whole(int64_t level, int64_t per_us)
{
    return level >= 0 ? level / per_us : -((-level + per_us - 1) / per_us);
}

int64_t meter_used(struct meter *m, int64_t now_us)
{
    if (m->amount == 0) {
        return 0;
    }
    meter_turn(m, now_us);
    return m->kind == METER_BUCKET ? m->amount - whole(m->level, m->per_us) : m->used;
}

/* How long until the bucket's level reaches `level`. */
static int64_t bucket_reaches_in_us(const struct meter *m, int64_t level)
{
    return m->level >= level ? 0 : (level - m->level + m->amount - 1) / m->amount;
}

static int64_t rolling_room_in_us(const struct meter *m, int64_t now_us, int64_t n)
{
    int64_t used = m->used;
    for (size_t i = 0; i < m->len; i++) {
        if (used + n <= m->amount) {
            return i ? entry_at(m, i - 1)->at_us + m->per_us - now_us : 0;
        }
        used -= entry_at(m, i)->amount;
    }
    return m->len ? entry_at(m, m->len - 1)->at_us + m->per_us - now_us : 0;
}

int64_t meter_room_in_us(struct meter *m, int64_t now_us, int64_t n)
{
    if (m->amount == 0 || n == 0) {
        return 0;
    }
    if (n > m->amount) {
        return -1;
    }
    meter_turn(m, now_us);
    switch (m->kind) {
    case METER_ROLLING: return rolling_room_in_us(m, now_us, n);
    case METER_FIXED: return m->used + n <= m->amount ? 0 : m->started_us + m->per_us - now_us;
    case METER_BUCKET: break;
    }
    return bucket_reaches_in_us(m, n * m->per_us);
}

int64_t meter_empty_in_us(struct meter *m, int64_t now_us)
{
    if (m->amount == 0) {
        return 0;
    }
    meter_turn(m, now_us);
    switch (m->kind) {
    case METER_ROLLING: return rolling_room_in_us(m, now_us, m->amount);
    case METER_FIXED: return m->used ? m->started_us + m->per_us - now_us : 0;
    case METER_BUCKET: break;
    }
    return bucket_reaches_in_us(m, m->amount * m->per_us);
}
