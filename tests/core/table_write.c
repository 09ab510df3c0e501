/* Structs to lines. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "table.h"

#define DATES_FROM_US INT64_C(1000000000000000) /* later times are written as dates */

static const char *const UNIT_WORDS[UNIT_COUNT] = {"requests", "tokens", "input",
                                                   "output",   "slots",  "usd"};

size_t table_name(struct table_ids *ids, uint64_t id)
{
    for (size_t i = ids->len; i > 0; i--) {
        if (ids->ids[i - 1] == id) {
            return i;
        }
    }
    if (ids->len == TABLE_NAMES_MAX) {
        return 0;
    }
    ids->ids[ids->len++] = id;
    return ids->len;
}

static void write_duration(struct buf *out, int64_t us)
{
    if (us % US_PER_S == 0) {
        buf_addf(out, "%llds", (long long)(us / US_PER_S));
    } else if (us % US_PER_MS == 0) {
        buf_addf(out, "%lldms", (long long)(us / US_PER_MS));
    } else {
        buf_addf(out, "%lldus", (long long)us);
    }
}

void table_write_time(struct buf *out, int64_t us)
{
    if (us == INT64_MAX) {
        buf_add_str(out, "never");
    } else if (us < DATES_FROM_US) {
        write_duration(out, us);
    } else {
        time_t seconds = (time_t)(us / US_PER_S);
        struct tm tm;
        char text[32];
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
        buf_add_str(out, text);
        if (us % US_PER_S) {
            buf_add_char(out, '+');
            write_duration(out, us % US_PER_S);
        }
    }
}

static void add_time(struct buf *out, const char *key, int64_t us)
{
    buf_addf(out, " %s=", key);
    table_write_time(out, us);
}

static void add_number(struct buf *out, const char *key, int64_t n)
{
    buf_addf(out, " %s=%lld", key, (long long)n);
}

static void add_text(struct buf *out, const char *key, struct text t)
{
    if (t.len) {
        buf_addf(out, " %s=%.*s", key, (int)t.len, t.at);
    }
}

static void add_name(struct buf *out, const char *key, const char *name)
{
    add_text(out, key, text_of(name));
}

static void add_load(struct buf *out, const struct load *load)
{
    for (size_t u = 0; u < UNIT_COUNT; u++) {
        if (u != UNIT_SLOTS) {
            add_number(out, UNIT_WORDS[u], load->of[u]);
        }
    }
}

static void add_lease(struct buf *out, uint64_t lease, struct table_names *names)
{
    if (lease) {
        buf_addf(out, " lease=L%zu", table_name(&names->leases, lease));
    }
}

static void add_ticket(struct buf *out, uint64_t ticket, struct table_names *names)
{
    if (ticket) {
        buf_addf(out, " ticket=T%zu", table_name(&names->tickets, ticket));
    }
}

static void add_labels(struct buf *out, struct text labels)
{
    while (labels.len) {
        const char *end = memchr(labels.at, '\n', labels.len);
        size_t len = end ? (size_t)(end - labels.at) : labels.len;
        const char *equals = memchr(labels.at, '=', len);
        if (equals) {
            size_t key = (size_t)(equals - labels.at);
            buf_addf(out, " label=%.*s:%.*s", (int)key, labels.at, (int)(len - key - 1),
                     equals + 1);
        }
        size_t used = end ? len + 1 : len;
        labels = (struct text){labels.at + used, labels.len - used};
    }
}

static void add_held_by(struct buf *out, const struct held_by *h)
{
    for (size_t i = 0; i < h->limits_n; i++) {
        buf_addf(out, "%s%s", i ? "," : " held_by=", h->limits[i]);
    }
}

/* --- Policies --- */

static void write_zone(struct buf *out, const struct zone *z, size_t n)
{
    buf_addf(out, "zone z%zu", n);
    for (size_t i = 0; i < z->changes_n; i++) {
        buf_add_char(out, ' ');
        if (i) {
            table_write_time(out, z->changes[i].at_us);
            buf_add_char(out, '=');
        }
        write_duration(out, z->changes[i].offset_us);
    }
    buf_add_char(out, '\n');
}

