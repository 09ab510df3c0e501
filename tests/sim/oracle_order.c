/*
 * Whose turn it is: grants are judged against the order, and idleness against what would fit.
 *
 * The order is not known beyond doubt everywhere: whether a request sleeps at a counter of its own
 * scope depends on who else sleeps there, start tags are compared with a tolerance, and the usage
 * of a reserve's holder is not metered here for every kind of limit. So every question is answered
 * by yes, no or perhaps, and a set of possible heads stands for the head. Only what is wrong for
 * each of them is wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_health.h"
#include "oracle_order.h"
#include "oracle_state.h"

enum verdict_of { NO, PERHAPS, YES };

#define TAG_DOUBT 4096.0 /* of 2^32 a full window */
#define HEADS_MAX 64

/* --- Limits of a request --- */

struct ask {
    size_t ident;
    const struct limit *limit;
    int64_t n;
    char key[KEY_MAX];
};

/* The limits a request is charged to, with an amount. */
static size_t asks_of(const struct oracle *o, const struct waiter *w, struct ask *asks)
{
    size_t r = w->resource_at, n = 0;
    for (size_t l = 0; r != NONE && l < o->policy->resources[r].limits_n; l++) {
        const struct limit *limit = &o->policy->resources[r].limits[l];
        struct ask *a = &asks[n];
        a->ident = o->ident_of[r][l];
        a->limit = limit;
        a->n = w->load.of[limit->unit];
        bool mine = charged_key(o->policy, limit, &o->policy->resources[r], PAYER(w), a->key);
        n += mine && a->n > 0;
    }
    return n;
}

static bool slice_passes(const struct limit *l, int64_t used, int64_t n)
{
    return !l->slice_us || used == 0 || used + n <= limit_slice(l);
}

static bool ask_fits(struct oracle *o, const struct ask *a)
{
    struct sum s = sum_of(o, a->ident, a->key);
    return s.free >= a->n && slice_passes(a->limit, s.slice_used, a->n);
}

static bool fits(struct oracle *o, const struct waiter *w, bool scoped, bool whole)
{
    struct ask asks[CHARGES_MAX];
    size_t n = asks_of(o, w, asks);
    for (size_t i = 0; i < n; i++) {
        bool is_scoped = asks[i].limit->scope != SCOPE_RESOURCE;
        if ((is_scoped ? scoped : whole) && !ask_fits(o, &asks[i])) {
            return false;
        }
    }
    return true;
}

bool waiter_fits(struct oracle *o, const struct waiter *w)
{
    return fits(o, w, true, true);
}

size_t must_refuse(struct oracle *o, const struct waiter *w)
{
    size_t r = w->resource_at;
    for (size_t l = 0; r != NONE && l < o->policy->resources[r].limits_n; l++) {
        const struct limit *limit = &o->policy->resources[r].limits[l];
        char key[KEY_MAX];
        bool mine = charged_key(o->policy, limit, &o->policy->resources[r], PAYER(w), key);
        int64_t n = mine ? w->load.of[limit->unit] : 0;
        if (n > 0 && limit->exceed != EXCEED_WAIT && sum_of(o, o->ident_of[r][l], key).free < n) {
            return l;
        }
    }
    return NONE;
}

/* Whether nobody waits in a place that is kept: its holder is gone, or may not go on yet. */
static bool is_away(const struct oracle *o, const struct waiter *w)
{
    return w->away || o->now_us < w->not_before_us;
}

/* --- Order --- */

int effective_priority(const struct oracle *o, const struct waiter *w, int64_t now_us)
{
    size_t r = w->resource_at;
    int64_t ageing_us = r == NONE ? 0 : o->policy->resources[r].ageing_us;
    int64_t gained = ageing_us ? (now_us - w->enqueued_us) / ageing_us : 0;
    gained = max_i64(gained, w->aged);
    return (int)max_i64(PRIORITY_MIN, w->priority - gained);
}

