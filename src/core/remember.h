/*
 * Remembering: what answers have made of resources and limits, written down and taken back.
 *
 * A restart is no event for a provider. A day that is over is over for the daemon that starts next
 * as well, and a breaker that has opened three times stays closed for as long. So the state of a
 * resource is a record whenever an answer, time or an operator has changed it, and so is what was
 * learned of a limit. At a start both come back as they were; what time has changed meanwhile
 * changes in the first step, as it would have.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_REMEMBER_H
#define SLUICE_CORE_REMEMBER_H

#include "core/state.h"

/* Emits a record of how a resource stands. */
__attribute__((cold)) void remember_health(struct core *core, const struct line *line);

/* Emits a record of what was learned of a limit. */
__attribute__((cold)) void remember_rule(struct core *core, const struct rule *rule);

/* Whether some core can have emitted a HEALTH or LEARNED record. */
bool remembered_is_sane(const struct record *r);

/* Takes such a record back; `skipped`: its resource or limit is no longer configured. */
void remember_back(struct core *core, const struct record *r, bool *skipped);

/* The end of a start: a probe that no lease is out for is not out. */
void remember_finish(struct core *core);

#endif
