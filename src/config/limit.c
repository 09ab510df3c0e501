#include "config/limit.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "config/config.h"
#include "config/hint.h"
#include "config/words.h"
#include "config/zone.h"

#define GUARD_DEFAULT_US (250 * US_PER_MS)

#define AMOUNT_TAKES "an amount: a number above 0, as in 500, 1.5k, 2M (usd: 50, 0.25)"
#define AT(member)   offsetof(struct limit_draft, member)

static const struct key_row limit_rows[] = {
    {"name", read_name, AT(name), NULL, 0, 0, "a name of 1 to 128 printable bytes",
     "`UNIT/PER`, and `/SCOPE` where it is not the resource; the pool's name with `shared`",
     "What refusals, metrics and the journal call the limit; unique in its resource."},
    {"unit", read_choice, AT(unit), unit_words, 0, 0,
     "one of requests, tokens, input_tokens, output_tokens, slots, usd", "required",
     "What the limit counts; `slots` are calls in flight."},
    {"amount", read_word, AT(amount), NULL, 0, 0, AMOUNT_TAKES, "required",
     "How much of the unit a window allows; with `k` for a thousand and `M` for a million; usd in "
     "dollars, exact to the picodollar."},
    {"per", read_word, AT(per), NULL, 0, 0,
     "a time: a duration (30s, 1m30s, 24h), second, minute, hour, day, month or lifetime",
     "required, except for `slots`",
     "How long the window is. `day` and `month` are the calendar's; `24h` is any 24 hours."},
    {"window", read_choice, AT(window), window_words, 0, 0,
     "one of rolling, bucket, calendar, lifetime, none", "see \"Windows\"",
     "How the window moves."},
    {"burst", read_word, AT(burst), NULL, 0, 0, AMOUNT_TAKES, "the amount",
     "How much a bucket holds when it is full."},
    {"guard", read_duration, AT(guard), NULL, 0, PER_US_MAX, "a duration, as in 250ms",
     "250ms, at most `per`",
     "How much longer than its nominal time an entry stays in a rolling window, since requests "
     "reach the provider with a varying delay; a bucket's burst is reduced by as much."},
    {"headroom", read_share, AT(headroom), NULL, 0, 999999, "a share below 1, as in 5% or 0.05",
     "0", "The share of the amount that is left unused."},
    {"pace", read_duration, AT(pace), NULL, 0, PER_US_MAX, "a duration shorter than per, or 0s",
     "the provider's slices, if it has any; else not paced",
     "Enforces a rolling limit in slices as well: 60 per minute paced by 1s is at most 1 in any "
     "second."},
    {"charge", read_choice, AT(charge), charge_words, 0, 0, "one of grant, settle",
     "the provider's rule; usd: settle",
     "When a request's amount enters the window; until it does, it is held beside it."},
    {"settle", read_choice, AT(settle), settle_words, 0, 0, "one of true_up, refund_only, keep",
     "the provider's rule; usd: true_up",
     "What the real usage does to what was charged: replaces it, replaces it where it is smaller, "
     "or nothing."},
    {"on_expire", read_choice, AT(on_expire), expire_words, 0, 0,
     "one of full, input_only, nothing", "full",
     "What a lease that expired without a settle is taken to have used."},
    {"exceed", read_choice, AT(exceed), exceed_words, 0, 0, "one of wait, refuse, downgrade",
     "wait; usd: refuse",
     "What a full limit does to a request; `downgrade`: on to the route's next resource, or "
     "refuse."},
    {"scope", read_word, AT(scope), NULL, 0, 0,
     "one of resource, tenant, session, model, label:KEY, route:NAME", "resource",
     "Whose usage shares one counter: with `label:KEY`, one counter for each value of that label; "
     "with `route:NAME`, only what comes by that route."},
    {"headers", read_choice, AT(headers), told_of_words, 0, 0,
     "one of second, minute, day, month, none, length", "length: the one of the same window",
     "Which of the provider's limits its answers must tell of to tell of this one, for windows of "
     "another length than the provider's. A `shared` limit is corrected by headers only where this "
     "says of what."},
    {"warn_at", read_share, AT(warn_at), NULL, 1, 1000000, "a share, as in 80% or 0.8", "never",
     "Raises an alert when this share of the amount is used."},
    {"zone", read_word, AT(zone), NULL, 0, 0, "a time zone's name, as in Europe/Berlin or UTC",
     "the provider's, if it has one; else UTC", "Where a calendar window's days begin."},
    {"shared", read_name, AT(shared), NULL, 0, 0, "a name of 1 to 128 printable bytes",
     "not shared",
     "The pool the limit belongs to: limits of one pool share their counters across resources and "
     "must agree in every rule. Once a pool is defined, `{shared: NAME}` alone refers to it."},
};

