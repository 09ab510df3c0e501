/*
 * Budgets: what a scope's counter says, also where the core has forgotten it, and an operator's
 * correction of one.
 */
#include "base/num.h"
#include "core/view.h"
#include "http/fields.h"
#include "server/api.h"

/* --- Looking. --- */

/* What the journal keeps of a counter that was forgotten in the core: that of a lifetime. 0 or a
 * code where it cannot be read. */
static int stored_view(const struct api *api, size_t i, size_t j, struct text scope_key,
                       struct limit_view *v, struct record *record, bool *found)
{
    struct resource_view resource;
    *found = false;
    core_limit_view(api->core, i, j, v);
    core_resource_view(api->core, i, &resource);
    bool pooled = v->limit->shared[0] != '\0';
    *record = (struct record){
        .kind = RECORD_COUNTER,
        .resource = pooled ? TEXT_NONE : text_of(resource.resource->name),
        .limit = text_of(pooled ? v->limit->shared : v->limit->name),
        .scope_key = scope_key,
        .since_us = -1,
    };
    if (v->limit->window != WINDOW_LIFETIME) {
        return 0;
    }
    int err = journal_counter(api->journal, record, found);
    *found = err == 0 && *found && limit_continues(v->limit, record->counts);
    return err;
}

int api_scope_view(const struct api *api, size_t i, size_t j, struct text scope_key,
                   struct limit_view *v, bool *found)
{
    struct record record;
    *found = core_scope_view(api->core, i, j, scope_key, v);
    if (*found) {
        return 0;
    }
    int err = stored_view(api, i, j, scope_key, v, &record, found);
    if (*found) {
        v->used = record.used;
        v->remaining = sub_sat(v->amount, record.used);
        v->reset_us = INT64_MAX;
    }
    return err;
}

/* --- Correcting. --- */

struct budget_request {
    struct text resource;
    struct text limit;
    struct text scope_key;
    const json_value *give_back; /* a number: units, or dollars; NULL: not given */
    bool reset;
};

static int refuse(struct buf *why, const char *words)
{
    buf_add_str(why, words);
    return ERR_INVALID_REQUEST;
}

static int read_give_back(const struct field *field, const json_value *v, void *into,
                          struct buf *why)
{
    struct budget_request *request = into;
    (void)field;
    if (!json_is_number(v)) {
        return refuse(why, "`give_back` must be a number of units, or of dollars");
    }
    request->give_back = v;
    return 0;
}

static int read_reset(const struct field *field, const json_value *v, void *into, struct buf *why)
{
    struct budget_request *request = into;
    (void)field;
    return json_read_bool(v, &request->reset) ? 0 : refuse(why, "`reset` must be true or false");
}

static const struct field budget_table[] = {
    FIELD("resource", field_text, struct budget_request, resource, 1, NAME_LEN_MAX),
    FIELD("limit", field_text, struct budget_request, limit, 1, NAME_LEN_MAX),
    FIELD("scope_key", field_text, struct budget_request, scope_key, 0, LABELS_LEN_MAX),
    FIELD("give_back", read_give_back, struct budget_request, give_back, 0, 0),
    FIELD("reset", read_reset, struct budget_request, reset, 0, 0),
};

static int read_request(const json_value *body, struct budget_request *out, struct buf *why)
{
    static const struct fields fields = {FIELDS_OF(budget_table)};
    uint32_t given;
    *out = (struct budget_request){0};
    int err = fields_read(&fields, body, out, &given, why);
    if (err) {
        return err;
    }
    if (out->resource.len == 0 || out->limit.len == 0) {
        return refuse(why, "`resource` and `limit` must be given");
    }
    return out->reset == (out->give_back != NULL)
               ? refuse(why, "either `give_back` or `reset` must be given")
               : 0;
}

/* Which limit of which resource is meant; 0 or a code with a clause in `why`. */
static enum error_code find_limit(const struct core *core, const struct budget_request *request,
                                  size_t *i, size_t *j, struct limit_view *v, struct buf *why)
{
    struct resource_view resource;
    if (!api_find_resource(core, request->resource, i)) {
        return ERR_UNKNOWN_RESOURCE;
    }
    core_resource_view(core, *i, &resource);
    for (*j = 0; *j < core_limits(core, *i); ++*j) {
        core_limit_view(core, *i, *j, v);
        const struct limit *l = &resource.resource->limits[*j];
        if (text_equal(text_of(l->name), request->limit) &&
            (l->window == WINDOW_CALENDAR || l->window == WINDOW_LIFETIME)) {
            return ERR_NONE;
        }
    }
    buf_add_str(
        why, "the resource has no limit of that name that counts by calendar or lifetime; `sluice "
             "budget` lists those that do");
    return ERR_INVALID_REQUEST;
}

