#include "server/answer.h"

#include <assert.h>

#include "base/num.h"
#include "config/words.h"
#include "http/member.h"
#include "server/names.h"

#define MESSAGE_LEN_MAX 2048

/* A coordinator that restarts is back within seconds; a store that failed is tried twice a second.
 */
#define RESTART_RETRY_MS 2000
#define STORE_RETRY_MS   1000
#define CAP_RETRY_MS     1000

int64_t error_retry_after_ms(enum error_code code)
{
    switch ((int)code) {
    case ERR_SHUTTING_DOWN: return RESTART_RETRY_MS;
    case ERR_STORE_FAILED: return STORE_RETRY_MS;
    case ERR_LINE_FULL:
    case ERR_OVER_CAP:
    case ERR_NO_MEMORY: return CAP_RETRY_MS;
    default: return 0;
    }
}

int answer_status(const struct effect *effect)
{
    switch ((int)effect->kind) {
    case EFFECT_WAIT: return 202;
    case EFFECT_REFUSE: return error_status(effect->refuse.code);
    default: return 200;
    }
}

static int64_t ms_rounded_up(int64_t us)
{
    return us / US_PER_MS + (us % US_PER_MS > 0);
}

int64_t answer_retry_after_ms(const struct effect *effect)
{
    if (effect->kind != EFFECT_REFUSE) {
        return 0;
    }
    int64_t us = effect->refuse.retry_after_us;
    if (us > 0 && us < INT64_MAX) {
        return ms_rounded_up(us);
    }
    return error_retry_after_ms(effect->refuse.code);
}

int64_t answer_retry_after_s(int64_t retry_after_ms)
{
    return retry_after_ms / 1000 + (retry_after_ms % 1000 > 0);
}

void answer_write_amount(const char *key, enum unit unit, int64_t n, struct json_writer *w)
{
    if (unit == UNIT_USD) {
        member_picousd(w, key, n);
    } else {
        member_i64(w, key, n);
    }
}

void answer_write_load(const struct load *load, struct json_writer *w)
{
    json_object_begin(w);
    for (int unit = 0; unit < UNIT_COUNT; unit++) {
        if (load->of[unit] != 0) {
            answer_write_amount(unit_name((enum unit)unit), (enum unit)unit, load->of[unit], w);
        }
    }
    json_object_end(w);
}

void answer_write_held_by(const struct held_by *held_by, struct json_writer *w)
{
    json_array_begin(w);
    for (size_t i = 0; i < held_by->limits_n; i++) {
        json_str(w, held_by->limits[i]);
    }
    json_array_end(w);
}

void answer_write_lease(const char *key, uint64_t lease, struct json_writer *w)
{
    struct public_name name = lease_name(lease);
    member_text(w, key, public_name_text(&name));
}

static void write_ticket(uint64_t ticket, struct json_writer *w)
{
    struct public_name name = ticket_name(ticket);
    member_text(w, "ticket", public_name_text(&name));
}

/* Which step of a route served, and why not those before it. */
static void write_routed(const struct routed *routed, struct json_writer *w)
{
    if (routed->route.len == 0) {
        return;
    }
    member_text(w, "route", routed->route);
    if (routed->step > 0) {
        member_i64(w, "step", (int64_t)routed->step);
    }
    json_key(w, "passed");
    json_array_begin(w);
    for (size_t i = 0; i < routed->passed_n; i++) {
        json_object_begin(w);
        member_text(w, "resource", routed->passed[i].resource);
        member_str(w, "reason", routed->passed[i].reason);
        json_object_end(w);
    }
    json_array_end(w);
}

static void write_grant(const struct effect *e, struct json_writer *w)
{
    answer_write_lease("lease", e->grant.lease, w);
    member_text(w, "resource", e->grant.resource);
    member_text(w, "model", e->grant.model);
    member_text_if(w, "account", e->grant.account);
    write_routed(&e->grant.routed, w);
    if (e->grant.max_output_tokens > 0) {
        member_i64(w, "max_output_tokens", e->grant.max_output_tokens);
    }
    json_key(w, "held");
    answer_write_load(&e->grant.held, w);
    member_i64(w, "waited_ms", e->grant.waited_us / US_PER_MS);
    /* Rounded down, so that nobody counts on a lease for longer than it lives. */
    member_i64(w, "expires_ms", e->grant.expires_us / US_PER_MS);
    member_i64(w, "attempt", e->grant.attempt);
}

static void write_wait(const struct effect *e, struct json_writer *w)
{
    write_ticket(e->wait.ticket, w);
    member_i64(w, "position", e->wait.position);
    member_i64(w, "eta_ms", ms_rounded_up(e->wait.eta_us));
    json_key(w, "held_by");
    answer_write_held_by(&e->wait.held_by, w);
}

/* What a caller reads of a call that needs nothing more. */
static const char *settled_how(const struct effect *e)
{
    return e->settled.repeated ? "settled before"
           : e->settled.late   ? "settled after the lease had expired"
                               : "settled";
}

