/*
 * The coordinator, as a subcommand asks it: one question, one answer, and complaints on standard
 * error in one form.
 *
 * The address is --url, or $SLUICE_URL, or the default; an API key comes from $SLUICE_API_KEY only,
 * since others can see command lines. May depend on src/base, src/http and src/client.
 */
#ifndef SLUICE_CMD_COORDINATOR_H
#define SLUICE_CMD_COORDINATOR_H

#include "base/buf.h"
#include "client/client.h"
#include "http/json.h"

#define COORDINATOR_TIMEOUT_US INT64_C(30000000)

struct coordinator {
    const char *command; /* what complaints begin with: "sluice status" */
    struct client *client;
    struct buf answer;
};

/* `url` may be NULL. 0, or an exit code after a complaint; to be closed in either case. */
int coordinator_open(struct coordinator *c, const char *command, const char *url);
void coordinator_close(struct coordinator *c);

/* Asks. 0 with the answer of a 200 in `c->answer`, or an exit code after a complaint in the
 * coordinator's own words. */
int coordinator_get(struct coordinator *c, const char *path);
int coordinator_post(struct coordinator *c, const char *path, struct text body);

/* Why a coordinator refused, in its own words, after what stands in `why`. */
void coordinator_explain(const struct buf *answer, int status, struct buf *why);

/* The answer as JSON, to be freed with json_free; NULL after a complaint. */
json_value *coordinator_json(struct coordinator *c);

/* Appends text to a URL's path or query, with percent signs where it needs them. */
void coordinator_add_escaped(struct buf *to, struct text t);

#endif
