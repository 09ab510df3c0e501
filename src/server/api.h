/*
 * The API: which request goes where.
 *
 * Finds the endpoint of a request by path and method, says who asks (identity.h), and calls the
 * handler: those that ask the core are in ask.c, those that only look in look.c and
 * metrics.c. Every answer of an error goes out in one form.
 *
 * Invariant: a request is answered exactly once, by the handler or through a caller. May depend
 * on everything in src/server but server.h.
 */
#ifndef SLUICE_SERVER_API_H
#define SLUICE_SERVER_API_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "core/view.h"
#include "http/http.h"
#include "http/json.h"
#include "journal/journal.h"
#include "server/driver.h"
#include "server/events.h"
#include "server/identity.h"
#include "server/restore.h"
#include "server/webhook.h"

#define REPLY_BYTES_MAX (64u << 20) /* the largest report */

struct api {
    struct driver *driver;
    struct core *core;
    struct journal *journal;
    struct events *events;
    struct http_server *http;
    struct webhook *webhook;     /* NULL in tests */
    struct identity_rules rules; /* and the configuration in force */
    const struct restored *restored;
    int64_t started_us;
    uv_loop_t *loop;
    size_t usage_jobs;     /* questions to the ledger under way */
    struct json_room room; /* for the body of the request at hand; its owner releases it */
};

/* One request to an endpoint. */
struct call {
    struct api *api;
    struct http_request *req;
    struct identity identity;
    struct text rest; /* of the path, behind the endpoint's */
};

/* The handler, the writer of refusals and the deliverer for http.h and driver.h; ctx is the api. */
void api_handle(void *ctx, struct http_request *req);
void api_error_body(void *ctx, int status, const char *reason, struct buf *body);
void api_deliver(void *ctx, struct caller *caller, int status, int64_t retry_after_s,
                 struct text body);

/* --- For the handlers. --- */

/* Answers an error at once; `message` may be NULL. */
void api_refuse(struct http_request *req, enum error_code code, const char *message);

/* Answers 200 with a report, or over_cap if it did not fit. */
void api_reply(struct http_request *req, const char *content_type, const struct buf *body);

/* The name that a path's last part stands for, without its percent signs; false where one is
 * malformed, or where it is longer than any name. */
bool api_path_name(const struct call *call, char name[NAME_LEN_MAX], size_t *len);

/* Which resource has that name; false where none has. */
bool api_find_resource(const struct core *core, struct text name, size_t *found);

/* What a limit is, and what its counter says, as members of an object. */
void api_write_limit(struct json_writer *w, const struct limit_view *view);
void api_write_counter(struct json_writer *w, const struct limit_view *view);

/* The counter of one key of a scoped limit, from the core or, where it was forgotten there, from
 * the journal. 0, `found` where there is one; or a code where the journal cannot be read. */
int api_scope_view(const struct api *api, size_t i, size_t j, struct text scope_key,
                   struct limit_view *view, bool *found);

/* ask.c */
void api_acquire(const struct call *call, const json_value *body);
void api_release(const struct call *call, const json_value *body);
void api_renew(const struct call *call, const json_value *body);
void api_cancel(const struct call *call, const json_value *body);
void api_reopen(const struct call *call, const json_value *body); /* body NULL: empty */

/* look.c */
void api_resources(const struct call *call);
void api_resource(const struct call *call);
void api_leases(const struct call *call);
void api_events(const struct call *call);
void api_health(const struct call *call);
void api_ready(const struct call *call);
void api_root(const struct call *call);

/* usage.c */
extern const char *const api_usage_params[]; /* of the query, ended by NULL */
void api_usage(const struct call *call);
void api_session(const struct call *call);

/* budget.c */
void api_budget(const struct call *call, const json_value *body);

/* metrics.c */
void api_metrics(const struct call *call);

#endif
