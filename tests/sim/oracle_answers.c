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
    (void)charged_key(q->o->policy, &q->resource->limits[l], q->resource, PAYER(q->w), key);
    return sum_of(q->o, q->o->ident_of[q->index][l], key);
}

/* What the request asks of a limit. */
static int64_t asked_of(const struct question *q, size_t l)
{
    char key[KEY_MAX];
    const struct limit *limit = &q->resource->limits[l];
    return charged_key(q->o->policy, limit, q->resource, PAYER(q->w), key)
               ? q->w->load.of[limit->unit]
               : 0;
}

static bool never_fits(const struct question *q, size_t l)
{
    return asked_of(q, l) > limit_most(&q->resource->limits[l]);
}

static bool over_budget(const struct question *q, size_t l)
{
    const struct limit *limit = &q->resource->limits[l];
    int64_t n = asked_of(q, l);
    if (n == 0) {
        return false;
    }
    struct sum s = sum_at(q, l);
    if (limit->exceed != EXCEED_WAIT) {
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
    int64_t n = asked_of(q, l), stuck = 0;
    /* One that holds nothing keeps nobody waiting: without a parent there is no circle. */
    if (n == 0 || !q->w->parent ||
        (limit->window != WINDOW_NONE && limit->charge != CHARGE_AT_SETTLE)) {
        return false;
    }
    char key[KEY_MAX];
    (void)charged_key(q->o->policy, limit, q->resource, PAYER(q->w), key);
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
    *limits = 0;
    *doubtful = false;
    if (o->draining) {
        return ERR_SHUTTING_DOWN;
    }
    if (w->resource_at == NONE && w->route_at == NONE) {
        return ERR_UNKNOWN_RESOURCE;
    }
    const struct fact *parent = w->parent ? find_fact(o, w->parent) : NULL;
    if (w->parent && (!parent || parent->end != END_OPEN)) {
        return ERR_UNKNOWN_LEASE;
    }
    bool by_name = strcmp(w->route, "") == 0 || w->named;
    size_t r =
        w->route_at == NONE ? w->resource_at : o->policy->routes[w->route_at].steps[0].resource;
    if (by_name && o->policy->resources[r].price_given && !w->has_usd) {
        return ERR_USD_MISSING;
    }
    return w->route_at == NONE ? expected_limit_refusal(o, w, limits, doubtful) : ERR_NONE;
}

enum error_code expected_limit_refusal(struct oracle *o, const struct waiter *w, unsigned *limits,
                                       bool *doubtful)
{
    struct question q = {o, w, &o->policy->resources[w->resource_at], w->resource_at};
    const struct fact *parent = w->parent ? find_fact(o, w->parent) : NULL;
    *doubtful = (parent && strcmp(parent->tenant, w->tenant) != 0) || has_learned(o, w->resource);
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
