/*
 * The requests that only look: resources, leases, events, health. They are answered at once, from
 * what the core says now, whether or not it is durable yet.
 */

#include "base/num.h"
#include "config/words.h"
#include "core/view.h"
#include "http/member.h"
#include "server/answer.h"
#include "server/api.h"
#include "server/names.h"

#define QUERY_LEN_MAX       (64u << 10) /* longer than any target */
#define LEASES_PER_PAGE     100
#define LEASES_PER_PAGE_MAX 1000
#define LEASES_LOOKED_MAX   2000 /* for one page, those of other tenants included */

/* --- Resources. --- */

/* What is left of a limit that nobody has told yet is as unknown as the limit. */
static void put_bound(struct json_writer *w, const char *key, const struct limit_view *v, int64_t n)
{
    if (v->unknown) {
        json_key(w, key);
        json_null(w);
    } else {
        answer_write_amount(key, v->limit->unit, n, w);
    }
}

static void put_reset(struct json_writer *w, int64_t reset_us)
{
    json_key(w, "reset_ms");
    if (reset_us > 0 && reset_us < INT64_MAX) {
        json_i64(w, reset_us / US_PER_MS + (reset_us % US_PER_MS > 0));
    } else {
        json_null(w);
    }
}

void api_write_counter(struct json_writer *w, const struct limit_view *v)
{
    enum unit unit = v->limit->unit;
    answer_write_amount("used", unit, v->used, w);
    answer_write_amount("held", unit, v->held, w);
    put_bound(w, "remaining", v, v->remaining);
    if (v->foreign > 0) {
        answer_write_amount("foreign", unit, v->foreign, w);
    }
    put_reset(w, v->reset_us);
}

void api_write_limit(struct json_writer *w, const struct limit_view *v)
{
    const struct limit *l = v->limit;
    member_str(w, "limit", l->name);
    member_str(w, "unit", unit_name(l->unit));
    member_str(w, "window", window_words[l->window]);
    if (l->window == WINDOW_ROLLING || l->window == WINDOW_BUCKET) {
        member_i64(w, "per_ms", l->per_us / US_PER_MS);
        member_i64(w, "guard_ms", v->guard_us / US_PER_MS);
    }
    if (l->window == WINDOW_CALENDAR) {
        member_str(w, "per", step_words[l->step]);
    }
    member_str(w, "scope", scope_words[l->scope]);
    member_text_if(w, "shared", text_of(l->shared));
    member_str(w, "exceed", exceed_words[l->exceed]);
    put_bound(w, "amount", v, v->amount);
    if (v->told > 0) {
        member_i64(w, "told", v->told);
    }
    if (l->learned) {
        member_bool(w, "unknown", v->unknown);
    }
}

/* Whether a key may see the counter of that tenant; other scopes are nobody's in particular. */
static bool may_see(const struct call *call, const struct limit *limit, struct text scope_key)
{
    return !call->identity.bound || limit->scope != SCOPE_TENANT ||
           text_equal(call->identity.tenant, scope_key);
}

static void put_limit(struct json_writer *w, const struct call *call, size_t i, size_t j,
                      struct text scope_key)
{
    const struct core *core = call->api->core;
    struct limit_view v;
    core_limit_view(core, i, j, &v);
    json_object_begin(w);
    api_write_limit(w, &v);
    if (v.limit->scope == SCOPE_RESOURCE) {
        api_write_counter(w, &v);
    } else {
        member_i64(w, "counters", (int64_t)v.counters);
        bool found = false;
        if (scope_key.len > 0 && may_see(call, v.limit, scope_key)) {
            (void)api_scope_view(call->api, i, j, scope_key, &v, &found); /* or it is left out */
        }
        if (found) {
            member_text_if(w, "scope_key", scope_key);
            api_write_counter(w, &v);
        }
    }
    json_object_end(w);
}

static void put_line(struct json_writer *w, const struct resource_view *v)
{
    json_key(w, "line");
    json_object_begin(w);
    member_i64(w, "waiting", (int64_t)v->waiting);
    member_i64(w, "away", (int64_t)v->away);
    member_i64(w, "oldest_wait_ms", v->oldest_wait_us / US_PER_MS);
    member_i64(w, "last_eta_ms", v->last_eta_us / US_PER_MS);
    json_key(w, "held_by");
    answer_write_held_by(&v->head_held_by, w);
    json_object_end(w);
}

/* A figure that is not known before something was seen. */
static void put_seen(struct json_writer *w, const char *key, int64_t n)
{
    json_key(w, key);
    if (n > 0) {
        json_i64(w, n);
    } else {
        json_null(w);
    }
}

