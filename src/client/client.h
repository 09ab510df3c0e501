/*
 * Another side as seen by one thread: JSON sent, JSON received.
 *
 * What it is for: subcommands that ask a running daemon, and posts of alerts. Calls block.
 * What it is not for: many calls at once, streams, or deciding whether to try again.
 *
 * libcurl lives here. May depend on src/base and src/http.
 */
#ifndef SLUICE_CLIENT_CLIENT_H
#define SLUICE_CLIENT_CLIENT_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

#define CLIENT_URL_DEFAULT "http://127.0.0.1:7411"

struct client;

/* A client of the coordinator at `url` ("http://HOST:PORT", "https://…" or "unix:PATH"). `key` may
 * be NULL. Both are copied. A coordinator on this machine is reached without a proxy. 0, or
 * ERR_INVALID_REQUEST with a clause in `why`, or ERR_NO_MEMORY. */
int client_new(const char *url, const char *key, struct client **client, struct buf *why);

void client_free(struct client *client); /* NULL is allowed */

/* How `why` calls the other side, instead of by its URL: where that holds a secret. `words` must
 * outlive the client. */
void client_call_it(struct client *client, const char *words);

/* Calls end early, as ERR_INTERNAL, once that is true; another thread may set it. NULL: never. */
void client_stop_when(struct client *client, const atomic_bool *stop);

/* Gets a path. 0 with the HTTP status and the answer's body, whatever the status; or
 * ERR_INTERNAL with a clause in `why` where no answer came. `answer` is emptied first. */
int client_get(struct client *client, const char *path, int64_t timeout_us, int *status,
               struct buf *answer, struct buf *why);

/* Posts a JSON body, with the same outcomes. */
int client_post(struct client *client, const char *path, struct text body, int64_t timeout_us,
                int *status, struct buf *answer, struct buf *why);

#endif
