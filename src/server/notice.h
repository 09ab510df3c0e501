/*
 * Notices: the core's effects as lines for those who listen (events.h). Pure.
 *
 * May depend on src/base, core/core.h, http/json.h, events.h and answer.h.
 */
#ifndef SLUICE_SERVER_NOTICE_H
#define SLUICE_SERVER_NOTICE_H

#include <stdbool.h>

#include "base/buf.h"
#include "server/events.h"

/* Which notice an effect makes; false where it makes none. */
bool notice_kind_of(const struct effect *effect, enum notice_kind *kind);

/* The resource an effect is about, or empty. */
struct text notice_resource(const struct effect *effect);

/* One line of JSON. */
void notice_write(const struct effect *effect, int64_t now_us, struct buf *out);

#endif
