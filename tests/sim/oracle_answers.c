/* What an acquire must be told at once, by the order of the rules. */
#include <stdlib.h>
#include <string.h>

#include "oracle_health.h"
#include "oracle_order.h"
#include "oracle_state.h"

struct question {
    struct oracle *o;
    const struct waiter *w;
    const struct resource *resource;
    size_t index;
};

static struct sum sum_at(const struct question *q, size_t l)
{
    char key[KEY_MAX];
    charged_key(&q->resource->limits[l], q->resource, q->w->tenant, q->w->session, q->w->labels,
                key);
    return sum_of(q->o, q->o->ident_of[q->index][l], key);
}

static bool never_fits(const struct question *q, size_t l)
{
    return q->w->load.of[q->resource->limits[l].unit] > limit_most(&q->resource->limits[l]);
}

static bool over_budget(const struct question *q, size_t l)
{
    const struct limit *limit = &q->resource->limits[l];
    int64_t n = q->w->load.of[limit->unit];
    if (n == 0) {
        return false;
    }
    struct sum s = sum_at(q, l);
    if (limit->exceed == EXCEED_REFUSE) {
        return s.free < n;
    }
    return limit->window == WINDOW_LIFETIME && s.used + n > limit_amount(limit);
}

/* --- Deadlocks --- */

static bool is_ancestor(struct oracle *o, uint64_t lease, uint64_t below)
{
    for (int depth = 0; below && depth < 100; depth++) {
        if (below == lease) {
            return true;
        }
        const struct fact *f = find_fact(o, below);
        below = f ? f->parent : 0;
    }
    return false;
}

/* Whether a lease cannot end before some request that waits, `w` among them, was served. */
static bool is_stuck(struct oracle *o, const struct waiter *w, uint64_t lease, bool count_away)
{
    if (is_ancestor(o, lease, w->parent)) {
        return true;
    }
    for (size_t i = 0; i < o->waiters_n; i++) {
        const struct waiter *x = &o->waiters[i];
        if (!x->arriving && (count_away || (!x->away && o->now_us >= x->not_before_us)) &&
            is_ancestor(o, lease, x->parent)) {
            return true;
        }
    }
    return false;
}

static bool deadlocks(const struct question *q, size_t l, bool count_away)
{
    const struct limit *limit = &q->resource->limits[l];
    int64_t n = q->w->load.of[limit->unit], stuck = 0;
    /* One that holds nothing keeps nobody waiting: without a parent there is no circle. */
    if (n == 0 || !q->w->parent ||
        (limit->window != WINDOW_NONE && limit->charge != CHARGE_AT_SETTLE)) {
        return false;
    }
    char key[KEY_MAX];
    charged_key(limit, q->resource, q->w->tenant, q->w->session, q->w->labels, key);
    const struct ident *id = &q->o->idents[q->o->ident_of[q->index][l]];
    for (size_t i = 0; i < id->charges_n; i++) {
        const struct fact *f = &q->o->facts[id->charges[i].fact];
        if (f->end == END_OPEN && strcmp(id->charges[i].key, key) == 0 &&
            is_stuck(q->o, q->w, f->lease, count_away)) {
            stuck += id->charges[i].n;
        }
    }
    return n > limit_most(limit) - stuck;
}

/* --- All of it --- */

static unsigned limits_where(const struct question *q,
                             bool (*holds)(const struct question *, size_t))
{
    unsigned bits = 0;
    for (size_t l = 0; l < q->resource->limits_n; l++) {
        bits |= holds(q, l) ? 1u << l : 0;
    }
    return bits;
}

static bool deadlocks_now(const struct question *q, size_t l)
{
    return deadlocks(q, l, true);
}

static bool deadlocks_less(const struct question *q, size_t l)
{
    return deadlocks(q, l, false);
}

bool can_never_fit(struct oracle *o, const struct waiter *w, unsigned *limits)
{
    struct question q = {o, w, NULL, w->resource_at};
    *limits = 0;
    if (q.index != NONE) {
        q.resource = &o->policy->resources[q.index];
        *limits = limits_where(&q, never_fits);
    }
    return *limits != 0;
}

enum error_code expected_refusal(struct oracle *o, const struct waiter *w, unsigned *limits,
                                 bool *doubtful)
{
    struct question q = {o, w, NULL, w->resource_at};
    *limits = 0;
    *doubtful = false;
    if (o->draining) {
        return ERR_SHUTTING_DOWN;
    }
    if (q.index == NONE) {
        return ERR_UNKNOWN_RESOURCE;
    }
    q.resource = &o->policy->resources[q.index];
    const struct fact *parent = w->parent ? find_fact(o, w->parent) : NULL;
    if (w->parent && (!parent || parent->end != END_OPEN)) {
        return ERR_UNKNOWN_LEASE;
    }
    if ((parent && strcmp(parent->tenant, w->tenant) != 0) || has_learned(o, w->resource)) {
        *doubtful = true;
    }
    if ((*limits = limits_where(&q, never_fits))) {
        return ERR_NEVER_FITS;
    }
    if ((*limits = limits_where(&q, over_budget))) {
        *doubtful = *doubtful || limits_where(&q, deadlocks_now);
        return ERR_BUDGET_EXCEEDED;
    }
    if ((*limits = limits_where(&q, deadlocks_now))) {
        *doubtful = *doubtful || limits_where(&q, deadlocks_less) != *limits;
        return ERR_WOULD_DEADLOCK;
    }
    return ERR_NONE;
}
