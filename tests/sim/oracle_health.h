/*
 * What answers have made of resources, and what follows: naive readings of src/core/feedback.h and
 * docs/feedback.md. Internal to the oracle's files.
 *
 * A state is believed where the core tells of it and something has happened that may lead to it;
 * what is judged is what follows from it: nobody is granted while a resource is closed, one at a
 * time while it probes, and while it recovers no faster than its rate; it opens by the time it
 * told. What is learned from answers (other people's usage, lower amounts, longer guards) may only
 * let less through than the limits say; how much less is not judged here.
 */
#ifndef SLUICE_TESTS_SIM_ORACLE_HEALTH_H
#define SLUICE_TESTS_SIM_ORACLE_HEALTH_H

#include "oracle_state.h"

/* What answers have made of a resource. */
struct condition {
    char resource[KEY_MAX];
    enum health_state state;
    bool told; /* some other state than ok */
    int64_t until_us;
    uint64_t probe;          /* lease */
    int refusals;            /* told since a call was served that was made after all of them */
    int64_t refused_us;      /* the newest of them */
    double rate_ppm, growth; /* recovering: at rate_at_us, and ppm a microsecond from there */
    int64_t rate_at_us;
    double next_low_us, next_high_us; /* when the next may be granted */
    int64_t settled, held_for_us;
    int64_t cool_us; /* so long may routes pass over it */
};

/* What a record said of a resource (limit ""), or of a limit. */
struct note {
    size_t record; /* its number */
    enum record_kind kind;
    char resource[KEY_MAX];
    char limit[KEY_MAX];
    struct limit counts; /* what that limit counted then: unit, window, length and step */
    struct health_fact health;
    struct learned_fact learned;
};

/* A limit goes on under another policy: what was told of one length says nothing of another. */
void health_configured(struct ident *id, const struct limit *now);

/* Whether a release is settled: its lease may have been forgotten meanwhile. */
bool release_is_settled(const struct event *e, const struct effects *effects);

/* Before the effects of a step. */
void health_event(struct oracle *o, const struct event *e, const struct effects *effects);

/* A state is told. */
void health_told(struct oracle *o, const struct event *e, const struct effect *f);

/* A lease is granted: whether it may be now. */
void health_grants(struct oracle *o, const struct waiter *w, const struct fact *f);

/* A settlement is told, with advice. */
void health_settled(struct oracle *o, const struct event *e, const struct effect *f);

/* Nothing may be past its time. */
void health_overdue(struct oracle *o, int64_t now_us);

/* Whether the resource's state lets its next be granted at o->now_us. */
enum allows { ALLOWS_NOT, ALLOWS_PERHAPS, ALLOWS };
enum allows health_allows(struct oracle *o, const char *resource);

/* Whether a resource has ever been anything but ok. */
bool has_been_closed(struct oracle *o, const char *resource);

/* Whether a resource is closed beyond that time, for all that is known. */
bool health_closed_beyond(struct oracle *o, const char *resource, int64_t at_us);

/* Whether a resource is in that state. */
bool health_is(struct oracle *o, const char *resource, enum health_state state);

/* Whether routes may pass over a resource because it was refused not long ago. */
bool health_may_cool(struct oracle *o, const char *resource);

/* Whether a name stands for a state that may hold up the line. */
bool is_state_name(const char *name);

/* Whether some limit of a resource may have changed by what was learned. */
bool has_learned(const struct oracle *o, const char *resource);

/* A record says how a resource or a limit stands. */
void health_noted(struct oracle *o, const struct record *r);

/* What was told of resources is what was written down. */
void health_written(struct oracle *o);

/* The process has died: the records that are left say what is remembered. */
void health_crash(struct oracle *o);

/* The load a request is held for, and what a release is booked for, as the prices say. */
bool has_price(const struct oracle *o, size_t resource, const char *route);
int64_t worst_cost_at(const struct oracle *o, size_t resource, const char *route,
                      const struct load *load);
void price_load(const struct oracle *o, const struct acquire *a, struct load *load);
struct load booked_load(const struct oracle *o, const struct event *e, const struct fact *f);

#endif
