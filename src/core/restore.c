/*
 * Taking records back at a start.
 *
 * Rolling windows and what leases hold are rebuilt from the records of leases, in their order. What
 * those cannot rebuild - calendar, lifetime and bucket windows, whose past may be longer than the
 * journal keeps - comes as absolute values in COUNTER records, so while records of leases are taken
 * back these windows are left alone (core->restoring). Every record says all it needs by name:
 * limits that are no longer configured are passed over, and new ones are charged with what is still
 * held.
 *
 * Which limits are new is known when all records are back: one of which no counter is stored. A
 * counter that is stored says since when its limit has been in force, and so which leases were
 * charged to it: those that were open then, or later. The first step settles that (restore_finish);
 * until then every lease counts as charged to every limit.
 */
#include "core/restore.h"

#include <string.h>

#include "core/acquire.h"
#include "core/charge.h"
#include "core/configure.h"
#include "core/counter.h"
#include "core/grant.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/remember.h"
#include "core/request.h"
#include "core/retry.h"

/* --- What no core can have emitted. --- */

static bool load_is_sane(const struct load *load)
{
    for (int u = 0; u < UNIT_COUNT; u++) {
        int64_t max = u == UNIT_USD ? USD_AMOUNT_MAX : AMOUNT_MAX;
        if (load->of[u] < 0 || load->of[u] > max) {
            return false;
        }
    }
    return true;
}

static bool texts_are_sane(const struct record *r)
{
    return r->resource.len <= NAME_LEN_MAX && r->tenant.len <= NAME_LEN_MAX &&
           r->session.len <= NAME_LEN_MAX && r->labels.len <= LABELS_LEN_MAX &&
           r->id.len <= NAME_LEN_MAX && r->route.len <= NAME_LEN_MAX &&
           r->limit.len <= NAME_LEN_MAX && r->scope_key.len <= LABELS_LEN_MAX;
}

static bool record_is_sane(const struct record *r)
{
    if (r->at_us < 0 || !texts_are_sane(r)) {
        return false;
    }
    if (r->kind == RECORD_COUNTER) {
        return r->limit.len > 0 && r->used >= 0;
    }
    if (record_is_value(r->kind)) {
        return remembered_is_sane(r);
    }
    return r->kind >= RECORD_GRANT && r->kind <= RECORD_CANCEL && r->lease > 0 &&
           r->lease < INT64_MAX && r->expires_us >= 0 && r->priority >= PRIORITY_MIN &&
           r->priority <= PRIORITY_MAX && r->advice >= ADVICE_DONE && r->advice <= ADVICE_GIVE_UP &&
           r->again_us >= 0 && r->step >= 0 && r->step <= ROUTE_STEPS_MAX &&
           (r->route.len > 0) == (r->step > 0) && load_is_sane(&r->load);
}

/* --- Counters. --- */

/* The period that had begun goes on to its end, also where the zone is another now. An end that the
 * limit's own step does not lead to is of a limit that had this name before, or was never noted:
 * then it is by the zone of now. */
static struct period stored_period(const struct terms *t, const struct record *r)
{
    struct period around = calendar_period(t->step, t->zone, r->period_us);
    struct period next = calendar_period(t->step, t->zone, around.end_us);
    bool known = r->period_end_us > r->period_us && r->period_end_us <= next.end_us;
    return (struct period){r->period_us, known ? r->period_end_us : around.end_us};
}

/* A bucket of another size lacks as much as it did. One of which that was never noted has no more
 * than it had. */
static int64_t stored_level(const struct terms *t, const struct record *r)
{
    return r->used > 0 ? sub_sat(t->burst, r->used) : min_i64(r->level, t->burst);
}

static void set_counter(struct counter *c, const struct record *r)
{
    struct window *w = &c->window;
    const struct terms *t = &c->rule->terms;
    c->unread = false;
    c->due_us = INT64_MIN;
    c->stored = r->since_us >= 0;
    c->lapses_us = r->expires_us;
    if (t->kind == WINDOW_LIFETIME) {
        w->count.used = r->used;
    } else if (t->kind == WINDOW_CALENDAR) {
        w->count.period = stored_period(t, r);
        w->count.used = r->used;
    } else {
        w->bucket.at_us = min_i64(r->period_us, r->at_us);
        w->bucket.level = (int128)stored_level(t, r) * t->per_us;
    }
}

static bool is_wanted_kind(const struct rule *rule)
{
    return rule->terms.kind == WINDOW_LIFETIME || rule->terms.kind == WINDOW_CALENDAR ||
           rule->terms.kind == WINDOW_BUCKET;
}

