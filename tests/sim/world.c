#include "world_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "journal/disk.h"
#include "journal/journal.h"

/* Longer than anybody waits: no ticket is given. */
#define NO_HOLD_US (2 * WAIT_US_MAX)

static const char *const SESSIONS[] = {"", "s1", "s2", "s3"};
static const char *const LABELS[] = {"", "team=x", "team=y\nenv=p"};
static const char *const IDS[] = {"i1", "i2", "i3", "i4", "i5"};

/* --- Clients --- */

/* What only the driver and the journal can tell apart. */
static void init_api(struct world *w)
{
    struct random *r = &w->random;
    int64_t dice = random_in(r, 0, 99);
    w->crowded = random_chance(r, 40);
    w->slow = random_chance(r, 30);
    w->troubles = random_chance(r, 30);
    w->durability = dice < 55 ? DURABILITY_FULL : dice < 95 ? DURABILITY_PROCESS : DURABILITY_NONE;
    w->client_max = random_chance(r, 20) ? random_in(r, 1, 6) : 100000;
    w->crashes = w->crashes || random_chance(r, 60);
    w->skews = w->skews && (!w->crashes || w->rough);
}

/* A storm has its own chances: what it adds leaves other worlds of the seed as they are. */
static void init_storm(struct world *w, uint64_t seed)
{
    struct random r = {seed ^ UINT64_C(0x73746f726d)};
    provider_init(&w->provider, seed, random_chance(&r, 50));
    w->holds = true; /* who retries comes back with a ticket */
    w->routed = random_chance(&r, 60);
    w->unknown = random_chance(&r, 25);
}

void world_init(struct world *w, uint64_t seed, bool api, bool stormy)
{
    memset(w, 0, sizeof(*w));
    w->random.state = seed * UINT64_C(0x2545f4914f6cdd1d) + 12345;
    w->clients = calloc(CLIENTS_MAX, sizeof(*w->clients));
    if (!w->clients) {
        abort();
    }
    struct random *r = &w->random;
    w->now_us = random_chance(r, 50) ? random_in(r, 0, 1000) : INT64_C(1774745700000000);
    w->busy = (int)random_in(r, 20, 60);
    w->hurried = random_chance(r, 50);
    w->holds = random_chance(r, 40);
    w->parents = random_chance(r, 30);
    w->crashes = random_chance(r, 30);
    w->reloads = random_chance(r, 40);
    /* What was booked late under another wall clock than the restarted one is not promised. */
    w->rough = seed >= ROUGH_SEEDS;
    w->shifty = seed >= SHIFTY_SEEDS;
    w->zoned = seed >= ZONED_SEEDS && !w->shifty;
    w->crashes = w->crashes || w->zoned || w->shifty;
    w->reloads = w->reloads || w->zoned || w->shifty;
    w->skews = random_chance(r, 30) && (!w->crashes || w->rough);
    w->late_ticks = random_chance(r, 15);
    w->api = api;
    if (api) {
        init_api(w);
    }
    struct random back = {seed ^ UINT64_C(0x6261636b)};
    w->sets_back = w->skews && random_chance(&back, 60);
    w->scopes_days = w->rough || random_chance(&back, 50);
    w->guessing.state = seed ^ UINT64_C(0x6775657373);
    w->guesses = random_chance(&w->guessing, 30);
    w->stormy = stormy;
    if (stormy) {
        init_storm(w, seed);
    }
    w->policy = world_policy_random(w);
}

void world_release(struct world *w)
{
    for (size_t i = 0; i < w->policies_n; i++) {
        free(w->policies[i]);
    }
    free(w->policies);
    free(w->clients);
}

static int64_t random_pause(struct random *r, bool hurried)
{
    if (hurried && random_chance(r, 95)) {
        return random_chance(r, 40) ? 0 : random_in(r, 0, 300 * US_PER_MS);
    }
    switch (random_in(r, 0, 9)) {
    case 0:
    case 1:
    case 2: return 0;
    case 3: return random_in(r, 0, 5);
    case 4:
    case 5: return random_in(r, 0, US_PER_S);
    case 6:
    case 7:
    case 8: return random_in(r, 0, 8 * US_PER_S);
    default:
        return random_in(r, 0, 100) < 3 ? random_in(r, 0, 3 * US_PER_H)
                                        : random_in(r, 0, 40 * US_PER_S);
    }
}

