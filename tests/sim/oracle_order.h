/*
 * Whose turn it is, and what an acquire must be told at once. Internal to the oracle's files.
 */
#ifndef SLUICE_TESTS_SIM_ORACLE_ORDER_H
#define SLUICE_TESTS_SIM_ORACLE_ORDER_H

#include "oracle_state.h"

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

/* --- oracle_answers.c --- */

/* Whether a request asks more of some limit than it allows at all; with those limits, as bits. */
bool can_never_fit(struct oracle *o, const struct waiter *w, unsigned *limits);

/* The refusal that the limits of its resource ask for, or ERR_NONE; with those limits, as bits. */
enum error_code expected_limit_refusal(struct oracle *o, const struct waiter *w, unsigned *limits,
                                       bool *doubtful);

/* The refusal that the rules ask for, or ERR_NONE; with the limits it may name, as bits. One who
 * comes by a route is refused by what is told of its steps alone. */
enum error_code expected_refusal(struct oracle *o, const struct waiter *w, unsigned *limits,
                                 bool *doubtful);

#endif
