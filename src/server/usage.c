/*
 * The shapes, as of November 2026.
 *
 * A shape is recognised by its markers: the first shape of the table of which the object has a
 * marker is taken, and the normal form where there is none. So a marker must not occur in any
 * shape further down. Responses and Anthropic both say `input_tokens`, which is why neither
 * has it as a marker: an object with nothing but `input_tokens` and `output_tokens` means the
 * same in both, and in the normal form.
 *
 * In a provider's shape, fields without a rule are passed over, since providers add fields at
 * any time, and null counts as absent, since their SDKs write it. The normal form is this
 * project's own and is read strictly.
 */
#include "server/usage.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "server/fields.h"

#define RULES_MAX   8
#define MARKERS_MAX 6
#define NO_PART     USAGE_PARTS

/* A number of the object is added to one part, and to a second where it is also a part of that. */
struct rule {
    const char *group; /* the object inside that has the field, or NULL */
    const char *field;
    enum usage_part part;
    enum usage_part also;
};

struct shape {
    const char *markers[MARKERS_MAX];
    struct rule rules[RULES_MAX];
};

static const struct shape shapes[] = {
    /* Gemini: usageMetadata. */
    {{"promptTokenCount", "candidatesTokenCount", "totalTokenCount"},
     {
         {NULL, "promptTokenCount", USAGE_INPUT, NO_PART},
         {NULL, "toolUsePromptTokenCount", USAGE_INPUT, NO_PART},
         {NULL, "cachedContentTokenCount", USAGE_CACHE_READ, NO_PART},
         {NULL, "candidatesTokenCount", USAGE_OUTPUT, NO_PART},
         {NULL, "thoughtsTokenCount", USAGE_OUTPUT, NO_PART},
         {NULL, "totalTokenCount", USAGE_TOKENS, NO_PART},
     }},
    /* OpenAI: chat completions, and embeddings, which have no output. */
    {{"prompt_tokens", "completion_tokens"},
     {
         {NULL, "prompt_tokens", USAGE_INPUT, NO_PART},
         {"prompt_tokens_details", "cached_tokens", USAGE_CACHE_READ, NO_PART},
         {NULL, "completion_tokens", USAGE_OUTPUT, NO_PART},
         {NULL, "total_tokens", USAGE_TOKENS, NO_PART},
     }},
    /* Anthropic: messages. Its input_tokens leave out what the cache served or took. */
    {{"cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation", "service_tier",
      "server_tool_use"},
     {
         {NULL, "input_tokens", USAGE_INPUT, NO_PART},
         {NULL, "cache_creation_input_tokens", USAGE_INPUT, USAGE_CACHE_WRITE},
         {NULL, "cache_read_input_tokens", USAGE_INPUT, USAGE_CACHE_READ},
         {NULL, "output_tokens", USAGE_OUTPUT, NO_PART},
     }},
    /* OpenAI: responses. */
    {{"input_tokens_details", "output_tokens_details", "total_tokens"},
     {
         {NULL, "input_tokens", USAGE_INPUT, NO_PART},
         {"input_tokens_details", "cached_tokens", USAGE_CACHE_READ, NO_PART},
         {NULL, "output_tokens", USAGE_OUTPUT, NO_PART},
         {NULL, "total_tokens", USAGE_TOKENS, NO_PART},
     }},
};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static bool has_marker(const struct shape *shape, const json_value *object)
{
    for (size_t i = 0; i < MARKERS_MAX && shape->markers[i]; i++) {
        if (json_get(object, shape->markers[i])) {
            return true;
        }
    }
    return false;
}

static void add_part(struct usage *usage, enum usage_part part, int64_t n)
{
    if (part != NO_PART) {
        usage->of[part] = min_i64(add_sat(usage->of[part], n), AMOUNT_MAX);
        usage->given |= 1u << part;
    }
}

/* The value a rule speaks of, or NULL where it is missing or null. */
static const json_value *rule_value(const struct rule *rule, const json_value *object)
{
    if (rule->group) {
        object = json_get(object, rule->group);
        if (!object || !json_is_object(object)) {
            return NULL;
        }
    }
    const json_value *v = json_get(object, rule->field);
    return v && !json_is_null(v) ? v : NULL;
}

static int apply_rule(const struct rule *rule, const json_value *object, struct usage *usage,
                      struct buf *why)
{
    const json_value *v = rule_value(rule, object);
    if (!v) {
        return 0;
    }
    int64_t n;
    if (!json_is_number(v) || !json_read_i64(v, &n) || n < 0 || n > AMOUNT_MAX) {
        buf_addf(why, "`usage.%s%s%s` must be a whole number from 0 to %lld",
                 rule->group ? rule->group : "", rule->group ? "." : "", rule->field,
                 (long long)AMOUNT_MAX);
        return ERR_INVALID_REQUEST;
    }
    add_part(usage, rule->part, n);
    add_part(usage, rule->also, n);
    return 0;
}

