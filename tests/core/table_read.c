/* Lines to structs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "table.h"

static const char *const UNIT_WORDS[UNIT_COUNT] = {"requests", "tokens", "input",
                                                   "output",   "slots",  "usd"};

bool table_split(struct table_line *line, const char *at, size_t len)
{
    if (len >= sizeof(line->text)) {
        return false;
    }
    memcpy(line->text, at, len);
    line->text[len] = 0;
    line->words_n = 0;
    char *rest = line->text;
    for (char *word; (word = strsep(&rest, " \t\r")) && word[0] != '#';) {
        if (word[0] == 0) {
            continue;
        }
        if (line->words_n == TABLE_WORDS_MAX) {
            return false;
        }
        line->words[line->words_n++] = word;
    }
    return true;
}

const char *table_value(const struct table_line *line, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < line->words_n; i++) {
        if (strncmp(line->words[i], key, len) == 0 && line->words[i][len] == '=') {
            return line->words[i] + len + 1;
        }
    }
    return NULL;
}

static bool read_unit_of_time(const char **at, int64_t *us)
{
    static const struct {
        const char *word;
        int64_t us;
    } UNITS[] = {{"us", 1},         {"ms", US_PER_MS}, {"s", US_PER_S},
                 {"m", US_PER_MIN}, {"h", US_PER_H},   {"d", US_PER_DAY}};
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
        size_t len = strlen(UNITS[i].word);
        char after = strncmp(*at, UNITS[i].word, len) == 0 ? (*at)[len] : 'x';
        if (after == 0 || (after >= '0' && after <= '9')) {
            *at += len;
            *us = UNITS[i].us;
            return true;
        }
    }
    return false;
}

static bool read_duration(const char *text, int64_t *us)
{
    bool minus = text[0] == '-';
    text += minus;
    int64_t sum = 0;
    do {
        char *end;
        int64_t n = strtoll(text, &end, 10);
        int64_t unit = 1;
        if (end == text || n < 0 || (*end && !read_unit_of_time((const char **)&end, &unit))) {
            return false;
        }
        sum = add_sat(sum, mul_sat(n, unit));
        text = end;
    } while (*text);
    *us = minus ? -sum : sum;
    return true;
}

bool table_time(const char *text, int64_t *us)
{
    if (strcmp(text, "never") == 0) {
        *us = INT64_MAX;
        return true;
    }
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!rest) {
        return read_duration(text, us);
    }
    int64_t more = 0;
    if (*rest && (*rest != '+' || !read_duration(rest + 1, &more))) {
        return false;
    }
    *us = (int64_t)timegm(&tm) * US_PER_S + more;
    return true;
}

/* --- Words of fixed sets --- */

static bool read_word(const char *word, const char *const *words, size_t n, int *out)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = (int)i;
            return true;
        }
    }
    return false;
}

#define READ_WORD(word, words, out) read_word(word, words, sizeof(words) / sizeof(words[0]), out)

static const char *const WINDOWS[] = {"none", "rolling", "bucket", "calendar", "lifetime"};
static const char *const STEPS[] = {"second", "minute", "hour", "day", "month"};
static const char *const SCOPES[] = {"resource", "tenant", "session", "model", "label"};
static const char *const EXCEEDS[] = {"wait", "refuse", "downgrade"};
static const char *const PREFERS[] = {"first", "fastest"};
static const char *const FINALLYS[] = {"refuse", "cached", "static"};
static const char *const CHARGES[] = {"grant", "settle"};
static const char *const SETTLES[] = {"true_up", "refund_only", "keep"};
static const char *const EXPIRES[] = {"full", "input_only", "nothing"};

static bool read_word_value(const struct table_line *line, const char *key,
                            const char *const *words, size_t n, int *out)
{
    const char *value = table_value(line, key);
    return !value || read_word(value, words, n, out);
}

#define READ_WORD_VALUE(line, key, words, out)                                                     \
    read_word_value(line, key, words, sizeof(words) / sizeof(words[0]), out)

static bool read_number(const struct table_line *line, const char *key, int64_t *out)
{
    const char *value = table_value(line, key);
    if (!value) {
        return true;
    }
    char *end;
    *out = strtoll(value, &end, 10);
    return end != value && *end == 0;
}