/* What a caller is to do where a route has nothing left. */
static void write_finally(enum finally finally, const char *static_answer, struct json_writer *w)
{
    member_str(w, "finally", finally_words[finally]);
    if (static_answer) {
        member_str(w, "static_answer", static_answer);
    }
}

static void write_advice(const struct effect *e, struct json_writer *w)
{
    static const char *const actions[] = {[ADVICE_DONE] = "done",
                                          [ADVICE_RETRY] = "retry",
                                          [ADVICE_FALLBACK] = "fallback",
                                          [ADVICE_GIVE_UP] = "give_up"};
    const struct advice *a = &e->settled.advice;
    json_key(w, "advice");
    json_object_begin(w);
    member_str(w, "action", actions[a->action]);
    member_i64(w, "after_ms", ms_rounded_up(a->after_us));
    if (a->ticket) {
        write_ticket(a->ticket, w);
    }
    if (a->resource.len) {
        member_text(w, "resource", a->resource);
    }
    member_str(w, "reason", a->action == ADVICE_DONE ? settled_how(e) : a->reason);
    if (e->settled.routed.route.len) {
        write_routed(&e->settled.routed, w);
        write_finally(e->settled.finally, e->settled.static_answer, w);
    }
    json_object_end(w);
}

static void write_settled(const struct effect *e, struct json_writer *w)
{
    json_key(w, "settled");
    answer_write_load(&e->settled.settled, w);
    member_picousd(w, "cost_usd", e->settled.settled.of[UNIT_USD]);
    member_bool(w, "late", e->settled.late);
    write_advice(e, w);
}

static void write_renewed(const struct effect *e, struct json_writer *w)
{
    answer_write_lease("lease", e->renewed.lease, w);
    member_i64(w, "expires_ms", e->renewed.expires_us / US_PER_MS);
}

static void write_time(struct json_writer *w, const char *key, int64_t us)
{
    json_key(w, key);
    if (us > 0 && us < INT64_MAX) {
        json_i64(w, ms_rounded_up(us));
    } else {
        json_null(w);
    }
}

void answer_write_state(const struct health_view *v, struct json_writer *w)
{
    bool well = v->state == HEALTH_OK;
    json_object_begin(w);
    member_str(w, "name", health_state_name(v->state));
    write_time(w, "since_ms", v->since_us);
    write_time(w, "until_ms", v->until_us);
    member_str(w, "why", well || v->why == ANSWER_OK ? NULL : answer_class_name(v->why));
    member_str(w, "reason", well || !v->reason[0] ? NULL : v->reason);
    json_key(w, "rate");
    json_double(w, (double)v->rate_ppm / 1e6);
    member_i64(w, "refusals_in_a_row", v->refusals);
    json_object_end(w);
}

static void write_health(const struct effect *e, struct json_writer *w)
{
    member_text(w, "resource", e->health.resource);
    json_key(w, "state");
    answer_write_state(&e->health.view, w);
}

static void write_cancelled(const struct effect *e, struct json_writer *w)
{
    member_bool(w, "cancelled", true);
    if (e->cancelled.lease) {
        answer_write_lease("lease", e->cancelled.lease, w);
    } else {
        write_ticket(e->cancelled.ticket, w);
    }
}

/* --- Refusals, explained. --- */

const struct limit *answer_limit(const struct policy *policy, struct text resource,
                                 const char *name)
{
    for (size_t i = 0; policy && name && i < policy->resources_n; i++) {
        const struct resource *r = &policy->resources[i];
        for (size_t j = 0; text_equal(text_of(r->name), resource) && j < r->limits_n; j++) {
            if (strcmp(r->limits[j].name, name) == 0) {
                return &r->limits[j];
            }
        }
    }
    return NULL;
}

void answer_add_amount(enum unit unit, int64_t n, struct buf *words)
{
    struct json_writer w;
    if (unit == UNIT_USD) {
        json_writer_init(&w, words);
        json_picousd(&w, n);
        buf_add_str(words, " USD");
    } else {
        buf_addf(words, "%lld %s", (long long)n, unit_name(unit));
    }
}

/* Of a limit that a new policy no longer has, not even the unit is known. */
static void add_amount_of(const struct limit *limit, int64_t n, struct buf *words)
{
    if (limit) {
        answer_add_amount(limit->unit, n, words);
    } else {
        buf_addf(words, "%lld", (long long)n);
    }
}

/* ": it asks for 500 tokens, and limit `tpm` has 200 tokens of 1000 tokens left" */
static void add_limit_words(const struct effect *e, const struct policy *policy, struct buf *words)
{
    const struct limit *limit = answer_limit(policy, e->refuse.resource, e->refuse.limit);
    bool never = e->refuse.code == ERR_NEVER_FITS;
    buf_add_str(words, ": it asks for ");
    add_amount_of(limit, e->refuse.limit_asked, words);
    buf_addf(words, ", and limit `%s` %s ", e->refuse.limit, never ? "allows" : "has");
    if (!never) {
        add_amount_of(limit, e->refuse.limit_free, words);
        buf_add_str(words, " of ");
    }
    add_amount_of(limit, e->refuse.limit_amount, words);
    buf_add_str(words, never ? " in all" : " left");
}

