#include "server/reload.h"

#include <string.h>

#include "base/buf.h"
#include "config/show.h"
#include "server/log.h"

#define MEANING_BYTES_MAX (16u << 10)

static const struct resource *find_resource(const struct policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->resources_n; i++) {
        if (strcmp(policy->resources[i].name, name) == 0) {
            return &policy->resources[i];
        }
    }
    return NULL;
}

static const struct limit *find_limit(const struct resource *resource, const char *name)
{
    for (size_t i = 0; i < resource->limits_n; i++) {
        if (strcmp(resource->limits[i].name, name) == 0) {
            return &resource->limits[i];
        }
    }
    return NULL;
}

/* --- Meanings: what is shown of two things is the same where they mean the same. --- */

struct meanings {
    struct buf before;
    struct buf after;
};

static void meanings_init(struct meanings *m)
{
    buf_init(&m->before, MEANING_BYTES_MAX);
    buf_init(&m->after, MEANING_BYTES_MAX);
}

/* Whether they differ. What memory did not hold is taken to have changed. */
static bool meanings_differ(struct meanings *m)
{
    return m->before.failed || m->after.failed ||
           !text_equal(buf_text(&m->before), buf_text(&m->after));
}

/* Says what is new, if it is, and ends them. */
static void log_meanings(struct meanings *m, const char *name, const char *what)
{
    if (meanings_differ(m)) {
        log_info("changed: %s%s%s", name, what, m->after.len ? m->after.at : "");
    }
    buf_release(&m->before);
    buf_release(&m->after);
}

/* --- Limits. --- */

static bool same_rules(const struct limit *a, const struct limit *b)
{
    struct meanings m;
    struct limit like = *a;
    like.amount = b->amount;
    meanings_init(&m);
    show_limit(&m.before, &like);
    show_limit(&m.after, b);
    bool same = !meanings_differ(&m);
    buf_release(&m.before);
    buf_release(&m.after);
    return same;
}

static void log_amount(const char *resource, const struct limit *a, const struct limit *b)
{
    struct buf words;
    buf_init(&words, MEANING_BYTES_MAX);
    show_amount(&words, a->unit, a->amount);
    buf_add_str(&words, " to ");
    show_amount(&words, b->unit, b->amount);
    log_info("changed: %s.%s from %s %s", resource, a->name, words.len ? words.at : "",
             unit_name(b->unit));
    buf_release(&words);
}

static void log_limits(const struct resource *before, const struct resource *after)
{
    for (size_t i = 0; i < after->limits_n; i++) {
        const struct limit *limit = &after->limits[i];
        const struct limit *old = find_limit(before, limit->name);
        if (!old) {
            log_info("changed: %s.%s is new", after->name, limit->name);
        } else if (old->amount != limit->amount) {
            log_amount(after->name, old, limit);
        } else if (!same_rules(old, limit)) {
            log_info("changed: %s.%s has other rules", after->name, limit->name);
        }
    }
    for (size_t i = 0; i < before->limits_n; i++) {
        if (!find_limit(after, before->limits[i].name)) {
            log_info("changed: %s.%s is gone", after->name, before->limits[i].name);
        }
    }
}

/* --- Resources and routes. --- */

static bool same_line(const struct resource *a, const struct resource *b)
{
    bool same = a->ageing_us == b->ageing_us && a->line_len_max == b->line_len_max &&
                a->tenant_line_len_max == b->tenant_line_len_max &&
                a->output_percentile == b->output_percentile && a->slots_min == b->slots_min &&
                a->slots_max == b->slots_max && a->reserves_n == b->reserves_n;
    for (size_t i = 0; same && i < a->reserves_n; i++) {
        same = strcmp(a->reserves[i].tenant, b->reserves[i].tenant) == 0 &&
               a->reserves[i].priority == b->reserves[i].priority &&
               a->reserves[i].share_ppm == b->reserves[i].share_ppm;
    }
    return same && strcmp(a->model, b->model) == 0 && strcmp(a->provider, b->provider) == 0;
}