/* Makes the counter where it is not in memory; `recall`: also where it can wait until it is asked
 * for. */
static int restore_counter(struct core *core, const struct record *r, bool recall, bool *skipped)
{
    struct rule *rule = rule_find(core, r->resource, r->limit);
    *skipped = !rule || !is_wanted_kind(rule) || (rule->whole && r->scope_key.len > 0) ||
               !limit_continues(rule->limit, r->counts);
    if (*skipped) {
        return 0;
    }
    struct counter *c = rule->whole ? rule->whole : counter_find(core, rule, r->scope_key);
    if (core->starting) {
        rule->since_us = max_i64(rule->since_us, r->since_us);
    }
    bool later = rule->terms.kind == WINDOW_LIFETIME && core->spill && !recall;
    if (!c && later) {
        return 0;
    }
    if (!c && counter_new(core, rule, r->scope_key, &c) != 0) {
        return ERR_NO_MEMORY;
    }
    set_counter(c, r);
    return 0;
}

/* What the journal knows of the key of a limit that counted something else is nothing. */
static void disown(const struct core *core, struct record *r)
{
    const struct rule *rule = rule_find(core, r->resource, r->limit);
    if (rule && !limit_continues(rule->limit, r->counts)) {
        r->used = 0;
        r->since_us = -1;
        r->counts = TEXT_NONE;
    }
}

int core_recall(struct core *core, const struct record *record)
{
    bool skipped;
    if (record->kind != RECORD_COUNTER || !texts_are_sane(record) || record->used < 0) {
        return ERR_STORE_DAMAGED;
    }
    struct record r = *record;
    disown(core, &r);
    /* One of which nothing is stored says no more than none, and is not made beyond the cap. */
    bool stored = r.since_us >= 0 || r.used > 0;
    bool full = core->policy && (int64_t)core->counters.len >= core->policy->counters_max;
    return restore_counter(core, &r, stored || !full, &skipped);
}

/* --- Leases. --- */

static void facts_of(const struct record *r, struct acquire *a)
{
    *a = (struct acquire){
        .load = r->load,
        .tenant = r->tenant,
        .session = r->session,
        .labels = r->labels,
        .priority = r->priority,
        .route = r->route,
    };
}

/* By which route a lease was granted, for all that its record says; the route may be gone. */
static struct way way_of(const struct core *core, const struct line *line, const struct record *r)
{
    struct way way = {
        .route = r->route,
        .asked = {r->load.of[UNIT_TOKENS], r->load.of[UNIT_INPUT_TOKENS],
                  r->load.of[UNIT_OUTPUT_TOKENS], true, true, true},
        .step = (uint8_t)(r->step - 1),
    };
    way_resume(core, line, &way);
    way.asked.has_usd = !price_at(line, way_step(&way))->known;
    int64_t cap = way.path ? way.path->route->steps[way.step].max_output_tokens : 0;
    way.max_output = cap == way.asked.output ? cap : 0;
    return way;
}

/* Counters that a restored lease made are not known yet, where the journal alone has the past. */
static void mark_unread(struct core *core, const struct line *line, const struct acquire *a)
{
    for (size_t i = 0; i < line->limits_n; i++) {
        struct rule *rule = line->rules[i];
        bool counts = !rule->whole && rule_counts(rule, line->resource, a);
        if (counts && rule->terms.kind == WINDOW_LIFETIME && core->spill) {
            struct counter *c = counter_find(core, rule, scope_key(core, rule, line, a));
            if (!c) {
                continue;
            }
            c->unread = c->unread || (c->refs == 0 && c->window.count.used == 0);
        }
    }
}

/* The next attempt of a request took over the id of the one before. */
static void take_over_id(struct core *core, const struct record *r)
{
    struct lease *before = r->id.len ? lease_find_id(core, r->id, &r->tenant) : NULL;
    if (before) {
        lease_drop_id(core, before);
    }
}