static bool read_time(const struct table_line *line, const char *key, int64_t *out)
{
    const char *value = table_value(line, key);
    return !value || table_time(value, out);
}

static bool read_name(const struct table_line *line, const char *key, char *out)
{
    const char *value = table_value(line, key);
    if (!value) {
        return true;
    }
    if (strlen(value) > NAME_LEN_MAX) {
        return false;
    }
    strcpy(out, value);
    return true;
}

/* --- Policies --- */

bool table_is_policy_word(const struct table_line *line)
{
    static const char *const WORDS[] = {"policy", "resource", "limit", "reserve",
                                        "weight", "zone",     "caps",  "feedback",
                                        "price",  "route",    "step",  "step_price"};
    int i;
    return line->words_n && READ_WORD(line->words[0], WORDS, &i);
}

void table_policy_init(struct table_policy *p)
{
    memset(p, 0, sizeof(*p));
    p->policy.resources = p->resources;
    p->policy.weights = p->weights;
    p->policy.routes = p->routes;
    p->policy.leases_max = 1000000;
    p->policy.counters_max = 1000000;
}

/* slots_min=1 slots_max=64 percentile=75 from_provider: what is learned, and how careful estimates
 * are. */
static bool read_learning(const struct table_line *line, struct resource *r)
{
    int64_t percentile = 0;
    bool ok = read_number(line, "percentile", &percentile) &&
              read_number(line, "slots_min", &r->slots_min) &&
              read_number(line, "slots_max", &r->slots_max);
    r->output_percentile = (int32_t)percentile;
    if (line->words_n > 2 && strcmp(line->words[2], "from_provider") == 0) {
        resource_learn_limits(r, 250 * US_PER_MS);
    }
    return ok;
}

static const char *add_resource(struct table_policy *p, const struct table_line *line)
{
    if (p->policy.resources_n == TABLE_RESOURCES_MAX || line->words_n < 2 ||
        strlen(line->words[1]) > NAME_LEN_MAX) {
        return "a resource needs a name, and there may be only so many";
    }
    struct resource *r = &p->resources[p->policy.resources_n++];
    strcpy(r->name, line->words[1]);
    strcpy(r->model, line->words[1]);
    r->line_len_max = 1000000;
    r->tenant_line_len_max = 1000000;
    return read_name(line, "model", r->model) && read_name(line, "provider", r->provider) &&
                   read_name(line, "account", r->account) &&
                   read_time(line, "cooldown", &r->cooldown_us) &&
                   read_time(line, "ageing", &r->ageing_us) &&
                   read_number(line, "line", &r->line_len_max) &&
                   read_number(line, "tenant_line", &r->tenant_line_len_max) &&
                   read_learning(line, r)
               ? NULL
               : "a value of the resource cannot be read";
}

static const struct zone *find_zone(struct table_policy *p, const char *name)
{
    for (size_t i = 0; i < p->zones_n; i++) {
        if (strcmp(p->zones[i].name, name) == 0) {
            return &p->zones[i].zone;
        }
    }
    return NULL;
}

static bool read_scope(const struct table_line *line, struct limit *l)
{
    const char *value = table_value(line, "scope");
    bool label = value && strncmp(value, "label:", 6) == 0;
    if ((label || (value && strncmp(value, "route:", 6) == 0)) &&
        strlen(value + 6) <= NAME_LEN_MAX) {
        l->scope = label ? SCOPE_LABEL : SCOPE_ROUTE;
        strcpy(l->label, value + 6);
        return true;
    }
    int scope = 0;
    bool ok = !value || READ_WORD(value, SCOPES, &scope);
    l->scope = (enum scope)scope;
    return ok;
}

