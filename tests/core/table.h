/*
 * The text form of policies, events and effects: one line each, to be read by people.
 *
 *     resource gpt-4o
 *     limit tpm tokens rolling amount=1000 per=1m
 *     at 0 acquire gpt-4o tokens=400 tenant=a caller=1
 *       grant 1 lease=L1 tokens=400
 *
 * The tables in tests/core/cases are written in it, and the simulator prints what it finds in
 * it, so that a failing seed becomes a case by copying. README.md beside the cases lists all words.
 *
 * Leases and tickets are called L1, L2, … and T1, T2, … in the order in which effects first name
 * them. Nothing here judges: lines become structs and structs become lines.
 *
 * May depend on src/base and src/core.
 */
#ifndef SLUICE_TESTS_CORE_TABLE_H
#define SLUICE_TESTS_CORE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/core.h"

#define TABLE_WORDS_MAX     40
#define TABLE_LINE_MAX      1024
#define TABLE_NAMES_MAX     20000
#define TABLE_RESOURCES_MAX 8
#define TABLE_WEIGHTS_MAX   16
#define TABLE_ROUTES_MAX    4
#define TABLE_ZONES_MAX     4
#define TABLE_CHANGES_MAX   16

/* Ids in the order of their first appearance; the name of ids[i] is i + 1. */
struct table_ids {
    uint64_t ids[TABLE_NAMES_MAX];
    size_t len;
};

struct table_names {
    struct table_ids leases;
    struct table_ids tickets;
};

/* A line cut into words, in place. */
struct table_line {
    char text[TABLE_LINE_MAX];
    char *words[TABLE_WORDS_MAX];
    size_t words_n;
};

/* A policy with all that it points to. */
struct table_zone {
    char name[NAME_LEN_MAX + 1];
    struct zone zone;
    struct zone_change changes[TABLE_CHANGES_MAX];
};

struct table_policy {
    struct policy policy;
    struct resource resources[TABLE_RESOURCES_MAX];
    struct tenant_weight weights[TABLE_WEIGHTS_MAX];
    struct route routes[TABLE_ROUTES_MAX];
    char static_answers[TABLE_ROUTES_MAX][NAME_LEN_MAX + 1];
    struct table_zone zones[TABLE_ZONES_MAX];
    size_t zones_n;
};

/* An event with all that it points to, as a line says it. */
struct table_event {
    struct event event;
    char labels[LABELS_LEN_MAX + 1];
    struct answer answer;
    struct parts parts;
    unsigned given; /* bits of the units the line gave */
};

/* False where the line is too long or has too many words. */
bool table_split(struct table_line *line, const char *at, size_t len);

/* The value of the word "key=value", or NULL. */
const char *table_value(const struct table_line *line, const char *key);

/* "5", "5us", "1m30s", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z+5ms" → microseconds. */
bool table_time(const char *text, int64_t *us);

/* Whether the line's first word belongs to a policy. */
bool table_is_policy_word(const struct table_line *line);

void table_policy_init(struct table_policy *p);

/* Adds one line to a policy. NULL, or what is wrong with it. */
const char *table_policy_add(struct table_policy *p, const struct table_line *line);

/* Reads an `at` line. CONFIGURE and the loads of RELEASE are for the caller to complete. The
 * event points into `line`. NULL, or what is wrong with it. */
const char *table_event_read(struct table_event *e, const struct table_line *line,
                             const struct table_names *names);

/* Reads the words of an acquire from `first` on, as table_event_read does. */
const char *table_acquire_read(struct table_event *e, const struct table_line *line, size_t first,
                               const struct table_names *names);

/* The id behind "L3" or "T2"; an id never seen for a name not yet given. */
uint64_t table_id(const struct table_ids *ids, const char *name);

/* The number in the name of an id, which is given one where it has none. */
size_t table_name(struct table_ids *ids, uint64_t id);

void table_write_time(struct buf *out, int64_t us);
void table_write_policy(struct buf *out, const struct policy *p);
void table_write_event(struct buf *out, const struct event *e, struct table_names *names);
void table_write_effect(struct buf *out, const struct effect *e, struct table_names *names);

/* Whether `got` is what `want` describes: the same first word, the same flags, and every
 * key=value of `want`; keys that `want` leaves out may have any value. */
bool table_matches(const char *want, const char *got);

#endif
