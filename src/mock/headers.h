/*
 * The headers of the pretend provider's answers, as the vendors write them.
 *
 * Every header goes through a script's header rules, so that a script may spoil any of them.
 *
 * May depend on src/base and src/http.
 */
#ifndef SLUICE_MOCK_HEADERS_H
#define SLUICE_MOCK_HEADERS_H

#include <stdint.h>

#include "base/buf.h"
#include "http/http.h"
#include "mock/fault.h"
#include "mock/quota.h"
#include "mock/trouble.h"

struct headers {
    struct http_request *req;
    const struct trouble_script *script;
    const struct trouble *trouble;
    uint64_t written; /* bit i: rule i of the script has been applied */
};

void headers_init(struct headers *h, struct http_request *req, const struct trouble_script *script,
                  const struct trouble *trouble);

/* Adds the headers which only the script has. */
void headers_end(struct headers *h);

/* The request's id and what else the vendor sends with every answer. */
void headers_put_common(struct headers *h, enum dialect dialect, const char *request_id);

/* What was left of the quota (of every unit but slots) at `at_us` since 1970. */
void headers_put_quota(struct headers *h, enum dialect dialect,
                       const struct quota_state states[QUOTA_SLOTS], int64_t at_us);

/* The moment of the judgement, which real providers do not tell: for measurements. */
void headers_put_judged(struct headers *h, int64_t at_us);

/* When to come back, where that is known. */
void headers_put_retry(struct headers *h, enum dialect dialect, const struct fault *fault);

/* "6m0s", "1.5s", "120ms". Never shorter than `us`. */
void write_go_duration(int64_t us, struct buf *out);

#endif
