/*
 * sluice status: what stands where, as tables.
 *
 * Everything shown is the coordinator's: GET /v1/resources, in words. What is missing in an answer
 * (a coordinator of another version) is shown as "-".
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "cmd/cmd.h"
#include "cmd/coordinator.h"
#include "cmd/shown.h"
#include "cmd/table.h"

#define OUTPUT_BYTES_MAX (64u << 20)
#define WORDS_MAX        64
#define WATCH_S          2
#define CLEAR_SCREEN     "\033[H\033[2J"

static const char help[] =
    "Usage: sluice status [--url U] [--watch | --json] [RESOURCE | ROUTE]\n"
    "\n"
    "Shows the resources of a coordinator: their states and lines, what is in flight, and what is\n"
    "used and left of each limit; and its routes and pools of accounts: who served, and why "
    "others\n"
    "did not. IN FLIGHT is calls; SUGGESTED is how many at once would use the limits in full at "
    "the\n"
    "time calls take (Little's law: rate times latency).\n"
    "\n"
    "  -w, --watch           again every two seconds\n"
    "  -j, --json            the answer of GET /v1/resources as it came\n"
    "  -u, --url U           the coordinator ($SLUICE_URL, or " CLIENT_URL_DEFAULT ")\n"
    "\n"
    "Where the coordinator has keys, $SLUICE_API_KEY must have the right `read`.\n"
    "\n"
    "Exit code: 0 done, 1 it could not be done, 2 wrong arguments.\n"
    "\n"
    "Examples:\n"
    "  sluice status\n"
    "  sluice status --watch gpt-4o\n";

struct status {
    struct coordinator coordinator;
    const char *name; /* of a resource, a route or a pool; NULL: all */
    bool json;
    struct table resources;
    struct table limits;
    struct table routes;
    struct table steps;
    struct table passed;
    bool any_passed;
    int64_t now_ms; /* by the coordinator's clock */
};

/* --- Members, as words. --- */

static int64_t whole(const json_value *object, const char *key, int64_t otherwise)
{
    int64_t n;
    const json_value *v = shown_member(object, key);
    return v && json_read_i64(v, &n) ? n : otherwise;
}

/* "310ms", "6.9s", "2m10s", "1h05m", "3d04h" */
static void duration_words(int64_t ms, char to[WORDS_MAX])
{
    long long s = (long long)ms / 1000;
    if (ms < 1000) {
        snprintf(to, WORDS_MAX, "%lldms", (long long)ms);
    } else if (s < 60) {
        snprintf(to, WORDS_MAX, "%lld.%llds", s, (long long)ms % 1000 / 100);
    } else if (s < 3600) {
        snprintf(to, WORDS_MAX, "%lldm%02llds", s / 60, s % 60);
    } else if (s < 86400) {
        snprintf(to, WORDS_MAX, "%lldh%02lldm", s / 3600, s % 3600 / 60);
    } else {
        snprintf(to, WORDS_MAX, "%lldd%02lldh", s / 86400, s % 86400 / 3600);
    }
}

static void add_until(struct table *t, int64_t at_ms, int64_t now_ms)
{
    char left[WORDS_MAX] = "-";
    if (at_ms > 0) {
        duration_words(max_i64(0, at_ms - now_ms), left);
    }
    table_add_str(t, left);
}

/* --- Rows. --- */

/* "paused 6.9s (wait)", "recovering 63%" */
static void add_state(struct status *s, const json_value *resource)
{
    const json_value *state = shown_member(resource, "state");
    struct text name = shown_words(state, "name");
    struct text why = shown_words(state, "why");
    int64_t until_ms = whole(state, "until_ms", 0);
    const json_value *v = shown_member(state, "rate");
    double rate = 1;
    char more[2 * WORDS_MAX] = "";
    if (until_ms > 0) {
        char left[WORDS_MAX];
        duration_words(max_i64(0, until_ms - s->now_ms), left);
        snprintf(more, sizeof(more), " %s", left);
    } else if (v && json_read_double(v, &rate) && rate < 1 && rate > 0) {
        snprintf(more, sizeof(more), " %.0f%%", rate * 100);
    }
    table_addf(&s->resources, "%.*s%s%s%.*s%s", (int)name.len, name.len ? name.at : "", more,
               why.len ? " (" : "", (int)why.len, why.len ? why.at : "", why.len ? ")" : "");
}

static void add_resource(struct status *s, const json_value *resource)
{
    const json_value *line = shown_member(resource, "line");
    char oldest[WORDS_MAX] = "-";
    if (whole(line, "waiting", 0) > 0) {
        duration_words(whole(line, "oldest_wait_ms", 0), oldest);
    }
    shown_add_words(&s->resources, resource, "resource");
    add_state(s, resource);
    shown_add_number(&s->resources, line, "waiting");
    table_add_str(&s->resources, oldest);
    shown_add_number(&s->resources, resource, "leases");
    shown_add_number(&s->resources, resource, "slots_suggested");
}