static bool read_rules(const struct table_line *line, struct limit *l)
{
    int exceed = 0, charge = 0, settle = 0, expire = 0, step = STEP_DAY;
    bool ok = READ_WORD_VALUE(line, "exceed", EXCEEDS, &exceed) &&
              READ_WORD_VALUE(line, "charge", CHARGES, &charge) &&
              READ_WORD_VALUE(line, "settle", SETTLES, &settle) &&
              READ_WORD_VALUE(line, "expire", EXPIRES, &expire) &&
              READ_WORD_VALUE(line, "step", STEPS, &step);
    l->exceed = (enum exceed)exceed;
    l->charge = (enum charge_rule)charge;
    l->settle = (enum settle_rule)settle;
    l->on_expire = (enum expire_rule)expire;
    l->step = (enum calendar_step)step;
    return ok;
}

static bool read_amounts(const struct table_line *line, struct limit *l)
{
    static const char *const TOLD[] = {"length", "second", "minute", "day", "month", "none"};
    int64_t headroom = 0, warn = 0;
    int headers = 0;
    bool ok = read_number(line, "amount", &l->amount) && read_number(line, "burst", &l->burst) &&
              read_time(line, "per", &l->per_us) && read_time(line, "guard", &l->guard_us) &&
              read_time(line, "slice", &l->slice_us) && read_number(line, "headroom", &headroom) &&
              read_number(line, "warn", &warn) && read_name(line, "shared", l->shared) &&
              READ_WORD_VALUE(line, "headers", TOLD, &headers);
    l->told_of = (enum told_of)headers;
    l->learned = l->amount == 0;
    l->headroom_ppm = (int32_t)headroom;
    l->warn_ppm = (int32_t)warn;
    return ok;
}

static const char *add_limit(struct table_policy *p, const struct table_line *line)
{
    if (!p->policy.resources_n || line->words_n < 4 || strlen(line->words[1]) > NAME_LEN_MAX) {
        return "a limit follows its resource and has a name, a unit and a window";
    }
    struct resource *r = &p->resources[p->policy.resources_n - 1];
    if (r->limits_n == RESOURCE_LIMITS_MAX) {
        return "too many limits";
    }
    struct limit *l = &r->limits[r->limits_n++];
    int unit, window;
    strcpy(l->name, line->words[1]);
    if (!READ_WORD(line->words[2], UNIT_WORDS, &unit) ||
        !READ_WORD(line->words[3], WINDOWS, &window) || !read_scope(line, l) ||
        !read_rules(line, l) || !read_amounts(line, l)) {
        return "a value of the limit cannot be read";
    }
    l->unit = (enum unit)unit;
    l->window = (enum window_kind)window;
    if (window == WINDOW_BUCKET && !l->burst) {
        l->burst = l->amount;
    }
    const char *zone = table_value(line, "zone");
    l->zone = zone ? find_zone(p, zone) : NULL;
    return zone && !l->zone ? "no such zone above" : NULL;
}

static const char *add_reserve(struct table_policy *p, const struct table_line *line)
{
    if (!p->policy.resources_n) {
        return "a reserve follows its resource";
    }
    struct resource *r = &p->resources[p->policy.resources_n - 1];
    if (r->reserves_n == RESERVES_MAX) {
        return "too many reserves";
    }
    struct reserve *s = &r->reserves[r->reserves_n++];
    int64_t priority = 0, share = 0;
    bool ok = read_name(line, "tenant", s->tenant) && read_number(line, "prio", &priority) &&
              read_number(line, "share", &share);
    s->priority = (int)priority;
    s->share_ppm = (int32_t)share;
    return ok ? NULL : "a value of the reserve cannot be read";
}

static const char *add_weight(struct table_policy *p, const struct table_line *line)
{
    if (p->policy.weights_n == TABLE_WEIGHTS_MAX || line->words_n != 3) {
        return "a weight is: weight TENANT N";
    }
    struct tenant_weight *w = &p->weights[p->policy.weights_n++];
    snprintf(w->tenant, sizeof(w->tenant), "%s", line->words[1]);
    w->weight = atoi(line->words[2]);
    return NULL;
}

