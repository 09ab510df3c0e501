#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/nearest.h"
#include "base/num.h"
#include "cmd/cmd.h"
#include "config/show.h"
#include "price/find.h"
#include "price/import.h"

static const char help[] =
    "Usage: sluice prices [--provider NAME] [--table FILE] MODEL\n"
    "       sluice prices import [--skip-bad] [-o FILE] JSON\n"
    "\n"
    "Shows what a model's tokens cost, in USD per million, as a resource with that model and\n"
    "provider is charged: by the table that is built in, and by the one of --table before it.\n"
    "MODEL may name its provider, as in openai/gpt-4o.\n"
    "\n"
    "`import` makes a table of the files that others publish: the data.json of genai-prices\n"
    "(version 2, full or slim) or LiteLLM's model_prices_and_context_window.json; which of them "
    "it\n"
    "is, it sees. The table goes to standard output, or to the file of -o. In a configuration,\n"
    "\"prices: FILE\" puts it before the built-in one. With --skip-bad, models whose prices "
    "cannot\n"
    "be read are left out, instead of being errors.\n"
    "\n"
    "Exit code: 0 done, 1 no such model or a file that cannot be taken, 2 wrong arguments.\n"
    "\n"
    "Examples:\n"
    "  sluice prices gpt-4o\n"
    "  sluice prices --provider bedrock us.anthropic.claude-sonnet-4-5-20250929-v1:0\n"
    "  sluice prices import -o prices.csv data_slim.json\n"
    "  sluice prices --table prices.csv groq/llama-3.3-70b-versatile\n";

static int usage(const char *problem, const char *what)
{
    fprintf(stderr, "sluice prices: %s%s\n\n%s", problem, what, help);
    return EXIT_USAGE;
}

/* --- Files. --- */

static int read_file(const char *path, size_t most, struct buf *bytes)
{
    char piece[16384];
    size_t n;
    FILE *file = fopen(path, "re");
    buf_init(bytes, most);
    while (file && (n = fread(piece, 1, sizeof(piece), file)) > 0 && !bytes->failed) {
        buf_add(bytes, piece, n);
    }
    int problem = !file || ferror(file) ? errno : bytes->failed ? EFBIG : 0;
    if (problem) {
        fprintf(stderr, "sluice prices: %s: %s\n", path, strerror(problem));
    }
    if (file) {
        fclose(file);
    }
    return problem ? 1 : 0;
}

/* A file is written beside the old one and then put in its place, so that nobody reads half. */
static int write_file(const char *path, struct text bytes)
{
    char beside[4096];
    int len = snprintf(beside, sizeof(beside), "%s.XXXXXX", path);
    int fd = len < (int)sizeof(beside) ? mkstemp(beside) : (errno = ENAMETOOLONG, -1);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool good = file && fchmod(fd, 0644) == 0 && fwrite(bytes.at, 1, bytes.len, file) == bytes.len;
    int problem = good ? 0 : errno;
    if (file && fclose(file) != 0 && good) {
        problem = errno;
    }
    if (!problem && rename(beside, path) != 0) {
        problem = errno;
    }
    if (problem) {
        fprintf(stderr, "sluice prices: %s: %s\n", path, strerror(problem));
        if (fd >= 0) {
            unlink(beside);
        }
    }
    return problem ? 1 : 0;
}

/* --- sluice prices import. --- */

static void say_facts(const struct import_facts *f)
{
    fprintf(stderr,
            "%s: %zu models; left out: %zu without a price per token, %zu that cannot be read, "
            "%zu twins; rounded up to the picodollar a token: %zu prices\n",
            f->format, f->taken, f->unpriced, f->bad, f->twins, f->rounded);
}

static void today(char text[11])
{
    struct clock clock;
    struct tm tm;
    clock_init(&clock, 0);
    time_t now_s = (time_t)(clock_now_us(&clock) / US_PER_S);
    gmtime_r(&now_s, &tm);
    strftime(text, 11, "%Y-%m-%d", &tm);
}

static int import(const char *path, const char *to, bool skip_bad)
{
    struct buf json, csv, why;
    struct import_facts facts;
    char day[11];
    today(day);
    buf_init(&csv, PRICE_BYTES_MAX);
    buf_init(&why, 1u << 20);
    int code = read_file(path, IMPORT_BYTES_MAX, &json);
    if (code == 0) {
        int error = price_import(buf_text(&json), day, skip_bad, &csv, &facts, &why);
        code = error ? 1 : 0;
        for (const char *line = why.at; line && *line; line = strchr(line, '\n') + 1) {
            fprintf(stderr, "%s: %.*s\n", path, (int)strcspn(line, "\n"), line);
        }
        if (error == ERR_NO_MEMORY) {
            fprintf(stderr, "%s: %s\n", path, error_sentence(error));
        }
    }
    if (code == 0) {
        say_facts(&facts);
        code = to ? write_file(to, buf_text(&csv)) : fwrite(csv.at, 1, csv.len, stdout) != csv.len;
    }
    buf_release(&json);
    buf_release(&csv);
    buf_release(&why);
    return code;
}

