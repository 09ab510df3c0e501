/*
 * GET /metrics: the state in Prometheus' text format. Money is in dollars, time in seconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/num.h"
#include "core/view.h"
#include "server/api.h"

#define LABEL_BYTES_MAX (8u * NAME_LEN_MAX)

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_value(struct buf *out, const char *name, const char *labels, double value)
{
    buf_addf(out, "%s%s%s%s %.15g\n", name, *labels ? "{" : "", labels, *labels ? "}" : "", value);
}

/* Labels that memory did not hold would make one line out of two different ones. */
static void put_labelled(struct buf *out, const char *name, const struct buf *labels, double value)
{
    if (labels->failed) {
        out->failed = true;
    } else {
        put_value(out, name, labels->at, value);
    }
}

static void put_one(struct buf *out, const char *name, const char *type, const char *help,
                    double value)
{
    put_head(out, name, type, help);
    put_value(out, name, "", value);
}

/* A label's value: backslash, quote and line end are escaped. */
static void put_label(struct buf *out, const char *key, const char *value)
{
    buf_addf(out, "%s%s=\"", out->len ? "," : "", key);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"') {
            buf_add_char(out, '\\');
        }
        if (*value == '\n') {
            buf_add_str(out, "\\n");
        } else {
            buf_add_char(out, *value);
        }
    }
    buf_add_char(out, '"');
}

static double seconds(int64_t us)
{
    return (double)us / (double)US_PER_S;
}

/* --- By resource. --- */

typedef double resource_value(const struct resource_view *v);

static double value_granted(const struct resource_view *v)
{
    return (double)v->granted;
}

static double value_settled(const struct resource_view *v)
{
    return (double)v->settled;
}

static double value_late(const struct resource_view *v)
{
    return (double)v->late;
}

static double value_expired(const struct resource_view *v)
{
    return (double)v->expired;
}

static double value_cancelled(const struct resource_view *v)
{
    return (double)v->cancelled;
}

static double value_waiting(const struct resource_view *v)
{
    return (double)v->waiting;
}

static double value_away(const struct resource_view *v)
{
    return (double)v->away;
}

static double value_leases(const struct resource_view *v)
{
    return (double)v->leases;
}

static double value_waited(const struct resource_view *v)
{
    return seconds(v->waited_us);
}

static double value_held_for(const struct resource_view *v)
{
    return seconds(v->held_for_us);
}

static double value_oldest(const struct resource_view *v)
{
    return seconds(v->oldest_wait_us);
}

static double value_retries(const struct resource_view *v)
{
    return (double)v->retries;
}

static double value_rate(const struct resource_view *v)
{
    return (double)v->health.rate_ppm / 1e6;
}

static double value_refusals(const struct resource_view *v)
{
    return (double)v->health.refusals;
}

static double value_eta(const struct resource_view *v)
{
    return seconds(v->last_eta_us);
}

static double value_latency(const struct resource_view *v)
{
    return seconds(v->latency_us);
}

static double value_suggested(const struct resource_view *v)
{
    return (double)v->slots_suggested;
}

struct resource_metric {
    const char *name;
    const char *type;
    const char *help;
    resource_value *value;
};

