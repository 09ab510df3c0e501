#include "config/file.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "config/access.h"
#include "config/alert.h"
#include "config/ledger.h"
#include "config/price.h"
#include "config/resource.h"
#include "config/route.h"
#include "config/words.h"

#define LISTENS_MAX     16
#define SOCKET_PATH_MAX 107 /* bytes, as Linux has it */
#define LISTEN_DEFAULT  "127.0.0.1:7411"
#define STORE_DEFAULT   "sluice.db"
#define STORE_LEN_MAX   1024

struct server_draft {
    struct setting connections, body_max, header_max, header_timeout, body_timeout, idle_timeout,
        tickets_per_client, drain_timeout, leases, counters;
};

#define AT(member) offsetof(struct server_draft, member)
#define TIME_TAKES "a duration from 100ms to 1h"

static const struct key_row server_rows[] = {
    {"connections", read_amount, AT(connections), NULL, 1, 1000000, "a whole number from 1 to 1M",
     "16k", "Connections open at once."},
    {"body_max", read_amount, AT(body_max), NULL, 1024, 64000000,
     "a number of bytes from 1024 to 64M", "1M", "The largest body of a request, in bytes."},
    {"header_max", read_amount, AT(header_max), NULL, 1024, 1000000,
     "a number of bytes from 1024 to 1M", "16k",
     "The largest head of a request, in bytes: request line and headers."},
    {"header_timeout", read_duration, AT(header_timeout), NULL, 100 * US_PER_MS, US_PER_H,
     TIME_TAKES, "10s", "How long a request's head may take to arrive."},
    {"body_timeout", read_duration, AT(body_timeout), NULL, 100 * US_PER_MS, US_PER_H, TIME_TAKES,
     "30s", "How long a request's body may take to arrive."},
    {"idle_timeout", read_duration, AT(idle_timeout), NULL, 100 * US_PER_MS, US_PER_H, TIME_TAKES,
     "75s", "How long a connection may stay open between requests."},
    {"tickets_per_client", read_amount, AT(tickets_per_client), NULL, 1, 10000000,
     "a whole number from 1 to 10M", "200k",
     "Places in line for one API key: requests that wait, and tickets it was given, for waiting "
     "or for making a call again, and has not come back with. In all, where no keys are "
     "configured."},
    {"drain_timeout", read_duration, AT(drain_timeout), NULL, 100 * US_PER_MS, US_PER_H, TIME_TAKES,
     "10s", "How long a shutdown may take at most."},
    {"leases", read_amount, AT(leases), NULL, 1, 100000000, "a whole number from 1 to 100M", "1M",
     "Leases that are open or were within the last 15 minutes."},
    {"counters", read_amount, AT(counters), NULL, 1, 100000000, "a whole number from 1 to 100M",
     "1M", "Counters in memory for tenants, sessions, models and labels."},
};

const struct section server_section = {"Server (`server`)", server_rows,
                                       sizeof(server_rows) / sizeof(server_rows[0]),
                                       "{body_max: 2M}"};

#undef AT

static void read_server(struct problems *p, const struct place *at, const struct key_row *row,
                        const struct node *value, void *into)
{
    (void)row;
    section_read(p, at, &server_section, value, into);
}

struct file_draft {
    const struct node *listen, *keys, *tenants, *resources, *routes, *alerts, *ledger;
    struct word store, prices;
    struct setting durability;
    struct server_draft server;
};

#define AT(member) offsetof(struct file_draft, member)

static const struct key_row file_rows[] = {
    {"listen", read_node, AT(listen), NULL, 0, 0,
     "ADDRESS:PORT or unix:PATH, or a list of them; IPv6 in brackets; `localhost` is 127.0.0.1",
     LISTEN_DEFAULT, "Where the daemon takes requests."},
    {"store", read_word, AT(store), NULL, 0, 0, "a path, from the working directory", STORE_DEFAULT,
     "The SQLite file that holds the durable record."},
    {"durability", read_choice, AT(durability), durability_words, 0, 0,
     "one of full, process, none", "full",
     "What an answered grant survives: a loss of power, a kill of the process, or nothing."},
    {"keys", read_node, AT(keys), NULL, 0, 0, "a list of keys", "none: whoever connects may do all",
     "API keys; see \"API keys\"."},
    {"tenants", read_node, AT(tenants), NULL, 0, 0, "a map NAME: {weight: N}",
     "every tenant has weight 1", "Weights of tenants; see \"Tenants\"."},
    {"server", read_server, AT(server), NULL, 0, 0, "a map of keys", "all defaults",
     "Caps and timeouts of what clients can send; see \"Server\"."},
    {"resources", read_node, AT(resources), NULL, 0, 0, "a map NAME: {…}", "required",
     "What quotas belong to; see \"Resources\"."},
    {"prices", read_word, AT(prices), NULL, 0, 0, "a path, from the working directory",
     "the built-in table alone",
     "A table of prices that goes before the built-in one; `sluice prices import` makes it."},
    {"alerts", read_node, AT(alerts), NULL, 0, 0, "a map of keys", "all defaults",
     "What an operator is told of, and where; see \"Alerts\"."},
    {"ledger", read_node, AT(ledger), NULL, 0, 0, "a map of keys", "all defaults",
     "How long what was used and what it cost is kept; see \"Ledger\"."},
    {"routes", read_node, AT(routes), NULL, 0, 0, "a map NAME: {…}", "none",
     "Resources to be tried in order, under one name; see \"Routes\"."},
};