static void random_load(struct random *r, const struct resource *x, struct load *load)
{
    memset(load, 0, sizeof(*load));
    load->of[UNIT_REQUESTS] = 1;
    load->of[UNIT_SLOTS] = 1;
    int64_t input = random_in(r, 0, 60), output = random_in(r, 0, 60);
    if (random_chance(r, 10)) {
        input *= 5;
    }
    load->of[UNIT_INPUT_TOKENS] = input;
    load->of[UNIT_OUTPUT_TOKENS] = output;
    load->of[UNIT_TOKENS] = input + output;
    load->of[UNIT_USD] = random_chance(r, 30) ? 0 : random_in(r, 1, 3) * PICOUSD_PER_USD / 11;
    (void)x;
}

/* What is left unsaid; often the length of the input is given instead. */
static void leave_open(struct world *w, struct acquire *a)
{
    struct random *r = &w->guessing;
    int64_t dice = w->guesses ? random_in(r, 0, 99) : 0;
    a->has_input = dice < 40 || (dice >= 60 && dice < 75);
    a->has_output = dice < 60;
    int64_t *of = a->load.of;
    of[UNIT_INPUT_TOKENS] = a->has_input ? of[UNIT_INPUT_TOKENS] : 0;
    of[UNIT_OUTPUT_TOKENS] = a->has_output ? of[UNIT_OUTPUT_TOKENS] : 0;
    of[UNIT_TOKENS] = of[UNIT_INPUT_TOKENS] + of[UNIT_OUTPUT_TOKENS];
    a->input_bytes = w->guesses && random_chance(r, 40) ? random_in(r, 1, 400) : 0;
}

static caller_id random_caller(struct world *w)
{
    int64_t back = random_chance(&w->random, 90) ? 30 : 400;
    int64_t first = max_i64(1, (int64_t)w->callers - back);
    return (caller_id)random_in(&w->random, first, (int64_t)max_i64(1, (int64_t)w->callers));
}

/* Someone who holds a lease that has not ended, or anyone. */
static caller_id random_holder(struct world *w)
{
    for (int tries = 0; tries < 20; tries++) {
        caller_id c = random_caller(w);
        if (w->clients[c].lease && !w->clients[c].ended) {
            return c;
        }
    }
    return random_caller(w);
}

static caller_id random_ticketed(struct world *w)
{
    for (int tries = 0; tries < 20; tries++) {
        caller_id c = random_caller(w);
        if (w->clients[c].ticket) {
            return c;
        }
    }
    return random_caller(w);
}

static void next_acquire(struct world *w, struct happening *h)
{
    struct random *r = &w->random;
    struct acquire *a = &h->event.acquire;
    const struct policy *p = &w->policy->policy;
    size_t i = (size_t)random_in(r, 0, (int64_t)p->resources_n - 1);
    a->resource = text_of(random_chance(r, 99) ? p->resources[i].name : "unknown");
    if (p->routes_n && random_chance(r, 60)) {
        const struct route *route = &p->routes[random_in(r, 0, (int64_t)p->routes_n - 1)];
        bool named = route->accounts && random_chance(r, 50); /* a pool, as if it were one */
        a->route = text_of(named ? "" : route->name);
        a->resource = text_of(named ? route->name : "");
    }
    random_load(r, &p->resources[i], &a->load);
    leave_open(w, a);
    a->priority = random_chance(r, 60) ? PRIORITY_DEFAULT : (int)random_in(r, 1, 10);
    a->tenant = text_of(PICK(r, TENANTS));
    a->session = text_of(PICK(r, SESSIONS));
    a->labels = text_of(PICK(r, LABELS));
    /* Where leases are capped, how long an id is remembered is not promised. */
    a->id = text_of(p->leases_max > 1000 && random_chance(r, 8) ? PICK(r, IDS) : "");
    h->parent = w->parents && random_chance(r, 30) ? random_holder(w) : 0;
    a->wait_us = random_chance(r, 15) ? 0 : random_in(r, 1, 60 * US_PER_S);
    a->wait_us = random_chance(r, 5) ? random_in(r, 1, WAIT_US_MAX) : a->wait_us;
    a->hold_us = w->holds && random_chance(r, 40) ? random_in(r, 1, 10 * US_PER_S) : NO_HOLD_US;
    a->lease_us = random_chance(r, 80) ? random_in(r, 1, 60 * US_PER_S) : random_in(r, 1, 20);
    a->has_usd = true;
    if (w->stormy) {
        a->attempts_max = random_chance(r, 20) ? (int32_t)random_in(r, 1, 4) : 0;
        a->has_usd = random_chance(r, w->api ? 60 : 20);
    }
}