static void put_counts(struct json_writer *w, const struct resource_view *v)
{
    member_i64(w, "retries", (int64_t)v->retries);
    member_i64(w, "held_for_ms", v->held_for_us / US_PER_MS);
    put_seen(w, "latency_ms", v->latency_us / US_PER_MS);
    put_seen(w, "slots_suggested", v->slots_suggested);
    member_i64(w, "granted", (int64_t)v->granted);
    member_i64(w, "settled", (int64_t)v->settled);
    member_i64(w, "late", (int64_t)v->late);
    member_i64(w, "expired", (int64_t)v->expired);
    member_i64(w, "cancelled", (int64_t)v->cancelled);
    member_i64(w, "waited_ms", v->waited_us / US_PER_MS);
    json_key(w, "refused");
    json_object_begin(w);
    for (int code = 1; code < ERR_COUNT; code++) {
        if (v->refused[code] > 0) {
            member_i64(w, error_name((enum error_code)code), (int64_t)v->refused[code]);
        }
    }
    json_object_end(w);
}

static void put_answers(struct json_writer *w, const struct resource_view *v)
{
    json_key(w, "answers");
    json_object_begin(w);
    for (int class = 0; class < ANSWER_CLASSES; class ++) {
        if (v->answers[class]) {
            member_i64(w, answer_class_name((enum answer_class) class), (int64_t)v->answers[class]);
        }
    }
    json_object_end(w);
}

static void put_resource(struct json_writer *w, const struct call *call, size_t i,
                         struct text scope_key)
{
    const struct core *core = call->api->core;
    struct resource_view v;
    core_resource_view(core, i, &v);
    json_object_begin(w);
    member_str(w, "resource", v.resource->name);
    member_str(w, "model", v.resource->model);
    member_text_if(w, "provider", text_of(v.resource->provider));
    json_key(w, "state");
    answer_write_state(&v.health, w);
    put_line(w, &v);
    member_i64(w, "leases", (int64_t)v.leases);
    json_key(w, "held");
    answer_write_load(&v.held, w);
    json_key(w, "used");
    answer_write_load(&v.used, w);
    put_counts(w, &v);
    put_answers(w, &v);
    json_key(w, "limits");
    json_array_begin(w);
    for (size_t j = 0; j < core_limits(core, i); j++) {
        put_limit(w, call, i, j, scope_key);
    }
    json_array_end(w);
    json_object_end(w);
}

/* The value of a query parameter, lent by `to`; empty where it is not there. False where there is
 * no memory to know it: a question without it would be another one. */
static bool query(const struct call *call, const char *name, struct buf *to, struct text *value)
{
    buf_init(to, QUERY_LEN_MAX);
    *value = http_query_get(call->req, name, to) ? buf_text(to) : TEXT_NONE;
    return !to->failed;
}

static void put_route(struct json_writer *w, const struct route_view *v,
                      const struct policy *policy)
{
    const struct route *route = v->route;
    json_object_begin(w);
    member_str(w, "route", route->name);
    member_bool(w, "accounts", route->accounts);
    member_i64(w, "waiting", (int64_t)v->waiting);
    json_key(w, "steps");
    json_array_begin(w);
    for (size_t i = 0; i < route->steps_n; i++) {
        json_object_begin(w);
        member_str(w, "resource", policy->resources[route->steps[i].resource].name);
        member_i64(w, "step", (int64_t)route_place(route, i));
        member_i64(w, "granted", (int64_t)v->granted[i]);
        json_object_end(w);
    }
    json_array_end(w);
    json_key(w, "passed");
    json_object_begin(w);
    for (int pass = 1; pass < PASS_COUNT; pass++) {
        if (v->passed[pass]) {
            member_i64(w, pass_name((enum pass)pass), (int64_t)v->passed[pass]);
        }
    }
    json_object_end(w);
    member_i64(w, "exhausted", (int64_t)v->exhausted);
    member_i64(w, "moved", (int64_t)v->moved);
    member_i64(w, "fallbacks", (int64_t)v->fallbacks);
    json_object_end(w);
}

static void put_routes(struct json_writer *w, const struct call *call)
{
    json_key(w, "routes");
    json_array_begin(w);
    for (size_t i = 0; i < core_routes(call->api->core); i++) {
        struct route_view v;
        core_route_view(call->api->core, i, &v);
        put_route(w, &v, call->api->driver->policy);
    }
    json_array_end(w);
}