static int restore_grant(struct core *core, struct line *line, const struct record *r)
{
    struct lease *lease = lease_find(core, r->lease);
    if (lease) {
        lease_extend(core, lease, r->expires_us);
        return 0;
    }
    take_over_id(core, r);
    struct counter *counters[CHARGES_MAX];
    struct acquire a;
    facts_of(r, &a);
    if (counters_of(core, line, &a, counters) != 0) {
        return ERR_NO_MEMORY;
    }
    mark_unread(core, line, &a);
    struct way way = way_of(core, line, r);
    if (counters_admit(core, line, counters) != 0) {
        return ERR_NO_MEMORY;
    }
    struct grant_facts facts = {
        .line = line,
        .charges_n = line->rules_n,
        .load = &r->load,
        .way = r->route.len ? &way : NULL,
        .tenant = r->tenant,
        .session = r->session,
        .labels = r->labels,
        .id = r->id,
    };
    struct lease *l = lease_new(core, &facts);
    if (!l) {
        return ERR_NO_MEMORY;
    }
    l->lease = r->lease;
    l->parent = r->parent;
    l->priority = r->priority;
    l->attempt = r->attempt;
    l->granted_us = r->at_us;
    l->skew_us = r->skew_us;
    l->expires_us = r->expires_us;
    l->waited_us = r->waited_us;
    l->origin = (struct origin){0};
    lease_grant(core, l, counters);
    return 0;
}

/* Without its grant there is nothing left of it: see horizon.h. */
static void restore_end(struct core *core, const struct record *r)
{
    struct lease *lease = lease_find(core, r->lease);
    if (!lease) {
        return;
    }
    bool open = lease->state == LEASE_OPEN;
    if (r->kind == RECORD_SETTLE && (open || lease->state == LEASE_EXPIRED)) {
        open ? lease_settle(core, lease, &r->load) : lease_settle_late(core, lease, &r->load);
        advice_back(core, lease, r);
    } else if (lease->state == LEASE_OPEN && r->kind == RECORD_EXPIRE) {
        lease_expire(core, lease);
    } else if (lease->state == LEASE_OPEN) {
        lease_cancel(core, lease);
    }
}

/* No meter of a reserve is stored, but the limit that it meters is: a period of the calendar that
 * the limit has begun is the meter's too, whatever the zone of now makes of it. */
static void meters_follow(struct core *core, const struct line *line)
{
    int64_t wall_us = add_sat(core->now_us, core->skew_us);
    for (size_t i = line->limits_n; i < line->rules_n; i++) {
        const struct rule *meter = line->rules[i];
        const struct rule *limit = line->rules[meter->limit - line->resource->limits];
        if (meter->terms.kind == WINDOW_CALENDAR) {
            counter_advance(core, limit->whole);
            window_begin_with(&meter->whole->window, &limit->whole->window, wall_us);
        }
    }
}

static int restore_lease(struct core *core, const struct record *r, bool *skipped)
{
    struct line *line = line_find(core, r->resource);
    *skipped = !line;
    if (!line) {
        return 0;
    }
    core->now_us = max_i64(core->now_us, r->at_us);
    bool begins = r->kind == RECORD_GRANT || r->kind == RECORD_RENEW;
    int64_t skew_us = core->skew_us;
    core->skew_us = r->skew_us; /* periods are found by the wall clock of then */
    core->restoring = true;
    meters_follow(core, line);
    int rc = begins ? restore_grant(core, line, r) : 0;
    if (!begins) {
        restore_end(core, r);
    }
    core->restoring = false;
    core->skew_us = skew_us;
    return rc;
}

/* Time is set back: no window is known to stand still any more, and no limit to be in force. */
static void restore_begin(struct core *core)
{
    core->restored = true;
    core->starting = true;
    core->to_do = true;
    core->now_us = 0;
    for (size_t i = 0; i < core->rules_n; i++) {
        core->rules[i]->since_us = -1;
        struct list *all = &core->rules[i]->counters;
        for (struct list *at = all->next; at != all; at = at->next) {
            CONTAINER_OF(at, struct counter, of_rule)->due_us = INT64_MIN;
        }
    }
}

int core_restore(struct core *core, const struct record *record, bool *skipped)
{
    *skipped = false;
    if (!record_is_sane(record)) {
        return ERR_STORE_DAMAGED;
    }
    if (!core->restored) {
        restore_begin(core);
    }
    if (record->kind == RECORD_COUNTER) {
        return restore_counter(core, record, false, skipped);
    }
    if (record_is_value(record->kind)) {
        remember_back(core, record, skipped);
        return 0;
    }
    return restore_lease(core, record, skipped);
}

/* --- The end of a start. --- */

/* An ended lease is charged to what was in force while it was open. An open one is charged to every
 * limit, so to one of which nothing is stored it is charged now. Returns whether the charge stays.
 */