static int read_shape(const struct shape *shape, const json_value *object, struct usage *usage,
                      struct buf *why)
{
    for (size_t i = 0; i < RULES_MAX && shape->rules[i].field; i++) {
        int err = apply_rule(&shape->rules[i], object, usage, why);
        if (err) {
            return err;
        }
    }
    return 0;
}

#define NORMAL(literal, part) FIELD(literal, field_i64, struct usage, of[part], 0, AMOUNT_MAX)

/* In the order of enum usage_part, so that the bits of `given` are the same. */
static const struct field normal_table[USAGE_PARTS] = {
    NORMAL("requests", USAGE_REQUESTS),
    NORMAL("tokens", USAGE_TOKENS),
    NORMAL("input_tokens", USAGE_INPUT),
    NORMAL("cached_input_tokens", USAGE_CACHE_READ),
    NORMAL("cache_write_tokens", USAGE_CACHE_WRITE),
    NORMAL("output_tokens", USAGE_OUTPUT),
    FIELD("usd", field_picousd, struct usage, of[USAGE_USD], 0, USD_AMOUNT_MAX),
};

static int read_normal(const json_value *object, struct usage *usage, struct buf *why)
{
    static const struct fields normal = {normal_table, USAGE_PARTS};
    uint32_t given = 0;
    struct buf clause;
    buf_init(&clause, WHY_LEN_MAX);
    int err = fields_read(&normal, object, usage, &given, &clause);
    if (err) {
        buf_add_str(why, "in `usage`: ");
        buf_add_text(why, buf_text(&clause));
    }
    buf_release(&clause);
    usage->given = given;
    return err;
}

/* Where the total and one part are known, so is the other. */
static void complete(struct usage *usage)
{
    bool total = usage->given & 1u << USAGE_TOKENS;
    bool input = usage->given & 1u << USAGE_INPUT;
    bool output = usage->given & 1u << USAGE_OUTPUT;
    if (total && input && !output) {
        add_part(usage, USAGE_OUTPUT, max_i64(0, usage->of[USAGE_TOKENS] - usage->of[USAGE_INPUT]));
    } else if (total && output && !input) {
        add_part(usage, USAGE_INPUT, max_i64(0, usage->of[USAGE_TOKENS] - usage->of[USAGE_OUTPUT]));
    } else if (!total && input && output) {
        add_part(usage, USAGE_TOKENS, add_sat(usage->of[USAGE_INPUT], usage->of[USAGE_OUTPUT]));
    }
}

int usage_read(const json_value *object, struct usage *usage, struct buf *why)
{
    if (!json_is_object(object)) {
        buf_add_str(why, "`usage` must be an object");
        return ERR_INVALID_REQUEST;
    }
    struct usage found = {0};
    const struct shape *shape = NULL;
    for (size_t i = 0; i < SHAPES && !shape; i++) {
        shape = has_marker(&shapes[i], object) ? &shapes[i] : NULL;
    }
    int err = shape ? read_shape(shape, object, &found, why) : read_normal(object, &found, why);
    if (err) {
        return err;
    }
    complete(&found);
    /* What a cache served is part of the input, whatever the numbers say. */
    if (found.given & 1u << USAGE_INPUT) {
        found.of[USAGE_CACHE_READ] = min_i64(found.of[USAGE_CACHE_READ], found.of[USAGE_INPUT]);
    }
    *usage = found;
    return 0;
}

static void set_unit(const struct usage *usage, enum usage_part part, int64_t free, enum unit unit,
                     struct load *load)
{
    if (usage->given & 1u << part) {
        load->of[unit] = max_i64(0, usage->of[part] - free);
    }
}

void usage_apply(const struct usage *usage, bool cache_reads_free, struct load *load)
{
    assert(load);
    int64_t free = cache_reads_free ? usage->of[USAGE_CACHE_READ] : 0;
    set_unit(usage, USAGE_REQUESTS, 0, UNIT_REQUESTS, load);
    set_unit(usage, USAGE_TOKENS, free, UNIT_TOKENS, load);
    set_unit(usage, USAGE_INPUT, free, UNIT_INPUT_TOKENS, load);
    set_unit(usage, USAGE_OUTPUT, 0, UNIT_OUTPUT_TOKENS, load);
    set_unit(usage, USAGE_USD, 0, UNIT_USD, load);
}

bool usage_cache_reads_free(const char *provider)
{
    return strcmp(provider, "anthropic") == 0;
}
