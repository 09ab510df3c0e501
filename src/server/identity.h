/*
 * Who asks, and what they may do.
 *
 * Where keys are configured, a request shows one as `Authorization: Bearer KEY`; the key says
 * its rights and perhaps a tenant, beyond which it sees and touches nothing. Where there are
 * none, whoever reaches the address may do all; then a browser must not be made to ask on
 * behalf of a foreign page: an Origin from elsewhere is refused, and so is, while the daemon
 * listens on loopback only, a Host that is not loopback (DNS rebinding).
 *
 * May depend on src/base, config/config.h, http/http.h and caller.h.
 */
#ifndef SLUICE_SERVER_IDENTITY_H
#define SLUICE_SERVER_IDENTITY_H

#include <stdbool.h>

#include "base/error.h"
#include "config/config.h"
#include "http/http.h"
#include "server/caller.h"

struct identity {
    struct client *client; /* whose callers are counted together */
    unsigned rights;
    bool bound;         /* to `tenant`: others' leases are unknown to it */
    struct text tenant; /* lent by the configuration */
};

/* What an identity is found by. */
struct identity_rules {
    const struct config *config;
    bool loopback_only; /* every address the daemon listens on is loopback */
};

/* 0, ERR_UNAUTHORIZED, ERR_FORBIDDEN with a sentence in `why`, or ERR_NO_MEMORY. */
enum error_code identity_find(const struct identity_rules *rules, struct callers *callers,
                              const struct http_request *req, unsigned need,
                              struct identity *identity, const char **why);

/* "localhost", "127.0.0.1:7411", "[::1]:7411": whether a Host names this machine. */
bool host_is_loopback(struct text host);

/* "http://localhost:3000": the host of an Origin, or empty. */
struct text origin_host(struct text origin);

#endif
