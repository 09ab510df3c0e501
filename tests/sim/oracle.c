/* Follows the events and effects, and judges each effect as it comes. */
#include "oracle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_estimates.h"
#include "oracle_health.h"
#include "oracle_order.h"
#include "oracle_routes.h"
#include "oracle_state.h"

void wrong(struct oracle *o, const char *format, ...)
{
    char text[600];
    if (o->problem->len) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buf_addf(o->problem, "at %lld: %s\n", (long long)o->now_us, text);
}

struct oracle *oracle_new(struct buf *problem, bool late)
{
    struct oracle *o = calloc(1, sizeof(*o));
    if (!o) {
        abort();
    }
    o->problem = problem;
    o->late = late;
    o->starting = true;
    return o;
}

void oracle_free(struct oracle *o)
{
    for (size_t i = 0; i < o->idents_n; i++) {
        free(o->idents[i].charges);
        free(o->idents[i].deeds);
        free(o->idents[i].pages);
        free(o->idents[i].page_notes);
    }
    free(o->facts);
    free(o->renewals);
    free(o->idents);
    free(o->waiters);
    free(o->tags);
    free(o->vtimes);
    free(o->conditions);
    free(o->notes);
    free(o->samples);
    free(o);
}

struct oracle_counts oracle_counts(const struct oracle *o)
{
    return o->counts;
}

/* --- The line as the events tell it --- */

static struct waiter *waiter_of_caller(struct oracle *o, caller_id caller)
{
    for (size_t i = 0; caller && i < o->waiters_n; i++) {
        if (o->waiters[i].caller == caller) {
            return &o->waiters[i];
        }
    }
    return NULL;
}

static struct waiter *waiter_of_ticket(struct oracle *o, uint64_t ticket)
{
    for (size_t i = 0; ticket && i < o->waiters_n; i++) {
        if (o->waiters[i].ticket == ticket) {
            return &o->waiters[i];
        }
    }
    return NULL;
}

static struct waiter *waiter_of_id(struct oracle *o, const char *tenant, const char *id)
{
    for (size_t i = 0; id[0] && i < o->waiters_n; i++) {
        if (strcmp(o->waiters[i].id, id) == 0 &&
            (!tenant || strcmp(o->waiters[i].tenant, tenant) == 0)) {
            return &o->waiters[i];
        }
    }
    return NULL;
}

static void remove_waiter(struct oracle *o, struct waiter *w)
{
    struct waiter gone = *w;
    memmove(w, w + 1, (size_t)(o->waiters + o->waiters_n - (w + 1)) * sizeof(*w));
    o->waiters_n--;
    o->moment++;
    tags_leave(o, &gone);
}

static void copy(char *out, size_t size, struct text t)
{
    snprintf(out, size, "%.*s", (int)t.len, t.len ? t.at : "");
}

static void add_waiter(struct oracle *o, const struct event *e)
{
    const struct acquire *a = &e->acquire;
    ROOM(o, waiters);
    struct waiter *w = &o->waiters[o->waiters_n++];
    memset(w, 0, sizeof(*w));
    w->caller = e->caller;
    w->seq = ++o->next_seq;
    w->arriving = true;
    w->enqueued_us = o->now_us;
    w->deadline_us = o->now_us + a->wait_us;
    w->hold_at_us = o->now_us + a->hold_us;
    w->load = a->load;
    price_load(o, a, &w->load);
    w->attempt = 1;
    w->attempts_max = a->attempts_max;
    w->priority = a->priority;
    w->parent = a->parent;
    w->wait_us = a->wait_us;
    w->lease_us = a->lease_us;
    copy(w->resource, sizeof(w->resource), a->resource);
    copy(w->tenant, sizeof(w->tenant), a->tenant);
    copy(w->session, sizeof(w->session), a->session);
    copy(w->labels, sizeof(w->labels), a->labels);
    copy(w->id, sizeof(w->id), a->id);
    w->resource_at = resource_index(o, w->resource);
    route_arrives(o, a, w);
}

