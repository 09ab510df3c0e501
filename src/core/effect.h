/*
 * An effect: what a step of the core has decided, to be carried out by whoever stepped it.
 *
 * Texts are valid until the next step, names of limits as long as the policy. May depend on
 * src/base, advice.h, event.h, record.h and policy.h only.
 */
#ifndef SLUICE_CORE_EFFECT_H
#define SLUICE_CORE_EFFECT_H

#include "base/error.h"
#include "core/advice.h"
#include "core/event.h"
#include "core/record.h"

#define HELD_BY_MAX 8 /* limits named in an explanation */

enum effect_kind {
    EFFECT_PERSIST,   /* make this record durable */
    EFFECT_GRANT,     /* answers ACQUIRE, RESUME */
    EFFECT_WAIT,      /* answers ACQUIRE, RESUME: a ticket */
    EFFECT_REFUSE,    /* answers any request */
    EFFECT_SETTLED,   /* answers RELEASE */
    EFFECT_RENEWED,   /* answers RENEW */
    EFFECT_CANCELLED, /* answers CANCEL */
    EFFECT_EXPIRED,   /* a lease ended without a word; nobody is answered */
    EFFECT_HEALTH,    /* answers REOPEN, or nobody: a resource changed its state */
    EFFECT_BUDGET,    /* answers BUDGET */
    EFFECT_ALERT,     /* something an operator should know */
};

enum alert_kind {
    ALERT_BUDGET_WARN,
    ALERT_WAIT_TIMEOUT,
    ALERT_OVERRUN,
    ALERT_NUMBERS_DIFFER, /* the provider tells another amount than is configured */
};

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
            struct text account; /* of a pool; or empty */
            struct text tenant;
            struct text id;
            struct load held;
            int64_t max_output_tokens; /* a route caps the output at this; 0: it does not */
            int64_t waited_us;
            int64_t expires_us;
            int32_t attempt;
            bool repeated; /* the same acquire had been granted before */
            struct routed routed;
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
            struct routed routed;
            enum finally finally;      /* ROUTE_EXHAUSTED: what is left … */
            const char *static_answer; /* … FINALLY_STATIC; else NULL */
        } refuse;
        struct {
            uint64_t lease;
            struct text resource;
            struct load settled;
            int64_t held_for_us; /* from grant to settle */
            bool late;           /* the lease had expired */
            bool repeated;       /* it had been settled before */
            struct advice advice;
            struct routed routed; /* GIVE_UP: the route that has nothing left; else no name … */
            enum finally finally; /* … and nothing here: what is left instead … */
            const char *static_answer; /* … FINALLY_STATIC; else NULL */
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
            int64_t told; /* NUMBERS_DIFFER: by the provider */
        } alert;
        struct {
            struct text resource;
            enum health_state was;
            struct health_view view;
        } health;
        struct {
            struct text resource, scope_key;
            const char *limit;
            enum unit unit;
            int64_t given_back, amount, used, held, remaining; /* amount: after headroom */
        } budget;
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

#endif
