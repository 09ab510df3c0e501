#include "config/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/hint.h"
#include "config/price.h"
#include "config/resource.h"
#include "config/words.h"
#include "price/find.h"

#define ANSWER_LEN_MAX 65536
#define STEP_TAKES     "a resource's name, or {resource: NAME, model, max_tokens, context, price}"
#define FINALLY_TAKES  "refuse, cached, or {static: TEXT}"

struct route_draft {
    const struct node *try, *finally, *limits;
    struct setting prefer;
};

#define AT(member) offsetof(struct route_draft, member)

static const struct key_row route_rows[] = {
    {"try", read_node, AT(try), NULL, 0, 0, "a list of at most 8, each " STEP_TAKES, "required",
     "The resources in the order in which they are tried; of a resource with accounts, all of "
     "these."},
    {"prefer", read_choice, AT(prefer), prefer_words, 0, 0, "one of first, fastest", "first",
     "Which of those that can serve in time does: the first, or the one with the least to wait."},
    {"finally", read_node, AT(finally), NULL, 0, 0, FINALLY_TAKES, "refuse",
     "What a caller is told to take when none can serve."},
    {"limits", read_node, AT(limits), NULL, 0, 0, "a list of limits", "none",
     "Limits on what comes by this route, over all of its resources."},
};

#undef AT

const struct section route_section = {"Routes (`routes.NAME`)", route_rows,
                                      sizeof(route_rows) / sizeof(route_rows[0]),
                                      "{try: [gpt-4o, gpt-4o-mini]}"};

struct step_draft {
    struct word resource, model;
    struct setting max_tokens, context;
    const struct node *price;
};

#define AT(member) offsetof(struct step_draft, member)

static const struct key_row step_rows[] = {
    {"resource", read_name, AT(resource), NULL, 0, 0, "a resource's name", "required",
     "What is tried."},
    {"model", read_name, AT(model), NULL, 0, 0, "a name of 1 to 128 printable bytes",
     "the resource's model", "The model that a grant names."},
    {"max_tokens", read_amount, AT(max_tokens), NULL, 1, AMOUNT_MAX, "a number of tokens, as in 4k",
     "no cap", "A request that asks for more output asks for this here."},
    {"context", read_amount, AT(context), NULL, 1, AMOUNT_MAX, "a number of tokens, as in 128k",
     "the model's in the table of prices", "Input and output of a request must fit in it."},
    {"price", read_node, AT(price), NULL, 0, 0,
     "the name of a model in the table of prices, or a map of keys",
     "the model's in the table of prices; without a `model`, the resource's",
     "What tokens cost at this step, see \"Prices\"."},
};

#undef AT

const struct section step_section = {"Steps (`routes.NAME.try[]`)", step_rows,
                                     sizeof(step_rows) / sizeof(step_rows[0]),
                                     "{resource: gpt-4o, max_tokens: 4k}"};

/* One route being built. */
struct build {
    struct limit_context *c;
    const struct place *at;
    struct policy *policy;
    struct route *route;
};

/* --- Steps. --- */

static const char *resource_name(const void *names, size_t i)
{
    return ((const struct resource *)names)[i].name;
}

/* The model's context, where the tables know it. */
static int64_t known_context(const struct build *b, const struct resource *r, const char *model)
{
    const struct price_row *row;
    enum price_found found =
        price_find(b->c->tables, b->c->tables_n, text_of(r->provider), text_of(model), &row);
    return found == PRICE_FOUND ? row->context_tokens : 0;
}

static void fill_step(struct build *b, const struct place *at, int line, const struct step_draft *d,
                      struct route_step *step)
{
    const struct resource *r = &b->policy->resources[step->resource];
    step->max_output_tokens = d->max_tokens.value;
    name_copy(step->model, d->model.line > 0 ? d->model.text : TEXT_NONE);
    step->context_tokens = d->context.line > 0
                               ? d->context.value
                               : known_context(b, r, step->model[0] ? step->model : r->model);
    if (d->price || (step->model[0] && !r->price_given)) {
        price_build_step(b->c, at, line, d->price, r, step);
    }
}

