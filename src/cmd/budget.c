/*
 * sluice budget: what is used and left of budgets, and an operator's correction of one.
 *
 * A budget is a limit that counts by the calendar or for ever. What is shown is GET /v1/resources;
 * a correction is POST /v1/budget.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "cmd/cmd.h"
#include "cmd/coordinator.h"
#include "cmd/shown.h"
#include "cmd/table.h"

#define PATH_BYTES_MAX   4096
#define OUTPUT_BYTES_MAX (64u << 20)

static const char help[] =
    "Usage: sluice budget [--key K] [--json] [--url U] [RESOURCE]\n"
    "       sluice budget (--give-back N | --reset) [--key K] [--url U] RESOURCE LIMIT\n"
    "\n"
    "Shows the budgets of a coordinator (limits by second to month, or for ever): what is used, "
    "held\n"
    "and left, and when the next period begins. Or corrects one: what is given back can be used "
    "again in\n"
    "its present period, at most all that was used. A larger budget for every period is the\n"
    "configuration's to say.\n"
    "\n"
    "  -k, --key K           of limits for each tenant, session, … : whose counter\n"
    "  -g, --give-back N     so many units, or dollars\n"
    "  -r, --reset           all that was used\n"
    "  -j, --json            the answer of the coordinator as it came\n"
    "  -u, --url U           the coordinator ($SLUICE_URL, or " CLIENT_URL_DEFAULT ")\n"
    "\n"
    "Where the coordinator has keys, $SLUICE_API_KEY must have the right `read`, or, for a\n"
    "correction, `admin`.\n"
    "\n"
    "Exit code: 0 done, 1 it could not be done, 2 wrong arguments.\n"
    "\n"
    "Examples:\n"
    "  sluice budget\n"
    "  sluice budget --key run-42 gpt-4o\n"
    "  sluice budget --give-back 5 gpt-4o usd/day\n"
    "  sluice budget --reset --key run-42 gpt-4o usd/lifetime/session\n";

struct arguments {
    const char *url;
    const char *key;       /* or NULL */
    const char *give_back; /* or NULL */
    bool reset;
    bool json;
    const char *resource; /* or NULL */
    const char *limit;    /* or NULL */
};

/* --- Showing. --- */

static void add_reset(struct table *t, const json_value *limit)
{
    const json_value *v = shown_member(limit, "reset_ms");
    char at[32];
    int64_t ms;
    struct tm tm;
    if (!v || !json_read_i64(v, &ms)) {
        table_add_str(t, "-");
        return;
    }
    time_t seconds = (time_t)(ms / 1000);
    gmtime_r(&seconds, &tm);
    strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm);
    table_add_str(t, at);
}

static void add_limit(struct table *t, const json_value *resource, const json_value *limit)
{
    struct text window = shown_words(limit, "window");
    bool calendar = text_equal(window, TEXT("calendar"));
    if (!calendar && !text_equal(window, TEXT("lifetime"))) {
        return;
    }
    shown_add_words(t, resource, "resource");
    shown_add_words(t, limit, "limit");
    shown_add_words(t, limit, "unit");
    shown_add_words(t, limit, calendar ? "per" : "window");
    shown_add_words(t, limit, shown_member(limit, "scope_key") ? "scope_key" : "scope");
    shown_add_number(t, limit, "amount");
    shown_add_number(t, limit, "used");
    shown_add_number(t, limit, "held");
    shown_add_number(t, limit, "remaining");
    add_reset(t, limit);
}

static void add_resource(struct table *t, const json_value *resource, const char *wanted)
{
    const json_value *limits = shown_member(resource, "limits");
    if (!limits || !json_is_array(limits) ||
        (wanted && !text_equal(shown_words(resource, "resource"), text_of(wanted)))) {
        return;
    }
    for (const json_value *limit = NULL; (limit = json_array_next(limits, limit)) != NULL;) {
        add_limit(t, resource, limit);
    }
}

static int write_table(struct coordinator *c, const char *wanted)
{
    static const char *const heads[] = {"RESOURCE", "LIMIT", "UNIT", "PER",  "WHOSE",
                                        "AMOUNT",   "USED",  "HELD", "LEFT", "RESETS"};
    json_value *document = coordinator_json(c);
    const json_value *resources = document ? json_get(document, "resources") : NULL;
    struct table t;
    struct buf out;
    table_init(&t, heads, sizeof(heads) / sizeof(heads[0]), 0xf << 5);
    buf_init(&out, OUTPUT_BYTES_MAX);
    if (resources && json_is_array(resources)) {
        for (const json_value *r = NULL; (r = json_array_next(resources, r)) != NULL;) {
            add_resource(&t, r, wanted);
        }
    }
    table_write(&t, &out);
    bool written = resources && !out.failed && fwrite(out.at, 1, out.len, stdout) == out.len;
    table_release(&t);
    buf_release(&out);
    json_free(document);
    return written ? 0 : 1;
}

