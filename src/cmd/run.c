/*
 * sluice run: a command under a lease.
 *
 * Acquire, spawn, wait, settle. While it waits for the lease, signals do what they always do: the
 * process ends, the coordinator sees the hang-up and takes the request out of the line. From the
 * spawn on they belong to the command: handlers pass them on, and what is waited for is the
 * command's end or the next renewal, whichever comes first.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/num.h"
#include "client/client.h"
#include "cmd/cmd.h"
#include "cmd/coordinator.h"
#include "config/config.h"
#include "http/json.h"

#define ANSWER_BYTES_MAX (1u << 20)
#define WHY_BYTES_MAX    4096
#define NAME_BYTES_MAX   256
#define LABELS_N_MAX     8
#define HOLD_US          (25 * US_PER_S)
#define ANSWER_SLACK_US  (15 * US_PER_S) /* beyond the time the coordinator was asked to take */
#define RETRY_US         US_PER_S
#define RENEW_US_MIN     US_PER_S

/* The process's own exit codes, from sysexits.h where it has one. */
enum {
    RUN_NEVER = 69,       /* EX_UNAVAILABLE: no waiting would help */
    RUN_NOT_NOW = 75,     /* EX_TEMPFAIL: not within the time, or nobody to ask */
    RUN_NOT_ALLOWED = 77, /* EX_NOPERM */
    RUN_CANNOT_EXEC = 126,
    RUN_NOT_FOUND = 127,
    RUN_SIGNALLED = 128 /* and the signal's number */
};

static const char help[] =
    "Usage: sluice run --resource R [OPTION...] [--] COMMAND [ARGUMENT...]\n"
    "\n"
    "Waits in line for a lease of a resource, runs a command while holding it, and gives it back.\n"
    "The command's exit code is passed on.\n"
    "\n"
    "  -r, --resource R      what to acquire\n"
    "  -l, --load N          tokens the command will use, or UNIT=N,... with the units requests,\n"
    "                        tokens, input_tokens, output_tokens, usd (estimated)\n"
    "  -t, --tenant T        whose share of the line this is\n"
    "  -s, --session S       what limits of each session count by\n"
    "  -L, --label K=V       what limits of a label count by; may be repeated\n"
    "  -p, --priority P      1, most urgent, to 10 (5)\n"
    "  -w, --wait D          how long to stand in line; 0s: not at all (24h)\n"
    "      --lease D         how long the lease outlives this process, should it be killed (1m)\n"
    "      --parent LEASE    the lease of the run this one is part of\n"
    "  -E, --conflict-exit-code N\n"
    "                        exit with N instead of 75 when there was no lease in time\n"
    "  -u, --url U           the coordinator ($SLUICE_URL, or " CLIENT_URL_DEFAULT ")\n"
    "\n"
    "An API key is taken from $SLUICE_API_KEY only, as others can see command lines. The command\n"
    "finds SLUICE_LEASE and SLUICE_RESOURCE in its environment, and may settle the lease itself\n"
    "with what it used; otherwise what was asked for counts as used. Signals are passed on.\n"
    "\n"
    "Exit code: the command's, or 128+N if signal N ended it; 2 asked wrongly; 69 this can never "
    "be\n"
    "had; 75 not had in time, or no coordinator; 77 not allowed; 126, 127 the command cannot be "
    "run.\n"
    "\n"
    "Examples:\n"
    "  sluice run --resource gpt-4o --load 20k -- python summarise.py\n"
    "  sluice run -r gpt-4o -l input_tokens=8k,output_tokens=2k -t night -p 9 -- ./job\n"
    "  sluice run -r gpt-4o -w 0s -E 1 -- ./only-if-free\n"
    "  sluice run -r gpt-4o --parent \"$SLUICE_LEASE\" -- ./step    (inside another run)\n";

struct request {
    const char *resource;
    const char *load; /* NULL: one request, whose tokens are estimated */
    const char *tenant;
    const char *session;
    const char *labels[LABELS_N_MAX];
    size_t labels_n;
    const char *parent;
    const char *url;
    int64_t priority; /* 0: not said */
    int64_t wait_us;
    int64_t lease_us;
    int conflict_code;
    char **command;
};

struct run {
    struct request request;
    struct client *client;
    struct clock clock;
    struct buf answer;
    struct buf why;
    char id[NAME_BYTES_MAX];
    char lease[NAME_BYTES_MAX];
    char ticket[NAME_BYTES_MAX];
};