static void add_limit(struct status *s, struct text resource, const json_value *limit)
{
    struct table *t = &s->limits;
    struct text scope = shown_words(limit, "scope");
    table_add(t, resource);
    shown_add_words(t, limit, "limit");
    if (scope.len && !text_equal(scope, TEXT("resource"))) {
        table_addf(t, "each %.*s", (int)scope.len, scope.at);
    } else {
        table_add_str(t, "all");
    }
    shown_add_words(t, limit, "unit");
    shown_add_number(t, limit, "amount");
    shown_add_number(t, limit, "used");
    shown_add_number(t, limit, "held");
    shown_add_number(t, limit, "remaining");
    add_until(t, whole(limit, "reset_ms", 0), s->now_ms);
}

/* The members of an array one after the other; none where it is none. */
static const json_value *next_of(const json_value *array, const json_value *at)
{
    return array && json_is_array(array) ? json_array_next(array, at) : NULL;
}

static bool is_named(const struct status *s, struct text name)
{
    return !s->name || text_equal(name, text_of(s->name));
}

/* Whether a route or a pool tries that resource. */
static bool tries(const json_value *route, struct text resource)
{
    const json_value *steps = shown_member(route, "steps");
    const json_value *at = next_of(steps, NULL);
    while (at && !text_equal(shown_words(at, "resource"), resource)) {
        at = next_of(steps, at);
    }
    return at != NULL;
}

/* A resource is shown by its own name, and by that of a route that tries it. */
static bool is_wanted(const struct status *s, const json_value *document, struct text resource)
{
    const json_value *routes = shown_member(document, "routes");
    bool wanted = is_named(s, resource);
    for (const json_value *at = next_of(routes, NULL); at && !wanted; at = next_of(routes, at)) {
        wanted = is_named(s, shown_words(at, "route")) && tries(at, resource);
    }
    return wanted;
}

static bool add_resources(struct status *s, const json_value *document)
{
    const json_value *resources = shown_member(document, "resources");
    bool found = false;
    const json_value *at = next_of(resources, NULL);
    for (; at; at = next_of(resources, at)) {
        struct text name = shown_words(at, "resource");
        if (!is_wanted(s, document, name)) {
            continue;
        }
        found = true;
        add_resource(s, at);
        const json_value *limits = shown_member(at, "limits");
        const json_value *limit = next_of(limits, NULL);
        for (; limit; limit = next_of(limits, limit)) {
            add_limit(s, name, limit);
        }
    }
    return found;
}

/* --- Routes. --- */

/* Why the resources of a route were passed over. */
struct reasons {
    struct table *table;
    struct text route;
    bool any;
};

static int add_reason(void *ctx, struct text reason, json_value *v)
{
    struct reasons *r = ctx;
    int64_t n = 0;
    r->any = true;
    (void)json_read_i64(v, &n);
    table_add(r->table, r->route);
    table_add(r->table, reason);
    table_addf(r->table, "%lld", (long long)n);
    return 0;
}

static void add_passed(struct status *s, const json_value *route)
{
    struct reasons reasons = {.table = &s->passed, .route = shown_words(route, "route")};
    const json_value *passed = shown_member(route, "passed");
    if (passed && json_is_object(passed)) {
        (void)json_each(passed, add_reason, &reasons);
    }
    s->any_passed = s->any_passed || reasons.any;
}

static int64_t granted_in_all(const json_value *steps)
{
    int64_t n = 0;
    for (const json_value *at = next_of(steps, NULL); at; at = next_of(steps, at)) {
        n = add_sat(n, whole(at, "granted", 0));
    }
    return n;
}

static void add_steps(struct status *s, const json_value *route)
{
    const json_value *steps = shown_member(route, "steps");
    int64_t all = granted_in_all(steps);
    for (const json_value *at = next_of(steps, NULL); at; at = next_of(steps, at)) {
        shown_add_words(&s->steps, route, "route");
        shown_add_number(&s->steps, at, "step");
        shown_add_words(&s->steps, at, "resource");
        shown_add_number(&s->steps, at, "granted");
        if (all > 0) {
            double share = (double)whole(at, "granted", 0) / (double)all;
            table_addf(&s->steps, "%.0f%%", share * 100);
        } else {
            table_add_str(&s->steps, "-");
        }
    }
}

static void add_route(struct status *s, const json_value *route)
{
    shown_add_words(&s->routes, route, "route");
    shown_add_number(&s->routes, route, "waiting");
    shown_add_number(&s->routes, route, "moved");
    shown_add_number(&s->routes, route, "fallbacks");
    shown_add_number(&s->routes, route, "exhausted");
    add_steps(s, route);
    add_passed(s, route);
}