/* zone NAME OFFSET [AT:OFFSET]…: the first offset holds from the beginning of time. */
static const char *add_zone(struct table_policy *p, const struct table_line *line)
{
    if (p->zones_n == TABLE_ZONES_MAX || line->words_n < 3 ||
        line->words_n - 2 > TABLE_CHANGES_MAX) {
        return "a zone is: zone NAME OFFSET [AT=OFFSET]…";
    }
    struct table_zone *z = &p->zones[p->zones_n++];
    snprintf(z->name, sizeof(z->name), "%s", line->words[1]);
    for (size_t i = 2; i < line->words_n; i++) {
        struct zone_change *c = &z->changes[i - 2];
        char *offset = strchr(line->words[i], '=');
        c->at_us = 0;
        if (offset) {
            *offset++ = 0;
        }
        if ((offset && !table_time(line->words[i], &c->at_us)) ||
            !table_time(offset ? offset : line->words[i], &c->offset_us)) {
            return "a change of the zone cannot be read";
        }
    }
    z->zone = (struct zone){z->changes, line->words_n - 2};
    return NULL;
}

/* feedback: the defaults, and what the line says otherwise, for the resource above. */
static const char *add_feedback(struct table_policy *p, const struct table_line *line)
{
    if (!p->policy.resources_n) {
        return "feedback follows its resource";
    }
    struct feedback *f = &p->resources[p->policy.resources_n - 1].feedback;
    *f = feedback_default;
    int64_t attempts = f->attempts_max, share = f->retry_share_ppm;
    int64_t slow = f->slow_ppm, growth = f->growth_ppm, refusals = f->breaker_refusals;
    bool ok = read_time(line, "pause", &f->pause_us) &&
              read_time(line, "backoff", &f->backoff_us) && read_time(line, "ramp", &f->ramp_us) &&
              read_time(line, "breaker", &f->breaker_us) &&
              read_time(line, "breaker_max", &f->breaker_us_max) &&
              read_time(line, "probe", &f->money_probe_us) && read_number(line, "slow", &slow) &&
              read_number(line, "attempts", &attempts) && read_number(line, "share", &share) &&
              read_number(line, "growth", &growth) && read_number(line, "refusals", &refusals);
    f->attempts_max = (int32_t)attempts;
    f->retry_share_ppm = (int32_t)share;
    f->slow_ppm = (int32_t)slow;
    f->growth_ppm = (int32_t)growth;
    f->breaker_refusals = (int32_t)refusals;
    const char *zone = table_value(line, "zone");
    f->day_zone = zone ? find_zone(p, zone) : NULL;
    return ok && (!zone || f->day_zone) ? NULL : "a value of the feedback cannot be read";
}

static bool has_flag(const struct table_line *line, const char *flag)
{
    for (size_t i = 0; i < line->words_n; i++) {
        if (strcmp(line->words[i], flag) == 0) {
            return true;
        }
    }
    return false;
}

/* Picodollars a token; tier= and over_… for long prompts. */
static const char *read_price(const struct table_line *line, struct price *price)
{
    static const char *const PARTS_WORDS[PARTS] = {"input", "read", "write", "write_1h", "output"};
    static const char *const OVER_WORDS[PARTS] = {"over_input", "over_read", "over_write",
                                                  "over_write_1h", "over_output"};
    int64_t discount = 0;
    *price = (struct price){.known = true};
    bool ok =
        read_number(line, "tier", &price->tier_start) && read_number(line, "discount", &discount);
    for (int i = 0; i < PARTS; i++) {
        ok = ok && read_number(line, PARTS_WORDS[i], &price->of[i]) &&
             read_number(line, OVER_WORDS[i], &price->over[i]);
    }
    price->discount_ppm = (int32_t)discount;
    return ok ? NULL : "a price cannot be read";
}

/* price: of the resource above; or `price given`. */
static const char *add_price(struct table_policy *p, const struct table_line *line)
{
    if (!p->policy.resources_n) {
        return "a price follows its resource";
    }
    struct resource *r = &p->resources[p->policy.resources_n - 1];
    r->price_given = has_flag(line, "given");
    return r->price_given ? NULL : read_price(line, &r->price);
}

/* step_price: of the step above. */
static const char *add_step_price(struct table_policy *p, const struct table_line *line)
{
    struct route *r = p->policy.routes_n ? &p->routes[p->policy.routes_n - 1] : NULL;
    if (!r || !r->steps_n) {
        return "a step's price follows it";
    }
    struct route_step *step = &r->steps[r->steps_n - 1];
    step->own_price = true;
    return read_price(line, &step->price);
}

