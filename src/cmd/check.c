#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cmd/cmd.h"
#include "cmd/table.h"
#include "config/config.h"
#include "config/show.h"
#include "config/words.h"

#define OUTPUT_MAX (16u << 20)

static const char help[] =
    "Usage: sluice check FILE\n"
    "\n"
    "Reads a configuration without starting anything, and prints what it means: every limit with\n"
    "the defaults of its provider filled in. Where something is wrong, prints all of it instead,\n"
    "as FILE:LINE: message.\n"
    "\n"
    "Exit code: 0 the configuration is good, 1 it is not, 2 it cannot be read or was not named.\n"
    "\n"
    "Examples:\n"
    "  sluice check sluice.yaml\n"
    "  sluice check sluice.yaml && systemctl reload sluice\n";

static void cell_add(struct table *t, struct buf *text)
{
    table_add(t, buf_text(text));
    buf_clear(text);
}

static void row_add(struct table *t, const struct resource *r, const struct limit *l)
{
    struct buf cell;
    buf_init(&cell, 4096);
    table_add_str(t, r->name);
    table_add_str(t, l->name);
    if (l->learned) {
        buf_add_str(&cell, "learned");
    } else {
        show_amount(&cell, l->unit, l->amount);
    }
    buf_addf(&cell, " %s", unit_name(l->unit));
    cell_add(t, &cell);
    if (l->window == WINDOW_NONE) {
        buf_add_char(&cell, '-');
    }
    show_per(&cell, l);
    cell_add(t, &cell);
    show_window_name(&cell, l);
    cell_add(t, &cell);
    show_scope(&cell, l);
    cell_add(t, &cell);
    table_add_str(t, exceed_words[l->exceed]);
    table_add_str(t, l->window == WINDOW_NONE ? "-" : charge_words[l->charge]);
    table_add_str(t, l->window == WINDOW_NONE ? "-" : settle_words[l->settle]);
    buf_release(&cell);
}

static int print_limits(const struct policy *p)
{
    static const char *const heads[] = {"RESOURCE", "LIMIT",     "AMOUNT",  "PER",    "WINDOW",
                                        "SCOPE",    "WHEN FULL", "CHARGED", "SETTLED"};
    struct table t;
    struct buf out;
    table_init(&t, heads, sizeof(heads) / sizeof(heads[0]), 0);
    buf_init(&out, OUTPUT_MAX);
    for (size_t i = 0; i < p->resources_n; i++) {
        for (size_t j = 0; j < p->resources[i].limits_n; j++) {
            row_add(&t, &p->resources[i], &p->resources[i].limits[j]);
        }
    }
    table_write(&t, &out);
    int code = out.failed;
    if (!code) {
        fputs(out.at, stdout);
    }
    buf_release(&out);
    table_release(&t);
    return code;
}

static void print_line(const char *head, const char *name, struct buf *text)
{
    printf("%-10s  %s%s%s\n", head, name, *name ? ": " : "", text->at ? text->at : "");
    buf_clear(text);
}

/* What is tried in which order, and what a million tokens cost. */
static void print_more(const struct policy *p)
{
    struct buf text;
    buf_init(&text, 65536);
    for (size_t i = 0; i < p->routes_n; i++) {
        show_route(&text, p, &p->routes[i]);
        print_line(p->routes[i].accounts ? "accounts" : "route", "", &text);
    }
    for (size_t i = 0; i < p->resources_n; i++) {
        show_price(&text, &p->resources[i].price);
        print_line("price", p->resources[i].name, &text);
        show_feedback(&text, &p->resources[i]);
        print_line("feedback", p->resources[i].name, &text);
    }
    buf_release(&text);
}

static int print_summary(const char *path, const struct config *config)
{
    printf("%s: good\n\nlisten      ", path);
    for (size_t i = 0; i < config->listens_n; i++) {
        printf("%s%s", i ? ", " : "", config->listens[i]);
    }
    printf("\nstore       %s, durability %s\nkeys        %zu\nresources   %zu\n\n", config->store,
           durability_words[config->durability], config->keys_n, config->policy.resources_n);
    int code = print_limits(&config->policy);
    putchar('\n');
    print_more(&config->policy);
    return code;
}

static int check(const char *path)
{
    struct config *config;
    struct buf why;
    buf_init(&why, OUTPUT_MAX);
    int error = config_load(path, &config, &why);
    int code = 0;
    if (error == ERR_NO_MEMORY) {
        fprintf(stderr, "%s: %s\n", path, error_sentence(ERR_NO_MEMORY));
        code = 1;
    } else if (error) {
        fputs(why.at ? why.at : "", stderr);
        code = error == ERR_NOT_FOUND ? EXIT_USAGE : 1;
    } else {
        code = print_summary(path, config);
    }
    config_free(config);
    buf_release(&why);
    return code;
}

int cmd_check(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return 0;
    }
    if (argc != 2 || argv[1][0] == '-') {
        fputs("sluice check: one FILE is what it takes\n\n", stderr);
        fputs(help, stderr);
        return EXIT_USAGE;
    }
    return check(argv[1]);
}
