#include "server/api.h"

#include <stdio.h>
#include <strings.h>

#include "http/fields.h"
#include "server/answer.h"
#include "server/log.h"

typedef void look_fn(const struct call *call);
typedef void ask_fn(const struct call *call, const json_value *body);

/* It has `look` for GET or `ask` for POST. One with `below` takes the paths below it, if they end
 * with its tail; one with a tail needs no body. */
struct endpoint {
    struct text path;
    unsigned need; /* enum right */
    bool open;     /* needs no key */
    bool below;
    look_fn *look;
    ask_fn *ask;
    struct text tail;
    const char *const *params; /* what its query may have, ended by NULL; NULL: nothing */
};

#define LITERAL(literal)                                                                           \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }
#define PATH(literal) .path = LITERAL(literal)

static const char *const no_params[] = {NULL};
static const char *const scope_params[] = {"scope_key", NULL};
static const char *const page_params[] = {"after", "limit", NULL};
static const char *const event_params[] = {"resource", "kind", NULL};

static const struct endpoint endpoints[] = {
    {PATH("/v1/acquire"), RIGHT_ACQUIRE, false, false, NULL, api_acquire},
    {PATH("/v1/release"), RIGHT_ACQUIRE, false, false, NULL, api_release},
    {PATH("/v1/renew"), RIGHT_ACQUIRE, false, false, NULL, api_renew},
    {PATH("/v1/cancel"), RIGHT_ACQUIRE, false, false, NULL, api_cancel},
    {PATH("/v1/resources"), RIGHT_READ, false, false, api_resources, NULL, .params = scope_params},
    {PATH("/v1/resources/"), RIGHT_ADMIN, false, true, NULL, api_reopen,
     .tail = LITERAL("/reopen")},
    {PATH("/v1/resources/"), RIGHT_READ, false, true, api_resource, NULL, .params = scope_params},
    {PATH("/v1/leases"), RIGHT_READ, false, false, api_leases, NULL, .params = page_params},
    {PATH("/v1/usage"), RIGHT_READ, false, false, api_usage, NULL, .params = api_usage_params},
    {PATH("/v1/sessions/"), RIGHT_READ, false, true, api_session, NULL},
    {PATH("/v1/budget"), RIGHT_ADMIN, false, false, NULL, api_budget},
    {PATH("/v1/events"), RIGHT_READ, false, false, api_events, NULL, .params = event_params},
    {PATH("/metrics"), RIGHT_READ, false, false, api_metrics, NULL},
    {PATH("/healthz"), 0, true, false, api_health, NULL},
    {PATH("/readyz"), 0, true, false, api_ready, NULL},
    {PATH("/"), 0, true, false, api_root, NULL},
};

#define ENDPOINTS_N (sizeof(endpoints) / sizeof(endpoints[0]))

static void write_error(struct buf *body, enum error_code code, const char *message)
{
    struct json_writer w;
    json_writer_init(&w, body);
    json_object_begin(&w);
    answer_write_error(code, message, error_retry_after_ms(code), &w);
    json_object_end(&w);
    buf_add_char(body, '\n');
}

static void add_retry_after(struct http_request *req, int64_t retry_after_s)
{
    char seconds[24];
    if (retry_after_s > 0) {
        snprintf(seconds, sizeof(seconds), "%lld", (long long)retry_after_s);
        http_reply_header(req, "Retry-After", seconds);
    }
}

void api_refuse(struct http_request *req, enum error_code code, const char *message)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    write_error(&body, code, message);
    add_retry_after(req, answer_retry_after_s(error_retry_after_ms(code)));
    if (code == ERR_UNAUTHORIZED) {
        http_reply_header(req, "WWW-Authenticate", "Bearer");
    }
    http_reply(req, error_status(code), "application/json", buf_text(&body));
    buf_release(&body);
}

void api_reply(struct http_request *req, const char *content_type, const struct buf *body)
{
    if (body->failed) {
        api_refuse(req, ERR_OVER_CAP, "the report is too large, or memory is short");
    } else {
        http_reply(req, 200, content_type, buf_text(body));
    }
}

void api_deliver(void *ctx, struct caller *caller, int status, int64_t retry_after_s,
                 struct text body)
{
    (void)ctx;
    if (caller->stream) {
        stream_line(caller->stream, body);
    } else {
        add_retry_after(caller->req, retry_after_s);
        http_reply(caller->req, status, "application/json", body);
    }
    caller_done(caller);
}

/* --- Requests that never reached an endpoint. --- */

static enum error_code code_of_status(int status)
{
    switch (status) {
    case 405: return ERR_METHOD_NOT_ALLOWED;
    case 413: return ERR_BODY_TOO_LARGE;
    case 414: return ERR_URI_TOO_LONG;
    case 431: return ERR_HEADERS_TOO_LARGE;
    case 503: return ERR_OVER_CAP;
    default: return ERR_INVALID_REQUEST;
    }
}

/* Connections do not know the keys that set their caps; the table's sentences do. */
static bool names_a_key(enum error_code code)
{
    return code == ERR_BODY_TOO_LARGE || code == ERR_HEADERS_TOO_LARGE;
}

void api_error_body(void *ctx, int status, const char *reason, struct buf *body)
{
    (void)ctx;
    enum error_code code = code_of_status(status);
    write_error(body, code, names_a_key(code) ? NULL : reason);
}

