#include "server/tell.h"

#include <stdio.h>

#include "base/num.h"
#include "core/view.h"
#include "server/log.h"
#include "server/notice.h"

/* --- Notices are written down. --- */

/* Whose business an effect is. */
static void find_tenant(struct driver *d, const struct effect *e, struct notice *notice)
{
    struct lease_view view;
    const struct caller *caller = callers_find(&d->callers, e->caller);
    notice->of_tenant = true;
    if (e->kind == EFFECT_GRANT) {
        notice->tenant = e->grant.tenant;
    } else if (e->kind == EFFECT_EXPIRED) {
        notice->tenant = e->expired.tenant;
    } else if (e->kind == EFFECT_SETTLED && core_lease_view(d->o.core, e->settled.lease, &view)) {
        notice->tenant = view.tenant;
    } else if (e->kind == EFFECT_REFUSE && caller && caller->client->tenant[0]) {
        notice->tenant = text_of(caller->client->tenant);
    } else {
        notice->of_tenant = false;
    }
}

static void announce(struct driver *d, const struct effect *e)
{
    struct notice notice = {0};
    if (!notice_kind_of(e, &notice.kind) || !events_wanted(d->o.events, notice.kind)) {
        return;
    }
    struct pending_notice *pending = turn_add_notice(d->turn);
    if (!pending) {
        return; /* listeners are promised nothing when memory is short */
    }
    find_tenant(d, e, &notice);
    pending->notice = notice;
    pending->resource = turn_add_text(d->turn, notice_resource(e));
    pending->tenant = turn_add_text(d->turn, notice.tenant);
    pending->data.at = (uint32_t)d->turn->text.len;
    notice_write(e, d->now_us, &d->turn->text);
    pending->data.len = (uint32_t)d->turn->text.len - pending->data.at;
}

/* "resource gpt-4o: backoff for 12000 ms (overload, overloaded_error); it was ok" */
static void log_state(const struct driver *d, const struct effect *e)
{
    const struct health_view *v = &e->health.view;
    char how[64] = "";
    bool well = v->state == HEALTH_OK;
    bool why = !well && v->why != ANSWER_OK;
    const struct caller *operator= callers_find(&d->callers, e->caller);
    if (operator) {
        log_info("resource %.*s is reopened by %s%s", (int)e->health.resource.len,
                 e->health.resource.at, operator->client->name[0] ? "key " : "an operator",
                                        operator->client->name);
    }
    if (e->health.was == v->state) {
        return;
    }
    if (v->state == HEALTH_RECOVERING) {
        snprintf(how, sizeof(how), " at %.0f %% of its rate", (double)v->rate_ppm / 1e4);
    } else if (v->until_us > 0 && v->until_us < INT64_MAX) {
        snprintf(how, sizeof(how), " for %lld ms",
                 (long long)(sub_sat(v->until_us, d->now_us) / US_PER_MS));
    }
    void (*say)(const char *format, ...) =
        well || v->state == HEALTH_RECOVERING ? log_info : log_warn;
    say("resource %.*s: %s%s%s%s%s%s%s; it was %s", (int)e->health.resource.len,
        e->health.resource.at, health_state_name(v->state), how, why ? " (" : "",
        why ? answer_class_name(v->why) : "", why && v->reason[0] ? ", " : "", why ? v->reason : "",
        why ? ")" : "", health_state_name(e->health.was));
}

/* --- Alerts. --- */

static void announce_alert(struct driver *d, const struct alert *alert)
{
    struct json_writer w;
    struct pending_notice *pending =
        events_wanted(d->o.events, NOTICE_ALERT) ? turn_add_notice(d->turn) : NULL;
    if (!pending) {
        return;
    }
    pending->notice.kind = NOTICE_ALERT;
    pending->resource = turn_add_text(d->turn, alert->resource);
    pending->data.at = (uint32_t)d->turn->text.len;
    json_writer_init(&w, &d->turn->text);
    json_object_begin(&w);
    alert_write(alert, driver_now(d), &w);
    json_object_end(&w);
    pending->data.len = (uint32_t)d->turn->text.len - pending->data.at;
}

/* A resource that closes has a line of the log for that already, and a request that waited in vain
 * is its caller's affair. */
static void log_alert(const struct alert *alert)
{
    struct buf words;
    if (alert->topic == TOPIC_BREAKER_OPEN || alert->topic == TOPIC_LONG_BACKOFF ||
        alert->topic == TOPIC_WAIT_TIMEOUT) {
        return;
    }
    buf_init(&words, ALERT_WORDS_BYTES_MAX);
    alert_words(alert, &words);
    log_warn("alert %s: %.*s", alert_name(alert->topic), (int)words.len, words.len ? words.at : "");
    buf_release(&words);
}

void tell_alert(struct driver *d, const struct alert *alert)
{
    announce_alert(d, alert);
    if (!alerts_count(&d->alerts, alert, driver_now(d))) {
        return;
    }
    log_alert(alert);
    if (d->o.alerted) {
        d->o.alerted(d->o.ctx, alert, driver_now(d));
    }
}

void tell_effect(struct driver *d, const struct effect *e)
{
    struct alert alert;
    if (d->o.events->kinds) {
        announce(d, e);
    }
    if (e->kind == EFFECT_HEALTH) {
        log_state(d, e);
    }
    if (alert_of_effect(&d->alerts, e, d->policy, &alert)) {
        tell_alert(d, &alert);
    }
}