static void add_step(struct build *b, const struct place *at, int line, const struct step_draft *d,
                     size_t index, bool alike)
{
    struct route *route = b->route;
    const struct resource *r = &b->policy->resources[index];
    char where[PLACE_LEN_MAX];
    for (size_t i = 0; i < route->steps_n; i++) {
        if (route->steps[i].resource == index) {
            problem_add(b->c->problems, line,
                        "%s: \"%s\" is tried twice; for another model of the same account give "
                        "it a resource of its own, whose limits are `shared`",
                        place_text(at, where), r->name);
            return;
        }
    }
    if (route->steps_n == ROUTE_STEPS_MAX) {
        problem_add(b->c->problems, line, "%s: more than %d resources, with all accounts",
                    place_text(b->at, where), ROUTE_STEPS_MAX);
        return;
    }
    struct route_step *step = &route->steps[route->steps_n++];
    step->resource = index;
    step->alike = alike;
    fill_step(b, at, line, d, step);
}

static const struct route *pool_named(const struct limit_context *c, struct text name)
{
    for (size_t i = 0; i < c->routes_n; i++) {
        if (c->routes[i].accounts && text_equal(name, text_of(c->routes[i].name))) {
            return &c->routes[i];
        }
    }
    return NULL;
}

static void resolve_step(struct build *b, const struct place *at, int line,
                         const struct step_draft *d)
{
    const struct policy *p = b->policy;
    const struct route *pool = pool_named(b->c, d->resource.text);
    char where[PLACE_LEN_MAX];
    for (size_t i = 0; pool && i < pool->steps_n; i++) {
        add_step(b, at, line, d, pool->steps[i].resource, i > 0);
    }
    for (size_t i = 0; !pool && i < p->resources_n; i++) {
        if (text_equal(d->resource.text, text_of(p->resources[i].name))) {
            add_step(b, at, line, d, i, false);
            return;
        }
    }
    if (!pool) {
        struct hint hint = hint_name(d->resource.text, resource_name, p->resources, p->resources_n);
        problem_add(b->c->problems, line, "%s: no resource is called \"%.*s\"%s",
                    place_text(at, where), shown_len(d->resource.text), d->resource.text.at,
                    hint.text);
    }
}

static void read_step(struct build *b, const struct place *at, const struct node *n)
{
    struct step_draft d = {.max_tokens = {0}};
    struct problems *p = b->c->problems;
    size_t found = p->found;
    char where[PLACE_LEN_MAX];
    if (n->kind == NODE_MAP) {
        section_read(p, at, &step_section, n, &d);
        if (!d.resource.line) {
            problem_add(p, n->line, "%s: \"resource\" is missing", place_text(at, where));
        }
    } else if (node_says(p, at, n, STEP_TAKES)) {
        d.resource = (struct word){n->text, n->line};
    }
    if (found == p->found) {
        resolve_step(b, at, n->line, &d);
    }
}

static void read_steps(struct build *b, const struct node *list, int line)
{
    struct place at = {.up = b->at, .name = TEXT("try")};
    char where[PLACE_LEN_MAX];
    size_t index = 0;
    if (!list || (list->kind == NODE_LIST && !list->first)) {
        problem_add(b->c->problems, list ? list->line : line,
                    "%s: \"try\" names the resources to try, as in [gpt-4o, gpt-4o-mini]",
                    place_text(b->at, where));
        return;
    }
    if (list_wanted(b->c->problems, &at, list,
                    "a list of resources, as in [gpt-4o, gpt-4o-mini]")) {
        for (const struct node *n = list->first; n; n = n->next) {
            struct place here = {.up = &at, .index = ++index};
            read_step(b, &here, n);
        }
    }
}