static struct tag *find_tag(struct oracle *o, const char *resource, const char *tenant,
                            int priority)
{
    for (size_t i = 0; i < o->tags_n; i++) {
        struct tag *t = &o->tags[i];
        if (t->priority == priority && strcmp(t->tenant, tenant) == 0 &&
            strcmp(t->resource, resource) == 0) {
            return t;
        }
    }
    ROOM(o, tags);
    struct tag *t = &o->tags[o->tags_n++];
    *t = (struct tag){.priority = priority};
    snprintf(t->tenant, sizeof(t->tenant), "%s", tenant);
    snprintf(t->resource, sizeof(t->resource), "%s", resource);
    return t;
}

static struct virtual_time *find_vtime(struct oracle *o, const char *resource, int priority)
{
    for (size_t i = 0; i < o->vtimes_n; i++) {
        if (o->vtimes[i].priority == priority && strcmp(o->vtimes[i].resource, resource) == 0) {
            return &o->vtimes[i];
        }
    }
    ROOM(o, vtimes);
    struct virtual_time *v = &o->vtimes[o->vtimes_n++];
    memset(v, 0, sizeof(*v));
    v->priority = priority;
    memcpy(v->resource, resource, strlen(resource) + 1);
    return v;
}

/* Start tags follow simple rules only where no request leaves the line for a while. */
static bool tags_are_known(const struct oracle *o, const char *resource)
{
    size_t r = resource_index(o, resource);
    if (r == NONE || o->aways || o->policy->resources[r].ageing_us || has_learned(o, resource)) {
        return false;
    }
    for (size_t l = 0; l < o->policy->resources[r].limits_n; l++) {
        if (o->policy->resources[r].limits[l].scope != SCOPE_RESOURCE) {
            return false;
        }
    }
    return true;
}

void tags_arrive(struct oracle *o, const struct waiter *w)
{
    struct tag *t = find_tag(o, w->resource, w->tenant, w->priority);
    if (!t->backlogged) {
        double v = find_vtime(o, w->resource, w->priority)->at;
        t->start = t->finish > v ? t->finish : v;
        t->backlogged = true;
    }
}

/* Somebody has left: a tenant with nobody in line is idle, and a priority with nobody in line lets
 * all start even. */
void tags_leave(struct oracle *o, const struct waiter *w)
{
    bool tenant = false, priority = false;
    for (size_t i = 0; i < o->waiters_n; i++) {
        const struct waiter *x = &o->waiters[i];
        bool same = x->priority == w->priority && x->resource_at == w->resource_at;
        priority = priority || same;
        tenant = tenant || (same && strcmp(x->tenant, w->tenant) == 0);
    }
    if (!tenant) {
        find_tag(o, w->resource, w->tenant, w->priority)->backlogged = false;
    }
    if (!priority) {
        struct virtual_time *v = find_vtime(o, w->resource, w->priority);
        v->at = v->finish_max;
    }
}

static double cost_of(const struct oracle *o, const struct waiter *w)
{
    size_t r = w->resource_at;
    double most = 0;
    bool any = false;
    for (size_t l = 0; r != NONE && l < o->policy->resources[r].limits_n; l++) {
        const struct limit *limit = &o->policy->resources[r].limits[l];
        if (limit->scope == SCOPE_RESOURCE && limit->window != WINDOW_NONE) {
            double c = (double)w->load.of[limit->unit] * 4294967296.0 / (double)limit_amount(limit);
            most = c > most ? c : most;
            any = true;
        }
    }
    return any ? most : 4294967296.0 / 1000;
}

static double weight_of(const struct oracle *o, const char *tenant)
{
    for (size_t i = 0; i < o->policy->weights_n; i++) {
        if (strcmp(o->policy->weights[i].tenant, tenant) == 0) {
            return o->policy->weights[i].weight;
        }
    }
    return 1;
}

void tags_grant(struct oracle *o, const struct waiter *w)
{
    struct tag *t = find_tag(o, w->resource, w->tenant, w->priority);
    struct virtual_time *v = find_vtime(o, w->resource, w->priority);
    v->at = t->start > v->at ? t->start : v->at;
    t->finish = t->start + cost_of(o, w) / weight_of(o, w->tenant);
    t->start = t->finish;
    v->finish_max = t->finish > v->finish_max ? t->finish : v->finish_max;
}

