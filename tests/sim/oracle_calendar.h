/*
 * Which period of the calendar each counter is in: one that has begun goes on to its end, also
 * where the wall clock is set back, or a reload changes the zone.
 *
 * A counter of a scope of which nothing is used may be forgotten, and with it which period had
 * begun: the record of what it counts next tells, and must name one that has begun by some wall
 * clock shown and is not over. What a restart knows is what the newest record said. Internal to the
 * oracle's files.
 */
#ifndef SLUICE_TESTS_SIM_ORACLE_CALENDAR_H
#define SLUICE_TESTS_SIM_ORACLE_CALENDAR_H

#include "oracle_state.h"

/* That of a key, which may begin now; lent until the next call. */
struct page *page_of(struct oracle *o, struct ident *id, const char *key);
/* 0: none has begun. */
uint64_t period_now(const struct oracle *o, const struct ident *id, const char *key);

void pages_advance(struct oracle *o, struct ident *id);
void page_note(struct oracle *o, struct ident *id, const struct record *r);
void pages_cut(struct ident *id, size_t records);
/* What this record and those before it say is not known any more. */
void page_lost(struct ident *id, const struct record *r);
void pages_back(struct oracle *o, struct ident *id);

#endif
