/* Between the steps: what must hold when all that is due has been done. */
#include <string.h>

#include "core/view.h"
#include "oracle_health.h"
#include "oracle_order.h"
#include "oracle_routes.h"

void oracle_before(struct oracle *o, int64_t now_us)
{
    if (o->problem->len || now_us - 1 <= o->now_us) {
        return;
    }
    judge_idle(o, now_us - 1);
    health_overdue(o, now_us - 1);
    for (size_t i = 0; i < o->facts_n; i++) {
        const struct fact *f = &o->facts[i];
        if (f->end == END_OPEN && !f->lost && f->expires_us < now_us) {
            wrong(o, "P6: a lease that expired at %lld is open at %lld",
                  (long long)o->facts[i].expires_us, (long long)now_us);
        }
    }
}

static void judge_view(struct oracle *o, size_t ident, const char *key, const struct limit_view *v)
{
    const struct ident *id = &o->idents[ident];
    struct sum s = sum_of(o, ident, key);
    bool paced = id->limit->slice_us != 0;
    bool bucket = id->window == WINDOW_BUCKET;
    if (id->learns) {
        /* What was learned may only take away. */
        if (v->amount > limit_most(id->limit) || v->remaining > s.free) {
            wrong(o, "P1: the view of %s says amount %lld remaining %lld; history says %lld free",
                  id->limit->name, (long long)v->amount, (long long)v->remaining,
                  (long long)s.free);
        }
        return;
    }
    if (v->amount != limit_most(id->limit) || (!paced && v->remaining != s.free) ||
        (!bucket && id->window != WINDOW_NONE && v->used != s.used)) {
        wrong(o,
              "P1: the view of %s (key \"%s\") says amount %lld used %lld held %lld remaining "
              "%lld; history says amount %lld used %lld held %lld free %lld",
              id->limit->name, key, (long long)v->amount, (long long)v->used, (long long)v->held,
              (long long)v->remaining, (long long)limit_amount(id->limit), (long long)s.used,
              (long long)s.held, (long long)s.free);
    }
}

static void judge_scoped_views(struct oracle *o, const struct core *core, size_t r, size_t l)
{
    size_t ident = o->ident_of[r][l];
    const struct ident *id = &o->idents[ident];
    for (size_t i = 0; i < id->charges_n; i++) {
        struct limit_view v;
        const char *key = id->charges[i].key;
        if (core_scope_view(core, r, l, text_of(key), &v)) {
            judge_view(o, ident, key, &v);
        } else if (id->window != WINDOW_LIFETIME) {
            struct sum s = sum_of(o, ident, key);
            if (s.free < limit_most(id->limit)) {
                wrong(o, "P1: the counter of %s for \"%s\" is forgotten with %lld used, %lld held",
                      id->limit->name, key, (long long)s.used, (long long)s.held);
            }
        }
    }
}

static void judge_views(struct oracle *o, const struct core *core)
{
    for (size_t r = 0; r < core_resources(core); r++) {
        struct resource_view rv;
        core_resource_view(core, r, &rv);
        size_t index = resource_index(o, rv.resource->name);
        for (size_t l = 0; l < core_limits(core, r) && index == r; l++) {
            struct limit_view v;
            core_limit_view(core, r, l, &v);
            if (v.limit->scope == SCOPE_RESOURCE) {
                judge_view(o, o->ident_of[r][l], "", &v);
            } else {
                judge_scoped_views(o, core, r, l);
            }
        }
    }
}

/* Whether a limit has room for a request: where answers have made it stricter than it says, by what
 * the core itself says is left of it. */
static bool has_room(struct oracle *o, const struct core *core, const struct waiter *w, size_t l)
{
    const struct limit *limit = &o->policy->resources[w->resource_at].limits[l];
    size_t ident = o->ident_of[w->resource_at][l];
    int64_t n = w->load.of[limit->unit];
    char key[KEY_MAX];
    struct limit_view v;
    if (!charged_key(o->policy, limit, &o->policy->resources[w->resource_at], PAYER(w), key) ||
        n == 0) {
        return true;
    }
    struct sum s = sum_of(o, ident, key);
    bool learns = o->idents[ident].learns;
    if (learns) {
        core_limit_view(core, w->resource_at, l, &v);
        s.free = v.unknown ? INT64_MIN : min_i64(s.free, v.remaining);
    }
    bool slice = !limit->slice_us || (!learns && s.slice_used + n <= limit_slice(limit));
    return slice && !limit->shared[0] && s.free >= n;
}

/* P3 where limits have learned: nobody waits in a line all of whose requests the core has room for,
 * by what it says itself. Whose turn it is does not matter then. */
