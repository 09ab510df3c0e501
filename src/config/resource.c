#include "config/resource.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "config/feedback.h"
#include "config/hint.h"
#include "config/learn.h"
#include "config/price.h"

#define LINE_DEFAULT      100000
#define LINE_LEN_MAX      INT64_C(10000000)
#define PROVIDERS_LEN_MAX 256 /* of all their names, in a message */

struct resource_draft {
    struct word provider, model;
    struct word rpm, tpm, itpm, otpm, rpd, tpd;
    struct setting ageing, line, tenant_line;
    const struct node *limits, *reserve, *accounts;
    struct setting sticky;
    struct feedback_draft feedback;
    struct price_draft price;
    struct learn_draft learn;
};

#define AT(member)   offsetof(struct resource_draft, member)
#define AMOUNT_TAKES "an amount: a whole number above 0 and at most 10^15, as in 500, 1.5k, 2M"
#define COUNT_TAKES  "a number from 1 to 10M"

static const char *const batch_choices[] = {"false", "true", NULL};
static const char *const sticky_choices[] = {"off", "session", NULL};

/* What a resource and an account of one may say of limits. */
#define LIMIT_ROWS                                                                                 \
    {"rpm", read_word, AT(rpm), NULL, 0, 0, AMOUNT_TAKES, "no limit", "Requests per minute."},     \
        {"tpm",        read_word,  AT(tpm),                                                        \
         NULL,         0,          0,                                                              \
         AMOUNT_TAKES, "no limit", "Tokens per minute; for gemini input tokens."},                 \
        {"itpm",       read_word,  AT(itpm),                                                       \
         NULL,         0,          0,                                                              \
         AMOUNT_TAKES, "no limit", "Input tokens per minute."},                                    \
        {"otpm",       read_word,  AT(otpm),                                                       \
         NULL,         0,          0,                                                              \
         AMOUNT_TAKES, "no limit", "Output tokens per minute."},                                   \
        {"rpd",                                                                                    \
         read_word,                                                                                \
         AT(rpd),                                                                                  \
         NULL,                                                                                     \
         0,                                                                                        \
         0,                                                                                        \
         AMOUNT_TAKES,                                                                             \
         "no limit",                                                                               \
         "Requests per day, as the provider counts days; any 24 hours where that is not "          \
         "published."},                                                                            \
        {"tpd",        read_word,  AT(tpd),                                                        \
         NULL,         0,          0,                                                              \
         AMOUNT_TAKES, "no limit", "Tokens per day, likewise; for gemini input tokens."},          \
        {"concurrency",                                                                            \
         read_concurrency,                                                                         \
         AT(learn),                                                                                \
         NULL,                                                                                     \
         0,                                                                                        \
         0,                                                                                        \
         AMOUNT_TAKES "; adaptive; or {adaptive: {min: N, max: N}}",                               \
         "no limit",                                                                               \
         "Calls in flight at once. `adaptive`: found by the latency of the answers."},             \
    {                                                                                              \
        "limits", read_node, AT(limits), NULL, 0, 0,                                               \
            "a list of limits, at most 16 with those above; or from_provider, alone or in the "    \
            "list",                                                                                \
            "none",                                                                                \
            "Further limits, see \"Limits\". `from_provider`: also those that the provider's "     \
            "answers tell "                                                                        \
            "of."                                                                                  \
    }

