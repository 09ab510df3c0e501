/*
 * sluice usage: what was used and what it cost, from the coordinator's ledger.
 *
 * Pages of GET /v1/usage are read to the end, and written as a table, as CSV or as one line of JSON
 * for each row. Money is written as it came, to the last picodollar.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "cmd/cmd.h"
#include "cmd/coordinator.h"
#include "cmd/shown.h"
#include "cmd/table.h"

#define QUERY_BYTES_MAX  16384
#define KEY_BYTES_MAX    2048
#define OUTPUT_BYTES_MAX (256u << 20)

static const char help[] =
    "Usage: sluice usage [--by WHAT] [--since TIME] [--until TIME] [--tenant T] [--session S]\n"
    "                    [--model M] [--resource R] [--account A] [--route R] [--format F]\n"
    "                    [--url U]\n"
    "\n"
    "Adds up what was settled: calls, tokens and money, to the last picodollar.\n"
    "\n"
    "  -b, --by WHAT         tenant (the default), session, model, resource, account, route,\n"
    "                        outcome, day, hour, or label:KEY\n"
    "  -s, --since TIME      from here on: 24h (ago, the default), 2026-11-22T00:00:00Z, or\n"
    "                        milliseconds since 1970\n"
    "  -e, --until TIME      to before here; the default is now\n"
    "      --tenant, --session, --model, --resource, --account, --route NAME\n"
    "                        only what is of this one; \"\" is what has none\n"
    "  -f, --format F        table, csv, or json (one line for each row)\n"
    "  -u, --url U           the coordinator ($SLUICE_URL, or " CLIENT_URL_DEFAULT ")\n"
    "\n"
    "Where the coordinator has keys, $SLUICE_API_KEY must have the right `read`; one that is "
    "bound\n"
    "to a tenant is told of that one.\n"
    "\n"
    "Exit code: 0 done, 1 it could not be done, 2 wrong arguments.\n"
    "\n"
    "Examples:\n"
    "  sluice usage --by tenant --since 24h\n"
    "  sluice usage --by day --since 30d --tenant acme --format csv > acme.csv\n"
    "  sluice usage --by label:team --since 2026-11-01T00:00:00Z\n";

enum format { FORMAT_TABLE, FORMAT_CSV, FORMAT_JSON };

/* What a row has beside its key, as the API calls it and as a table does; NULL: not in a table. */
static const struct column {
    const char *member;
    const char *head;
} columns[] = {
    {"calls", "CALLS"},
    {"errors", "ERRORS"},
    {"expired", NULL},
    {"requests", NULL},
    {"tokens", "TOKENS"},
    {"input_tokens", "INPUT"},
    {"cache_read_tokens", "CACHED"},
    {"cache_write_5m_tokens", NULL},
    {"cache_write_1h_tokens", NULL},
    {"output_tokens", "OUTPUT"},
    {"cost_usd", "COST USD"},
    {"waited_ms", "WAITED MS"},
    {"held_ms", NULL},
};

#define COLUMNS_N (sizeof(columns) / sizeof(columns[0]))

struct usage {
    struct coordinator coordinator;
    enum format format;
    const char *by;
    struct buf query; /* without `after` */
    struct buf after; /* the next page's */
    bool more;
    struct table table;
    struct buf out;
};

/* --- A row. --- */

static void add_to_table(struct usage *u, const json_value *row)
{
    shown_add_words(&u->table, row, "key");
    for (size_t i = 0; i < COLUMNS_N; i++) {
        if (columns[i].head) {
            shown_add_number(&u->table, row, columns[i].member);
        }
    }
}

/* RFC 4180: in quotes, with quotes doubled. */
static void add_csv_key(struct buf *out, struct text key)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < key.len; i++) {
        if (key.at[i] == '"') {
            buf_add_char(out, '"');
        }
        buf_add_char(out, key.at[i]);
    }
    buf_add_char(out, '"');
}

static void add_csv(struct usage *u, const json_value *row)
{
    add_csv_key(&u->out, shown_words(row, "key"));
    for (size_t i = 0; i < COLUMNS_N; i++) {
        buf_add_char(&u->out, ',');
        buf_add_text(&u->out, shown_number(row, columns[i].member));
    }
    buf_add_str(&u->out, "\r\n");
}

static void add_json(struct usage *u, const json_value *row)
{
    struct json_writer w;
    struct text key = shown_words(row, "key");
    json_writer_init(&w, &u->out);
    json_object_begin(&w);
    json_key(&w, "key");
    if (key.len) {
        json_text(&w, key);
    } else {
        json_null(&w);
    }
    for (size_t i = 0; i < COLUMNS_N; i++) {
        json_key(&w, columns[i].member);
        struct text number = shown_number(row, columns[i].member);
        buf_add_text(&u->out, number.len ? number : TEXT("null"));
        w.comma = true;
    }
    json_object_end(&w);
    buf_add_char(&u->out, '\n');
}

static void add_row(struct usage *u, const json_value *row)
{
    switch (u->format) {
    case FORMAT_TABLE: add_to_table(u, row); break;
    case FORMAT_CSV: add_csv(u, row); break;
    case FORMAT_JSON: add_json(u, row); break;
    }
}

/* --- Pages. --- */

