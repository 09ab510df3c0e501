/*
 * Text tables: what a configuration means, or what is said about it.
 *
 *     test_cases FILE
 *
 * A case is "== name", the YAML, "--", and what is expected: the policy as text, or the problems,
 * the file being called "file". Each case is a test of its own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "check.h"
#include "config/config.h"
#include "config/show.h"

#define CASES_MAX  512
#define OUTPUT_MAX (1u << 20)

struct table_case {
    char *name;
    struct text yaml;
    struct text expected;
};

/* What feedback does, where it is not what it does by default. */
static void show_answers(struct buf *b, const struct resource *r)
{
    struct resource untouched = {.feedback = feedback_default, .cooldown_us = US_PER_MIN};
    struct buf here, fallback;
    buf_init(&here, OUTPUT_MAX);
    buf_init(&fallback, OUTPUT_MAX);
    show_feedback(&here, r);
    show_feedback(&fallback, &untouched);
    if (!text_equal(buf_text(&here), buf_text(&fallback))) {
        buf_addf(b, "  %s\n", here.at);
    }
    buf_release(&here);
    buf_release(&fallback);
}

static void show_resource(struct buf *b, const struct resource *r)
{
    buf_addf(b, "%s: model %s, provider %s, line %" PRId64 ", tenant_line %" PRId64, r->name,
             r->model, r->provider, r->line_len_max, r->tenant_line_len_max);
    if (r->ageing_us) {
        buf_add_str(b, ", ageing ");
        show_duration(b, r->ageing_us);
    }
    buf_add_char(b, '\n');
    if (r->account[0]) {
        buf_addf(b, "  account %s\n", r->account);
    }
    if (r->output_percentile != 60) { /* as it is where nothing is said */
        buf_addf(b, "  estimates %d\n", (int)r->output_percentile);
    }
    if (r->slots_max) {
        buf_addf(b, "  adaptive from %" PRId64 " to %" PRId64 "\n", r->slots_min, r->slots_max);
    }
    for (size_t i = 0; i < r->limits_n; i++) {
        buf_add_str(b, "  ");
        show_limit(b, &r->limits[i]);
        buf_add_char(b, '\n');
    }
    for (size_t i = 0; i < r->reserves_n; i++) {
        buf_addf(b, "  reserve %s %d ", r->reserves[i].tenant, r->reserves[i].priority);
        show_share(b, r->reserves[i].share_ppm);
        buf_add_char(b, '\n');
    }
    show_answers(b, r);
    if (r->price.known) {
        buf_add_str(b, "  price ");
        show_price(b, &r->price);
        buf_add_char(b, '\n');
    }
}

static void show_policy(struct buf *b, const struct policy *p)
{
    for (size_t i = 0; i < p->weights_n; i++) {
        buf_addf(b, "tenant %s: weight %d\n", p->weights[i].tenant, (int)p->weights[i].weight);
    }
    for (size_t i = 0; i < p->resources_n; i++) {
        show_resource(b, &p->resources[i]);
    }
    for (size_t i = 0; i < p->routes_n; i++) {
        show_route(b, p, &p->routes[i]);
        buf_add_char(b, '\n');
    }
}

static void run_case(void **state)
{
    const struct table_case *c = *state;
    struct config *config = NULL;
    struct buf out;
    buf_init(&out, OUTPUT_MAX);
    int error = config_parse(c->yaml, "file", &config, &out);
    if (error == 0) {
        assert_int_equal(out.len, 0);
        show_policy(&out, &config->policy);
    } else {
        assert_int_equal(error, ERR_INVALID_REQUEST);
        assert_null(config);
    }
    assert_false(out.failed);
    if (!text_equal(buf_text(&out), c->expected)) {
        fprintf(stderr, "== %s\n-- expected\n%.*s-- but got\n%s", c->name, (int)c->expected.len,
                c->expected.at, out.at);
    }
    bool equal = text_equal(buf_text(&out), c->expected);
    config_free(config);
    buf_release(&out);
    assert_true(equal);
}

static char *read_table(const char *path)
{
    struct buf b;
    char piece[4096];
    size_t n;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    buf_init(&b, OUTPUT_MAX);
    while ((n = fread(piece, 1, sizeof(piece), file)) > 0) {
        buf_add(&b, piece, n);
    }
    fclose(file);
    assert_false(b.failed);
    return b.at;
}

/* Splits the table, which is changed: names are ended by a zero. */
static size_t split(char *table, struct table_case *cases)
{
    size_t n = 0;
    for (char *at = strstr(table, "== "); at && n < CASES_MAX;) {
        char *name = at + 3;
        char *yaml = strchr(name, '\n');
        assert_non_null(yaml);
        *yaml++ = '\0';
        char *line = strstr(yaml, "--\n");
        while (line && line != yaml && line[-1] != '\n') {
            line = strstr(line + 1, "--\n");
        }
        assert_non_null(line);
        char *expected = line + 3;
        char *next = strstr(expected, "\n== ");
        size_t len = next ? (size_t)(next + 1 - expected) : strlen(expected);
        /* One empty line may stand between cases. */
        if (len >= 2 && expected[len - 1] == '\n' && expected[len - 2] == '\n') {
            len--;
        }
        cases[n++] = (struct table_case){name, {yaml, (size_t)(line - yaml)}, {expected, len}};
        at = next ? next + 1 : NULL;
    }
    return n;
}

int main(int argc, char **argv)
{
    static struct table_case cases[CASES_MAX];
    static struct CMUnitTest tests[CASES_MAX];
    if (argc != 2) {
        return 2;
    }
    char *table = read_table(argv[1]);
    size_t n = split(table, cases);
    if (n == 0) {
        fprintf(stderr, "%s: no cases\n", argv[1]);
        return 2;
    }
    for (size_t i = 0; i < n; i++) {
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = run_case, .initial_state = &cases[i]};
    }
    int failed = _cmocka_run_group_tests(argv[1], tests, n, NULL, NULL);
    free(table);
    return failed;
}
