/*
 * Requests: from asking to being granted, refused or gone.
 *
 *   from \ to   waiting         away        over
 *   (none)      joins the line
 *   waiting                     hold_us     grant, refusal, time up, hang-up, cancel
 *   away        resume                      time up, not back in TICKET_KEPT_US, cancel
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_REQUEST_H
#define SLUICE_CORE_REQUEST_H

#include "core/state.h"

/* A request with its texts copied, known to nobody; `way`: by which route, or NULL. NULL without
 * memory. */
struct request *request_new(struct core *core, const struct acquire *a, const struct way *way);
void request_free(struct core *core, struct request *r);

/* Makes a request that has joined a line known by all its names. */
void request_enrol(struct core *core, struct request *r, caller_id caller);

/* What it asked when it came: its load before a step capped it. */
void request_facts(const struct request *r, struct acquire *a);

/* By the caller's own id, which belongs to its tenant; a NULL tenant is any. */
struct request *request_find_id(const struct core *core, struct text id, const struct text *tenant);

/* Another caller is to be told the outcome; the one before is refused as cancelled. */
void request_take_over(struct core *core, struct request *r, caller_id caller, int64_t hold_us);

/* EVENT_RESUME, EVENT_CANCEL and EVENT_HANGUP. */
void request_resume(struct core *core, const struct event *event);
void request_cancel(struct core *core, const struct event *event);
void request_hangup(struct core *core, const struct event *event);

/* By whoever is told of it, or by its number, whoever holds it. */
struct request *request_find_caller(const struct core *core, caller_id caller);
struct request *request_find_ticket(const struct core *core, uint64_t ticket);

/* A further attempt at the request of a lease that has ended. */
struct attempt {
    struct line *line; /* where it is to be */
    const struct load *load;
    bool estimated;
    const struct way *way; /* or NULL */
    int64_t after_us;      /* not before */
    int64_t wait_us;       /* its time in line */
};

/* Puts the request of a lease back in line, at its old age, with its holder away until it may be
 * tried again; NULL without memory. */
struct request *request_again(struct core *core, struct lease *lease,
                              const struct attempt *attempt);

/* Whether a retry whose holder attends may go on from now on: its timer says so. */
bool request_comes_back(const struct core *core, const struct request *r);

/* Its timer: time up, or time to be told to come back with a ticket. */
void request_timer(struct core *core, struct request *r);

/* Refuses a request whose time in line is up. */
void request_time_up(struct core *core, struct request *r);

/* Refuses a request, and ends it. */
void request_refuse(struct core *core, struct request *r, enum error_code code);

/* It leaves the line for good; its texts stay until the next step. */
void request_end(struct core *core, struct request *r);

/* Those who were told nothing in this step and asked not to wait. */
void request_settle_unwilling(struct core *core, struct request *r);

/* Frees the requests that were over in the step before. */
void graveyard_clear(struct core *core);

/* Puts the same request into a line of another state. 0 or ERR_NO_MEMORY. */
int request_carry(struct core *core, struct line *line, const struct request *from);

/* Moves on, or refuses, a request that its line can never grant by the amounts of now. Whether it
 * has left the line. */
bool request_judge_anew(struct core *core, struct line *line, struct request *r);

#endif
