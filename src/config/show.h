/*
 * Numbers and limits as people write them: the inverse of what the configuration reads.
 *
 * What is shown can be read back and means the same. May depend on src/base,
 * core/policy.h and words.h.
 */
#ifndef SLUICE_CONFIG_SHOW_H
#define SLUICE_CONFIG_SHOW_H

#include <stdint.h>

#include "base/buf.h"
#include "core/policy.h"

/* "1k", "2M", "1234"; picodollars as USD: "0.25". */
void show_amount(struct buf *b, enum unit unit, int64_t amount);

/* "1m30s", "250ms". */
void show_duration(struct buf *b, int64_t us);

/* "80%", "0.5%". */
void show_share(struct buf *b, int32_t ppm);

/* "1m", "day", "lifetime"; nothing for what is only held while in flight. */
void show_per(struct buf *b, const struct limit *l);

/* "resource", "tenant", "label:KEY". */
void show_scope(struct buf *b, const struct limit *l);

/* "rolling", "in flight", "calendar UTC", "calendar UTC+01:00": the offset is winter's. */
void show_window_name(struct buf *b, const struct limit *l);

/* A limit in full, on one line: "rpm: 1k requests per 1m, window rolling, …". */
void show_limit(struct buf *b, const struct limit *l);

/* What a resource does about answers, on one line: "pause 1s, ramp 10s, …", or "off". */
void show_feedback(struct buf *b, const struct resource *r);

/* A route on one line: "chat: gpt-4o, then gpt-4o-mini, prefer first, finally refuse". */
void show_route(struct buf *b, const struct policy *p, const struct route *route);

/* What tokens cost, on one line: "input 2.5, output 10 USD per million tokens", or "unknown". */
void show_price(struct buf *b, const struct price *p);

#endif