static void write_limit_rules(struct buf *out, const struct limit *l)
{
    static const char *const STEPS[] = {"second", "minute", "hour", "day", "month"};
    static const char *const SETTLES[] = {"true_up", "refund_only", "keep"};
    static const char *const EXPIRES[] = {"full", "input_only", "nothing"};
    static const char *const EXCEEDS[] = {NULL, "refuse", "downgrade"};
    if (l->window == WINDOW_CALENDAR) {
        add_name(out, "step", STEPS[l->step]);
    }
    add_name(out, "exceed", EXCEEDS[l->exceed]);
    add_name(out, "charge", l->charge == CHARGE_AT_SETTLE ? "settle" : NULL);
    add_name(out, "settle", l->settle == SETTLE_TRUE_UP ? NULL : SETTLES[l->settle]);
    add_name(out, "expire", l->on_expire == EXPIRE_FULL ? NULL : EXPIRES[l->on_expire]);
    add_name(out, "shared", l->shared);
}

static void write_limit(struct buf *out, const struct limit *l, size_t zone)
{
    static const char *const WINDOWS[] = {"none", "rolling", "bucket", "calendar", "lifetime"};
    static const char *const SCOPES[] = {"resource", "tenant", "session",
                                         "model",    "label",  "route"};
    buf_addf(out, "limit %s %s %s", l->name, UNIT_WORDS[l->unit], WINDOWS[l->window]);
    add_number(out, "amount", l->amount);
    if (l->window == WINDOW_ROLLING || l->window == WINDOW_BUCKET) {
        add_time(out, "per", l->per_us);
        add_time(out, "guard", l->guard_us);
    }
    if (l->slice_us) {
        add_time(out, "slice", l->slice_us);
    }
    if (l->window == WINDOW_BUCKET) {
        add_number(out, "burst", l->burst);
    }
    if (l->scope != SCOPE_RESOURCE) {
        buf_addf(out, " scope=%s%s%s", SCOPES[l->scope], l->label[0] ? ":" : "", l->label);
    }
    if (l->headroom_ppm) {
        add_number(out, "headroom", l->headroom_ppm);
    }
    if (l->warn_ppm) {
        add_number(out, "warn", l->warn_ppm);
    }
    write_limit_rules(out, l);
    if (l->zone) {
        buf_addf(out, " zone=z%zu", zone);
    }
    buf_add_char(out, '\n');
}

/* The zones of a policy, each once; a zone's name is its number. */
static size_t zone_number(const struct zone **zones, const struct zone *zone)
{
    size_t i = 0;
    while (i + 1 < TABLE_ZONES_MAX && zones[i] && zones[i] != zone) {
        i++;
    }
    zones[i] = zone;
    return i + 1;
}

static void write_feedback(struct buf *out, const struct feedback *f)
{
    buf_add_str(out, "feedback");
    add_time(out, "pause", f->pause_us);
    add_time(out, "backoff", f->backoff_us);
    add_time(out, "ramp", f->ramp_us);
    add_time(out, "breaker", f->breaker_us);
    add_time(out, "breaker_max", f->breaker_us_max);
    add_time(out, "probe", f->money_probe_us);
    add_number(out, "slow", f->slow_ppm);
    add_number(out, "attempts", f->attempts_max);
    add_number(out, "share", f->retry_share_ppm);
    add_number(out, "growth", f->growth_ppm);
    add_number(out, "refusals", f->breaker_refusals);
    buf_add_char(out, '\n');
}

static void write_resource(struct buf *out, const struct resource *r, const struct zone **zones)
{
    buf_addf(out, "resource %s", r->name);
    add_name(out, "model", r->model);
    if (r->ageing_us) {
        add_time(out, "ageing", r->ageing_us);
    }
    add_name(out, "account", r->account);
    if (r->cooldown_us) {
        add_time(out, "cooldown", r->cooldown_us);
    }
    add_number(out, "line", r->line_len_max);
    add_number(out, "tenant_line", r->tenant_line_len_max);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < r->limits_n; i++) {
        const struct limit *l = &r->limits[i];
        write_limit(out, l, l->zone ? zone_number(zones, l->zone) : 0);
    }
    for (size_t i = 0; i < r->reserves_n; i++) {
        const struct reserve *s = &r->reserves[i];
        buf_add_str(out, "reserve");
        add_name(out, "tenant", s->tenant);
        if (s->priority) {
            add_number(out, "prio", s->priority);
        }
        add_number(out, "share", s->share_ppm);
        buf_add_char(out, '\n');
    }
    if (r->feedback.backoff_us_max > 0) { /* a resource without a line of it has none */
        write_feedback(out, &r->feedback);
    }
}