/* route NAME prefer= finally= static= accounts sticky; its steps follow. */
static const char *add_route(struct table_policy *p, const struct table_line *line)
{
    if (p->policy.routes_n == TABLE_ROUTES_MAX || line->words_n < 2 ||
        strlen(line->words[1]) > NAME_LEN_MAX) {
        return "a route needs a name, and there may be only so many";
    }
    char *answer = p->static_answers[p->policy.routes_n];
    struct route *r = &p->routes[p->policy.routes_n++];
    int prefer = 0, finally = 0;
    strcpy(r->name, line->words[1]);
    bool ok = READ_WORD_VALUE(line, "prefer", PREFERS, &prefer) &&
              READ_WORD_VALUE(line, "finally", FINALLYS, &finally) &&
              read_name(line, "static", answer);
    r->prefer = (enum prefer)prefer;
    r->finally = (enum finally)finally;
    r->static_answer = answer[0] ? answer : NULL;
    r->accounts = has_flag(line, "accounts");
    r->sticky = has_flag(line, "sticky");
    return ok ? NULL : "a value of the route cannot be read";
}

/* step RESOURCE model= context= max_output= alike */
static const char *add_step(struct table_policy *p, const struct table_line *line)
{
    struct route *r = p->policy.routes_n ? &p->routes[p->policy.routes_n - 1] : NULL;
    if (!r || r->steps_n == ROUTE_STEPS_MAX || line->words_n < 2) {
        return "a step follows its route and names a resource";
    }
    struct route_step *step = &r->steps[r->steps_n++];
    while (step->resource < p->policy.resources_n &&
           strcmp(p->resources[step->resource].name, line->words[1]) != 0) {
        step->resource++;
    }
    step->alike = has_flag(line, "alike");
    return read_name(line, "model", step->model) &&
                   read_number(line, "context", &step->context_tokens) &&
                   read_number(line, "max_output", &step->max_output_tokens)
               ? NULL
               : "a value of the step cannot be read";
}

const char *table_policy_add(struct table_policy *p, const struct table_line *line)
{
    const char *word = line->words[0];
    if (strcmp(word, "policy") == 0) {
        table_policy_init(p);
        return NULL;
    }
    if (strcmp(word, "caps") == 0) {
        return read_number(line, "leases", &p->policy.leases_max) &&
                       read_number(line, "counters", &p->policy.counters_max)
                   ? NULL
                   : "a cap cannot be read";
    }
    return strcmp(word, "resource") == 0     ? add_resource(p, line)
           : strcmp(word, "limit") == 0      ? add_limit(p, line)
           : strcmp(word, "reserve") == 0    ? add_reserve(p, line)
           : strcmp(word, "weight") == 0     ? add_weight(p, line)
           : strcmp(word, "feedback") == 0   ? add_feedback(p, line)
           : strcmp(word, "price") == 0      ? add_price(p, line)
           : strcmp(word, "route") == 0      ? add_route(p, line)
           : strcmp(word, "step") == 0       ? add_step(p, line)
           : strcmp(word, "step_price") == 0 ? add_step_price(p, line)
                                             : add_zone(p, line);
}

/* --- Events --- */

uint64_t table_id(const struct table_ids *ids, const char *name)
{
    size_t i = name && name[0] ? strtoull(name + 1, NULL, 10) : 0;
    return i > 0 && i <= ids->len ? ids->ids[i - 1] : UINT64_C(0xfffffffffffff) - i;
}

static bool read_load(struct table_event *e, const struct table_line *line, struct load *load)
{
    e->given = 0;
    for (size_t u = 0; u < UNIT_COUNT; u++) {
        if (!read_number(line, UNIT_WORDS[u], &load->of[u])) {
            return false;
        }
        e->given |= table_value(line, UNIT_WORDS[u]) ? 1u << u : 0;
    }
    return true;
}

static struct text read_text(const struct table_line *line, const char *key)
{
    return text_of(table_value(line, key));
}