/* YES where a comes before b for sure, NO where b comes before a for sure; reserves aside. */
static enum verdict_of before(struct oracle *o, const struct waiter *a, const struct waiter *b)
{
    bool less = true, more = true;
    for (int64_t back = 0; back <= 1; back++) {
        int pa = effective_priority(o, a, o->now_us - back);
        int pb = effective_priority(o, b, o->now_us - back);
        less = less && pa < pb;
        more = more && pa > pb;
    }
    if (less || more) {
        return less ? YES : NO;
    }
    if (effective_priority(o, a, o->now_us) != effective_priority(o, b, o->now_us) ||
        effective_priority(o, a, o->now_us - 1) != effective_priority(o, b, o->now_us - 1)) {
        return PERHAPS;
    }
    if (strcmp(a->tenant, b->tenant) == 0) {
        return a->seq < b->seq ? YES : NO;
    }
    if (!tags_are_known(o, a->resource)) {
        return PERHAPS;
    }
    double difference = find_tag(o, a->resource, a->tenant, a->priority)->start -
                        find_tag(o, b->resource, b->tenant, b->priority)->start;
    return difference < -TAG_DOUBT ? YES : difference > TAG_DOUBT ? NO : PERHAPS;
}

/* --- Sleep at scoped counters --- */

static bool same_scoped_counter(const struct ask *a, const struct ask *b)
{
    return a->limit->scope != SCOPE_RESOURCE && a->ident == b->ident && strcmp(a->key, b->key) == 0;
}

/* Whether two requests share a counter of a scope; `tight`: one at which b does not fit, and sleeps
 * until it does (where a limit refuses, all are looked at whenever something comes back). */
static bool meet(struct oracle *o, const struct waiter *a, const struct waiter *b, bool tight)
{
    struct ask of_a[CHARGES_MAX], of_b[CHARGES_MAX];
    size_t a_n = asks_of(o, a, of_a), b_n = asks_of(o, b, of_b);
    for (size_t i = 0; i < a_n; i++) {
        for (size_t k = 0; k < b_n; k++) {
            if (same_scoped_counter(&of_a[i], &of_b[k]) &&
                (!tight || (of_b[k].limit->exceed == EXCEED_WAIT && !ask_fits(o, &of_b[k])))) {
                return true;
            }
        }
    }
    return false;
}

/* Order where tenants do not count: priority, then arrival. */
static enum verdict_of plainly_before(const struct oracle *o, const struct waiter *a,
                                      const struct waiter *b)
{
    enum verdict_of answers[2];
    for (int64_t back = 0; back <= 1; back++) {
        int pa = effective_priority(o, a, o->now_us - back);
        int pb = effective_priority(o, b, o->now_us - back);
        answers[back] = pa < pb || (pa == pb && a->seq < b->seq) ? YES : NO;
    }
    return answers[0] == answers[1] ? answers[0] : PERHAPS;
}

/* Whether somebody before x asks, of a counter of a scope that x fits, more than it has: then x may
 * be asleep behind it there, and nowhere else. */
static bool sleeps_behind(struct oracle *o, const struct waiter *x)
{
    struct ask of_x[CHARGES_MAX], of_y[CHARGES_MAX];
    size_t x_n = asks_of(o, x, of_x);
    for (size_t i = 0; i < o->waiters_n; i++) {
        const struct waiter *y = &o->waiters[i];
        bool before = y != x && !y->away && plainly_before(o, y, x) != NO;
        size_t y_n = before ? asks_of(o, y, of_y) : 0;
        for (size_t k = 0; k < y_n * x_n; k++) {
            const struct ask *a = &of_x[k % x_n], *b = &of_y[k / x_n];
            if (same_scoped_counter(a, b) && ask_fits(o, a) && !ask_fits(o, b)) {
                return true;
            }
        }
    }
    return false;
}

