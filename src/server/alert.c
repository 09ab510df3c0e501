#include "server/alert.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "http/member.h"
#include "server/answer.h"

static const char *const names[ALERT_TOPICS] = {
    [TOPIC_BUDGET_WARN] = "budget_warn",
    [TOPIC_WAIT_TIMEOUT] = "wait_timeout",
    [TOPIC_OVERRUN] = "overrun",
    [TOPIC_NUMBERS_DIFFER] = "numbers_differ",
    [TOPIC_BREAKER_OPEN] = "breaker_open",
    [TOPIC_LONG_BACKOFF] = "long_backoff",
    [TOPIC_LONG_LINE] = "long_line",
    [TOPIC_UNPRICED] = "unpriced",
    [TOPIC_FALLBACK_SHARE] = "fallback_share",
};

const char *alert_name(enum alert_topic topic)
{
    return names[topic];
}

/* --- From effects. --- */

static enum alert_topic topic_of(enum alert_kind kind)
{
    switch (kind) {
    case ALERT_BUDGET_WARN: return TOPIC_BUDGET_WARN;
    case ALERT_WAIT_TIMEOUT: return TOPIC_WAIT_TIMEOUT;
    case ALERT_OVERRUN: return TOPIC_OVERRUN;
    case ALERT_NUMBERS_DIFFER: return TOPIC_NUMBERS_DIFFER;
    }
    return TOPIC_OVERRUN;
}

static bool of_health(const struct alerts *alerts, const struct effect *e, struct alert *alert)
{
    const struct health_view *v = &e->health.view;
    bool closed = v->state == HEALTH_PAUSED || v->state == HEALTH_BACKOFF;
    bool opened = v->state == HEALTH_BREAKER_OPEN && e->health.was != v->state;
    if (!opened && !(closed && sub_sat(v->until_us, v->since_us) > alerts->backoff_us)) {
        return false;
    }
    *alert = (struct alert){
        .topic = opened ? TOPIC_BREAKER_OPEN : TOPIC_LONG_BACKOFF,
        .resource = e->health.resource,
        .health = *v,
    };
    return true;
}

bool alert_of_effect(const struct alerts *alerts, const struct effect *e,
                     const struct policy *policy, struct alert *alert)
{
    if (e->kind == EFFECT_HEALTH) {
        return of_health(alerts, e, alert);
    }
    if (e->kind != EFFECT_ALERT) {
        return false;
    }
    const struct limit *limit = answer_limit(policy, e->alert.resource, e->alert.limit);
    *alert = (struct alert){
        .topic = topic_of(e->alert.kind),
        .resource = e->alert.resource,
        .limit = e->alert.limit,
        .scope_key = e->alert.scope_key,
        .unit = limit ? limit->unit : UNIT_REQUESTS,
        .used = e->alert.used,
        .amount = e->alert.amount,
        .told = e->alert.told,
    };
    if (limit && alert->topic == TOPIC_NUMBERS_DIFFER) {
        alert->amount = limit->amount;
    }
    return true;
}

/* --- In words. --- */

static void add_limit(const struct alert *a, struct buf *words)
{
    buf_addf(words, " of limit %s", a->limit ? a->limit : "-");
    if (a->scope_key.len) {
        buf_addf(words, " (%.*s)", (int)a->scope_key.len, a->scope_key.at);
    }
}

static void add_used(const struct alert *a, struct buf *words)
{
    answer_add_amount(a->unit, a->used, words);
    buf_add_str(words, " of ");
    answer_add_amount(a->unit, a->amount, words);
    add_limit(a, words);
    buf_add_str(words, a->topic == TOPIC_OVERRUN ? " are used: more than was held" : " are used");
}

static double seconds(int64_t us)
{
    return (double)us / (double)US_PER_S;
}

static void add_closed(const struct alert *a, struct buf *words)
{
    const struct health_view *h = &a->health;
    buf_addf(words, "closed for %.1f s (%s) after the provider answered %s",
             seconds(sub_sat(h->until_us, h->since_us)), health_state_name(h->state),
             answer_class_name(h->why));
    if (h->reason[0]) {
        buf_addf(words, " (%s)", h->reason);
    }
}