static int64_t now_us(const struct run *r)
{
    return clock_now_us(&r->clock);
}

/* --- The command line. --- */

static int refuse(struct run *r, const char *what, const char *value)
{
    buf_addf(&r->why, "\"%s\" is not %s", value, what);
    return ERR_INVALID_REQUEST;
}

static int read_duration(struct run *r, const char *value, int64_t low_us, int64_t *us)
{
    bool good = config_read_duration(text_of(value), us) && *us >= low_us && *us <= US_PER_DAY;
    return good ? 0 : refuse(r, "a duration such as 30s or 5m, at most a day", value);
}

struct range {
    const char *what;
    int64_t low, high;
};

static int read_whole(struct run *r, const char *value, struct range range, int64_t *n)
{
    if (config_read_amount(text_of(value), range.high, n) && *n >= range.low) {
        return 0;
    }
    buf_addf(&r->why, "\"%s\" is not %s, a number from %lld to %lld", value, range.what,
             (long long)range.low, (long long)range.high);
    return ERR_INVALID_REQUEST;
}

enum { OPT_LEASE = 256, OPT_PARENT };

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {"resource", required_argument, NULL, 'r'},
    {"load", required_argument, NULL, 'l'},
    {"tenant", required_argument, NULL, 't'},
    {"session", required_argument, NULL, 's'},
    {"label", required_argument, NULL, 'L'},
    {"priority", required_argument, NULL, 'p'},
    {"wait", required_argument, NULL, 'w'},
    {"lease", required_argument, NULL, OPT_LEASE},
    {"parent", required_argument, NULL, OPT_PARENT},
    {"conflict-exit-code", required_argument, NULL, 'E'},
    {"url", required_argument, NULL, 'u'},
    {0},
};

static int read_label(struct run *r, const char *value)
{
    struct request *q = &r->request;
    if (q->labels_n == LABELS_N_MAX || !strchr(value, '=') || value[0] == '=') {
        return refuse(r, "a label such as team=search, or there are more than 8", value);
    }
    q->labels[q->labels_n++] = value;
    return 0;
}

static const struct range priorities = {"a priority", PRIORITY_MIN, PRIORITY_MAX};
static const struct range exit_codes = {"an exit code", 0, UINT8_MAX};

static int read_option(struct run *r, int code, const char *value)
{
    struct request *q = &r->request;
    int64_t n = 0;
    int rc = 0;
    switch (code) {
    case 'r': q->resource = value; break;
    case 'l': q->load = value; break;
    case 't': q->tenant = value; break;
    case 's': q->session = value; break;
    case 'L': rc = read_label(r, value); break;
    case 'p': rc = read_whole(r, value, priorities, &q->priority); break;
    case 'w': rc = read_duration(r, value, 0, &q->wait_us); break;
    case OPT_LEASE: rc = read_duration(r, value, US_PER_S, &q->lease_us); break;
    case OPT_PARENT: q->parent = value; break;
    case 'u': q->url = value; break;
    default:
        rc = read_whole(r, value, exit_codes, &n);
        q->conflict_code = (int)n;
        break;
    }
    return rc;
}

/* 0, 'h', a code of the table with a clause in `why`, or -1 where getopt has complained. */
static int read_options(struct run *r, int argc, char **argv)
{
    int code;
    /* The plus sign ends the options at the command's name, whose own options are its own. */
    while ((code = getopt_long(argc, argv, "+hr:l:t:s:L:p:w:E:u:", options, NULL)) != -1) {
        if (code == 'h' || code == '?') {
            return code == 'h' ? 'h' : -1;
        }
        int rc = read_option(r, code, optarg);
        if (rc) {
            return rc;
        }
    }
    r->request.command = argv + optind;
    if (!r->request.resource || optind == argc) {
        buf_add_str(&r->why, r->request.resource ? "which command?" : "which --resource?");
        return ERR_INVALID_REQUEST;
    }
    return 0;
}

/* --- What is asked of the coordinator. --- */