static const struct key_row resource_rows[] = {
    {"provider", read_name, AT(provider), NULL, 0, 0, "a provider's name, see \"Providers\"",
     "generic", "Whose rules the limits follow where they do not say otherwise."},
    {"model", read_name, AT(model), NULL, 0, 0, "a name of 1 to 128 printable bytes",
     "the resource's name", "What the model is called at the provider; a grant names it."},
    LIMIT_ROWS,
    {"ageing", read_duration, AT(ageing), NULL, 0, PER_US_MAX,
     "a duration, as in 30s; 0s for never", "0s",
     "A waiting request becomes one priority more urgent each time this passes."},
    {"line", read_amount, AT(line), NULL, 1, LINE_LEN_MAX, COUNT_TAKES, "100k",
     "How many requests may wait."},
    {"tenant_line", read_amount, AT(tenant_line), NULL, 1, LINE_LEN_MAX, COUNT_TAKES,
     "the same as `line`", "How many requests of one tenant may wait."},
    {"reserve", read_node, AT(reserve), NULL, 0, 0, "a list of shares, at most 8", "none",
     "Shares of every limit of the whole resource that their holders get back first; lent to "
     "others while they are idle."},
    {"feedback", read_node, AT(feedback.feedback), NULL, 0, 0, "off, or a map of keys",
     "all defaults", "What refusals do to everyone on the resource, see \"Feedback\"."},
    {"retry", read_node, AT(feedback.retry), NULL, 0, 0, "off, or a map of keys", "all defaults",
     "When a call that was refused is tried again, see \"Retries\"."},
    {"breaker", read_node, AT(feedback.breaker), NULL, 0, 0, "off, or a map of keys",
     "all defaults", "When refusals in a row close the resource, see \"Breaker\"."},
    {"cooldown", read_duration, AT(feedback.cooldown), NULL, 0, US_PER_DAY,
     "a duration of at most a day, as in 1m", "1m",
     "How long routes pass over the resource after it was refused."},
    {"day_zone", read_word, AT(feedback.day_zone), NULL, 0, 0,
     "a time zone's name, as in Europe/Berlin or UTC",
     "the provider's: gemini "
     "America/Los_Angeles, all others UTC",
     "Where the day turns that a provider says is used up."},
    {"price", read_node, AT(price.price), NULL, 0, 0,
     "given, the name of a model in the table of prices, or a map of keys",
     "the model's in the table of prices",
     "What tokens cost, see \"Prices\". `given`: every caller says what a call costs."},
    {"batch", read_choice, AT(price.batch), batch_choices, 0, 0, "true or false", "false",
     "Whether calls go through the provider's batch API, at half the price."},
    {"accounts", read_node, AT(accounts), NULL, 0, 0, "a map NAME: {…} of at most 8", "none",
     "Accounts under one name, each with limits of its own, see \"Accounts\"; the least loaded "
     "that "
     "fits serves. Limits beside them count over all of them."},
    {"sticky", read_choice, AT(sticky), sticky_choices, 0, 0, "session or off", "off",
     "With accounts: a session goes back to the account that served it last."},
    {"estimates", read_node, AT(learn.estimates), NULL, 0, 0, "on, off, or a map of keys", "on",
     "What is held where a request does not say how many tokens it takes, see \"Estimates\"."},
};

/* The keys of an account; the rest is the resource's. */
static const struct key_row account_rows[] = {LIMIT_ROWS};

const struct section account_section = {
    "Accounts (`resources.NAME.accounts.ACCOUNT`)", account_rows,
    sizeof(account_rows) / sizeof(account_rows[0]), "{rpm: 500, tpm: 200k}"};

const struct section resource_section = {"Resources (`resources.NAME`)", resource_rows,
                                         sizeof(resource_rows) / sizeof(resource_rows[0]),
                                         "{provider: openai, rpm: 500}"};

struct reserve_draft {
    struct word tenant;
    struct setting priority, share;
};

static const struct key_row reserve_rows[] = {
    {"tenant", read_name, offsetof(struct reserve_draft, tenant), NULL, 0, 0, "a tenant's name",
     "either this or `priority`", "The tenant the share is for."},
    {"priority", read_amount, offsetof(struct reserve_draft, priority), NULL, PRIORITY_MIN,
     PRIORITY_MAX, "a priority from 1 to 10", "either this or `tenant`",
     "The share is for this priority and all that are more urgent."},
    {"share", read_share, offsetof(struct reserve_draft, share), NULL, 1, 1000000,
     "a share above 0, as in 20% or 0.2", "required",
     "How much; the shares of a resource add up to at most 100%."},
};