static const struct resource_metric resource_metrics[] = {
    {"sluice_granted_total", "counter", "Leases granted.", value_granted},
    {"sluice_settled_total", "counter", "Leases settled.", value_settled},
    {"sluice_late_total", "counter", "Leases settled after they had expired.", value_late},
    {"sluice_expired_total", "counter", "Leases that ended without a word.", value_expired},
    {"sluice_cancelled_total", "counter", "Requests and leases withdrawn.", value_cancelled},
    {"sluice_waiting", "gauge", "Requests in line.", value_waiting},
    {"sluice_away", "gauge", "Of those in line: tickets nobody asks for now.", value_away},
    {"sluice_leases", "gauge", "Open leases.", value_leases},
    {"sluice_waited_seconds_total", "counter", "Time that granted requests stood in line.",
     value_waited},
    {"sluice_held_seconds_total", "counter", "Time that settled leases were held.", value_held_for},
    {"sluice_oldest_wait_seconds", "gauge", "How long the head of the line has waited.",
     value_oldest},
    {"sluice_line_eta_seconds", "gauge", "Estimated wait of who came last in line.", value_eta},
    {"sluice_retries_total", "counter", "Retries advised.", value_retries},
    {"sluice_effective_rate", "gauge",
     "The share of its limits' rate at which a resource is granted now.", value_rate},
    {"sluice_refusals_in_a_row", "gauge", "Refusals of the provider since it last served a call.",
     value_refusals},
    {"sluice_latency_seconds", "gauge", "How long calls take of late; 0: none was seen.",
     value_latency},
    {"sluice_slots_suggested", "gauge",
     "Calls in flight that use the limits in full at that latency; 0: not known.", value_suggested},
};

static void put_resource_metric(struct buf *out, const struct resource_metric *m,
                                const struct resource_view *views, size_t n)
{
    struct buf labels;
    buf_init(&labels, LABEL_BYTES_MAX);
    put_head(out, m->name, m->type, m->help);
    for (size_t i = 0; i < n; i++) {
        buf_clear(&labels);
        put_label(&labels, "resource", views[i].resource->name);
        put_labelled(out, m->name, &labels, m->value(&views[i]));
    }
    buf_release(&labels);
}

static void put_refused(struct buf *out, const struct resource_view *views, size_t n)
{
    struct buf labels;
    buf_init(&labels, LABEL_BYTES_MAX);
    put_head(out, "sluice_refused_total", "counter", "Requests refused, by code.");
    for (size_t i = 0; i < n; i++) {
        for (int code = 1; code < ERR_COUNT; code++) {
            if (views[i].refused[code] == 0) {
                continue;
            }
            buf_clear(&labels);
            put_label(&labels, "resource", views[i].resource->name);
            put_label(&labels, "code", error_name((enum error_code)code));
            put_labelled(out, "sluice_refused_total", &labels, (double)views[i].refused[code]);
        }
    }
    buf_release(&labels);
}

static void put_answers(struct buf *out, const struct resource_view *views, size_t n)
{
    struct buf labels;
    buf_init(&labels, LABEL_BYTES_MAX);
    put_head(out, "sluice_answers_total", "counter", "The provider's answers, by class.");
    for (size_t i = 0; i < n; i++) {
        for (int class = 0; class < ANSWER_CLASSES; class ++) {
            buf_clear(&labels);
            put_label(&labels, "resource", views[i].resource->name);
            put_label(&labels, "class", answer_class_name((enum answer_class) class));
            put_labelled(out, "sluice_answers_total", &labels, (double)views[i].answers[class]);
        }
    }
    buf_release(&labels);
}

/* One line a state, so that an alert can ask for one by its name whether or not it has ever been.
 * The provider's own reason is no label: what it may be has no bound. */
static void put_states(struct buf *out, const struct resource_view *views, size_t n)
{
    struct buf labels;
    buf_init(&labels, LABEL_BYTES_MAX);
    put_head(out, "sluice_resource_state", "gauge", "1 for the state a resource is in.");
    for (size_t i = 0; i < n; i++) {
        for (int state = 0; state < HEALTH_STATES; state++) {
            buf_clear(&labels);
            put_label(&labels, "resource", views[i].resource->name);
            put_label(&labels, "state", health_state_name((enum health_state)state));
            put_labelled(out, "sluice_resource_state", &labels,
                         (int)views[i].health.state == state);
        }
    }
    buf_release(&labels);
}

/* --- By limit. --- */

enum limit_value {
    LIMIT_AMOUNT,
    LIMIT_USED,
    LIMIT_HELD,
    LIMIT_REMAINING,
    LIMIT_FOREIGN,
    LIMIT_TOLD,
    LIMIT_VALUES
};

