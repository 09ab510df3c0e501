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
 * May depend on src/base only.
 */
#ifndef SLUICE_CORE_CORE_H
#define SLUICE_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "core/policy.h"
#include "core/record.h"

#define CORE_STEP_MAX       64                   /* requests decided in one step */
#define TICKET_KEPT_US      INT64_C(10000000)    /* a place is kept this long unattended */
#define LEASE_REMEMBERED_US INT64_C(900000000)   /* an ended lease answers repeats this long */
#define LEASE_US_MAX        INT64_C(86400000000) /* a lease is renewed at least daily */
#define WAIT_US_MAX         INT64_C(86400000000)
#define HELD_BY_MAX         8 /* limits named in an explanation */

struct core;

/* Whoever waits for an answer; chosen by the caller of the core, 0 is nobody. */
typedef uint64_t caller_id;

enum event_kind {
    EVENT_TICK,      /* time has passed */
    EVENT_ACQUIRE,   /* a request for a lease */
    EVENT_RESUME,    /* the holder of a ticket asks again */
    EVENT_HANGUP,    /* a caller is gone: what it waits for leaves the line */
    EVENT_CANCEL,    /* a request is withdrawn by ticket or id */
    EVENT_RELEASE,   /* a lease is settled */
    EVENT_RENEW,     /* a lease lives on */
    EVENT_CLOCK,     /* the wall clock has moved against `now_us` */
    EVENT_CONFIGURE, /* a new policy */
    EVENT_DRAIN,     /* grant nothing more; refuse all that wait */
};

struct acquire {
    struct text resource; /* name */
    struct load load;     /* complete: load_complete fills in what was not given */
    int priority;         /* PRIORITY_MIN..PRIORITY_MAX */
    struct text tenant;   /* may be empty: the nameless tenant */
    struct text session;  /* may be empty: counted together by session limits */
    struct text labels;   /* "key=value" lines, at most LABELS_MAX */
    struct text id;       /* the caller's own id for this request, may be empty */
    uint64_t parent;      /* lease of the agent that asks, or 0 */
    int64_t wait_us;      /* 0..WAIT_US_MAX; 0: do not wait */
    int64_t hold_us;      /* > 0: answer with a ticket after this long */
    int64_t lease_us;     /* 1..LEASE_US_MAX */
};

struct event {
    enum event_kind kind;
    int64_t now_us;     /* since 1970-01-01 UTC */
    caller_id caller;   /* ACQUIRE, RESUME: answered later; others: answered in this step */
    struct text tenant; /* RESUME, CANCEL, RELEASE, RENEW: only what is this tenant's; "": any */
    bool any_tenant;    /* … unless this is set */
    union {
        struct acquire acquire;
        struct {
            uint64_t ticket;
            int64_t hold_us; /* as in acquire */
        } resume;
        struct {
            uint64_t ticket; /* 0: by lease or id */
            uint64_t lease;  /* a lease that never reached its asker; 0: by id */
            struct text id;
        } cancel;
        struct {
            uint64_t lease;
            struct load usage;
            bool has_usage; /* false: the load that was held counts as used */
        } release;
        struct {
            uint64_t lease;
            int64_t lease_us; /* 1..LEASE_US_MAX, from now */
        } renew;
        int64_t skew_us;             /* CLOCK: wall clock minus now_us */
        const struct policy *policy; /* CONFIGURE: checked; must outlive its use by the core */
    };
};

enum effect_kind {
    EFFECT_PERSIST,   /* make this record durable */
    EFFECT_GRANT,     /* answers ACQUIRE, RESUME */
    EFFECT_WAIT,      /* answers ACQUIRE, RESUME: a ticket */
    EFFECT_REFUSE,    /* answers any request */
    EFFECT_SETTLED,   /* answers RELEASE */
    EFFECT_RENEWED,   /* answers RENEW */
    EFFECT_CANCELLED, /* answers CANCEL */
    EFFECT_EXPIRED,   /* a lease ended without a word; nobody is answered */
    EFFECT_ALERT,     /* something an operator should know */
};

enum alert_kind { ALERT_BUDGET_WARN, ALERT_WAIT_TIMEOUT, ALERT_OVERRUN };

/* Why a request waits, or could not be served: P9. Names live as long as the policy. */
struct held_by {
    const char *limits[HELD_BY_MAX];
    size_t limits_n;
};

struct effect {
    enum effect_kind kind;
    caller_id caller; /* whom it answers; 0: nobody */
    union {
        struct record record; /* PERSIST */
        struct {
            uint64_t lease;
            struct text resource;
            struct text model;
            struct text tenant;
            struct text id;
            struct load held;
            int64_t waited_us;
            int64_t expires_us;
            int32_t attempt;
            bool repeated; /* the same acquire had been granted before */
        } grant;
        struct {
            uint64_t ticket;
            struct text id;
            int64_t position; /* 1: next among its priority and the more urgent, by arrival */
            int64_t eta_us;   /* estimate of the time left */
            struct held_by held_by;
        } wait;
        struct {
            enum error_code code;
            struct text id;
            struct text resource;
            const char *limit;      /* the limit that refused, or NULL */
            int64_t limit_amount;   /* what that limit allows in all, after headroom … */
            int64_t limit_free;     /* … what it had left … */
            int64_t limit_asked;    /* … and what the request asked of it */
            int64_t retry_after_us; /* 0 where it makes no sense */
            int64_t waited_us;
            int64_t position;
            struct held_by held_by;
        } refuse;
        struct {
            uint64_t lease;
            struct text resource;
            struct load settled;
            int64_t held_for_us; /* from grant to settle */
            bool late;           /* the lease had expired */
            bool repeated;       /* it had been settled before */
        } settled;
        struct {
            uint64_t lease;
            int64_t expires_us;
        } renewed;
        struct {
            uint64_t ticket; /* the request, or 0 */
            uint64_t lease;  /* the lease that was cancelled, or 0 */
        } cancelled;
        struct {
            uint64_t lease;
            struct text resource;
            struct text tenant;
        } expired;
        struct {
            enum alert_kind kind;
            struct text resource;
            const char *limit;
            struct text scope_key;
            int64_t used;
            int64_t amount;
        } alert;
    };
};

/* The effects of one step, in order. Init once, pass to every step, release once. */
struct effects {
    struct effect *at;
    size_t len;
    size_t size;
};

void effects_init(struct effects *e);
void effects_release(struct effects *e);

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

/* At a start, after the first EVENT_CONFIGURE: takes back one record; all COUNTER records first.
 * `skipped` says that its resource or limit is no longer configured. 0 or ERR_NO_MEMORY, or
 * ERR_STORE_DAMAGED for a record that no core can have emitted. */
int core_restore(struct core *core, const struct record *record, bool *skipped);

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

/* Fills in what a load leaves open: requests 1, slots 1, tokens = input + output; where only
 * the total is known, input and output may each be all of it. `given` has a bit 1 << unit
 * for each unit that was given. */
void load_complete(struct load *load, unsigned given);

#endif
