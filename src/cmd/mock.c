#include "mock/mock.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "cmd/cmd.h"
#include "config/config.h"

#define WHY_BYTES_MAX    4096
#define SCRIPT_BYTES_MAX (1u << 20)
#define LISTEN_DEFAULT   "127.0.0.1:8080"

static const char help[] =
    "Usage: sluice mock [OPTION...]\n"
    "\n"
    "Pretends to be a provider: speaks like OpenAI, Azure OpenAI and Anthropic, and enforces "
    "their\n"
    "published limits strictly. For testing how a program behaves at a provider's limits.\n"
    "\n"
    "  --listen HOST:PORT        where to listen (" LISTEN_DEFAULT "; port 0: any free one)\n"
    "  --profile NAME            whose rules: openai, anthropic, azure (openai)\n"
    "  --rpm N  --tpm N          requests and tokens a minute, of each model (no limit)\n"
    "  --itpm N --otpm N         input and output tokens a minute\n"
    "  --concurrency N           calls in flight\n"
    "  --model NAME[:rpm=N,...]  a model with amounts of its own; may be repeated\n"
    "  --minute D                the real length of the provider's minute (1m)\n"
    "  --latency SPEC            time to the first token, and of each further one (none)\n"
    "  --admission-delay SPEC    time before a call is judged, like the network's; not compressed\n"
    "  --scale-admission-delay   compress it as well\n"
    "  --max-output N            the longest answer to a call that names no maximum (256)\n"
    "  --seed N                  what all chance comes from (1)\n"
    "  --script FILE             trouble, as rules WHEN: WHAT, one a line\n"
    "  --trouble RULES           the same, given here, with ; between rules\n"
    "  --key KEY                 a key callers must show; may be repeated (any key is good)\n"
    "\n"
    "SPEC is none, constant:D, uniform:LOW,HIGH or lognormal:MEDIAN,SIGMA; behind it ,PER_TOKEN.\n"
    "Amounts take k and M, durations ms s m h. GET /mock/stats counts what was admitted and\n"
    "refused; POST /mock/reset begins anew. More in docs/mock.md.\n"
    "\n"
    "Exit code: 0 ended by a signal, 1 it could not listen, 2 it was asked wrongly.\n"
    "\n"
    "Examples:\n"
    "  sluice mock --rpm 60 --tpm 10k\n"
    "  sluice mock --profile anthropic --rpm 50 --itpm 30k --otpm 8k --minute 3s\n"
    "  sluice mock --latency lognormal:400ms,0.5,12ms --trouble 'chance 2%: status 503'\n"
    "  OPENAI_BASE_URL=http://" LISTEN_DEFAULT "/v1 OPENAI_API_KEY=x python program.py\n";

enum option_code {
    OPT_HELP = 'h',
    OPT_LISTEN = 256,
    OPT_PROFILE,
    OPT_RPM,
    OPT_TPM,
    OPT_ITPM,
    OPT_OTPM,
    OPT_CONCURRENCY,
    OPT_MODEL,
    OPT_MINUTE,
    OPT_LATENCY,
    OPT_DELAY,
    OPT_SCALE_DELAY,
    OPT_MAX_OUTPUT,
    OPT_SEED,
    OPT_SCRIPT,
    OPT_TROUBLE,
    OPT_KEY
};

static const struct option options[] = {
    {"help", no_argument, NULL, OPT_HELP},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"profile", required_argument, NULL, OPT_PROFILE},
    {"rpm", required_argument, NULL, OPT_RPM},
    {"tpm", required_argument, NULL, OPT_TPM},
    {"itpm", required_argument, NULL, OPT_ITPM},
    {"otpm", required_argument, NULL, OPT_OTPM},
    {"concurrency", required_argument, NULL, OPT_CONCURRENCY},
    {"model", required_argument, NULL, OPT_MODEL},
    {"minute", required_argument, NULL, OPT_MINUTE},
    {"latency", required_argument, NULL, OPT_LATENCY},
    {"admission-delay", required_argument, NULL, OPT_DELAY},
    {"scale-admission-delay", no_argument, NULL, OPT_SCALE_DELAY},
    {"max-output", required_argument, NULL, OPT_MAX_OUTPUT},
    {"seed", required_argument, NULL, OPT_SEED},
    {"script", required_argument, NULL, OPT_SCRIPT},
    {"trouble", required_argument, NULL, OPT_TROUBLE},
    {"key", required_argument, NULL, OPT_KEY},
    {0},
};

/* What the command line asks for. */
struct asked {
    const char *listen;
    struct mock_options mock;
    struct buf why;
};

