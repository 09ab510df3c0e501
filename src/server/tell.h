/*
 * Telling: what effects are to those whom they do not answer. Listeners get a notice, with the
 * answers of its turn; a change of state and an alert get a line in the log; an alert is counted,
 * and given to whoever tells it outside.
 *
 * What it is not for: answers (driver.c). May depend on what driver.h may, and on notice.h and
 * log.h.
 */
#ifndef SLUICE_SERVER_TELL_H
#define SLUICE_SERVER_TELL_H

#include "server/driver.h"

void tell_effect(struct driver *d, const struct effect *e);
void tell_alert(struct driver *d, const struct alert *alert);

#endif