static const struct {
    const char *name;
    const char *help;
} limit_metrics[LIMIT_VALUES] = {
    [LIMIT_AMOUNT] = {"sluice_limit_amount", "What a limit allows, after headroom."},
    [LIMIT_USED] = {"sluice_limit_used", "What its window counts now."},
    [LIMIT_HELD] = {"sluice_limit_held", "What open leases hold of it."},
    [LIMIT_REMAINING] = {"sluice_limit_remaining", "What a request could take now."},
    [LIMIT_FOREIGN] = {"sluice_limit_foreign", "What others on the key are seen to use of it."},
    [LIMIT_TOLD] = {"sluice_limit_told", "What the provider says it allows; 0: it has not said."},
};

static int64_t limit_value_of(const struct limit_view *v, enum limit_value which)
{
    switch ((int)which) {
    case LIMIT_AMOUNT: return v->amount;
    case LIMIT_USED: return v->used;
    case LIMIT_HELD: return v->held;
    case LIMIT_FOREIGN: return v->foreign;
    case LIMIT_TOLD: return v->told;
    default: return v->remaining;
    }
}

/* Scoped limits have a counter per key, of which there may be a million: only their amount is told.
 * A limit that the provider has not told yet has none. */
static void put_limit(struct buf *out, enum limit_value which, const struct resource_view *r,
                      const struct limit_view *v, struct buf *labels)
{
    bool bound = which == LIMIT_AMOUNT || which == LIMIT_REMAINING;
    if ((v->limit->scope != SCOPE_RESOURCE && which != LIMIT_AMOUNT) || (v->unknown && bound)) {
        return;
    }
    double unit = v->limit->unit == UNIT_USD ? (double)PICOUSD_PER_USD : 1;
    buf_clear(labels);
    put_label(labels, "resource", r->resource->name);
    put_label(labels, "limit", v->limit->name);
    put_label(labels, "unit", unit_name(v->limit->unit));
    put_labelled(out, limit_metrics[which].name, labels, (double)limit_value_of(v, which) / unit);
}

static void put_limits(struct buf *out, const struct core *core, enum limit_value which,
                       const struct resource_view *views, size_t n)
{
    struct buf labels;
    buf_init(&labels, LABEL_BYTES_MAX);
    put_head(out, limit_metrics[which].name, "gauge", limit_metrics[which].help);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < core_limits(core, i); j++) {
            struct limit_view v;
            core_limit_view(core, i, j, &v);
            put_limit(out, which, &views[i], &v, &labels);
        }
    }
    buf_release(&labels);
}

/* A window is kept this much longer than the provider's. */
static void put_guards(struct buf *out, const struct core *core, const struct resource_view *views,
                       size_t n)
{
    struct buf labels;
    buf_init(&labels, LABEL_BYTES_MAX);
    put_head(out, "sluice_limit_guard_seconds", "gauge",
             "How much longer a window is kept than the provider's; refusals raise it.");
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < core_limits(core, i); j++) {
            struct limit_view v;
            core_limit_view(core, i, j, &v);
            if (v.limit->window != WINDOW_ROLLING && v.limit->window != WINDOW_BUCKET) {
                continue;
            }
            buf_clear(&labels);
            put_label(&labels, "resource", views[i].resource->name);
            put_label(&labels, "limit", v.limit->name);
            put_labelled(out, "sluice_limit_guard_seconds", &labels, seconds(v.guard_us));
        }
    }
    buf_release(&labels);
}

/* --- Estimates. --- */

/* By how far off they were, each bound once: what was held beyond what was used, of that. */
static void put_errors(struct buf *out, const struct resource_view *v, struct buf *labels)
{
    for (size_t i = 0; i < ESTIMATE_ERRORS; i++) {
        char bound[16] = "more";
        if (i < ESTIMATE_ERRORS - 1) {
            snprintf(bound, sizeof(bound), "%g", estimate_error_percent[i] / 100.0);
        }
        buf_clear(labels);
        put_label(labels, "resource", v->resource->name);
        put_label(labels, "upto", bound);
        put_labelled(out, "sluice_estimates_total", labels, (double)v->estimates[i]);
    }
}

