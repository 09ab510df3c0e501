/*
 * What a call really used: the providers' own usage objects, read into one form.
 *
 * A caller passes the usage object of the provider's answer as it came, or the answer or the
 * stream's event that holds it, or an array of a stream's events. Its shape is told by names that
 * only this shape has; a table per shape says which number counts as what. Total input is input
 * however it was served: cached tokens are a part of it and never counted twice, whether the
 * provider writes them inside its input number (OpenAI, Gemini) or beside it (Anthropic, Bedrock).
 *
 * Pure. May depend on src/base, core/answer.h, core/limit.h, http/json.h and http/fields.h.
 */
#ifndef SLUICE_PROVIDER_USAGE_H
#define SLUICE_PROVIDER_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/answer.h"
#include "core/limit.h"
#include "http/json.h"

enum usage_part {
    USAGE_REQUESTS,
    USAGE_TOKENS,         /* input and output together */
    USAGE_INPUT,          /* all input, the cached included */
    USAGE_CACHE_READ,     /* the part of the input that came from a cache */
    USAGE_CACHE_WRITE,    /* the part of the input that was put into one */
    USAGE_CACHE_WRITE_1H, /* the part of that which is kept for an hour, not five minutes */
    USAGE_OUTPUT,
    USAGE_USD, /* in picodollars */
    USAGE_PARTS
};

struct usage {
    int64_t of[USAGE_PARTS];
    unsigned given; /* a bit 1 << part for each part that is known */
};

#define USAGE_EVENTS_MAX 64 /* of a stream, in an array */

/* Reads an object of any known shape, or an array of them, of which the largest of each number
 * counts, since a stream's numbers are cumulative. 0, or ERR_INVALID_REQUEST with a clause in
 * `why`. */
int usage_read(const json_value *v, struct usage *usage, struct buf *why);

/* Overwrites in `load`, which holds what was held, each unit that the usage knows. Where
 * `cache_reads_free`, input that came from a cache counts for nothing. */
void usage_apply(const struct usage *usage, bool cache_reads_free, struct load *load);

/* The parts that are priced apart. False where the input is not known; output that is not known is
 * none. */
bool usage_parts(const struct usage *usage, struct parts *parts);

#endif