/* "UNIT=N" as a member. */
static int write_load_pair(struct run *r, struct text pair, struct json_writer *w)
{
    static const char *const units[] = {"requests", "tokens", "input_tokens", "output_tokens"};
    const char *equals = pair.len ? memchr(pair.at, '=', pair.len) : NULL;
    struct text unit = {pair.at, equals ? (size_t)(equals - pair.at) : 0};
    struct text value = {equals ? equals + 1 : NULL, equals ? pair.len - unit.len - 1 : 0};
    int64_t n = 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (text_equal(unit, text_of(units[i])) && config_read_amount(value, AMOUNT_MAX, &n)) {
            json_key(w, units[i]);
            json_i64(w, n);
            return 0;
        }
    }
    if (text_equal(unit, TEXT("usd")) && config_read_picousd(value, &n)) {
        json_key(w, "usd");
        json_picousd(w, n);
        return 0;
    }
    buf_addf(&r->why, "\"%.*s\" is no load: write a number of tokens, or UNIT=N,...", (int)pair.len,
             pair.at);
    return ERR_INVALID_REQUEST;
}

static int write_load(struct run *r, struct json_writer *w)
{
    const char *load = r->request.load;
    int64_t tokens = 0;
    int rc = 0;
    if (!load) {
        return 0;
    }
    json_key(w, "load");
    if (config_read_amount(text_of(load), AMOUNT_MAX, &tokens)) {
        json_i64(w, tokens);
        return 0;
    }
    json_object_begin(w);
    for (const char *at = load; at && rc == 0;) {
        size_t n = strcspn(at, ",");
        rc = write_load_pair(r, (struct text){at, n}, w);
        at = at[n] ? at + n + 1 : NULL;
    }
    json_object_end(w);
    return rc;
}

static void write_str(struct json_writer *w, const char *key, const char *value)
{
    if (value) {
        json_key(w, key);
        json_str(w, value);
    }
}

static void write_ms(struct json_writer *w, const char *key, int64_t us)
{
    json_key(w, key);
    json_i64(w, us / US_PER_MS);
}

static void write_labels(const struct request *q, struct json_writer *w)
{
    if (q->labels_n == 0) {
        return;
    }
    json_key(w, "labels");
    json_object_begin(w);
    for (size_t i = 0; i < q->labels_n; i++) {
        size_t n = strcspn(q->labels[i], "=");
        json_name(w, (struct text){q->labels[i], n});
        json_str(w, q->labels[i] + n + 1);
    }
    json_object_end(w);
}

/* The acquire, or the same with the ticket of one that went before. */
static int write_acquire(struct run *r, int64_t wait_us, struct buf *body)
{
    const struct request *q = &r->request;
    struct json_writer w;
    int rc = 0;
    buf_clear(body);
    json_writer_init(&w, body);
    json_object_begin(&w);
    write_ms(&w, "hold_ms", min_i64(HOLD_US, wait_us));
    if (r->ticket[0]) {
        write_str(&w, "ticket", r->ticket);
        json_object_end(&w);
        return 0;
    }
    write_str(&w, "resource", q->resource);
    rc = write_load(r, &w);
    write_str(&w, "tenant", q->tenant);
    write_str(&w, "session", q->session);
    write_labels(q, &w);
    write_str(&w, "parent", q->parent);
    write_str(&w, "id", r->id);
    if (q->priority) {
        json_key(&w, "priority");
        json_i64(&w, q->priority);
    }
    write_ms(&w, "wait_ms", wait_us);
    write_ms(&w, "lease_ms", q->lease_us);
    json_object_end(&w);
    return rc;
}

/* Copies a text member of an answer's object; false where it is missing or too long. */
static bool take_member(const struct buf *answer, const char *key, char *to)
{
    json_value *document = NULL;
    struct buf why;
    struct text t = TEXT_NONE;
    bool taken = false;
    buf_init(&why, WHY_BYTES_MAX);
    if (json_parse(buf_text(answer), &document, &why) == 0 && json_is_object(document)) {
        const json_value *v = json_get(document, key);
        taken = v && json_read_text(v, &t) && t.len > 0 && t.len < NAME_BYTES_MAX;
    }
    if (taken) {
        memcpy(to, t.at, t.len);
        to[t.len] = '\0';
    }
    json_free(document);
    buf_release(&why);
    return taken;
}

static int code_of_status(const struct run *r, int status)
{
    switch (status) {
    case 401:
    case 403: return RUN_NOT_ALLOWED;
    case 400: return EXIT_USAGE;
    case 402:
    case 404:
    case 409:
    case 422: return RUN_NEVER;
    default: return r->request.conflict_code;
    }
}

static int pause_us(int64_t us)
{
    struct timespec ts = {us / US_PER_S, us % US_PER_S * 1000};
    return nanosleep(&ts, NULL);
}

