/*
 * The core: the judgement of quotas, pure.
 *
 * One event goes in, effects come out, and a query tells when time itself is the next
 * event. The core knows no clock, does no I/O, reads no globals, and the same events in the
 * same order give the same effects, byte for byte (P10). The driver in src/server is the
 * caller in production; the simulator in tests/sim is the other.
 *
 *     core_step(core, &event, &effects);     judge one event
 *     core_next_deadline(core)               when to send EVENT_TICK at the latest
 *
 * What a caller of the core promises:
 *   - `now_us` never runs backwards (a smaller one counts as the last one seen);
 *   - the records of a step's effects are made durable before the other effects of that
 *     step, or of any later one, are told to anyone (P8);
 *   - the texts of an event stay put during the step; those of effects are valid until the
 *     next step.
 *
 * What the core promises is P1–P7, P9 and P10 of ARCHITECTURE.md. No step grants, refuses
 * or expires more than CORE_STEP_MAX requests: where more is due, core_next_deadline says
 * `now` and the next tick goes on in order.
 *
 * Events are in event.h, effects in effect.h. May depend on src/base only.
 */
#ifndef SLUICE_CORE_CORE_H
#define SLUICE_CORE_CORE_H

#include "core/effect.h"

#define CORE_STEP_MAX 64 /* requests decided in one step */

struct core;

struct core_options {
    uint64_t seed[2]; /* keys the hashes of names from outside; random in production */
    bool spill;       /* a journal keeps lifetime counters, so idle ones may be forgotten: see
                         core_missing */
};

/* A core without a policy refuses everything as unknown. `core` is NULL on failure. */
int core_new(const struct core_options *options, struct core **core);
void core_free(struct core *core);

/* Judges one event. 0, or ERR_NO_MEMORY: the event was not judged and has changed nothing, but
 * there may be effects of time that passed, to be carried out as ever. Every other trouble is a
 * REFUSE effect. */
int core_step(struct core *core, const struct event *event, struct effects *effects);

/* When EVENT_TICK is due at the latest; INT64_MAX: never; in the past: at once. */
int64_t core_next_deadline(const struct core *core);

/* At a start, after the first EVENT_CONFIGURE: takes back one record; all values first.
 * `skipped` says that its resource or limit is no longer configured. 0 or ERR_NO_MEMORY, or
 * ERR_STORE_DAMAGED for a record that no core can have emitted. */
int core_restore(struct core *core, const struct record *record, bool *skipped);

/* As many as an acquire may need: its route may lead to all of them. */
#define CORE_MISSING_MAX (RESOURCE_LIMITS_MAX * ROUTE_STEPS_MAX)

/* Counters of idle scopes are forgotten; those that matter for ever (scoped lifetime limits) live
 * on in the journal alone. Before each acquire, and with a NULL acquire in a loop until it returns
 * 0 after a start, this asks for the keys of counters that the core needs and does not know:
 * COUNTER records with kind, limit, resource and scope_key filled in. The caller looks each up in
 * the journal, sets `used` (0 where there is none) and gives it to core_recall. Returns how many
 * were filled in. */
size_t core_missing(const struct core *core, const struct acquire *acquire, struct record *keys,
                    size_t max);

/* Takes back a counter that core_missing asked for. 0, ERR_NO_MEMORY or ERR_STORE_DAMAGED. */
int core_recall(struct core *core, const struct record *record);

/* No record older than this is needed at a start; a counter's is until its expires_us. */
int64_t core_horizon_us(const struct core *core);

#endif