/* --- What each event must be answered with --- */

enum expected_kind {
    EXPECT_NOTHING,
    EXPECT_LINE,
    EXPECT_REPEATED_GRANT,
    EXPECT_REFUSAL,
    EXPECT_SETTLED,
    EXPECT_LATE,
    EXPECT_REPEATED_SETTLE,
    EXPECT_RENEWED,
    EXPECT_CANCELLED,
    EXPECT_ANY
};

struct expected {
    enum expected_kind kind;
    enum error_code code;
    unsigned limits;
    bool doubtful;      /* any other answer is as good */
    caller_id replaced; /* a caller who must be told `cancelled` */
    const struct fact *fact;
    size_t answers; /* counted while the effects come */
};

static bool is_remembered(const struct oracle *o, const struct fact *f)
{
    return !f->lost && (f->end == END_OPEN || o->now_us_max - f->end_us < LEASE_REMEMBERED_US);
}

/* Where leases are capped, those that ended are forgotten early. */
static bool leases_are_full(const struct oracle *o)
{
    size_t n = 0;
    for (size_t i = 0; i < o->facts_n; i++) {
        n += is_remembered(o, &o->facts[i]);
    }
    return n >= (size_t)o->policy->leases_max || o->policy->counters_max < 1000;
}

static const struct fact *fact_of_id(const struct oracle *o, const char *tenant, const char *id)
{
    for (size_t i = o->facts_n; id[0] && i > 0; i--) {
        const struct fact *f = &o->facts[i - 1];
        if (!f->lost && !f->id_moved && strcmp(f->id, id) == 0 &&
            (!tenant || strcmp(f->tenant, tenant) == 0)) {
            return f;
        }
    }
    return NULL;
}

static void take_place(struct oracle *o, struct waiter *old, const struct waiter *now,
                       struct expected *x)
{
    x->kind = EXPECT_LINE;
    x->replaced = old->caller;
    old->caller = now->caller;
    old->hold_at_us = now->hold_at_us;
    old->away = false;
    o->waiters_n--;
}

/* How long an ended lease is remembered at least is promised, how long at most is not; where leases
 * are capped, not even that. So where the core says it knows an id, it may. */
static bool claims_to_know(const struct event *e, const struct effects *effects)
{
    for (size_t i = 0; i < effects->len; i++) {
        const struct effect *f = &effects->at[i];
        if (f->caller == e->caller &&
            ((f->kind == EFFECT_GRANT && f->grant.repeated) ||
             (f->kind == EFFECT_REFUSE && f->refuse.code == ERR_ID_IN_USE))) {
            return true;
        }
    }
    return false;
}

static void expect_acquire(struct oracle *o, const struct event *e, const struct effects *effects,
                           struct expected *x)
{
    add_waiter(o, e);
    struct waiter *w = &o->waiters[o->waiters_n - 1];
    estimates_begin(o, w);
    o->waiters_n--;
    struct waiter *same = waiter_of_id(o, w->tenant, w->id);
    const struct fact *f = fact_of_id(o, w->tenant, w->id);
    o->waiters_n++;
    bool known = !o->draining && (w->resource_at != NONE || w->route_at != NONE);
    bool forgotten = f && (!is_remembered(o, f) || leases_are_full(o));
    f = forgotten && (same || !claims_to_know(e, effects)) ? NULL : f;
    x->kind = EXPECT_REFUSAL;
    if (known && f && !same_lease(o, f, w)) {
        x->code = ERR_ID_IN_USE;
        return;
    }
    if (known && f) {
        x->kind = EXPECT_REPEATED_GRANT;
        x->fact = f;
        o->waiters_n--;
        return;
    }
    if (known && same && !same_request(o, same, w)) {
        x->code = ERR_ID_IN_USE;
        return;
    }
    if (known && same) {
        take_place(o, same, w, x);
        return;
    }
    if (w->route_at != NONE) {
        route_locate(o, effects, w);
    } else if (is_guessed(o, w, w->resource_at)) {
        estimate_locate(o, effects, w);
    }
    x->code = expected_refusal(o, w, &x->limits, &x->doubtful);
    x->doubtful = x->doubtful || leases_are_full(o) || w->untold;
    if (x->code == ERR_NONE || x->doubtful) {
        tags_arrive(o, w);
    }
    x->kind = x->code == ERR_NONE ? EXPECT_LINE : EXPECT_REFUSAL;
}

