#include "oracle_health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_order.h"
#include "oracle_routes.h"

#define PPM 1000000.0

static struct condition *condition_of(struct oracle *o, const char *resource)
{
    for (size_t i = 0; i < o->conditions_n; i++) {
        if (strcmp(o->conditions[i].resource, resource) == 0) {
            return &o->conditions[i];
        }
    }
    ROOM(o, conditions);
    struct condition *c = &o->conditions[o->conditions_n++];
    *c = (struct condition){.state = HEALTH_OK, .refused_us = INT64_MIN};
    snprintf(c->resource, sizeof(c->resource), "%s", resource);
    return c;
}

static const struct feedback *feedback_of(const struct oracle *o, const char *resource)
{
    static const struct feedback none;
    size_t r = resource_index(o, resource);
    return r == NONE ? &none : &o->policy->resources[r].feedback;
}

/* --- What is written down. --- */

static bool is_named(const struct ident *id, const struct note *n)
{
    bool named = id->live && strcmp(id->name, n->limit) == 0;
    return named && (id->pool || strcmp(id->resource, n->resource) == 0);
}

static bool counts_as_then(const struct limit *now, const struct limit *then)
{
    return now->unit == then->unit && now->window == then->window && now->step == then->step &&
           now->per_us == then->per_us;
}

void health_noted(struct oracle *o, const struct record *r)
{
    ROOM(o, notes);
    struct note *n = &o->notes[o->notes_n++];
    memset(n, 0, sizeof(*n));
    n->record = o->records;
    n->kind = r->kind;
    snprintf(n->resource, sizeof(n->resource), "%.*s", (int)r->resource.len, r->resource.at);
    snprintf(n->limit, sizeof(n->limit), "%.*s", (int)r->limit.len, r->limit.at);
    if (r->kind == RECORD_HEALTH) {
        n->health = r->health;
    } else {
        n->learned = r->learned;
    }
    for (size_t i = 0; i < o->idents_n; i++) {
        n->counts = is_named(&o->idents[i], n) ? *o->idents[i].limit : n->counts;
    }
}

static const struct note *newest_note(const struct oracle *o, const char *resource)
{
    for (size_t i = o->notes_n; i > 0; i--) {
        const struct note *n = &o->notes[i - 1];
        if (n->kind == RECORD_HEALTH && strcmp(n->resource, resource) == 0) {
            return n;
        }
    }
    return NULL;
}

void health_written(struct oracle *o)
{
    for (size_t i = 0; i < o->conditions_n; i++) {
        const struct condition *c = &o->conditions[i];
        const struct note *n = c->told ? newest_note(o, c->resource) : NULL;
        if (c->told && (!n || n->health.state != c->state || n->health.until_us != c->until_us)) {
            wrong(o, "health: %s is %s until %lld, and no record says so", c->resource,
                  health_state_name(c->state), (long long)c->until_us);
        }
    }
}

/* A restart finds the state as the newest record has it; time goes on from there. */
static void condition_back(struct oracle *o, const struct note *n)
{
    struct condition *c = condition_of(o, n->resource);
    const struct health_fact *h = &n->health;
    c->told = true;
    c->state = h->state;
    c->until_us = h->until_us;
    c->probe = h->probe;
    c->refusals = h->refusals;
    c->refused_us = h->incident_us;
    c->rate_ppm = h->rate_ppm;
    c->growth = (double)h->growth_ppm / 60e6;
    c->rate_at_us = h->rate_at_us;
    c->next_low_us = c->next_high_us = (double)h->next_us;
    c->cool_us = h->cool_us;
}

static void ident_back(struct oracle *o, const struct note *n)
{
    for (size_t i = 0; i < o->idents_n; i++) {
        struct ident *id = &o->idents[i];
        if (!is_named(id, n) || !counts_as_then(id->limit, &n->counts)) {
            continue;
        }
        id->learns = true;
        if (!id->pool) { /* what is told of pools is not judged: note_learning */
            id->told = n->learned.told;
            id->told_by = n->learned.told_by;
        }
    }
}

/* Those that were lost have not been. */
static void notes_back(struct oracle *o)
{
    while (o->notes_n && o->notes[o->notes_n - 1].record > o->records) {
        o->notes_n--;
    }
    for (size_t i = 0; i < o->notes_n; i++) {
        const struct note *n = &o->notes[i];
        if (n->kind == RECORD_HEALTH) {
            condition_back(o, n);
        } else {
            ident_back(o, n);
        }
    }
}