static void log_settings(const struct resource *before, const struct resource *after)
{
    struct meanings m;
    meanings_init(&m);
    show_price(&m.before, &before->price);
    show_price(&m.after, &after->price);
    log_meanings(&m, after->name, ": price ");
    meanings_init(&m);
    show_feedback(&m.before, before);
    show_feedback(&m.after, after);
    log_meanings(&m, after->name, ": feedback ");
    if (!same_line(before, after)) {
        log_info("changed: %s has other settings", after->name);
    }
}

static const struct route *find_route(const struct policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->routes_n; i++) {
        if (strcmp(policy->routes[i].name, name) == 0) {
            return &policy->routes[i];
        }
    }
    return NULL;
}

static void log_routes(const struct policy *before, const struct policy *after)
{
    for (size_t i = 0; i < after->routes_n; i++) {
        const struct route *route = &after->routes[i];
        const struct route *old = find_route(before, route->name);
        struct meanings m;
        meanings_init(&m);
        if (old) {
            show_route(&m.before, before, old);
        }
        show_route(&m.after, after, route);
        log_meanings(&m, "route ", "");
    }
    for (size_t i = 0; i < before->routes_n; i++) {
        if (!find_route(after, before->routes[i].name)) {
            log_info("changed: route %s is gone", before->routes[i].name);
        }
    }
}

static void log_resources(const struct policy *before, const struct policy *after)
{
    for (size_t i = 0; i < after->resources_n; i++) {
        const struct resource *resource = &after->resources[i];
        const struct resource *old = find_resource(before, resource->name);
        if (old) {
            log_limits(old, resource);
            log_settings(old, resource);
        } else {
            log_info("changed: resource %s is new", resource->name);
        }
    }
    for (size_t i = 0; i < before->resources_n; i++) {
        if (!find_resource(after, before->resources[i].name)) {
            log_info("changed: resource %s is gone", before->resources[i].name);
        }
    }
}

/* --- The rest. --- */

static bool same_keys(const struct config *a, const struct config *b)
{
    bool same = a->keys_n == b->keys_n;
    for (size_t i = 0; same && i < a->keys_n; i++) {
        const struct api_key *k = &a->keys[i], *l = &b->keys[i];
        same = strcmp(k->name, l->name) == 0 && strcmp(k->tenant, l->tenant) == 0 &&
               memcmp(k->hash, l->hash, sizeof(k->hash)) == 0 && k->rights == l->rights;
    }
    return same;
}

static bool same_listens(const struct config *a, const struct config *b)
{
    if (a->listens_n != b->listens_n) {
        return false;
    }
    for (size_t i = 0; i < a->listens_n; i++) {
        if (strcmp(a->listens[i], b->listens[i]) != 0) {
            return false;
        }
    }
    return true;
}

static bool same_caps(const struct config *a, const struct config *b)
{
    return a->connections_max == b->connections_max && a->body_bytes_max == b->body_bytes_max &&
           a->header_bytes_max == b->header_bytes_max &&
           a->header_timeout_us == b->header_timeout_us &&
           a->body_timeout_us == b->body_timeout_us && a->idle_timeout_us == b->idle_timeout_us;
}

void reload_log_changes(const struct config *before, const struct config *after)
{
    log_resources(&before->policy, &after->policy);
    log_routes(&before->policy, &after->policy);
    if (!same_keys(before, after)) {
        log_info("changed: the keys, %zu of them, before %zu", after->keys_n, before->keys_n);
    }
    if (!same_listens(before, after)) {
        log_warn("`listen` has changed: that needs a restart");
    }
    if (strcmp(before->store, after->store) != 0 || before->durability != after->durability) {
        log_warn("`store` or `durability` has changed: that needs a restart");
    }
    if (!same_caps(before, after)) {
        log_warn("caps or timeouts of connections have changed: that needs a restart");
    }
}
