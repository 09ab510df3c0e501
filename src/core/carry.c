#include "core/carry.h"
#include "core/acquire.h"

#include <stdlib.h>
#include <string.h>

#include "core/charge.h"
#include "core/configure.h"
#include "core/counter.h"
#include "core/deal.h"
#include "core/learn.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/request.h"

/* Whether a limit goes on counting what the old one counted. */
static bool rule_continues(const struct rule *rule, const struct rule *old)
{
    return limit_continues(rule->limit, text_of(old->counts)) &&
           rule->limit->charge == old->limit->charge;
}

static const struct reserve *reserve_of(const struct rule *meter)
{
    return &meter->users[0]->resource->reserves[meter->reserve];
}

/* Whether two rules meter the same limit for the same holder. */
static bool same_meter(const struct rule *a, const struct rule *b)
{
    return a->reserve >= 0 && strcmp(a->resource, b->resource) == 0 &&
           strcmp(a->limit->name, b->limit->name) == 0 &&
           strcmp(reserve_of(a)->tenant, reserve_of(b)->tenant) == 0 &&
           reserve_of(a)->priority == reserve_of(b)->priority;
}

/* The rule of the new policy in the place of an old one, or NULL. A holder may have two reserves:
 * each is taken over once. */
static struct rule *rule_after(const struct core *next, const struct rule *old)
{
    bool pooled = old->limit->shared[0] != '\0';
    if (old->reserve < 0) {
        return rule_find(next, pooled ? TEXT_NONE : text_of(old->resource),
                         text_of(pooled ? old->limit->shared : old->limit->name));
    }
    for (size_t i = 0; i < next->rules_n; i++) {
        if (!next->rules[i]->continues && same_meter(next->rules[i], old)) {
            return next->rules[i];
        }
    }
    return NULL;
}

/* What is stored of a bucket says when it was so full; from then on it would fill at the new pace.
 */
static bool fills_otherwise(const struct counter *c, const struct terms *before)
{
    const struct terms *t = &c->rule->terms;
    return t->kind == WINDOW_BUCKET && !window_idle(&c->window, t) &&
           (t->amount != before->amount || t->per_us != before->per_us);
}

static int carry_counter(struct core *next, struct core *core, struct rule *rule,
                         struct counter *old)
{
    struct counter *c = rule->whole;
    counter_advance(core, old); /* the old terms hold until now */
    if (!c && counter_new(next, rule, counter_key(old), &c) != 0) {
        return ERR_NO_MEMORY;
    }
    if (window_carry(&c->window, &rule->terms, &old->window, &old->rule->terms) != 0) {
        return ERR_NO_MEMORY;
    }
    const struct limit *limit = rule->limit;
    if (limit->slice_us > 0 && limit->slice_us == old->rule->limit->slice_us &&
        window_carry(&c->slice, &rule->slice, &old->slice, &old->rule->slice) != 0) {
        return ERR_NO_MEMORY;
    }
    c->warned = old->warned;
    c->taken = old->taken;
    c->given = old->given;
    c->foreign = old->foreign;
    c->foreign_mark = old->foreign_mark;
    c->foreign_at_us = old->foreign_at_us;
    c->foreign_by = old->foreign_by;
    c->unread = old->unread;
    c->lapses_us = old->lapses_us;
    if (list_holds(&old->dirty) || fills_otherwise(c, &old->rule->terms)) {
        counter_changed(next, c);
    }
    counter_keep_record(next, c);
    old->successor = c;
    return 0;
}