static enum error_code read_amount(const struct budget_request *request, const struct limit *limit,
                                   int64_t *amount, struct buf *why)
{
    *amount = INT64_MAX;
    if (request->reset) {
        return ERR_NONE;
    }
    bool read = limit->unit == UNIT_USD ? json_read_picousd(request->give_back, amount)
                                        : json_read_i64(request->give_back, amount);
    if (read && *amount > 0) {
        return ERR_NONE;
    }
    buf_add_str(why, limit->unit == UNIT_USD ? "`give_back` must be a number of dollars above 0"
                                             : "`give_back` must be a whole number above 0");
    return ERR_INVALID_REQUEST;
}

/* The core must know a counter to correct it. */
static enum error_code recall(const struct api *api, size_t i, size_t j, struct text scope_key)
{
    struct limit_view v;
    struct record record;
    bool stored;
    if (core_scope_view(api->core, i, j, scope_key, &v)) {
        return ERR_NONE;
    }
    int err = stored_view(api, i, j, scope_key, &v, &record, &stored);
    return (enum error_code)(err || !stored ? err : core_recall(api->core, &record));
}

/* Whether `scope_key` names a counter of the limit, and one that the caller may correct. */
static enum error_code check_counter(const struct call *call, const struct limit *limit,
                                     struct text scope_key, struct buf *why)
{
    if (limit->scope == SCOPE_RESOURCE && scope_key.len > 0) {
        buf_add_str(why, "the limit is of the whole resource: `scope_key` must be left out");
        return ERR_INVALID_REQUEST;
    }
    if (limit->scope != SCOPE_RESOURCE && scope_key.len == 0) {
        buf_add_str(why, "the limit counts each key by itself: `scope_key` must say which");
        return ERR_INVALID_REQUEST;
    }
    bool own = limit->scope == SCOPE_TENANT && text_equal(scope_key, call->identity.tenant);
    if (call->identity.bound && !own) {
        buf_add_str(why, "this API key is bound to a tenant, whose budgets alone it may correct");
        return ERR_FORBIDDEN;
    }
    return ERR_NONE;
}

static enum error_code prepare(const struct call *call, const json_value *body, struct event *event,
                               struct buf *why)
{
    struct budget_request request;
    struct limit_view v = {0};
    size_t i = 0, j = 0;
    int64_t amount = 0;
    enum error_code err = (enum error_code)read_request(body, &request, why);
    err = err ? err : find_limit(call->api->core, &request, &i, &j, &v, why);
    err = err ? err : read_amount(&request, v.limit, &amount, why);
    err = err ? err : check_counter(call, v.limit, request.scope_key, why);
    err = err ? err : recall(call->api, i, j, request.scope_key);
    *event = (struct event){.kind = EVENT_BUDGET};
    event->budget.resource = request.resource;
    event->budget.limit = request.limit;
    event->budget.scope_key = request.scope_key;
    event->budget.amount = amount;
    return err;
}

void api_budget(const struct call *call, const json_value *body)
{
    struct driver *driver = call->api->driver;
    struct event event;
    struct buf why;
    buf_init(&why, WHY_LEN_MAX);
    enum error_code err = prepare(call, body, &event, &why);
    if (err) {
        api_refuse(call->req, err, why.len ? why.at : NULL);
        buf_release(&why);
        return;
    }
    buf_release(&why);
    const char *words;
    err = driver_ready(driver, &words);
    struct caller *caller =
        caller_new(&driver->callers, call->identity.client, CALLER_BUDGET, call->req);
    if (!caller) {
        api_refuse(call->req, ERR_OVER_CAP, NULL);
    } else if (err) {
        driver_refuse(driver, caller, TEXT_NONE, err, words);
    } else {
        event.caller = caller_id_of(caller);
        driver_step(driver, &event);
    }
}