static bool may_touch(const struct event *e, const char *tenant)
{
    return e->any_tenant || text_equal(e->tenant, text_of(tenant));
}

static void expect_resume(struct oracle *o, const struct event *e, struct expected *x)
{
    struct waiter *w = waiter_of_ticket(o, e->resume.ticket);
    if (!w || !may_touch(e, w->tenant)) {
        *x = (struct expected){.kind = EXPECT_REFUSAL, .code = ERR_UNKNOWN_TICKET};
        return;
    }
    x->kind = EXPECT_LINE;
    x->replaced = w->caller;
    w->caller = e->caller;
    w->away = false;
    w->hold_at_us = o->now_us + e->resume.hold_us;
}

static void expect_release(struct oracle *o, const struct event *e, struct expected *x)
{
    const struct fact *f = find_fact(o, e->release.lease);
    x->fact = f;
    if (!f || !may_touch(e, f->tenant)) {
        *x = (struct expected){.kind = EXPECT_REFUSAL, .code = ERR_UNKNOWN_LEASE};
        return;
    }
    x->doubtful = !is_remembered(o, f) || leases_are_full(o);
    x->kind = f->end == END_OPEN                  ? EXPECT_SETTLED
              : f->end == END_EXPIRED && !f->late ? EXPECT_LATE
                                                  : EXPECT_REPEATED_SETTLE;
}

static void expect_renew(struct oracle *o, const struct event *e, struct expected *x)
{
    const struct fact *f = find_fact(o, e->renew.lease);
    x->fact = f;
    if (!f || f->end != END_OPEN || !may_touch(e, f->tenant)) {
        *x = (struct expected){.kind = EXPECT_REFUSAL, .code = ERR_UNKNOWN_LEASE};
        return;
    }
    x->kind = EXPECT_RENEWED;
}

static void expect_cancel(struct oracle *o, const struct event *e, struct expected *x)
{
    char id[KEY_MAX], tenant[KEY_MAX];
    copy(id, sizeof(id), e->cancel.id);
    copy(tenant, sizeof(tenant), e->tenant);
    const char *of = e->any_tenant ? NULL : tenant;
    struct waiter *w =
        e->cancel.ticket ? waiter_of_ticket(o, e->cancel.ticket) : waiter_of_id(o, of, id);
    if (w && may_touch(e, w->tenant)) {
        x->kind = EXPECT_CANCELLED;
        x->replaced = w->caller;
        remove_waiter(o, w);
        return;
    }
    const struct fact *f = e->cancel.ticket  ? NULL
                           : e->cancel.lease ? find_fact(o, e->cancel.lease)
                                             : fact_of_id(o, of, id);
    f = f && may_touch(e, f->tenant) ? f : NULL;
    x->kind = f && f->end == END_OPEN ? EXPECT_CANCELLED : EXPECT_REFUSAL;
    x->code = ERR_UNKNOWN_TICKET;
    x->doubtful = x->kind == EXPECT_REFUSAL || e->any_tenant;
    x->fact = f;
}