/* --- The end. --- */

struct finally_draft {
    struct word text;
};

static const struct key_row finally_rows[] = {
    {"static", read_word, offsetof(struct finally_draft, text), NULL, 0, 0, "a text", "required",
     "The answer."},
};

static const struct section finally_section = {"", finally_rows, 1, "{static: \"…\"}"};

static void read_static(struct build *b, const struct place *at, const struct node *map,
                        char **answer)
{
    struct finally_draft d = {.text = {.line = 0}};
    struct problems *p = b->c->problems;
    char where[PLACE_LEN_MAX];
    section_read(p, at, &finally_section, map, &d);
    if (d.text.line > 0 && d.text.text.len <= ANSWER_LEN_MAX) {
        *answer = strndup(d.text.text.at, d.text.text.len);
        p->no_memory |= !*answer;
        b->route->finally = FINALLY_STATIC;
        b->route->static_answer = *answer;
    } else if (d.text.line >= 0) {
        problem_add(p, map->line, "%s: what is wanted is {static: TEXT}, of at most %d bytes",
                    place_text(at, where), ANSWER_LEN_MAX);
    }
}

static void read_finally(struct build *b, const struct node *n, char **answer)
{
    struct place at = {.up = b->at, .name = TEXT("finally")};
    char where[PLACE_LEN_MAX];
    if (!n) {
        return;
    }
    if (n->kind == NODE_MAP) {
        read_static(b, &at, n, answer);
    } else if (!node_says(b->c->problems, &at, n, FINALLY_TAKES)) {
        return;
    } else if (text_equal(n->text, text_of(finally_words[FINALLY_CACHED]))) {
        b->route->finally = FINALLY_CACHED;
    } else if (!text_equal(n->text, text_of(finally_words[FINALLY_REFUSE]))) {
        struct hint hint = hint_name(n->text, choice_name, finally_words, FINALLY_STATIC);
        problem_add(b->c->problems, n->line, "%s: \"%.*s\" is not " FINALLY_TAKES "%s",
                    place_text(&at, where), shown_len(n->text), n->text.at, hint.text);
    }
}

/* --- Limits. --- */

/* One pool over all of the route's resources, which only its own requests count in. */
static void add_limit(struct build *b, const struct place *at, int line, const struct limit *limit)
{
    char where[PLACE_LEN_MAX];
    for (size_t i = 0; i < b->route->steps_n; i++) {
        size_t index = b->route->steps[i].resource;
        struct resource *r = &b->policy->resources[index];
        if (r->limits_n == RESOURCE_LIMITS_MAX) {
            problem_add(b->c->problems, line, "%s: \"%s\" would have more than %d limits",
                        place_text(at, where), r->name, RESOURCE_LIMITS_MAX);
            return;
        }
        r->limits[r->limits_n++] = *limit;
        const struct route_step *step = &b->route->steps[i];
        bool known = step->own_price ? step->price.known : r->price.known || r->price_given;
        if (limit->unit == UNIT_USD && !known) {
            price_missing(b->c->problems, at, line, step->model[0] ? step->model : r->model);
        }
    }
}

static void read_limit(struct build *b, const struct place *at, const struct node *n)
{
    struct limit_draft draft = {.line = n->line, .keys = n->members};
    struct problems *p = b->c->problems;
    struct limit limit;
    size_t found = p->found;
    char where[PLACE_LEN_MAX];
    section_read(p, at, &limit_section, n, &draft);
    draft.broken = found != p->found;
    if (n->kind != NODE_MAP) {
        return;
    }
    if (draft.shared.line || draft.scope.line) {
        problem_add(p, n->line,
                    "%s: a route's limit has neither \"scope\" nor \"shared\": it counts what "
                    "comes by the route",
                    place_text(at, where));
        return;
    }
    if (!limit_build(b->c, at, &draft, NULL, &limit)) {
        return;
    }
    limit.scope = SCOPE_ROUTE;
    memcpy(limit.label, b->route->name, sizeof(limit.label));
    char name[2 * NAME_LEN_MAX + 8];
    int len = snprintf(name, sizeof(name), "%s/%s", b->route->name, limit.name);
    if (len > NAME_LEN_MAX) {
        problem_add(p, n->line,
                    "%s: with the route's name before it, a limit's has at most %d bytes",
                    place_text(at, where), NAME_LEN_MAX);
        return;
    }
    name_copy(limit.name, text_of(name));
    name_copy(limit.shared, text_of(name));
    add_limit(b, at, n->line, &limit);
}