/* Whether two requests of a tenant stand in one row, where the first keeps the others waiting even
 * if they ask nothing of what holds it. */
static bool in_one_row(const struct waiter *a, const struct waiter *b)
{
    return a->resource_at == b->resource_at && strcmp(a->tenant, b->tenant) == 0 &&
           a->priority == b->priority;
}

/* How many counters of scopes a request does not fit. */
static size_t scoped_misses(struct oracle *o, const struct waiter *w)
{
    struct ask asks[CHARGES_MAX];
    size_t n = asks_of(o, w, asks), misses = 0;
    for (size_t i = 0; i < n; i++) {
        misses += asks[i].limit->scope != SCOPE_RESOURCE && !ask_fits(o, &asks[i]);
    }
    return misses;
}

/* Whether a request has been judged for sure, so that it is asleep where it does not fit: nobody
 * stands before it in its row, and nobody before it may be a head that stalls the line. */
static bool was_reached(struct oracle *o, const struct waiter *w)
{
    for (size_t i = 0; i < o->waiters_n; i++) {
        const struct waiter *x = &o->waiters[i];
        if (x == w || is_away(o, x) || x->resource_at != w->resource_at) {
            continue;
        }
        bool in_row = x->seq < w->seq && in_one_row(x, w);
        if (in_row || (scoped_misses(o, x) == 0 && before(o, x, w) != NO)) {
            return false;
        }
    }
    return true;
}

/* Holders of reserves may be reached before others who come first. */
static bool has_reserves(const struct oracle *o, const char *resource)
{
    size_t r = resource_index(o, resource);
    return r != NONE && o->policy->resources[r].reserves_n > 0;
}

/* What all who share a counter of a scope with w, and come before it, ask of that counter. */
static int64_t asked_before(struct oracle *o, const struct waiter *w, const struct ask *ask)
{
    int64_t sum = 0;
    for (size_t i = 0; i < o->waiters_n; i++) {
        const struct waiter *x = &o->waiters[i];
        struct ask asks[CHARGES_MAX];
        size_t n =
            x == w || is_away(o, x) || plainly_before(o, x, w) == NO ? 0 : asks_of(o, x, asks);
        for (size_t k = 0; k < n; k++) {
            sum += same_scoped_counter(&asks[k], ask) ? asks[k].n : 0;
        }
    }
    return sum;
}

/* Whether a counter of a scope has too little for w and all before it: then w may still sleep. */
static bool crowded(struct oracle *o, const struct waiter *w)
{
    struct ask asks[CHARGES_MAX];
    size_t n = asks_of(o, w, asks);
    for (size_t i = 0; i < n; i++) {
        if (asks[i].limit->scope != SCOPE_RESOURCE) {
            const struct limit *l = asks[i].limit;
            int64_t earlier = asked_before(o, w, &asks[i]), all = earlier + asks[i].n;
            struct sum s = sum_of(o, asks[i].ident, asks[i].key);
            /* What is alone in a slice may be more than it, but not what comes behind. */
            bool slice = l->slice_us && s.slice_used + all > limit_slice(l);
            if (earlier > 0 && (s.free < all || slice)) {
                return true;
            }
        }
    }
    return false;
}

static enum verdict_of work_out_eligible(struct oracle *o, const struct waiter *w)
{
    if (is_away(o, w) || scoped_misses(o, w)) {
        return NO;
    }
    /* After a late tick, one whose time is up may be refused before or after it is judged. */
    enum verdict_of answer = w->wait_us > 0 && w->deadline_us <= o->now_us ? PERHAPS : YES;
    /* Nobody is judged while a resource is closed, or where a learned limit stalls the line. */
    bool in_doubt = has_learned(o, w->resource) || has_been_closed(o, w->resource);
    for (size_t i = 0; i < o->waiters_n; i++) {
        const struct waiter *x = &o->waiters[i];
        enum verdict_of first = x == w || is_away(o, x) ? NO : plainly_before(o, x, w);
        if (first == NO) {
            continue;
        }
        size_t misses = scoped_misses(o, x);
        /* Only one that was reached in its turn is asleep. */
        bool reached = x->resource_at == w->resource_at && was_reached(o, x) &&
                       before(o, x, w) == YES && !has_reserves(o, w->resource) && !in_doubt;
        if (misses == 1 && first == YES && reached && meet(o, w, x, true) && !sleeps_behind(o, x)) {
            return NO;
        }
        bool doubt = misses && (meet(o, w, x, false) || in_one_row(w, x));
        answer = doubt ? PERHAPS : answer;
    }
    return answer == YES && crowded(o, w) ? PERHAPS : answer;
}

