/*
 * Reading a provider's answer: status, headers and body in, one struct answer out.
 *
 * What the vendors write is told apart by a dialect (tables in dialect.c), named as in the
 * configuration: openai, anthropic, azure, gemini, bedrock, mistral, groq, openrouter, generic.
 * Absurd values are made harmless here: a wait over RETRY_AFTER_US_MAX is capped (and one of a day,
 * where the vendor writes that for "never", is that class); negative, past and unreadable times
 * count as not said.
 *
 * Pure: no clock (dates are read against the answer's own Date header, or else `now_us`), no
 * allocation but the JSON documents of the body, which are freed before the return; the text of the
 * result is copied into `reason`. May depend on src/base, core/answer.h, core/limit.h
 * and http/json.h.
 */
#ifndef SLUICE_PROVIDER_ANSWER_H
#define SLUICE_PROVIDER_ANSWER_H

#include "core/answer.h"
#include "http/json.h"

#define ANSWER_HEADERS_MAX 64
#define ANSWER_REASON_MAX  64 /* longer codes are cut */
#define ANSWER_BODY_MAX    (64u << 10)

struct answer_header {
    struct text name; /* in any case */
    struct text value;
};

/* What came back. Everything may be missing. */
struct raw_answer {
    int status; /* HTTP status; 0: none came */
    const struct answer_header *headers;
    size_t headers_n;
    const json_value *error; /* the error body: an object, an array, or a string (the body as text,
                                or a word of the caller's own: "timeout"); NULL, null: none */
    int64_t now_us;          /* wall clock, since 1970-01-01 UTC */
    int64_t elapsed_us;      /* how long the call took; 0: not known */
};

/* Which vendor's words are spoken; the generic one for a name that is not known. */
struct dialect;
const struct dialect *dialect_of(const char *provider);

/* Whether input that came from a cache is free of the vendor's limits. */
bool dialect_cache_reads_free(const struct dialect *dialect);

/* Never fails: what cannot be read counts as not said. */
void answer_read(const struct dialect *dialect, const struct raw_answer *raw,
                 char reason[ANSWER_REASON_MAX], struct answer *answer);

/* Whether a header of this name may tell anything: callers need to keep no others. */
bool answer_header_wanted(struct text name);

#endif