static bool settle_charge(struct core *core, const struct lease *l, struct charge *ch)
{
    struct counter *c = ch->counter;
    if (!c->rule->recorded) {
        return true;
    }
    if (l->state != LEASE_OPEN) {
        return c->stored && l->ended_us >= c->rule->since_us;
    }
    if (!c->stored && !c->rule->holds) {
        counter_advance(core, c);
        ch->mark = counter_charge(core, c, ch->amount, l->granted_us, l->skew_us);
    }
    return true;
}

static void settle_charges(struct core *core, const struct list *leases)
{
    for (const struct list *at = leases->next; at != leases; at = at->next) {
        struct lease *l = CONTAINER_OF(at, struct lease, place);
        size_t kept = 0;
        for (size_t i = 0; i < l->charges_n; i++) {
            struct charge ch = l->charges[i];
            if (settle_charge(core, l, &ch)) {
                l->charges[kept++] = ch;
            } else {
                counter_unref(core, ch.counter);
            }
        }
        l->charges_n = kept;
    }
}

/* For all that is known a bucket filled at the pace at which it was noted until now, if that was
 * the slower one: the limit may have become another while nothing ran, or by a reload that was
 * lost. */
static void refill_stored(struct core *core, struct rule *rule)
{
    for (struct list *at = rule->counters.next; at != &rule->counters; at = at->next) {
        struct counter *c = CONTAINER_OF(at, struct counter, of_rule);
        if (window_refill_as_before(&c->window, &rule->terms, c->lapses_us, core->now_us)) {
            counter_changed(core, c);
        }
    }
}

void restore_finish(struct core *core, const struct event *first)
{
    core->starting = false;
    core->skew_us = first->kind == EVENT_CLOCK ? first->skew_us : core->skew_us;
    for (size_t i = 0; i < core->rules_n; i++) {
        struct rule *rule = core->rules[i];
        rule->since_us = rule->since_us < 0 ? in_force_from_us(core) : rule->since_us;
        if (rule->terms.kind == WINDOW_BUCKET) {
            refill_stored(core, rule);
        }
    }
    for (size_t i = 0; i < core->lines_n; i++) {
        meters_follow(core, core->lines[i]);
    }
    settle_charges(core, &core->open);
    settle_charges(core, &core->ended);
    remember_finish(core);
}

/* --- What is missing. --- */

static void missing_key(const struct rule *rule, struct text key, struct record *record)
{
    bool pooled = rule->limit->shared[0] != '\0';
    *record = (struct record){
        .kind = RECORD_COUNTER,
        .resource = pooled ? TEXT_NONE : text_of(rule->resource),
        .limit = text_of(pooled ? rule->limit->shared : rule->limit->name),
        .scope_key = key,
        .since_us = -1,
    };
}

static size_t missing_unread(const struct core *core, struct record *keys, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < core->rules_n; i++) {
        const struct rule *rule = core->rules[i];
        const struct list *all = &rule->counters;
        for (const struct list *at = all->next; at != all && n < max; at = at->next) {
            const struct counter *c = CONTAINER_OF(at, struct counter, of_rule);
            if (c->unread) {
                missing_key(rule, counter_key(c), &keys[n++]);
            }
        }
    }
    return n;
}

size_t missing_at(const struct core *core, const struct line *line, const struct acquire *a,
                  struct record *keys, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; core->spill && i < line->limits_n && n < max; i++) {
        const struct rule *rule = line->rules[i];
        if (rule->whole || rule->terms.kind != WINDOW_LIFETIME ||
            !rule_counts(rule, line->resource, a)) {
            continue;
        }
        struct text key = scope_key(core, rule, line, a);
        const struct counter *c = counter_find(core, rule, key);
        if (!c || c->unread) {
            missing_key(rule, key, &keys[n++]);
        }
    }
    return n;
}

size_t core_missing(const struct core *core, const struct acquire *acquire, struct record *keys,
                    size_t max)
{
    if (!core->spill || (acquire && !core->recalls)) {
        return 0;
    }
    if (!acquire) {
        return missing_unread(core, keys, max);
    }
    const struct line *line = acquire->route.len ? NULL : line_find(core, acquire->resource);
    const struct path *path = line ? NULL : path_asked(core, acquire);
    if (!path) {
        return line ? missing_at(core, line, acquire, keys, max) : 0;
    }
    struct acquire by_route = *acquire;
    by_route.route = path->name;
    size_t n = 0;
    for (size_t i = 0; i < path->route->steps_n; i++) {
        n += missing_at(core, path->lines[i], &by_route, keys + n, max - n);
    }
    return n;
}