static void before_effects(struct oracle *o, const struct event *e, const struct effects *effects,
                           struct expected *x)
{
    struct waiter *w;
    memset(x, 0, sizeof(*x));
    o->now_us = max_i64(o->now_us, e->now_us);
    o->now_us_max = max_i64(o->now_us_max, o->now_us);
    o->skew_us = o->starting && e->kind == EVENT_CLOCK ? e->skew_us : o->skew_us;
    history_advance(o);
    bool started = o->starting && e->kind != EVENT_CONFIGURE;
    if (started) {
        history_started(o);
    }
    o->starting &= !started;
    forget_sums(o);
    switch (e->kind) {
    case EVENT_ACQUIRE: expect_acquire(o, e, effects, x); break;
    case EVENT_RESUME: expect_resume(o, e, x); break;
    case EVENT_RELEASE: expect_release(o, e, x); break;
    case EVENT_RENEW: expect_renew(o, e, x); break;
    case EVENT_CANCEL: expect_cancel(o, e, x); break;
    case EVENT_HANGUP:
        w = waiter_of_caller(o, e->caller);
        if (w) {
            remove_waiter(o, w);
        }
        break;
    case EVENT_CLOCK:
        o->skew_us = e->skew_us;
        history_advance(o);
        break;
    case EVENT_DRAIN: o->draining = true; break;
    case EVENT_CONFIGURE: history_configure(o, e->policy); break;
    default: break;
    }
    estimates_learn(o, e, effects);
    routes_locate(o, effects);
    health_event(o, e, effects);
    o->moment++;
}

/* --- P9 --- */

static bool is_held_by(struct oracle *o, const struct waiter *w, const char *limit)
{
    size_t r = w->resource_at;
    for (size_t l = 0; r != NONE && l < o->policy->resources[r].limits_n; l++) {
        const struct limit *x = &o->policy->resources[r].limits[l];
        if (strcmp(x->name, limit) == 0) {
            if (o->idents[o->ident_of[r][l]].learns) {
                return true;
            }
            char key[KEY_MAX];
            bool mine = charged_key(o->policy, x, &o->policy->resources[r], PAYER(w), key);
            struct sum s = sum_of(o, o->ident_of[r][l], key);
            int64_t n = mine ? w->load.of[x->unit] : 0;
            return n > 0 &&
                   (s.free < n || x->scope != SCOPE_RESOURCE || x->shared[0] ||
                    (x->slice_us && s.slice_used > 0 && s.slice_used + n > limit_slice(x)));
        }
    }
    return false;
}

/* Whoever moves in this step may still have stood elsewhere when that was said. */
static bool held_before_it_moved(struct oracle *o, const struct waiter *w, const char *limit)
{
    struct waiter there;
    for (size_t i = 0; o->shifting && route_step_waiter(o, w, i, &there); i++) {
        if (is_held_by(o, &there, limit)) {
            return true;
        }
    }
    return false;
}

/* A named limit holds the request itself, or one that stands before it. At a counter of a scope one
 * may stand behind others without its being full, and of a pool others may claim the rest. */
static void judge_held_by(struct oracle *o, const struct waiter *w, const struct held_by *h)
{
    if (h->limits_n > HELD_BY_MAX) {
        wrong(o, "P9: too many limits named");
        return;
    }
    for (size_t i = 0; i < h->limits_n; i++) {
        bool state = is_state_name(h->limits[i]) && health_allows(o, w->resource) != ALLOWS;
        bool holds = state || is_held_by(o, w, h->limits[i]);
        for (size_t k = 0; k < o->waiters_n && !holds; k++) {
            holds = is_held_by(o, &o->waiters[k], h->limits[i]) ||
                    held_before_it_moved(o, &o->waiters[k], h->limits[i]);
        }
        if (!holds) {
            wrong(o, "P9: caller %llu is said to be held by %s, which holds nobody",
                  (unsigned long long)w->caller, h->limits[i]);
        }
    }
}

