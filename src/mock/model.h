/*
 * The models of a pretend provider: each has its own quota and its own counts.
 *
 * A model comes into being when it is first asked for, with the default amounts, or at the start
 * where an option gives it others. Models are never dropped; their number is capped.
 *
 * May depend on src/base.
 */
#ifndef SLUICE_MOCK_MODEL_H
#define SLUICE_MOCK_MODEL_H

#include <stddef.h>

#include "mock/ask.h"
#include "mock/quota.h"
#include "mock/stats.h"

#define MODELS_MAX 64

struct model {
    char name[ASK_MODEL_LEN_MAX + 1];
    struct quota quota;
    struct mock_stats stats;
};

struct models {
    struct model *at[MODELS_MAX];
    size_t n;
};

/* The model of that name, or NULL. */
struct model *models_find(const struct models *models, struct text name);

/* Adds a model; the name is new. NULL at the cap, for a name that is too long, or without memory.
 */
struct model *models_add(struct models *models, struct text name, const struct quota_rules *rules,
                         int64_t now_us);

/* Forgets what was counted and used; calls in flight stay in flight. */
void models_reset(struct models *models, int64_t now_us);

void models_release(struct models *models);

#endif