const struct section reserve_section = {
    "Reserved shares (`resources.NAME.reserve[]`)", reserve_rows,
    sizeof(reserve_rows) / sizeof(reserve_rows[0]), "{tenant: acme, share: 20%}"};

/* The keys that stand for a limit. */
struct shorthand {
    const char *key;
    size_t offset;
    enum unit unit;
    const char *per; /* NULL: none */
};

static const struct shorthand shorthands[] = {
    {"rpm", AT(rpm), UNIT_REQUESTS, "minute"},
    {"tpm", AT(tpm), UNIT_TOKENS, "minute"},
    {"itpm", AT(itpm), UNIT_INPUT_TOKENS, "minute"},
    {"otpm", AT(otpm), UNIT_OUTPUT_TOKENS, "minute"},
    {"rpd", AT(rpd), UNIT_REQUESTS, "day"},
    {"tpd", AT(tpd), UNIT_TOKENS, "day"},
    {"concurrency", AT(learn.slots), UNIT_SLOTS, NULL},
};

/* One resource being built. */
struct build {
    struct limit_context *c;
    const struct place *at;
    const struct profile *profile;
    struct resource *resource;
};

/* The next free limit, or NULL where there are too many; said once. */
static struct limit *limit_slot(struct build *b, int line)
{
    struct resource *r = b->resource;
    if (r->limits_n < RESOURCE_LIMITS_MAX) {
        return &r->limits[r->limits_n];
    }
    char where[PLACE_LEN_MAX];
    problem_add(b->c->problems, line, "%s: more than %d limits", place_text(b->at, where),
                RESOURCE_LIMITS_MAX);
    return NULL;
}

/* Keeps a limit that was built, unless its name is taken. */
static void limit_keep(struct build *b, int line)
{
    struct resource *r = b->resource;
    const struct limit *l = &r->limits[r->limits_n];
    char where[PLACE_LEN_MAX];
    for (size_t i = 0; i < r->limits_n; i++) {
        if (strcmp(r->limits[i].name, l->name) == 0) {
            problem_add(b->c->problems, line,
                        "%s: two limits are called \"%s\"; give one of them another \"name\"",
                        place_text(b->at, where), l->name);
            return;
        }
        if (l->shared[0] && strcmp(r->limits[i].shared, l->shared) == 0) {
            problem_add(b->c->problems, line, "%s: the pool \"%s\" is named twice",
                        place_text(b->at, where), l->shared);
            return;
        }
    }
    r->limits_n++;
}

static void read_shorthands(struct build *b, const struct resource_draft *draft)
{
    for (size_t i = 0; i < sizeof(shorthands) / sizeof(shorthands[0]); i++) {
        const struct shorthand *s = &shorthands[i];
        const struct word *amount =
            (const struct word *)(const void *)((const char *)draft + s->offset);
        if (amount->line <= 0) {
            continue;
        }
        enum unit unit = s->unit == UNIT_TOKENS ? b->profile->tpm_unit : s->unit;
        struct limit_draft limit = {.line = amount->line,
                                    .shorthand = true,
                                    .name = {text_of(s->key), amount->line},
                                    .unit = {unit, amount->line},
                                    .amount = *amount,
                                    .per = {text_of(s->per), s->per ? amount->line : 0}};
        struct place here = {.up = b->at, .name = limit.name.text};
        struct limit *slot = limit_slot(b, amount->line);
        if (!slot) {
            return;
        }
        if (limit_build(b->c, &here, &limit, b->profile, slot)) {
            limit_keep(b, amount->line);
        }
    }
}

static bool says_from_provider(const struct node *n)
{
    return n->kind == NODE_SCALAR && text_equal(n->text, TEXT("from_provider"));
}