const struct section limit_section = {"Limits (`resources.NAME.limits[]`)", limit_rows,
                                      sizeof(limit_rows) / sizeof(limit_rows[0]),
                                      "{unit: usd, amount: 50, per: day}"};

/* `per`, understood. */
struct per {
    bool given;
    bool bad; /* and reported */
    bool lifetime;
    bool word; /* a step of the calendar by name */
    enum calendar_step step;
    int64_t us; /* 0 for a month, whose length varies */
};

static const int64_t step_us[] = {
    [STEP_SECOND] = US_PER_S, [STEP_MINUTE] = US_PER_MIN, [STEP_HOUR] = US_PER_H,
    [STEP_DAY] = US_PER_DAY,  [STEP_MONTH] = 0,
};

#define STEPS_N (sizeof(step_us) / sizeof(step_us[0]))

/* The words that `per` may be. */
static const char *per_word(const void *names, size_t i)
{
    (void)names;
    return i < STEPS_N ? step_words[i] : "lifetime";
}

/* One limit being built. */
struct build {
    struct limit_context *c;
    const struct place *at;
    const struct limit_draft *draft;
    const struct profile_rule *rule;
    struct per per;
    struct limit *limit;
    bool good;
};

static void __attribute__((format(printf, 4, 5)))
complain(struct build *b, int line, const char *key, const char *format, ...)
{
    char where[PLACE_LEN_MAX], text[PROBLEM_LEN_MAX];
    struct place here = {.up = b->at, .name = text_of(key)};
    if (b->draft->shorthand) {
        key = NULL; /* the key that stands for the limit is the place already */
    }
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    problem_add(b->c->problems, line, "%s: %s", place_text(key ? &here : b->at, where), text);
    b->good = false;
}

static void read_per(struct build *b)
{
    const struct word *w = &b->draft->per;
    b->per.bad = w->line < 0;
    if (w->line <= 0) {
        return;
    }
    b->per.given = true;
    if (text_equal(w->text, TEXT("lifetime"))) {
        b->per.lifetime = true;
        return;
    }
    for (size_t i = 0; i < STEPS_N; i++) {
        if (text_equal(w->text, text_of(step_words[i]))) {
            b->per.word = true;
            b->per.step = (enum calendar_step)i;
            b->per.us = step_us[i];
            return;
        }
    }
    if (!config_read_duration(w->text, &b->per.us) || b->per.us < 1 || b->per.us > PER_US_MAX) {
        b->per.bad = true;
        complain(b, w->line, "per", "\"%.*s\" is not %s, at most 366d%s", shown_len(w->text),
                 w->text.at,
                 "a time: a duration (30s, 1m30s, 24h), second, minute, hour, day, "
                 "month or lifetime",
                 hint_time(w->text, per_word, NULL, STEPS_N + 1, PER_US_MAX).text);
    }
}

static bool names_member(const struct node *map, struct text name)
{
    const struct node *n = map && map->kind == NODE_MAP ? map->first : NULL;
    while (n && !text_equal(n->key->text, name)) {
        n = n->next;
    }
    return n != NULL;
}

static void read_scope_name(struct build *b, const struct word *w, bool route)
{
    struct text name = {w->text.at + 6, w->text.len - 6};
    b->limit->scope = route ? SCOPE_ROUTE : SCOPE_LABEL;
    memcpy(b->limit->label, name.at, name.len);
    /* A pool of accounts is a route as well; that a resource is one is checked at the end. */
    if (route && !names_member(b->c->routes_node, name) &&
        !names_member(b->c->resources_node, name)) {
        complain(b, w->line, "scope", "no route is called \"%.*s\"", shown_len(name), name.at);
    }
}

