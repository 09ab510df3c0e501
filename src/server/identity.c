#include "server/identity.h"

#include <strings.h>

static bool equal_nocase(struct text a, struct text b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.at, b.at, a.len) == 0);
}

/* The host without its port. */
static struct text without_port(struct text host)
{
    if (host.len > 0 && host.at[0] == '[') {
        const char *end = memchr(host.at, ']', host.len);
        size_t len = end ? (size_t)(end - host.at) + 1 : host.len;
        bool port = len < host.len && host.at[len] == ':';
        return port ? (struct text){host.at, len} : host;
    }
    const char *colon = host.len ? memchr(host.at, ':', host.len) : NULL;
    return colon ? (struct text){host.at, (size_t)(colon - host.at)} : host;
}

/* 127.0.0.0/8 in numbers; a name that only begins like it, as 127.example.com, is not. */
static bool is_127(struct text host)
{
    if (host.len < 7 || memcmp(host.at, "127.", 4) != 0) {
        return false;
    }
    for (size_t i = 4; i < host.len; i++) {
        if (host.at[i] != '.' && (host.at[i] < '0' || host.at[i] > '9')) {
            return false;
        }
    }
    return true;
}

bool host_is_loopback(struct text host)
{
    host = without_port(host);
    return host.len == 0 || is_127(host) || equal_nocase(host, TEXT("localhost")) ||
           equal_nocase(host, TEXT("[::1]")) || equal_nocase(host, TEXT("unix"));
}

struct text origin_host(struct text origin)
{
    for (size_t i = 0; i + 3 <= origin.len; i++) {
        if (memcmp(origin.at + i, "://", 3) == 0) {
            return (struct text){origin.at + i + 3, origin.len - i - 3};
        }
    }
    return TEXT_NONE;
}

static bool origin_allowed(struct text origin, struct text host)
{
    if (origin.len == 0) {
        return true; /* no browser, or one that asks for its own page */
    }
    struct text from = origin_host(origin);
    return from.len > 0 && (host_is_loopback(from) || equal_nocase(from, host));
}

static enum error_code without_keys(const struct identity_rules *rules, struct callers *callers,
                                    const struct http_request *req, struct identity *identity,
                                    const char **why)
{
    struct text host = http_header(req, "host");
    if (rules->loopback_only && !host_is_loopback(host)) {
        *why = "without API keys, only requests to a loopback host are taken";
        return ERR_FORBIDDEN;
    }
    if (!origin_allowed(http_header(req, "origin"), host)) {
        *why = "without API keys, requests from web pages elsewhere are not taken";
        return ERR_FORBIDDEN;
    }
    struct client *client = callers_everyone(callers);
    if (!client) {
        return ERR_NO_MEMORY;
    }
    *identity =
        (struct identity){client, RIGHT_ACQUIRE | RIGHT_READ | RIGHT_ADMIN, false, TEXT_NONE};
    return ERR_NONE;
}

static struct text bearer_token(struct text header)
{
    static const char scheme[] = "bearer ";
    size_t len = sizeof(scheme) - 1;
    if (header.len <= len || strncasecmp(header.at, scheme, len) != 0) {
        return TEXT_NONE;
    }
    return (struct text){header.at + len, header.len - len};
}

enum error_code identity_find(const struct identity_rules *rules, struct callers *callers,
                              const struct http_request *req, unsigned need,
                              struct identity *identity, const char **why)
{
    if (rules->config->keys_n == 0) {
        return without_keys(rules, callers, req, identity, why);
    }
    struct text token = bearer_token(http_header(req, "authorization"));
    const struct api_key *key = token.len ? config_find_key(rules->config, token) : NULL;
    if (!key) {
        *why = "a valid API key is required, as `Authorization: Bearer KEY`; clients take it "
               "from SLUICE_API_KEY";
        return ERR_UNAUTHORIZED;
    }
    if ((key->rights & need) != need) {
        *why = "this API key lacks the right to do that";
        return ERR_FORBIDDEN;
    }
    struct client *client = callers_client(callers, key->name, key->tenant);
    if (!client) {
        return ERR_NO_MEMORY;
    }
    *identity =
        (struct identity){client, key->rights, key->tenant[0] != '\0', text_of(key->tenant)};
    return ERR_NONE;
}