const struct section file_section = {"The file", file_rows,
                                     sizeof(file_rows) / sizeof(file_rows[0]),
                                     "{resources: {gpt-4o: {provider: openai, rpm: 500}}}"};

#undef AT

/* "unix:PATH", which the kernel wants short. */
static bool is_socket_path(struct text t)
{
    return t.len > 5 && t.len - 5 <= SOCKET_PATH_MAX && memcmp(t.at, "unix:", 5) == 0 &&
           name_allowed(t);
}

/* Whether "HOST:PORT" is numeric, with IPv6 in brackets: then it can be judged without asking the
 * network. */
static bool is_address(struct text t)
{
    char host[INET6_ADDRSTRLEN];
    unsigned char binary[16];
    const char *colon = t.len ? memrchr(t.at, ':', t.len) : NULL;
    if (!colon) {
        return false;
    }
    struct text port = {colon + 1, t.len - (size_t)(colon + 1 - t.at)};
    size_t len = (size_t)(colon - t.at);
    bool six = len >= 2 && t.at[0] == '[' && t.at[len - 1] == ']';
    len -= six ? 2 : 0;
    int64_t number;
    if (port.len > 5 || !config_read_amount(port, 65535, &number) || len >= sizeof(host)) {
        return false;
    }
    for (size_t i = 0; i < port.len; i++) {
        if (port.at[i] < '0' || port.at[i] > '9') {
            return false;
        }
    }
    memcpy(host, t.at + six, len);
    host[len] = '\0';
    return inet_pton(six ? AF_INET6 : AF_INET, host, binary) == 1;
}

static char *copy_text(struct problems *p, struct text t)
{
    char *copy = strndup(t.at, t.len);
    p->no_memory |= !copy;
    return copy;
}

/* What an address that is not one was meant to be: a port alone, or a URL. */
static struct text address_meant(struct text t, char *text, size_t size)
{
    if (t.len > 7 && memcmp(t.at, "http://", 7) == 0) {
        t = (struct text){t.at + 7, t.len - 7};
    }
    bool colon = t.len && t.at[0] == ':';
    bool bare = t.len && !memchr(t.at + colon, ':', t.len - colon);
    int len = snprintf(text, size, "%s%.*s",
                       !bare   ? ""
                       : colon ? "127.0.0.1"
                               : "127.0.0.1:",
                       (int)t.len, t.at);
    return (struct text){text, (size_t)len};
}

static void report_address(struct problems *p, const struct node *n, const char *takes)
{
    char text[64];
    struct text meant = {NULL, 0};
    if (n->text.len < sizeof(text) - 16) {
        meant = address_meant(n->text, text, sizeof(text));
    }
    bool near = meant.len && is_address(meant);
    problem_add(p, n->line, "listen: \"%.*s\" is not %s%s%.*s%s", shown_len(n->text), n->text.at,
                takes, near ? "; did you mean \"" : "", near ? (int)meant.len : 0,
                near ? meant.at : "", near ? "\"?" : "");
}

static void read_address(struct problems *p, const struct node *n, struct config *config)
{
    static const char takes[] = "an address as in 127.0.0.1:7411, [::1]:7411 or unix:PATH";
    struct place at = {.name = TEXT("listen")};
    if (!node_says(p, &at, n, takes)) {
        return;
    }
    char text[64];
    struct text t = n->text;
    if (t.len > 10 && t.len < sizeof(text) && memcmp(t.at, "localhost:", 10) == 0) {
        int len = snprintf(text, sizeof(text), "127.0.0.1%.*s", (int)(t.len - 9), t.at + 9);
        t = (struct text){text, (size_t)len};
    }
    if (!is_address(t) && !is_socket_path(t)) {
        report_address(p, n, takes);
        return;
    }
    config->listens[config->listens_n] = copy_text(p, t);
    config->listens_n += config->listens[config->listens_n] != NULL;
}