static void read_scope(struct build *b)
{
    const struct word *w = &b->draft->scope;
    if (w->line <= 0) {
        return;
    }
    for (size_t i = 0; i < SCOPE_LABEL; i++) {
        if (text_equal(w->text, text_of(scope_words[i]))) {
            b->limit->scope = (enum scope)i;
            return;
        }
    }
    bool label = w->text.len > 6 && memcmp(w->text.at, "label:", 6) == 0;
    bool route = w->text.len > 6 && memcmp(w->text.at, "route:", 6) == 0;
    if ((label || route) && w->text.len - 6 <= NAME_LEN_MAX) {
        read_scope_name(b, w, route);
        return;
    }
    complain(b, w->line, "scope",
             "\"%.*s\" is not one of resource, tenant, session, model, "
             "label:KEY, route:NAME%s",
             shown_len(w->text), w->text.at,
             hint_scope(w->text, choice_name, scope_words, SCOPE_LABEL).text);
}

static bool read_units(const struct build *b, struct text t, int64_t *out)
{
    bool read = b->limit->unit == UNIT_USD ? config_read_picousd(t, out)
                                           : config_read_amount(t, AMOUNT_MAX, out);
    return read && *out > 0;
}

static void read_quantity(struct build *b, const char *key, const struct word *w, int64_t *out)
{
    if (w->line > 0 && !read_units(b, w->text, out)) {
        complain(b, w->line, key, "\"%.*s\" is not %s%s", shown_len(w->text), w->text.at,
                 b->limit->unit == UNIT_USD
                     ? "an amount in USD: a number above 0 and at most 1000000, as in 50 or 0.25"
                     : "an amount: a whole number above 0 and at most 10^15, as in 500, 1.5k, 2M",
                 hint_amount(b->limit->unit, w->text).text);
    }
}

static void read_amounts(struct build *b)
{
    if (!b->draft->amount.line) {
        complain(b, b->draft->line, NULL, "\"amount\" is missing");
    }
    read_quantity(b, "amount", &b->draft->amount, &b->limit->amount);
    b->limit->burst = b->limit->amount;
    read_quantity(b, "burst", &b->draft->burst, &b->limit->burst);
}

/* What is not said follows from what is: see "Windows" in docs/configuration.md. */
static enum window_kind default_window(const struct build *b)
{
    const struct limit_draft *d = b->draft;
    if (b->per.lifetime) {
        return WINDOW_LIFETIME;
    }
    if (b->limit->unit == UNIT_SLOTS) {
        return WINDOW_NONE;
    }
    if (d->zone.line > 0 || (b->per.word && b->per.step == STEP_MONTH)) {
        return WINDOW_CALENDAR;
    }
    if (b->per.word && b->per.step == STEP_DAY && !d->shorthand) {
        return WINDOW_CALENDAR;
    }
    if (b->per.word && b->per.step == STEP_HOUR && b->limit->unit == UNIT_USD) {
        return WINDOW_CALENDAR;
    }
    return b->rule->window == WINDOW_CALENDAR && !d->shorthand ? WINDOW_ROLLING : b->rule->window;
}

static void check_per(struct build *b)
{
    const struct limit_draft *d = b->draft;
    enum window_kind window = b->limit->window;
    if (window == WINDOW_NONE) {
        if (b->per.given) {
            complain(b, d->per.line, "per", "what is in flight has no time to it; leave it out");
        }
        return;
    }
    if (b->limit->unit == UNIT_SLOTS) {
        complain(b, d->window.line > 0 ? d->window.line : d->line, "window",
                 "slots are calls in flight, which have no window but none");
    } else if (!b->per.given) {
        if (window != WINDOW_LIFETIME) {
            complain(b, d->line, NULL, "\"per\" is missing");
        }
    } else if (b->per.lifetime != (window == WINDOW_LIFETIME)) {
        complain(b, d->per.line, "per", "a %s window is not per %.*s", window_words[window],
                 shown_len(d->per.text), d->per.text.at);
    } else if (window == WINDOW_CALENDAR && !b->per.word) {
        complain(b, d->per.line, "per",
                 "\"%.*s\" is not a step of the calendar: second, minute, hour, day or month%s",
                 shown_len(d->per.text), d->per.text.at,
                 d->zone.line > 0 ? "; write \"day\" for a day of the zone, or leave out \"zone\""
                                  : "");
    } else if ((window == WINDOW_ROLLING || window == WINDOW_BUCKET) && b->per.us == 0 && b->good) {
        complain(b, d->per.line, "per",
                 "a month's length varies; a %s window wants days, as in 30d",
                 window_words[window]);
    }
}

