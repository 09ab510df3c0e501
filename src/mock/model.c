#include "mock/model.h"

#include <stdlib.h>

struct model *models_find(const struct models *models, struct text name)
{
    for (size_t i = 0; i < models->n; i++) {
        if (text_equal(text_of(models->at[i]->name), name)) {
            return models->at[i];
        }
    }
    return NULL;
}

struct model *models_add(struct models *models, struct text name, const struct quota_rules *rules,
                         int64_t now_us)
{
    if (models->n == MODELS_MAX || name.len == 0 || name.len > ASK_MODEL_LEN_MAX) {
        return NULL;
    }
    struct model *model = calloc(1, sizeof(*model));
    if (!model) {
        return NULL;
    }
    memcpy(model->name, name.at, name.len);
    quota_init(&model->quota, rules, now_us);
    mock_stats_init(&model->stats, rules->minute_us);
    models->at[models->n++] = model;
    return model;
}

void models_reset(struct models *models, int64_t now_us)
{
    for (size_t i = 0; i < models->n; i++) {
        struct model *model = models->at[i];
        struct quota_rules rules = model->quota.rules;
        int64_t in_flight = model->quota.in_flight;
        quota_release(&model->quota);
        quota_init(&model->quota, &rules, now_us);
        model->quota.in_flight = in_flight;
        model->quota.in_flight_peak = in_flight;
        mock_stats_init(&model->stats, rules.minute_us);
    }
}

void models_release(struct models *models)
{
    for (size_t i = 0; i < models->n; i++) {
        quota_release(&models->at[i]->quota);
        free(models->at[i]);
    }
    models->n = 0;
}
