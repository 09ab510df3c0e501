#include "config/hint.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "config/config.h"
#include "config/reference.h"
#include "config/zone.h"

#define GUESS_MAX 31 /* longer values are not guessed at */

static struct hint __attribute__((format(printf, 1, 2))) hint_of(const char *format, ...)
{
    struct hint h;
    va_list args;
    va_start(args, format);
    vsnprintf(h.text, sizeof(h.text), format, args);
    va_end(args);
    return h;
}

static struct hint no_hint(void)
{
    return (struct hint){.text = ""};
}

/* --- Words. --- */

const char *choice_name(const void *choices, size_t i)
{
    return ((const char *const *)choices)[i];
}

/* What other programs call it, for words that are not near in letters. */
struct synonym {
    const char *said;
    const char *meant;  /* told where it is one of the words that may stand there; NULL: anywhere */
    const char *advice; /* the hint, where the word alone is not all of it; or NULL */
};

static bool is_one_of(struct text word, name_at_fn *name_at, const void *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text_equal(word, text_of(name_at(names, i)))) {
            return true;
        }
    }
    return false;
}

/* The hint of the first synonym for `wrong` whose word is one of n names. */
static struct hint synonym_hint(const struct synonym *synonyms, size_t synonyms_n,
                                struct text wrong, name_at_fn *name_at, const void *names, size_t n)
{
    for (const struct synonym *s = synonyms; s < synonyms + synonyms_n; s++) {
        if (text_equal(wrong, text_of(s->said)) &&
            (!s->meant || is_one_of(text_of(s->meant), name_at, names, n))) {
            return s->advice ? hint_of("; %s", s->advice)
                             : hint_of("; did you mean \"%s\"?", s->meant);
        }
    }
    return no_hint();
}

static struct hint nearest_hint(struct text wrong, name_at_fn *name_at, const void *names, size_t n)
{
    const char *nearest = nearest_name(wrong, name_at, names, n);
    return nearest ? hint_of("; did you mean \"%s\"?", nearest) : no_hint();
}

static const struct synonym value_synonyms[] = {
    /* units */
    {"dollar", "usd", NULL},
    {"dollars", "usd", NULL},
    {"$", "usd", NULL},
    {"money", "usd", NULL},
    {"cost", "usd", NULL},
    {"spend", "usd", NULL},
    {"calls", "requests", NULL},
    {"rps", "requests", "write it as {unit: requests, per: second}"},
    {"rpm", "requests", "write it as {unit: requests, per: minute}"},
    {"rpd", "requests", "write it as {unit: requests, per: day}"},
    {"tpm", "tokens", "write it as {unit: tokens, per: minute}"},
    {"tpd", "tokens", "write it as {unit: tokens, per: day}"},
    {"prompt_tokens", "input_tokens", NULL},
    {"completion_tokens", "output_tokens", NULL},
    {"concurrency", "slots", NULL},
    {"parallel", "slots", NULL},
    {"connections", "slots", NULL},
    /* windows and their lengths */
    {"forever", "lifetime", NULL},
    {"total", "lifetime", NULL},
    {"sliding", "rolling", NULL},
    {"sliding_window", "rolling", NULL},
    {"fixed", "calendar", NULL},
    {"fixed_window", "calendar", NULL},
    {"token_bucket", "bucket", NULL},
    {"leaky_bucket", "bucket", NULL},
    /* scopes */
    {"global", "resource", NULL},
    {"all", "resource", NULL},
    {"account", "resource", NULL},
    {"key", "tenant", NULL},
    {"api_key", "tenant", NULL},
    {"customer", "tenant", NULL},
    {"conversation", "session", NULL},
    /* what is done */
    {"queue", "wait", NULL},
    {"reject", "refuse", NULL},
    {"deny", "refuse", NULL},
    {"fail", "refuse", NULL},
    {"fallback", "downgrade", NULL},
    {"refund", "refund_only", NULL},
    {"latency", "fastest", NULL},
    {"order", "first", NULL},
    /* providers */
    {"google", "gemini", NULL},
    {"aws", "bedrock", NULL},
    {"claude", "anthropic", NULL},
    /* yes and no */
    {"true", "session", NULL},
    {"false", "off", NULL},
    {"yes", "true", NULL},
    {"on", "true", NULL},
    {"no", "false", NULL},
    {"off", "false", NULL},
};

