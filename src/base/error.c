#include "base/error.h"

#include <assert.h>

struct error_row {
    const char *name;
    int status;
    const char *sentence;
};

static const struct error_row rows[ERR_COUNT] = {
    [ERR_NONE] = {"none", 200, "no error"},
    [ERR_INVALID_REQUEST] = {"invalid_request", 400, "the request is not valid"},
    [ERR_USD_MISSING] = {"usd_missing", 400,
                         "the resource's price is given by its callers (`price: given`): say the "
                         "most that the call can cost, as `usd` in `load`"},
    [ERR_UNAUTHORIZED] = {"unauthorized", 401, "a valid API key is required"},
    [ERR_FORBIDDEN] = {"forbidden", 403, "this API key lacks the right to do that"},
    [ERR_UNKNOWN_RESOURCE] =
        {"unknown_resource", 404,
         "no resource of that name is configured; GET /v1/resources names those that are"},
    [ERR_UNKNOWN_LEASE] = {"unknown_lease", 404, "no lease of that name is held or was recently"},
    [ERR_UNKNOWN_TICKET] = {"unknown_ticket", 404, "no ticket of that name is in line"},
    [ERR_NOT_FOUND] = {"not_found", 404, "there is nothing at this path; GET / lists the paths"},
    [ERR_METHOD_NOT_ALLOWED] = {"method_not_allowed", 405, "this path does not take that method"},
    [ERR_WAIT_TIMEOUT] = {"wait_timeout", 408, "the request's time in line was up"},
    [ERR_WOULD_DEADLOCK] = {"would_deadlock", 409,
                            "this request could only be served after its own parent has ended"},
    [ERR_ID_IN_USE] = {"id_in_use", 409,
                       "this id already names a request with another load or resource"},
    [ERR_BODY_TOO_LARGE] = {"body_too_large", 413,
                            "the request's body is larger than `server.body_max`"},
    [ERR_HEADERS_TOO_LARGE] =
        {"headers_too_large", 431,
         "the request's headers are larger than `server.header_max`, or too many"},
    [ERR_URI_TOO_LONG] = {"uri_too_long", 414, "the request's target is too long"},
    [ERR_NEVER_FITS] = {"never_fits", 422, "the request is larger than a limit allows"},
    [ERR_WOULD_WAIT] = {"would_wait", 429, "the request would have to wait, and asked not to"},
    [ERR_BUDGET_EXCEEDED] = {"budget_exceeded", 402, "a budget does not cover the request"},
    [ERR_CANCELLED] = {"cancelled", 409, "the request was cancelled"},
    [ERR_LINE_FULL] = {"line_full", 503, "too many requests are waiting"},
    [ERR_BREAKER_OPEN] = {"breaker_open", 503, "the provider is failing"},
    [ERR_ROUTE_EXHAUSTED] = {"route_exhausted", 503,
                             "no resource of the route can serve the request in time"},
    [ERR_SHUTTING_DOWN] = {"shutting_down", 503, "the coordinator is shutting down"},
    [ERR_STORE_FAILED] = {"store_failed", 503, "the store cannot be written"},
    [ERR_NO_MEMORY] = {"no_memory", 503, "the coordinator is out of memory"},
    [ERR_OVER_CAP] = {"over_cap", 503, "a cap of the coordinator was reached"},
    [ERR_STORE_IN_USE] = {"store_in_use", 500, "another coordinator uses this store"},
    [ERR_STORE_NEWER] = {"store_newer", 500, "the store was written by a newer version of sluice"},
    [ERR_STORE_DAMAGED] = {"store_damaged", 500, "the store is damaged"},
    [ERR_INTERNAL] = {"internal", 500, "the coordinator met an unexpected condition"},
};

static const struct error_row *row_of(enum error_code code)
{
    assert(code >= ERR_NONE && code < ERR_COUNT);
    return &rows[code];
}

const char *error_name(enum error_code code)
{
    return row_of(code)->name;
}

int error_status(enum error_code code)
{
    return row_of(code)->status;
}

const char *error_sentence(enum error_code code)
{
    return row_of(code)->sentence;
}
