/*
 * The daemon: takes its addresses, opens the store, brings back what it holds, turns the loop, and
 * leaves. Whoever connects before all is back waits for it, unanswered; a start that fails for want
 * of an address has touched no store.
 *
 * One thread runs all of it but the journal's commits. SIGTERM and SIGINT end it in order: nothing
 * more is granted, those in line are told to come back, what was granted is committed and
 * answered, all within the configuration's drain time; a second one ends it at once. SIGHUP applies
 * a changed configuration as a whole or not at all.
 *
 * May depend on everything in src/server.
 */
#ifndef SLUICE_SERVER_SERVER_H
#define SLUICE_SERVER_SERVER_H

#include <stdbool.h>

#include "config/config.h"

struct server_options {
    struct config *config;   /* taken: freed by server_run */
    const char *config_path; /* for SIGHUP */
    const char *listen;      /* instead of the configuration's addresses, or NULL */
    const char *store;       /* instead of the configuration's, or NULL */
    int durability;          /* enum durability, or -1 for the configuration's */
    bool insecure;           /* addresses that are not loopback are allowed without keys */
};

/* Runs the daemon until it is told to leave. 0 when all it answered is durable, else 1; the log
 * says why. */
int server_run(const struct server_options *options);

#endif