static void reply_resources(const struct call *call, struct text scope_key)
{
    struct buf body;
    struct json_writer w;
    buf_init(&body, REPLY_BYTES_MAX);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    member_i64(&w, "now_ms", driver_now(call->api->driver) / US_PER_MS);
    json_key(&w, "resources");
    json_array_begin(&w);
    for (size_t i = 0; i < core_resources(call->api->core); i++) {
        put_resource(&w, call, i, scope_key);
    }
    json_array_end(&w);
    put_routes(&w, call);
    json_object_end(&w);
    buf_add_char(&body, '\n');
    api_reply(call->req, "application/json", &body);
    buf_release(&body);
}

void api_resources(const struct call *call)
{
    struct buf key;
    struct text scope_key;
    if (query(call, "scope_key", &key, &scope_key)) {
        reply_resources(call, scope_key);
    } else {
        api_refuse(call->req, ERR_NO_MEMORY, NULL);
    }
    buf_release(&key);
}

bool api_find_resource(const struct core *core, struct text name, size_t *found)
{
    for (size_t i = 0; i < core_resources(core); i++) {
        struct resource_view v;
        core_resource_view(core, i, &v);
        if (text_equal(text_of(v.resource->name), name)) {
            *found = i;
            return true;
        }
    }
    return false;
}

static void reply_resource(const struct call *call, size_t i, struct text scope_key)
{
    struct buf body;
    struct json_writer w;
    buf_init(&body, REPLY_BYTES_MAX);
    json_writer_init(&w, &body);
    put_resource(&w, call, i, scope_key);
    buf_add_char(&body, '\n');
    api_reply(call->req, "application/json", &body);
    buf_release(&body);
}

void api_resource(const struct call *call)
{
    struct buf key;
    struct text scope_key;
    char name[NAME_LEN_MAX];
    size_t len, i;
    if (!query(call, "scope_key", &key, &scope_key)) {
        api_refuse(call->req, ERR_NO_MEMORY, NULL);
    } else if (!api_path_name(call, name, &len) ||
               !api_find_resource(call->api->core, (struct text){name, len}, &i)) {
        api_refuse(call->req, ERR_UNKNOWN_RESOURCE, NULL);
    } else {
        reply_resource(call, i, scope_key);
    }
    buf_release(&key);
}

/* --- Leases. --- */

static void put_labels(struct json_writer *w, struct text labels)
{
    if (labels.len == 0) {
        return;
    }
    json_key(w, "labels");
    json_object_begin(w);
    while (labels.len > 0) {
        const char *end = memchr(labels.at, '\n', labels.len);
        size_t len = end ? (size_t)(end - labels.at) : labels.len;
        const char *equals = memchr(labels.at, '=', len);
        size_t key_len = equals ? (size_t)(equals - labels.at) : len;
        json_name(w, (struct text){labels.at, key_len});
        json_text(w, equals ? (struct text){equals + 1, len - key_len - 1} : TEXT_NONE);
        size_t step = end ? len + 1 : len;
        labels = (struct text){labels.at + step, labels.len - step};
    }
    json_object_end(w);
}

static void put_lease(struct json_writer *w, const struct lease_view *v)
{
    json_object_begin(w);
    answer_write_lease("lease", v->lease, w);
    member_text_if(w, "resource", v->resource);
    member_text_if(w, "tenant", v->tenant);
    member_text_if(w, "session", v->session);
    put_labels(w, v->labels);
    member_text_if(w, "id", v->id);
    if (v->parent) {
        answer_write_lease("parent", v->parent, w);
    }
    json_key(w, "held");
    answer_write_load(&v->held, w);
    member_i64(w, "granted_ms", v->granted_us / US_PER_MS);
    member_i64(w, "expires_ms", v->expires_us / US_PER_MS);
    json_object_end(w);
}

/* What page is asked for; an answer is due where that cannot be told. */
static enum error_code read_page(const struct call *call, uint64_t *after, int64_t *limit)
{
    struct buf after_text, limit_text;
    struct text lease, n;
    bool known = query(call, "after", &after_text, &lease);
    known &= query(call, "limit", &limit_text, &n);
    bool good = lease.len == 0 || lease_name_read(lease, after);
    if (good && n.len > 0) {
        good = config_read_amount(n, LEASES_PER_PAGE_MAX, limit) && *limit > 0;
    }
    buf_release(&after_text);
    buf_release(&limit_text);
    if (!known) {
        return ERR_NO_MEMORY;
    }
    return good ? ERR_NONE : ERR_INVALID_REQUEST;
}

/* A page may end before it is full: whose leases are few among many would else have all of them
 * looked at in one turn. */