/* `learn` is set where the provider's are among them. */
static void read_limits(struct build *b, const struct node *list, bool *learn)
{
    struct place at = {.up = b->at, .name = TEXT("limits")};
    if (says_from_provider(list)) {
        *learn = true;
        return;
    }
    if (!list_wanted(
            b->c->problems, &at, list,
            "a list of limits, as in [{unit: usd, amount: 50, per: day}], or from_provider")) {
        return;
    }
    size_t index = 0;
    for (const struct node *n = list->first; n; n = n->next) {
        struct place here = {.up = &at, .index = ++index};
        if (says_from_provider(n)) {
            *learn = true;
            continue;
        }
        struct limit_draft draft = {.line = n->line, .keys = n->members};
        size_t found = b->c->problems->found;
        section_read(b->c->problems, &here, &limit_section, n, &draft);
        draft.broken = found != b->c->problems->found;
        struct limit *slot = limit_slot(b, n->line);
        if (!slot) {
            return;
        }
        if (n->kind == NODE_MAP && limit_build(b->c, &here, &draft, b->profile, slot)) {
            limit_keep(b, n->line);
        }
    }
}

static void read_reserve(struct build *b, const struct place *at, const struct node *n)
{
    struct problems *p = b->c->problems;
    struct reserve_draft draft = {.share = {0}};
    size_t found = p->found;
    char where[PLACE_LEN_MAX];
    section_read(p, at, &reserve_section, n, &draft);
    if (found != p->found) {
        return;
    }
    if (!draft.share.line || !draft.tenant.line == !draft.priority.line) {
        problem_add(p, n->line,
                    "%s: a reserve has a \"share\" and either a \"tenant\" or a "
                    "\"priority\"",
                    place_text(at, where));
        return;
    }
    struct reserve *r = &b->resource->reserves[b->resource->reserves_n++];
    if (draft.tenant.line > 0) {
        memcpy(r->tenant, draft.tenant.text.at, draft.tenant.text.len);
    }
    r->priority = (int)draft.priority.value;
    r->share_ppm = (int32_t)draft.share.value;
}

static void read_reserves(struct build *b, const struct node *list)
{
    struct place at = {.up = b->at, .name = TEXT("reserve")};
    struct problems *p = b->c->problems;
    char where[PLACE_LEN_MAX];
    if (!list_wanted(p, &at, list, "a list of shares, as in [{tenant: a, share: 20%}]")) {
        return;
    }
    size_t index = 0;
    int64_t sum_ppm = 0;
    for (const struct node *n = list->first; n; n = n->next) {
        struct place here = {.up = &at, .index = ++index};
        if (index > RESERVES_MAX) {
            problem_add(p, n->line, "%s: more than %d shares", place_text(&at, where),
                        RESERVES_MAX);
            return;
        }
        read_reserve(b, &here, n);
    }
    for (size_t i = 0; i < b->resource->reserves_n; i++) {
        sum_ppm += b->resource->reserves[i].share_ppm;
    }
    if (sum_ppm > 1000000) {
        problem_add(p, list->line, "%s: the shares add up to more than 100%%",
                    place_text(&at, where));
    }
}

static const char *profile_name(const void *names, size_t i)
{
    (void)names;
    return profile_at(i)->name;
}

static void report_provider(struct build *b, const struct word *w)
{
    struct buf known;
    size_t n = 0;
    buf_init(&known, PROVIDERS_LEN_MAX);
    for (; profile_at(n); n++) {
        buf_addf(&known, "%s%s", n ? ", " : "", profile_at(n)->name);
    }
    char where[PLACE_LEN_MAX];
    struct hint hint = hint_name(w->text, profile_name, NULL, n);
    problem_add(b->c->problems, w->line, "%s.provider: \"%.*s\" is not a known provider (%s)%s",
                place_text(b->at, where), shown_len(w->text), w->text.at, known.at ? known.at : "",
                hint.text);
    buf_release(&known);
}

static const struct profile *read_provider(struct build *b, const struct word *w)
{
    const struct profile *profile = profile_find(w->line > 0 ? w->text : TEXT("generic"));
    if (!profile) {
        report_provider(b, w);
        profile = profile_at(0);
    }
    return profile;
}

static void read_limit_keys(struct build *b, struct resource_draft *d)
{
    read_shorthands(b, d);
    if (d->limits) {
        read_limits(b, d->limits, &d->learn.limits);
    }
}