/* Words for amounts, in the order of enum quota_unit. */
static const char *const amount_words[QUOTA_UNIT_COUNT] = {"rpm", "tpm", "itpm", "otpm",
                                                           "concurrency"};

static int refuse(struct asked *a, const char *what, const char *value)
{
    buf_addf(&a->why, "\"%s\" is not %s", value, what);
    return ERR_INVALID_REQUEST;
}

static int read_amount(struct asked *a, struct text t, int64_t *amount)
{
    if (config_read_amount(t, METER_AMOUNT_MAX, amount)) {
        return 0;
    }
    buf_addf(&a->why, "\"%.*s\" is not an amount up to 1000M, such as 60, 200k or 2M", (int)t.len,
             t.at);
    return ERR_INVALID_REQUEST;
}

static int read_profile(struct asked *a, const char *name)
{
    static const char *const names[] = {"openai", "anthropic", "azure"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            a->mock.profile = (enum quota_profile)i;
            return 0;
        }
    }
    return refuse(a, "a profile: openai, anthropic or azure", name);
}

/* "rpm=60" into the amounts. */
static int read_pair(struct asked *a, struct text pair, int64_t *amount)
{
    const char *equals = pair.len ? memchr(pair.at, '=', pair.len) : NULL;
    size_t n = equals ? (size_t)(equals - pair.at) : 0;
    for (size_t u = 0; equals && u < QUOTA_UNIT_COUNT; u++) {
        if (text_equal((struct text){pair.at, n}, text_of(amount_words[u]))) {
            return read_amount(a, (struct text){equals + 1, pair.len - n - 1}, &amount[u]);
        }
    }
    buf_addf(&a->why, "\"%.*s\" is not one of rpm=N, tpm=N, itpm=N, otpm=N, concurrency=N",
             (int)pair.len, pair.at);
    return ERR_INVALID_REQUEST;
}

/* NAME[:rpm=N,tpm=N]. What is not said is as for the other models, so that this is read after the
 * other options. */
static int read_model(struct asked *a, const char *value)
{
    struct mock_options *o = &a->mock;
    size_t n = strcspn(value, ":");
    if (n == 0 || n > ASK_MODEL_LEN_MAX || o->overrides_n == MOCK_OVERRIDES_MAX) {
        return refuse(a, "a model's name, or there are too many models", value);
    }
    struct mock_override *override = &o->overrides[o->overrides_n++];
    override->name = (struct text){value, n};
    memcpy(override->amount, o->amount, sizeof(o->amount));
    for (const char *at = value[n] ? value + n + 1 : NULL; at;) {
        size_t len = strcspn(at, ",");
        int rc = read_pair(a, (struct text){at, len}, override->amount);
        if (rc) {
            return rc;
        }
        at = at[len] ? at + len + 1 : NULL;
    }
    return 0;
}

static int read_minute(struct asked *a, const char *value)
{
    int64_t us = 0;
    if (!config_read_duration(text_of(value), &us) || us < MINUTE_US_MIN || us > MINUTE_US_MAX) {
        return refuse(a, "a length for a minute, from 60ms to 1h", value);
    }
    a->mock.minute_us = us;
    return 0;
}

static int read_seed(struct asked *a, const char *value)
{
    char *end = NULL;
    errno = 0;
    a->mock.seed = strtoull(value, &end, 10);
    return errno || *end || end == value ? refuse(a, "a seed, a whole number", value) : 0;
}

static int read_script(struct asked *a, const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        buf_addf(&a->why, "%s: %s", path, strerror(errno));
        return ERR_NOT_FOUND;
    }
    struct buf script;
    size_t got = 1;
    buf_init(&script, SCRIPT_BYTES_MAX);
    while (got > 0 && !script.failed) {
        char piece[4096];
        got = fread(piece, 1, sizeof(piece), file);
        buf_add(&script, piece, got);
    }
    fclose(file);
    int rc = script.failed ? refuse(a, "a script of at most 1 MB", path)
                           : trouble_parse(buf_text(&script), &a->mock.script, &a->why);
    buf_release(&script);
    return rc;
}

static int read_key(struct asked *a, const char *key)
{
    if (a->mock.keys_n == MOCK_KEYS_MAX || key[0] == '\0') {
        return refuse(a, "a key, or there are too many keys", key);
    }
    a->mock.keys[a->mock.keys_n++] = text_of(key);
    return 0;
}

