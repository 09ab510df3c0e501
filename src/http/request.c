/*
 * What a handler may read of its request. The texts belong to the server and show one request at a
 * time, the one its handler was just called with.
 */
#include "http/server.h"

#include <assert.h>

/* The server of a request whose texts may still be read. */
static const struct http_server *shown_by(const struct http_request *req)
{
    const struct connection *c = CONTAINER_OF(req, const struct connection, request);
    assert(c->server->shown == req);
    return c->server;
}

struct text http_method(const struct http_request *req)
{
    return shown_by(req)->head.method;
}

struct text http_path(const struct http_request *req)
{
    return shown_by(req)->head.path;
}

struct text http_query(const struct http_request *req)
{
    return shown_by(req)->head.query;
}

struct text http_body(const struct http_request *req)
{
    return shown_by(req)->body;
}

struct text http_header(const struct http_request *req, const char *name)
{
    return head_field(&shown_by(req)->head, text_of(name));
}

bool http_query_well_formed(const struct http_request *req)
{
    struct text query = http_query(req);
    for (size_t i = 0; i < query.len; i++) {
        if (query.at[i] == '%' && text_unescaped(query, i) < 0) {
            return false;
        }
    }
    return true;
}

/* Appends percent-decoded text. False where an escape is malformed or a NUL. */
static bool add_decoded(struct buf *out, struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        char c = t.at[i] == '+' ? ' ' : t.at[i];
        if (c == '%') {
            int byte = text_unescaped(t, i);
            if (byte < 0) {
                return false;
            }
            c = (char)byte;
            i += 2;
        }
        buf_add_char(out, c);
    }
    return !out->failed;
}

/* Takes the parameter at the front of a query; false at its end. */
static bool take_parameter(struct text *rest, struct text *key, struct text *value)
{
    if (rest->len == 0) {
        return false;
    }
    const char *end = memchr(rest->at, '&', rest->len);
    struct text pair = {rest->at, end ? (size_t)(end - rest->at) : rest->len};
    size_t step = pair.len + (end ? 1 : 0);
    *rest = (struct text){rest->at + step, rest->len - step};
    const char *equals = memchr(pair.at, '=', pair.len);
    *key = (struct text){pair.at, equals ? (size_t)(equals - pair.at) : pair.len};
    size_t skip = key->len + (equals ? 1 : 0);
    *value = (struct text){pair.at + skip, pair.len - skip};
    return true;
}

bool http_query_get(const struct http_request *req, const char *name, struct buf *out)
{
    struct text rest = http_query(req);
    struct text wanted = text_of(name);
    struct text key;
    struct text value;
    while (take_parameter(&rest, &key, &value)) {
        if (text_equal(key, wanted)) {
            return add_decoded(out, value);
        }
    }
    return false;
}

static bool is_one_of(struct text name, const char *const *names)
{
    while (*names && !text_equal(name, text_of(*names))) {
        names++;
    }
    return *names != NULL;
}

bool http_query_only(const struct http_request *req, const char *const *names, struct text *other)
{
    struct text rest = http_query(req);
    struct text key;
    struct text value;
    while (take_parameter(&rest, &key, &value)) {
        if ((key.len || value.len) && !is_one_of(key, names)) {
            *other = key;
            return false;
        }
    }
    return true;
}

void http_request_park(struct http_request *req, void (*gone)(void *ctx), void *ctx)
{
    struct connection *c = connection_of(req);
    assert(gone);
    assert(connection_with_handler(c) || c->state == CONN_CLOSED);
    req->gone = gone;
    req->ctx = ctx;
    if (c->server->shown == req) {
        c->server->shown = NULL;
    }
}