static int write_answer(struct coordinator *c)
{
    return fwrite(c->answer.at, 1, c->answer.len, stdout) == c->answer.len ? 0 : 1;
}

static int show(struct coordinator *c, const struct arguments *a)
{
    struct buf path;
    buf_init(&path, PATH_BYTES_MAX);
    buf_add_str(&path, "/v1/resources");
    if (a->key) {
        buf_add_str(&path, "?scope_key=");
        coordinator_add_escaped(&path, text_of(a->key));
    }
    int code = path.failed ? EXIT_USAGE : coordinator_get(c, path.at);
    buf_release(&path);
    if (code) {
        return code;
    }
    return a->json ? write_answer(c) : write_table(c, a->resource);
}

/* --- Correcting. --- */

/* Only what is a number stands in the body as it is. */
static bool is_number(const char *s)
{
    size_t digits = strspn(s, "0123456789");
    const char *rest = s + digits;
    if (*rest == '.') {
        size_t more = strspn(rest + 1, "0123456789");
        return digits > 0 && more > 0 && rest[1 + more] == '\0' && (s[0] != '0' || digits == 1);
    }
    return digits > 0 && *rest == '\0' && (s[0] != '0' || digits == 1);
}

static int correct(struct coordinator *c, const struct arguments *a)
{
    struct json_writer w;
    struct buf body;
    buf_init(&body, PATH_BYTES_MAX);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    json_key(&w, "resource");
    json_str(&w, a->resource);
    json_key(&w, "limit");
    json_str(&w, a->limit);
    if (a->key) {
        json_key(&w, "scope_key");
        json_str(&w, a->key);
    }
    if (a->reset) {
        json_key(&w, "reset");
        json_bool(&w, true);
    } else {
        json_key(&w, "give_back");
        buf_add_str(&body, a->give_back);
    }
    json_object_end(&w);
    int code = body.failed ? EXIT_USAGE : coordinator_post(c, "/v1/budget", buf_text(&body));
    buf_release(&body);
    return code ? code : write_answer(c);
}

/* --- Arguments. --- */

/* What does not go together, or NULL. */
static const char *arguments_problem(const struct arguments *a)
{
    if (a->reset && a->give_back) {
        return "--reset gives all back: leave out --give-back";
    }
    if (a->give_back && !is_number(a->give_back)) {
        return "--give-back takes a number, such as 5 or 0.25";
    }
    if ((a->reset || a->give_back) && !a->limit) {
        return "which RESOURCE and LIMIT? `sluice budget` lists them";
    }
    if (a->limit && !a->reset && !a->give_back) {
        return "a LIMIT is named only with --give-back or --reset";
    }
    return NULL;
}

static bool read_arguments(int argc, char **argv, struct arguments *a, bool *helped)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'},
        {"url", required_argument, NULL, 'u'},
        {"key", required_argument, NULL, 'k'},
        {"give-back", required_argument, NULL, 'g'},
        {"reset", no_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "hu:k:g:rj", options, NULL)) != -1) {
        switch (option) {
        case 'h': *helped = true; return true;
        case 'u': a->url = optarg; break;
        case 'k': a->key = optarg; break;
        case 'g': a->give_back = optarg; break;
        case 'r': a->reset = true; break;
        case 'j': a->json = true; break;
        default: return false;
        }
    }
    a->resource = optind < argc ? argv[optind] : NULL;
    a->limit = optind + 1 < argc ? argv[optind + 1] : NULL;
    const char *problem = argc - optind > 2 ? "too many arguments" : arguments_problem(a);
    if (problem) {
        fprintf(stderr, "sluice budget: %s\n\n", problem);
    }
    return !problem;
}

int cmd_budget(int argc, char **argv)
{
    struct arguments a = {0};
    struct coordinator c;
    bool helped = false;
    if (!read_arguments(argc, argv, &a, &helped)) {
        fputs(help, stderr);
        return EXIT_USAGE;
    }
    if (helped) {
        fputs(help, stdout);
        return 0;
    }
    int code = coordinator_open(&c, "sluice budget", a.url);
    if (!code) {
        code = a.limit ? correct(&c, &a) : show(&c, &a);
    }
    coordinator_close(&c);
    return code;
}
