#include "core/budget.h"

#include "core/charge.h"
#include "core/counter.h"
#include "core/emit.h"
#include "core/line.h"

/* The rule of a limit that counts by periods, or NULL. */
static struct rule *budget_rule(const struct line *line, struct text limit)
{
    for (size_t i = 0; i < line->limits_n; i++) {
        struct rule *rule = line->rules[i];
        bool counts = rule->terms.kind == WINDOW_CALENDAR || rule->terms.kind == WINDOW_LIFETIME;
        if (counts && text_equal(text_of(line->resource->limits[i].name), limit)) {
            return rule;
        }
    }
    return NULL;
}

static int64_t give_back(struct core *core, struct counter *c, int64_t amount)
{
    counter_advance(core, c);
    int64_t n = max_i64(0, min_i64(amount, c->window.count.used));
    if (n > 0) {
        counter_correct(core, c, c->window.count.period.start_us, -n);
    }
    return n;
}

/* A scope of which nothing is known has used nothing. */
static void tell(struct core *core, const struct event *event, const struct line *line,
                 const struct rule *rule, struct counter *c, int64_t given_back)
{
    struct effect *e = effect_add(core, EFFECT_BUDGET, event->caller);
    e->budget.resource = event->budget.resource;
    e->budget.limit = line_limit_name(line, rule);
    e->budget.scope_key = event->budget.scope_key;
    e->budget.unit = rule->unit;
    e->budget.given_back = given_back;
    e->budget.amount = rule->terms.burst;
    e->budget.used = c ? window_used(&c->window, &rule->terms) : 0;
    e->budget.held = c ? c->held : 0;
    e->budget.remaining = c ? counter_free_units(core, c) : rule->terms.burst;
}

void budget_correct(struct core *core, const struct event *event)
{
    struct line *line = line_find(core, event->budget.resource);
    if (!line || line->retired) {
        struct effect *e = effect_refuse(core, event->caller, NULL, ERR_UNKNOWN_RESOURCE);
        e->refuse.resource = event->budget.resource;
        return;
    }
    struct text key = event->budget.scope_key;
    struct rule *rule = budget_rule(line, event->budget.limit);
    if (!rule || (rule->whole && key.len > 0)) {
        effect_refuse(core, event->caller, line, ERR_INVALID_REQUEST);
        return;
    }
    struct counter *c = rule->whole ? rule->whole : counter_find(core, rule, key);
    int64_t given_back = c ? give_back(core, c, event->budget.amount) : 0;
    tell(core, event, line, rule, c, given_back);
}