static enum verdict_of eligible(struct oracle *o, const struct waiter *w)
{
    size_t place = (size_t)(w - o->waiters);
    if (place >= MEMO_MAX) {
        return work_out_eligible(o, w);
    }
    if (o->eligible[place].moment != o->moment) {
        o->eligible[place].answer = (int)work_out_eligible(o, w);
        o->eligible[place].moment = o->moment;
    }
    return (enum verdict_of)o->eligible[place].answer;
}

/* --- Heads --- */

struct heads {
    const struct waiter *at[HEADS_MAX];
    size_t n;
    bool some; /* one of them is the head for sure */
};

static void add_head(struct heads *h, const struct waiter *w)
{
    for (size_t i = 0; i < h->n; i++) {
        if (h->at[i] == w) {
            return;
        }
    }
    if (h->n < HEADS_MAX) {
        h->at[h->n++] = w;
    }
}

static bool is_of_reserve(const struct waiter *w, const struct reserve *s)
{
    return !s || (s->priority ? w->priority <= s->priority : strcmp(w->tenant, s->tenant) == 0);
}

/* Those of a resource (and of a reserve, if not NULL) that may come first. */
static struct heads first_ones(struct oracle *o, const char *resource, const struct reserve *s)
{
    struct heads h = {.n = 0};
    const struct waiter *all[HEADS_MAX];
    enum verdict_of can[HEADS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < o->waiters_n && n < HEADS_MAX; i++) {
        const struct waiter *w = &o->waiters[i];
        if (strcmp(w->resource, resource) == 0 && is_of_reserve(w, s)) {
            can[n] = eligible(o, w);
            all[n] = w;
            n += can[n] != NO;
        }
    }
    for (size_t i = 0; i < n; i++) {
        bool beaten = false;
        for (size_t k = 0; k < n; k++) {
            beaten = beaten || (k != i && can[k] == YES && before(o, all[k], all[i]) == YES);
        }
        if (!beaten) {
            add_head(&h, all[i]);
        }
        h.some = h.some || can[i] == YES;
    }
    return h;
}

static enum verdict_of below_share(struct oracle *o, const struct waiter *w,
                                   const struct reserve *s)
{
    struct ask asks[CHARGES_MAX];
    size_t n = asks_of(o, w, asks);
    enum verdict_of answer = w->untold ? PERHAPS : YES; /* it may ask more */
    for (size_t i = 0; i < n; i++) {
        const struct limit *l = asks[i].limit;
        if (l->scope != SCOPE_RESOURCE) {
            continue;
        }
        if (l->window == WINDOW_BUCKET || l->shared[0] || o->restoring ||
            o->idents[asks[i].ident].learns) {
            answer = answer == YES ? PERHAPS : answer;
            continue;
        }
        int64_t share = (int64_t)((int128)limit_amount(l) * s->share_ppm / 1000000);
        int64_t usage = usage_of_holder(o, asks[i].ident, s) + asks[i].n;
        if (usage > share + 1) {
            return o->reloads ? PERHAPS : NO; /* meters begin anew with a policy */
        }
        if (usage >= share || o->idents[asks[i].ident].overmetered) {
            answer = PERHAPS;
        }
    }
    return answer;
}

/* All who may be first where nothing is known of the order. */
static struct heads anyone(struct oracle *o, const char *resource)
{
    struct heads h = {.n = 0};
    for (size_t i = 0; i < o->waiters_n; i++) {
        const struct waiter *w = &o->waiters[i];
        if (strcmp(w->resource, resource) == 0 && eligible(o, w) != NO) {
            add_head(&h, w);
        }
    }
    return h;
}

