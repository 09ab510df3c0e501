/*
 * The watch: alerts that no single event gives, found by looking around once a second.
 *
 * Pure, but for what it remembers of the last look. May depend on src/base, core/view.h and
 * alert.h.
 */
#ifndef SLUICE_SERVER_WATCH_H
#define SLUICE_SERVER_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "core/core.h"
#include "server/alert.h"

/* What was seen of the i-th resource. */
struct watched {
    bool long_line;
    int64_t unpriced_tokens; /* of which an alert has told */
};

/* What a route had granted when its minute began. */
struct watched_route {
    uint64_t granted;
    uint64_t fallbacks;
    int64_t since_us;
};

struct watch {
    struct watched *at;
    size_t n;
    struct watched_route *routes;
    size_t routes_n;
    bool counts_money; /* some resource has a price or a limit of usd */
};

/* Begins anew with a policy; the struct is zeroed before the first. Without memory nothing is
 * watched. */
void watch_configure(struct watch *watch, const struct policy *policy);
void watch_release(struct watch *watch);

/* Looks at the i-th resource: the alerts that are due now, at most WATCH_ALERTS_MAX. */
#define WATCH_ALERTS_MAX 2
size_t watch_look(struct watch *watch, const struct core *core, size_t i,
                  struct alert alerts[WATCH_ALERTS_MAX]);

/* Looks at the i-th route: whether more than `share_ppm` of what it granted within a minute were
 * fallbacks, of WATCH_GRANTS_MIN at least. A pool of accounts has no fallbacks. */
#define WATCH_GRANTS_MIN 10
bool watch_route(struct watch *watch, const struct core *core, size_t i, int32_t share_ppm,
                 struct alert *alert);

#endif