static void write_route(struct buf *out, const struct policy *p, const struct route *r)
{
    static const char *const PREFERS[] = {NULL, "fastest"};
    static const char *const FINALLYS[] = {NULL, "cached", "static"};
    buf_addf(out, "route %s", r->name);
    add_name(out, "prefer", PREFERS[r->prefer]);
    add_name(out, "finally", FINALLYS[r->finally]);
    add_name(out, "static", r->static_answer);
    buf_addf(out, "%s%s\n", r->accounts ? " accounts" : "", r->sticky ? " sticky" : "");
    for (size_t i = 0; i < r->steps_n; i++) {
        const struct route_step *step = &r->steps[i];
        buf_addf(out, "step %s", p->resources[step->resource].name);
        add_name(out, "model", step->model);
        if (step->context_tokens) {
            add_number(out, "context", step->context_tokens);
        }
        if (step->max_output_tokens) {
            add_number(out, "max_output", step->max_output_tokens);
        }
        buf_add_str(out, step->alike ? " alike" : "");
        buf_add_char(out, '\n');
    }
}

void table_write_policy(struct buf *out, const struct policy *p)
{
    const struct zone *zones[TABLE_ZONES_MAX] = {NULL};
    buf_add_str(out, "policy\n");
    for (size_t i = 0; i < p->resources_n; i++) {
        for (size_t j = 0; j < p->resources[i].limits_n; j++) {
            const struct zone *zone = p->resources[i].limits[j].zone;
            if (zone) {
                zone_number(zones, zone);
            }
        }
    }
    for (size_t i = 0; i < TABLE_ZONES_MAX && zones[i]; i++) {
        write_zone(out, zones[i], i + 1);
    }
    for (size_t i = 0; i < p->resources_n; i++) {
        write_resource(out, &p->resources[i], zones);
    }
    for (size_t i = 0; i < p->routes_n; i++) {
        write_route(out, p, &p->routes[i]);
    }
    for (size_t i = 0; i < p->weights_n; i++) {
        buf_addf(out, "weight %s %d\n", p->weights[i].tenant, (int)p->weights[i].weight);
    }
    buf_addf(out, "caps leases=%lld counters=%lld\n", (long long)p->leases_max,
             (long long)p->counters_max);
}

/* --- Events --- */

static void write_acquire(struct buf *out, const struct acquire *a, struct table_names *names)
{
    if (a->route.len) {
        add_text(out, "route", a->route);
    } else {
        buf_addf(out, " %.*s", (int)a->resource.len, a->resource.at);
    }
    add_load(out, &a->load);
    add_number(out, "prio", a->priority);
    add_text(out, "tenant", a->tenant);
    add_text(out, "session", a->session);
    add_labels(out, a->labels);
    add_text(out, "id", a->id);
    if (a->parent) {
        buf_addf(out, " parent=L%zu", table_name(&names->leases, a->parent));
    }
    add_time(out, "wait", a->wait_us);
    if (a->hold_us <= WAIT_US_MAX) {
        add_time(out, "hold", a->hold_us);
    }
    add_time(out, "lease", a->lease_us);
}