static void next_release(struct world *w, struct happening *h)
{
    h->event.kind = EVENT_RELEASE;
    h->event.any_tenant = true;
    h->subject = random_holder(w);
    w->clients[h->subject].ended = random_chance(&w->random, 90);
    h->usage_percent = random_chance(&w->random, 30)   ? -1
                       : random_chance(&w->random, 10) ? (int)random_in(&w->random, 100, 300)
                                                       : (int)random_in(&w->random, 0, 100);
    h->event.release.has_usd = true;
    if (w->stormy) {
        h->answered = random_chance(&w->random, 90);
        h->apart = random_chance(&w->random, 50);
        h->event.release.has_usd = random_chance(&w->random, 20);
    }
}

/* Who was advised to try again mostly does. */
static void next_resume(struct world *w, struct happening *h)
{
    struct random *r = &w->random;
    h->event.kind = EVENT_RESUME;
    h->event.any_tenant = true;
    h->subject = random_ticketed(w);
    h->event.resume.hold_us = random_chance(r, 70) ? random_in(r, 1, 10 * US_PER_S) : NO_HOLD_US;
}

static void next_reopen(struct world *w, struct happening *h)
{
    const struct policy *p = &w->policy->policy;
    size_t i = (size_t)random_in(&w->random, 0, (int64_t)p->resources_n - 1);
    h->event.kind = EVENT_REOPEN;
    h->event.reopen.resource = text_of(p->resources[i].name);
}

/* The next run may find another configuration. */
static void end_run(struct world *w, struct happening *h, enum deed_of_world end)
{
    h->kind = end;
    if (w->shifty && random_chance(&w->random, 50)) {
        w->policy = world_policy_changed(w);
        h->event.policy = &w->policy->policy;
    }
}

/* What happens to a daemon beside its requests. False: nothing. */
static bool next_to_daemon(struct world *w, struct happening *h)
{
    struct random *r = &w->random;
    int64_t dice = random_in(r, 0, 99);
    if (dice < 3 && w->crashes) {
        end_run(w, h, WORLD_STOP);
    } else if (dice < 10 && w->troubles) {
        h->kind = WORLD_TROUBLE;
        h->course.fails_at = (int)random_in(r, 1, random_chance(r, 50) ? 3 : 40);
        h->course.lasting = random_chance(r, 80);
    } else if (dice < 30 && w->troubles) {
        h->kind = WORLD_WELL;
    } else if (dice < 36) {
        h->kind = WORLD_PRUNE;
    }
    return h->kind != WORLD_EVENT;
}

static void next_course(struct world *w, struct happening *h)
{
    struct random *r = &w->random;
    struct course *c = &h->course;
    c->joins = random_chance(r, 15);
    c->ends_turn = random_chance(r, w->crowded ? 25 : 85);
    c->hears = random_chance(r, 80);
    c->disk_ops = random_chance(r, w->slow ? 15 : 60) ? -1 : random_in(r, 0, w->slow ? 3 : 8);
    c->loss = w->durability == DURABILITY_FULL ? (int)random_in(r, 0, 2) : DISK_LOSES_NOTHING;
    c->chance = random_u64(r);
    c->down_us = random_chance(r, 60) ? 0 : random_in(r, 0, 3 * US_PER_MIN);
}

static void next_rare(struct world *w, struct happening *h)
{
    struct random *r = &w->random;
    if (w->api && next_to_daemon(w, h)) {
        return;
    }
    if (w->stormy && random_chance(r, 8)) {
        next_reopen(w, h);
        return;
    }
    int64_t dice = random_in(r, 0, 99);
    if (dice < (w->zoned ? 8 : 4) && w->crashes) {
        if (random_chance(r, 50)) {
            end_run(w, h, WORLD_CRASH);
        } else {
            h->kind = WORLD_SYNC;
        }
    } else if (dice < 30 && w->crashes) {
        h->kind = WORLD_SYNC;
    } else if (dice < (w->zoned ? 40 : 36) && w->reloads) {
        h->event.kind = EVENT_CONFIGURE;
        w->policy = world_policy_changed(w);
        h->event.policy = &w->policy->policy;
    } else if (dice < 50 && w->skews) {
        h->event.kind = EVENT_CLOCK;
        w->skew_us += random_in(r, 0, 2 * US_PER_S);
        if (w->sets_back && random_chance(r, 50)) {
            w->skew_us -= random_in(r, 0, random_chance(r, 20) ? 3 * US_PER_H : 90 * US_PER_S);
            w->skew_us = max_i64(w->skew_us, -w->now_us); /* not before 1970 */
        }
        h->event.skew_us = w->skew_us;
    } else {
        h->event.kind = EVENT_TICK;
    }
}