static bool add_routes(struct status *s, const json_value *document)
{
    const json_value *routes = shown_member(document, "routes");
    bool found = false;
    for (const json_value *at = next_of(routes, NULL); at; at = next_of(routes, at)) {
        if (is_named(s, shown_words(at, "route")) || tries(at, text_of(s->name))) {
            found = true;
            add_route(s, at);
        }
    }
    return found;
}

/* --- The whole. --- */

static int print(const struct buf *out)
{
    if (out->failed || fwrite(out->at, 1, out->len, stdout) != out->len) {
        fputs("sluice status: the table cannot be printed\n", stderr);
        return 1;
    }
    return 0;
}

static void init_tables(struct status *s)
{
    static const char *const resources[] = {"RESOURCE", "STATE",     "WAITING",
                                            "OLDEST",   "IN FLIGHT", "SUGGESTED"};
    static const char *const limits[] = {"RESOURCE", "LIMIT", "FOR",  "UNIT",   "AMOUNT",
                                         "USED",     "HELD",  "LEFT", "MORE IN"};
    static const char *const routes[] = {"ROUTE", "WAITING", "MOVED", "FALLBACKS", "EXHAUSTED"};
    static const char *const passed[] = {"ROUTE", "PASSED OVER", "TIMES"};
    static const char *const steps[] = {"ROUTE", "STEP", "RESOURCE", "GRANTED", "SHARE"};
    table_init(&s->resources, resources, 6, 0x3c);
    table_init(&s->limits, limits, 9, 0x1f0);
    table_init(&s->routes, routes, 5, 0x1e);
    table_init(&s->steps, steps, 5, 0x1a);
    table_init(&s->passed, passed, 3, 0x4);
    s->any_passed = false;
}

static void release_tables(struct status *s)
{
    table_release(&s->passed);
    table_release(&s->steps);
    table_release(&s->routes);
    table_release(&s->limits);
    table_release(&s->resources);
}

static int print_tables(struct status *s, const json_value *document)
{
    struct buf out;
    init_tables(s);
    buf_init(&out, OUTPUT_BYTES_MAX);
    s->now_ms = whole(document, "now_ms", 0);
    bool known = add_resources(s, document);
    bool routed = add_routes(s, document);
    table_write(&s->resources, &out);
    buf_add_char(&out, '\n');
    table_write(&s->limits, &out);
    if (routed) {
        buf_add_char(&out, '\n');
        table_write(&s->routes, &out);
        buf_add_char(&out, '\n');
        table_write(&s->steps, &out);
    }
    if (s->any_passed) {
        buf_add_char(&out, '\n');
        table_write(&s->passed, &out);
    }
    bool found = known || routed || (!s->name && shown_member(document, "resources"));
    if (!found) {
        fprintf(stderr, "sluice status: the coordinator has no resource \"%s\"\n",
                s->name ? s->name : "");
    }
    int code = found ? print(&out) : 1;
    buf_release(&out);
    release_tables(s);
    return code;
}

static int show(struct status *s)
{
    int code = coordinator_get(&s->coordinator, "/v1/resources");
    if (code || s->json) {
        return code ? code : print(&s->coordinator.answer);
    }
    json_value *document = coordinator_json(&s->coordinator);
    code = document ? print_tables(s, document) : 1;
    json_free(document);
    return code;
}

/* Again and again, until somebody ends it; a coordinator that is away for a while comes back. */
static int watch(struct status *s)
{
    const struct timespec pause = {.tv_sec = WATCH_S};
    for (;;) {
        if (isatty(STDOUT_FILENO)) {
            fputs(CLEAR_SCREEN, stdout);
        }
        (void)show(s);
        putchar('\n');
        if (fflush(stdout) != 0) {
            return 1;
        }
        (void)nanosleep(&pause, NULL);
    }
}

static int usage(void)
{
    fputs(help, stderr);
    return EXIT_USAGE;
}

int cmd_status(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'},
        {"url", required_argument, NULL, 'u'},
        {"watch", no_argument, NULL, 'w'},
        {"json", no_argument, NULL, 'j'},
        {0},
    };
    struct status s = {0};
    const char *url = NULL;
    bool again = false;
    int option;
    while ((option = getopt_long(argc, argv, "hu:wj", options, NULL)) != -1) {
        switch (option) {
        case 'h': fputs(help, stdout); return 0;
        case 'u': url = optarg; break;
        case 'w': again = true; break;
        case 'j': s.json = true; break;
        default: return usage();
        }
    }
    if (argc - optind > 1 || (s.json && (again || optind < argc))) {
        return usage();
    }
    s.name = argv[optind];
    int code = coordinator_open(&s.coordinator, "sluice status", url);
    if (!code) {
        code = again ? watch(&s) : show(&s);
    }
    coordinator_close(&s.coordinator);
    return code;
}