/* label=key:value words become "key=value" lines. */
static void read_labels(struct table_event *e, const struct table_line *line)
{
    size_t len = 0;
    for (size_t i = 0; i < line->words_n; i++) {
        if (strncmp(line->words[i], "label=", 6) == 0) {
            const char *value = strchr(line->words[i] + 6, ':');
            len += (size_t)snprintf(e->labels + len, sizeof(e->labels) - len, "%s%.*s=%s",
                                    len ? "\n" : "", (int)(value ? value - line->words[i] - 6 : 0),
                                    line->words[i] + 6, value ? value + 1 : "");
        }
    }
    e->event.acquire.labels = (struct text){e->labels, len};
}

const char *table_acquire_read(struct table_event *e, const struct table_line *line, size_t first,
                               const struct table_names *names)
{
    struct acquire *a = &e->event.acquire;
    if (line->words_n <= first) {
        return "an acquire names its resource";
    }
    bool by_route = strncmp(line->words[first], "route=", 6) == 0;
    a->resource = by_route ? TEXT_NONE : text_of(line->words[first]);
    a->route = by_route ? text_of(line->words[first] + 6) : TEXT_NONE;
    a->wait_us = US_PER_MIN;
    a->lease_us = US_PER_MIN;
    a->hold_us = 2 * WAIT_US_MAX;
    int64_t priority = PRIORITY_DEFAULT, attempts = 0;
    a->tenant = read_text(line, "tenant");
    a->session = read_text(line, "session");
    a->id = read_text(line, "id");
    const char *parent = table_value(line, "parent");
    a->parent = parent ? table_id(&names->leases, parent) : 0;
    read_labels(e, line);
    bool ok = read_load(e, line, &a->load) && read_number(line, "prio", &priority) &&
              read_number(line, "attempts", &attempts) && read_time(line, "wait", &a->wait_us) &&
              read_time(line, "hold", &a->hold_us) && read_time(line, "lease", &a->lease_us);
    a->priority = (int)priority;
    a->attempts_max = (int32_t)attempts;
    load_complete(&a->load, e->given);
    a->has_usd = e->given & 1u << UNIT_USD;
    unsigned total = e->given & 1u << UNIT_TOKENS;
    a->has_input = total || e->given & 1u << UNIT_INPUT_TOKENS;
    a->has_output = total || e->given & 1u << UNIT_OUTPUT_TOKENS;
    ok = ok && read_number(line, "bytes", &a->input_bytes);
    return ok ? NULL : "a value of the acquire cannot be read";
}

/* p_input=70 p_read=30 p_output=5: tokens by what they cost apart */
static bool read_parts(struct table_event *e, const struct table_line *line)
{
    static const char *const WORDS[PARTS] = {"p_input", "p_read", "p_write", "p_write_1h",
                                             "p_output"};
    e->event.release.has_usd = e->given & 1u << UNIT_USD;
    for (int i = 0; i < PARTS; i++) {
        if (!read_number(line, WORDS[i], &e->parts.of[i])) {
            return false;
        }
        if (table_value(line, WORDS[i])) {
            e->event.release.parts = &e->parts;
        }
    }
    return true;
}

/* reading=tokens:minute:limit:remaining[:grain], for each header; -1: it does not say. */
static bool read_reading(struct answer *a, const char *value)
{
    static const char *const SPANS[] = {"second", "minute", "day", "month"};
    char unit[16], span[16];
    long long limit, remaining, grain = 1;
    int u, s;
    int n = sscanf(value, "%15[^:]:%15[^:]:%lld:%lld:%lld", unit, span, &limit, &remaining, &grain);
    if (n < 4 || a->readings_n == READINGS_MAX || !READ_WORD(unit, UNIT_WORDS, &u) ||
        !READ_WORD(span, SPANS, &s)) {
        return false;
    }
    a->readings[a->readings_n++] = (struct reading){
        .unit = (enum unit)u,
        .span = (enum reading_span)s,
        .limit = limit,
        .remaining = remaining,
        .grain = grain,
        .reset_us = -1,
    };
    return true;
}

