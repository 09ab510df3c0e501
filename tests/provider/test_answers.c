/*
 * Runs the tables in answers/: what a provider sent, and what is read from it.
 *
 *     test_answers FILE…           run as tests
 *     test_answers --print FILE…   print the files with what was really read
 *
 * A line of a table:
 *
 *     dialect NAME             of the cases that follow
 *     case TITLE (SOURCE)      begins a case; the source says where the shape was recorded or
 * published status N                 without it, none came header NAME: VALUE error JSON the body
 *     text WORDS               the body or a worker's word, as a plain string
 *     => …                     what must be read, line by line:
 *        => CLASS REASON [after=MS] [asked=MS] [resend=yes|no] [unreached]
 *        => UNIT/SPAN [limit=N] [remaining=N] [grain=N] [reset=MS]
 *
 * Blank lines and lines that begin with # are passed over. It is 2026-11-22 04:00:00 UTC.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/num.h"
#include "provider/answer.h"

#define NOW_US      INT64_C(1795320000000000)
#define CASES_MAX   400
#define LINES_MAX   64
#define HEADERS_MAX 40
#define FILE_MAX    (1u << 20)

struct answer_case {
    const char *file;
    const char *dialect;
    const char *title;
    const char *lines[LINES_MAX];
    size_t lines_n;
};

static struct answer_case cases[CASES_MAX];
static size_t cases_n;

/* --- Reading a table --- */

static void give_up(const char *what, const char *where)
{
    fprintf(stderr, "test_answers: %s: %s\n", what, where);
    exit(2);
}

/* The rest of a line behind a keyword, or NULL where it begins otherwise. */
static const char *behind(const char *line, const char *keyword)
{
    size_t len = strlen(keyword);
    return strncmp(line, keyword, len) == 0 && line[len] == ' ' ? line + len + 1 : NULL;
}

static void take_line(const char *file, const char *line)
{
    static const char *dialect = "generic";
    const char *rest;
    if (line[0] == '\0' || line[0] == '#') {
        return;
    }
    if ((rest = behind(line, "dialect"))) {
        dialect = rest;
    } else if ((rest = behind(line, "case"))) {
        if (cases_n == CASES_MAX) {
            give_up("too many cases", file);
        }
        cases[cases_n++] = (struct answer_case){.file = file, .dialect = dialect, .title = rest};
    } else if (cases_n && cases[cases_n - 1].lines_n < LINES_MAX) {
        struct answer_case *c = &cases[cases_n - 1];
        c->lines[c->lines_n++] = line;
    } else {
        give_up("a line without a case, or too many", line);
    }
}

/* The lines stay for the life of the program. */
static void take_file(const char *path)
{
    char *text = calloc(1, FILE_MAX);
    FILE *file = fopen(path, "rb");
    if (!file || !text || fread(text, 1, FILE_MAX - 1, file) == 0) {
        give_up("cannot be read", path);
    }
    fclose(file);
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        take_line(path, line);
    }
}

/* --- One case --- */

struct sent {
    struct raw_answer raw;
    struct answer_header headers[HEADERS_MAX];
    json_value *document;
};

static void take_header(struct sent *s, const char *line)
{
    const char *colon = strchr(line, ':');
    if (!colon || s->raw.headers_n == HEADERS_MAX) {
        give_up("a header without a colon, or too many", line);
    }
    const char *value = colon + 1 + (colon[1] == ' ');
    s->headers[s->raw.headers_n++] =
        (struct answer_header){{line, (size_t)(colon - line)}, text_of(value)};
}

static void take_error(struct sent *s, struct text json)
{
    struct buf why;
    buf_init(&why, 1000);
    if (json_parse(json, &s->document, &why)) {
        give_up(why.at, json.at);
    }
    buf_release(&why);
    s->raw.error = s->document;
}

static void take_text(struct sent *s, const char *words)
{
    struct buf quoted;
    struct json_writer w;
    buf_init(&quoted, FILE_MAX);
    json_writer_init(&w, &quoted);
    json_str(&w, words);
    take_error(s, buf_text(&quoted));
    buf_release(&quoted);
}