static void write_target(struct buf *out, const struct event *e, struct table_names *names)
{
    switch (e->kind) {
    case EVENT_RESUME:
        buf_addf(out, " T%zu", table_name(&names->tickets, e->resume.ticket));
        add_time(out, "hold", e->resume.hold_us);
        break;
    case EVENT_CANCEL:
        if (e->cancel.ticket) {
            buf_addf(out, " T%zu", table_name(&names->tickets, e->cancel.ticket));
        }
        if (e->cancel.lease) {
            buf_addf(out, " L%zu", table_name(&names->leases, e->cancel.lease));
        }
        add_text(out, "id", e->cancel.id);
        break;
    case EVENT_RELEASE:
        buf_addf(out, " L%zu", table_name(&names->leases, e->release.lease));
        if (e->release.has_usage) {
            add_load(out, &e->release.usage);
        }
        if (e->release.answer) {
            add_name(out, "class", answer_class_name(e->release.answer->class));
            add_text(out, "reason", e->release.answer->reason);
            buf_add_str(out, e->release.answer->reached ? "" : " unreached");
            if (e->release.answer->retry_after_us >= 0) {
                add_time(out, "retry", e->release.answer->retry_after_us);
            }
        }
        break;
    case EVENT_BUDGET:
        buf_addf(out, " %.*s", (int)e->budget.resource.len, e->budget.resource.at);
        add_text(out, "limit", e->budget.limit);
        add_text(out, "key", e->budget.scope_key);
        add_number(out, "n", e->budget.amount);
        break;
    case EVENT_REOPEN:
        buf_addf(out, " %.*s", (int)e->reopen.resource.len, e->reopen.resource.at);
        break;
    case EVENT_RENEW:
        buf_addf(out, " L%zu", table_name(&names->leases, e->renew.lease));
        add_time(out, "lease", e->renew.lease_us);
        break;
    case EVENT_CLOCK:
        buf_add_char(out, ' ');
        write_duration(out, e->skew_us);
        break;
    default: break;
    }
}

void table_write_event(struct buf *out, const struct event *e, struct table_names *names)
{
    static const char *const KINDS[] = {"tick",      "acquire", "resume", "hangup",
                                        "cancel",    "release", "renew",  "clock",
                                        "configure", "reopen",  "budget", "drain"};
    buf_add_str(out, "at ");
    table_write_time(out, e->now_us);
    buf_addf(out, " %s", KINDS[e->kind]);
    if (e->kind == EVENT_ACQUIRE) {
        write_acquire(out, &e->acquire, names);
    } else {
        write_target(out, e, names);
        if (!e->any_tenant && (e->kind == EVENT_RESUME || e->kind == EVENT_CANCEL ||
                               e->kind == EVENT_RELEASE || e->kind == EVENT_RENEW)) {
            buf_addf(out, " tenant=%.*s", (int)e->tenant.len, e->tenant.len ? e->tenant.at : "");
        }
    }
    if (e->caller) {
        add_number(out, "caller", (int64_t)e->caller);
    }
}

/* --- Effects --- */

static void write_record(struct buf *out, const struct record *r, struct table_names *names)
{
    static const char *const KINDS[] = {"",        "grant",  "renew",  "settle", "expire",
                                        "counter", "cancel", "health", "learned"};
    buf_addf(out, "persist %s", KINDS[r->kind]);
    add_time(out, "at", r->at_us);
    if (r->kind == RECORD_COUNTER) {
        add_text(out, "res", r->resource);
        add_text(out, "limit", r->limit);
        add_text(out, "key", r->scope_key);
        add_time(out, "period", r->period_us);
        add_number(out, "used", r->used);
        add_number(out, "level", r->level);
        return;
    }
    if (r->kind == RECORD_HEALTH) {
        add_text(out, "res", r->resource);
        buf_addf(out, " state=%s", health_state_name(r->health.state));
        add_time(out, "until", r->health.until_us);
        return;
    }
    if (r->kind == RECORD_LEARNED) {
        add_text(out, "res", r->resource);
        add_text(out, "limit", r->limit);
        add_number(out, "told", r->learned.told);
        return;
    }
    add_lease(out, r->lease, names);
    add_load(out, &r->load);
    if (r->kind == RECORD_GRANT || r->kind == RECORD_RENEW) {
        add_text(out, "res", r->resource);
        add_text(out, "route", r->route);
        if (r->step) {
            add_number(out, "step", r->step);
        }
        add_text(out, "tenant", r->tenant);
        add_text(out, "session", r->session);
        add_labels(out, r->labels);
        add_text(out, "id", r->id);
        if (r->parent) {
            buf_addf(out, " parent=L%zu", table_name(&names->leases, r->parent));
        }
        add_time(out, "expires", r->expires_us);
        add_time(out, "waited", r->waited_us);
        add_number(out, "prio", r->priority);
        add_number(out, "attempt", r->attempt);
    }
    if (r->late) {
        buf_add_str(out, " late");
    }
}