static int read_chance_option(struct asked *a, int code, const char *value)
{
    struct mock_options *o = &a->mock;
    switch (code) {
    case OPT_LATENCY: return latency_parse(text_of(value), &o->latency, &a->why);
    case OPT_DELAY: return latency_parse(text_of(value), &o->admission_delay, &a->why);
    case OPT_SEED: return read_seed(a, value);
    case OPT_SCRIPT: return read_script(a, value);
    case OPT_TROUBLE: return trouble_parse(text_of(value), &o->script, &a->why);
    default: break;
    }
    o->scale_admission_delay = true;
    return 0;
}

static int read_option(struct asked *a, int code, const char *value)
{
    switch (code) {
    case OPT_LISTEN: a->listen = value; return 0;
    case OPT_PROFILE: return read_profile(a, value);
    case OPT_RPM:
    case OPT_TPM:
    case OPT_ITPM:
    case OPT_OTPM:
    case OPT_CONCURRENCY: return read_amount(a, text_of(value), &a->mock.amount[code - OPT_RPM]);
    case OPT_MODEL: return 0;
    case OPT_MINUTE: return read_minute(a, value);
    case OPT_MAX_OUTPUT: return read_amount(a, text_of(value), &a->mock.max_output);
    case OPT_KEY: return read_key(a, value);
    default: return read_chance_option(a, code, value);
    }
}

/* Goes through the options twice: what a model does not say is taken from the options before and
 * behind it. 0, a code of the table, or -1 where getopt has complained already. */
static int read_options(struct asked *a, int argc, char **argv)
{
    int rc = 0;
    for (int pass = 0; pass < 2 && rc == 0; pass++) {
        int code;
        optind = 1;
        while (rc == 0 && (code = getopt_long(argc, argv, "h", options, NULL)) != -1) {
            if (code == OPT_HELP || code == '?') {
                return code == OPT_HELP ? OPT_HELP : -1;
            }
            if (pass == 0) {
                rc = read_option(a, code, optarg);
            } else if (code == OPT_MODEL) {
                rc = read_model(a, optarg);
            }
        }
    }
    if (rc == 0 && optind < argc) {
        return refuse(a, "an option", argv[optind]);
    }
    return rc;
}

/* --- Running. --- */

struct run {
    struct mock *mock;
    uv_signal_t signals[2];
};

static void ignore(void *ctx)
{
    (void)ctx;
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    struct run *run = handle->data;
    for (size_t i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&run->signals[i], NULL);
    }
    mock_close(run->mock, ignore, NULL);
}

static void watch_signals(struct run *run, uv_loop_t *loop)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(loop, &run->signals[i]);
        run->signals[i].data = run;
        uv_signal_start(&run->signals[i], on_signal, numbers[i]);
    }
}

static void print_listening(const struct asked *a, const struct mock *mock)
{
    int port = mock_port(mock);
    const char *colon = strrchr(a->listen, ':');
    if (port && colon) {
        printf("listening on http://%.*s:%d\n", (int)(colon - a->listen), a->listen, port);
    } else {
        printf("listening on %s\n", a->listen);
    }
    fflush(stdout);
}

static int serve(struct asked *a)
{
    uv_loop_t loop;
    struct run run = {0};
    if (uv_loop_init(&loop)) {
        fputs("sluice mock: cannot make an event loop\n", stderr);
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    int rc = mock_new(&loop, &a->mock, &run.mock);
    if (rc) {
        fprintf(stderr, "sluice mock: %s\n", error_sentence(rc));
        uv_loop_close(&loop);
        return 1;
    }
    rc = mock_listen(run.mock, a->listen, &a->why);
    if (rc) {
        fprintf(stderr, "sluice mock: cannot listen: %s; give --listen another address\n",
                a->why.len ? a->why.at : a->listen);
        mock_close(run.mock, ignore, NULL);
    } else {
        print_listening(a, run.mock);
        watch_signals(&run, &loop);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return rc ? 1 : 0;
}

int cmd_mock(int argc, char **argv)
{
    static struct asked asked; /* large, for the rules of the script */
    asked.listen = LISTEN_DEFAULT;
    mock_options_default(&asked.mock);
    asked.mock.seed = 1;
    buf_init(&asked.why, WHY_BYTES_MAX);
    int rc = read_options(&asked, argc, argv);
    int code = 0;
    if (rc == OPT_HELP) {
        fputs(help, stdout);
    } else if (rc) {
        if (asked.why.len) {
            fprintf(stderr, "sluice mock: %s\n", asked.why.at);
        }
        code = EXIT_USAGE;
    } else {
        code = serve(&asked);
    }
    buf_release(&asked.why);
    return code;
}
