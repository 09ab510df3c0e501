/*
 * Runs the tables in cases/: each file holds cases, each case a policy, events and the effects
 * that are expected of them.
 *
 *     cases_test FILE…           run as tests
 *     cases_test --print FILE…   print the files with the effects that really came
 *
 * The second is for writing cases: its output is read, judged, and only then put into the
 * file by hand. Every event is given to two cores whose hash keys differ, which must say the same
 * (P10), and every structure is checked after every step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "core/view.h"
#include "record_log.h"
#include "table.h"

#define CASE_LINES_MAX    400
#define CASE_POLICIES_MAX 16
#define CASES_MAX         2000
#define OUTPUT_MAX        (1u << 20)

struct table_case {
    const char *file;
    char name[200];
    const char *lines[CASE_LINES_MAX];
    size_t numbers[CASE_LINES_MAX];
    size_t lines_n;
};

/* One of the two cores that walk through a case, with what it said last. */
struct walker {
    struct core *core;
    struct effects effects;
    struct table_names *names;
    struct record_log log;
    struct buf said; /* effects of the last step, one a line */
};

struct run {
    const struct table_case *c;
    struct walker walkers[2];
    struct table_policy *policies[CASE_POLICIES_MAX];
    size_t policies_n;
    bool started;
    bool records; /* the case wants to see records */
    bool print;   /* print instead of judging */
    int64_t now_us;
    struct buf problem; /* empty while all is well */
};

static struct table_case *cases;
static size_t cases_n;
static bool print_only;

/* --- Steps --- */

static void walker_open(struct walker *w, uint64_t seed)
{
    struct core_options options = {.seed = {seed, seed * 31 + 7}, .spill = true};
    if (core_new(&options, &w->core) != 0) {
        abort();
    }
}

static void walker_step(struct run *run, struct walker *w, const struct event *e)
{
    buf_clear(&w->said);
    int error = core_step(w->core, e, &w->effects);
    if (error) {
        buf_addf(&w->said, "error %s\n", error_name(error));
        return;
    }
    core_check(w->core);
    for (size_t i = 0; i < w->effects.len; i++) {
        const struct effect *f = &w->effects.at[i];
        if (f->kind == EFFECT_PERSIST) {
            record_log_add(&w->log, &f->record);
        }
        if (f->kind != EFFECT_PERSIST || run->records) {
            table_write_effect(&w->said, f, w->names);
            buf_add_char(&w->said, '\n');
        }
    }
}

static void problem(struct run *run, size_t i, const char *what)
{
    buf_addf(&run->problem, "%s:%zu: %s\n", run->c->file, run->c->numbers[i], what);
}

static const char *said(const struct walker *w)
{
    return w->said.len ? w->said.at : "";
}

static void step_both(struct run *run, size_t i, const struct event *e)
{
    run->now_us = e->now_us;
    for (int k = 0; k < 2; k++) {
        walker_step(run, &run->walkers[k], e);
    }
    if (strcmp(said(&run->walkers[0]), said(&run->walkers[1])) != 0) {
        problem(run, i, "two cores with other hash keys differ (P10); the second says:");
        buf_add_str(&run->problem, said(&run->walkers[1]));
    }
}

static void configure(struct run *run, size_t i, int64_t now_us)
{
    struct policy_error why = {0};
    const struct policy *p = &run->policies[run->policies_n - 1]->policy;
    if (policy_check(p, &why) != 0) {
        buf_addf(&run->problem, "%s:%zu: the policy is refused: %s %s %s\n", run->c->file,
                 run->c->numbers[i], why.resource ? why.resource : "", why.limit ? why.limit : "",
                 why.problem);
        return;
    }
    struct event e = {.kind = EVENT_CONFIGURE, .now_us = now_us, .policy = p};
    step_both(run, i, &e);
}

/* A usage that names only some units leaves the others as held. */
static void complete_usage(struct core *core, struct table_event *e)
{
    struct lease_view view;
    e->event.release.has_usage = e->given != 0 || e->event.release.parts;
    if (!core_lease_view(core, e->event.release.lease, &view)) {
        return;
    }
    for (size_t u = 0; u < UNIT_COUNT; u++) {
        if (!(e->given & 1u << u)) {
            e->event.release.usage.of[u] = view.held.of[u];
        }
    }
}