static void put_estimates(struct buf *out, const struct resource_view *views, size_t n)
{
    struct buf labels;
    buf_init(&labels, LABEL_BYTES_MAX);
    put_head(out, "sluice_estimates_total", "counter",
             "Settled loads that were estimated, by the share that was held beyond what was used.");
    for (size_t i = 0; i < n; i++) {
        put_errors(out, &views[i], &labels);
    }
    buf_release(&labels);
}

static double value_estimated(const struct resource_view *v)
{
    return (double)v->estimated;
}

static double value_real(const struct resource_view *v)
{
    return (double)v->real;
}

static const struct resource_metric estimate_metrics[] = {
    {"sluice_estimated_tokens_total", "counter", "Tokens held by estimates, once settled.",
     value_estimated},
    {"sluice_estimated_used_tokens_total", "counter", "What those calls really used.", value_real},
};

static void put_resources(struct buf *out, const struct core *core)
{
    size_t n = core_resources(core);
    struct resource_view *views = calloc(n ? n : 1, sizeof(*views));
    if (!views) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        core_resource_view(core, i, &views[i]);
    }
    for (size_t i = 0; i < sizeof(resource_metrics) / sizeof(resource_metrics[0]); i++) {
        put_resource_metric(out, &resource_metrics[i], views, n);
    }
    put_refused(out, views, n);
    put_answers(out, views, n);
    put_states(out, views, n);
    for (int which = 0; which < LIMIT_VALUES; which++) {
        put_limits(out, core, (enum limit_value)which, views, n);
    }
    put_guards(out, core, views, n);
    put_estimates(out, views, n);
    for (size_t i = 0; i < sizeof(estimate_metrics) / sizeof(estimate_metrics[0]); i++) {
        put_resource_metric(out, &estimate_metrics[i], views, n);
    }
    free(views);
}

/* --- By route. --- */

static void put_steps(struct buf *out, const struct core *core, const struct policy *policy,
                      bool accounts)
{
    const char *name = accounts ? "sluice_account_granted_total" : "sluice_route_granted_total";
    struct buf labels;
    buf_init(&labels, LABEL_BYTES_MAX);
    put_head(out, name, "counter",
             accounts
                 ? "Leases granted, by the account of a pool."
                 : "Leases granted, by the step of a route, which is one for all accounts of a "
                   "pool; from 2 on they are fallbacks.");
    for (size_t i = 0; i < core_routes(core); i++) {
        struct route_view v;
        core_route_view(core, i, &v);
        for (size_t j = 0; j < v.route->steps_n && v.route->accounts == accounts; j++) {
            char step[2] = {(char)('0' + route_place(v.route, j)), '\0'};
            buf_clear(&labels);
            put_label(&labels, accounts ? "pool" : "route", v.route->name);
            put_label(&labels, "resource", policy->resources[v.route->steps[j].resource].name);
            if (!accounts) {
                put_label(&labels, "step", step);
            }
            put_labelled(out, name, &labels, (double)v.granted[j]);
        }
    }
    buf_release(&labels);
}

static void put_passed(struct buf *out, const struct core *core)
{
    struct buf labels;
    buf_init(&labels, LABEL_BYTES_MAX);
    put_head(out, "sluice_route_passed_total", "counter",
             "Resources of routes that were passed over, by reason: by grants, and where nothing "
             "was left.");
    for (size_t i = 0; i < core_routes(core); i++) {
        struct route_view v;
        core_route_view(core, i, &v);
        for (int pass = 1; pass < PASS_COUNT; pass++) {
            buf_clear(&labels);
            put_label(&labels, "route", v.route->name);
            put_label(&labels, "reason", pass_name((enum pass)pass));
            put_labelled(out, "sluice_route_passed_total", &labels, (double)v.passed[pass]);
        }
    }
    buf_release(&labels);
}

