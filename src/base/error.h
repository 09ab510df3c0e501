/*
 * The one table of errors.
 *
 * Every fallible function of the project returns 0 or one of these codes. The same
 * codes travel through the core's refusals, the HTTP API's `error.code`, the command
 * line and the clients, so each has a name, an HTTP status, and a sentence for people.
 *
 * Depends on nothing.
 */
#ifndef SLUICE_BASE_ERROR_H
#define SLUICE_BASE_ERROR_H

enum error_code {
    ERR_NONE = 0,
    ERR_INVALID_REQUEST,
    ERR_USD_MISSING,
    ERR_UNAUTHORIZED,
    ERR_FORBIDDEN,
    ERR_UNKNOWN_RESOURCE,
    ERR_UNKNOWN_LEASE,
    ERR_UNKNOWN_TICKET,
    ERR_NOT_FOUND,
    ERR_METHOD_NOT_ALLOWED,
    ERR_WAIT_TIMEOUT,
    ERR_WOULD_DEADLOCK,
    ERR_ID_IN_USE,
    ERR_BODY_TOO_LARGE,
    ERR_HEADERS_TOO_LARGE,
    ERR_URI_TOO_LONG,
    ERR_NEVER_FITS,
    ERR_WOULD_WAIT,
    ERR_BUDGET_EXCEEDED,
    ERR_CANCELLED,
    ERR_LINE_FULL,
    ERR_BREAKER_OPEN,
    ERR_ROUTE_EXHAUSTED,
    ERR_SHUTTING_DOWN,
    ERR_STORE_FAILED,
    ERR_NO_MEMORY,
    ERR_OVER_CAP,
    ERR_STORE_IN_USE,
    ERR_STORE_NEWER,
    ERR_STORE_DAMAGED,
    ERR_INTERNAL,
    ERR_COUNT
};

/* The code's name as the API spells it, e.g. "wait_timeout". Static storage. */
const char *error_name(enum error_code code);

/* The HTTP status that carries the code, e.g. 408. 500 for codes that never leave the process. */
int error_status(enum error_code code);

/* One sentence that says what happened, without a final full stop. Static storage. */
const char *error_sentence(enum error_code code);

#endif
