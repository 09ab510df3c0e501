/*
 * The subcommands of the one binary: one file each.
 *
 * Each takes its own arguments, argv[0] being its name, and returns the exit code of the process:
 * 0 it did what was asked, 1 it could not, 2 it was asked wrongly. `run` passes on the code of its
 * command. Each answers `--help` by itself, with examples. Only here may the process exit.
 */
#ifndef SLUICE_CMD_CMD_H
#define SLUICE_CMD_CMD_H

#define EXIT_USAGE 2

int cmd_serve(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_key(int argc, char **argv);
int cmd_prices(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_mock(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_reopen(int argc, char **argv);
int cmd_usage(int argc, char **argv);
int cmd_budget(int argc, char **argv);

#endif