static void build_window(struct build *b)
{
    const struct limit_draft *d = b->draft;
    b->limit->window = d->window.line > 0 ? (enum window_kind)d->window.value : default_window(b);
    check_per(b);
    if (b->limit->window == WINDOW_CALENDAR) {
        b->limit->step = b->per.step;
    } else if (b->limit->window == WINDOW_ROLLING || b->limit->window == WINDOW_BUCKET) {
        b->limit->per_us = b->per.us;
    }
    if (b->limit->window != WINDOW_BUCKET) {
        b->limit->burst = 0;
        if (d->burst.line > 0) {
            complain(b, d->burst.line, "burst", "only a bucket has one, and this window is %s",
                     window_words[b->limit->window]);
        }
    }
}

static void build_guard(struct build *b)
{
    const struct setting *guard = &b->draft->guard;
    struct limit *l = b->limit;
    if (l->window != WINDOW_ROLLING && l->window != WINDOW_BUCKET) {
        if (guard->line > 0) {
            complain(b, guard->line, "guard",
                     "only rolling and bucket windows have one, and this window is %s",
                     window_words[l->window]);
        }
        return;
    }
    if (guard->line > 0 && guard->value > l->per_us && l->per_us) {
        complain(b, guard->line, "guard", "longer than the window itself");
    }
    l->guard_us = min_i64(guard->line > 0 ? guard->value : GUARD_DEFAULT_US, l->per_us);
}

static void build_pace(struct build *b)
{
    const struct setting *pace = &b->draft->pace;
    struct limit *l = b->limit;
    if (l->window != WINDOW_ROLLING) {
        if (pace->line > 0 && pace->value) {
            complain(b, pace->line, "pace", "only rolling windows are paced, and this one is %s",
                     window_words[l->window]);
        }
        return;
    }
    if (pace->line > 0 && pace->value >= l->per_us && l->per_us) {
        complain(b, pace->line, "pace", "not shorter than the window itself");
    }
    int64_t slice_us = pace->line > 0 ? pace->value : b->rule->slice_us;
    l->slice_us = slice_us < l->per_us ? slice_us : 0;
}

/* A file names few zones, so they are looked up one by one; each is made once. */
const struct zone *zone_named(struct limit_context *c, const struct place *at, struct text name,
                              int line)
{
    char where[PLACE_LEN_MAX];
    assert(c->zones);
    if (name.len == 0 || text_equal(name, TEXT("UTC"))) {
        return NULL;
    }
    for (size_t i = 0; i < *c->zones_n; i++) {
        if (text_equal(name, text_of(c->zones[i].name))) {
            return c->zones[i].zone;
        }
    }
    if (*c->zones_n == ZONES_MAX) {
        problem_add(c->problems, line, "%s: more than %d different zones are named",
                    place_text(at, where), ZONES_MAX);
        return NULL;
    }
    struct named_zone *z = &c->zones[*c->zones_n];
    int error = zone_new(name, &z->zone);
    if (error == ERR_NO_MEMORY) {
        c->problems->no_memory = true;
    } else if (error) {
        bool shown = c->problems->len < PROBLEMS_MAX; /* a hint looks into several files */
        problem_add(c->problems, line,
                    "%s: \"%.*s\" is not a time zone that this system knows; wanted is a name like "
                    "Europe/Berlin, America/Los_Angeles or UTC%s",
                    place_text(at, where), shown_len(name), name.at,
                    shown ? hint_zone(name).text : "");
    }
    if (error) {
        return NULL;
    }
    name_copy(z->name, name);
    return c->zones[(*c->zones_n)++].zone;
}

