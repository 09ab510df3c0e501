/*
 * The configuration: YAML in, a checked configuration out.
 *
 * Reads the file with libyaml (which lives in tree.c alone), gives every error a file, a line, the
 * key and, for a misspelt key, the nearest known one; applies the defaults of the provider profiles
 * (profile.h); resolves time zones into tables; and builds the core's policy.
 *
 * A configuration is immutable once loaded. It owns everything it points to, the policy included,
 * and must outlive the core's use of that policy.
 *
 * May depend on src/base, core/policy.h, libyaml, GLib (time zones, in zone.c alone) and libsodium
 * (keys, in key.c alone).
 */
#ifndef SLUICE_CONFIG_CONFIG_H
#define SLUICE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/policy.h"

#define KEY_HASH_LEN 32 /* SHA-256 */

/* What a key may do. */
enum right { RIGHT_ACQUIRE = 1, RIGHT_READ = 2, RIGHT_ADMIN = 4 };

struct api_key {
    char name[NAME_LEN_MAX + 1]; /* for logs and metrics */
    char tenant[NAME_LEN_MAX +
                1]; /* every request with this key is this tenant's; "": may name any */
    unsigned char hash[KEY_HASH_LEN];
    unsigned rights; /* enum right, or-ed */
};

struct config {
    char **listens;   /* each "127.0.0.1:7411", "[::1]:7411" or "unix:PATH"; numeric */
    size_t listens_n; /* at least 1 */
    char *store;      /* path of the SQLite file, relative to the working directory */
    int durability;   /* enum durability of journal.h, as a number */
    struct api_key *keys;
    size_t keys_n;
    struct policy policy;

    /* Section `server`: caps and timeouts of what strangers can send. */
    int64_t connections_max;
    int64_t body_bytes_max;
    int64_t header_bytes_max;
    int64_t header_timeout_us;
    int64_t body_timeout_us;
    int64_t idle_timeout_us;
    int64_t tickets_per_client_max; /* places in line per API key, or in all without keys */
    int64_t drain_us;               /* a shutdown takes no longer */

    struct {
        char *webhook;              /* an http or https URL that alerts are posted to, or NULL */
        int32_t fallback_share_ppm; /* tell when more of a route's calls fall back */
        int64_t backoff_us;         /* tell when a resource is closed for longer */
        int64_t again_us;           /* tell the same of the same resource once in this time */
    } alerts;
    int64_t ledger_keep_us; /* 0: for ever */

    void *owned; /* what the pointers above point into */
};

/* Loads a file. 0, or ERR_INVALID_REQUEST / ERR_NO_MEMORY / ERR_NOT_FOUND with all problems found
 * in `why`, one a line: "FILE:LINE: message". `config` is NULL then. */
int config_load(const char *path, struct config **config, struct buf *why);

/* The same from memory; `name` stands for the file in errors. */
int config_parse(struct text yaml, const char *name, struct config **config, struct buf *why);

void config_free(struct config *config); /* NULL is allowed */

/* The key a bearer token belongs to, or NULL. Takes the same time for every token of a length,
 * whichever key it is and whether there is one. Lent until config_free. */
const struct api_key *config_find_key(const struct config *config, struct text token);

/* "200k", "2M", "1.5k", "50" → a whole number. False where it is none or out of 0..max. */
bool config_read_amount(struct text t, int64_t max, int64_t *out);

/* "250ms", "1m30s", "day", "1h" → microseconds. A bare number is refused. */
bool config_read_duration(struct text t, int64_t *us);

/* "50", "0.25" USD → picodollars, exact. */
bool config_read_picousd(struct text t, int64_t *picousd);

/* "80%" or "0.8" → parts per million. */
bool config_read_share(struct text t, int32_t *ppm);

#endif
