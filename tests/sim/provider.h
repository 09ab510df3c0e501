/*
 * The provider behind a simulated world: what it really lets through, and what it says of it.
 *
 * Its true limits are hidden from whoever calls it, and drift; others use the same key; for a while
 * it has no room for anyone, no day left, or no money. Its headers may lie, and an answer tells of
 * a moment that has passed. All of it follows from the seed, the time and the call's number, and
 * from the calls that it let through before: leaving out some happenings leaves the weather as it
 * was.
 *
 * May depend on src/base, src/core's plain data and random.h.
 */
#ifndef SLUICE_TESTS_SIM_PROVIDER_H
#define SLUICE_TESTS_SIM_PROVIDER_H

#include "core/answer.h"

#define PROVIDER_RESOURCES 4
#define PROVIDER_CALLS_MAX 256 /* remembered of each resource */

struct provider_call {
    int64_t at_us;
    int64_t requests, tokens;
};

struct provider_side {
    struct provider_call calls[PROVIDER_CALLS_MAX]; /* a ring of those it let through */
    uint64_t calls_n;
};

struct provider {
    uint64_t seed;
    bool tells; /* its headers say something */
    struct provider_side sides[PROVIDER_RESOURCES];
};

/* One call, as its caller knows it. */
struct provider_ask {
    uint64_t number;
    size_t resource;
    int64_t granted_us;
    int64_t now_us; /* of the answer */
    struct load load;
};

void provider_init(struct provider *p, uint64_t seed, bool tells);

/* What comes back. The reason is static storage. */
void provider_answer(struct provider *p, const struct provider_ask *ask, struct answer *answer);

#endif
