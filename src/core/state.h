/*
 * What the core keeps: its structures and who owns them.
 *
 *   core ─┬─ rules      a limit in force; a pool of several resources' limits is one rule
 *         │    └─ counters   one for the whole resource, or one a tenant, session, …
 *         ├─ lines      one a resource: whose turn it is
 *         │    └─ parties    a tenant at a priority of a line
 *         │         └─ flows      its requests that are charged to the same counters, in order
 *         │              └─ requests
 *         └─ leases     grants, with what each has charged to which counter
 *
 * Invariants (core_check verifies them):
 *   - a request with a flow is in that flow's list; a flow that has requests is either in its
 *     party's heap (awake) or in a counter's heap of sleepers (asleep); an away request's flow is
 *     its own and in neither;
 *   - a party is in its line's heap exactly while it has awake flows;
 *   - a counter's `held` is the sum of the open leases' charges that are held beside its window;
 *   - `timers_n` counts everything that owns a timer, and the heap has room for all of them, so
 *     setting a timer cannot fail.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_STATE_H
#define SLUICE_CORE_STATE_H

#include "base/ahead.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/spares.h"
#include "core/core.h"
#include "core/estimate.h"
#include "core/health.h"
#include "core/horizon.h"
#include "core/pace.h"
#include "core/party.h"
#include "core/rank.h"
#include "core/rule.h"
#include "core/timer.h"
#include "core/view.h"
#include "core/way.h"
#include "core/window.h"

#define CHARGES_MAX   (RESOURCE_LIMITS_MAX * (1 + RESERVES_MAX))
#define ANCESTORS_MAX 16
#define PRIORITIES    (PRIORITY_MAX + 1) /* indexed by priority; 0 is unused */

struct lease; /* in lease.h */

struct line {            /* what every decision asks comes first */
    struct rule **rules; /* limits first, then the meters of reserves */
    size_t rules_n;
    size_t limits_n; /* of rules: those that judge */
    const struct resource *resource;
    struct request *head;      /* stalled, or NULL; a member of the line */
    struct counter *gate;      /* shut, it lets nobody pass who asks of it; or NULL */
    size_t backlog;            /* parties with awake flows */
    uint32_t awake;            /* a bit for each priority that has parties with awake flows */
    bool refuses;              /* some of the rules refuse, whoever else waits */
    bool scoped;               /* some of them count by scopes: its flows may sleep */
    bool shares;               /* some of them are other resources' as well … */
    bool shares_scopes;        /* … and count by scopes */
    bool guarded;              /* refusals have raised the guard of a limit */
    bool lowered;              /* an amount is less than it was: some who wait may never fit now */
    bool claims;               /* the head is held by a shared limit */
    struct list pending;       /* in core->pending: the line is to be run */
    size_t waiting, away;      /* all of them, and those who are away */
    size_t leases, remembered; /* open, and ended */
    struct text name, model, account; /* the resource's */
    int64_t retry_ppm;                /* retries that first attempts have earned, in millionths */
    uint64_t arrivals;                /* numbers arrivals, for rank */
    struct list all;                  /* requests, by arrival */
    struct timer timer;               /* when the stalled head may fit */
    struct load waiting_load;         /* sum over all in line */
    size_t waiting_zero[UNIT_COUNT];  /* how many ask nothing of a unit */
    struct pace pace;
    struct health health;
    struct crossing crossing;
    struct resource_view stats;
    struct urgency urgencies[PRIORITIES];
    struct party *recent[PARTIES_RECENT]; /* by tenant and priority, roughly; or NULL */
    struct map_node node;                 /* in core->lines_by_name */
    size_t index;
    struct resource *retired;    /* owned; NULL but for a resource that is no longer configured */
    struct estimates *estimates; /* NULL before the first */
};

struct core { /* what every decision asks comes first */
    int64_t now_us, skew_us;
    const struct policy *policy; /* NULL before the first EVENT_CONFIGURE */
    struct effects *effects;     /* of the step under way */
    size_t budget;               /* decisions left in this step */
    size_t waiting;
    bool to_do;     /* there may be more to do than the event: see leave_to_do */
    bool numbering; /* the first lease of this run has been numbered */
    bool draining;
    bool restoring;      /* core_restore is at work: recorded windows are not to be charged */
    bool restored;       /* core_restore has set the time back, once */
    bool starting;       /* there were but a policy and records so far: the next step ends that */
    bool spill, recalls; /* the journal keeps lifetime counters forgotten here; some are by scope */
    size_t open_n, ended_n;
    int64_t timer_us;    /* no timer is due before */
    struct list gained;  /* counters */
    struct list pending; /* lines */
    struct list ended;   /* leases, by ended_us but for those that descendants still need */
    struct list open;    /* leases, by noted_us */
    uint64_t next_lease, next_seq, next_timer;
    size_t timers_n;
    struct list graveyard; /* requests over in this step, whose texts its effects still name */
    struct list dirty;     /* counters */
    struct list idle;      /* counters, by check_us */
    struct list idle_parties;
    int64_t stay_us_max; /* of all rolling windows */

    struct rule **rules;
    struct line **lines;
    size_t rules_n, lines_n;
    struct map lines_by_name;
    struct line *last_line; /* the one found last, most likely found next; or NULL */
    struct paths paths;
    struct map counters; /* scoped ones */
    struct map parties, flows;
    struct map leases, lease_ids;
    struct map requests_by_caller, requests_by_ticket, request_ids;
    struct hash_key hash_key;
    struct heap timers;
    struct timer_rows rows;
    struct horizon horizon; /* of the leases that have ended */
    int64_t expired_us;     /* when one expired last; -1: none has */
    struct spares spares;   /* for requests and leases */
};

/* Adds to one of the lists of what is still to be done: gained, pending and moving, dirty, the
 * graveyard, idle parties. A step looks at none of them before somebody has. */
static inline void leave_to_do(struct core *core, struct list *list, struct list *node)
{
    list_append(list, node);
    core->to_do = true;
}

/* An empty state: no policy, nothing counted. The core is zeroed. */
void state_init(struct core *core);

/* Frees all that a core holds, but not the core. */
void state_release(struct core *core);

/* Moves the state from one struct to another; `from` is not to be used again. */
void state_move(struct core *to, struct core *from);

#endif