static void read_limits(struct build *b, const struct node *list)
{
    struct place at = {.up = b->at, .name = TEXT("limits")};
    size_t index = 0;
    if (list && list_wanted(b->c->problems, &at, list, "a list of limits")) {
        for (const struct node *n = list->first; n; n = n->next) {
            struct place here = {.up = &at, .index = ++index};
            read_limit(b, &here, n);
        }
    }
}

/* --- The section. --- */

bool routes_begin(struct limit_context *c, const struct node *resources, const struct node *routes,
                  struct owned *owned)
{
    size_t n = resources ? pools_count(resources) : 0;
    c->resources_node = resources;
    c->routes_node = routes;
    n += routes && routes->kind == NODE_MAP ? routes->members : 0;
    if (n > ROUTES_MAX) {
        problem_add(c->problems, routes ? routes->line : resources->line,
                    "more than %d routes and pools of accounts", ROUTES_MAX);
        return false;
    }
    owned->routes = calloc(n + 1, sizeof(struct route));
    owned->answers = calloc(n + 1, sizeof(char *));
    if (!owned->routes || !owned->answers) {
        c->problems->no_memory = true;
        return false;
    }
    c->routes = owned->routes;
    return true;
}

static bool name_free(const struct build *b, struct text name)
{
    bool taken = pool_named(b->c, name) != NULL;
    for (size_t i = 0; i < b->policy->resources_n; i++) {
        taken = taken || text_equal(name, text_of(b->policy->resources[i].name));
    }
    return !taken;
}

static void read_route(struct limit_context *c, const struct node *n, struct policy *policy,
                       struct owned *owned)
{
    struct place all = {.name = TEXT("routes")};
    struct place here = {.up = &all, .name = n->key->text};
    struct build b = {c, &here, policy, &c->routes[c->routes_n]};
    struct route_draft d = {.try = NULL};
    char where[PLACE_LEN_MAX];
    if (!name_allowed(n->key->text)) {
        problem_add(c->problems, n->key->line, "routes: a route's name has 1 to %d printable bytes",
                    NAME_LEN_MAX);
        return;
    }
    if (!name_free(&b, n->key->text)) {
        problem_add(c->problems, n->key->line, "%s: a resource has that name",
                    place_text(&here, where));
        return;
    }
    name_copy(b.route->name, n->key->text);
    section_read(c->problems, &here, &route_section, n, &d);
    if (n->kind == NODE_MAP) {
        read_steps(&b, d.try, n->line);
        b.route->prefer = d.prefer.value == 1 ? PREFER_FASTEST : PREFER_FIRST;
        read_finally(&b, d.finally, &owned->answers[c->routes_n]);
        read_limits(&b, d.limits);
    }
    c->routes_n++;
}

void routes_read(struct limit_context *c, const struct node *map, struct policy *policy,
                 struct owned *owned)
{
    if (map && map->kind != NODE_MAP) {
        problem_add(c->problems, map->line, "routes: what is wanted is a map, NAME: {…}");
        return;
    }
    for (const struct node *n = map ? map->first : NULL; n; n = n->next) {
        read_route(c, n, policy, owned);
    }
    policy->routes = c->routes;
    policy->routes_n = c->routes_n;
}