static void run_event(struct run *run, size_t i, const struct table_line *line)
{
    struct table_event e[2];
    for (int k = 0; k < 2; k++) {
        const char *wrong = table_event_read(&e[k], line, run->walkers[k].names);
        if (wrong) {
            problem(run, i, wrong);
            return;
        }
    }
    if (!run->started) {
        run->started = true;
        configure(run, i, e[0].event.now_us);
    }
    if (e[0].event.kind == EVENT_CONFIGURE) {
        configure(run, i, e[0].event.now_us);
        return;
    }
    run->now_us = e[0].event.now_us;
    for (int k = 0; k < 2; k++) {
        if (e[k].event.kind == EVENT_ACQUIRE &&
            record_log_give_missing(&run->walkers[k].log, run->walkers[k].core,
                                    &e[k].event.acquire) != 0) {
            problem(run, i, "a counter that was asked for is refused");
        }
        if (e[k].event.kind == EVENT_RELEASE) {
            complete_usage(run->walkers[k].core, &e[k]);
        }
        walker_step(run, &run->walkers[k], &e[k].event);
    }
    if (strcmp(said(&run->walkers[0]), said(&run->walkers[1])) != 0) {
        problem(run, i, "two cores with other hash keys differ (P10); the second says:");
        buf_add_str(&run->problem, said(&run->walkers[1]));
    }
}

/* restart [lose=N] [pruned]: new cores take back the records but the newest N, and those that the
 * journal may let go. */
static void run_restart(struct run *run, size_t i, const struct table_line *line)
{
    const char *lose = table_value(line, "lose");
    for (int k = 0; k < 2; k++) {
        struct walker *w = &run->walkers[k];
        if (line->words_n > 1 && strcmp(line->words[1], "pruned") == 0) {
            record_log_prune(&w->log, core_horizon_us(w->core));
        }
        core_free(w->core);
        walker_open(w, (uint64_t)k + 77);
        size_t lost = lose ? strtoul(lose, NULL, 10) : 0;
        record_log_cut(&w->log, w->log.len > lost ? w->log.len - lost : 0);
    }
    configure(run, i, run->now_us);
    for (int k = 0; k < 2; k++) {
        struct walker *w = &run->walkers[k];
        if (record_log_replay(&w->log, w->core) != 0) {
            problem(run, i, "a record of the core's own is refused by core_restore");
        }
        if (record_log_give_missing(&w->log, w->core, NULL) != 0) {
            problem(run, i, "a counter that was asked for is refused");
        }
        core_check(w->core);
    }
}

/* --- Questions: each writes a line as it really is, to be compared with the case's --- */

static void add_time(struct buf *out, const char *key, int64_t us)
{
    buf_addf(out, " %s=", key);
    table_write_time(out, us);
}

