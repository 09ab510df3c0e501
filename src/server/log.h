/*
 * The log: one line each to standard error, with the time, the level and words.
 *
 *     2026-11-22T02:00:00.123Z info  listening on 127.0.0.1:7411
 *
 * Words from outside cannot forge a line: control characters come out as '?'. Keys and
 * other secrets never go in. This is the one place besides the loop that reads a clock; a
 * line's time decides nothing. Depends on nothing.
 */
#ifndef SLUICE_SERVER_LOG_H
#define SLUICE_SERVER_LOG_H

#include <stdbool.h>

#define LOG_LINE_MAX 2048 /* a longer line is cut */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO };

/* Lines less urgent than this are left out. At the start: info. */
void log_level_set(enum log_level level);

/* "error", "warn", "info". */
bool log_level_read(const char *name, enum log_level *level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The lines of `words`, one log line each. */
void log_error_lines(const char *words);

#endif
