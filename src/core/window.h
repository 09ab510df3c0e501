/*
 * A window: how much of a limit is used at an instant, and when some of it comes back.
 *
 * One type for all kinds of windows, so that nothing above this file asks which kind it has before
 * it. The rules it follows (struct rule, below) come from a limit of the policy, made ready to
 * judge by; a window holds only what changes.
 *
 * Not for: what leases hold beside the window, scopes, the line. Invariants: a window's entries are
 * in order of time; `sum` is their sum; nothing leaves early. May depend on src/base, policy.h,
 * calendar.h and rolling.h only.
 */
#ifndef SLUICE_CORE_WINDOW_H
#define SLUICE_CORE_WINDOW_H

#include "base/num.h"
#include "core/calendar.h"
#include "core/policy.h"
#include "core/rolling.h"

/* The rules of one window. */
struct terms {
    enum window_kind kind;
    int64_t amount;            /* after headroom; for a bucket: refilled per per_us */
    int64_t per_us;            /* rolling, bucket */
    int64_t stay_us;           /* rolling: how long an entry counts */
    struct divisor granule_us; /* rolling */
    int64_t burst;             /* bucket: its size after headroom and guard; others: = amount */
    enum calendar_step step;
    const struct zone *zone;
};

struct window {
    union {
        struct rolling rolling;
        struct bucket {
            int128 level; /* units × per_us */
            int64_t at_us;
        } bucket;
        struct {
            struct period period; /* by the wall clock; lifetime: all of time */
            int64_t used;
            int64_t skew_us; /* wall clock minus now_us, as last heard */
        } count;
    };
};

/* Where in a window an amount was charged, so that it can be changed in place. */
typedef int64_t window_mark;

void terms_of_limit(struct terms *terms, const struct limit *limit);
/* The terms of the slices of a paced limit. */
void terms_of_slice(struct terms *terms, const struct limit *limit);
/* The terms of the same limit for a share of its amount. */
void terms_of_share(struct terms *terms, const struct limit *limit, int32_t share_ppm);

void window_init(struct window *w, const struct terms *t, int64_t now_us);
void window_release(struct window *w, const struct terms *t);

/* Makes a fresh window go on with what another of its kind has used, under its own terms. 0 or
 * ERR_NO_MEMORY. */
int window_carry(struct window *to, const struct terms *t, const struct window *from,
                 const struct terms *from_terms);

/* Of a bucket that stood so at its time, and was to be full at `full_us`: if its pace was slower
 * then, it was so up to now_us. Says whether it has less for that. */
bool window_refill_as_before(struct window *w, const struct terms *t, int64_t full_us,
                             int64_t now_us);

/* Makes room for so many charges; 0 or ERR_NO_MEMORY. */
static inline int window_reserve(struct window *w, const struct terms *t, size_t charges)
{
    return likely(t->kind == WINDOW_ROLLING) ? rolling_reserve(&w->rolling, charges) : 0;
}

/* Lets go what has left by now_us. `skew_us` is the wall clock minus now_us. All functions below
 * want a window that was advanced to their now. Returns until when that holds as long as neither
 * clock is set: from that time on it is to be advanced again. */
int64_t window_advance_count(struct window *w, const struct terms *t, int64_t now_us,
                             int64_t skew_us);

static inline int64_t window_advance(struct window *w, const struct terms *t, int64_t now_us,
                                     int64_t skew_us)
{
    return likely(t->kind == WINDOW_ROLLING) ? rolling_advance(&w->rolling, t->stay_us, now_us)
                                             : window_advance_count(w, t, now_us, skew_us);
}

/* The same as window_used, for a window that counts up, or a bucket. */
int64_t window_used_count(const struct window *w, const struct terms *t);

/* What is used and still inside: never negative, and more than the amount after an overrun. */
static inline int64_t window_used(const struct window *w, const struct terms *t)
{
    if (likely(t->kind == WINDOW_ROLLING)) {
        return w->rolling.sum;
    }
    return t->kind == WINDOW_NONE ? 0 : window_used_count(w, t);
}

/* What could be charged now: negative after an overrun. */
static inline int64_t window_free(const struct window *w, const struct terms *t)
{
    return sub_sat(t->burst, window_used(w, t));
}

/* Charges an amount >= 0, room having been reserved. A time before the newest entry's counts as
 * that entry's: late is safe, early is not. */
window_mark window_charge_count(struct window *w, const struct terms *t, int64_t amount);

static inline window_mark window_charge(struct window *w, const struct terms *t, int64_t now_us,
                                        int64_t amount)
{
    assert(amount >= 0);
    return likely(t->kind == WINDOW_ROLLING)
               ? (window_mark)rolling_charge(&w->rolling, &t->granule_us, now_us, amount)
               : window_charge_count(w, t, amount);
}

/* The mark that a charge at `at_us` had, for a window that counts up: calendar or lifetime. That of
 * the period in force, where it lies within: a zone may have changed since that began. */
window_mark window_mark_at(const struct window *w, const struct terms *t, int64_t at_us);

/* Lets a calendar window have begun no earlier than `of`, one of the same kind, at a time that lies
 * in that one's period: what was counted before is not of it. */
void window_begin_with(struct window *w, const struct window *of, int64_t wall_us);

/* Changes what was charged at `mark` by `delta`, if that is still inside; says whether it is. */
bool window_adjust_count(struct window *w, const struct terms *t, window_mark mark, int64_t delta);

static inline bool window_adjust(struct window *w, const struct terms *t, window_mark mark,
                                 int64_t delta)
{
    return likely(t->kind == WINDOW_ROLLING) ? rolling_adjust(&w->rolling, (uint64_t)mark, delta)
                                             : window_adjust_count(w, t, mark, delta);
}

/* The earliest time from now_us on at which window_free reaches `need`, if nothing is charged or
 * given back; where that lies more than a few dozen entries ahead, an earlier time at which to look
 * again. INT64_MAX where time alone does not help. */
int64_t window_fits_us(const struct window *w, const struct terms *t, int64_t now_us, int64_t need);

/* What window_free will be at `at_us`, if nothing is charged or given back before; looks a few
 * dozen entries ahead, and counts those further on as still inside. */
int64_t window_free_at(const struct window *w, const struct terms *t, int64_t at_us);

/* Whether nothing is used: a fresh window would do as well. */
bool window_idle(const struct window *w, const struct terms *t);

#endif