static void add_held_by_words(const struct held_by *held_by, struct buf *words)
{
    for (size_t i = 0; i < held_by->limits_n; i++) {
        buf_addf(words, "%s`%s`", i == 0 ? ": held by " : ", ", held_by->limits[i]);
    }
}

static void add_passed_words(const struct routed *routed, struct buf *words)
{
    for (size_t i = 0; i < routed->passed_n; i++) {
        const struct passed *p = &routed->passed[i];
        buf_addf(words, "%s`%.*s`: %s", i == 0 ? ": " : ", ", (int)p->resource.len, p->resource.at,
                 p->reason);
    }
}

static void write_message(const struct effect *e, const struct policy *policy,
                          struct json_writer *w)
{
    struct buf words;
    buf_init(&words, MESSAGE_LEN_MAX);
    if (e->refuse.code == ERR_UNKNOWN_RESOURCE && e->refuse.resource.len > 0) {
        buf_addf(&words, "`%.*s`: ", (int)e->refuse.resource.len, e->refuse.resource.at);
    }
    buf_add_str(&words, error_sentence(e->refuse.code));
    if (e->refuse.code == ERR_ROUTE_EXHAUSTED) {
        add_passed_words(&e->refuse.routed, &words);
    } else if (e->refuse.code == ERR_BREAKER_OPEN && e->refuse.held_by.limits_n > 0) {
        buf_addf(&words, ": the resource is in state `%s`", e->refuse.held_by.limits[0]);
    } else if (e->refuse.limit && e->refuse.limit_amount > 0) {
        add_limit_words(e, policy, &words);
    } else {
        add_held_by_words(&e->refuse.held_by, &words);
    }
    json_text(w, buf_text(&words));
    buf_release(&words);
}

static void write_code(enum error_code code, struct json_writer *w)
{
    member_str(w, "type", error_name(code));
    member_str(w, "code", error_name(code));
}

static void write_refuse(const struct effect *e, const struct policy *policy, struct json_writer *w)
{
    json_key(w, "error");
    json_object_begin(w);
    write_code(e->refuse.code, w);
    json_key(w, "message");
    write_message(e, policy, w);
    if (e->refuse.limit) {
        member_str(w, "limit", e->refuse.limit);
    }
    int64_t retry_after_ms = answer_retry_after_ms(e);
    if (retry_after_ms > 0) {
        member_i64(w, "retry_after_ms", retry_after_ms);
    }
    if (e->refuse.code == ERR_BREAKER_OPEN && e->refuse.held_by.limits_n > 0) {
        member_str(w, "state", e->refuse.held_by.limits[0]);
    } else if (e->refuse.held_by.limits_n > 0) {
        json_key(w, "held_by");
        answer_write_held_by(&e->refuse.held_by, w);
    }
    write_routed(&e->refuse.routed, w);
    if (e->refuse.code == ERR_ROUTE_EXHAUSTED) {
        write_finally(e->refuse.finally, e->refuse.static_answer, w);
    }
    if (e->refuse.position > 0) {
        member_i64(w, "position", e->refuse.position);
    }
    json_object_end(w);
}

static void write_budget(const struct effect *e, struct json_writer *w)
{
    member_text(w, "resource", e->budget.resource);
    member_str(w, "limit", e->budget.limit);
    member_text_if(w, "scope_key", e->budget.scope_key);
    member_str(w, "unit", unit_name(e->budget.unit));
    answer_write_amount("given_back", e->budget.unit, e->budget.given_back, w);
    answer_write_amount("amount", e->budget.unit, e->budget.amount, w);
    answer_write_amount("used", e->budget.unit, e->budget.used, w);
    answer_write_amount("held", e->budget.unit, e->budget.held, w);
    answer_write_amount("remaining", e->budget.unit, e->budget.remaining, w);
}

void answer_write(const struct effect *effect, const struct policy *policy, struct json_writer *w)
{
    switch ((int)effect->kind) {
    case EFFECT_GRANT: write_grant(effect, w); return;
    case EFFECT_WAIT: write_wait(effect, w); return;
    case EFFECT_REFUSE: write_refuse(effect, policy, w); return;
    case EFFECT_SETTLED: write_settled(effect, w); return;
    case EFFECT_RENEWED: write_renewed(effect, w); return;
    case EFFECT_CANCELLED: write_cancelled(effect, w); return;
    case EFFECT_HEALTH: write_health(effect, w); return;
    case EFFECT_BUDGET: write_budget(effect, w); return;
    default: assert(!"this effect answers nobody");
    }
}

void answer_write_error(enum error_code code, const char *message, int64_t retry_after_ms,
                        struct json_writer *w)
{
    json_key(w, "error");
    json_object_begin(w);
    write_code(code, w);
    member_str(w, "message", message ? message : error_sentence(code));
    if (retry_after_ms > 0) {
        member_i64(w, "retry_after_ms", retry_after_ms);
    }
    json_object_end(w);
}
