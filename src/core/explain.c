#include "core/counter.h"
#include "core/health.h"
#include "core/line.h"
#include "core/turn.h"

/* Names the limits that hold an asker; the first of them, or NULL. */
static struct counter *blame(struct core *core, const struct asker *a, struct held_by *h)
{
    struct counter *by = NULL;
    for (size_t i = 0; i < a->line->limits_n && h->limits_n < HELD_BY_MAX; i++) {
        struct counter *c = a->counters[i];
        if (c && judge_limit(core, a, c, a->load->of[c->rule->unit]) != VERDICT_FITS) {
            by = by ? by : c;
            h->limits[h->limits_n++] = a->line->resource->limits[i].name;
        }
    }
    return by;
}

/* One that would fit is held by what holds the first of its flow, or the head of its line. */
struct counter *explain(struct core *core, const struct asker *a, struct held_by *h)
{
    h->limits_n = 0;
    if (!health_lets(core, a->line)) {
        h->limits[h->limits_n++] = health_state_name(a->line->health.state);
    }
    struct counter *by = blame(core, a, h);
    if (!by && a->flow && flow_first(a->flow)) {
        struct asker first = asker_of(flow_first(a->flow));
        by = blame(core, &first, h);
    }
    if (!by && a->line->head && a->line->head->flow) {
        struct asker head = asker_of(a->line->head);
        by = blame(core, &head, h);
    }
    return by;
}

/* How long a limit takes to make up for what is asked of it beyond what it has. */
static int64_t deficit_us(struct core *core, const struct line *line, struct counter *c,
                          int64_t deficit)
{
    const struct terms *t = &c->rule->terms;
    if (t->kind == WINDOW_ROLLING || t->kind == WINDOW_BUCKET) {
        return mul_div_sat(deficit, t->per_us, t->amount);
    }
    if (t->kind == WINDOW_CALENDAR) {
        return counter_fits_us(core, c, 1) - core->now_us;
    }
    uint64_t settled = line->stats.settled;
    int64_t held_us = settled ? line->stats.held_for_us / (int64_t)settled : INT64_C(10) * US_PER_S;
    return mul_div_sat(deficit, held_us, t->amount);
}

int64_t estimate_us(struct core *core, const struct asker *a, int64_t position)
{
    int64_t opens_us = health_opens_us(core, a->line);
    int64_t eta_us = opens_us == INT64_MAX ? 0 : opens_us - core->now_us;
    int64_t waiting = max_i64((int64_t)a->line->waiting, 1);
    for (size_t i = 0; i < a->line->limits_n; i++) {
        struct counter *c = a->counters[i];
        if (!c) {
            continue;
        }
        enum unit unit = c->rule->unit;
        int64_t n = a->load->of[unit];
        int64_t ahead =
            c->rule->whole ? mul_div_sat(a->line->waiting_load.of[unit], position - 1, waiting) : 0;
        int64_t deficit = sub_sat(add_sat(n, ahead), counter_free_units(core, c));
        if (deficit <= 0) {
            continue;
        }
        int64_t exact_us = ahead == 0 ? counter_fits_us(core, c, n) : INT64_MAX;
        int64_t us =
            exact_us != INT64_MAX ? exact_us - core->now_us : deficit_us(core, a->line, c, deficit);
        eta_us = max_i64(eta_us, us);
    }
    return min_i64(eta_us, WAIT_US_MAX);
}