static int cmd_import(int argc, char **argv)
{
    const char *path = NULL, *to = NULL;
    bool skip_bad = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc) {
            to = argv[++i];
        } else if (strcmp(argv[i], "--skip-bad") == 0) {
            skip_bad = true;
        } else if (argv[i][0] == '-') {
            return usage("unknown or incomplete option ", argv[i]);
        } else if (path) {
            return usage("one file at a time, not also ", argv[i]);
        } else {
            path = argv[i];
        }
    }
    return path ? import(path, to, skip_bad) : usage("a file to import is missing", "");
}

/* --- sluice prices MODEL. --- */

static const struct {
    const char *name;
    int part;
} units[] = {
    {"input", PART_INPUT},
    {"cached_input", PART_CACHE_READ},
    {"cache_write", PART_CACHE_WRITE_5M},
    {"cache_write_1h", PART_CACHE_WRITE_1H},
    {"output", PART_OUTPUT},
};

static const char *usd(int64_t price, char text[32])
{
    struct buf b;
    buf_init(&b, 31);
    show_amount(&b, UNIT_USD, mul_sat(price, 1000000));
    snprintf(text, 32, "%s", b.at ? b.at : "");
    buf_release(&b);
    return text;
}

static void print_row(const struct price_row *row, const char *source)
{
    struct price price;
    char below[32], above[32];
    price_row_price(row, &price);
    printf("%s of %s", row->model, row->provider);
    if (row->context_tokens) {
        printf(", a context of %" PRId64 " tokens", row->context_tokens);
    }
    printf("\n\n%-16s%-12s", "UNIT", "USD/M");
    if (price.tier_start) {
        snprintf(above, sizeof(above), "ABOVE %" PRId64 "k", price.tier_start / 1000);
        printf("%-12s", above);
    }
    puts("SOURCE");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int part = units[i].part;
        printf("%-16s%-12s", units[i].name, usd(price.of[part], below));
        if (price.tier_start) {
            printf("%-12s", usd(price.over[part], above));
        }
        puts(row->of[part] != PRICE_UNSAID ? source : "not given, so as much as what is near it");
    }
}

static const char *row_model(const void *rows, size_t i)
{
    return ((const struct price_row *)rows)[i].model;
}

static int unknown(const char *model)
{
    const struct price_table *t = &price_table_builtin;
    const char *nearest = nearest_name(text_of(model), row_model, t->rows, t->rows_n);
    fprintf(stderr, "sluice prices: no price of \"%s\" is known%s%s%s\n", model,
            nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    return 1;
}

static const char *source_of(const struct price_table *const *tables, const struct price_row *row)
{
    bool first = row >= tables[0]->rows && row < tables[0]->rows + tables[0]->rows_n;
    return (first ? tables[0] : &price_table_builtin)->source;
}

static int show(const struct price_table *const *tables, size_t n, const char *provider,
                const char *model)
{
    const struct price_row *row;
    switch (price_find(tables, n, text_of(provider), text_of(model), &row)) {
    case PRICE_UNKNOWN: return unknown(model);
    case PRICE_AMBIGUOUS:
        fprintf(stderr,
                "sluice prices: \"%s\" costs not the same with all providers; name one, as in "
                "%s/%s\n",
                model, row->provider, row->model);
        return 1;
    case PRICE_FOUND: print_row(row, source_of(tables, row));
    }
    return 0;
}

static int show_with(const char *path, const char *provider, const char *model)
{
    const struct price_table *tables[2] = {&price_table_builtin, &price_table_builtin};
    struct price_table *table = NULL;
    struct buf bytes, why;
    buf_init(&why, 1000);
    int code = read_file(path, PRICE_BYTES_MAX, &bytes);
    if (code == 0 && price_table_read(buf_text(&bytes), path, &table, &why)) {
        fprintf(stderr, "%s: %s\n", path, why.at ? why.at : error_sentence(ERR_NO_MEMORY));
        code = 1;
    }
    if (code == 0) {
        tables[0] = table;
        code = show(tables, 2, provider, model);
    }
    price_table_free(table);
    buf_release(&bytes);
    buf_release(&why);
    return code;
}

int cmd_prices(int argc, char **argv)
{
    const char *provider = "generic", *path = NULL, *model = NULL;
    const struct price_table *builtin = &price_table_builtin;
    if (argc > 1 && strcmp(argv[1], "import") == 0) {
        return cmd_import(argc - 1, argv + 1);
    }
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--provider") == 0 && more) {
            provider = argv[++i];
        } else if (strcmp(argv[i], "--table") == 0 && more) {
            path = argv[++i];
        } else if (argv[i][0] == '-') {
            return usage("unknown or incomplete option ", argv[i]);
        } else if (model) {
            return usage("one model at a time, not also ", argv[i]);
        } else {
            model = argv[i];
        }
    }
    if (!model) {
        return usage("a model is missing", "");
    }
    return path ? show_with(path, provider, model) : show(&builtin, 1, provider, model);
}