static void build_zone(struct build *b)
{
    const struct word *w = &b->draft->zone;
    if (b->limit->window != WINDOW_CALENDAR) {
        if (w->line > 0) {
            complain(b, w->line, "zone", "only calendar windows have one, and this window is %s",
                     window_words[b->limit->window]);
        }
        return;
    }
    struct text name = w->line > 0 ? w->text : text_of(b->rule->zone);
    struct place here = {.up = b->at, .name = TEXT("zone")};
    size_t found = b->c->problems->found;
    b->limit->zone = zone_named(b->c, b->draft->shorthand ? b->at : &here, name,
                                w->line > 0 ? w->line : b->draft->line);
    b->good = b->good && found == b->c->problems->found;
}

static void refuse_unused(struct build *b, const struct setting *s, const char *key)
{
    if (s->line > 0) {
        complain(b, s->line, key, "means nothing for what is only held while in flight");
    }
}

/* Headers speak of what everyone uses together, in windows that time empties. */
static void build_headers(struct build *b)
{
    const struct setting *s = &b->draft->headers;
    struct limit *l = b->limit;
    bool whole = l->scope == SCOPE_RESOURCE;
    bool timed = l->window != WINDOW_NONE && l->window != WINDOW_LIFETIME;
    if (s->line > 0 && (!whole || !timed || l->unit == UNIT_USD)) {
        complain(b, s->line, "headers", "means nothing for this limit: no header tells of it");
        return;
    }
    l->told_of = (enum told_of)s->value;
}

static void build_rules(struct build *b)
{
    const struct limit_draft *d = b->draft;
    struct limit *l = b->limit;
    l->exceed = l->unit == UNIT_USD ? EXCEED_REFUSE : EXCEED_WAIT;
    if (d->exceed.line > 0) {
        l->exceed = (enum exceed)d->exceed.value;
    }
    l->on_expire = (enum expire_rule)d->on_expire.value;
    l->headroom_ppm = (int32_t)d->headroom.value;
    l->warn_ppm = (int32_t)d->warn_at.value;
    build_headers(b);
    if (l->window == WINDOW_NONE) {
        l->charge = CHARGE_AT_GRANT;
        l->settle = SETTLE_KEEP;
        refuse_unused(b, &d->charge, "charge");
        refuse_unused(b, &d->settle, "settle");
        refuse_unused(b, &d->on_expire, "on_expire");
        return;
    }
    l->charge = d->charge.line > 0 ? (enum charge_rule)d->charge.value : b->rule->charge;
    l->settle = b->rule->settle;
    if (l->charge == CHARGE_AT_SETTLE && d->charge.line > 0) {
        l->settle = SETTLE_TRUE_UP; /* charged by what was used, that is: unless said otherwise */
    }
    if (d->settle.line > 0) {
        l->settle = (enum settle_rule)d->settle.value;
    }
}

/* What headroom leaves, rounded down, must be something. */
static void check_headroom(struct build *b)
{
    const struct limit *l = b->limit;
    int128 left = (int128)l->amount * (1000000 - l->headroom_ppm) / 1000000;
    if (b->good && left == 0) {
        complain(b, b->draft->headroom.line, "headroom", "leaves nothing of the amount");
    }
}

static void build_name(struct build *b)
{
    static const char *const scopes[] = {"", "/tenant", "/session", "/model", "/", "/"};
    const struct limit_draft *d = b->draft;
    struct limit *l = b->limit;
    if (d->shared.line > 0) {
        memcpy(l->shared, d->shared.text.at, d->shared.text.len);
    }
    if (d->name.line > 0 || d->shared.line > 0) {
        struct text name = d->name.line > 0 ? d->name.text : d->shared.text;
        memcpy(l->name, name.at, name.len);
        return;
    }
    struct text per = d->per.line > 0 ? d->per.text : TEXT("in_flight");
    if (b->per.given && l->window == WINDOW_LIFETIME) {
        per = TEXT("lifetime");
    }
    char label[40];
    snprintf(label, sizeof(label), "%.39s", l->label);
    snprintf(l->name, sizeof(l->name), "%s/%.*s%s%s", unit_name(l->unit),
             (int)min_i64((int64_t)per.len, 40), per.at, scopes[l->scope], label);
}

