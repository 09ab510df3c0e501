/*
 * Rules, counters and charges: a limit in force, what one scope has used of it, and what a lease
 * took of that.
 *
 * Only the structures; counter.h has what can be done with them, state.h who owns them. Internal to
 * src/core.
 */
#ifndef SLUICE_CORE_RULE_H
#define SLUICE_CORE_RULE_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "core/answer.h"
#include "core/timer.h"
#include "core/window.h"

struct line;

/* A limit in force. */
struct rule {
    /* What every decision asks comes first: the limit itself is far larger. */
    enum unit unit;
    bool of_all;   /* counts every request: it is no meter of a reserve, and no route's */
    bool refuses;  /* a full limit refuses rather than lets wait */
    bool holds;    /* charges are held beside the window until the lease ends */
    bool paced;    /* by slices */
    bool recorded; /* in COUNTER records: those of leases cannot rebuild its windows */
    bool watched;  /* somebody is to be warned */
    bool reported; /* either of both: what changes is looked at when the step ends */
    bool plain;    /* one resource's, unscoped, unpaced: what is free is all that counts */
    bool certain;  /* nothing comes back but by time: it is known when it will fit */
    enum settle_rule settle; /* what is only held is kept */
    struct counter *whole;   /* SCOPE_RESOURCE; NULL where scoped */
    size_t users_n;          /* > 1: shared */
    struct terms terms;
    struct divisor amount; /* of the terms: what costs are parts of */

    const struct limit *limit;
    const char *resource; /* of the first resource that has it */
    struct terms slice;   /* where paced */
    int reserve;          /* index of the reserve it meters, or -1 for a limit that judges */
    size_t index;
    struct list counters; /* all that are in memory */
    size_t counters_n;
    struct line **users;
    int32_t share_ppm;      /* of a meter */
    enum reading_span span; /* what headers may tell of it; READING_SPANS: nothing */
    int64_t told;           /* the amount by the provider's word; 0: it has not said … */
    uint64_t told_by;       /* … to the call of this lease */
    bool differs;           /* the operator has heard that it is not the configured one */
    int64_t slots;          /* what the pace of its line allows; 0: it does not set this one */
    int64_t guard_us;       /* in force, … */
    int64_t guard_at_us;    /* … since then; calls granted before say nothing new of it */
    bool continues;         /* counts on what a rule of the policy before counted */
    int64_t since_us; /* charged with what ends from then on; -1 while records are taken back: not
                         known */
    char counts[COUNTS_LEN_MAX + 1]; /* what its records say of it */
};

/* The usage of one limit by one scope. */
struct counter {
    struct rule *rule;
    int64_t due_us; /* the windows stand still until then; INT64_MIN: look again */
    int64_t held;   /* by open leases, beside the window */
    size_t owed;    /* open leases that will enter the window when they end */
    struct window window;
    int64_t taken;        /* all that ever entered the window … */
    int64_t given;        /* … and what settlements took out again */
    int64_t foreign;      /* in the window beside: what others are seen to use of it, … */
    size_t refs;          /* charges and flows that point here */
    struct heap sleepers; /* flows that wait for this counter, and block nobody meanwhile */
    struct list idle;     /* in core->idle, while refs is 0 and it is scoped */
    struct list dirty;    /* in core->dirty: its record is to be emitted */
    struct list gained;   /* in core->gained: sleepers are to be looked at */
    struct window slice;
    struct map_node node; /* in core->counters, where scoped */
    struct list of_rule;
    struct counter *successor; /* while a policy changes: the counter that takes over */
    window_mark foreign_mark;  /* what is foreign was entered there, … */
    int64_t foreign_at_us;     /* … when last */
    uint64_t foreign_by;       /* the newest call that told of it */
    int64_t stuck;             /* of `held`: by leases with a descendant that waits */
    size_t flows_n;
    struct timer timer; /* when the first sleeper may fit */
    int64_t check_us;   /* idle: when to look whether it still matters */
    int64_t lapses_us;  /* when its newest record may be lost */
    bool warned;
    bool stored; /* at a start: the journal knew it */
    bool unread; /* made by a restored lease; what the journal knows of it is yet to come */
    size_t key_len;
    char key[];
};

struct charge {
    struct counter *counter;
    int64_t amount; /* charged at the grant; after an expiry: what that booked */
    window_mark mark;
    int64_t seen; /* what its window had at the grant: see learn.h */
};

#endif
