/*
 * What a call really used: the providers' own usage objects, read into one form.
 *
 * A caller passes the usage object of the provider's answer as it came. Its shape is told by
 * names that only this shape has; a table per shape says which number counts as what. Total
 * input is input however it was served: cached tokens are a part of it and never counted
 * twice, whether the provider writes them inside its input number (OpenAI, Gemini) or
 * beside it (Anthropic).
 *
 * Pure. May depend on src/base, core/policy.h, http/json.h and fields.h.
 */
#ifndef SLUICE_SERVER_USAGE_H
#define SLUICE_SERVER_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/policy.h"
#include "http/json.h"

enum usage_part {
    USAGE_REQUESTS,
    USAGE_TOKENS,      /* input and output together */
    USAGE_INPUT,       /* all input, the cached included */
    USAGE_CACHE_READ,  /* the part of the input that came from a cache */
    USAGE_CACHE_WRITE, /* the part of the input that was put into one */
    USAGE_OUTPUT,
    USAGE_USD, /* in picodollars */
    USAGE_PARTS
};

struct usage {
    int64_t of[USAGE_PARTS];
    unsigned given; /* a bit 1 << part for each part that is known */
};

/* Reads an object of any known shape. 0, or ERR_INVALID_REQUEST with a clause in `why`. */
int usage_read(const json_value *object, struct usage *usage, struct buf *why);

/* Overwrites in `load`, which holds what was held, each unit that the usage knows. Where
 * `cache_reads_free`, input that came from a cache counts for nothing. */
void usage_apply(const struct usage *usage, bool cache_reads_free, struct load *load);

/* Whether a provider (resource.provider) lets input from its cache go free of its limits. */
bool usage_cache_reads_free(const char *provider);

#endif
