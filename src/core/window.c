/*
 * A bucket keeps its level multiplied by per_us: after dt microseconds it has amount × dt more, a
 * whole number, so that no refill is lost to rounding, however often one looks.
 *
 * A calendar window counts up within its period and starts anew when a later one begins; a period
 * that seems to begin earlier (clocks set back over midnight) is not a new one.
 */
#include "core/window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define PPM 1000000

static int64_t after_headroom(int64_t amount, const struct limit *limit)
{
    int64_t left = mul_div_sat(amount, PPM - limit->headroom_ppm, PPM);
    return max_i64(left, 1);
}

static void rolling_terms(struct terms *t, int64_t per_us, int64_t guard_us)
{
    t->per_us = per_us;
    t->granule_us = divisor_of((uint64_t)max_i64(1, per_us / ROLLING_GRANULES));
    t->stay_us = per_us + guard_us;
}

/* A request may reach the provider up to `guard` after its grant, when the bucket there has been
 * refilled for less time than ours: what that refill makes up is taken off the burst. */
static void bucket_terms(struct terms *t, const struct limit *limit)
{
    int64_t refill = mul_div_sat(t->amount, limit->guard_us, limit->per_us);
    refill += (int128)t->amount * limit->guard_us % limit->per_us != 0;
    t->per_us = limit->per_us;
    t->burst = max_i64(1, after_headroom(limit->burst, limit) - refill);
}

void terms_of_limit(struct terms *t, const struct limit *limit)
{
    int64_t amount = after_headroom(limit->amount, limit);
    *t = (struct terms){
        .kind = limit->window,
        .amount = amount,
        .burst = amount,
        .step = limit->step,
        .zone = limit->zone,
    };
    if (limit->window == WINDOW_ROLLING) {
        rolling_terms(t, limit->per_us, limit->guard_us);
    } else if (limit->window == WINDOW_BUCKET) {
        bucket_terms(t, limit);
    }
}

void terms_of_slice(struct terms *t, const struct limit *limit)
{
    assert(limit->window == WINDOW_ROLLING && limit->slice_us > 0);
    terms_of_limit(t, limit);
    t->amount = max_i64(1, mul_div_sat(t->amount, limit->slice_us, limit->per_us));
    t->burst = t->amount;
    rolling_terms(t, limit->slice_us, min_i64(limit->guard_us, limit->slice_us));
}

void terms_of_share(struct terms *t, const struct limit *limit, int32_t share_ppm)
{
    terms_of_limit(t, limit);
    t->amount = max_i64(1, mul_div_sat(t->amount, share_ppm, PPM));
    t->burst = max_i64(1, mul_div_sat(t->burst, share_ppm, PPM));
}

/* --- Bucket. --- */

static int64_t bucket_units(const struct window *w, const struct terms *t)
{
    int128 level = w->bucket.level;
    int128 units = level / t->per_us - (level % t->per_us < 0);
    return units < INT64_MIN ? INT64_MIN : (int64_t)units;
}

static void bucket_add(struct window *w, const struct terms *t, int128 level)
{
    int128 full = (int128)t->burst * t->per_us;
    w->bucket.level += level;
    if (w->bucket.level > full) {
        w->bucket.level = full;
    }
}

static void bucket_fill(struct window *w, const struct terms *t, int64_t now_us)
{
    if (now_us > w->bucket.at_us) {
        bucket_add(w, t, (int128)t->amount * (now_us - w->bucket.at_us));
        w->bucket.at_us = now_us;
    }
}

static int64_t bucket_fits_us(const struct window *w, const struct terms *t, int64_t now_us,
                              int64_t need)
{
    if (need > t->burst) {
        return INT64_MAX;
    }
    int128 lack = (int128)need * t->per_us - w->bucket.level;
    if (lack <= 0) {
        return now_us;
    }
    int128 wait_us = (lack + t->amount - 1) / t->amount;
    return wait_us > INT64_MAX / 2 ? INT64_MAX : add_sat(now_us, (int64_t)wait_us);
}

/* What it lacks goes down in a straight line, from then to when it was to be full. */
bool window_refill_as_before(struct window *w, const struct terms *t, int64_t full_us,
                             int64_t now_us)
{
    assert(t->kind == WINDOW_BUCKET);
    int64_t since_us = w->bucket.at_us;
    int64_t lacks = sub_sat(t->burst, bucket_units(w, t));
    if (now_us <= since_us || full_us <= bucket_fits_us(w, t, since_us, t->burst)) {
        return false;
    }
    bucket_fill(w, t, now_us);
    int128 left_us = max_i64(0, sub_sat(full_us, now_us)), all_us = (int128)full_us - since_us;
    int128 lacks_now = (lacks * left_us + all_us - 1) / all_us;
    int128 level = (t->burst - lacks_now) * t->per_us;
    bool less = level < w->bucket.level;
    w->bucket.level = less ? level : w->bucket.level;
    return less;
}

/* --- Any kind. --- */

int64_t window_used_count(const struct window *w, const struct terms *t)
{
    return t->kind == WINDOW_BUCKET ? sub_sat(t->burst, bucket_units(w, t)) : w->count.used;
}

void window_init(struct window *w, const struct terms *t, int64_t now_us)
{
    *w = (struct window){0};
    if (t->kind == WINDOW_BUCKET) {
        w->bucket.level = (int128)t->burst * t->per_us;
        w->bucket.at_us = now_us;
    } else if (t->kind == WINDOW_CALENDAR) {
        w->count.period = (struct period){INT64_MIN, INT64_MIN};
    } else if (t->kind == WINDOW_LIFETIME) {
        w->count.period = (struct period){INT64_MIN, INT64_MAX};
    }
}