static int take_page(struct usage *u)
{
    json_value *document = coordinator_json(&u->coordinator);
    const json_value *rows = document ? json_get(document, "rows") : NULL;
    const json_value *next = document ? json_get(document, "next") : NULL;
    struct text after;
    if (!rows || !json_is_array(rows) || !next) {
        if (document) {
            fputs("sluice usage: the coordinator's answer is not one\n", stderr);
        }
        json_free(document);
        return 1;
    }
    for (const json_value *row = NULL; (row = json_array_next(rows, row)) != NULL;) {
        add_row(u, row);
    }
    u->more = json_read_text(next, &after);
    buf_clear(&u->after);
    if (u->more) {
        buf_add_text(&u->after, after);
    }
    json_free(document);
    return 0;
}

static int ask_page(struct usage *u, bool first)
{
    struct buf path;
    buf_init(&path, QUERY_BYTES_MAX);
    buf_add_str(&path, "/v1/usage?limit=1000");
    buf_add_text(&path, buf_text(&u->query));
    if (!first) {
        buf_add_str(&path, "&after=");
        coordinator_add_escaped(&path, buf_text(&u->after));
    }
    int code = path.failed || u->query.failed ? 1 : coordinator_get(&u->coordinator, path.at);
    if (path.failed || u->query.failed) {
        fputs("sluice usage: the arguments are too long\n", stderr);
    }
    buf_release(&path);
    return code ? code : take_page(u);
}

static void begin_output(struct usage *u)
{
    const char *heads[COLUMNS_N + 1] = {"KEY"};
    size_t n = 1;
    for (size_t i = 0; i < COLUMNS_N; i++) {
        if (columns[i].head) {
            heads[n++] = columns[i].head;
        }
    }
    table_init(&u->table, heads, n, ~1u);
    if (u->format == FORMAT_CSV) {
        add_csv_key(&u->out, text_of(u->by));
        for (size_t i = 0; i < COLUMNS_N; i++) {
            buf_addf(&u->out, ",%s", columns[i].member);
        }
        buf_add_str(&u->out, "\r\n");
    }
}

static int report(struct usage *u, const char *url)
{
    int code = coordinator_open(&u->coordinator, "sluice usage", url);
    begin_output(u);
    bool first = true;
    while (!code && (first || u->more)) {
        code = ask_page(u, first);
        first = false;
    }
    if (!code && u->format == FORMAT_TABLE) {
        table_write(&u->table, &u->out);
    }
    if (!code && (u->out.failed || fwrite(u->out.at, 1, u->out.len, stdout) != u->out.len)) {
        fputs("sluice usage: out of memory, or the output cannot be written\n", stderr);
        code = 1;
    }
    table_release(&u->table);
    coordinator_close(&u->coordinator);
    return code;
}

/* --- Arguments. --- */

static int complain(void)
{
    fputs(help, stderr);
    return EXIT_USAGE;
}

static void add_param(struct usage *u, const char *name, const char *value)
{
    buf_addf(&u->query, "&%s=", name);
    coordinator_add_escaped(&u->query, text_of(value));
}

static bool read_format(const char *word, enum format *format)
{
    static const char *const words[] = {"table", "csv", "json"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(word, words[i]) == 0) {
            *format = (enum format)i;
            return true;
        }
    }
    fprintf(stderr, "sluice usage: --format is table, csv or json, not \"%s\"\n\n", word);
    return false;
}

int cmd_usage(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'},
        {"url", required_argument, NULL, 'u'},
        {"format", required_argument, NULL, 'f'},
        {"by", required_argument, NULL, 'b'},
        {"since", required_argument, NULL, 's'},
        {"until", required_argument, NULL, 'e'},
        {"tenant", required_argument, NULL, 'p'},
        {"session", required_argument, NULL, 'p'},
        {"model", required_argument, NULL, 'p'},
        {"resource", required_argument, NULL, 'p'},
        {"account", required_argument, NULL, 'p'},
        {"route", required_argument, NULL, 'p'},
        {0},
    };
    struct usage u = {.by = "tenant"};
    const char *url = NULL;
    int option, at = 0;
    bool wrong = false;
    buf_init(&u.query, QUERY_BYTES_MAX);
    buf_init(&u.after, KEY_BYTES_MAX);
    buf_init(&u.out, OUTPUT_BYTES_MAX);
    while (!wrong && (option = getopt_long(argc, argv, "hu:f:b:s:e:", options, &at)) != -1) {
        switch (option) {
        case 'h': fputs(help, stdout); return 0;
        case 'u': url = optarg; break;
        case 'f': wrong = !read_format(optarg, &u.format); break;
        case 'b':
            u.by = optarg;
            add_param(&u, "by", optarg);
            break;
        case 's': add_param(&u, "since", optarg); break;
        case 'e': add_param(&u, "until", optarg); break;
        case 'p': add_param(&u, options[at].name, optarg); break;
        default: wrong = true;
        }
    }
    if (!wrong && optind < argc) {
        fprintf(stderr, "sluice usage: \"%s\" is too much: name it behind --by, --tenant …\n\n",
                argv[optind]);
        wrong = true;
    }
    int code = wrong ? complain() : report(&u, url);
    buf_release(&u.query);
    buf_release(&u.after);
    buf_release(&u.out);
    return code;
}
