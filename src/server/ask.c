/*
 * The requests that ask the core: acquire, release, renew, cancel; one, or an array of them.
 *
 * A request of its own is checked before it becomes a caller, so that one that is not valid
 * is answered on the spot. In an array every element becomes a caller first, since its answer is a
 * line of the stream whatever it is.
 */
#include <assert.h>

#include "base/num.h"
#include "core/view.h"
#include "http/fields.h"
#include "server/api.h"
#include "server/names.h"
#include "server/request.h"

/* Checks one element and asks the core for a caller that is ASKED; 0, or a code with a clause in
 * `why`, after which the caller is still to be answered. */
typedef enum error_code asker(const struct call *call, const json_value *element,
                              struct caller **caller, struct buf *why);

/* The caller of a request of its own is made when the request has proved valid. */
static struct caller *own_caller(const struct call *call, struct caller *caller,
                                 enum caller_kind kind)
{
    struct api *api = call->api;
    return caller ? caller
                  : caller_new(&api->driver->callers, call->identity.client, kind, call->req);
}

/* Answers what cannot be put to the core now. */
static bool refused_by_state(const struct call *call, struct caller *caller, struct text id)
{
    const char *words;
    enum error_code code = driver_ready(call->api->driver, &words);
    if (code != ERR_STORE_FAILED) {
        return false; /* a draining core refuses what it must by itself */
    }
    driver_refuse(call->api->driver, caller, id, code, words);
    return true;
}

/* --- acquire --- */

static enum error_code bind_tenant(const struct identity *identity, struct acquire *acquire,
                                   struct buf *why)
{
    if (!identity->bound) {
        return ERR_NONE;
    }
    if (acquire->tenant.len > 0 && !text_equal(acquire->tenant, identity->tenant)) {
        buf_add_str(why, "this API key is bound to another tenant");
        return ERR_FORBIDDEN;
    }
    acquire->tenant = identity->tenant;
    return ERR_NONE;
}

/* Whether the client has all the places in line that it may have; one it comes back to with
 * `ticket` does not count twice. */
static bool line_is_capped(const struct call *call, uint64_t ticket)
{
    size_t places = driver_places(call->api->driver, call->identity.client, ticket);
    return (int64_t)places >= call->api->rules.config->tickets_per_client_max;
}

static void resume(const struct call *call, struct caller *caller,
                   const struct acquire_request *request)
{
    struct driver *driver = call->api->driver;
    if (line_is_capped(call, request->ticket)) {
        driver_refuse(driver, caller, request->acquire.id, ERR_LINE_FULL, NULL);
        return;
    }
    struct event event = {.kind = EVENT_RESUME,
                          .caller = caller_id_of(caller),
                          .tenant = call->identity.tenant,
                          .any_tenant = !call->identity.bound};
    event.resume.ticket = request->ticket;
    event.resume.hold_us = request->acquire.hold_us;
    driver_step(driver, &event);
}

static enum error_code ask_acquire(const struct call *call, const json_value *element,
                                   struct caller **caller, struct buf *why)
{
    struct acquire_request request;
    enum error_code err = (enum error_code)request_read_acquire(element, &request, why);
    if (!err) {
        err = bind_tenant(&call->identity, &request.acquire, why);
    }
    if (err) {
        return err;
    }
    *caller = own_caller(call, *caller, CALLER_ACQUIRE);
    if (!*caller) {
        return ERR_OVER_CAP;
    }
    if (refused_by_state(call, *caller, request.acquire.id)) {
        return ERR_NONE;
    }
    if (request.ticket) {
        resume(call, *caller, &request);
        return ERR_NONE;
    }
    if (line_is_capped(call, 0) && request.acquire.wait_us > 0) {
        request.acquire.wait_us = 0;
        (*caller)->line_capped = true;
    }
    struct event event = {.kind = EVENT_ACQUIRE, .caller = caller_id_of(*caller)};
    event.acquire = request.acquire;
    driver_acquire(call->api->driver, &event);
    return ERR_NONE;
}

/* --- release --- */

/* Status of a call of which nothing says that it failed. */
#define STATUS_SERVED 200

/* How the provider of a resource speaks. */
static const struct dialect *dialect_at(const struct policy *policy, struct text resource)
{
    for (size_t i = 0; i < policy->resources_n; i++) {
        if (text_equal(text_of(policy->resources[i].name), resource)) {
            return dialect_of(policy->resources[i].provider);
        }
    }
    return dialect_of("");
}

