/*
 * Finding a model's price, though everyone writes its name in another way.
 *
 * A name is looked for as it is, then folded: capitals and a dot for a dash make no difference;
 * then without a date of release, "-latest" or a final "-0", among the rows without one before all
 * others. A model of Azure that the tables do not have is looked
 * for as OpenAI's; one of Bedrock without its region's or with another region's prefix; and
 * "openai/gpt-4o" is gpt-4o of openai, where the resource's own provider leaves that open.
 * docs/decisions/0022 says why.
 *
 * Pure. May depend on table.h.
 */
#ifndef SLUICE_PRICE_FIND_H
#define SLUICE_PRICE_FIND_H

#include "price/table.h"

enum price_found {
    PRICE_FOUND,
    PRICE_UNKNOWN,
    PRICE_AMBIGUOUS, /* no provider is given, and those that have it differ; *row is one of them */
};

/* `provider` is a word of Sluice's own (openai, gemini, bedrock, generic …) or of a table. Earlier
 * tables go before later ones. *row is untouched where it is unknown. */
enum price_found price_find(const struct price_table *const *tables, size_t tables_n,
                            struct text provider, struct text model, const struct price_row **row);

/* What a table calls a provider: "google" for "gemini" and "vertex_ai"; the same where nothing
 * else is known; nothing for "generic". */
struct text price_vendor(struct text provider);

#endif