struct hint hint_name(struct text wrong, name_at_fn *name_at, const void *names, size_t n)
{
    struct hint hint =
        synonym_hint(value_synonyms, sizeof(value_synonyms) / sizeof(value_synonyms[0]), wrong,
                     name_at, names, n);
    return hint.text[0] ? hint : nearest_hint(wrong, name_at, names, n);
}

struct hint hint_scope(struct text wrong, name_at_fn *name_at, const void *names, size_t n)
{
    struct hint hint = hint_name(wrong, name_at, names, n);
    bool has_form =
        wrong.len >= 5 && (memcmp(wrong.at, "label", 5) == 0 || memcmp(wrong.at, "route", 5) == 0);
    if (hint.text[0] || has_form || wrong.len > GUESS_MAX || !name_allowed(wrong)) {
        return hint;
    }
    return hint_of("; did you mean \"label:%.*s\"?", (int)wrong.len, wrong.at);
}

/* --- Keys. --- */

#define A_BUDGET "a budget is a limit, as in limits: [{unit: usd, amount: 50, per: day}]"
#define NO_KEYS  "callers keep the provider's address and keys; this file has neither"
#define A_LIMIT  "write it as a limit, as in limits: [{unit: requests, amount: 5, per: second}]"

static const struct synonym key_synonyms[] = {
    {"budget", NULL, A_BUDGET},
    {"budgets", NULL, A_BUDGET},
    {"max_budget", NULL, A_BUDGET},
    {"usd", NULL, A_BUDGET},
    {"rps", NULL, A_LIMIT},
    {"rph", NULL, A_LIMIT},
    {"tokens", NULL, A_LIMIT},
    {"requests", NULL, A_LIMIT},
    {"api_key", NULL, NO_KEYS},
    {"api_base", NULL, NO_KEYS},
    {"base_url", NULL, NO_KEYS},
    {"key", "hash", "\"sluice key\" makes a key and prints the line for it"},
    {"max_parallel", "concurrency", NULL},
    {"max_parallel_requests", "concurrency", NULL},
    {"max_concurrency", "concurrency", NULL},
    {"max_concurrent", "concurrency", NULL},
    {"slots", "concurrency", NULL},
    {"requests_per_minute", "rpm", NULL},
    {"tokens_per_minute", "tpm", NULL},
    {"fallback", NULL,
     "resources to fall back to are a route, as in routes: {chat: {try: [a, b]}}"},
    {"fallbacks", NULL,
     "resources to fall back to are a route, as in routes: {chat: {try: [a, b]}}"},
    {"threshold", "refusals", NULL},
    {"failures", "refusals", NULL},
    {"max_retries", "attempts", NULL},
    {"max_retries", "retry", NULL},
    {"retries", "retry", NULL},
    {"timezone", "zone", NULL},
    {"time_zone", "zone", NULL},
    {"tz", "zone", NULL},
    {"max", "amount", NULL},
    {"value", "amount", NULL},
    {"period", "per", NULL},
    {"interval", "per", NULL},
    {"alert_at", "warn_at", NULL},
    {"resources", "try", NULL},
    {"models", "try", NULL},
    {"host", "listen", NULL},
    {"port", "listen", NULL},
};

static const char *row_name(const void *names, size_t i)
{
    return ((const struct key_row *)names)[i].name;
}

/* The key that differs from `wrong` in an "s" at the end alone, or NULL. */
static const char *row_in_other_number(const struct section *section, struct text wrong)
{
    for (size_t i = 0; i < section->rows_n; i++) {
        struct text name = text_of(section->rows[i].name);
        struct text longer = name.len > wrong.len ? name : wrong;
        size_t len = longer.len - 1;
        if (name.len + wrong.len == len * 2 + 1 && longer.at[len] == 's' &&
            memcmp(name.at, wrong.at, len) == 0) {
            return name.at;
        }
    }
    return NULL;
}

