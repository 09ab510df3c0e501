/*
 * What happened: leases as the records tell it, what they were charged, and to which limits,
 * through reloads and restarts. Internal to the oracle's files.
 */
#ifndef SLUICE_TESTS_SIM_ORACLE_HISTORY_H
#define SLUICE_TESTS_SIM_ORACLE_HISTORY_H

#include "base/num.h"
#include "oracle.h"

#define KEY_MAX     40
#define CHARGES_MAX RESOURCE_LIMITS_MAX
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
    char route[KEY_MAX]; /* by which it came, or "" … */
    int32_t step;        /* … its step, from 1 … */
    struct load asked;   /* … and what was asked before the step capped and priced it … */
    bool has_usd, has_input, has_output;
    int64_t input_bytes;
    bool asked_known; /* … which is not in the journal */
    struct load load;
    int priority;
    int64_t granted_us;
    int64_t granted_wall_us;
    int64_t waited_us;
    int64_t first_expires_us;
    int64_t expires_us;
    enum end end;
    size_t end_record;
    int64_t end_us;
    int64_t end_wall_us;
    struct load used;
    bool lost;    /* a restart found its resource gone: nobody knows of it any more */
    uint64_t seq; /* of the request it was granted to, and what a retry of it inherits … */
    int64_t lease_us, wait_left_us;
    int32_t attempt, attempts_max;
    bool id_moved;  /* … with the id, for good … */
    bool placeless; /* … by asking anew: no place was kept for it */
    bool late;      /* settled after it had expired */
    size_t late_record;
    int64_t late_us;
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
    /* By calendar: the period of the grant, of the lease's end, and of a late settle. */
    uint64_t period, end_period, late_period;
    bool stuck;       /* a restart could not tell in which period it was charged: it stays … */
    int64_t stuck_at; /* … what it was */
};

/* Which period of the calendar a counter is in, wherever the wall clock goes meanwhile. */
struct page {
    char key[KEY_MAX];
    uint64_t number, newest; /* counted from 1; the newest so far */
    int64_t at_us;           /* an instant of it by the wall clock … */
    int64_t until_us;        /* … and its end */
    bool used; /* something of it was recorded: only then must a counter of a scope keep it */
};

/* What a record said of that: all that a fresh core knows. */
struct page_note {
    size_t record;
    struct page page;
};

/* What happened to a bucket, in order. A NOTE is what a record said of the level: it counts only
 * after a crash, as a SET, and may be a CAP on what the first step finds. */
enum deed_kind { DEED_BORN, DEED_TERMS, DEED_ADD, DEED_SET, DEED_CAP, DEED_NOTE };

struct deed {
    enum deed_kind kind;
    size_t record; /* the newest record at that time */
    int64_t at_us;
    char key[KEY_MAX]; /* BORN, TERMS: of all keys */
    int64_t amount;    /* ADD, SET, CAP: units; TERMS: per window */
    int64_t lacks;     /* NOTE: of the units that it has when it is full … */
    int64_t full_us;   /* … and when it was to be full */
    int64_t per_us;
    int64_t burst;
};

/* One limit through all policies that carry its counters over. */
struct ident {
    bool live;
    bool overmetered; /* a start meters for reserves also what ended before it came in force */
    bool learns;      /* answers may have made it stricter than its limit says */
    int64_t told;     /* the amount that the provider told, 0: none … */
    uint64_t told_by; /* … by the answer to this lease's call */
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
    struct page *pages; /* by calendar */
    size_t pages_n, pages_size;
    struct page_note *page_notes;
    size_t page_notes_n, page_notes_size;
};

struct oracle;

struct fact *find_fact(struct oracle *o, uint64_t lease);
/* Time has passed, or the wall clock has moved: periods of the calendar may be over. */
void history_advance(struct oracle *o);

void history_configure(struct oracle *o, const struct policy *policy);
void history_record(struct oracle *o, const struct record *r);
/* Drops charges that can never count again, to keep the scans short. */
void history_forget_past(struct oracle *o);

void history_cut(struct oracle *o, size_t records);
void history_restored(struct oracle *o);
/* … and the wall clock is known: what is open is charged where nothing was noted. */
void history_started(struct oracle *o);
void history_lost(struct oracle *o, const struct record *r);

#endif