static void judge_learned_idle(struct oracle *o, const struct core *core, size_t r)
{
    const struct waiter *one = NULL;
    const char *name = o->policy->resources[r].name;
    if (o->draining || !has_learned(o, name) || health_allows(o, name) != ALLOWS) {
        return;
    }
    for (size_t i = 0; i < o->waiters_n; i++) {
        const struct waiter *w = &o->waiters[i];
        if (w->resource_at != r || w->away || o->now_us < w->not_before_us) {
            continue;
        }
        one = w;
        for (size_t l = 0; l < o->policy->resources[r].limits_n; l++) {
            if (!has_room(o, core, w, l)) {
                return;
            }
        }
    }
    if (one) {
        wrong(o, "P3: caller %llu waits for %s, which has room for all who wait",
              (unsigned long long)one->caller, name);
    }
}

static void judge_overdue(struct oracle *o)
{
    for (size_t i = 0; i < o->waiters_n; i++) {
        const struct waiter *w = &o->waiters[i];
        if (!w->away && (w->deadline_us <= o->now_us || w->hold_at_us <= o->now_us)) {
            wrong(o, "P5: caller %llu should have heard something by now",
                  (unsigned long long)w->caller);
        }
        if (o->draining) {
            wrong(o, "P5: caller %llu still waits in a draining core",
                  (unsigned long long)w->caller);
        }
    }
    for (size_t i = 0; i < o->facts_n; i++) {
        const struct fact *f = &o->facts[i];
        if (f->end == END_OPEN && !f->lost && f->expires_us <= o->now_us) {
            wrong(o, "P6: a lease is open past its time");
        }
    }
}

static void judge_totals(struct oracle *o, const struct core *core)
{
    struct core_totals t;
    size_t open = 0;
    core_totals(core, &t);
    for (size_t i = 0; i < o->facts_n; i++) {
        open += o->facts[i].end == END_OPEN && !o->facts[i].lost;
    }
    if (t.waiting != o->waiters_n || t.leases_open != open) {
        wrong(o, "the core counts %zu waiting and %zu open leases; history %zu and %zu", t.waiting,
              t.leases_open, o->waiters_n, open);
    }
}

/* How much more a call has cost than it was held for, when it was settled, late or not. */
static int64_t overrun_of(const struct limit *l, const struct fact *f, const struct charge *c)
{
    int64_t most = 0;
    if (f->end == END_SETTLED) {
        most = booked_amount(l, c->n, f->used.of[l->unit]) - c->n;
    }
    if (f->late) { /* what its expiry gave back has been granted to others */
        int64_t late = booked_amount(l, c->n, f->late_used.of[l->unit]);
        most = max_i64(most, late - min_i64(c->n, expired_amount(l, &f->load)));
    }
    return max_i64(0, most);
}

/* No overspend: a budget is never exceeded but by what calls cost beyond what was held for them. */
static void judge_budget(struct oracle *o, size_t ident, const char *key)
{
    const struct ident *id = &o->idents[ident];
    struct sum s = sum_of(o, ident, key);
    int64_t overrun = 0;
    for (size_t i = 0; i < id->charges_n && s.free < 0; i++) {
        const struct charge *c = &id->charges[i];
        overrun += strcmp(c->key, key) == 0 ? overrun_of(id->limit, &o->facts[c->fact], c) : 0;
    }
    if (s.free + overrun < 0) {
        wrong(o,
              "P7: %s (key \"%s\") is overspent by %lld, of which %lld is what calls cost beyond "
              "what they held",
              id->limit->name, key, (long long)-s.free, (long long)overrun);
    }
}

/* A reload may lower an amount below what is spent. */
static void judge_money(struct oracle *o)
{
    for (size_t i = 0; i < o->idents_n && !o->reloads; i++) {
        const struct ident *id = &o->idents[i];
        bool budget = id->live && id->unit == UNIT_USD &&
                      (id->window == WINDOW_LIFETIME || id->window == WINDOW_CALENDAR);
        for (size_t k = 0; budget && k < id->charges_n; k++) {
            judge_budget(o, i, id->charges[k].key);
        }
    }
}

void oracle_rest(struct oracle *o, const struct core *core)
{
    if (o->problem->len || !o->policy || o->restoring) {
        return;
    }
    judge_idle(o, o->now_us);
    for (size_t r = 0; r < o->policy->resources_n; r++) {
        judge_learned_idle(o, core, r);
    }
    judge_overdue(o);
    judge_accounts(o);
    health_overdue(o, o->now_us);
    health_written(o);
    judge_totals(o, core);
    if (o->rests % 32 == 0) {
        history_forget_past(o);
    }
    if (o->rests++ % 3 == 0) { /* the dearest of all checks */
        judge_views(o, core);
        judge_money(o);
    }
}

void oracle_crash(struct oracle *o, size_t records)
{
    history_cut(o, records);
    o->waiters_n = 0;
    o->tags_n = 0;
    health_crash(o);
    o->vtimes_n = 0;
    o->draining = false;
    o->restoring = true;
    o->skew_us = 0;
    o->now_us = 0; /* where the wall clock was set back, time goes on from the newest record */
}

void oracle_lost(struct oracle *o, const struct record *record)
{
    history_lost(o, record);
}

void oracle_restored(struct oracle *o)
{
    o->restoring = false;
    o->starting = true;
    history_restored(o);
}
