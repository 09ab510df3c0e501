/*
 * Health: what the answers of its provider let through of a resource's line.
 *
 * feedback.h has the states. This file moves a line from one to the next, and says whether it may
 * grant now. A refused call says something new only if it was granted after the last one that did:
 * sixty calls that were on their way together are one refusal, not sixty.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_HEALTH_H
#define SLUICE_CORE_HEALTH_H

#include "core/event.h"

struct core;
struct line;
struct lease;

/* What answers have made of a resource. */
struct health {
    enum health_state state;
    enum answer_class why;
    int32_t rate_ppm;   /* of the limits' own rate, at rate_at_us; it grows from there */
    int32_t after_ppm;  /* closed: the rate to begin with once it opens */
    int32_t refusals;   /* in a row */
    int32_t breaks;     /* of the breaker in a row, for the length of the next */
    int64_t growth_ppm; /* a minute */
    int64_t rate_at_us;
    int64_t since_us;
    int64_t until_us;
    int64_t next_us;     /* recovering: not before this */
    int64_t incident_us; /* calls granted before say nothing new */
    uint64_t probe;      /* probing: the lease that is out, or 0 */
    char reason[HEALTH_REASON_MAX];
};

void health_init(struct health *h);

/* Whether the line may grant now. */
bool health_lets(const struct core *core, const struct line *line);

/* When it may do so, as far as time alone decides: now or later; INT64_MAX: it is not known. */
int64_t health_opens_us(const struct core *core, const struct line *line);

/* A lease was granted where the line is not well: it may be the one that probes, and at a reduced
 * rate the next has to wait. */
void health_granted(struct core *core, struct line *line, const struct lease *lease);

/* What the provider said to the call of a lease. False: it was on its way when another was refused,
 * and says nothing that this one did not say. */
bool health_answer(struct core *core, struct line *line, const struct lease *lease,
                   const struct answer *answer);

/* A lease ended of which no answer is known. */
void health_unanswered(struct core *core, struct line *line, const struct lease *lease);

/* What time alone changes, and when it next does: INT64_MAX: never. */
void health_look(struct core *core, struct line *line);
int64_t health_next_us(const struct core *core, const struct line *line);

/* An operator says that all is well. */
void health_reopen(struct core *core, struct line *line, caller_id caller);

void health_view(const struct core *core, const struct line *line, struct health_view *view);

/* A number in [0, n) that follows from what is given: the same events give the same jitter. */
int64_t jitter(uint64_t a, uint64_t b, int64_t n);

#endif