static void judge_position(struct oracle *o, const struct waiter *w, int64_t position)
{
    int64_t earlier = 0, retries = 0;
    int mine = effective_priority(o, w, o->now_us);
    for (size_t i = 0; i < o->waiters_n; i++) {
        const struct waiter *x = &o->waiters[i];
        int its = effective_priority(o, x, o->now_us);
        /* A retry has its old place, but is counted as having come when it came again; the same for
         * one who has come from another line. */
        retries += strcmp(x->resource, w->resource) == 0 && (x->attempt > 1 || x->route[0]);
        earlier += strcmp(x->resource, w->resource) == 0 &&
                   (its < mine || (its == mine && x->seq < w->seq));
    }
    size_t r = w->resource_at;
    bool ageing = r != NONE && o->policy->resources[r].ageing_us;
    /* When a tick comes late, others whose time is up may have left before. */
    bool late = w->deadline_us < o->now_us || w->hold_at_us < o->now_us;
    bool came_again = w->attempt > 1 || w->route[0] || o->shifting;
    bool far = llabs(position - (earlier + 1)) > retries && !came_again;
    if (position < 1 || (!ageing && !late && far)) {
        wrong(o, "P9: caller %llu is said to be at position %lld, and is at %lld",
              (unsigned long long)w->caller, (long long)position, (long long)earlier + 1);
    }
}

/* --- Effects --- */

static void see_record(struct oracle *o, const struct event *e, const struct effects *effects,
                       size_t i)
{
    const struct record *r = &effects->at[i].record;
    if (r->kind == RECORD_GRANT) {
        for (size_t k = i + 1; k < effects->len; k++) {
            const struct effect *g = &effects->at[k];
            if (g->kind == EFFECT_GRANT && g->grant.lease == r->lease) {
                const struct waiter *w = waiter_of_caller(o, g->caller);
                if (w) {
                    judge_way(o, w, g);
                    judge_grant(o, w);
                }
                history_record(o, r);
                return;
            }
        }
        wrong(o, "P8: a grant is recorded of which nobody is told");
    }
    if ((r->kind == RECORD_CANCEL && e->kind != EVENT_CANCEL) ||
        (r->kind == RECORD_SETTLE && e->kind != EVENT_RELEASE)) {
        wrong(o, "P6: a record says that a lease was cancelled, or that it was not");
    }
    history_record(o, r);
}

static void see_grant(struct oracle *o, const struct effect *f, struct expected *x,
                      const struct event *e)
{
    const struct fact *fact = find_fact(o, f->grant.lease);
    if (f->grant.repeated) {
        x->answers++;
        if (x->kind != EXPECT_REPEATED_GRANT || f->caller != e->caller || x->fact != fact) {
            wrong(o, "P6: a repeated grant that was not asked for");
        }
        return;
    }
    struct waiter *w = waiter_of_caller(o, f->caller);
    if (!w || !fact || fact->grant_record + 64 * 64 < o->records) {
        wrong(o, "P6: granted to caller %llu, who does not wait, or without a record",
              (unsigned long long)f->caller);
        return;
    }
    x->answers += f->caller == e->caller;
    struct fact *granted = find_fact(o, f->grant.lease);
    granted->seq = w->seq;
    granted->lease_us = w->lease_us;
    granted->wait_left_us = max_i64(0, w->deadline_us - o->now_us);
    granted->attempt = w->attempt;
    granted->attempts_max = w->attempts_max;
    granted->asked = w->asked;
    granted->has_usd = w->has_usd;
    granted->has_input = w->has_input;
    granted->has_output = w->has_output;
    granted->input_bytes = w->input_bytes;
    granted->asked_known = w->asked_known;
    if (f->grant.attempt != w->attempt) {
        wrong(o, "attempt %d is said to be attempt %d", w->attempt, f->grant.attempt);
    }
    health_grants(o, w, fact);
    if (f->grant.waited_us != o->now_us - w->enqueued_us ||
        f->grant.expires_us != o->now_us + w->lease_us ||
        memcmp(&f->grant.held, &w->load, sizeof(w->load)) != 0 ||
        memcmp(&fact->load, &w->load, sizeof(w->load)) != 0 || fact->granted_us != o->now_us ||
        fact->expires_us != f->grant.expires_us || fact->parent != w->parent ||
        strcmp(fact->tenant, w->tenant) != 0 || strcmp(fact->session, w->session) != 0 ||
        strcmp(fact->resource, w->resource) != 0 || strcmp(fact->id, w->id) != 0 ||
        strcmp(fact->route, w->route) != 0 || (size_t)fact->step != f->grant.routed.step) {
        wrong(o, "a grant or its record says something else than was asked");
    }
    tags_grant(o, w);
    remove_waiter(o, w);
}