static void next_event(struct world *w, struct happening *h)
{
    struct random *r = &w->random;
    int64_t dice = random_in(r, 0, 99);
    if (dice < w->busy && w->callers + 1 < CLIENTS_MAX) {
        h->event.kind = EVENT_ACQUIRE;
        next_acquire(w, h);
    } else if (w->stormy && dice >= 65 && dice < 75) {
        next_resume(w, h);
    } else if (dice < 75) {
        next_release(w, h);
    } else if (dice < 80) {
        h->event.kind = EVENT_HANGUP;
        h->subject = random_caller(w);
    } else if (dice < 84) {
        h->event.kind = EVENT_CANCEL;
        h->event.tenant = text_of(PICK(r, TENANTS));
        h->by_lease = random_chance(r, 40);
        h->subject = h->by_lease                        ? random_holder(w)
                     : w->holds && random_chance(r, 50) ? random_ticketed(w)
                                                        : 0;
        h->event.any_tenant = h->subject != 0;
        h->event.cancel.id = h->subject ? TEXT_NONE : text_of(PICK(r, IDS));
    } else if (dice < 88 && w->holds) {
        next_resume(w, h);
    } else if (dice < 91) {
        h->event.kind = EVENT_RENEW;
        h->event.any_tenant = true;
        h->subject = random_holder(w);
        h->event.renew.lease_us = random_in(r, 1, 90 * US_PER_S);
    } else {
        next_rare(w, h);
    }
}

void world_next(struct world *w, struct happening *h)
{
    memset(h, 0, sizeof(*h));
    w->now_us += random_pause(&w->random, w->hurried);
    h->event.now_us = w->now_us;
    if (w->api) {
        next_course(w, h);
    }
    if (w->policies_n == 1 && w->callers == 0) {
        w->callers = 1;
        h->event.kind = EVENT_CONFIGURE;
        h->event.policy = &w->policy->policy;
        return;
    }
    next_event(w, h);
    if (h->kind == WORLD_EVENT && h->event.kind != EVENT_HANGUP && h->event.kind != EVENT_TICK &&
        h->event.kind != EVENT_CLOCK && h->event.kind != EVENT_CONFIGURE) {
        w->callers = w->callers + 1 < CLIENTS_MAX ? w->callers + 1 : w->callers;
        h->event.caller = w->callers;
    }
}

static struct world_client *client_of(struct world *w, caller_id caller)
{
    return caller > 0 && caller < CLIENTS_MAX ? &w->clients[caller] : NULL;
}

void world_begin_again(struct world *w)
{
    memset(w->clients, 0, CLIENTS_MAX * sizeof(*w->clients));
    provider_init(&w->provider, w->provider.seed, w->provider.tells);
}

static size_t place_of(struct text resource)
{
    size_t n = sizeof(RESOURCES) / sizeof(RESOURCES[0]);
    for (size_t i = 0; i < n; i++) {
        if (text_equal(resource, text_of(RESOURCES[i]))) {
            return i;
        }
    }
    return n;
}

void world_grant(struct world *w, caller_id client, uint64_t lease, const struct load *held,
                 struct text resource)
{
    struct world_client *c = client_of(w, client);
    if (c) {
        c->lease = lease;
        c->held = *held;
        c->resource = place_of(resource);
        c->granted_us = w->seen_us;
    }
}

const char *world_provider(const struct world *w, caller_id client)
{
    size_t place = w->clients[client].resource;
    return place < w->policy->policy.resources_n ? w->policy->resources[place].provider : "";
}

void world_ticket(struct world *w, caller_id client, uint64_t ticket)
{
    struct world_client *c = client_of(w, client);
    if (c) {
        c->ticket = ticket;
    }
}

