#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "cmd/cmd.h"
#include "config/config.h"
#include "config/words.h"
#include "server/log.h"
#include "server/server.h"

#define WHY_BYTES_MAX  (64u << 10)
#define CONFIG_DEFAULT "sluice.yaml"

static const char help[] =
    "Usage: sluice serve [OPTION...]\n"
    "\n"
    "Runs the daemon: workers ask it before they call a provider, wait their turn, and settle "
    "with\n"
    "what they used.\n"
    "\n"
    "  -c, --config FILE    the configuration (./" CONFIG_DEFAULT ")\n"
    "  --listen ADDRESS     HOST:PORT, [V6]:PORT or unix:PATH, instead of the configuration's;\n"
    "                       port 0: any free one, which the log then names\n"
    "  --store PATH         the store file, instead of the configuration's\n"
    "  --durability WORD    full: survives loss of power; process: survives the process being "
    "killed;\n"
    "                       none: keeps nothing\n"
    "  --insecure           listen beyond this machine although the configuration has no keys\n"
    "  --log-level WORD     error, warn or info (info)\n"
    "\n"
    "SIGTERM ends it in order, SIGHUP applies a changed configuration as a whole or not at all.\n"
    "\n"
    "Exit code: 0 ended in order, 1 it could not start or not write its store, 2 it was asked "
    "wrongly.\n"
    "\n"
    "Examples:\n"
    "  sluice serve -c etc/example.yaml\n"
    "  sluice serve -c sluice.yaml --listen unix:/run/sluice.sock\n"
    "  sluice serve -c sluice.yaml --durability process --store /var/lib/sluice/sluice.db\n";

enum option_code {
    OPT_HELP = 'h',
    OPT_CONFIG = 'c',
    OPT_LISTEN = 256,
    OPT_STORE,
    OPT_DURABILITY,
    OPT_INSECURE,
    OPT_LOG_LEVEL
};

static const struct option options[] = {
    {"help", no_argument, NULL, OPT_HELP},
    {"config", required_argument, NULL, OPT_CONFIG},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"store", required_argument, NULL, OPT_STORE},
    {"durability", required_argument, NULL, OPT_DURABILITY},
    {"insecure", no_argument, NULL, OPT_INSECURE},
    {"log-level", required_argument, NULL, OPT_LOG_LEVEL},
    {0},
};

static int misused(const char *what, const char *value)
{
    fprintf(stderr, "sluice serve: %s \"%s\"\nSee \"sluice serve --help\".\n", what, value);
    return EXIT_USAGE;
}

static bool read_durability(const char *word, int *durability)
{
    for (int i = 0; durability_words[i]; i++) {
        if (strcmp(durability_words[i], word) == 0) {
            *durability = i;
            return true;
        }
    }
    return false;
}

/* Takes one option; 0, or an exit code. */
static int take_option(int code, struct server_options *o)
{
    enum log_level level;
    switch (code) {
    case OPT_CONFIG: o->config_path = optarg; return 0;
    case OPT_LISTEN: o->listen = optarg; return 0;
    case OPT_STORE: o->store = optarg; return 0;
    case OPT_INSECURE: o->insecure = true; return 0;
    case OPT_DURABILITY:
        if (!read_durability(optarg, &o->durability)) {
            return misused("--durability must be full, process or none, not", optarg);
        }
        return 0;
    case OPT_LOG_LEVEL:
        if (!log_level_read(optarg, &level)) {
            return misused("--log-level must be error, warn or info, not", optarg);
        }
        log_level_set(level);
        return 0;
    default: fputs("See \"sluice serve --help\".\n", stderr); return EXIT_USAGE;
    }
}

static int find_config(struct server_options *o)
{
    if (o->config_path) {
        return 0;
    }
    if (access(CONFIG_DEFAULT, F_OK) == 0) {
        o->config_path = CONFIG_DEFAULT;
        return 0;
    }
    fputs("sluice serve: there is no ./" CONFIG_DEFAULT "; name a configuration with -c FILE.\n"
          "etc/example.yaml is one to begin with.\n",
          stderr);
    return EXIT_USAGE;
}

static int load_config(struct server_options *o)
{
    struct buf why;
    buf_init(&why, WHY_BYTES_MAX);
    int err = config_load(o->config_path, &o->config, &why);
    if (err) {
        log_error_lines(why.len ? why.at : error_sentence((enum error_code)err));
    }
    buf_release(&why);
    return err ? 1 : 0;
}

int cmd_serve(int argc, char **argv)
{
    struct server_options o = {.durability = -1};
    int code;
    optind = 0;
    while ((code = getopt_long(argc, argv, "hc:", options, NULL)) != -1) {
        if (code == OPT_HELP) {
            fputs(help, stdout);
            return 0;
        }
        int exit_code = take_option(code, &o);
        if (exit_code) {
            return exit_code;
        }
    }
    if (optind < argc) {
        return misused("an argument it does not take:", argv[optind]);
    }
    int exit_code = find_config(&o);
    exit_code = exit_code ? exit_code : load_config(&o);
    return exit_code ? exit_code : server_run(&o);
}
