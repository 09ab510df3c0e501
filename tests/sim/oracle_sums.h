/*
 * Limits, and what is used of them: every sum is worked out from the history. Internal to the
 * oracle's files.
 */
#ifndef SLUICE_TESTS_SIM_ORACLE_SUMS_H
#define SLUICE_TESTS_SIM_ORACLE_SUMS_H

#include "oracle_history.h"

struct sum {
    int64_t used;
    int64_t held;
    int64_t free;       /* of the window */
    int64_t slice_used; /* 0 where not paced */
};

int64_t limit_amount(const struct limit *l);
int64_t told_amount(const struct ident *id); /* by what the provider told of it */
int64_t limit_burst(const struct limit *l);
int64_t limit_most(const struct limit *l); /* what can ever be granted at once */
int64_t limit_slice(const struct limit *l);
int64_t rolling_leave_us(const struct limit *l, int64_t at_us);
int64_t slice_leave_us(const struct limit *l, int64_t at_us);

/* A number for the period of the calendar in which a wall-clock instant lies. */
int64_t period_number(const struct limit *l, int64_t wall_us);

/* Periods that go on to their end, also where the wall clock is set back or a reload changes the
 * zone: to which wall clock the one around an instant goes, and which it is now. */
bool has_periods(const struct limit *l);
int64_t period_end_us(const struct limit *l, int64_t wall_us);

size_t resource_index(const struct oracle *o, const char *name);

/* The limit of that name, which may be NULL, at a resource, or NULL. */
const struct limit *limit_named(const struct oracle *o, size_t resource, const char *name);

/* Whose usage it is. */
struct payer {
    const char *tenant, *session, *labels, *route;
};

#define PAYER(of)                                                                                  \
    (struct payer)                                                                                 \
    {                                                                                              \
        (of)->tenant, (of)->session, (of)->labels, (of)->route                                     \
    }

/* Whether a limit counts a request or lease at all, and the key of the counter it is charged to. */
bool charged_key(const struct policy *p, const struct limit *l, const struct resource *r,
                 struct payer payer, char key[KEY_MAX]);

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

/* What a charge amounts to, the lease's end and late settle taken into account. */
int64_t charge_amount(const struct limit *l, const struct fact *f, const struct charge *c);

int64_t booked_amount(const struct limit *l, int64_t n, int64_t real);

/* What an expiry takes a lease to have used of a limit's unit. */
int64_t expired_amount(const struct limit *l, const struct load *load);

#endif