static void write_leases(const struct call *call, uint64_t after, int64_t limit, struct buf *body)
{
    struct json_writer w;
    struct lease_view v;
    int64_t n = 0;
    int looked = 0;
    bool more;
    json_writer_init(&w, body);
    json_object_begin(&w);
    json_key(&w, "leases");
    json_array_begin(&w);
    while ((more = core_lease_next(call->api->core, after, &v)) && n < limit &&
           looked++ < LEASES_LOOKED_MAX) {
        after = v.lease;
        if (!call->identity.bound || text_equal(call->identity.tenant, v.tenant)) {
            put_lease(&w, &v);
            n++;
        }
    }
    json_array_end(&w);
    json_key(&w, "next");
    if (more) {
        struct public_name name = lease_name(after);
        json_text(&w, public_name_text(&name));
    } else {
        json_null(&w);
    }
    json_object_end(&w);
    buf_add_char(body, '\n');
}

void api_leases(const struct call *call)
{
    uint64_t after = 0;
    int64_t limit = LEASES_PER_PAGE;
    enum error_code err = read_page(call, &after, &limit);
    if (err) {
        api_refuse(call->req, err,
                   err == ERR_INVALID_REQUEST
                       ? "`after` must be a lease, and `limit` a number from 1 to 1000"
                       : NULL);
        return;
    }
    struct lease_view view;
    if (after && !core_lease_view(call->api->core, after, &view)) {
        api_refuse(call->req, ERR_UNKNOWN_LEASE,
                   "the lease in `after` is no longer remembered: begin with the first page");
        return;
    }
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    write_leases(call, after, limit, &body);
    api_reply(call->req, "application/json", &body);
    buf_release(&body);
}

/* --- Events. --- */

/* Begins the stream; a HEAD has only the head of one, which would never end. */
static void listen_to_events(const struct call *call, struct text resource, unsigned kinds)
{
    if (text_equal(http_method(call->req), TEXT("HEAD"))) {
        http_reply(call->req, 200, "text/event-stream", TEXT_NONE);
        return;
    }
    int err = events_listen(call->api->events, call->req, resource, kinds, call->identity.tenant,
                            call->identity.bound);
    if (err) {
        api_refuse(call->req, (enum error_code)err, NULL);
    }
}

void api_events(const struct call *call)
{
    struct buf kinds_text, resource_text;
    unsigned kinds = (1u << NOTICE_KINDS) - 1;
    struct text names, resource;
    bool known = query(call, "kind", &kinds_text, &names);
    known &= query(call, "resource", &resource_text, &resource);
    if (!known) {
        api_refuse(call->req, ERR_NO_MEMORY, NULL);
    } else if (names.len > 0 && !events_read_kinds(names, &kinds)) {
        api_refuse(call->req, ERR_INVALID_REQUEST,
                   "`kind` must be of granted, settled, refused, expired, state, alert, config "
                   "and store, with commas between them");
    } else if (resource.len > NAME_LEN_MAX) {
        api_refuse(call->req, ERR_INVALID_REQUEST, "`resource` must have at most 128 bytes");
    } else {
        listen_to_events(call, resource, kinds);
    }
    buf_release(&kinds_text);
    buf_release(&resource_text);
}

/* --- Health, and the front door. --- */

void api_health(const struct call *call)
{
    http_reply(call->req, 200, "text/plain", TEXT("ok\n"));
}

void api_ready(const struct call *call)
{
    const char *words; /* the store's own, which are not for everyone */
    enum error_code code = driver_ready(call->api->driver, &words);
    if (code) {
        api_refuse(call->req, code, NULL);
    } else {
        http_reply(call->req, 200, "text/plain", TEXT("ready\n"));
    }
}

void api_root(const struct call *call)
{
    http_reply(call->req, 200, "text/plain",
               TEXT("sluice " SLUICE_VERSION ": coordinates the quotas of LLM providers.\n"
                    "\n"
                    "POST /v1/acquire     ask for a lease, wait in line\n"
                    "POST /v1/release     settle it with what was used\n"
                    "POST /v1/renew       let it live on\n"
                    "POST /v1/cancel      leave the line\n"
                    "GET  /v1/resources   limits, lines, states and what is left\n"
                    "POST /v1/resources/NAME/reopen, when one is well again\n"
                    "GET  /v1/leases      what is held\n"
                    "GET  /v1/usage       what was used, and what it cost\n"
                    "GET  /v1/sessions/ID the same of one run\n"
                    "POST /v1/budget      give back what a budget has used\n"
                    "GET  /v1/events      what happens, as it happens\n"
                    "GET  /metrics        for Prometheus\n"
                    "GET  /healthz, /readyz\n"));
}
