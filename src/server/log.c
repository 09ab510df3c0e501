#include "server/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info"};
static enum log_level shown = LOG_LEVEL_INFO;

void log_level_set(enum log_level level)
{
    shown = level;
}

bool log_level_read(const char *name, enum log_level *level)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static size_t write_head(char *line, size_t size, enum log_level level)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
    return len + (size_t)snprintf(line + len, size - len, ".%03dZ %-5s ",
                                  (int)(now.tv_nsec / 1000000), level_names[level]);
}

static void __attribute__((format(printf, 2, 0)))
write_line(enum log_level level, const char *format, va_list args)
{
    if (level > shown) {
        return;
    }
    char line[LOG_LINE_MAX + 1];
    size_t head = write_head(line, sizeof(line), level);
    vsnprintf(line + head, sizeof(line) - head, format, args);
    size_t len = strlen(line);
    for (size_t i = head; i < len; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) {
            line[i] = '?';
        }
    }
    line[len] = '\n';
    /* A log that cannot be written must not stop the work. */
    ssize_t written = write(STDERR_FILENO, line, len + 1);
    (void)written;
}

void log_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(LOG_LEVEL_ERROR, format, args);
    va_end(args);
}

void log_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(LOG_LEVEL_WARN, format, args);
    va_end(args);
}

void log_info(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(LOG_LEVEL_INFO, format, args);
    va_end(args);
}

void log_error_lines(const char *words)
{
    while (*words) {
        size_t len = strcspn(words, "\n");
        log_error("%.*s", (int)len, words);
        words += len;
        words += *words == '\n';
    }
}
