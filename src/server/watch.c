#include "server/watch.h"

#include <stdlib.h>

#include "base/num.h"
#include "core/view.h"

static bool counts_money(const struct policy *policy)
{
    for (size_t i = 0; i < policy->resources_n; i++) {
        const struct resource *r = &policy->resources[i];
        if (r->price.known) {
            return true;
        }
        for (size_t j = 0; j < r->limits_n; j++) {
            if (r->limits[j].unit == UNIT_USD) {
                return true;
            }
        }
    }
    return false;
}

void watch_configure(struct watch *watch, const struct policy *policy)
{
    size_t n = policy->resources_n;
    free(watch->at);
    watch->at = calloc(n ? n : 1, sizeof(*watch->at));
    watch->n = watch->at ? n : 0;
    watch->counts_money = counts_money(policy);
}

void watch_release(struct watch *watch)
{
    free(watch->at);
    *watch = (struct watch){0};
}

/* Told when a line becomes too long, and again only after it has not been. */
static bool line_is_long(struct watched *w, const struct resource_view *v, struct alert *alert)
{
    bool before = w->long_line;
    w->long_line = v->waiting > 0 && v->last_eta_us > v->last_wait_us;
    *alert = (struct alert){
        .topic = TOPIC_LONG_LINE,
        .resource = text_of(v->resource->name),
        .eta_us = v->last_eta_us,
        .wait_us = v->last_wait_us,
    };
    return w->long_line && !before;
}

/* Told when there are tokens that were used for nothing, as often as there are new ones. */
static bool is_unpriced(struct watched *w, const struct resource_view *v, struct alert *alert)
{
    int64_t tokens = v->used.of[UNIT_TOKENS];
    bool news = tokens > w->unpriced_tokens && v->used.of[UNIT_USD] == 0;
    w->unpriced_tokens = tokens;
    *alert = (struct alert){
        .topic = TOPIC_UNPRICED,
        .resource = text_of(v->resource->name),
        .tokens = tokens,
    };
    return news && !v->resource->price.known;
}

size_t watch_look(struct watch *watch, const struct core *core, size_t i,
                  struct alert alerts[WATCH_ALERTS_MAX])
{
    struct resource_view v;
    size_t n = 0;
    if (i >= watch->n) {
        return 0;
    }
    core_resource_view(core, i, &v);
    n += line_is_long(&watch->at[i], &v, &alerts[n]);
    n += watch->counts_money && is_unpriced(&watch->at[i], &v, &alerts[n]);
    return n;
}
