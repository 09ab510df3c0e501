/*
 * Scopes: which rules count a request, and by which key: its tenant, its session, a label of it …
 */
#include <string.h>

#include "core/acquire.h"
#include "core/counter.h"

/* The value of a label in "key=value" lines; empty where there is none. */
static struct text label_value(struct text labels, const char *key)
{
    size_t key_len = strlen(key);
    const char *end = labels.at + labels.len;
    for (const char *at = labels.at; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        if ((size_t)(stop - at) > key_len && at[key_len] == '=' && !memcmp(at, key, key_len)) {
            return (struct text){at + key_len + 1, (size_t)(stop - at) - key_len - 1};
        }
        at = stop + 1;
    }
    return TEXT_NONE;
}

/* What is called: the model of the route's step, where it names one. */
static struct text model_of(const struct core *core, const struct line *line,
                            const struct acquire *a)
{
    const struct path *path = a->route.len ? path_find(core, a->route) : NULL;
    size_t step = path ? path_step(path, line) : 0;
    bool named = path && step < path->route->steps_n && path->route->steps[step].model[0];
    return named ? text_of(path->route->steps[step].model) : line->model;
}

struct text scope_key(const struct core *core, const struct rule *rule, const struct line *line,
                      const struct acquire *a)
{
    switch (rule->limit->scope) {
    case SCOPE_TENANT: return a->tenant;
    case SCOPE_SESSION: return a->session;
    case SCOPE_MODEL: return model_of(core, line, a);
    case SCOPE_ROUTE: return a->route;
    case SCOPE_LABEL: return label_value(a->labels, rule->limit->label);
    case SCOPE_RESOURCE: break;
    }
    return TEXT_NONE;
}

/* Whether a reserve's meters count this request. */
static bool reserve_is_for(const struct reserve *reserve, const struct acquire *a)
{
    return reserve->tenant[0] ? text_equal(text_of(reserve->tenant), a->tenant)
                              : a->priority <= reserve->priority;
}

bool rule_counts(const struct rule *rule, const struct resource *resource, const struct acquire *a)
{
    if (rule->reserve >= 0) {
        return reserve_is_for(&resource->reserves[rule->reserve], a);
    }
    return rule->limit->scope != SCOPE_ROUTE || text_equal(text_of(rule->limit->label), a->route);
}

int counter_of_scope(struct core *core, const struct line *line, struct rule *rule,
                     const struct acquire *a, struct counter **counter)
{
    struct text key = scope_key(core, rule, line, a);
    *counter = counter_find(core, rule, key);
    return *counter ? 0 : counter_new(core, rule, key, counter);
}
