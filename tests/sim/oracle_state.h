/*
 * What the oracle keeps: history in arrays. Internal to the oracle's files.
 */
#ifndef SLUICE_TESTS_SIM_ORACLE_STATE_H
#define SLUICE_TESTS_SIM_ORACLE_STATE_H

#include "base/num.h"
#include "oracle.h"

#define KEY_MAX     40
#define CHARGES_MAX RESOURCE_LIMITS_MAX
#define MEMO_MAX    256
#define HEADS_MAX   64
#define NONE        SIZE_MAX

enum end { END_OPEN, END_SETTLED, END_EXPIRED, END_CANCELLED };

/* One lease, from its grant to its last settle. `*_record` is the number of the record that made
 * it so, which a crash may take back. */
struct fact {
    uint64_t lease;
    uint64_t parent;
    size_t grant_record;
    char resource[KEY_MAX];
    char tenant[KEY_MAX];
    char session[KEY_MAX];
    char labels[KEY_MAX * 2];
    char id[KEY_MAX];
    struct load load;
    int priority;
    int64_t granted_us;
    int64_t waited_us;
    int64_t first_expires_us;
    int64_t expires_us;
    enum end end;
    size_t end_record;
    int64_t end_us;
    int64_t end_wall_us;
    struct load used;
    bool late; /* settled after it had expired */
    size_t late_record;
    int64_t late_us;
    int64_t late_wall_us;
    struct load late_used;
};

struct renewal {
    size_t record;
    uint64_t lease;
    int64_t expires_us;
};

/* An amount that a lease was charged for one limit. */
struct charge {
    size_t fact;
    int64_t n;
    int64_t at_us;   /* from when it counts, if it counts from the grant */
    int64_t wall_us; /* wall clock of the grant */
    char key[KEY_MAX];
    bool gone; /* had left its window at a reload, or the core did not get it back */
};

/* What happened to a bucket, in order. */
/* A NOTE is what a record said of the level: it counts only after a crash, as a SET. */
enum deed_kind { DEED_BORN, DEED_TERMS, DEED_ADD, DEED_SET, DEED_NOTE };

struct deed {
    enum deed_kind kind;
    size_t record; /* the newest record at that time */
    int64_t at_us;
    char key[KEY_MAX]; /* BORN, TERMS: of all keys */
    int64_t amount;    /* ADD, SET: units; TERMS: per window */
    int64_t per_us;
    int64_t burst;
};

/* One limit through all policies that carry its counters over. */
struct ident {
    bool live;
    bool pool;
    char resource[NAME_LEN_MAX + 1];
    char name[NAME_LEN_MAX + 1];
    enum unit unit;
    enum window_kind window;
    enum scope scope;
    const struct limit *limit; /* in the present policy */
    struct charge *charges;
    size_t charges_n, charges_size;
    struct deed *deeds;
    size_t deeds_n, deeds_size;
};

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
    uint64_t parent;
    int64_t wait_us;
    int64_t lease_us;
    char resource[KEY_MAX];
    char tenant[KEY_MAX];
    char session[KEY_MAX];
    char labels[KEY_MAX * 2];
    char id[KEY_MAX];
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

struct sum {
    int64_t used;
    int64_t held;
    int64_t free;       /* of the window */
    int64_t slice_used; /* 0 where not paced */
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
    size_t records; /* emitted so far */
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

    bool aways;              /* some request was away: start tags are in doubt from then on */
    int64_t tags_doubted_us; /* … until then */
    struct memo memos[MEMO_MAX];
    size_t memos_n;
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

/* --- oracle_sums.c: limits, and what is used of them --- */

int64_t limit_amount(const struct limit *l);
int64_t limit_burst(const struct limit *l);
int64_t limit_most(const struct limit *l); /* what can ever be granted at once */
int64_t limit_slice(const struct limit *l);
int64_t rolling_leave_us(const struct limit *l, int64_t at_us);
int64_t slice_leave_us(const struct limit *l, int64_t at_us);

/* A number for the period of the calendar in which a wall-clock instant lies. */
int64_t period_number(const struct limit *l, int64_t wall_us);

size_t resource_index(const struct oracle *o, const char *name);

/* The key of the counter of a limit that a request or lease is charged to. */
void charged_key(const struct limit *l, const struct resource *r, const char *tenant,
                 const char *session, const char *labels, char key[KEY_MAX]);

/* Worked out from the whole history, at o->now_us. */
struct sum sum_of(struct oracle *o, size_t ident, const char *key);

/* What the holder of a reserve has in a limit's window and holds beside it. */
int64_t usage_of_holder(struct oracle *o, size_t ident, const struct reserve *s);

/* What will be inside an unscoped rolling window if nothing is charged or given back, and when an
 * amount will fit then. */
int64_t rolling_used_at(struct oracle *o, size_t ident, int64_t at_us);
int64_t rolling_fits_us(struct oracle *o, size_t ident, int64_t n);

/* History has changed: what was worked out does not hold any longer. */
void forget_sums(struct oracle *o);

int64_t booked_amount(const struct limit *l, int64_t n, int64_t real);

/* What an expiry takes a lease to have used of a limit's unit. */
int64_t expired_amount(const struct limit *l, const struct load *load);

/* --- oracle_history.c: what happened to leases and counters --- */

struct fact *find_fact(struct oracle *o, uint64_t lease);
void history_configure(struct oracle *o, const struct policy *policy);
void history_record(struct oracle *o, const struct record *r);
/* Drops charges that can never count again, to keep the scans short. */
void history_forget_past(struct oracle *o);

void history_cut(struct oracle *o, size_t records);
void history_restored(struct oracle *o);

/* --- oracle_order.c: whose turn it is --- */

bool waiter_fits(struct oracle *o, const struct waiter *w);
int effective_priority(const struct oracle *o, const struct waiter *w, int64_t now_us);

/* Judges a grant to a waiting request, before it is charged. */
void judge_grant(struct oracle *o, const struct waiter *g);

/* Judges that no head that fits is left. */
void judge_idle(struct oracle *o, int64_t now_us);

/* The index of one of the request's limits that must refuse it once it is its turn, or NONE. */
size_t must_refuse(struct oracle *o, const struct waiter *w);

void tags_arrive(struct oracle *o, const struct waiter *w);
void tags_grant(struct oracle *o, const struct waiter *w);
void tags_leave(struct oracle *o, const struct waiter *w); /* after it left the waiters */

/* --- oracle_answers.c: what an acquire must be told at once --- */

/* Whether a request asks more of some limit than it allows at all; with those limits, as bits. */
bool can_never_fit(struct oracle *o, const struct waiter *w, unsigned *limits);

/* The refusal that the rules ask for, or ERR_NONE; with the limits it may name, as bits. */
enum error_code expected_refusal(struct oracle *o, const struct waiter *w, unsigned *limits,
                                 bool *doubtful);

#endif