void world_see(struct world *w, int64_t now_us, const struct effects *effects)
{
    w->seen_us = now_us;
    for (size_t i = 0; i < effects->len; i++) {
        const struct effect *f = &effects->at[i];
        if (f->kind == EFFECT_GRANT) {
            world_grant(w, f->caller, f->grant.lease, &f->grant.held, f->grant.resource);
        } else if (f->kind == EFFECT_SETTLED && f->settled.advice.ticket) {
            world_ticket(w, f->caller, f->settled.advice.ticket);
        } else if (f->kind == EFFECT_WAIT) {
            world_ticket(w, f->caller, f->wait.ticket);
        }
    }
}

void world_crash(struct world *w, const struct record *records, size_t n)
{
    for (size_t c = 0; c < CLIENTS_MAX; c++) {
        struct world_client *client = &w->clients[c];
        bool known = false;
        for (size_t i = 0; client->lease && i < n && !known; i++) {
            known = records[i].kind == RECORD_GRANT && records[i].lease == client->lease;
        }
        client->lease = known ? client->lease : 0;
        client->ticket = 0;
    }
}

void world_forget(struct world *w, bool leases)
{
    for (size_t c = 0; c < CLIENTS_MAX; c++) {
        w->clients[c].lease = leases ? 0 : w->clients[c].lease;
        w->clients[c].ticket = 0;
    }
}

/* Tokens of the kinds that are priced apart, of the usage that is told. */
static void part_usage(struct world *w, const struct happening *h, struct event *event)
{
    const struct load *u = &event->release.usage;
    struct random r = {h->subject};
    int64_t input = u->of[UNIT_INPUT_TOKENS];
    w->parts = (struct parts){.of = {[PART_OUTPUT] = u->of[UNIT_OUTPUT_TOKENS]}};
    w->parts.of[PART_CACHE_READ] = random_in(&r, 0, input);
    w->parts.of[PART_CACHE_WRITE_5M] = random_in(&r, 0, input - w->parts.of[PART_CACHE_READ]);
    w->parts.of[PART_INPUT] =
        input - w->parts.of[PART_CACHE_READ] - w->parts.of[PART_CACHE_WRITE_5M];
    event->release.parts = &w->parts;
}

/* What the provider said to the call, and what follows for what is told of it. */
static void answer_call(struct world *w, const struct happening *h, struct event *event)
{
    const struct world_client *c = &w->clients[h->subject];
    struct provider_ask ask = {.number = h->subject,
                               .resource = c->resource,
                               .granted_us = c->granted_us,
                               .now_us = event->now_us,
                               .load = c->held};
    if (!h->answered || c->resource >= PROVIDER_RESOURCES) {
        return;
    }
    provider_answer(&w->provider, &ask, &w->answer);
    event->release.answer = &w->answer;
    if (w->answer.class != ANSWER_OK && h->subject % 8) {
        event->release.has_usage = false; /* refused calls mostly say nothing of it */
        event->release.parts = NULL;
    }
}

bool world_resolve(struct world *w, const struct happening *h, struct event *event)
{
    *event = h->event;
    const struct world_client *c = &w->clients[h->subject];
    switch (event->kind) {
    case EVENT_ACQUIRE:
        event->acquire.parent = h->parent ? w->clients[h->parent].lease : 0;
        return true;
    case EVENT_HANGUP: event->caller = h->subject; return true;
    case EVENT_RESUME: event->resume.ticket = c->ticket; return c->ticket != 0;
    case EVENT_CANCEL:
        event->cancel.ticket = h->subject && !h->by_lease ? c->ticket : 0;
        event->cancel.lease = h->by_lease ? c->lease : 0;
        return !h->subject || event->cancel.ticket || event->cancel.lease;
    case EVENT_RENEW: event->renew.lease = c->lease; return c->lease != 0;
    case EVENT_RELEASE:
        event->release.lease = c->lease;
        event->release.has_usage = h->usage_percent >= 0;
        for (size_t u = 0; u < UNIT_COUNT && h->usage_percent >= 0; u++) {
            event->release.usage.of[u] = u == UNIT_SLOTS || u == UNIT_REQUESTS
                                             ? c->held.of[u]
                                             : mul_div_sat(c->held.of[u], h->usage_percent, 100);
        }
        if (w->guesses) { /* only what adds up is learned from */
            int64_t *of = event->release.usage.of;
            of[UNIT_TOKENS] = of[UNIT_INPUT_TOKENS] + of[UNIT_OUTPUT_TOKENS];
        }
        if (h->apart && h->usage_percent >= 0) {
            part_usage(w, h, event);
        }
        answer_call(w, h, event);
        return c->lease != 0;
    default: return true;
    }
}
