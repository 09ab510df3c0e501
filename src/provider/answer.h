/*
 * Reading a provider's answer: status, headers and body in, one struct answer out.
 *
 * One classifier for all doors: the coordination API reads what a release reports, the gateway what
 * came over the wire. What the vendors write is told apart by a profile (tables in answer.c), named
 * as in the configuration: openai, anthropic, azure, gemini, bedrock, mistral, groq, openrouter,
 * generic. Absurd values are made harmless here: a wait over RETRY_AFTER_US_MAX is capped (and one
 * of a day with "never fits" words is that class), negative, past and unreadable times count as not
 * said.
 *
 * Pure: no clock (HTTP dates are read against `now_us`), no allocation but the JSON document of the
 * body, which is freed before the return; texts of the result are copied into `bytes`.
 * May depend on src/base, core/answer.h, core/policy.h and http/json.h.
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
    const json_value *error; /* the error body: an object, or a string (the body as text, or a word
                                of the caller's own: "timeout", "connection_error"); or NULL */
    int64_t now_us;          /* wall clock, since 1970-01-01 UTC */
};

/* Which vendor's words are spoken; the generic one for a name that is not known. */
struct dialect;
const struct dialect *dialect_of(const char *provider);

/* Never fails: what cannot be read counts as not said. */
void answer_read(const struct dialect *dialect, const struct raw_answer *raw,
                 char reason[ANSWER_REASON_MAX], struct answer *answer);

/* A wait as providers write it, from now on: "12", "1.5", "120ms", "6m0s", "1h2m3.5s", "2m59.56s",
 * an HTTP date, an RFC 3339 time. False where it is none of these. Negative and past: 0. */
bool wait_read(struct text value, int64_t now_us, int64_t *wait_us);

#endif