static int carry_counters(struct core *next, struct core *core)
{
    for (size_t i = 0; i < core->rules_n; i++) {
        struct rule *old = core->rules[i];
        for (struct list *at = old->counters.next; at != &old->counters; at = at->next) {
            CONTAINER_OF(at, struct counter, of_rule)->successor = NULL;
        }
        struct rule *rule = rule_after(next, old);
        if (!rule || !rule_continues(rule, old)) {
            continue;
        }
        rule->continues = true;
        rule_carry(rule, old);
        rule->since_us = old->since_us;
        for (struct list *at = old->counters.next; at != &old->counters; at = at->next) {
            int rc = carry_counter(next, core, rule, CONTAINER_OF(at, struct counter, of_rule));
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

/* What is still held of a pool goes on being held of it. */
static int keep_pools(struct core *next, struct line *line, const struct line *old)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < old->limits_n; i++) {
        const struct rule *rule = old->rules[i];
        struct rule *pool = rule->limit->shared[0]
                                ? rule_find(next, TEXT_NONE, text_of(rule->limit->shared))
                                : NULL;
        rc = pool ? rule_use(pool, line) : 0;
    }
    line->limits_n = line->rules_n;
    return rc;
}

/* The line of the same resource; where it is no longer configured, one for what is still held
 * there, with no limits but the pools that other resources still share. */
static int successor_line(struct core *next, const struct line *old, struct line **out)
{
    *out = line_find(next, text_of(old->resource->name));
    if (*out) {
        return 0;
    }
    struct resource *retired = malloc(sizeof(struct resource));
    if (!retired) {
        return ERR_NO_MEMORY;
    }
    *retired = *old->resource;
    retired->limits_n = 0;
    retired->reserves_n = 0;
    int rc = core_add_line(next, retired, out);
    if (rc != 0 && !*out) {
        free(retired);
    } else {
        (*out)->retired = retired;
    }
    return rc != 0 ? rc : keep_pools(next, *out, old);
}

static void carry_stats(struct line *line, const struct line *old)
{
    line->stats = old->stats;
    line->stats.resource = line->resource;
    line->stats.held = (struct load){0};
    line->health = old->health;
    line->crossing.cool_us = old->crossing.cool_us;
    line->crossing.served = old->crossing.served;
    line->retry_ppm = old->retry_ppm;
    line->guarded = old->guarded;
    line->lowered = old->lowered;
    pace_carry(line, &old->pace);
    line->estimates = estimates_share(old->estimates);
    for (int p = PRIORITY_MIN; p <= PRIORITY_MAX; p++) {
        line->urgencies[p].vtime = old->urgencies[p].vtime;
        line->urgencies[p].finish_max = old->urgencies[p].finish_max;
    }
}

static int carry_lines(struct core *next, const struct core *core)
{
    for (size_t i = 0; i < core->lines_n; i++) {
        const struct line *old = core->lines[i];
        struct line *line = line_find(next, text_of(old->resource->name));
        bool needed = old->leases > 0 || old->waiting > 0 || old->remembered > 0;
        int rc = line || !needed ? 0 : successor_line(next, old, &line);
        if (rc != 0) {
            return rc;
        }
        if (line) {
            carry_stats(line, old);
        }
    }
    return 0;
}

/* --- Fair shares. --- */

struct party_carrier {
    struct core *next;
    int rc;
};

static void carry_party(void *ctx, struct map_node *node)
{
    struct party_carrier *carrier = ctx;
    const struct party *old = CONTAINER_OF(node, struct party, node);
    struct line *line = line_find(carrier->next, text_of(old->line->resource->name));
    struct party *p;
    if (carrier->rc != 0 || !line) {
        return;
    }
    carrier->rc = party_get(carrier->next, line, old->priority,
                            (struct text){old->tenant, old->tenant_len}, &p);
    if (carrier->rc == 0) {
        p->finish = heap_holds(&old->place) ? old->start : old->finish;
    }
}

static int carry_parties(struct core *next, const struct core *core)
{
    struct party_carrier carrier = {.next = next};
    map_each(&core->parties, carry_party, &carrier);
    return carrier.rc;
}

/* --- Leases. --- */

/* The charge of an old lease that a counter of the new state goes on counting. */
static const struct charge *carried_charge(const struct lease *old, const struct counter *c)
{
    for (size_t i = 0; i < old->charges_n; i++) {
        if (old->charges[i].counter->successor == c) {
            return &old->charges[i];
        }
    }
    return NULL;
}

static int carry_charge(struct core *next, struct lease *l, const struct lease *old,
                        struct counter *c)
{
    const struct charge *before = carried_charge(old, c);
    int64_t n = l->load.of[c->rule->unit];
    if (n == 0 || (!before && old->state != LEASE_OPEN)) {
        return 0;
    }
    struct charge *ch = &l->charges[l->charges_n];
    if (before) {
        *ch = (struct charge){c, before->amount, before->mark, before->seen};
        bool held = old->state == LEASE_OPEN && c->rule->holds;
        c->held += held ? ch->amount : 0;
        c->owed += held;
    } else {
        if (counter_reserve(next, c) != 0) {
            return ERR_NO_MEMORY;
        }
        window_mark mark = counter_charge(next, c, n, old->granted_us, old->skew_us);
        *ch = (struct charge){c, n, mark, SEEN_UNKNOWN};
    }
    counter_ref(c);
    l->charges_n++;
    return 0;
}

/* Counters for a lease or request that goes on. One that the core had forgotten, and that the
 * journal alone knows, has to be asked for again. */
static int carried_counters(struct core *next, const struct line *line, const struct acquire *a,
                            struct counter **counters)
{
    bool forgotten[CHARGES_MAX];
    for (size_t i = 0; i < line->rules_n; i++) {
        const struct rule *rule = line->rules[i];
        forgotten[i] = next->spill && rule->continues && !rule->whole &&
                       rule->terms.kind == WINDOW_LIFETIME &&
                       rule_counts(rule, line->resource, a) &&
                       !counter_find(next, rule, scope_key(next, rule, line, a));
    }
    int rc = counters_of(next, line, a, counters);
    for (size_t i = 0; rc == 0 && i < line->rules_n; i++) {
        if (forgotten[i] && counters[i]) {
            counters[i]->unread = true;
        }
    }
    return rc;
}

/* A lease goes on counting for the model that it was granted for. */
static int counters_of_deal(struct core *next, const struct line *line, const struct lease *l,
                            struct counter **counters)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && l->deal && i < line->limits_n; i++) {
        struct rule *rule = line->rules[i];
        if (!counters[i] || rule->limit->scope != SCOPE_MODEL) {
            continue;
        }
        struct counter *c = counter_find(next, rule, lease_model(l));
        if (!c) {
            rc = counter_new(next, rule, lease_model(l), &c);
            bool lifetime = rule->terms.kind == WINDOW_LIFETIME;
            if (rc == 0) {
                c->unread = next->spill && rule->continues && lifetime;
            }
        }
        counters[i] = c;
    }
    return rc;
}