typedef double route_value(const struct route_view *v);

static double value_exhausted(const struct route_view *v)
{
    return (double)v->exhausted;
}

static double value_moved(const struct route_view *v)
{
    return (double)v->moved;
}

static double value_fallbacks(const struct route_view *v)
{
    return (double)v->fallbacks;
}

static void put_route_counter(struct buf *out, const struct core *core, const char *name,
                              const char *help, route_value *value)
{
    struct buf labels;
    buf_init(&labels, LABEL_BYTES_MAX);
    put_head(out, name, "counter", help);
    for (size_t i = 0; i < core_routes(core); i++) {
        struct route_view v;
        core_route_view(core, i, &v);
        buf_clear(&labels);
        put_label(&labels, "route", v.route->name);
        put_labelled(out, name, &labels, value(&v));
    }
    buf_release(&labels);
}

static void put_routes(struct buf *out, const struct api *api)
{
    put_steps(out, api->core, api->driver->policy, false);
    put_steps(out, api->core, api->driver->policy, true);
    put_passed(out, api->core);
    put_route_counter(out, api->core, "sluice_route_exhausted_total",
                      "Requests for which no resource of the route would do.", value_exhausted);
    put_route_counter(out, api->core, "sluice_route_moved_total",
                      "Requests that went on from one line of the route to another.", value_moved);
    put_route_counter(out, api->core, "sluice_route_fallbacks_total",
                      "Fallbacks advised after a call.", value_fallbacks);
}

static void put_alerts(struct buf *out, const struct alerts *alerts)
{
    struct buf labels;
    buf_init(&labels, LABEL_BYTES_MAX);
    put_head(out, "sluice_alerts_total", "counter", "Alerts, by what they are about.");
    for (size_t i = 0; i < alerts->rows_n; i++) {
        for (int topic = 0; topic < ALERT_TOPICS; topic++) {
            buf_clear(&labels);
            put_label(&labels, "alert", alert_name((enum alert_topic)topic));
            put_label(&labels, "resource", alerts->rows[i].resource);
            put_labelled(out, "sluice_alerts_total", &labels, (double)alerts->rows[i].n[topic]);
        }
    }
    buf_release(&labels);
}

static void put_webhook(struct buf *out, const struct webhook *webhook)
{
    struct webhook_stats s = {0};
    if (webhook) {
        webhook_stats(webhook, &s);
    }
    put_one(out, "sluice_webhook_waiting", "gauge", "Alerts that are yet to be posted.",
            (double)s.waiting);
    put_one(out, "sluice_webhook_posted_total", "counter", "Alerts posted.", (double)s.posted);
    put_one(out, "sluice_webhook_failures_total", "counter", "Attempts to post one that failed.",
            (double)s.failures);
    put_one(out, "sluice_webhook_dropped_total", "counter", "Alerts that were let go.",
            (double)s.dropped);
}

/* --- The daemon. --- */

static void put_journal(struct buf *out, struct api *api)
{
    struct journal_stats s;
    const char *words;
    journal_stats(api->journal, &s);
    put_one(out, "sluice_journal_batches_total", "counter", "Commits.", (double)s.batches);
    put_one(out, "sluice_journal_records_total", "counter", "Records handed to the journal.",
            (double)s.records);
    put_one(out, "sluice_journal_pruned_total", "counter", "Records let go.", (double)s.pruned);
    put_one(out, "sluice_journal_failures_total", "counter", "Commits that failed.",
            (double)s.failures);
    put_one(out, "sluice_journal_commit_seconds_total", "counter", "Time spent in commits.",
            seconds(s.commit_us_sum));
    put_one(out, "sluice_journal_commit_seconds_max", "gauge",
            "The longest commit since the last look.", seconds(s.commit_us_max));
    put_one(out, "sluice_journal_rows", "gauge", "Rows in the store, as last counted.",
            (double)s.rows);
    put_one(out, "sluice_journal_file_bytes", "gauge", "Size of the store.", (double)s.file_bytes);
    put_one(out, "sluice_journal_failing", "gauge", "1 while the store cannot be written.",
            driver_ready(api->driver, &words) == ERR_STORE_FAILED);
}