void health_crash(struct oracle *o)
{
    o->conditions_n = 0;
    for (size_t i = 0; i < o->facts_n; i++) { /* what a retry inherits is not in the journal */
        struct fact *f = &o->facts[i];
        f->seq = 0;
        f->wait_left_us = f->lease_us = 0;
        f->attempts_max = 0;
        f->asked_known = false;
        f->has_input = f->has_output = true;
        f->input_bytes = 0;
    }
    o->samples_n = 0;
    for (size_t i = 0; i < o->idents_n; i++) {
        struct ident *id = &o->idents[i];
        /* Such a counter's record tells what others were seen to use with what was ours. */
        bool stored = id->window == WINDOW_CALENDAR || id->window == WINDOW_BUCKET;
        id->learns = id->live && (id->limit->learned || (id->learns && stored));
        id->told = 0;
        id->told_by = 0;
    }
    notes_back(o);
}

bool is_state_name(const char *name)
{
    for (int i = HEALTH_OK + 1; i < HEALTH_STATES; i++) {
        if (strcmp(health_state_name((enum health_state)i), name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_closed(enum health_state state)
{
    return state != HEALTH_OK && state != HEALTH_RECOVERING && state != HEALTH_PROBING;
}

/* --- What may be learned. --- */

/* Of which of the provider's limits its headers must tell. */
static enum reading_span told_span(const struct limit *l)
{
    bool calendar = l->window == WINDOW_CALENDAR;
    if (l->window != WINDOW_ROLLING && l->window != WINDOW_BUCKET && !calendar) {
        return READING_SPANS;
    }
    return (calendar ? l->step == STEP_SECOND : l->per_us == US_PER_S)     ? READING_SECOND
           : (calendar ? l->step == STEP_MINUTE : l->per_us == US_PER_MIN) ? READING_MINUTE
           : (calendar ? l->step == STEP_DAY : l->per_us == US_PER_DAY)    ? READING_DAY
           : calendar && l->step == STEP_MONTH                             ? READING_MONTH
                                                                           : READING_SPANS;
}

void health_configured(struct ident *id, const struct limit *now)
{
    if (told_span(id->limit) != told_span(now)) {
        id->told = 0;
        id->told_by = 0;
    }
}

/* The amount that the newest call was told holds from then on, where it is the stricter one. */
static void note_told(struct ident *id, const struct fact *f, const struct answer *a)
{
    enum reading_span span = told_span(id->limit);
    for (size_t i = 0; i < a->readings_n; i++) {
        const struct reading *r = &a->readings[i];
        if (r->unit == id->unit && r->span == span) {
            bool says = r->limit > 0 && f->lease >= id->told_by;
            id->told = says ? r->limit : id->told;
            id->told_by = says ? f->lease : id->told_by;
            return;
        }
    }
}

/* A refusal may lengthen guards, and readings may do anything in the safe direction. */
static void note_learning(struct oracle *o, size_t r, const struct fact *f, const struct answer *a)
{
    for (size_t l = 0; l < o->policy->resources[r].limits_n; l++) {
        const struct limit *limit = &o->policy->resources[r].limits[l];
        bool guard = limit->window == WINDOW_ROLLING && a->class == ANSWER_WAIT;
        struct ident *id = &o->idents[o->ident_of[r][l]];
        if (limit->scope == SCOPE_RESOURCE && (guard || a->readings_n > 0)) {
            id->learns = true;
        }
        if (limit->scope == SCOPE_RESOURCE && !limit->shared[0]) {
            note_told(id, f, a);
        }
    }
}

bool has_learned(const struct oracle *o, const char *resource)
{
    size_t r = resource_index(o, resource);
    for (size_t l = 0; r != NONE && l < o->policy->resources[r].limits_n; l++) {
        if (o->idents[o->ident_of[r][l]].learns) {
            return true;
        }
    }
    return false;
}

/* --- Answers. --- */

static bool is_refusal(const struct answer *a)
{
    return a &&
           (a->class == ANSWER_WAIT || a->class == ANSWER_SLOW_DOWN || a->class == ANSWER_OVERLOAD);
}

bool release_is_settled(const struct event *e, const struct effects *effects)
{
    for (size_t i = 0; i < effects->len; i++) {
        const struct effect *f = &effects->at[i];
        if (f->kind == EFFECT_SETTLED && f->settled.lease == e->release.lease) {
            return true;
        }
    }
    return false;
}

/* The lease whose call a release tells of, unless it was told of before. */
static const struct fact *told_of(struct oracle *o, const struct event *e,
                                  const struct effects *effects)
{
    bool settled = e->kind == EVENT_RELEASE && release_is_settled(e, effects);
    const struct fact *f = settled ? find_fact(o, e->release.lease) : NULL;
    bool open = f && (f->end == END_OPEN || (f->end == END_EXPIRED && !f->late));
    return open ? f : NULL;
}

void health_event(struct oracle *o, const struct event *e, const struct effects *effects)
{
    const struct fact *f = told_of(o, e, effects);
    const struct answer *a = e->kind == EVENT_RELEASE ? e->release.answer : NULL;
    size_t r = f ? resource_index(o, f->resource) : NONE;
    o->cause = (struct cause){.answer = a};
    if (r == NONE) {
        return;
    }
    memcpy(o->cause.resource, f->resource, sizeof(f->resource));
    struct condition *c = condition_of(o, f->resource);
    o->cause.probed = c->state == HEALTH_PROBING && c->probe == f->lease;
    if (is_refusal(a)) {
        c->refusals++;
        c->refused_us = o->now_us;
    }
    if (is_refusal(a) || (a && (a->class == ANSWER_DAY_OVER || a->class == ANSWER_OUT_OF_MONEY ||
                                a->class == ANSWER_AUTH))) {
        c->cool_us = o->now_us + o->policy->resources[r].cooldown_us;
    }
}

/* --- States. --- */

static enum answer_class class_of(const struct oracle *o)
{
    return o->cause.answer ? o->cause.answer->class : ANSWER_OK;
}

/* What a refusal of that class keeps everyone waiting for at most, from now on. */
static int64_t longest_us(const struct oracle *o, const struct feedback *f)
{
    const struct answer *a = o->cause.answer;
    int64_t own_us = max_i64(f->backoff_us_max, max_i64(f->pause_us, f->backoff_us));
    return a->retry_after_us >= 0 ? a->retry_after_us : own_us;
}

static bool may_close(const struct oracle *o, const struct condition *c, const struct feedback *f,
                      const struct health_view *v, bool here)
{
    const struct answer *a = o->cause.answer;
    int64_t now_us = o->now_us;
    if (!here || !a) {
        return false;
    }
    switch (v->state) {
    case HEALTH_PAUSED:
        return a->class == ANSWER_WAIT && f->pause_us > 0 &&
               v->until_us <= now_us + longest_us(o, f);
    case HEALTH_BACKOFF:
        return a->class == ANSWER_OVERLOAD && f->backoff_us > 0 &&
               v->until_us <= now_us + longest_us(o, f);
    case HEALTH_BREAKER_OPEN:
        return is_refusal(a) && f->breaker_refusals > 0 &&
               (o->cause.probed || c->refusals >= f->breaker_refusals) &&
               v->until_us <= now_us + f->breaker_us_max && v->until_us >= now_us + f->breaker_us;
    case HEALTH_DAY_OVER:
        return a->class == ANSWER_DAY_OVER && v->until_us > now_us &&
               v->until_us <= now_us + 25 * US_PER_H;
    case HEALTH_OUT_OF_MONEY:
        return a->class == ANSWER_OUT_OF_MONEY && f->money_probe_us > 0 &&
               v->until_us == now_us + f->money_probe_us;
    default: return false;
    }
}

static bool may_open(const struct oracle *o, const struct condition *c, const struct feedback *f,
                     const struct health_view *v, bool here, bool reopened)
{
    bool time = is_closed(c->state) && o->now_us >= c->until_us;
    bool short_pause = c->state == HEALTH_PAUSED || c->state == HEALTH_BACKOFF;
    bool probe_served = here && o->cause.probed && !is_refusal(o->cause.answer) &&
                        class_of(o) != ANSWER_DAY_OVER && class_of(o) != ANSWER_OUT_OF_MONEY;
    bool ramps = (time && short_pause) || probe_served;
    if (v->state == HEALTH_PROBING) {
        return time && !short_pause;
    }
    if (v->state == HEALTH_RECOVERING) {
        bool slowed = here && class_of(o) == ANSWER_SLOW_DOWN && f->slow_ppm > 0;
        return slowed || (ramps && f->ramp_us > 0);
    }
    bool full = c->state == HEALTH_RECOVERING;
    /* It begins with half of the rate at the most, so what is left takes that long. */
    bool overslept = time && short_pause && o->now_us - c->until_us >= f->ramp_us;
    return reopened || full || overslept || (ramps && f->ramp_us == 0);
}

/* From when on the rate grows, and how fast. */
static void note_rate(struct oracle *o, struct condition *c, const struct feedback *f,
                      const struct health_view *v, bool slowed)
{
    c->rate_ppm = v->rate_ppm;
    c->rate_at_us = o->now_us;
    c->growth = slowed ? f->growth_ppm / 60e6 : f->ramp_us ? PPM / 2 / (double)f->ramp_us : 0;
    c->next_low_us = c->next_high_us = (double)o->now_us;
    if (slowed && o->cause.answer->retry_after_us > 0) {
        c->next_low_us = c->next_high_us = (double)(o->now_us + o->cause.answer->retry_after_us);
    }
}

void health_told(struct oracle *o, const struct event *e, const struct effect *f)
{
    char name[KEY_MAX];
    snprintf(name, sizeof(name), "%.*s", (int)f->health.resource.len, f->health.resource.at);
    struct condition *c = condition_of(o, name);
    const struct feedback *fb = feedback_of(o, name);
    const struct health_view *v = &f->health.view;
    bool here = strcmp(o->cause.resource, name) == 0;
    bool reopened = e->kind == EVENT_REOPEN && text_equal(e->reopen.resource, text_of(name));
    bool may =
        is_closed(v->state) ? may_close(o, c, fb, v, here) : may_open(o, c, fb, v, here, reopened);
    if (f->health.was != c->state || !may) {
        wrong(o,
              "health: %s is said to be %s until %lld, from %s until %lld, which does not follow",
              name, health_state_name(v->state), (long long)v->until_us,
              health_state_name(c->state), (long long)c->until_us);
    }
    bool slowed = here && class_of(o) == ANSWER_SLOW_DOWN;
    c->told = true;
    c->state = v->state;
    c->until_us = v->until_us;
    c->probe = 0;
    if (v->state == HEALTH_RECOVERING) {
        note_rate(o, c, fb, v, slowed);
    }
    o->moment++;
}

/* --- What follows. --- */

static bool is_probed(struct oracle *o, const struct condition *c)
{
    const struct fact *f = c->probe ? find_fact(o, c->probe) : NULL;
    return f && f->end == END_OPEN;
}

enum allows health_allows(struct oracle *o, const char *resource)
{
    struct condition *c = condition_of(o, resource);
    double now_us = (double)o->now_us;
    if (c->state == HEALTH_PROBING) {
        return is_probed(o, c) ? ALLOWS_NOT : ALLOWS;
    }
    if (c->state == HEALTH_RECOVERING) {
        return now_us < c->next_low_us    ? ALLOWS_NOT
               : now_us > c->next_high_us ? ALLOWS
                                          : ALLOWS_PERHAPS;
    }
    return c->state == HEALTH_OK ? ALLOWS : ALLOWS_NOT;
}

bool has_been_closed(struct oracle *o, const char *resource)
{
    return condition_of(o, resource)->told;
}

bool health_closed_beyond(struct oracle *o, const char *resource, int64_t at_us)
{
    struct condition *c = condition_of(o, resource);
    return is_closed(c->state) && c->until_us > at_us;
}

bool health_is(struct oracle *o, const char *resource, enum health_state state)
{
    return condition_of(o, resource)->state == state;
}

bool health_may_cool(struct oracle *o, const char *resource)
{
    return o->now_us < condition_of(o, resource)->cool_us;
}

/* How long a load takes of its limits' time at the full rate. */
static double share_us(const struct oracle *o, const struct condition *c, const struct waiter *w)
{
    size_t r = resource_index(o, w->resource);
    double most = 0;
    for (size_t l = 0; r != NONE && l < o->policy->resources[r].limits_n; l++) {
        const struct limit *limit = &o->policy->resources[r].limits[l];
        double part = (double)w->load.of[limit->unit] / (double)limit_amount(limit);
        double us = 0;
        if (limit->scope != SCOPE_RESOURCE) {
            continue;
        }
        if (limit->window == WINDOW_ROLLING || limit->window == WINDOW_BUCKET) {
            us = part * (double)limit->per_us;
        } else if (limit->window == WINDOW_NONE && c->settled > 0) {
            us = part * (double)c->held_for_us / (double)c->settled;
        }
        most = us > most ? us : most;
    }
    return most;
}

static void pace(struct oracle *o, struct condition *c, const struct waiter *w)
{
    double now_us = (double)o->now_us;
    double rate = c->rate_ppm + c->growth * (now_us - (double)c->rate_at_us);
    rate = rate > PPM ? PPM : rate;
    double us = share_us(o, c, w) * PPM / rate;
    double low_us = c->next_low_us > now_us ? c->next_low_us : now_us;
    double high_us = c->next_high_us > now_us ? c->next_high_us : now_us;
    /* Whole numbers on the way there, and amounts that may have been learned to be lower. */
    c->next_low_us = low_us + us * 0.99 - 100;
    c->next_high_us = has_learned(o, w->resource) ? 1e300 : high_us + us * 1.01 + 100;
}

void health_grants(struct oracle *o, const struct waiter *w, const struct fact *f)
{
    struct condition *c = condition_of(o, w->resource);
    if (health_allows(o, w->resource) == ALLOWS_NOT) {
        wrong(o, "health: caller %llu is granted %s, which is %s", (unsigned long long)w->caller,
              w->resource, health_state_name(c->state));
    }
    if (c->state == HEALTH_PROBING) {
        c->probe = f->lease;
    } else if (c->state == HEALTH_RECOVERING) {
        pace(o, c, w);
    }
    if (o->now_us < w->not_before_us) {
        wrong(o, "health: a retry is granted before its time");
    }
}

void health_overdue(struct oracle *o, int64_t now_us)
{
    for (size_t i = 0; i < o->conditions_n; i++) {
        const struct condition *c = &o->conditions[i];
        if (is_closed(c->state) && c->until_us <= now_us &&
            resource_index(o, c->resource) != NONE) {
            wrong(o, "health: %s is %s after its time, which was %lld", c->resource,
                  health_state_name(c->state), (long long)c->until_us);
        }
    }
}

/* --- Advice. --- */

/* A fallback has at least the time for which its ticket is kept. */
static int64_t time_left_us(const struct fact *f, const struct advice *a)
{
    bool elsewhere = a->action == ADVICE_FALLBACK;
    return elsewhere ? max_i64(f->wait_left_us, TICKET_KEPT_US) : f->wait_left_us;
}

/* What was asked by a route before its step made something else of it. */
static void keep_route(struct oracle *o, const struct fact *f, struct waiter *w)
{
    const struct effects none = {0};
    memcpy(w->route, f->route, sizeof(w->route));
    w->route_at = NONE;
    w->asked = f->asked;
    w->has_usd = f->has_usd;
    w->has_input = f->has_input;
    w->has_output = f->has_output;
    w->input_bytes = f->input_bytes;
    w->asked_known = f->asked_known;
    routes_configured(o);
    if (f->route[0]) {
        route_locate(o, &none, w);
    }
}

/* The place that is kept for a retry: that of the request it comes from. */
static void keep_place(struct oracle *o, struct fact *f, const struct advice *a)
{
    ROOM(o, waiters);
    struct waiter *w = &o->waiters[o->waiters_n++];
    memset(w, 0, sizeof(*w));
    w->seq = f->seq ? f->seq : ++o->next_seq;
    w->ticket = a->ticket;
    w->away = true;
    w->not_before_us = w->away_us = o->now_us + a->after_us;
    w->enqueued_us = o->now_us;
    w->deadline_us = o->now_us + time_left_us(f, a);
    w->hold_at_us = INT64_MAX;
    w->load = f->load;
    w->priority = f->priority;
    w->parent = f->parent;
    w->wait_us = max_i64(time_left_us(f, a), 1);
    w->lease_us = f->lease_us;
    w->attempt = f->attempt + 1;
    w->attempts_max = f->attempts_max;
    memcpy(w->resource, f->resource, sizeof(w->resource));
    memcpy(w->tenant, f->tenant, sizeof(w->tenant));
    memcpy(w->session, f->session, sizeof(w->session));
    memcpy(w->labels, f->labels, sizeof(w->labels));
    memcpy(w->id, f->id, sizeof(w->id));
    w->resource_at = resource_index(o, w->resource);
    keep_route(o, f, w);
    f->id_moved = true;
    o->aways = true;
    o->moment++;
    tags_arrive(o, w);
}

static bool is_known_ticket(const struct oracle *o, uint64_t ticket)
{
    for (size_t i = 0; i < o->waiters_n; i++) {
        if (o->waiters[i].ticket == ticket) {
            return true;
        }
    }
    return false;
}

static bool may_retry(const struct oracle *o, const struct fact *f, const struct advice *a)
{
    const struct feedback *fb = feedback_of(o, f->resource);
    int32_t most = f->attempts_max ? f->attempts_max : fb->attempts_max;
    const struct answer *answer = o->cause.answer;
    return is_refusal(answer) && f->attempt < most && a->after_us <= f->wait_left_us &&
           a->after_us >= answer->retry_after_us &&
           (a->ticket == 0 || !is_known_ticket(o, a->ticket));
}

static bool is_reason(const struct oracle *o, const struct fact *f, const struct advice *a)
{
    const struct feedback *fb = feedback_of(o, f->resource);
    int32_t most = f->attempts_max ? f->attempts_max : fb->attempts_max;
    if (!is_refusal(o->cause.answer)) {
        return strcmp(a->reason, answer_class_name(class_of(o))) == 0;
    }
    if (strcmp(a->reason, "attempts") == 0) {
        return f->attempt >= most;
    }
    return strcmp(a->reason, "deadline") == 0 || strcmp(a->reason, "retry_budget") == 0 ||
           o->draining || resource_index(o, f->resource) == NONE;
}

/* To another resource of its route. */
static bool falls_back(const struct oracle *o, const struct fact *f, const struct advice *a)
{
    for (size_t i = 0; i < o->policy->routes_n; i++) {
        const struct route *route = &o->policy->routes[i];
        for (size_t k = 0; strcmp(route->name, f->route) == 0 && k < route->steps_n; k++) {
            const char *name = o->policy->resources[route->steps[k].resource].name;
            if (text_equal(text_of(name), a->resource)) {
                bool used_up = f->attempts_max > 0 && f->attempt >= f->attempts_max;
                return !used_up && class_of(o) != ANSWER_OK && strcmp(name, f->resource) != 0 &&
                       a->ticket && a->after_us == 0 && !is_known_ticket(o, a->ticket);
            }
        }
    }
    return false;
}

static bool is_advised_well(struct oracle *o, const struct fact *f, const struct advice *a)
{
    switch (a->action) {
    case ADVICE_DONE: return class_of(o) == ANSWER_OK;
    case ADVICE_RETRY: return may_retry(o, f, a);
    case ADVICE_GIVE_UP: return class_of(o) != ANSWER_OK && is_reason(o, f, a);
    case ADVICE_FALLBACK: return falls_back(o, f, a);
    }
    return false;
}

void health_settled(struct oracle *o, const struct event *e, const struct effect *f)
{
    const struct advice *a = &f->settled.advice;
    struct fact *fact = find_fact(o, f->settled.lease);
    if (f->settled.repeated || !fact) {
        bool again = a->action == ADVICE_RETRY || a->action == ADVICE_FALLBACK;
        /* Its place was lost by a crash, or there never was one. */
        bool lost = fact && (fact->seq == 0 || fact->placeless) && a->ticket == 0;
        if (again && !lost && !is_known_ticket(o, a->ticket)) {
            wrong(o, "health: a repeated release is advised to retry with no place in line");
        }
        return;
    }
    struct condition *c = condition_of(o, fact->resource);
    size_t r = resource_index(o, fact->resource);
    if (o->cause.answer && r != NONE) {
        note_learning(o, r, fact, o->cause.answer);
    }
    if (class_of(o) == ANSWER_OK && fact->granted_us >= c->refused_us) {
        c->refusals = 0;
    }
    if (!f->settled.late) {
        c->settled++;
        c->held_for_us += f->settled.held_for_us;
    }
    if (!is_advised_well(o, fact, a)) {
        wrong(o, "advice %d (%s) after attempt %d of lease %llu, which does not follow",
              (int)a->action, a->reason, fact->attempt, (unsigned long long)e->release.lease);
    }
    if (a->action != ADVICE_RETRY && a->action != ADVICE_FALLBACK) {
        return;
    }
    if (a->ticket) {
        keep_place(o, fact, a);
        return;
    }
    fact->placeless = fact->id_moved = true;
    if (r == NONE || !may_be_forgotten(&o->policy->resources[r])) {
        wrong(o, "advice to retry lease %llu, for which no place is kept",
              (unsigned long long)fact->lease);
    }
}

/* --- Money. --- */

/* At a resource that was asked for by that route, or by its name where the route is "". */
static const struct price *price_of(const struct oracle *o, const char *resource, const char *route)
{
    static const struct price none;
    size_t r = resource_index(o, resource);
    for (size_t i = 0; r != NONE && route[0] && i < o->policy->routes_n; i++) {
        const struct route *x = &o->policy->routes[i];
        for (size_t k = 0; strcmp(x->name, route) == 0 && k < x->steps_n; k++) {
            if (x->steps[k].resource == r && x->steps[k].own_price) {
                return &x->steps[k].price;
            }
        }
    }
    return r == NONE ? &none : &o->policy->resources[r].price;
}

static int64_t after_discount(const struct price *p, int128 cost)
{
    return (int64_t)(cost - cost * p->discount_ppm / 1000000);
}

static int64_t dearest_input(const int64_t *prices)
{
    int64_t most = 0;
    for (int i = 0; i < PARTS; i++) {
        most = i != PART_OUTPUT && prices[i] > most ? prices[i] : most;
    }
    return most;
}

static int64_t worst_cost(const struct price *p, const struct load *load)
{
    bool over = p->tier_start > 0 && load->of[UNIT_INPUT_TOKENS] > p->tier_start;
    const int64_t *prices = over ? p->over : p->of;
    int64_t in = dearest_input(prices), out = prices[PART_OUTPUT];
    int128 apart =
        (int128)load->of[UNIT_INPUT_TOKENS] * in + (int128)load->of[UNIT_OUTPUT_TOKENS] * out;
    int128 together = (int128)load->of[UNIT_TOKENS] * max_i64(in, out);
    return after_discount(p, apart < together ? apart : together);
}

bool has_price(const struct oracle *o, size_t resource, const char *route)
{
    return price_of(o, o->policy->resources[resource].name, route)->known;
}

int64_t worst_cost_at(const struct oracle *o, size_t resource, const char *route,
                      const struct load *load)
{
    const struct price *p = price_of(o, o->policy->resources[resource].name, route);
    return p->known ? worst_cost(p, load) : 0;
}

static int64_t real_cost(const struct price *p, const struct parts *parts)
{
    int64_t prompt = 0;
    int128 cost = 0;
    for (int i = 0; i < PARTS; i++) {
        prompt += i == PART_OUTPUT ? 0 : parts->of[i];
    }
    bool over = p->tier_start > 0 && prompt > p->tier_start;
    for (int i = 0; i < PARTS; i++) {
        cost += (int128)parts->of[i] * (over ? p->over : p->of)[i];
    }
    return after_discount(p, cost);
}

void price_load(const struct oracle *o, const struct acquire *a, struct load *load)
{
    char name[KEY_MAX];
    snprintf(name, sizeof(name), "%.*s", (int)a->resource.len, a->resource.at);
    const struct price *p = price_of(o, name, "");
    if (p->known && !a->has_usd) {
        load->of[UNIT_USD] = worst_cost(p, load);
    }
}

struct load booked_load(const struct oracle *o, const struct event *e, const struct fact *f)
{
    const struct answer *a = e->release.answer;
    const struct price *p = price_of(o, f->resource, f->route);
    if (e->release.has_usage) {
        struct load usage = e->release.usage;
        if (p->known && !e->release.has_usd) {
            usage.of[UNIT_USD] =
                e->release.parts ? real_cost(p, e->release.parts) : worst_cost(p, &usage);
        }
        return usage;
    }
    bool refused = a && a->reached && a->class != ANSWER_OK && (a->status < 200 || a->status > 299);
    struct load usage = f->load;
    for (int u = 0; u < UNIT_COUNT && refused; u++) {
        usage.of[u] = u == UNIT_REQUESTS || u == UNIT_SLOTS ? usage.of[u] : 0;
    }
    return usage;
}
