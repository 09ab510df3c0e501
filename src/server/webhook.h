/*
 * The webhook: alerts posted to an address outside, as JSON, one a request.
 *
 * A post runs in a worker thread, one at a time, so that the loop never waits for it. What cannot
 * be posted is tried again, later each time, and then let go; while it is tried, a bounded number
 * of further alerts wait behind it. The address may hold a secret: no word of it is logged, nor
 * is what the other side answers.
 *
 * What it is not for: anything that must arrive. May depend on src/base, src/client, libuv, alert.h
 * and log.h.
 */
#ifndef SLUICE_SERVER_WEBHOOK_H
#define SLUICE_SERVER_WEBHOOK_H

#include <stdint.h>
#include <uv.h>

#include "server/alert.h"

#define WEBHOOK_BACKLOG_MAX  64
#define WEBHOOK_ATTEMPTS_MAX 6
#define WEBHOOK_TIMEOUT_US   INT64_C(10000000)
#define WEBHOOK_AGAIN_MS     1000 /* after the first failure; doubled with each */

struct webhook;

/* On a loop of which it uses a timer. 0 or ERR_NO_MEMORY. */
int webhook_new(uv_loop_t *loop, struct webhook **webhook);

/* Where alerts go from now on; NULL: nowhere, and what waits is let go. 0 or ERR_NO_MEMORY, after
 * which they go where they went. */
int webhook_configure(struct webhook *webhook, const char *url);

/* Posts an alert as soon as those before it are done with. */
void webhook_add(struct webhook *webhook, const struct alert *alert, int64_t now_us);

/* Lets go of what waits, stops a post under way and closes the timer; the loop then ends by itself.
 * Once, and nothing but webhook_add() and webhook_free() may follow. */
void webhook_close(struct webhook *webhook);

/* Once the loop has ended; NULL is allowed. */
void webhook_free(struct webhook *webhook);

struct webhook_stats {
    size_t waiting; /* the one under way included */
    uint64_t posted;
    uint64_t failures; /* of attempts */
    uint64_t dropped;
};

void webhook_stats(const struct webhook *webhook, struct webhook_stats *stats);

#endif