/* --- Endpoints. --- */

static bool leads_to(const struct endpoint *e, struct text path)
{
    size_t fixed = e->path.len + e->tail.len;
    if (!e->below) {
        return text_equal(path, e->path);
    }
    if (path.len < fixed || memcmp(path.at, e->path.at, e->path.len) != 0) {
        return false;
    }
    return e->tail.len == 0 ||
           memcmp(path.at + path.len - e->tail.len, e->tail.at, e->tail.len) == 0;
}

static const struct endpoint *find_endpoint(struct text path)
{
    for (size_t i = 0; i < ENDPOINTS_N; i++) {
        if (leads_to(&endpoints[i], path)) {
            return &endpoints[i];
        }
    }
    return NULL;
}

bool api_path_name(const struct call *call, char name[NAME_LEN_MAX], size_t *len)
{
    struct text part = call->rest;
    *len = 0;
    for (size_t i = 0; i < part.len; i++) {
        if (*len == NAME_LEN_MAX) {
            return false;
        }
        bool escape = part.at[i] == '%';
        int byte = escape ? text_unescaped(part, i) : part.at[i];
        if (escape && byte < 0) {
            return false;
        }
        name[(*len)++] = (char)byte;
        i += escape ? 2 : 0;
    }
    return true;
}

/* A browser sends a form's types to any address unasked; JSON it sends only where it is welcome. */
static bool content_type_allowed(struct text type)
{
    static const char json[] = "application/json";
    size_t len = sizeof(json) - 1;
    return type.len == 0 || (type.len >= len && strncasecmp(type.at, json, len) == 0 &&
                             (type.len == len || type.at[len] == ';' || type.at[len] == ' '));
}

static void refuse_body(struct http_request *req, enum error_code err, const struct buf *why)
{
    struct buf message;
    buf_init(&message, WHY_LEN_MAX);
    if (why->len) {
        buf_addf(&message, "the body cannot be read as JSON: %s", why->at);
    }
    api_refuse(req, err, message.at);
    buf_release(&message);
}

static void ask(const struct endpoint *endpoint, const struct call *call)
{
    if (!content_type_allowed(http_header(call->req, "content-type"))) {
        api_refuse(call->req, ERR_INVALID_REQUEST,
                   "the Content-Type must be application/json, as `curl --json` sends it");
        return;
    }
    if (endpoint->tail.len && http_body(call->req).len == 0) {
        endpoint->ask(call, NULL);
        return;
    }
    struct buf why;
    json_value *body = NULL;
    buf_init(&why, WHY_LEN_MAX);
    int err = json_parse_in(&call->api->room, http_body(call->req), &body, &why);
    if (err) {
        refuse_body(call->req, (enum error_code)err, &why);
    } else {
        endpoint->ask(call, body);
    }
    buf_release(&why);
}

static void refuse_method(const struct endpoint *endpoint, struct http_request *req)
{
    http_reply_header(req, "Allow", endpoint->ask ? "POST" : "GET, HEAD");
    api_refuse(req, ERR_METHOD_NOT_ALLOWED, NULL);
}

/* Whether the query may stand; answers where it may not. A parameter that is not known would make
 * the question another one than was meant. Who looks whether the daemon is well may add what it
 * likes. */
static bool query_allowed(const struct endpoint *endpoint, struct http_request *req)
{
    struct text other = TEXT_NONE;
    struct buf why;
    if (!http_query_well_formed(req)) {
        api_refuse(req, ERR_INVALID_REQUEST, "the query has a malformed percent escape");
        return false;
    }
    if (endpoint->open ||
        http_query_only(req, endpoint->params ? endpoint->params : no_params, &other)) {
        return true;
    }
    buf_init(&why, WHY_LEN_MAX);
    buf_addf(&why, "unknown parameter `%.*s`", other.len < 64 ? (int)other.len : 64, other.at);
    for (size_t i = 0; endpoint->params && endpoint->params[i]; i++) {
        buf_addf(&why, "%s`%s`", i ? ", " : "; this path takes ", endpoint->params[i]);
    }
    api_refuse(req, ERR_INVALID_REQUEST, why.at);
    buf_release(&why);
    return false;
}

void api_handle(void *ctx, struct http_request *req)
{
    struct call call = {.api = ctx, .req = req};
    struct text path = http_path(req);
    struct text method = http_method(req);
    const struct endpoint *endpoint = find_endpoint(path);
    const char *why = NULL;
    if (!endpoint) {
        api_refuse(req, ERR_NOT_FOUND, NULL);
        return;
    }
    bool look = text_equal(method, TEXT("GET")) || text_equal(method, TEXT("HEAD"));
    if (endpoint->look ? !look : !text_equal(method, TEXT("POST"))) {
        refuse_method(endpoint, req);
        return;
    }
    if (http_query(req).len && !query_allowed(endpoint, req)) {
        return;
    }
    if (!endpoint->open) {
        enum error_code err = identity_find(&call.api->rules, &call.api->driver->callers, req,
                                            endpoint->need, &call.identity, &why);
        if (err) {
            api_refuse(req, err, why);
            return;
        }
    }
    call.rest = (struct text){path.at + endpoint->path.len,
                              path.len - endpoint->path.len - endpoint->tail.len};
    if (endpoint->look) {
        endpoint->look(&call);
    } else {
        ask(endpoint, &call);
    }
}