/* Whether a refusal, as explained, is one of a coordinator that restarts, or whose disk is full. */
static bool will_pass(const struct run *r)
{
    static const enum error_code passing[] = {ERR_SHUTTING_DOWN, ERR_STORE_FAILED};
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        struct text name = text_of(error_name(passing[i]));
        if (r->why.len > name.len && memcmp(r->why.at, name.at, name.len) == 0) {
            return true;
        }
    }
    return false;
}

/* Acts on one answer: 0 has the lease, -1 ask again, else the code to exit with. */
static int take_answer(struct run *r, int status, int64_t left_us)
{
    if (status == 200 && take_member(&r->answer, "lease", r->lease)) {
        return 0;
    }
    if (status == 202 && take_member(&r->answer, "ticket", r->ticket)) {
        return -1;
    }
    if (status == 404 && r->ticket[0]) {
        /* The coordinator was restarted, or we were too late: stand in line once more. */
        r->ticket[0] = '\0';
        return -1;
    }
    coordinator_explain(&r->answer, status, &r->why);
    if (left_us > 0 && will_pass(r)) {
        r->ticket[0] = '\0';
        pause_us(min_i64(RETRY_US, left_us));
        return -1;
    }
    return code_of_status(r, status);
}

/* Stands in line until there is a lease (0), or the exit code says why not. */
static int acquire(struct run *r)
{
    int64_t until_us = now_us(r) + r->request.wait_us;
    struct buf body;
    bool in_line = false;
    int code = -1;
    buf_init(&body, ANSWER_BYTES_MAX);
    while (code < 0) {
        int status = 0;
        int64_t left_us = max_i64(0, until_us - now_us(r));
        buf_clear(&r->why);
        if (write_acquire(r, left_us, &body)) {
            code = EXIT_USAGE;
        } else if (client_post(r->client, "/v1/acquire", buf_text(&body),
                               min_i64(HOLD_US, left_us) + ANSWER_SLACK_US, &status, &r->answer,
                               &r->why) == 0) {
            code = take_answer(r, status, left_us);
            in_line = true;
        } else if (!in_line || left_us == 0) {
            buf_add_str(&r->why, "; --url or $SLUICE_URL says where `sluice serve` listens");
            code = r->request.conflict_code;
        } else {
            /* A coordinator that answered before is taken to come back. */
            r->ticket[0] = '\0';
            pause_us(min_i64(RETRY_US, left_us));
        }
    }
    buf_release(&body);
    return code;
}

static void post_lease(struct run *r, const char *path, bool renew)
{
    struct json_writer w;
    struct buf body;
    int status = 0;
    buf_init(&body, ANSWER_BYTES_MAX);
    buf_clear(&r->why);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    write_str(&w, "lease", r->lease);
    if (renew) {
        write_ms(&w, "lease_ms", r->request.lease_us);
    }
    json_object_end(&w);
    if (client_post(r->client, path, buf_text(&body), ANSWER_SLACK_US, &status, &r->answer,
                    &r->why) == 0 &&
        status != 200) {
        coordinator_explain(&r->answer, status, &r->why);
    }
    if (r->why.len) {
        fprintf(stderr, "sluice run: lease %s: %s\n", r->lease, r->why.at);
    }
    buf_release(&body);
}

/* A command that never ran has used nothing. */
static void cancel(struct run *r)
{
    struct json_writer w;
    struct buf body;
    int status = 0;
    buf_init(&body, ANSWER_BYTES_MAX);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    write_str(&w, "id", r->id);
    json_object_end(&w);
    (void)client_post(r->client, "/v1/cancel", buf_text(&body), ANSWER_SLACK_US, &status,
                      &r->answer, &r->why);
    buf_release(&body);
}

/* --- The command. --- */

static volatile pid_t child; /* 0 before it is spawned and after it has ended */

static const int passed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

#define PASSED_ON_N (sizeof(passed_on) / sizeof(passed_on[0]))

/* A signal from the terminal has reached the command as well; one that was sent has not. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    if (child > 0 && info->si_code <= 0) {
        kill(child, number);
    }
    errno = saved;
}

/* From here on signals are the command's. Holds them and SIGCHLD back; `before` is what the command
 * is to start with. */
