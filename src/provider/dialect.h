/*
 * Dialects: what each vendor's words and headers mean, as tables.
 *
 * A dialect is data: codes with their class, phrases that refine a class, the names of its headers.
 * Where a vendor publishes no text, the row says by a comment where it was seen. The judgement that
 * reads the tables is answer.c's, the reading of headers readings.c's.
 *
 * Inside src/provider only. May depend on src/base and core/answer.h.
 */
#ifndef SLUICE_PROVIDER_DIALECT_H
#define SLUICE_PROVIDER_DIALECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/answer.h"

/* Before anything is known of an answer: no status that says it failed, no code that is known. */
#define CLASS_UNKNOWN ANSWER_CLASSES

/* A code or type that says the class by itself, in any case. */
struct word {
    const char *at;
    enum answer_class class;
};

#define FROM(class) (1u << (class))

/* Words inside a sentence, in small letters, that refine one of the classes `from`. */
struct phrase {
    const char *at;
    unsigned from; /* bits FROM(class) */
    enum answer_class class;
};

/* Three headers that tell of one limit; a name may be NULL. */
struct header_row {
    const char *limit;
    const char *remaining;
    const char *reset;
    enum unit unit;
    enum reading_span span;
    int64_t grain;
    bool span_told; /* the vendor says which span; else a long reset says that it is a day */
};

struct dialect {
    const char *name;
    const struct word *words; /* its own, before those that all share; ends with NULL */
    const struct phrase *phrases;
    const struct header_row *rows; /* ends with a row without `limit` */
    int64_t never_us;              /* a wait this long means "never"; 0: it does not */
    bool ietf;                     /* RateLimit and RateLimit-Policy are read as well */
    bool cache_reads_free;
};

extern const struct word common_words[];
extern const struct phrase common_phrases[];

#endif
