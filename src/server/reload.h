/*
 * What a new configuration changes, said in the log.
 *
 * May depend on src/base, config/config.h, config/show.h and log.h.
 */
#ifndef SLUICE_SERVER_RELOAD_H
#define SLUICE_SERVER_RELOAD_H

#include "config/config.h"

/* Logs what differs between the two, a line for each, and what needs a restart to take effect. */
void reload_log_changes(const struct config *before, const struct config *after);

#endif