static void add_finally(struct buf *out, enum finally finally, const char *answer)
{
    static const char *const FINALLYS[] = {NULL, "cached", "static"};
    add_name(out, "finally", FINALLYS[finally]);
    add_name(out, "static", answer);
}

/* route=chat step=2 passed=m:cooling_down,n:context */
static void add_routed(struct buf *out, const struct routed *r)
{
    add_text(out, "route", r->route);
    if (r->step) {
        add_number(out, "step", (int64_t)r->step);
    }
    for (size_t i = 0; i < r->passed_n; i++) {
        const struct passed *p = &r->passed[i];
        buf_addf(out, "%s%.*s:%s", i ? "," : " passed=", (int)p->resource.len, p->resource.at,
                 p->reason);
    }
}

static void write_grant(struct buf *out, const struct effect *e, struct table_names *names)
{
    buf_addf(out, "grant %llu", (unsigned long long)e->caller);
    add_lease(out, e->grant.lease, names);
    add_load(out, &e->grant.held);
    add_text(out, "res", e->grant.resource);
    add_text(out, "model", e->grant.model);
    add_text(out, "account", e->grant.account);
    add_routed(out, &e->grant.routed);
    if (e->grant.max_output_tokens) {
        add_number(out, "max_output", e->grant.max_output_tokens);
    }
    add_text(out, "tenant", e->grant.tenant);
    add_text(out, "id", e->grant.id);
    add_time(out, "waited", e->grant.waited_us);
    add_time(out, "expires", e->grant.expires_us);
    add_number(out, "attempt", e->grant.attempt);
    if (e->grant.repeated) {
        buf_add_str(out, " repeated");
    }
}

static void write_refuse(struct buf *out, const struct effect *e)
{
    buf_addf(out, "refuse %llu %s", (unsigned long long)e->caller, error_name(e->refuse.code));
    add_text(out, "id", e->refuse.id);
    add_text(out, "res", e->refuse.resource);
    if (e->refuse.limit) {
        add_name(out, "limit", e->refuse.limit);
        add_number(out, "amount", e->refuse.limit_amount);
        add_number(out, "free", e->refuse.limit_free);
        add_number(out, "asked", e->refuse.limit_asked);
    }
    add_time(out, "retry", e->refuse.retry_after_us);
    add_time(out, "waited", e->refuse.waited_us);
    add_number(out, "position", e->refuse.position);
    add_held_by(out, &e->refuse.held_by);
    add_routed(out, &e->refuse.routed);
    add_finally(out, e->refuse.finally, e->refuse.static_answer);
}

static void write_settled(struct buf *out, const struct effect *e, struct table_names *names)
{
    buf_addf(out, "settled %llu", (unsigned long long)e->caller);
    add_lease(out, e->settled.lease, names);
    add_load(out, &e->settled.settled);
    add_text(out, "res", e->settled.resource);
    add_time(out, "held_for", e->settled.held_for_us);
    const struct advice *a = &e->settled.advice;
    static const char *const ACTIONS[] = {NULL, "retry", "fallback", "give_up"};
    add_name(out, "advice", ACTIONS[a->action]);
    if (a->action != ADVICE_DONE) {
        add_name(out, "because", a->reason);
        add_time(out, "after", a->after_us);
        add_ticket(out, a->ticket, names);
        add_text(out, "to", a->resource);
    }
    if (e->settled.routed.route.len) {
        add_routed(out, &e->settled.routed);
        add_finally(out, e->settled.finally, e->settled.static_answer);
    }
    buf_add_str(out, e->settled.late ? " late" : "");
    buf_add_str(out, e->settled.repeated ? " repeated" : "");
}

static void write_alert(struct buf *out, const struct effect *e)
{
    static const char *const KINDS[] = {"budget_warn", "wait_timeout", "overrun", "numbers_differ"};
    buf_addf(out, "alert %s", KINDS[e->alert.kind]);
    add_text(out, "res", e->alert.resource);
    add_name(out, "limit", e->alert.limit);
    add_text(out, "key", e->alert.scope_key);
    add_number(out, "used", e->alert.used);
    add_number(out, "amount", e->alert.amount);
}