void window_release(struct window *w, const struct terms *t)
{
    if (t->kind == WINDOW_ROLLING) {
        rolling_release(&w->rolling);
    }
}

int window_carry(struct window *to, const struct terms *t, const struct window *from,
                 const struct terms *from_terms)
{
    assert(t->kind == from_terms->kind);
    if (t->kind == WINDOW_ROLLING) {
        return rolling_carry(&to->rolling, &from->rolling);
    }
    if (t->kind == WINDOW_BUCKET) {
        int128 used = (int128)from_terms->burst * from_terms->per_us - from->bucket.level;
        int128 used_now = used / from_terms->per_us * t->per_us +
                          used % from_terms->per_us * t->per_us / from_terms->per_us;
        to->bucket.level = (int128)t->burst * t->per_us - used_now;
        to->bucket.at_us = from->bucket.at_us;
        return 0;
    }
    to->count = from->count;
    return 0;
}

/* The end of the period by now_us; never now itself, even where the clocks were set back. */
static int64_t calendar_end_us(const struct window *w, int64_t now_us)
{
    return max_i64(add_sat(now_us, 1), sub_sat(w->count.period.end_us, w->count.skew_us));
}

/* A period that has begun goes on to its end, also when a reload changes the zone, and when the
 * clocks are set back. By another zone the one around that end may have begun no later: then it is
 * the same still. */
static void calendar_advance(struct window *w, const struct terms *t, int64_t wall_us)
{
    if (wall_us < w->count.period.end_us) {
        return;
    }
    struct period p = calendar_period(t->step, t->zone, wall_us);
    if (p.start_us > w->count.period.start_us) {
        /* What was charged before is not of it, whenever its day began by the zone of now. */
        w->count.period.start_us = max_i64(p.start_us, w->count.period.end_us);
        w->count.used = 0;
    }
    w->count.period.end_us = p.end_us;
}

void window_begin_with(struct window *w, const struct window *of, int64_t wall_us)
{
    const struct period *p = &of->count.period;
    bool within = p->start_us <= wall_us && wall_us < p->end_us;
    if (within && w->count.period.start_us < p->start_us) {
        w->count.period = *p;
        w->count.used = 0;
    }
}

int64_t window_advance_count(struct window *w, const struct terms *t, int64_t now_us,
                             int64_t skew_us)
{
    switch (t->kind) {
    case WINDOW_BUCKET: bucket_fill(w, t, now_us); return add_sat(now_us, 1);
    case WINDOW_CALENDAR:
        w->count.skew_us = skew_us;
        calendar_advance(w, t, add_sat(now_us, skew_us));
        return calendar_end_us(w, now_us);
    case WINDOW_ROLLING:
    case WINDOW_LIFETIME:
    case WINDOW_NONE: break;
    }
    return INT64_MAX;
}

window_mark window_charge_count(struct window *w, const struct terms *t, int64_t amount)
{
    switch (t->kind) {
    case WINDOW_ROLLING: assert(!"a window that counts"); break;
    case WINDOW_BUCKET: w->bucket.level -= (int128)amount * t->per_us; return 0;
    case WINDOW_CALENDAR:
    case WINDOW_LIFETIME:
        w->count.used = add_sat(w->count.used, amount);
        return w->count.period.start_us;
    case WINDOW_NONE: break;
    }
    return 0;
}

window_mark window_mark_at(const struct window *w, const struct terms *t, int64_t at_us)
{
    if (t->kind != WINDOW_CALENDAR) {
        return INT64_MIN;
    }
    const struct period *p = &w->count.period;
    bool within = p->start_us <= at_us && at_us < p->end_us;
    return within ? p->start_us : calendar_period(t->step, t->zone, at_us).start_us;
}

bool window_adjust_count(struct window *w, const struct terms *t, window_mark mark, int64_t delta)
{
    switch (t->kind) {
    case WINDOW_ROLLING: assert(!"a window that counts"); break;
    case WINDOW_BUCKET: bucket_add(w, t, -(int128)delta * t->per_us); return true;
    case WINDOW_CALENDAR:
    case WINDOW_LIFETIME:
        if (w->count.period.start_us != mark) {
            return false;
        }
        /* What was given back to everyone cannot be given back to one once more. */
        w->count.used = max_i64(0, add_sat(w->count.used, delta));
        return true;
    case WINDOW_NONE: break;
    }
    return false;
}

int64_t window_fits_us(const struct window *w, const struct terms *t, int64_t now_us, int64_t need)
{
    if (window_free(w, t) >= need) {
        return now_us;
    }
    switch (t->kind) {
    case WINDOW_ROLLING:
        return rolling_fits_at_us(&w->rolling, t->stay_us, t->amount, now_us, need);
    case WINDOW_BUCKET: return bucket_fits_us(w, t, now_us, need);
    case WINDOW_CALENDAR: return need > t->amount ? INT64_MAX : calendar_end_us(w, now_us);
    case WINDOW_LIFETIME:
    case WINDOW_NONE: break;
    }
    return INT64_MAX;
}

int64_t window_free_at(const struct window *w, const struct terms *t, int64_t at_us)
{
    return t->kind == WINDOW_ROLLING ? rolling_free_at(&w->rolling, t->stay_us, t->amount, at_us)
                                     : window_free(w, t);
}

bool window_idle(const struct window *w, const struct terms *t)
{
    switch (t->kind) {
    case WINDOW_ROLLING: return w->rolling.first == w->rolling.next;
    case WINDOW_BUCKET: return w->bucket.level == (int128)t->burst * t->per_us;
    case WINDOW_CALENDAR:
    case WINDOW_LIFETIME: return w->count.used == 0;
    case WINDOW_NONE: break;
    }
    return true;
}