static void read_listen(struct problems *p, const struct node *n, struct config *config)
{
    static const struct node fallback = {.kind = NODE_SCALAR,
                                         .text = {LISTEN_DEFAULT, sizeof(LISTEN_DEFAULT) - 1}};
    config->listens = calloc(LISTENS_MAX, sizeof(char *));
    if (!config->listens) {
        p->no_memory = true;
        return;
    }
    if (!n || n->kind == NODE_SCALAR) {
        read_address(p, n ? n : &fallback, config);
        return;
    }
    if (n->kind == NODE_MAP || n->members == 0 || n->members > LISTENS_MAX) {
        problem_add(p, n->line, "listen: what is wanted is an address or a list of 1 to %d",
                    LISTENS_MAX);
        return;
    }
    for (const struct node *m = n->first; m; m = m->next) {
        read_address(p, m, config);
    }
}

static void read_store(struct problems *p, const struct word *w, struct config *config)
{
    struct text store = w->line > 0 ? w->text : TEXT(STORE_DEFAULT);
    if (store.len == 0 || store.len > STORE_LEN_MAX) {
        problem_add(p, w->line, "store: a path has 1 to %d bytes", STORE_LEN_MAX);
        return;
    }
    config->store = copy_text(p, store);
    if (config->store && strstr(config->store, "://")) {
        problem_add(p, w->line,
                    "store: \"%.*s\" is not a path; stores behind a URL (redis://…) are not "
                    "supported by this version",
                    shown_len(store), store.at);
    }
}

/* What is not given is what the table says of it, so that the two cannot differ. */
static void fill_defaults(struct server_draft *d)
{
    for (size_t i = 0; i < server_section.rows_n; i++) {
        const struct key_row *row = &server_section.rows[i];
        struct setting *s = (struct setting *)(void *)((char *)d + row->offset);
        struct text fallback = text_of(row->fallback);
        if (s->line > 0) {
            continue;
        }
        bool good = row->read == read_duration ? config_read_duration(fallback, &s->value)
                                               : config_read_amount(fallback, row->max, &s->value);
        assert(good);
    }
}

static void apply_server(struct server_draft *d, struct config *config)
{
    fill_defaults(d);
    config->connections_max = d->connections.value;
    config->body_bytes_max = d->body_max.value;
    config->header_bytes_max = d->header_max.value;
    config->header_timeout_us = d->header_timeout.value;
    config->body_timeout_us = d->body_timeout.value;
    config->idle_timeout_us = d->idle_timeout.value;
    config->tickets_per_client_max = d->tickets_per_client.value;
    config->drain_us = d->drain_timeout.value;
    config->policy.leases_max = d->leases.value;
    config->policy.counters_max = d->counters.value;
}

static void read_prices(struct problems *p, const struct word *w, struct owned *owned)
{
    if (w->line <= 0) {
        return;
    }
    if (w->text.len == 0 || w->text.len > STORE_LEN_MAX) {
        problem_add(p, w->line, "prices: a path has 1 to %d bytes", STORE_LEN_MAX);
        return;
    }
    owned->prices_path = copy_text(p, w->text);
    if (owned->prices_path) {
        owned->prices = prices_load(p, owned->prices_path, w->line);
    }
}

static void read_resources(struct problems *p, const struct file_draft *d, struct config *config)
{
    struct owned *owned = config->owned;
    struct limit_context *c = calloc(1, sizeof(*c));
    if (!c) {
        p->no_memory = true;
        return;
    }
    c->problems = p;
    c->zones = owned->zones;
    c->zones_n = &owned->zones_n;
    if (owned->prices) {
        c->tables[c->tables_n++] = owned->prices;
    }
    c->tables[c->tables_n++] = &price_table_builtin;
    if (routes_begin(c, d->resources, d->routes, owned)) {
        resources_read(c, d->resources, &config->policy);
        routes_read(c, d->routes, &config->policy, owned);
        owned->routes_n = c->routes_n;
    }
    free(c);
}

void file_read(struct problems *p, const struct node *root, struct config *config)
{
    struct file_draft d = {.listen = NULL};
    struct place top = {.up = NULL};
    section_read(p, &top, &file_section, root, &d);
    read_listen(p, d.listen, config);
    read_store(p, &d.store, config);
    config->durability = (int)d.durability.value;
    apply_server(&d.server, config);
    if (d.keys) {
        keys_read(p, d.keys, config);
    }
    if (d.tenants) {
        tenants_read(p, d.tenants, &config->policy);
    }
    alerts_read(p, d.alerts, config);
    ledger_read(p, d.ledger, config);
    read_prices(p, &d.prices, config->owned);
    if (d.resources) {
        read_resources(p, &d, config);
    } else if (root->kind == NODE_MAP) {
        problem_add(p, 0, "\"resources\" is missing; at least one is needed");
    }
}
