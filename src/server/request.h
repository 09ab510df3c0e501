/*
 * The requests of the API: JSON objects read into what the core takes.
 *
 * Each reader checks everything that can be checked without knowing the state: fields, types,
 * ranges, what goes together. 0, or ERR_INVALID_REQUEST with a clause in `why`. The texts of a
 * request are lent by its JSON document.
 *
 * Pure. May depend on src/base, core/core.h, http/json.h, http/fields.h, names.h and src/provider.
 */
#ifndef SLUICE_SERVER_REQUEST_H
#define SLUICE_SERVER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/core.h"
#include "http/json.h"
#include "provider/answer.h"
#include "provider/usage.h"

#define ARRAY_LEN_MAX 1024 /* requests in one array, leases in one renewal */

#define WAIT_MS_DEFAULT  60000
#define HOLD_MS_DEFAULT  25000
#define LEASE_MS_DEFAULT 60000
#define ATTEMPTS_MAX     100

struct acquire_request {
    struct acquire acquire; /* complete, but for the rights of a key */
    uint64_t ticket;        /* 0: a new request; else only hold_us matters */
    /* What the fields hold before they become an acquire. */
    int64_t priority;
    int64_t wait_ms;
    int64_t hold_ms;
    int64_t lease_ms;
    int64_t max_attempts; /* 0: as the resource says */
    unsigned load_given;
    int64_t max_output_tokens; /* -1: not given */
    size_t labels_len;
    char labels[LABELS_LEN_MAX];
};

int request_read_acquire(const json_value *object, struct acquire_request *out, struct buf *why);

struct release_request {
    uint64_t lease;
    bool has_usage;
    struct usage usage;
    /* What the provider answered; all of it may be missing. */
    bool has_answer;         /* something of it is there */
    int64_t status;          /* 0: not given */
    int64_t elapsed_ms;      /* 0: not given */
    const json_value *error; /* NULL: none; a text, an object or an array */
    size_t headers_n;
    struct answer_header headers[ANSWER_HEADERS_MAX]; /* of those that may tell anything */
};

int request_read_release(const json_value *object, struct release_request *out, struct buf *why);

struct renew_request {
    uint64_t lease;           /* 0 where there are several */
    const json_value *leases; /* an array of 1..ARRAY_LEN_MAX leases, or NULL */
    int64_t lease_ms;
};

int request_read_renew(const json_value *object, struct renew_request *out, struct buf *why);

struct cancel_request {
    uint64_t ticket; /* 0: by id */
    struct text id;
};

int request_read_cancel(const json_value *object, struct cancel_request *out, struct buf *why);

#endif