static bool read_readings(struct answer *a, const struct table_line *line)
{
    for (size_t i = 0; i < line->words_n; i++) {
        if (strncmp(line->words[i], "reading=", 8) == 0 && !read_reading(a, line->words[i] + 8)) {
            return false;
        }
    }
    return read_time(line, "elapsed", &a->elapsed_us);
}

/* class=wait retry=20s resend=no reason=rate_limit_exceeded unreached */
static bool read_answer(struct table_event *e, const struct table_line *line)
{
    const char *class = table_value(line, "class");
    const char *resend = table_value(line, "resend");
    struct answer *a = &e->answer;
    *a = (struct answer){.reached = true, .retry_after_us = -1};
    a->reason = read_text(line, "reason");
    a->resend = !resend ? RESEND_UNSAID : strcmp(resend, "no") == 0 ? RESEND_NO : RESEND_YES;
    for (size_t i = 0; i < line->words_n; i++) {
        a->reached = a->reached && strcmp(line->words[i], "unreached") != 0;
    }
    while (class && a->class < ANSWER_CLASSES && strcmp(class, answer_class_name(a->class)) != 0) {
        a->class ++;
    }
    e->event.release.answer = class || table_value(line, "reading") ? a : NULL;
    return read_readings(a, line) && a->class < ANSWER_CLASSES &&
           read_time(line, "retry", &a->retry_after_us);
}

static const char *read_kind(struct table_event *e, const struct table_line *line,
                             const struct table_names *names)
{
    struct event *ev = &e->event;
    const char *target = line->words_n > 3 ? line->words[3] : "";
    switch (ev->kind) {
    case EVENT_ACQUIRE: return table_acquire_read(e, line, 3, names);
    case EVENT_RESUME:
        ev->resume.ticket = table_id(&names->tickets, target);
        ev->resume.hold_us = 2 * WAIT_US_MAX;
        return read_time(line, "hold", &ev->resume.hold_us) ? NULL : "hold= cannot be read";
    case EVENT_CANCEL:
        ev->cancel.id = read_text(line, "id");
        ev->cancel.ticket = target[0] == 'T' ? table_id(&names->tickets, target) : 0;
        ev->cancel.lease = target[0] == 'L' ? table_id(&names->leases, target) : 0;
        return NULL;
    case EVENT_RELEASE:
        ev->release.lease = table_id(&names->leases, target);
        return read_load(e, line, &ev->release.usage) && read_parts(e, line) && read_answer(e, line)
                   ? NULL
                   : "the usage or the answer cannot be read";
    case EVENT_RENEW:
        ev->renew.lease = table_id(&names->leases, target);
        ev->renew.lease_us = US_PER_MIN;
        return read_time(line, "lease", &ev->renew.lease_us) ? NULL : "lease= cannot be read";
    case EVENT_BUDGET:
        ev->budget.resource = text_of(target);
        ev->budget.limit = read_text(line, "limit");
        ev->budget.scope_key = read_text(line, "key");
        ev->budget.amount = INT64_MAX;
        return read_number(line, "n", &ev->budget.amount) ? NULL : "n= cannot be read";
    case EVENT_REOPEN: ev->reopen.resource = text_of(target); return NULL;
    case EVENT_CLOCK: return table_time(target, &ev->skew_us) ? NULL : "the skew cannot be read";
    default: return NULL;
    }
}

const char *table_event_read(struct table_event *e, const struct table_line *line,
                             const struct table_names *names)
{
    static const char *const KINDS[] = {"tick",      "acquire", "resume", "hangup",
                                        "cancel",    "release", "renew",  "clock",
                                        "configure", "reopen",  "budget", "drain"};
    memset(e, 0, sizeof(*e));
    int kind;
    int64_t caller = 0;
    if (line->words_n < 3 || !table_time(line->words[1], &e->event.now_us) ||
        !READ_WORD(line->words[2], KINDS, &kind) || !read_number(line, "caller", &caller)) {
        return "an event is: at TIME KIND …";
    }
    e->event.kind = (enum event_kind)kind;
    e->event.caller = (caller_id)caller;
    e->event.tenant = read_text(line, "tenant");
    e->event.any_tenant = !table_value(line, "tenant");
    return read_kind(e, line, names);
}