/* Whether a request of a reserve's holder is held by a limit of its scope: until it is judged it
 * may stand before the holder's others. */
static bool holder_sleeps(struct oracle *o, const char *resource, const struct reserve *s)
{
    for (size_t i = 0; i < o->waiters_n; i++) {
        const struct waiter *w = &o->waiters[i];
        if (strcmp(w->resource, resource) == 0 && is_of_reserve(w, s) && !is_away(o, w) &&
            eligible(o, w) != YES) {
            return true;
        }
    }
    return false;
}

static struct heads heads_of(struct oracle *o, const char *resource)
{
    struct heads all = {.n = 0};
    size_t r = resource_index(o, resource);
    if (r == NONE) {
        return all;
    }
    for (size_t i = 0; i < o->policy->resources[r].reserves_n; i++) {
        const struct reserve *s = &o->policy->resources[r].reserves[i];
        if (s->priority && o->policy->resources[r].ageing_us) {
            return anyone(o, resource); /* who is first among its holders changes with age */
        }
        struct heads of_holder = first_ones(o, resource, s);
        bool surely = of_holder.some && !holder_sleeps(o, resource, s);
        for (size_t k = 0; k < of_holder.n; k++) {
            enum verdict_of below = below_share(o, of_holder.at[k], s);
            surely = surely && below == YES;
            if (below != NO) {
                add_head(&all, of_holder.at[k]);
            }
        }
        if (surely) {
            all.some = true;
            return all;
        }
    }
    struct heads others = first_ones(o, resource, NULL);
    for (size_t i = 0; i < others.n; i++) {
        add_head(&all, others.at[i]);
    }
    all.some = others.some;
    return all;
}

/* --- Passing a stalled head --- */

/* How many resources are charged to a limit. */
static size_t users_of(const struct oracle *o, size_t ident)
{
    size_t n = 0;
    for (size_t r = 0; r < o->policy->resources_n; r++) {
        for (size_t l = 0; l < o->policy->resources[r].limits_n; l++) {
            n += o->ident_of[r][l] == ident;
        }
    }
    return n;
}

/* Whether only time gives anything back to a limit, so that it is known when its head will fit.
 * (A cancel gives back as well, but nobody can count on one.) */
static bool is_certain(const struct oracle *o, const struct ask *a)
{
    const struct limit *l = a->limit;
    return users_of(o, a->ident) == 1 && l->window == WINDOW_ROLLING &&
           l->charge == CHARGE_AT_GRANT && l->settle == SETTLE_KEEP &&
           l->on_expire == EXPIRE_FULL && l->scope == SCOPE_RESOURCE;
}

/* Whether what g takes of one limit now leaves to h what it needs of it: now, or when it will fit.
 */
static bool leaves_enough(struct oracle *o, const struct ask *g, const struct ask *h)
{
    const struct limit *l = g->limit;
    struct sum s = sum_of(o, g->ident, g->key);
    bool slice = !l->slice_us || s.slice_used + g->n + h->n <= limit_slice(l);
    if (s.free - g->n >= h->n || !is_certain(o, g)) {
        return slice && s.free - g->n >= h->n;
    }
    int64_t at_us = rolling_fits_us(o, g->ident, h->n);
    int64_t mine = at_us < rolling_leave_us(l, o->now_us) ? g->n : 0;
    return slice && at_us != INT64_MAX &&
           rolling_used_at(o, g->ident, at_us) + mine + h->n <= limit_amount(l);
}

/* Whether granting g cannot delay h. `shared`: by the shared limits of h's resource alone. */
static bool passes(struct oracle *o, const struct waiter *g, const struct waiter *h, bool shared)
{
    struct ask of_g[CHARGES_MAX], of_h[CHARGES_MAX];
    size_t g_n = asks_of(o, g, of_g), h_n = asks_of(o, h, of_h);
    for (size_t i = 0; i < g_n; i++) {
        const struct ask *a = &of_g[i];
        if (a->limit->scope != SCOPE_RESOURCE || (shared && !a->limit->shared[0])) {
            continue;
        }
        for (size_t k = 0; k < h_n; k++) {
            if (of_h[k].ident == a->ident && !leaves_enough(o, a, &of_h[k])) {
                return false;
            }
        }
    }
    return true;
}