/* For a key that `other` has. Where a section stands is what its title has between backticks; the
 * file's own has none. */
static struct hint place_hint(const struct section *section, struct text wrong,
                              const struct section *other)
{
    const char *meant = row_in_other_number(section, wrong);
    const char *mark = strchr(other->title, '`');
    const char *where = mark ? mark + 1 : "the top of the file";
    int where_len = (int)strcspn(where, "`");
    const char *in = mark ? "in" : "at";
    return meant ? hint_of("; did you mean \"%s\"? \"%.*s\" belongs %s %.*s", meant,
                           shown_len(wrong), wrong.at, in, where_len, where)
                 : hint_of("; it belongs %s %.*s", in, where_len, where);
}

struct hint hint_key(const struct section *section, struct text wrong)
{
    struct hint hint = synonym_hint(key_synonyms, sizeof(key_synonyms) / sizeof(key_synonyms[0]),
                                    wrong, row_name, section->rows, section->rows_n);
    if (hint.text[0]) {
        return hint;
    }
    const struct section *other;
    for (size_t i = 0; (other = reference_section(i)); i++) {
        if (section_row(other, wrong)) {
            return place_hint(section, wrong, other);
        }
    }
    return nearest_hint(wrong, row_name, section->rows, section->rows_n);
}

struct hint hint_map(const struct section *section, struct text wrong)
{
    size_t len = 0;
    while (len < wrong.len && wrong.at[len] != ' ' && wrong.at[len] != '=') {
        len++;
    }
    const struct key_row *row = section_row(section, (struct text){wrong.at, len});
    return row && len < wrong.len ? hint_of("; is a \":\" missing after \"%s\"?", row->name)
                                  : no_hint();
}

/* --- Values. --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Whether a comma at i stands between groups of thousands, as in 200,000: in 1,5 it does not. */
static bool groups_at(struct text t, size_t i)
{
    size_t digits = 0;
    while (i + 1 + digits < t.len && is_digit(t.at[i + 1 + digits])) {
        digits++;
    }
    return i > 0 && is_digit(t.at[i - 1]) && (digits == 3 || (digits == 0 && i + 1 == t.len));
}

/* The amount without what people write around it; false where it would not be the same one. */
static bool amount_cleaned(struct text t, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < t.len && n < GUESS_MAX; i++) {
        char c = t.at[i];
        if (c == '/' || c == 'p') {
            break; /* "500/min", "500 per minute" */
        }
        if (c == ',' && !groups_at(t, i)) {
            return false;
        }
        if (c != ',' && c != '_' && c != ' ' && c != '$') {
            to[n++] = c == 'K' ? 'k' : c == 'm' ? 'M' : c;
        }
    }
    to[n] = '\0';
    return true;
}

struct hint hint_amount(enum unit unit, struct text wrong)
{
    char guess[GUESS_MAX + 1];
    int64_t n = 0;
    if (!amount_cleaned(wrong, guess)) {
        return no_hint();
    }
    struct text t = text_of(guess);
    bool good =
        unit == UNIT_USD ? config_read_picousd(t, &n) : config_read_amount(t, AMOUNT_MAX, &n);
    if (text_equal(wrong, TEXT("0"))) {
        return hint_of("; without the key there is no limit");
    }
    return good && n > 0 && !text_equal(t, wrong) ? hint_of("; did you mean \"%s\"?", guess)
                                                  : no_hint();
}

struct time_word {
    const char *said;
    const char *unit;
};

static const struct time_word time_words[] = {
    {"sec", "s"},  {"secs", "s"},   {"second", "s"},  {"seconds", "s"}, {"min", "m"},
    {"mins", "m"}, {"minute", "m"}, {"minutes", "m"}, {"hr", "h"},      {"hrs", "h"},
    {"hour", "h"}, {"hours", "h"},  {"day", "d"},     {"days", "d"},
};

static bool duration_within(const char *guess, int64_t min_us, int64_t max_us)
{
    int64_t us;
    return config_read_duration(text_of(guess), &us) && us >= min_us && us <= max_us;
}

