/*
 * Leases: what was granted, what it holds, and how it ends.
 *
 *   from \ to   open   settled  expired  cancelled  forgotten
 *   (none)      grant
 *   open        renew  settle   expiry   cancel
 *   settled                                         after a while
 *   expired            (late settle: books a correction, stays ended)   after a while
 *   cancelled                                       after a while
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_LEASE_H
#define SLUICE_CORE_LEASE_H

#include "core/state.h"

enum lease_state { LEASE_OPEN, LEASE_SETTLED, LEASE_EXPIRED, LEASE_CANCELLED };

/* What the request of a lease was like: what a retry begins with. All 0 after a restart. */
struct origin {
    uint64_t seq;         /* its place in line */
    int64_t wait_left_us; /* what is left of its time in line */
    int64_t lease_us;
    int32_t attempts_max; /* 0: as the resource says */
    bool estimated;       /* its load … */
    int64_t input_bytes;  /* … by these; 0: not known */
};

/* What was advised before a restart, which no place in line has outlasted. */
#define RETRY_LOST    UINT64_MAX
#define FALLBACK_LOST (UINT64_MAX - 1)

struct lease {
    struct map_node by_lease;
    struct map_node by_id; /* in a map while it has an id */
    struct list place;     /* in core->open, by the age of its newest record, or in core->ended */
    struct timer timer;
    enum lease_state state;
    uint64_t lease;
    uint64_t parent;
    struct line *line;
    struct load load; /* what was held */
    struct load used; /* settled: what was used; expired: what was charged; else nothing */
    int64_t granted_us;
    int64_t skew_us; /* at the grant */
    int64_t expires_us;
    int64_t noted_us; /* when its newest GRANT or RENEW record was emitted */
    int64_t ended_us;
    int64_t waited_us;
    size_t waiting_below; /* descendants in line */
    int32_t attempt;
    int32_t priority;
    struct origin origin;
    uint64_t retry;      /* ticket of the retry that was advised, or RETRY_LOST …; 0: none was */
    int64_t again_us;    /* RETRY_LOST: not before */
    const char *gave_up; /* the reason, where that was advised; NULL: it was not */
    struct way *way;     /* by which route; NULL: none */
    struct deal *deal;   /* owned; NULL: its line and step are as they were: see deal.h */
    struct text tenant, session, labels, id; /* with the way behind the charges */
    size_t size;                             /* of all of it */
    size_t charges_n;
    struct charge charges[];
};

struct lease *lease_find(const struct core *core, uint64_t lease);

/* What its request asked when it came: its load before a step capped it. */
void lease_facts(const struct lease *l, struct acquire *a);

/* By the caller's own id, which belongs to its tenant; a NULL tenant is any. */
struct lease *lease_find_id(const struct core *core, struct text id, const struct text *tenant);

/* Makes room for a charge in each of these counters. 0 or ERR_NO_MEMORY. */
int counters_admit(struct core *core, const struct line *line, struct counter *const *counters);

/* The same lease in another state, with room for `charges_n` charges but none yet. 0 or
 * ERR_NO_MEMORY. */
int lease_copy(struct core *core, struct line *line, const struct lease *from, size_t charges_n,
               struct lease **lease);

/* Ends an open lease with the real usage. */
void lease_settle(struct core *core, struct lease *lease, const struct load *usage);

/* Ends an open lease without a word: charged by each limit's rule. */
void lease_expire(struct core *core, struct lease *lease);

/* Ends an open lease as if it had never been. */
void lease_cancel(struct core *core, struct lease *lease);

/* Books the real usage of an expired lease after all. */
void lease_settle_late(struct core *core, struct lease *lease, const struct load *usage);

/* Moves the time of expiry. One that has ended stays so. */
void lease_extend(struct core *core, struct lease *lease, int64_t expires_us);

/* How long the end of a lease may be asked for, or be inside a window. */
int64_t lease_end_matters_us(const struct core *core);

/* Counts the ancestors' holdings as stuck while a descendant waits (sign 1), or no longer (-1). */
void lease_ancestors_wait(struct core *core, uint64_t parent, int sign);

/* What the ancestors of a request hold of a counter that is not yet counted as stuck. */
int64_t lease_ancestors_hold(const struct core *core, uint64_t parent, const struct counter *c);

/* Forgets a few leases that ended long ago, or the oldest where there are too many. */
void lease_sweep(struct core *core);

/* Its id is free for the next attempt of the same request. */
void lease_drop_id(struct core *core, struct lease *lease);

/* Its charges are no longer its own: the counters are let go as they stand. */
void lease_drop_charges(struct core *core, struct lease *lease);

/* Frees a lease whatever its state, without touching counters but their references. */
void lease_free(struct core *core, struct lease *lease);

#endif