static void watch_signals(sigset_t *before)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t held;
    signal(SIGCHLD, SIG_DFL); /* ignored, it would take the exit code with it */
    action.sa_sigaction = on_signal;
    sigemptyset(&action.sa_mask);
    sigemptyset(&held);
    sigaddset(&held, SIGCHLD);
    for (size_t i = 0; i < PASSED_ON_N; i++) {
        struct sigaction old;
        sigaddset(&held, passed_on[i]);
        /* What was ignored from the start, as under nohup, stays so, here and in the command. */
        if (sigaction(passed_on[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            sigaction(passed_on[i], &action, NULL);
        }
    }
    sigprocmask(SIG_BLOCK, &held, before);
}

/* Lets the signals through that were held back until the command's number was known. */
static void let_signals_through(void)
{
    sigset_t passed;
    sigemptyset(&passed);
    for (size_t i = 0; i < PASSED_ON_N; i++) {
        sigaddset(&passed, passed_on[i]);
    }
    sigprocmask(SIG_UNBLOCK, &passed, NULL);
}

static int spawn(struct run *r, const sigset_t *mask)
{
    posix_spawnattr_t attributes;
    pid_t pid = 0;
    setenv("SLUICE_LEASE", r->lease, 1);
    setenv("SLUICE_RESOURCE", r->request.resource, 1);
    int error = posix_spawnattr_init(&attributes);
    if (error) {
        return error;
    }
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, mask);
    error =
        posix_spawnp(&pid, r->request.command[0], NULL, &attributes, r->request.command, environ);
    posix_spawnattr_destroy(&attributes);
    if (error == 0) {
        child = pid;
    }
    return error;
}

/* Waits until something may have become of the command, at most until `until_us`. */
static void wait_for_child(const struct run *r, int64_t until_us)
{
    sigset_t set;
    int64_t left_us = max_i64(0, until_us - now_us(r));
    struct timespec left = {left_us / US_PER_S, left_us % US_PER_S * 1000};
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    (void)sigtimedwait(&set, NULL, &left);
}

/* The command's exit code, once it has ended; the lease is kept alive until then. */
static int attend(struct run *r)
{
    int64_t each_us = max_i64(RENEW_US_MIN, r->request.lease_us) / 2;
    int64_t renew_us = now_us(r) + each_us;
    int status = 0;
    for (;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child || (ended < 0 && errno != EINTR)) {
            break;
        }
        if (now_us(r) >= renew_us) {
            post_lease(r, "/v1/renew", true);
            renew_us = now_us(r) + each_us;
        }
        wait_for_child(r, renew_us);
    }
    child = 0;
    return WIFSIGNALED(status) ? RUN_SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_command(struct run *r)
{
    sigset_t before;
    watch_signals(&before);
    int error = spawn(r, &before);
    let_signals_through();
    if (error) {
        cancel(r);
        fprintf(stderr, "sluice run: %s: %s\n", r->request.command[0], strerror(error));
        return error == ENOENT ? RUN_NOT_FOUND : RUN_CANNOT_EXEC;
    }
    int code = attend(r);
    post_lease(r, "/v1/release", false);
    return code;
}

/* A name for this acquire, so that repeating it after a broken connection does no harm. */
static void name_request(struct run *r)
{
    snprintf(r->id, sizeof(r->id), "run-%lld-%lld", (long long)getpid(), (long long)now_us(r));
}

static int run(struct run *r)
{
    const char *url = r->request.url ? r->request.url : getenv("SLUICE_URL");
    int code = 0;
    int rc = client_new(url && url[0] ? url : CLIENT_URL_DEFAULT, getenv("SLUICE_API_KEY"),
                        &r->client, &r->why);
    if (rc) {
        code = rc == ERR_INVALID_REQUEST ? EXIT_USAGE : RUN_NOT_NOW;
    } else {
        name_request(r);
        code = acquire(r);
    }
    if (code) {
        fprintf(stderr, "sluice run: %s\n", r->why.len ? r->why.at : error_sentence(rc));
        return code;
    }
    return run_command(r);
}

int cmd_run(int argc, char **argv)
{
    struct run r = {
        .request = {.wait_us = US_PER_DAY, .lease_us = US_PER_MIN, .conflict_code = RUN_NOT_NOW}};
    clock_init(&r.clock, 0);
    buf_init(&r.answer, ANSWER_BYTES_MAX);
    buf_init(&r.why, WHY_BYTES_MAX);
    int code = EXIT_USAGE;
    int rc = read_options(&r, argc, argv);
    if (rc == 'h') {
        fputs(help, stdout);
        code = 0;
    } else if (rc == 0) {
        code = run(&r);
    } else if (r.why.len) {
        fprintf(stderr, "sluice run: %s; see \"sluice run --help\"\n", r.why.at);
    }
    client_free(r.client);
    buf_release(&r.answer);
    buf_release(&r.why);
    return code;
}
