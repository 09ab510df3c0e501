/*
 * A record: one durable fact, as the core hands it to the journal and takes it back.
 *
 * The core emits records as effects; the journal keeps them in order; at the next start
 * they are given back in that order to core_restore, which rebuilds windows, leases and
 * counters. A record says all that is needed to do so under another configuration: names,
 * loads and times, never indexes.
 *
 *   RECORD_GRANT    a lease began at at_us
 *   RECORD_RENEW    the same facts again, with a later expires_us: the newest GRANT or
 *                   RENEW of a lease is enough to rebuild it
 *   RECORD_SETTLE   a lease ended at at_us with this usage (`late`: it had expired before)
 *   RECORD_EXPIRE   a lease ended at at_us without a word
 *   RECORD_CANCEL   a lease ended at at_us as if it had never been
 *   RECORD_COUNTER  a calendar, lifetime or bucket counter now stands at this value; the
 *                   newest for a (limit, scope) replaces those before. Once its expires_us has
 *                   passed it may be lost: it says no more than a counter never written
 *   RECORD_HEALTH   what answers have made of a resource; the newest for it replaces those before
 *   RECORD_LEARNED  what answers have taught of a limit; the newest for it replaces those before
 *
 * Texts are lent by whoever made the record. May depend on src/base, advice.h, answer.h and
 * policy.h only.
 */
#ifndef SLUICE_CORE_RECORD_H
#define SLUICE_CORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "core/advice.h"
#include "core/answer.h"
#include "core/policy.h"

enum record_kind {
    RECORD_GRANT = 1,
    RECORD_RENEW = 2,
    RECORD_SETTLE = 3,
    RECORD_EXPIRE = 4,
    RECORD_COUNTER = 5,
    RECORD_CANCEL = 6,
    RECORD_HEALTH = 7,
    RECORD_LEARNED = 8,
};

/* The state of a resource, as core/health.h has it. */
struct health_fact {
    enum health_state state;
    enum answer_class why;
    int32_t rate_ppm, after_ppm;
    int32_t refusals, breaks;
    int64_t growth_ppm, rate_at_us;
    int64_t since_us, until_us; /* until_us: INT64_MAX: not by time */
    int64_t next_us, incident_us, cool_us;
    uint64_t probe;
};

/* What was learned of a limit, as core/rule.h and core/pace.h have it. */
struct learned_fact {
    int64_t told; /* 0: nothing */
    uint64_t told_by;
    int64_t guard_us, guard_at_us;      /* 0: as configured */
    int64_t slots_milli, doubling_upto; /* 0: none were tried */
};

struct record {
    enum record_kind kind;
    int64_t at_us; /* GRANT, RENEW: when the lease was granted; else when it happened */

    /* When the lease expires. COUNTER: when the counter no longer matters if nothing more is
     * charged: calendar: the end of its period by the clock of at_us; bucket: when it will be full
     * again; lifetime: INT64_MAX. HEALTH, LEARNED: the same of what they say. */
    int64_t expires_us;

    /* Those of leases: all kinds but COUNTER, HEALTH and LEARNED. `load` is what was held; in
     * SETTLE and CANCEL what was used, in EXPIRE what was charged for want of a word: of each unit
     * the most that a limit charged, and all that was held where no limit counts it. They repeat
     * the names, so that they mean something on their own once the grant has been pruned. */
    uint64_t lease;
    int64_t skew_us; /* wall clock minus the core's at at_us */
    uint64_t parent; /* 0: none */
    union {
        struct {
            struct load load;
            int32_t priority;
            int32_t attempt; /* 1 for a first attempt */
            int64_t waited_us;
            int64_t held_for_us; /* SETTLE, EXPIRE: from the grant to the lease's end */
            bool late;
            enum answer_class outcome; /* SETTLE: what the provider answered … */
            struct parts parts;        /* … and the tokens by what they cost apart, where … */
            bool has_parts;            /* … this says so */
        };
        struct health_fact health;   /* HEALTH */
        struct learned_fact learned; /* LEARNED */
    };
    struct text model;   /* at the provider */
    struct text account; /* of the resource's pool, or empty */
    struct text resource;
    struct text route; /* that was asked for; or empty */
    int32_t step;      /* the place of the one that served, from 1; 0: none was asked for */
    struct text tenant;
    struct text session;
    union {
        struct text labels; /* "key=value" lines */
        struct text counts; /* COUNTER, LEARNED: what the limit counts; see limit_counts */
    };
    struct text id; /* the caller's own id, or empty; HEALTH: the provider's code */

    /* COUNTER, LEARNED. `limit` is the pool's name for shared limits (resource empty), else the
     * limit's name in its resource. SETTLE: what was advised, where it was not that all is done. */
    union {
        struct text limit;
        struct text reason; /* ADVICE_GIVE_UP: one word */
    };
    struct text scope_key; /* tenant, session, model or label value; empty for the resource */
    union {
        int64_t period_us; /* calendar: when the period began; bucket: when `level` held */
        int64_t per_us;    /* LEARNED: the limit's length */
        int64_t again_us;  /* ADVICE_RETRY: not before */
    };
    union {
        int64_t used;   /* calendar, lifetime: used in the period; bucket: units that it lacks */
        int64_t advice; /* an enum advice_action */
    };
    union {
        int64_t level;         /* bucket: whole units left, rounded down */
        int64_t period_end_us; /* calendar: when the period ends */
    };
    int64_t since_us; /* its limit is charged with leases that end from then on; -1: nothing is
                         stored */
};

/* Whether a record says how something stands now: the newest of its kind, resource, limit and scope
 * key replaces those before, and it comes back before those of leases. */
static inline bool record_is_value(enum record_kind kind)
{
    return kind == RECORD_COUNTER || kind == RECORD_HEALTH || kind == RECORD_LEARNED;
}

#endif