static void read_resource(struct build *b, const struct node *n, struct resource_draft *d)
{
    struct resource *r = b->resource;
    section_read(b->c->problems, b->at, &resource_section, n, d);
    b->profile = read_provider(b, &d->provider);
    name_copy(r->name, n->key->text);
    name_copy(r->model, d->model.line > 0 ? d->model.text : n->key->text);
    name_copy(r->provider, text_of(b->profile->name));
    r->ageing_us = d->ageing.value;
    r->line_len_max = d->line.line > 0 ? d->line.value : LINE_DEFAULT;
    r->tenant_line_len_max = d->tenant_line.line > 0 ? d->tenant_line.value : r->line_len_max;
    feedback_build(b->c, b->at, &d->feedback, b->profile, r);
    read_limit_keys(b, d);
    if (d->reserve) {
        read_reserves(b, d->reserve);
    }
}

/* What follows from all of the limits, those of an account included. */
static void finish_resource(struct build *b, const struct resource_draft *d, int line)
{
    learn_build(b->c, b->at, &d->learn, b->profile, b->resource);
    price_build(b->c, b->at, line, &d->price, b->resource);
}

/* --- Accounts. --- */

/* How many accounts a resource may have, and whether it has the key at all. A key that is given
 * twice is a problem, but its members are read before that is known to matter. */
static size_t accounts_of(const struct node *resource, bool *any)
{
    size_t n = 0;
    for (const struct node *m = resource->first; m; m = m->next) {
        if (m->key && text_equal(m->key->text, TEXT("accounts"))) {
            n += m->members;
            *any = true;
        }
    }
    return n;
}

size_t pools_count(const struct node *map)
{
    size_t n = 0;
    for (const struct node *m = map->first; m; m = m->next) {
        bool any = false;
        accounts_of(m, &any);
        n += any;
    }
    return n;
}

/* Resources of the policy, at most: an account is one. */
static size_t resources_count(const struct node *map)
{
    size_t n = 0;
    for (const struct node *m = map->first; m; m = m->next) {
        bool any = false;
        size_t accounts = accounts_of(m, &any);
        n += accounts > 0 ? accounts : 1;
    }
    return n;
}

/* The pool's name and what is behind it; the first is cut where both would be too long. */
static void join_names(char to[NAME_LEN_MAX + 1], const char *pool, char between, struct text name)
{
    size_t room = NAME_LEN_MAX - min_i64((int64_t)name.len, NAME_LEN_MAX - 1) - 1;
    size_t len = strlen(pool) < room ? strlen(pool) : room;
    char joined[NAME_LEN_MAX + 1] = {0};
    memcpy(joined, pool, len);
    joined[len] = between;
    memcpy(joined + len + 1, name.at, (size_t)min_i64((int64_t)name.len, NAME_LEN_MAX - 1));
    memcpy(to, joined, sizeof(joined));
}

/* The pool's own limits count over all of its accounts. */
static void share_limits(struct build *b, const struct resource *whole, int line)
{
    for (size_t i = 0; i < whole->limits_n; i++) {
        struct limit *slot = limit_slot(b, line);
        if (!slot) {
            return;
        }
        *slot = whole->limits[i];
        if (slot->shared[0] == '\0') {
            join_names(slot->name, whole->name, '/', text_of(whole->limits[i].name));
            memcpy(slot->shared, slot->name, sizeof(slot->shared));
        }
        limit_keep(b, line);
    }
}