static void write_health(struct buf *out, const struct effect *e)
{
    const struct health_view *v = &e->health.view;
    buf_addf(out, "health %s", health_state_name(v->state));
    add_text(out, "res", e->health.resource);
    add_number(out, "caller", (int64_t)e->caller);
    add_time(out, "since", v->since_us);
    add_time(out, "until", v->until_us);
    add_name(out, "why", v->state == HEALTH_OK ? NULL : answer_class_name(v->why));
    add_name(out, "reason", v->reason);
    add_number(out, "rate", v->rate_ppm);
    add_number(out, "refusals", v->refusals);
}

static void write_small(struct buf *out, const struct effect *e, struct table_names *names)
{
    unsigned long long caller = e->caller;
    switch (e->kind) {
    case EFFECT_WAIT:
        buf_addf(out, "wait %llu", caller);
        add_ticket(out, e->wait.ticket, names);
        add_text(out, "id", e->wait.id);
        add_number(out, "position", e->wait.position);
        add_time(out, "eta", e->wait.eta_us);
        add_held_by(out, &e->wait.held_by);
        break;
    case EFFECT_RENEWED:
        buf_addf(out, "renewed %llu", caller);
        add_lease(out, e->renewed.lease, names);
        add_time(out, "expires", e->renewed.expires_us);
        break;
    case EFFECT_CANCELLED:
        buf_addf(out, "cancelled %llu", caller);
        add_ticket(out, e->cancelled.ticket, names);
        add_lease(out, e->cancelled.lease, names);
        break;
    case EFFECT_EXPIRED:
        buf_add_str(out, "expired");
        add_lease(out, e->expired.lease, names);
        add_text(out, "res", e->expired.resource);
        add_text(out, "tenant", e->expired.tenant);
        break;
    case EFFECT_BUDGET:
        buf_addf(out, "budget %llu", caller);
        add_name(out, "limit", e->budget.limit);
        add_text(out, "key", e->budget.scope_key);
        add_number(out, "given_back", e->budget.given_back);
        add_number(out, "used", e->budget.used);
        add_number(out, "held", e->budget.held);
        add_number(out, "remaining", e->budget.remaining);
        break;
    default: buf_add_str(out, "unknown effect");
    }
}

void table_write_effect(struct buf *out, const struct effect *e, struct table_names *names)
{
    switch (e->kind) {
    case EFFECT_PERSIST: write_record(out, &e->record, names); break;
    case EFFECT_GRANT: write_grant(out, e, names); break;
    case EFFECT_REFUSE: write_refuse(out, e); break;
    case EFFECT_SETTLED: write_settled(out, e, names); break;
    case EFFECT_ALERT: write_alert(out, e); break;
    case EFFECT_HEALTH: write_health(out, e); break;
    default: write_small(out, e, names);
    }
}

/* --- Comparison --- */

static bool has_word(const struct table_line *line, const char *word)
{
    for (size_t i = 0; i < line->words_n; i++) {
        if (strcmp(line->words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static bool value_equal(const char *a, const char *b)
{
    int64_t a_us, b_us;
    return strcmp(a, b) == 0 || (table_time(a, &a_us) && table_time(b, &b_us) && a_us == b_us);
}

bool table_matches(const char *want, const char *got)
{
    struct table_line w, g;
    if (!table_split(&w, want, strlen(want)) || !table_split(&g, got, strlen(got)) || !w.words_n ||
        !g.words_n || strcmp(w.words[0], g.words[0]) != 0) {
        return false;
    }
    for (size_t i = 0; i < w.words_n; i++) {
        char *equals = strchr(w.words[i], '=');
        if (!equals) {
            if (!has_word(&g, w.words[i])) {
                return false;
            }
            continue;
        }
        *equals = 0;
        const char *value = table_value(&g, w.words[i]);
        if (!value_equal(value ? value : "", equals + 1)) {
            return false;
        }
        *equals = '=';
    }
    for (size_t i = 0; i < g.words_n; i++) {
        if (!strchr(g.words[i], '=') && !has_word(&w, g.words[i])) {
            return false;
        }
    }
    return true;
}