static void see_wait(struct oracle *o, const struct effect *f)
{
    struct waiter *w = waiter_of_caller(o, f->caller);
    if (!w || o->now_us < w->hold_at_us || f->wait.eta_us < 0 || !f->wait.ticket ||
        (w->ticket && w->ticket != f->wait.ticket)) {
        wrong(o, "P9: a ticket for caller %llu that is not due, or not the same, or with no eta",
              (unsigned long long)f->caller);
        return;
    }
    judge_held_by(o, w, &f->wait.held_by);
    judge_position(o, w, f->wait.position);
    if (f->wait.held_by.limits_n == 0 && !waiter_fits(o, w) && o->now_us >= w->not_before_us) {
        wrong(o, "P9: a ticket names no limit");
    }
    w->ticket = f->wait.ticket;
    w->away = true;
    w->away_us = max_i64(o->now_us, w->not_before_us);
    w->caller = 0;
    w->hold_at_us = INT64_MAX;
    o->moment++;
    o->aways = true;
}

static bool names_one_of(struct oracle *o, const struct waiter *w, const char *limit, unsigned bits)
{
    size_t r = w->resource_at;
    for (size_t l = 0; r != NONE && limit && l < o->policy->resources[r].limits_n; l++) {
        if ((bits & 1u << l) && strcmp(o->policy->resources[r].limits[l].name, limit) == 0) {
            return true;
        }
    }
    return bits == 0;
}

/* A refusal of a request that stands in line, for a reason that arose while it stood there. */
static void judge_line_refusal(struct oracle *o, struct waiter *w, const struct effect *f,
                               const struct event *e)
{
    bool ok = false;
    size_t limit;
    unsigned limits;
    if (w->untold) {
        judge_untold_refusal(o, w, f);
        return;
    }
    switch (f->refuse.code) {
    case ERR_WAIT_TIMEOUT:
        ok =
            w->wait_us > 0 && o->now_us >= w->deadline_us &&
            (f->refuse.held_by.limits_n > 0 || waiter_fits(o, w) || o->now_us < w->not_before_us) &&
            f->refuse.waited_us == o->now_us - w->enqueued_us;
        judge_held_by(o, w, &f->refuse.held_by);
        judge_position(o, w, f->refuse.position);
        break;
    case ERR_WOULD_WAIT:
        ok = w->arriving && w->wait_us == 0 && (f->refuse.limit || f->refuse.held_by.limits_n > 0);
        judge_held_by(o, w, &f->refuse.held_by);
        judge_idle(o, o->now_us);
        break;
    case ERR_LINE_FULL:
        /* It may have let another one pass, and then there is room again. */
        ok = w->arriving && (line_is_full(o, w) || o->counts.grants > o->grants_before);
        break;
    case ERR_OVER_CAP: ok = w->arriving && leases_are_full(o); break;
    case ERR_BUDGET_EXCEEDED:
        limit = must_refuse(o, w);
        ok = limit != NONE || has_learned(o, w->resource);
        break;
    case ERR_BREAKER_OPEN:
        ok = w->arriving && health_allows(o, w->resource) == ALLOWS_NOT &&
             (w->wait_us == 0 || health_closed_beyond(o, w->resource, w->deadline_us));
        break;
    case ERR_ROUTE_EXHAUSTED: ok = is_exhausted(o, w, f); break;
    case ERR_WOULD_DEADLOCK: ok = w->arriving && has_learned(o, w->resource); break;
    case ERR_SHUTTING_DOWN: ok = o->draining; break;
    case ERR_UNKNOWN_RESOURCE: ok = w->resource_at == NONE; break;
    case ERR_NEVER_FITS:
        ok = has_learned(o, w->resource) ||
             ((e->kind != EVENT_ACQUIRE || f->caller != e->caller) &&
              can_never_fit(o, w, &limits) && names_one_of(o, w, f->refuse.limit, limits));
        break;
    default: break;
    }
    if (!ok) {
        wrong(o, "P5: caller %llu is refused %s (limit %s), which is not so",
              (unsigned long long)f->caller, error_name(f->refuse.code),
              f->refuse.limit ? f->refuse.limit : "none");
    }
}

