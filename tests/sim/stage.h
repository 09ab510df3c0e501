/*
 * A stage: the production parts on which a story is played. There are two, the core alone
 * (core_stage.c), and the core with driver, API and journal (driver_stage.c), which is slower and
 * has more to fail.
 *
 * May depend on src/base, src/core, oracle.h and world.h.
 */
#ifndef SLUICE_TESTS_SIM_STAGE_H
#define SLUICE_TESTS_SIM_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/table.h"
#include "oracle.h"
#include "world.h"

struct stage_kind;

/* What is common to both; each embeds it first. */
struct stage {
    const struct stage_kind *kind;
    struct world *world;
    struct oracle *oracle;
    struct buf problem;        /* what is wrong, or empty */
    uint64_t steps;            /* of the core */
    uint64_t digest;           /* of all that was answered */
    struct table_names *names; /* NULL where nothing is printed */
};

struct stage_kind {
    bool through_api; /* the world is to ask as callers of the API do */
    struct stage *(*open)(struct world *w, uint64_t seed, bool print);
    void (*happen)(struct stage *stage, const struct happening *h);
    void (*close)(struct stage *stage);
};

extern const struct stage_kind core_stage;
extern const struct stage_kind driver_stage;

/* For the stages: sets up and releases what is common. */
void stage_init(struct stage *stage, const struct stage_kind *kind, struct world *w, bool print);
void stage_release(struct stage *stage);

/* Something is wrong; the first that is said stays. */
void stage_object(struct stage *stage, int64_t now_us, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints a step as lines of a case. */
void stage_print(struct stage *stage, const struct event *e, const struct effects *effects);

#endif
