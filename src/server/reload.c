#include "server/reload.h"

#include <string.h>

#include "base/num.h"
#include "server/log.h"

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

static bool same_rules(const struct limit *a, const struct limit *b)
{
    return a->unit == b->unit && a->window == b->window && a->step == b->step &&
           a->scope == b->scope && a->exceed == b->exceed && a->charge == b->charge &&
           a->settle == b->settle && a->on_expire == b->on_expire && a->per_us == b->per_us &&
           a->burst == b->burst && a->guard_us == b->guard_us && a->slice_us == b->slice_us &&
           a->headroom_ppm == b->headroom_ppm && a->warn_ppm == b->warn_ppm &&
           strcmp(a->shared, b->shared) == 0 && strcmp(a->label, b->label) == 0;
}

static void log_amount(const char *resource, const struct limit *a, const struct limit *b)
{
    if (a->unit == UNIT_USD && b->unit == UNIT_USD) {
        log_info("changed: %s.%s from %.6f to %.6f usd", resource, a->name,
                 (double)a->amount / (double)PICOUSD_PER_USD,
                 (double)b->amount / (double)PICOUSD_PER_USD);
    } else {
        log_info("changed: %s.%s from %lld to %lld %s", resource, a->name, (long long)a->amount,
                 (long long)b->amount, unit_name(b->unit));
    }
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

static void log_resources(const struct policy *before, const struct policy *after)
{
    for (size_t i = 0; i < after->resources_n; i++) {
        const struct resource *resource = &after->resources[i];
        const struct resource *old = find_resource(before, resource->name);
        if (old) {
            log_limits(old, resource);
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
    if (before->keys_n != after->keys_n) {
        log_info("changed: %zu keys, before %zu", after->keys_n, before->keys_n);
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