/* Whether a refusal by a limit says what a request asks of it. */
static bool says_what_is_asked(const struct oracle *o, const struct waiter *w,
                               const struct effect *f)
{
    const struct limit *limit = limit_named(o, w->resource_at, f->refuse.limit);
    return limit ? f->refuse.limit_asked == w->load.of[limit->unit] : !f->refuse.limit;
}

/* Nobody is told when an away request is refused; which one it was must show. */
static struct waiter *refused_away(struct oracle *o, const struct effect *f)
{
    unsigned limits;
    for (size_t i = 0; i < o->waiters_n; i++) {
        struct waiter *w = &o->waiters[i];
        bool fits_code =
            f->refuse.code == ERR_UNKNOWN_RESOURCE ? w->resource_at == NONE
            : f->refuse.code == ERR_NEVER_FITS && has_learned(o, w->resource) ? true
            : f->refuse.code == ERR_NEVER_FITS
                ? can_never_fit(o, w, &limits) && names_one_of(o, w, f->refuse.limit, limits)
                : o->draining;
        bool named = says_what_is_asked(o, w, f) && text_equal(f->refuse.id, text_of(w->id)) &&
                     text_equal(f->refuse.resource, text_of(w->resource));
        if (w->away && named && fits_code) {
            return w;
        }
    }
    return NULL;
}

static void see_refuse(struct oracle *o, const struct effect *f, struct expected *x,
                       const struct event *e)
{
    o->counts.refusals++;
    if (f->caller && f->caller == x->replaced && f->refuse.code == ERR_CANCELLED) {
        x->replaced = 0;
        return;
    }
    struct waiter *w = f->caller ? waiter_of_caller(o, f->caller) : refused_away(o, f);
    if (f->caller && f->caller == e->caller && x->kind == EXPECT_REFUSAL) {
        x->answers++;
        if (!x->doubtful &&
            (f->refuse.code != x->code || (w && !names_one_of(o, w, f->refuse.limit, x->limits)))) {
            wrong(o, "P5: refused %s (limit %s) where the rules say %s", error_name(f->refuse.code),
                  f->refuse.limit ? f->refuse.limit : "none", error_name(x->code));
        }
    } else if (f->caller == e->caller && x->doubtful && !w) {
        x->answers++;
        return;
    } else if (!w) {
        wrong(o, "refused %s to caller %llu, who does not wait", error_name(f->refuse.code),
              (unsigned long long)f->caller);
        return;
    } else {
        x->answers += f->caller == e->caller;
        judge_line_refusal(o, w, f, e);
    }
    if (w) {
        remove_waiter(o, w);
    }
}

static void see_settled(struct oracle *o, const struct effect *f, struct expected *x,
                        const struct event *e)
{
    x->answers++;
    enum expected_kind kind = f->settled.repeated ? EXPECT_REPEATED_SETTLE
                              : f->settled.late   ? EXPECT_LATE
                                                  : EXPECT_SETTLED;
    if (f->caller != e->caller || e->kind != EVENT_RELEASE ||
        f->settled.lease != e->release.lease) {
        wrong(o, "P6: a settlement that was not asked for");
    } else if (kind != x->kind && !(f->settled.repeated && f->settled.late)) {
        wrong(o, "P6: settled late=%d repeated=%d, which is not so", f->settled.late,
              f->settled.repeated);
    }
    if (x->fact && kind == EXPECT_SETTLED) {
        struct load want = booked_load(o, e, x->fact);
        if (memcmp(&want, &f->settled.settled, sizeof(want)) != 0 ||
            memcmp(&want, &x->fact->used, sizeof(want)) != 0 ||
            f->settled.held_for_us != o->now_us - x->fact->granted_us) {
            wrong(o, "P7: what was settled is not what was used");
        }
    }
    if (!o->problem->len) {
        health_settled(o, e, f);
    }
}