void alert_words(const struct alert *a, struct buf *words)
{
    buf_addf(words, "%s %.*s: ", a->topic == TOPIC_FALLBACK_SHARE ? "route" : "resource",
             (int)a->resource.len, a->resource.len ? a->resource.at : "");
    switch (a->topic) {
    case TOPIC_BUDGET_WARN:
    case TOPIC_OVERRUN: add_used(a, words); break;
    case TOPIC_NUMBERS_DIFFER:
        buf_add_str(words, "the provider allows ");
        answer_add_amount(a->unit, a->told, words);
        buf_add_str(words, ", and ");
        answer_add_amount(a->unit, a->amount, words);
        buf_add_str(words, " are configured");
        add_limit(a, words);
        break;
    case TOPIC_WAIT_TIMEOUT: buf_add_str(words, "a request stood in line in vain"); break;
    case TOPIC_BREAKER_OPEN:
    case TOPIC_LONG_BACKOFF: add_closed(a, words); break;
    case TOPIC_LONG_LINE:
        buf_addf(words,
                 "the last in line is expected to wait %.1f s, and is willing to wait %.1f s",
                 seconds(a->eta_us), seconds(a->wait_us));
        break;
    case TOPIC_UNPRICED:
        buf_addf(words, "%lld tokens were used, and no price is known", (long long)a->tokens);
        break;
    case TOPIC_FALLBACK_SHARE:
        buf_addf(words, "%.0f %% of what it granted in the last minute were fallbacks",
                 (double)a->share_ppm / 1e4);
        break;
    case ALERT_TOPICS: break;
    }
}

/* --- As JSON. --- */

static void write_message(const struct alert *a, struct json_writer *w)
{
    struct buf words;
    buf_init(&words, ALERT_WORDS_BYTES_MAX);
    alert_words(a, &words);
    member_text(w, "message", buf_text(&words));
    buf_release(&words);
}

void alert_write(const struct alert *a, int64_t now_us, struct json_writer *w)
{
    member_i64(w, "at_ms", now_us / US_PER_MS);
    member_text_if(w, "resource", a->resource);
    member_str(w, "alert", alert_name(a->topic));
    write_message(a, w);
    if (a->limit) {
        member_str(w, "limit", a->limit);
        member_text_if(w, "scope_key", a->scope_key);
        member_str(w, "unit", unit_name(a->unit));
        answer_write_amount("used", a->unit, a->used, w);
        answer_write_amount("amount", a->unit, a->amount, w);
    }
    if (a->topic == TOPIC_NUMBERS_DIFFER) {
        answer_write_amount("told", a->unit, a->told, w);
    }
    if (a->topic == TOPIC_BREAKER_OPEN || a->topic == TOPIC_LONG_BACKOFF) {
        json_key(w, "state");
        answer_write_state(&a->health, w);
    } else if (a->topic == TOPIC_LONG_LINE) {
        member_i64(w, "eta_ms", a->eta_us / US_PER_MS);
        member_i64(w, "wait_ms", a->wait_us / US_PER_MS);
    } else if (a->topic == TOPIC_FALLBACK_SHARE) {
        json_key(w, "share");
        json_double(w, (double)a->share_ppm / 1e6);
    } else if (a->topic == TOPIC_UNPRICED) {
        member_i64(w, "tokens", a->tokens);
    }
}

/* --- Counted. --- */

void alerts_init(struct alerts *alerts)
{
    *alerts = (struct alerts){.fallback_ppm = ALERT_FALLBACK_PPM,
                              .backoff_us = ALERT_BACKOFF_US,
                              .again_us = ALERT_AGAIN_US};
}

static struct alert_row *find_row(const struct alerts *alerts, struct text resource)
{
    for (size_t i = 0; i < alerts->rows_n; i++) {
        if (text_equal(text_of(alerts->rows[i].resource), resource)) {
            return &alerts->rows[i];
        }
    }
    return NULL;
}

void alerts_configure(struct alerts *alerts, const struct policy *policy)
{
    size_t n = policy->resources_n + policy->routes_n;
    struct alert_row *rows = calloc(n ? n : 1, sizeof(*rows));
    if (!rows) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const char *name = i < policy->resources_n ? policy->resources[i].name
                                                   : policy->routes[i - policy->resources_n].name;
        const struct alert_row *before = find_row(alerts, text_of(name));
        if (before) {
            rows[i] = *before;
        }
        memcpy(rows[i].resource, name, sizeof(rows[i].resource));
    }
    free(alerts->rows);
    alerts->rows = rows;
    alerts->rows_n = n;
}

void alerts_release(struct alerts *alerts)
{
    free(alerts->rows);
    *alerts = (struct alerts){0};
}

bool alerts_count(struct alerts *alerts, const struct alert *alert, int64_t now_us)
{
    struct alert_row *row = find_row(alerts, alert->resource);
    if (!row) {
        return true;
    }
    row->n[alert->topic]++;
    int64_t told_us = row->told_us[alert->topic];
    bool again = told_us == 0 || sub_sat(now_us, told_us) >= alerts->again_us;
    if (again) {
        row->told_us[alert->topic] = now_us;
    }
    return again || alert->topic == TOPIC_BUDGET_WARN;
}