/* A unit that the usage does not mention stays as it was held. */
static void complete_usage(const struct release_request *request, const struct lease_view *view,
                           const struct dialect *dialect, struct parts *parts, struct event *event)
{
    event->release.has_usage = true;
    event->release.usage = view->held;
    usage_apply(&request->usage, dialect_cache_reads_free(dialect), &event->release.usage);
    event->release.has_usd = request->usage.given & 1u << USAGE_USD;
    event->release.parts = usage_parts(&request->usage, parts) ? parts : NULL;
}

static void read_answer(const struct call *call, const struct release_request *request,
                        const struct dialect *dialect, char reason[ANSWER_REASON_MAX],
                        struct answer *answer)
{
    struct raw_answer raw = {
        .status = request->status || request->error ? (int)request->status : STATUS_SERVED,
        .headers = request->headers,
        .headers_n = request->headers_n,
        .error = request->error,
        .now_us = driver_now(call->api->driver),
        .elapsed_us = request->elapsed_ms * US_PER_MS,
    };
    answer_read(dialect, &raw, reason, answer);
}

/* Tells the core of a lease's end what the caller told. Where the lease is unknown, the core says
 * so. */
static void settle(const struct call *call, const struct caller *caller,
                   const struct release_request *request)
{
    struct event event = {.kind = EVENT_RELEASE,
                          .caller = caller_id_of(caller),
                          .tenant = call->identity.tenant,
                          .any_tenant = !call->identity.bound};
    struct lease_view view;
    struct answer answer;
    struct parts parts;
    char reason[ANSWER_REASON_MAX];
    event.release.lease = request->lease;
    if (core_lease_view(call->api->core, request->lease, &view)) {
        const struct dialect *dialect = dialect_at(&call->api->rules.config->policy, view.resource);
        if (request->has_usage) {
            complete_usage(request, &view, dialect, &parts, &event);
        }
        if (request->has_answer) {
            read_answer(call, request, dialect, reason, &answer);
            event.release.answer = &answer;
        }
    }
    driver_settle(call->api->driver, &event);
}

static enum error_code ask_release(const struct call *call, const json_value *element,
                                   struct caller **caller, struct buf *why)
{
    struct release_request request;
    enum error_code err = (enum error_code)request_read_release(element, &request, why);
    if (err) {
        return err;
    }
    *caller = own_caller(call, *caller, CALLER_RELEASE);
    if (!*caller) {
        return ERR_OVER_CAP;
    }
    (*caller)->lease = request.lease;
    if (!refused_by_state(call, *caller, TEXT_NONE)) {
        settle(call, *caller, &request);
    }
    return ERR_NONE;
}

/* --- renew --- */

static void renew_one(const struct call *call, struct caller *caller, uint64_t lease,
                      int64_t lease_ms)
{
    struct event event = {.kind = EVENT_RENEW,
                          .caller = caller_id_of(caller),
                          .tenant = call->identity.tenant,
                          .any_tenant = !call->identity.bound};
    caller->lease = lease;
    event.renew.lease = lease;
    event.renew.lease_us = lease_ms * US_PER_MS;
    driver_step(call->api->driver, &event);
}

static void renew_several(const struct call *call, struct caller *caller,
                          const struct renew_request *request)
{
    driver_bundle_begin(call->api->driver, caller);
    const json_value *at = json_array_next(request->leases, NULL);
    for (; at; at = json_array_next(request->leases, at)) {
        uint64_t lease;
        struct text name;
        bool read = json_read_text(at, &name) && lease_name_read(name, &lease);
        assert(read); /* request_read_renew has checked them */
        if (read) {
            renew_one(call, caller, lease, request->lease_ms);
        }
    }
    driver_bundle_end(call->api->driver, caller, "{\"leases\":[", "]}\n");
}

static enum error_code ask_renew(const struct call *call, const json_value *element,
                                 struct caller **caller, struct buf *why)
{
    struct renew_request request;
    enum error_code err = (enum error_code)request_read_renew(element, &request, why);
    if (err) {
        return err;
    }
    *caller = own_caller(call, *caller, CALLER_RENEW);
    if (!*caller) {
        return ERR_OVER_CAP;
    }
    if (refused_by_state(call, *caller, TEXT_NONE)) {
        return ERR_NONE;
    }
    if (request.leases) {
        renew_several(call, *caller, &request);
    } else {
        renew_one(call, *caller, request.lease, request.lease_ms);
    }
    return ERR_NONE;
}

/* --- cancel --- */