static void see_expired(struct oracle *o, const struct effect *f)
{
    const struct fact *fact = find_fact(o, f->expired.lease);
    if (!fact || fact->end != END_EXPIRED || fact->end_us != o->now_us ||
        fact->expires_us > o->now_us) {
        wrong(o, "P6: a lease is said to expire that is not due, or without a record");
    }
}

static void see_effect(struct oracle *o, const struct event *e, const struct effects *effects,
                       size_t i, struct expected *x)
{
    const struct effect *f = &effects->at[i];
    switch (f->kind) {
    case EFFECT_PERSIST: see_record(o, e, effects, i); break;
    case EFFECT_GRANT: see_grant(o, f, x, e); break;
    case EFFECT_WAIT: see_wait(o, f); break;
    case EFFECT_REFUSE: see_refuse(o, f, x, e); break;
    case EFFECT_SETTLED: see_settled(o, f, x, e); break;
    case EFFECT_RENEWED:
        x->answers++;
        if (x->kind != EXPECT_RENEWED || f->caller != e->caller ||
            f->renewed.expires_us != o->now_us + e->renew.lease_us) {
            wrong(o, "P6: renewed what was not asked for, or for another time");
        }
        break;
    case EFFECT_CANCELLED:
        x->answers++;
        if ((x->kind != EXPECT_CANCELLED && !x->doubtful) || f->caller != e->caller) {
            wrong(o, "P6: cancelled what was not asked for");
        }
        break;
    case EFFECT_EXPIRED: see_expired(o, f); break;
    case EFFECT_HEALTH: health_told(o, e, f); break;
    case EFFECT_BUDGET:
    case EFFECT_ALERT: break;
    }
}

static bool answered_at_once(const struct expected *x)
{
    return x->kind != EXPECT_NOTHING && x->kind != EXPECT_LINE && x->kind != EXPECT_ANY;
}

/* Those who are away are dropped without a word. */
static void drop_away(struct oracle *o)
{
    for (size_t i = o->waiters_n; i > 0; i--) {
        struct waiter *w = &o->waiters[i - 1];
        if (w->away && (o->now_us >= w->away_us + TICKET_KEPT_US || o->now_us >= w->deadline_us)) {
            remove_waiter(o, w);
        }
    }
}

void oracle_step(struct oracle *o, const struct core *core, const struct event *event,
                 const struct effects *effects)
{
    struct expected x;
    if (o->problem->len) {
        return;
    }
    o->grants_before = o->counts.grants;
    o->core = core;
    o->shifting = false;
    before_effects(o, event, effects, &x);
    for (size_t i = 0; i < effects->len && !o->problem->len; i++) {
        see_effect(o, event, effects, i, &x);
    }
    drop_away(o);
    if (o->problem->len) {
        return;
    }
    if (x.replaced) {
        wrong(o, "caller %llu has lost its place and is not told", (unsigned long long)x.replaced);
    }
    if (answered_at_once(&x) && x.answers != 1 && !(x.doubtful && x.answers == 0)) {
        wrong(o, "an event was answered %zu times", x.answers);
    }
    for (size_t i = 0; i < o->waiters_n; i++) {
        struct waiter *w = &o->waiters[i];
        if (w->arriving && w->wait_us == 0) {
            wrong(o, "P5: caller %llu does not want to wait, and waits",
                  (unsigned long long)w->caller);
        }
        if (w->arriving && health_closed_beyond(o, w->resource, w->deadline_us)) {
            wrong(o, "P5: caller %llu waits in vain for a resource that is closed",
                  (unsigned long long)w->caller);
        }
        w->arriving = false;
    }
}