static void read_account(struct build *pool, const struct resource_draft *of_pool,
                         const struct node *n, struct policy *policy)
{
    struct place here = {.up = pool->at, .name = n->key->text};
    struct build b = {pool->c, &here, pool->profile, &policy->resources[policy->resources_n]};
    struct resource_draft d = {.limits = NULL};
    char where[PLACE_LEN_MAX];
    if (!name_allowed(n->key->text) ||
        strlen(pool->resource->name) + n->key->text.len + 1 > NAME_LEN_MAX) {
        problem_add(b.c->problems, n->key->line,
                    "%s: with the resource's name before it, an account's has at most %d printable "
                    "bytes",
                    place_text(pool->at, where), NAME_LEN_MAX);
        return;
    }
    *b.resource = *pool->resource;
    b.resource->limits_n = 0;
    name_copy(b.resource->account, n->key->text);
    join_names(b.resource->name, pool->resource->name, '@', text_of(b.resource->account));
    section_read(b.c->problems, &here, &account_section, n, &d);
    read_limit_keys(&b, &d);
    share_limits(&b, pool->resource, n->line);
    d.price = of_pool->price;
    d.learn.estimates = of_pool->learn.estimates;
    d.learn.limits = d.learn.limits || of_pool->learn.limits;
    finish_resource(&b, &d, n->key->line);
    policy->resources_n++;
}

static void read_accounts(struct build *b, const struct resource_draft *d, struct policy *policy)
{
    struct place at = {.up = b->at, .name = TEXT("accounts")};
    struct build pool = {b->c, &at, b->profile, b->resource};
    char where[PLACE_LEN_MAX];
    if (d->accounts->kind != NODE_MAP || d->accounts->members == 0 ||
        d->accounts->members > ROUTE_STEPS_MAX) {
        problem_add(b->c->problems, d->accounts->line,
                    "%s: what is wanted is a map NAME: {…} of 1 to %d accounts",
                    place_text(&at, where), ROUTE_STEPS_MAX);
        return;
    }
    if (d->learn.adaptive_line) {
        problem_add(b->c->problems, d->learn.adaptive_line,
                    "%s.concurrency: adapts for one account alone; say so in each",
                    place_text(b->at, where));
    }
    struct route *route = &b->c->routes[b->c->routes_n++];
    memcpy(route->name, b->resource->name, sizeof(route->name));
    route->accounts = true;
    route->sticky = d->sticky.line > 0 && d->sticky.value == 1;
    for (const struct node *n = d->accounts->first; n; n = n->next) {
        size_t index = policy->resources_n;
        read_account(&pool, d, n, policy);
        if (index < policy->resources_n) {
            route->steps[route->steps_n++].resource = index;
        }
    }
}

/* --- The section. --- */

static void read_named(struct limit_context *c, const struct node *n, struct policy *policy)
{
    struct place all = {.name = TEXT("resources")};
    struct place here = {.up = &all, .name = n->key->text};
    struct resource whole = {.limits_n = 0};
    struct resource_draft d = {.limits = NULL};
    struct build b = {.c = c, .at = &here, .resource = &whole};
    char where[PLACE_LEN_MAX];
    read_resource(&b, n, &d);
    if (d.accounts) {
        read_accounts(&b, &d, policy);
        return;
    }
    if (d.sticky.line > 0) {
        problem_add(c->problems, d.sticky.line, "%s.sticky: means nothing without accounts",
                    place_text(&here, where));
    }
    finish_resource(&b, &d, n->key->line);
    policy->resources[policy->resources_n++] = whole;
}

void resources_read(struct limit_context *c, const struct node *map, struct policy *policy)
{
    struct place at = {.name = TEXT("resources")};
    if (map->members <= RESOURCES_MAX && resources_count(map) > RESOURCES_MAX) {
        problem_add(c->problems, map->line, "resources: more than %d, accounts counted one by one",
                    RESOURCES_MAX);
        return;
    }
    void *one;
    if (!map_wanted(c->problems, &at, map, RESOURCES_MAX, 1, &one)) {
        return;
    }
    free(one); /* accounts want more room than the map has members */
    policy->resources = calloc(resources_count(map) + 1, sizeof(struct resource));
    if (!policy->resources) {
        c->problems->no_memory = true;
        return;
    }
    for (const struct node *n = map->first; n; n = n->next) {
        if (name_allowed(n->key->text)) {
            read_named(c, n, policy);
        } else {
            problem_add(c->problems, n->key->line,
                        "resources: a resource's name has 1 to %d printable bytes", NAME_LEN_MAX);
        }
    }
    if (map->members == 0) {
        problem_add(c->problems, map->line, "resources: none is given; at least one is needed");
    }
}
