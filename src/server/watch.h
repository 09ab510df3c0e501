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

struct watch {
    struct watched *at;
    size_t n;
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

#endif
