#include "asking.h"

#include "base/num.h"
#include "http/json.h"
#include "server/names.h"
#include "telling.h"

static int64_t ms_of(int64_t us)
{
    return min_i64(us / US_PER_MS + (us % US_PER_MS > 0), LEASE_US_MAX / US_PER_MS);
}

static void write_i64(struct json_writer *w, const char *key, int64_t n)
{
    json_key(w, key);
    json_i64(w, n);
}

static void write_text(struct json_writer *w, const char *key, struct text t)
{
    if (t.len) {
        json_key(w, key);
        json_text(w, t);
    }
}

static void write_lease(struct json_writer *w, const char *key, uint64_t lease)
{
    struct public_name name = lease_name(lease);
    json_key(w, key);
    json_text(w, public_name_text(&name));
}

#define BIT(unit)   (1u << (unit))
#define EVERY_TOKEN (BIT(UNIT_TOKENS) | BIT(UNIT_INPUT_TOKENS) | BIT(UNIT_OUTPUT_TOKENS))

/* The units of a load that are said. */
static void write_units(struct json_writer *w, const struct load *load, unsigned said)
{
    for (int u = 0; u < UNIT_COUNT; u++) {
        if (!(said & BIT(u))) {
            continue;
        }
        json_key(w, unit_name((enum unit)u));
        if (u == UNIT_USD) {
            json_picousd(w, load->of[u]);
        } else {
            json_i64(w, load->of[u]);
        }
    }
}

static void write_usage(struct json_writer *w, const struct event *e)
{
    const struct parts *parts = e->release.parts;
    json_key(w, "usage");
    json_object_begin(w);
    write_units(w, &e->release.usage,
                BIT(UNIT_REQUESTS) | EVERY_TOKEN | (e->release.has_usd ? BIT(UNIT_USD) : 0));
    if (parts) {
        write_i64(w, "cached_input_tokens", parts->of[PART_CACHE_READ]);
        write_i64(w, "cache_write_tokens", parts->of[PART_CACHE_WRITE_5M]);
    }
    json_object_end(w);
}

/* "key=value" lines. */
static void write_labels(struct json_writer *w, struct text labels)
{
    if (!labels.len) {
        return;
    }
    json_key(w, "labels");
    json_object_begin(w);
    const char *end = labels.at + labels.len;
    for (const char *at = labels.at; at < end;) {
        const char *equals = memchr(at, '=', (size_t)(end - at));
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        char key[NAME_LEN_MAX + 1] = {0};
        memcpy(key, at, (size_t)(equals - at));
        json_key(w, key);
        json_text(w, (struct text){equals + 1, (size_t)(stop - equals - 1)});
        at = stop + 1;
    }
    json_object_end(w);
}

static unsigned said_of(const struct acquire *a)
{
    unsigned said = BIT(UNIT_REQUESTS) | (a->has_usd ? BIT(UNIT_USD) : 0);
    if (a->has_input && a->has_output) {
        return said | EVERY_TOKEN;
    }
    return said | (a->has_input ? BIT(UNIT_INPUT_TOKENS) : 0);
}

/* Who knows the most output alone says so beside the load. */
static void write_open_parts(struct json_writer *w, const struct acquire *a)
{
    if (a->has_output && !a->has_input) {
        write_i64(w, "max_output_tokens", a->load.of[UNIT_OUTPUT_TOKENS]);
    }
    if (a->input_bytes) {
        write_i64(w, "input_bytes", a->input_bytes);
    }
}

static void write_acquire(struct json_writer *w, const struct acquire *a)
{
    write_text(w, "resource", a->resource);
    write_text(w, "route", a->route);
    json_key(w, "load");
    json_object_begin(w);
    write_units(w, &a->load, said_of(a));
    json_object_end(w);
    write_open_parts(w, a);
    write_i64(w, "priority", a->priority);
    write_text(w, "tenant", a->tenant);
    write_text(w, "session", a->session);
    write_labels(w, a->labels);
    write_text(w, "id", a->id);
    if (a->parent) {
        write_lease(w, "parent", a->parent);
    }
    write_i64(w, "wait_ms", ms_of(a->wait_us));
    write_i64(w, "hold_ms", ms_of(a->hold_us));
    write_i64(w, "lease_ms", ms_of(a->lease_us));
    if (a->attempts_max) {
        write_i64(w, "max_attempts", a->attempts_max);
    }
}

static void write_ticket(struct json_writer *w, uint64_t ticket)
{
    struct public_name name = ticket_name(ticket);
    json_key(w, "ticket");
    json_text(w, public_name_text(&name));
}

static void write_release(struct json_writer *w, const struct event *e, const char *provider)
{
    write_lease(w, "lease", e->release.lease);
    if (e->release.has_usage) {
        write_usage(w, e);
    }
    if (e->release.answer) {
        telling_write(w, e->release.answer, provider);
    }
}

void asking_write(struct buf *body, const struct event *e, const char *provider)
{
    struct json_writer w;
    json_writer_init(&w, body);
    if (e->kind == EVENT_RENEW) {
        struct public_name name = lease_name(e->renew.lease);
        json_text(&w, public_name_text(&name));
        return;
    }
    json_object_begin(&w);
    if (e->kind == EVENT_ACQUIRE) {
        write_acquire(&w, &e->acquire);
    } else if (e->kind == EVENT_RESUME) {
        write_ticket(&w, e->resume.ticket);
        write_i64(&w, "hold_ms", ms_of(e->resume.hold_us));
    } else if (e->kind == EVENT_RELEASE) {
        write_release(&w, e, provider);
    } else if (e->kind == EVENT_REOPEN) {
        /* The path says all. */
    } else if (e->cancel.ticket) {
        write_ticket(&w, e->cancel.ticket);
    } else {
        write_text(&w, "id", e->cancel.id);
    }
    json_object_end(&w);
}

void asking_bundle(struct buf *body, const struct buf *leases, int64_t lease_us)
{
    buf_add_str(body, "{\"leases\":[");
    buf_add_text(body, buf_text(leases));
    buf_addf(body, "],\"lease_ms\":%lld}", (long long)ms_of(lease_us));
}