static void put_http(struct buf *out, const struct api *api)
{
    struct http_stats s;
    http_server_stats(api->http, &s);
    put_one(out, "sluice_http_connections", "gauge", "Open connections.", (double)s.connections);
    put_one(out, "sluice_http_parked", "gauge", "Requests that wait for their answer.",
            (double)s.parked);
    put_one(out, "sluice_http_accepted_total", "counter", "Connections taken.", (double)s.accepted);
    put_one(out, "sluice_http_requests_total", "counter", "Requests handled.", (double)s.requests);
    put_one(out, "sluice_http_refused_total", "counter", "Requests refused before any handler.",
            (double)s.refused);
    put_one(out, "sluice_http_received_bytes_total", "counter", "Bytes taken.", (double)s.bytes_in);
    put_one(out, "sluice_http_sent_bytes_total", "counter", "Bytes given.", (double)s.bytes_out);
}

static void put_core(struct buf *out, const struct api *api)
{
    struct core_totals t;
    const struct restored *r = api->restored;
    core_totals(api->core, &t);
    put_one(out, "sluice_counters", "gauge", "Counters of scopes in memory.", (double)t.counters);
    put_one(out, "sluice_leases_remembered", "gauge", "Ended leases that still answer.",
            (double)t.leases_remembered);
    put_one(out, "sluice_taken_back_total", "counter", "Leases whose answer reached nobody.",
            (double)api->driver->taken_back);
    put_one(out, "sluice_listeners", "gauge", "Event streams.", (double)api->events->listeners_n);
    put_one(out, "sluice_listeners_cut_total", "counter", "Event streams that did not keep up.",
            (double)api->events->cut);
    put_one(out, "sluice_restored_records", "gauge", "Records read back at the start.",
            (double)r->records);
    put_one(out, "sluice_restored_skipped", "gauge", "Of those: of what is no longer configured.",
            (double)r->skipped);
    put_one(out, "sluice_restored_leases", "gauge", "Open leases after that.", (double)r->leases);
    put_one(out, "sluice_restored_states", "gauge",
            "Resources that were not well before the start.", (double)r->states);
    put_one(out, "sluice_restored_learned", "gauge",
            "Limits of which the start knew what answers had taught.", (double)r->learned);
    put_one(out, "sluice_restore_seconds", "gauge", "How long that took.", seconds(r->took_us));
}

static double resident_bytes(void)
{
    unsigned long pages = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (!statm) {
        return 0;
    }
    if (fscanf(statm, "%lu %lu", &pages, &resident) != 2) {
        resident = 0;
    }
    fclose(statm);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void put_process(struct buf *out, const struct api *api)
{
    put_one(out, "process_resident_memory_bytes", "gauge", "Memory in use.", resident_bytes());
    put_one(out, "process_start_time_seconds", "gauge", "When the daemon began.",
            seconds(api->started_us));
    put_one(out, "sluice_uptime_seconds", "gauge", "How long it has run.",
            seconds(driver_now(api->driver) - api->started_us));
    put_head(out, "sluice_build_info", "gauge", "Which version this is.");
    put_value(out, "sluice_build_info", "version=\"" SLUICE_VERSION "\"", 1);
}

void api_metrics(const struct call *call)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    put_resources(&body, call->api->core);
    put_routes(&body, call->api);
    put_alerts(&body, &call->api->driver->alerts);
    put_webhook(&body, call->api->webhook);
    put_core(&body, call->api);
    put_journal(&body, call->api);
    put_http(&body, call->api);
    put_process(&body, call->api);
    api_reply(call->req, "text/plain; version=0.0.4", &body);
    buf_release(&body);
}