/* Whether two limits of a pool agree in all but their names. */
static bool pool_agrees(const struct limit *a, const struct limit *b)
{
    return a->unit == b->unit && a->window == b->window && a->step == b->step &&
           a->scope == b->scope && a->exceed == b->exceed && a->charge == b->charge &&
           a->settle == b->settle && a->on_expire == b->on_expire && a->amount == b->amount &&
           a->per_us == b->per_us && a->burst == b->burst && a->guard_us == b->guard_us &&
           a->slice_us == b->slice_us && a->told_of == b->told_of &&
           a->headroom_ppm == b->headroom_ppm && a->warn_ppm == b->warn_ppm &&
           strcmp(a->label, b->label) == 0 && a->zone == b->zone;
}

static const struct pool *pool_find(const struct limit_context *c, struct text name)
{
    for (size_t i = 0; i < c->pools_n; i++) {
        if (text_equal(name, text_of(c->pools[i].limit.shared))) {
            return &c->pools[i];
        }
    }
    return NULL;
}

/* Enters a pool's first definition, or compares a later one with it. */
static void join_pool(struct build *b)
{
    struct limit_context *c = b->c;
    const struct pool *pool = pool_find(c, b->draft->shared.text);
    if (pool) {
        if (!pool_agrees(&pool->limit, b->limit)) {
            complain(b, b->draft->shared.line, "shared",
                     "the pool \"%s\" was defined otherwise in line %d; give all limits of it the "
                     "same rules, or only {shared: %s} here",
                     pool->limit.shared, pool->line, pool->limit.shared);
        }
    } else if (c->pools_n == POOLS_MAX) {
        complain(b, b->draft->shared.line, "shared", "more than %d pools are named", POOLS_MAX);
    } else {
        c->pools[c->pools_n++] = (struct pool){*b->limit, b->draft->shared.line};
    }
}

/* `{shared: POOL}`, perhaps with a name, and nothing else. */
static bool only_refers(const struct limit_draft *d)
{
    return d->shared.line > 0 && d->keys == (d->name.line ? 2u : 1u);
}

static void build_reference(struct build *b)
{
    const struct limit_draft *d = b->draft;
    const struct pool *pool = pool_find(b->c, d->shared.text);
    if (!pool) {
        complain(b, d->shared.line, "shared",
                 "no pool \"%.*s\" has been defined above; the first limit of a pool gives all of "
                 "its rules",
                 shown_len(d->shared.text), d->shared.text.at);
        return;
    }
    *b->limit = pool->limit;
    if (d->name.line > 0) {
        memset(b->limit->name, 0, sizeof(b->limit->name));
        memcpy(b->limit->name, d->name.text.at, d->name.text.len);
    }
}

/* The provider's rules are for what the provider limits: the resource as a whole. */
static const struct profile_rule *rule_for(const struct build *b, const struct profile *profile)
{
    bool own = b->limit->scope != SCOPE_RESOURCE && b->limit->scope != SCOPE_MODEL;
    bool day = b->per.word && b->per.step == STEP_DAY;
    return profile_rule(own ? NULL : profile, b->limit->unit, day ? SPAN_DAY : SPAN_ANY);
}

static void build_limit(struct build *b, const struct profile *profile)
{
    const struct limit_draft *d = b->draft;
    if (d->unit.line == 0) {
        complain(b, d->line, NULL, "\"unit\" is missing");
    }
    if (d->unit.line <= 0) {
        return; /* nothing else can be judged without it */
    }
    b->limit->unit = (enum unit)d->unit.value;
    read_per(b);
    read_scope(b);
    read_amounts(b);
    b->rule = rule_for(b, profile);
    if (b->per.bad || d->window.line < 0) {
        return;
    }
    build_window(b);
    build_guard(b);
    build_pace(b);
    build_zone(b);
    build_rules(b);
    check_headroom(b);
    build_name(b);
    if (d->shared.line > 0 && b->good) {
        join_pool(b);
    }
}

bool limit_build(struct limit_context *c, const struct place *at, const struct limit_draft *draft,
                 const struct profile *profile, struct limit *limit)
{
    memset(limit, 0, sizeof(*limit));
    struct build b = {.c = c, .at = at, .draft = draft, .limit = limit, .good = !draft->broken};
    if (only_refers(draft)) {
        build_reference(&b);
    } else {
        build_limit(&b, profile);
    }
    return b.good;
}
