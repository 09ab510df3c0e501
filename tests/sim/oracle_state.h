/*
 * What the oracle keeps: history in arrays, and the requests in line. Internal to the oracle's
 * files.
 */
#ifndef SLUICE_TESTS_SIM_ORACLE_STATE_H
#define SLUICE_TESTS_SIM_ORACLE_STATE_H

#include "oracle_history.h"
#include "oracle_sums.h"

#define MEMO_MAX 256

/* A request in line. */
struct waiter {
    caller_id caller;
    uint64_t seq;
    uint64_t ticket; /* 0: none given yet */
    bool away;
    bool arriving; /* came with the event of this step */
    int64_t away_us;
    int64_t enqueued_us;
    int64_t deadline_us;
    int64_t hold_at_us; /* INT64_MAX: never */
    struct load load;
    int priority;
    int aged; /* so many priorities it had gained in the line that it has left for another */
    uint64_t parent;
    int64_t wait_us;
    int64_t lease_us;
    int64_t not_before_us; /* of a retry */
    int32_t attempt, attempts_max;
    size_t resource_at; /* in the present policy, or NONE */
    char resource[KEY_MAX];
    char tenant[KEY_MAX];
    char session[KEY_MAX];
    char labels[KEY_MAX * 2];
    char id[KEY_MAX];
    char route[KEY_MAX]; /* by which it came, or "" */
    size_t route_at;     /* in the present policy, or NONE */
    bool named;          /* a pool, by the name of a resource */
    struct load asked;   /* before it was capped, priced and completed by estimates … */
    bool has_usd, has_input, has_output;
    int64_t input_bytes; /* 0: not given */
    bool asked_known;    /* … where that is known */
    bool untold;         /* what it asks is made up, and nothing tells of it */
};

/* Fairness of one tenant at one priority of a resource. */
struct tag {
    char resource[KEY_MAX];
    char tenant[KEY_MAX];
    int priority;
    bool backlogged;
    double start, finish;
};

struct virtual_time {
    char resource[KEY_MAX];
    int priority;
    double at;
    double finish_max;
};

/* What the present event tells of a call. */
struct cause {
    char resource[KEY_MAX]; /* "": of none, or it was told of before */
    const struct answer *answer;
    bool probed;
};

struct memo {
    size_t ident;
    char key[KEY_MAX];
    struct sum sum;
};

struct oracle {
    struct buf *problem;
    const struct policy *policy;
    int64_t now_us;
    int64_t skew_us;
    bool late; /* ticks come late */
    bool draining;
    size_t reloads; /* policies after the first */
    bool restoring; /* between a crash and oracle_restored */
    bool starting;  /* … and from there, or the beginning, to the first step but a policy, which
                     * tells of the wall clock */
    int64_t wall_us_max; /* the latest that it has shown */
    int64_t now_us_max;  /* a restart may go back behind it; what was forgotten by then is */
    size_t records;      /* emitted so far */
    uint64_t next_seq;
    struct fact *facts;
    size_t facts_n, facts_size;
    struct renewal *renewals;
    size_t renewals_n, renewals_size;
    struct ident *idents;
    size_t idents_n, idents_size;
    size_t ident_of[64][RESOURCE_LIMITS_MAX]; /* by the present policy's resource and limit */
    struct waiter *waiters;
    size_t waiters_n, waiters_size;
    struct tag *tags;
    size_t tags_n, tags_size;
    struct virtual_time *vtimes;
    size_t vtimes_n, vtimes_size;

    struct sample *samples; /* in oracle_estimates.h */
    size_t samples_n, samples_size;
    struct condition *conditions; /* in oracle_health.h */
    size_t conditions_n, conditions_size;
    struct note *notes; /* in oracle_health.h */
    size_t notes_n, notes_size;
    struct cause cause;
    const struct core *core; /* of the present step: only where requests stand is asked of it */
    bool shifting;           /* in this step somebody has moved from one line to another */

    bool aways;              /* some request was away: start tags are in doubt from then on */
    int64_t tags_doubted_us; /* … until then */
    struct memo memos[MEMO_MAX];
    size_t memos_n;
    uint64_t moment; /* counts changes; answers of an earlier moment do not hold */
    struct {
        uint64_t moment;
        int answer;
    } eligible[MEMO_MAX]; /* by waiter */
    struct oracle_counts counts;
    uint64_t rests;
    uint64_t grants_before; /* this step */
};

/* Makes room for one more element. */
#define ROOM(o, array)                                                                             \
    do {                                                                                           \
        if ((o)->array##_n == (o)->array##_size) {                                                 \
            (o)->array##_size = (o)->array##_size ? 2 * (o)->array##_size : 32;                    \
            (o)->array = realloc((o)->array, (o)->array##_size * sizeof((o)->array[0]));           \
            if (!(o)->array) {                                                                     \
                abort();                                                                           \
            }                                                                                      \
        }                                                                                          \
    } while (0)

void wrong(struct oracle *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
