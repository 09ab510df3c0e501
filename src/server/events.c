#include "server/events.h"

#include <stdlib.h>

#include "base/map.h"

#define FRAME_BYTES_MAX (64u << 10)

static const char *const kind_names[NOTICE_KINDS] = {
    [NOTICE_GRANTED] = "granted", [NOTICE_SETTLED] = "settled", [NOTICE_REFUSED] = "refused",
    [NOTICE_EXPIRED] = "expired", [NOTICE_STATE] = "state",     [NOTICE_ALERT] = "alert",
    [NOTICE_CONFIG] = "config",   [NOTICE_STORE] = "store",
};

struct listener {
    struct list node;
    struct events *events;
    struct http_request *req;
    unsigned kinds;
    bool bound;
    bool cut; /* its stream is full, and its end is under way */
    char resource[NAME_LEN_MAX];
    size_t resource_len;
    char tenant[NAME_LEN_MAX];
    size_t tenant_len;
};

void events_init(struct events *events)
{
    *events = (struct events){0};
    list_init(&events->listeners);
}

static struct listener *listener_of(struct list *node)
{
    return CONTAINER_OF(node, struct listener, node);
}

static void recount(struct events *events)
{
    events->kinds = 0;
    for (struct list *n = events->listeners.next; n != &events->listeners; n = n->next) {
        events->kinds |= listener_of(n)->kinds;
    }
}

static void listener_free(struct listener *l)
{
    struct events *events = l->events;
    list_remove(&l->node);
    events->listeners_n--;
    recount(events);
    free(l);
}

static void listener_gone(void *ctx)
{
    listener_free(ctx);
}

void events_close(struct events *events)
{
    struct list *node;
    while ((node = list_first(&events->listeners)) != NULL) {
        struct listener *l = listener_of(node);
        http_stream_end(l->req);
        listener_free(l);
    }
}

static struct listener *listener_new(struct events *events, struct text resource,
                                     struct text tenant)
{
    if (resource.len > NAME_LEN_MAX || tenant.len > NAME_LEN_MAX) {
        return NULL;
    }
    struct listener *l = calloc(1, sizeof(*l));
    if (!l) {
        return NULL;
    }
    l->events = events;
    l->resource_len = resource.len;
    l->tenant_len = tenant.len;
    if (resource.len) {
        memcpy(l->resource, resource.at, resource.len);
    }
    if (tenant.len) {
        memcpy(l->tenant, tenant.at, tenant.len);
    }
    return l;
}

int events_listen(struct events *events, struct http_request *req, struct text resource,
                  unsigned kinds, struct text tenant, bool bound)
{
    if (events->listeners_n == LISTENERS_MAX) {
        return ERR_OVER_CAP;
    }
    struct listener *l = listener_new(events, resource, tenant);
    if (!l) {
        return ERR_NO_MEMORY;
    }
    l->kinds = kinds;
    l->bound = bound;
    l->req = req;
    list_append(&events->listeners, &l->node);
    events->listeners_n++;
    recount(events);
    http_request_park(req, listener_gone, l);
    http_reply_header(req, "Cache-Control", "no-store");
    http_stream_begin(req, 200, "text/event-stream");
    (void)http_stream_write(req, TEXT(": listening\n\n"));
    return 0;
}

static bool read_kind(struct text name, unsigned *kinds)
{
    for (int kind = 0; kind < NOTICE_KINDS; kind++) {
        if (text_equal(text_of(kind_names[kind]), name)) {
            *kinds |= 1u << kind;
            return true;
        }
    }
    return false;
}

bool events_read_kinds(struct text names, unsigned *kinds)
{
    unsigned found = 0;
    for (;;) {
        const char *comma = names.len ? memchr(names.at, ',', names.len) : NULL;
        size_t len = comma ? (size_t)(comma - names.at) : names.len;
        if (!read_kind((struct text){names.at, len}, &found)) {
            return false;
        }
        if (!comma) {
            break;
        }
        names = (struct text){comma + 1, names.len - len - 1};
    }
    *kinds = found;
    return true;
}

static bool wants(const struct listener *l, const struct notice *notice)
{
    if (l->cut || !(l->kinds & 1u << notice->kind)) {
        return false;
    }
    if (l->bound && (!notice->of_tenant ||
                     !text_equal((struct text){l->tenant, l->tenant_len}, notice->tenant))) {
        return false;
    }
    struct text resource = {l->resource, l->resource_len};
    return resource.len == 0 || text_equal(resource, notice->resource);
}

/* Writing to a listener may end it, so the next one is found first. */
static void tell_each(struct events *events, const struct notice *notice, struct text frame)
{
    struct list *next;
    for (struct list *n = events->listeners.next; n != &events->listeners; n = next) {
        next = n->next;
        struct listener *l = listener_of(n);
        if (notice ? !wants(l, notice) : l->cut) {
            continue;
        }
        l->cut = true;
        struct http_request *req = l->req;
        if (http_stream_write(req, frame)) {
            l->cut = false;
        } else {
            events->cut++;
        }
    }
}

void events_tell(struct events *events, const struct notice *notice, struct text data)
{
    struct buf frame;
    buf_init(&frame, FRAME_BYTES_MAX);
    buf_addf(&frame, "event: %s\ndata: ", kind_names[notice->kind]);
    buf_add_text(&frame, data);
    buf_add_str(&frame, "\n\n");
    if (!frame.failed) {
        tell_each(events, notice, buf_text(&frame));
    }
    buf_release(&frame);
}

void events_keep_alive(struct events *events)
{
    tell_each(events, NULL, TEXT(": still here\n\n"));
}
