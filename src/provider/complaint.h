/*
 * A complaint: what an error body says, gathered from whatever shape it has.
 *
 * Vendors and their SDKs wrap the same few facts differently: in an object, in an array, in JSON
 * inside a text, under `error`, `Error`, `response` or `metadata`. Here they are only collected:
 * the codes, the sentences, a status, a delay, the quotas named. What follows from them is judged
 * in answer.c.
 *
 * No allocation but the documents of JSON inside texts, which the complaint owns; where there is no
 * memory for one, its text stays a sentence. May depend on src/base and http/json.h.
 */
#ifndef SLUICE_PROVIDER_COMPLAINT_H
#define SLUICE_PROVIDER_COMPLAINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "http/json.h"

#define COMPLAINT_WORDS_MAX     12
#define COMPLAINT_WORD_LEN_MAX  128 /* longer ones are no codes */
#define COMPLAINT_SENTENCES_MAX 6
#define COMPLAINT_SENTENCE_MAX  4096 /* bytes of a sentence that are looked at */
#define COMPLAINT_QUOTAS_MAX    8
#define COMPLAINT_DOCUMENTS_MAX 4

/* A quota that the body names as exceeded (Gemini). */
struct quota {
    struct text metric;
    struct text id;
    int64_t value; /* -1: not said */
};

/* Texts are lent by the error value and by `documents`. */
struct complaint {
    struct text words[COMPLAINT_WORDS_MAX]; /* codes and types, in the order they stand */
    size_t words_n;
    struct text sentences[COMPLAINT_SENTENCES_MAX];
    size_t sentences_n;
    struct quota quotas[COMPLAINT_QUOTAS_MAX];
    size_t quotas_n;
    int status;                /* an HTTP status that the body names; 0: none */
    bool structured;           /* an object was seen: a provider's own body */
    struct text retry_delay;   /* may be empty */
    const json_value *headers; /* headers that the body repeats, or NULL */
    json_value *documents[COMPLAINT_DOCUMENTS_MAX];
    size_t documents_n;
};

/* `error` may be NULL. To be released whatever was found. */
void complaint_init(struct complaint *c, const json_value *error);
void complaint_release(struct complaint *c);

#endif