static enum error_code ask_cancel(const struct call *call, const json_value *element,
                                  struct caller **caller, struct buf *why)
{
    struct cancel_request request;
    enum error_code err = (enum error_code)request_read_cancel(element, &request, why);
    if (err) {
        return err;
    }
    *caller = own_caller(call, *caller, CALLER_CANCEL);
    if (!*caller) {
        return ERR_OVER_CAP;
    }
    struct event event = {.kind = EVENT_CANCEL,
                          .caller = caller_id_of(*caller),
                          .tenant = call->identity.tenant,
                          .any_tenant = !call->identity.bound};
    event.cancel.ticket = request.ticket;
    event.cancel.id = request.id;
    driver_step(call->api->driver, &event);
    return ERR_NONE;
}

/* --- reopen --- */

static enum error_code ask_reopen(const struct call *call, const json_value *body,
                                  struct caller **caller, struct buf *why)
{
    static const struct fields none = {.n = 0};
    char name[NAME_LEN_MAX];
    size_t len;
    uint32_t given;
    if (body && fields_read(&none, body, NULL, &given, why) != 0) {
        return ERR_INVALID_REQUEST;
    }
    if (!api_path_name(call, name, &len)) {
        return ERR_UNKNOWN_RESOURCE;
    }
    *caller = own_caller(call, *caller, CALLER_REOPEN);
    if (!*caller) {
        return ERR_OVER_CAP;
    }
    struct event event = {.kind = EVENT_REOPEN, .caller = caller_id_of(*caller)};
    event.reopen.resource = (struct text){name, len};
    driver_step(call->api->driver, &event);
    return ERR_NONE;
}

/* --- One, or an array. --- */

static void ask_one(const struct call *call, const json_value *body, asker *fn)
{
    struct caller *caller = NULL;
    struct buf why;
    buf_init(&why, WHY_LEN_MAX);
    enum error_code err = fn(call, body, &caller, &why);
    if (err) {
        api_refuse(call->req, err, why.len ? why.at : NULL);
    }
    buf_release(&why);
}

/* The `id` or `lease` of an element that is otherwise not valid, so that its line can be told. */
static struct text tag_of(const json_value *element, enum caller_kind kind, struct caller *caller)
{
    struct text t;
    const char *key = kind == CALLER_ACQUIRE ? "id" : "lease";
    const json_value *v = json_is_object(element) ? json_get(element, key) : NULL;
    if (!v || !json_read_text(v, &t) || t.len > NAME_LEN_MAX) {
        return TEXT_NONE;
    }
    if (kind == CALLER_ACQUIRE) {
        return t;
    }
    (void)lease_name_read(t, &caller->lease);
    return TEXT_NONE;
}

static void ask_element(const struct call *call, struct stream *stream, enum caller_kind kind,
                        asker *fn, uint32_t index, const json_value *element)
{
    struct buf why;
    struct caller *caller = stream_add(stream, call->identity.client, kind, index);
    buf_init(&why, WHY_LEN_MAX);
    enum error_code err = fn(call, element, &caller, &why);
    if (err) {
        driver_refuse(call->api->driver, caller, tag_of(element, kind, caller), err,
                      why.len ? why.at : NULL);
    }
    buf_release(&why);
}

static void ask_array(const struct call *call, const json_value *body, enum caller_kind kind,
                      asker *fn)
{
    size_t n = json_array_len(body);
    struct callers *callers = &call->api->driver->callers;
    if (n == 0 || n > ARRAY_LEN_MAX) {
        api_refuse(call->req, ERR_INVALID_REQUEST, "an array must have 1 to 1024 elements");
        return;
    }
    /* Room for all of them is made first, so that each element has its line. */
    int err = callers_reserve(callers, n);
    struct stream *stream = err ? NULL : stream_new(callers, call->req);
    if (!stream) {
        api_refuse(call->req, err ? (enum error_code)err : ERR_NO_MEMORY, NULL);
        return;
    }
    const json_value *element = NULL;
    for (size_t i = 0; i < n; i++) {
        element = json_array_next(body, element);
        ask_element(call, stream, kind, fn, (uint32_t)i, element);
    }
    stream_close(stream);
}

void api_acquire(const struct call *call, const json_value *body)
{
    if (json_is_array(body)) {
        ask_array(call, body, CALLER_ACQUIRE, ask_acquire);
    } else {
        ask_one(call, body, ask_acquire);
    }
}

void api_release(const struct call *call, const json_value *body)
{
    if (json_is_array(body)) {
        ask_array(call, body, CALLER_RELEASE, ask_release);
    } else {
        ask_one(call, body, ask_release);
    }
}

void api_renew(const struct call *call, const json_value *body)
{
    ask_one(call, body, ask_renew);
}

void api_cancel(const struct call *call, const json_value *body)
{
    ask_one(call, body, ask_cancel);
}

void api_reopen(const struct call *call, const json_value *body)
{
    ask_one(call, body, ask_reopen);
}