/* "5min" or "5 minutes", with the letters that are known here. */
static bool duration_worded(struct text t, char *to)
{
    size_t digits = 0;
    while (digits < t.len && is_digit(t.at[digits])) {
        digits++;
    }
    size_t from = digits + (digits < t.len && t.at[digits] == ' ');
    struct text word = {t.at + from, t.len - from};
    for (size_t i = 0; i < sizeof(time_words) / sizeof(time_words[0]); i++) {
        if (text_equal(word, text_of(time_words[i].said))) {
            snprintf(to, GUESS_MAX + 1, "%.*s%s", digits ? (int)digits : 1, digits ? t.at : "1",
                     time_words[i].unit);
            return true;
        }
    }
    return false;
}

/* A number without a unit: the two smallest units that would do. */
static struct hint unit_hint(struct text number, int64_t min_us, int64_t max_us)
{
    static const char *const units[] = {"ms", "s", "m", "h", "d"};
    char guess[2][GUESS_MAX + 1];
    size_t n = 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && n < 2; i++) {
        snprintf(guess[n], sizeof(guess[n]), "%.*s%s", (int)number.len, number.at, units[i]);
        n += duration_within(guess[n], min_us, max_us);
    }
    if (n < 2) {
        return n ? hint_of("; a number wants its unit, as in \"%s\"", guess[0]) : no_hint();
    }
    return hint_of("; a number wants its unit, as in \"%s\" or \"%s\"", guess[0], guess[1]);
}

struct hint hint_duration(struct text wrong, int64_t min_us, int64_t max_us)
{
    char guess[GUESS_MAX + 1];
    size_t digits = 0;
    if (wrong.len == 0 || wrong.len > GUESS_MAX - 8) {
        return no_hint();
    }
    if (text_equal(wrong, TEXT("week")) && duration_within("7d", min_us, max_us)) {
        return hint_of("; did you mean \"7d\"?");
    }
    if (duration_worded(wrong, guess) && duration_within(guess, min_us, max_us)) {
        return hint_of("; did you mean \"%s\"?", guess);
    }
    while (digits < wrong.len && is_digit(wrong.at[digits])) {
        digits++;
    }
    return digits == wrong.len ? unit_hint(wrong, min_us, max_us) : no_hint();
}

struct hint hint_time(struct text wrong, name_at_fn *name_at, const void *names, size_t n,
                      int64_t max_us)
{
    /* "7day" is near "day", and is seven of them. */
    bool counted = wrong.len > 0 && is_digit(wrong.at[0]);
    struct hint hint = counted ? no_hint() : hint_name(wrong, name_at, names, n);
    return hint.text[0] ? hint : hint_duration(wrong, 1, max_us);
}

struct hint hint_share(struct text wrong, int64_t max_ppm)
{
    char guess[GUESS_MAX + 1];
    int32_t ppm;
    if (wrong.len == 0 || wrong.len > GUESS_MAX - 1) {
        return no_hint();
    }
    snprintf(guess, sizeof(guess), "%.*s%%", (int)wrong.len, wrong.at);
    return config_read_share(text_of(guess), &ppm) && ppm > 0 && ppm <= max_ppm
               ? hint_of("; did you mean \"%s\"?", guess)
               : no_hint();
}

struct hint hint_zone(struct text wrong)
{
    static const char *const continents[] = {"Europe",  "America",   "Asia",    "Africa",
                                             "Pacific", "Australia", "Atlantic"};
    char guess[NAME_LEN_MAX + 1];
    for (size_t i = 0; i < sizeof(continents) / sizeof(continents[0]); i++) {
        int len =
            snprintf(guess, sizeof(guess), "%s/%.*s", continents[i], shown_len(wrong), wrong.at);
        for (int c = 0; c < len; c++) {
            guess[c] = (char)(guess[c] == ' ' ? '_' : guess[c]);
        }
        struct zone *zone = NULL;
        if (wrong.len && zone_new(text_of(guess), &zone) == 0) {
            zone_free(zone);
            return hint_of("; did you mean \"%s\"?", guess);
        }
    }
    return no_hint();
}