static void read_case(const struct answer_case *c, struct sent *s)
{
    *s = (struct sent){.raw = {.now_us = NOW_US}};
    for (size_t i = 0; i < c->lines_n; i++) {
        const char *line = c->lines[i];
        const char *rest;
        if ((rest = behind(line, "status"))) {
            s->raw.status = (int)strtol(rest, NULL, 10);
        } else if ((rest = behind(line, "header"))) {
            take_header(s, rest);
        } else if ((rest = behind(line, "error"))) {
            take_error(s, text_of(rest));
        } else if ((rest = behind(line, "text"))) {
            take_text(s, rest);
        } else if (!behind(line, "=>")) {
            give_up("an unknown line", line);
        }
    }
    s->raw.headers = s->headers;
}

static void say_ms(struct buf *out, const char *name, int64_t us)
{
    if (us >= 0) {
        buf_addf(out, " %s=%lldms", name, (long long)(us / US_PER_MS));
    }
}

static void say_reading(struct buf *out, const struct reading *r)
{
    static const char *const spans[] = {"second", "minute", "day", "month"};
    buf_addf(out, "=> %s/%s", unit_name(r->unit), spans[r->span]);
    if (r->limit >= 0) {
        buf_addf(out, " limit=%lld", (long long)r->limit);
    }
    if (r->remaining >= 0) {
        buf_addf(out, " remaining=%lld", (long long)r->remaining);
    }
    if (r->grain != 1) {
        buf_addf(out, " grain=%lld", (long long)r->grain);
    }
    say_ms(out, "reset", r->reset_us);
    buf_add_char(out, '\n');
}

static void say(struct buf *out, const struct answer *a)
{
    buf_addf(out, "=> %s %.*s", answer_class_name(a->class), (int)a->reason.len,
             a->reason.len ? a->reason.at : "");
    while (out->at[out->len - 1] == ' ') {
        out->len--;
    }
    say_ms(out, "after", a->retry_after_us);
    if (a->retry_after_us >= 0 && a->asked_us > a->retry_after_us) {
        say_ms(out, "asked", a->asked_us);
    }
    if (a->resend != RESEND_UNSAID) {
        buf_addf(out, " resend=%s", a->resend == RESEND_YES ? "yes" : "no");
    }
    buf_add_str(out, a->reached ? "\n" : " unreached\n");
    for (size_t i = 0; i < a->readings_n; i++) {
        say_reading(out, &a->readings[i]);
    }
}

static void run_case(const struct answer_case *c, struct buf *out)
{
    struct sent s;
    struct answer answer;
    char reason[ANSWER_REASON_MAX];
    read_case(c, &s);
    answer_read(dialect_of(c->dialect), &s.raw, reason, &answer);
    json_free(s.document); /* the answer keeps nothing of it */
    say(out, &answer);
}

static void test_case(void **state)
{
    const struct answer_case *c = *state;
    struct buf expected, got;
    buf_init(&expected, 10000);
    buf_init(&got, 10000);
    for (size_t i = 0; i < c->lines_n; i++) {
        if (behind(c->lines[i], "=>")) {
            buf_addf(&expected, "%s\n", c->lines[i]);
        }
    }
    run_case(c, &got);
    if (!text_equal(buf_text(&expected), buf_text(&got))) {
        fail_msg("%s: %s\nexpected\n%sread\n%s", c->file, c->title,
                 expected.at ? expected.at : "nothing\n", got.at);
    }
    buf_release(&expected);
    buf_release(&got);
}

static void print_cases(void)
{
    for (size_t i = 0; i < cases_n; i++) {
        struct buf out;
        buf_init(&out, 10000);
        run_case(&cases[i], &out);
        printf("case %s\n", cases[i].title);
        for (size_t j = 0; j < cases[i].lines_n; j++) {
            if (!behind(cases[i].lines[j], "=>")) {
                printf("%s\n", cases[i].lines[j]);
            }
        }
        printf("%s\n", out.at);
        buf_release(&out);
    }
}

int main(int argc, char **argv)
{
    bool print = argc > 1 && strcmp(argv[1], "--print") == 0;
    for (int i = print ? 2 : 1; i < argc; i++) {
        take_file(argv[i]);
    }
    if (print) {
        print_cases();
        return 0;
    }
    static struct CMUnitTest tests[CASES_MAX];
    for (size_t i = 0; i < cases_n; i++) {
        tests[i] = (struct CMUnitTest){
            .name = cases[i].title, .test_func = test_case, .initial_state = &cases[i]};
    }
    return _cmocka_run_group_tests("answers", tests, cases_n, NULL, NULL);
}