static size_t find_resource(struct core *core, const char *name)
{
    for (size_t i = 0; i < core_resources(core); i++) {
        struct resource_view view;
        core_resource_view(core, i, &view);
        if (strcmp(view.resource->name, name) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

static void write_limit_view(struct buf *out, const struct limit_view *v)
{
    buf_addf(out, " amount=%lld used=%lld held=%lld remaining=%lld counters=%zu",
             (long long)v->amount, (long long)v->used, (long long)v->held, (long long)v->remaining,
             v->counters);
    add_time(out, "reset", v->reset_us);
    add_time(out, "guard", v->guard_us);
    buf_addf(out, " told=%lld foreign=%lld unknown=%d", (long long)v->told, (long long)v->foreign,
             v->unknown);
}

/* view RESOURCE LIMIT [key=KEY] … */
static void write_view(struct run *run, const struct table_line *line, struct buf *out)
{
    struct core *core = run->walkers[0].core;
    size_t r = line->words_n > 2 ? find_resource(core, line->words[1]) : SIZE_MAX;
    for (size_t j = 0; r != SIZE_MAX && j < core_limits(core, r); j++) {
        struct limit_view v;
        core_limit_view(core, r, j, &v);
        if (strcmp(v.limit->name, line->words[2]) != 0) {
            continue;
        }
        const char *key = table_value(line, "key");
        buf_addf(out, "view %s %s", line->words[1], line->words[2]);
        if (key) {
            buf_addf(out, " key=%s", key);
        }
        if (!key || core_scope_view(core, r, j, text_of(key), &v)) {
            write_limit_view(out, &v);
        } else {
            buf_add_str(out, " none");
        }
        return;
    }
    buf_add_str(out, "view none");
}

/* line RESOURCE … */
static void write_line(struct run *run, const struct table_line *line, struct buf *out)
{
    struct core *core = run->walkers[0].core;
    size_t r = line->words_n > 1 ? find_resource(core, line->words[1]) : SIZE_MAX;
    if (r == SIZE_MAX) {
        buf_add_str(out, "line none");
        return;
    }
    struct resource_view v;
    core_resource_view(core, r, &v);
    buf_addf(out,
             "line %s waiting=%zu away=%zu leases=%zu granted=%llu settled=%llu late=%llu "
             "expired=%llu cancelled=%llu",
             line->words[1], v.waiting, v.away, v.leases, (unsigned long long)v.granted,
             (unsigned long long)v.settled, (unsigned long long)v.late,
             (unsigned long long)v.expired, (unsigned long long)v.cancelled);
    buf_addf(out, " used_tokens=%lld used_usd=%lld", (long long)v.used.of[UNIT_TOKENS],
             (long long)v.used.of[UNIT_USD]);
    add_time(out, "latency", v.latency_us);
    buf_addf(out, " suggested=%lld", (long long)v.slots_suggested);
    for (size_t i = 0; i < v.head_held_by.limits_n; i++) {
        buf_addf(out, "%s%s", i ? "," : " head_held_by=", v.head_held_by.limits[i]);
    }
}

static void write_totals(struct run *run, struct buf *out)
{
    struct core_totals t;
    core_totals(run->walkers[0].core, &t);
    buf_addf(out, "totals open=%zu remembered=%zu waiting=%zu counters=%zu", t.leases_open,
             t.leases_remembered, t.waiting, t.counters);
}

/* lease L1 … */
static void write_lease(struct run *run, const struct table_line *line, struct buf *out)
{
    struct walker *w = &run->walkers[0];
    struct lease_view v;
    const char *name = line->words_n > 1 ? line->words[1] : "";
    buf_addf(out, "lease %s", name);
    if (!core_lease_view(w->core, table_id(&w->names->leases, name), &v)) {
        buf_add_str(out, " unknown");
        return;
    }
    buf_add_str(out, v.open ? " open" : " ended");
    buf_addf(out, " tokens=%lld", (long long)v.held.of[UNIT_TOKENS]);
    add_time(out, "granted", v.granted_us);
    add_time(out, "expires", v.expires_us);
}

/* steps ROUTE … */
static void write_steps(struct run *run, const struct table_line *line, struct buf *out)
{
    struct core *core = run->walkers[0].core;
    struct route_view v = {0};
    size_t i = 0;
    for (; i < core_routes(core); i++) {
        core_route_view(core, i, &v);
        if (line->words_n > 1 && strcmp(v.route->name, line->words[1]) == 0) {
            break;
        }
    }
    if (i == core_routes(core)) {
        buf_add_str(out, "steps none");
        return;
    }
    buf_addf(out, "steps %s waiting=%zu exhausted=%llu moved=%llu fallbacks=%llu", v.route->name,
             v.waiting, (unsigned long long)v.exhausted, (unsigned long long)v.moved,
             (unsigned long long)v.fallbacks);
    for (size_t k = 0; k < v.route->steps_n; k++) {
        buf_addf(out, "%s%llu", k ? "," : " granted=", (unsigned long long)v.granted[k]);
    }
    for (int k = 1; k < PASS_COUNT; k++) {
        if (v.passed[k]) {
            buf_addf(out, " %s=%llu", pass_name((enum pass)k), (unsigned long long)v.passed[k]);
        }
    }
}

/* missing ACQUIRE…: the counters the core has forgotten and would need. */
static void write_missing(struct run *run, const struct table_line *line, struct buf *out)
{
    struct table_event e = {0};
    struct record keys[CORE_MISSING_MAX];
    struct walker *w = &run->walkers[0];
    const char *wrong = table_acquire_read(&e, line, 1, w->names);
    buf_add_str(out, wrong ? wrong : "missing");
    size_t n = wrong ? 0 : core_missing(w->core, &e.event.acquire, keys, CORE_MISSING_MAX);
    for (size_t i = 0; i < n; i++) {
        buf_addf(out, " %.*s/%.*s/%.*s", (int)keys[i].resource.len,
                 keys[i].resource.len ? keys[i].resource.at : "", (int)keys[i].limit.len,
                 keys[i].limit.at, (int)keys[i].scope_key.len,
                 keys[i].scope_key.len ? keys[i].scope_key.at : "");
    }
}

static bool run_question(struct run *run, const struct table_line *line, struct buf *out)
{
    const char *word = line->words[0];
    if (strcmp(word, "deadline") == 0) {
        buf_add_str(out, "deadline");
        add_time(out, "at", core_next_deadline(run->walkers[0].core));
    } else if (strcmp(word, "view") == 0) {
        write_view(run, line, out);
    } else if (strcmp(word, "line") == 0) {
        write_line(run, line, out);
    } else if (strcmp(word, "steps") == 0) {
        write_steps(run, line, out);
    } else if (strcmp(word, "totals") == 0) {
        write_totals(run, out);
    } else if (strcmp(word, "lease") == 0) {
        write_lease(run, line, out);
    } else {
        return false;
    }
    return true;
}

/* --- A case --- */

static bool is_expectation(const char *line)
{
    return line[0] == ' ' || line[0] == '\t';
}

static size_t expectations(const struct table_case *c, size_t first)
{
    size_t i = first;
    while (i < c->lines_n && is_expectation(c->lines[i])) {
        i++;
    }
    return i - first;
}

/* The expectations of the line at i, against what the core said. */
static void compare(struct run *run, size_t i)
{
    char *copy = strdup(said(&run->walkers[0]));
    char *rest = copy;
    size_t wanted = expectations(run->c, i + 1), n = 0;
    bool same = true;
    for (char *got; (got = strsep(&rest, "\n")) && *got; n++) {
        if (run->print) {
            printf("  %s\n", got);
        }
        same = same && n < wanted && table_matches(run->c->lines[i + 1 + n], got);
    }
    free(copy);
    if (run->print || (same && n == wanted)) {
        return;
    }
    problem(run, i, run->c->lines[i]);
    for (size_t k = 0; k < wanted; k++) {
        buf_addf(&run->problem, "   want %s\n", run->c->lines[i + 1 + k]);
    }
    buf_addf(&run->problem, "   got:\n%s", said(&run->walkers[0]));
}

static void add_policy_line(struct run *run, size_t i, const struct table_line *line)
{
    if (run->policies_n == 0 || strcmp(line->words[0], "policy") == 0) {
        if (run->policies_n == CASE_POLICIES_MAX) {
            problem(run, i, "too many policies");
            return;
        }
        struct table_policy *p = malloc(sizeof(*p));
        table_policy_init(p);
        run->policies[run->policies_n++] = p;
    }
    const char *wrong = table_policy_add(run->policies[run->policies_n - 1], line);
    if (wrong) {
        problem(run, i, wrong);
    }
}

static void ask(struct run *run, size_t i, const struct table_line *line)
{
    struct buf out;
    buf_init(&out, OUTPUT_MAX);
    if (!run_question(run, line, &out)) {
        problem(run, i, "no such word");
    } else if (run->print) {
        printf("%s\n", out.at);
    } else if (!table_matches(run->c->lines[i], out.at)) {
        problem(run, i, run->c->lines[i]);
        buf_addf(&run->problem, "   got %s\n", out.at);
    }
    buf_release(&out);
}

static void run_line(struct run *run, size_t i)
{
    struct table_line line;
    const char *text = run->c->lines[i];
    if (is_expectation(text) || !table_split(&line, text, strlen(text)) || !line.words_n) {
        if (run->print && !is_expectation(text)) {
            printf("%s\n", text);
        }
        return;
    }
    const char *word = line.words[0];
    bool question = !table_is_policy_word(&line) && strcmp(word, "at") != 0 &&
                    strcmp(word, "restart") != 0 && strcmp(word, "missing") != 0 &&
                    strcmp(word, "records") != 0;
    if (run->print && !question) {
        printf("%s\n", text);
    }
    if (table_is_policy_word(&line)) {
        add_policy_line(run, i, &line);
    } else if (strcmp(word, "records") == 0) {
        run->records = true;
    } else if (strcmp(word, "missing") == 0) {
        buf_clear(&run->walkers[0].said);
        write_missing(run, &line, &run->walkers[0].said);
        compare(run, i);
    } else if (question) {
        ask(run, i, &line);
    } else if (run->policies_n == 0) {
        problem(run, i, "a case begins with a policy");
    } else {
        strcmp(word, "at") == 0 ? run_event(run, i, &line) : run_restart(run, i, &line);
        compare(run, i);
    }
}

static void open_run(struct run *run, const struct table_case *c)
{
    memset(run, 0, sizeof(*run));
    run->c = c;
    run->print = print_only;
    buf_init(&run->problem, OUTPUT_MAX);
    for (int k = 0; k < 2; k++) {
        struct walker *w = &run->walkers[k];
        walker_open(w, (uint64_t)k + 1);
        effects_init(&w->effects);
        record_log_init(&w->log);
        buf_init(&w->said, OUTPUT_MAX);
        w->names = calloc(1, sizeof(*w->names));
    }
}

static void close_run(struct run *run)
{
    for (int k = 0; k < 2; k++) {
        struct walker *w = &run->walkers[k];
        core_free(w->core);
        effects_release(&w->effects);
        record_log_release(&w->log);
        buf_release(&w->said);
        free(w->names);
    }
    for (size_t i = 0; i < run->policies_n; i++) {
        free(run->policies[i]);
    }
    buf_release(&run->problem);
}

static void run_case(void **state)
{
    struct run run;
    open_run(&run, *state);
    if (run.print) {
        printf("case %s\n", run.c->name);
    }
    for (size_t i = 0; i < run.c->lines_n && (run.print || run.problem.len == 0); i++) {
        run_line(&run, i);
    }
    if (run.problem.len) {
        fprintf(stderr, "%s", run.problem.at);
    }
    bool failed = run.problem.len > 0;
    close_run(&run);
    if (failed && !print_only) {
        fail();
    }
}

/* --- Files --- */

static void add_line(const char *file, char *text, size_t number)
{
    if (strncmp(text, "case ", 5) == 0 && cases_n < CASES_MAX) {
        struct table_case *c = &cases[cases_n++];
        c->file = file;
        snprintf(c->name, sizeof(c->name), "%s", text + 5);
        return;
    }
    if (text[0] == '#' || text[0] == 0 || cases_n == 0) {
        return;
    }
    struct table_case *c = &cases[cases_n - 1];
    if (c->lines_n == CASE_LINES_MAX) {
        fprintf(stderr, "%s:%zu: a case of too many lines\n", file, number);
        exit(2);
    }
    c->numbers[c->lines_n] = number;
    c->lines[c->lines_n++] = text;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *at = NULL;
    size_t size = 0;
    if (!f || getdelim(&at, &size, 0, f) < 0) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(2);
    }
    fclose(f);
    return at;
}

static size_t add_file(const char *path, char **contents)
{
    *contents = read_file(path);
    char *rest = *contents;
    size_t before = cases_n, number = 0;
    const char *slash = strrchr(path, '/');
    for (char *text; (text = strsep(&rest, "\n"));) {
        add_line(slash ? slash + 1 : path, text, ++number);
    }
    return cases_n - before;
}

int main(int argc, char **argv)
{
    int first = argc > 1 && strcmp(argv[1], "--print") == 0 ? 2 : 1;
    print_only = first == 2;
    cases = calloc(CASES_MAX, sizeof(*cases));
    char **contents = calloc((size_t)argc, sizeof(*contents));
    for (int i = first; i < argc; i++) {
        if (add_file(argv[i], &contents[i]) == 0) {
            fprintf(stderr, "%s: no case in it\n", argv[i]);
            return 2;
        }
    }
    struct CMUnitTest *tests = calloc(cases_n + 1, sizeof(*tests));
    for (size_t i = 0; i < cases_n; i++) {
        void *state = &cases[i];
        tests[i] = (struct CMUnitTest){cases[i].name, run_case, NULL, NULL, state};
        if (print_only) {
            run_case(&state);
        }
    }
    int failed = print_only ? 0 : _cmocka_run_group_tests("cases", tests, cases_n, NULL, NULL);
    for (int i = first; i < argc; i++) {
        free(contents[i]);
    }
    free(contents);
    free(tests);
    free(cases);
    return failed != 0;
}