static int carry_lease(struct core *next, struct line *line, const struct lease *old)
{
    struct counter *counters[CHARGES_MAX];
    struct acquire a;
    struct lease *l;
    lease_facts(old, &a);
    a.load = old->load;
    if (carried_counters(next, line, &a, counters) != 0 ||
        lease_copy(next, line, old, line->rules_n, &l) != 0 || deal_carry(l, old) != 0 ||
        counters_of_deal(next, line, l, counters) != 0) {
        return ERR_NO_MEMORY;
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < line->rules_n; i++) {
        rc = counters[i] ? carry_charge(next, l, old, counters[i]) : 0;
    }
    return rc;
}

static int carry_leases(struct core *next, const struct core *core)
{
    const struct list *lists[] = {&core->open, &core->ended};
    for (size_t i = 0; i < 2; i++) {
        for (const struct list *at = lists[i]->next; at != lists[i]; at = at->next) {
            const struct lease *old = CONTAINER_OF(at, struct lease, place);
            int rc = carry_lease(next, line_find(next, text_of(old->line->resource->name)), old);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

static int carry_requests(struct core *next, const struct core *core)
{
    for (size_t i = 0; i < core->lines_n; i++) {
        const struct line *old = core->lines[i];
        struct line *line = line_find(next, text_of(old->resource->name));
        for (const struct list *at = old->all.next; at != &old->all; at = at->next) {
            const struct request *r = CONTAINER_OF(at, struct request, in_line);
            int rc = request_carry(next, line, r);
            if (rc != 0) {
                return rc;
            }
            if (old->head == r) { /* its claims hold until its line is run anew */
                line->head = CONTAINER_OF(line->all.prev, struct request, in_line);
                line->claims = old->claims;
            }
        }
    }
    return 0;
}

/* Whoever slept at a counter that goes on sleeps there again, so that none of them is overtaken;
 * the counter then looks at all of them in order. */
static void carry_sleep(struct core *next, const struct line *line, const struct line *old)
{
    const struct list *from = old->all.next;
    const struct list *to = line ? line->all.next : NULL;
    for (; to && from != &old->all; from = from->next, to = to->next) {
        const struct request *before = CONTAINER_OF(from, struct request, in_line);
        struct flow *flow = CONTAINER_OF(to, struct request, in_line)->flow;
        struct counter *c = before->flow->asleep_at ? before->flow->asleep_at->successor : NULL;
        bool first = flow_first(flow) == CONTAINER_OF(to, struct request, in_line);
        if (c && first && heap_holds(&flow->place) && !flow->asleep_at) {
            flow_sleep(flow, c);
            counter_gained(next, c);
        }
    }
}

int carry_over(struct core *next, struct core *core)
{
    int rc = carry_counters(next, core);
    rc = rc != 0 ? rc : carry_lines(next, core);
    rc = rc != 0 ? rc : carry_parties(next, core);
    rc = rc != 0 ? rc : carry_leases(next, core);
    rc = rc != 0 ? rc : carry_requests(next, core);
    if (rc == 0) {
        paths_carry(next, core);
    }
    for (size_t i = 0; rc == 0 && i < core->lines_n; i++) {
        const struct line *old = core->lines[i];
        carry_sleep(next, line_find(next, text_of(old->resource->name)), old);
    }
    return rc;
}
