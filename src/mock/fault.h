/*
 * Errors of the pretend provider, in the vendors' words and shapes.
 *
 * May depend on src/base and src/http (JSON writing).
 */
#ifndef SLUICE_MOCK_FAULT_H
#define SLUICE_MOCK_FAULT_H

#include <stdint.h>

#include "base/buf.h"
#include "mock/quota.h"
#include "mock/trouble.h"

#define FAULT_WORD_MAX    64
#define FAULT_MESSAGE_MAX 512

/* Whose manner of speaking an answer has. */
enum dialect { DIALECT_OPENAI, DIALECT_AZURE, DIALECT_ANTHROPIC };

struct fault {
    int status;
    char type[FAULT_WORD_MAX];
    char code[FAULT_WORD_MAX]; /* "": null */
    char message[FAULT_MESSAGE_MAX];
    int64_t retry_after_us; /* > 0: said in headers */
};

/* An error of that status with the vendor's usual type and code. A NULL message stands for the
 * vendor's usual one. */
void fault_make(enum dialect dialect, int status, const char *message, struct fault *fault);

/* A refusal by the quota of a model. */
void fault_of_verdict(enum dialect dialect, const struct quota_verdict *verdict, const char *model,
                      struct fault *fault);

/* What a rule of a script says. Its retry-after is in the script's own time. */
void fault_of_rule(enum dialect dialect, const struct trouble_rule *rule, struct fault *fault);

/* The body, with the request's id where the vendor gives it. */
void fault_write(enum dialect dialect, const struct fault *fault, const char *request_id,
                 struct buf *out);

#endif
