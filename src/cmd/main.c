#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/nearest.h"
#include "cmd/cmd.h"
#include "config/reference.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
};

static int cmd_help(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const struct command commands[] = {
    {"serve", cmd_serve, "run the daemon"},
    {"check", cmd_check, "say what a configuration means, or what is wrong with it"},
    {"key", cmd_key, "make an API key, or hash one"},
    {"prices", cmd_prices, "show what a model costs, or import a table of prices"},
    {"run", cmd_run, "run a command under a lease"},
    {"status", cmd_status, "show what stands where"},
    {"reopen", cmd_reopen, "say that a resource is well again"},
    {"usage", cmd_usage, "what was used, and what it cost"},
    {"budget", cmd_budget, "what is left of budgets; give back what was used"},
    {"mock", cmd_mock, "pretend to be a provider, with its limits"},
    {"help", cmd_help, "explain a command, or the keys of the configuration"},
    {"version", cmd_version, "print the version"},
};

#define COMMANDS_N (sizeof(commands) / sizeof(commands[0]))

static const char *command_name(const void *names, size_t i)
{
    return ((const struct command *)names)[i].name;
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS_N; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void print_help(FILE *to)
{
    fputs("sluice coordinates the quotas of LLM providers among many workers.\n"
          "\n"
          "Usage: sluice COMMAND [ARGUMENT...]\n"
          "\n"
          "Commands:\n",
          to);
    for (size_t i = 0; i < COMMANDS_N; i++) {
        fprintf(to, "  %-9s%s\n", commands[i].name, commands[i].summary);
    }
    fputs("\n"
          "Examples:\n"
          "  sluice check sluice.yaml           look a configuration over\n"
          "  sluice serve -c sluice.yaml        coordinate by it\n"
          "  sluice run --resource gpt-4o --load 2k -- python job.py\n"
          "                                     run a job once it may call the model\n"
          "  sluice help COMMAND                more about a command\n"
          "  sluice help config                 all keys of the configuration\n",
          to);
}

static int unknown(const char *name)
{
    const char *nearest = nearest_name(text_of(name), command_name, commands, COMMANDS_N);
    fprintf(stderr, "sluice: \"%s\" is not a command%s%s%s\nSee \"sluice help\".\n", name,
            nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    return EXIT_USAGE;
}

static int help_config(void)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    reference_write(&b);
    int code = b.failed || fwrite(b.at, 1, b.len, stdout) != b.len;
    buf_release(&b);
    return code;
}

static int cmd_help(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "config") == 0) {
        return help_config();
    }
    const struct command *command = command_find(argv[1]);
    if (!command) {
        return unknown(argv[1]);
    }
    if (command->run == cmd_help || command->run == cmd_version) {
        print_help(stdout);
        return 0;
    }
    char help[] = "--help";
    char *args[] = {argv[0], help, NULL};
    return command->run(2, args);
}

static int cmd_version(int argc, char **argv)
{
    (void)argc, (void)argv;
    puts("sluice " SLUICE_VERSION);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        name = "help";
    } else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        name = "version";
    }
    const struct command *command = command_find(name);
    if (!command) {
        return unknown(name);
    }
    char called[32]; /* getopt begins its complaints with this */
    snprintf(called, sizeof(called), "sluice %s", command->name);
    argv[1] = called;
    int code = command->run(argc - 1, argv + 1);
    /* What was printed may only now meet a full disk or a closed pipe. */
    if (fflush(stdout) != 0 && code == 0) {
        perror("sluice: standard output");
        code = 1;
    }
    return code;
}
