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
    free(watch->routes);
    watch->routes = calloc(policy->routes_n ? policy->routes_n : 1, sizeof(*watch->routes));
    watch->routes_n = watch->routes ? policy->routes_n : 0;
}

void watch_release(struct watch *watch)
{
    free(watch->at);
    free(watch->routes);
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

bool watch_route(struct watch *watch, const struct core *core, size_t i, int32_t share_ppm,
                 struct alert *alert)
{
    struct route_view v;
    struct core_totals totals;
    uint64_t granted = 0, fallbacks = 0;
    if (i >= watch->routes_n) {
        return false;
    }
    core_totals(core, &totals);
    core_route_view(core, i, &v);
    for (size_t step = 0; step < v.route->steps_n; step++) {
        granted += v.granted[step];
        fallbacks += route_place(v.route, step) > 1 ? v.granted[step] : 0;
    }
    struct watched_route *w = &watch->routes[i];
    struct watched_route now = {granted, fallbacks, totals.now_us};
    struct watched_route past = *w;
    if (past.since_us != 0 && sub_sat(now.since_us, past.since_us) < US_PER_MIN) {
        return false;
    }
    *w = now;
    uint64_t n = now.granted - past.granted;
    if (past.since_us == 0 || v.route->accounts || n < WATCH_GRANTS_MIN) {
        return false;
    }
    int64_t share = mul_div_sat((int64_t)(now.fallbacks - past.fallbacks), 1000000, (int64_t)n);
    *alert = (struct alert){.topic = TOPIC_FALLBACK_SHARE,
                            .resource = text_of(v.route->name),
                            .share_ppm = (int32_t)share};
    return share > share_ppm;
}