/* --- Claims of heads of other resources on what they share --- */

/* YES where shared limits alone hold it: only then does its head claim for sure. */
static enum verdict_of held_by_shared(struct oracle *o, const struct waiter *w)
{
    struct ask asks[CHARGES_MAX];
    size_t n = asks_of(o, w, asks), shared = 0, own = 0;
    if (has_learned(o, w->resource) || health_allows(o, w->resource) != ALLOWS) {
        return PERHAPS;
    }
    for (size_t i = 0; i < n; i++) {
        const struct limit *l = asks[i].limit;
        bool fits_now = l->scope != SCOPE_RESOURCE || ask_fits(o, &asks[i]);
        own += !l->shared[0] && !fits_now;
        shared += l->shared[0] && !fits_now;
    }
    return shared == 0 ? NO : own == 0 ? YES : PERHAPS;
}

/* Whether what several stalled heads claim together leaves room for w. */
static bool together_too_much(struct oracle *o, const struct waiter *w,
                              const struct waiter *const *claimants, size_t claimants_n)
{
    struct ask of_w[CHARGES_MAX], of_h[CHARGES_MAX];
    size_t n = asks_of(o, w, of_w);
    for (size_t i = 0; i < n; i++) {
        int64_t sum = of_w[i].n;
        for (size_t k = 0; k < claimants_n; k++) {
            size_t h_n = asks_of(o, claimants[k], of_h);
            for (size_t m = 0; m < h_n; m++) {
                sum += of_h[m].ident == of_w[i].ident ? of_h[m].n : 0;
            }
        }
        struct sum s = sum_of(o, of_w[i].ident, of_w[i].key);
        if (of_w[i].limit->shared[0] &&
            (s.free < sum || !slice_passes(of_w[i].limit, s.slice_used, sum))) {
            return true;
        }
    }
    return false;
}

/* Whether stalled heads of other resources keep w from being granted; `fitting`: or heads that fit,
 * and are granted what w needs as soon as it is their turn. */
static enum verdict_of claimed_against(struct oracle *o, const struct waiter *w, bool fitting)
{
    const struct waiter *claimants[HEADS_MAX];
    size_t claimants_n = 0;
    enum verdict_of answer = NO;
    for (size_t r = 0; r < o->policy->resources_n; r++) {
        const char *resource = o->policy->resources[r].name;
        if (strcmp(resource, w->resource) == 0) {
            continue;
        }
        struct heads h = heads_of(o, resource);
        bool surely = h.some && h.n > 0;
        for (size_t i = 0; i < h.n; i++) {
            enum verdict_of first = plainly_before(o, h.at[i], w);
            enum verdict_of held = held_by_shared(o, h.at[i]);
            bool claims = first != NO && (held != NO || fitting);
            surely = surely && first == YES && held == YES && !passes(o, w, h.at[i], true);
            if (claims && claimants_n < HEADS_MAX) {
                claimants[claimants_n++] = h.at[i];
            }
        }
        answer = surely ? YES : answer;
    }
    bool perhaps = claimants_n && together_too_much(o, w, claimants, claimants_n);
    return answer == YES ? YES : perhaps ? PERHAPS : NO;
}

/* --- Judgements --- */

/* Nothing is granted beyond an amount that the provider has told. */
static void judge_told(struct oracle *o, const struct ask *a)
{
    const struct ident *id = &o->idents[a->ident];
    bool counts = id->window == WINDOW_ROLLING || id->window == WINDOW_CALENDAR;
    struct sum s = sum_of(o, a->ident, a->key);
    if (id->told > 0 && counts && s.used + s.held + a->n > told_amount(id)) {
        wrong(o, "P1: granted %lld of %s with %lld used, %lld held, where the provider told %lld",
              (long long)a->n, a->limit->name, (long long)s.used, (long long)s.held,
              (long long)id->told);
    }
}

