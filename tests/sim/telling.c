#include "telling.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "core/event.h"

#define VALUE_MAX   64
#define HEADER_MAX  64
#define BODY_MAX    256
#define BODY_SHAPES 3

/* What stands in the body of an error of each class. All dialects know these words. */
static const struct {
    const char *code;
    const char *message;
} complaints[ANSWER_CLASSES] = {
    [ANSWER_OK] = {NULL, NULL},
    [ANSWER_WAIT] = {"rate_limit_exceeded", "Rate limit reached"},
    [ANSWER_SLOW_DOWN] = {"slow_down", "The rate was raised too fast"},
    [ANSWER_OVERLOAD] = {"overloaded_error", "Overloaded"},
    [ANSWER_DAY_OVER] = {"rate_limit_exceeded", "Rate limit reached on tokens per day (TPD)"},
    [ANSWER_OUT_OF_MONEY] = {"insufficient_quota", "No credit is left"},
    [ANSWER_NEVER_FITS] = {"rate_limit_exceeded", "Request too large for the organization"},
    [ANSWER_TOO_LONG] = {"context_length_exceeded", "The prompt is longer than the context"},
    [ANSWER_BAD_REQUEST] = {"invalid_request_error", "A parameter is wrong"},
    [ANSWER_AUTH] = {"invalid_api_key", "The key is wrong"},
};

static void write_complaint(struct json_writer *w, enum answer_class class)
{
    json_object_begin(w);
    json_key(w, "error");
    json_object_begin(w);
    json_key(w, "code");
    json_str(w, complaints[class].code);
    json_key(w, "message");
    json_str(w, complaints[class].message);
    json_object_end(w);
    json_object_end(w);
}

/* An object, the same in an array, or as text; or a word of the worker's where no answer came. */
static void write_error(struct json_writer *w, const struct answer *a)
{
    size_t shape = (size_t)a->elapsed_us % BODY_SHAPES;
    struct buf text;
    struct json_writer inner;
    json_key(w, "error");
    if (!a->reached) {
        json_str(w, shape ? "timeout" : "connection_error");
        return;
    }
    buf_init(&text, BODY_MAX);
    json_writer_init(&inner, &text);
    if (shape == 0) {
        write_complaint(w, a->class);
    } else if (shape == 1) {
        json_array_begin(w);
        write_complaint(w, a->class);
        json_array_end(w);
    } else {
        write_complaint(&inner, a->class);
        json_text(w, buf_text(&text));
    }
    buf_release(&text);
}

/* --- Headers --- */

static void write_header(struct json_writer *w, const char *name, const char *value)
{
    json_name(w, text_of(name));
    json_str(w, value);
}

static void write_number(struct json_writer *w, const char *name, int64_t n)
{
    char value[VALUE_MAX];
    if (n >= 0) {
        snprintf(value, sizeof(value), "%lld", (long long)n);
        write_header(w, name, value);
    }
}

/* Providers that call the same headers otherwise; all others know the first row. */
struct naming {
    const char *provider;
    const char *limit, *remaining, *reset; /* with the unit in between */
};

static const struct naming namings[] = {
    {"", "x-ratelimit-limit-%s", "x-ratelimit-remaining-%s", "x-ratelimit-reset-%s"},
    {"anthropic", "anthropic-ratelimit-%s-limit", "anthropic-ratelimit-%s-remaining",
     "anthropic-ratelimit-%s-reset"},
};

static const char *unit_word(const struct reading *r, const char *provider)
{
    bool mistral = strcmp(provider, "mistral") == 0;
    bool second = r->span == READING_SECOND && (mistral || !provider[0]);
    if (r->unit == UNIT_REQUESTS) {
        return second ? "req-second" : mistral ? "req-minute" : "requests";
    }
    return mistral ? "tokens-minute" : "tokens";
}

static void name_header(char name[HEADER_MAX], const char *format, const char *unit)
{
    const char *at = strstr(format, "%s");
    snprintf(name, HEADER_MAX, "%.*s%s%s", (int)(at - format), format, unit, at + strlen("%s"));
}

static void write_reading(struct json_writer *w, const struct reading *r, const char *provider)
{
    char name[HEADER_MAX], reset[VALUE_MAX];
    /* Rounded numbers are Anthropic's, whose names are known where no provider is named. */
    bool rounded = r->grain > 1 && !provider[0];
    const struct naming *n = &namings[rounded || strcmp(provider, "anthropic") == 0];
    const char *unit = unit_word(r, n->provider[0] ? n->provider : provider);
    name_header(name, n->limit, unit);
    write_number(w, name, r->limit);
    name_header(name, n->remaining, unit);
    write_number(w, name, r->remaining);
    if (r->reset_us > 0) {
        name_header(name, n->reset, unit);
        snprintf(reset, sizeof(reset), "%lldms", (long long)(r->reset_us / US_PER_MS));
        write_header(w, name, reset);
    }
}

static void write_wait(struct json_writer *w, int64_t wait_us)
{
    int64_t ms = wait_us / US_PER_MS + (wait_us % US_PER_MS > 0);
    if (wait_us >= 0 && ms % 2) {
        write_number(w, "retry-after-ms", ms);
    } else if (wait_us >= 0) {
        write_number(w, "Retry-After", ms / 1000 + (ms % 1000 > 0));
    }
}

static void write_headers(struct json_writer *w, const struct answer *a, const char *provider)
{
    json_key(w, "headers");
    json_object_begin(w);
    write_wait(w, a->retry_after_us);
    for (size_t i = 0; i < a->readings_n; i++) {
        write_reading(w, &a->readings[i], provider);
    }
    json_object_end(w);
}

void telling_write(struct json_writer *w, const struct answer *a, const char *provider)
{
    if (a->status) {
        json_key(w, "status");
        json_i64(w, a->status);
    }
    if (a->retry_after_us >= 0 || a->readings_n > 0) {
        write_headers(w, a, provider);
    }
    if (a->class != ANSWER_OK) {
        write_error(w, a);
    }
    json_key(w, "elapsed_ms");
    json_i64(w, min_i64(a->elapsed_us, LEASE_US_MAX) / US_PER_MS);
}