static void judge_fit(struct oracle *o, const struct waiter *g)
{
    struct ask asks[CHARGES_MAX];
    size_t n = asks_of(o, g, asks);
    for (size_t i = 0; i < n; i++) {
        struct sum s = sum_of(o, asks[i].ident, asks[i].key);
        judge_told(o, &asks[i]);
        if (s.free < asks[i].n) {
            wrong(o, "P1: granted %lld of %s (key \"%s\") where %lld were free",
                  (long long)asks[i].n, asks[i].limit->name, asks[i].key, (long long)s.free);
        } else if (!slice_passes(asks[i].limit, s.slice_used, asks[i].n)) {
            wrong(o, "P1: granted %lld of %s where its slice of %lld had %lld used",
                  (long long)asks[i].n, asks[i].limit->name, (long long)limit_slice(asks[i].limit),
                  (long long)s.slice_used);
        }
    }
}

void judge_grant(struct oracle *o, const struct waiter *g)
{
    judge_fit(o, g);
    o->counts.grants++;
    if (g->away) {
        wrong(o, "P4: granted to a request that is away");
    }
    if (o->late || o->shifting) {
        return;
    }
    if (eligible(o, g) == NO) {
        wrong(o, "P4: granted before an earlier request that sleeps at the same scoped counter");
        return;
    }
    struct heads h = heads_of(o, g->resource);
    bool justified = h.n == 0 || !h.some, head = false, passed = false;
    for (size_t i = 0; i < h.n; i++) {
        head = head || h.at[i] == g;
    }
    o->counts.ordered += head && h.n == 1;
    for (size_t i = 0; i < h.n && !head && !justified; i++) {
        bool learned = has_learned(o, g->resource);
        bool stalled = !waiter_fits(o, h.at[i]) || claimed_against(o, h.at[i], true) != NO;
        passed = stalled && passes(o, g, h.at[i], false);
        justified = passed || learned;
    }
    o->counts.passes += passed && !head;
    if (!head && !justified) {
        wrong(o,
              "P4: granted to caller %llu (prio %d, tenant \"%s\") past caller %llu (prio %d, "
              "tenant \"%s\"), one of %zu that may be the head",
              (unsigned long long)g->caller, g->priority, g->tenant,
              (unsigned long long)h.at[0]->caller, h.at[0]->priority, h.at[0]->tenant, h.n);
    }
    if (claimed_against(o, g, false) == YES) {
        wrong(o, "P4: granted what a stalled head of another resource claims of a shared limit");
    }
}

void judge_idle(struct oracle *o, int64_t now_us)
{
    int64_t before_us = o->now_us;
    o->now_us = now_us;
    forget_sums(o);
    for (size_t r = 0; o->policy && r < o->policy->resources_n && !o->draining; r++) {
        struct heads h = heads_of(o, o->policy->resources[r].name);
        struct heads ordinary = first_ones(o, o->policy->resources[r].name, NULL);
        /* That time alone brings a reserve's holder below its share need not be seen at once. */
        for (size_t i = 0; i < ordinary.n; i++) {
            add_head(&h, ordinary.at[i]);
        }
        const char *name = o->policy->resources[r].name;
        bool idle = h.some && ordinary.some && h.n > 0 && health_allows(o, name) == ALLOWS &&
                    !has_learned(o, name);
        for (size_t i = 0; i < h.n && idle; i++) {
            idle = waiter_fits(o, h.at[i]) && claimed_against(o, h.at[i], false) == NO;
        }
        if (idle) {
            wrong(o, "P3: caller %llu (prio %d, tenant \"%s\") waits for %s and fits at %lld",
                  (unsigned long long)h.at[0]->caller, h.at[0]->priority, h.at[0]->tenant,
                  h.at[0]->resource, (long long)now_us);
        }
    }
    o->now_us = before_us;
    forget_sums(o);
}
