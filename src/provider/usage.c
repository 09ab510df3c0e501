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
 * project's own and is read strictly. What was found inside a provider's answer or event is never
 * the normal form.
 */
#include "provider/usage.h"

#include <assert.h>

#include "base/error.h"
#include "base/num.h"
#include "http/fields.h"

#define RULES_MAX   10
#define MARKERS_MAX 6
#define WRAPS_MAX   3 /* events hold an answer that holds the usage */
#define NO_PART     USAGE_PARTS

/* A name that is looked for, with its kind: one bit, by which most names are told to be absent from
 * an object without a walk over its members. Length and first letter tell nearly all names of the
 * shapes apart; those that share a bit cost a walk, no more. */
struct known {
    struct text name;
    uint64_t kind;
};

#define KIND_OF(len, first)                                                                        \
    (UINT64_C(1) << ((13 * (len) + 4 * (size_t)(unsigned char)(first)) % 64))

#define NAMED(literal)                                                                             \
    {                                                                                              \
        {"" literal, sizeof(literal) - 1}, KIND_OF(sizeof(literal) - 1, ("" literal)[0])           \
    }
#define NONE                                                                                       \
    {                                                                                              \
        {NULL, 0}, 0                                                                               \
    }

/* A number of the object is added to one part, and to a second where it is also a part of that. */
struct rule {
    struct known group; /* the object inside that has the field, or none */
    struct known field;
    enum usage_part part;
    enum usage_part also;
    struct known unless; /* passed over where the object has this, which says the same; or none */
};

struct shape {
    struct known markers[MARKERS_MAX];
    struct rule rules[RULES_MAX];
};

static const struct shape shapes[] = {
    /* Gemini: usageMetadata. */
    {{NAMED("promptTokenCount"), NAMED("candidatesTokenCount"), NAMED("totalTokenCount")},
     {
         {NONE, NAMED("promptTokenCount"), USAGE_INPUT, NO_PART, NONE},
         {NONE, NAMED("toolUsePromptTokenCount"), USAGE_INPUT, NO_PART, NONE},
         {NONE, NAMED("cachedContentTokenCount"), USAGE_CACHE_READ, NO_PART, NONE},
         {NONE, NAMED("candidatesTokenCount"), USAGE_OUTPUT, NO_PART, NONE},
         {NONE, NAMED("responseTokenCount"), USAGE_OUTPUT, NO_PART, NAMED("candidatesTokenCount")},
         {NONE, NAMED("thoughtsTokenCount"), USAGE_OUTPUT, NO_PART, NONE},
         {NONE, NAMED("totalTokenCount"), USAGE_TOKENS, NO_PART, NONE},
     }},
    /* Gemini: the same, as its Python SDK names it. */
    {{NAMED("prompt_token_count"), NAMED("candidates_token_count"), NAMED("total_token_count")},
     {
         {NONE, NAMED("prompt_token_count"), USAGE_INPUT, NO_PART, NONE},
         {NONE, NAMED("tool_use_prompt_token_count"), USAGE_INPUT, NO_PART, NONE},
         {NONE, NAMED("cached_content_token_count"), USAGE_CACHE_READ, NO_PART, NONE},
         {NONE, NAMED("candidates_token_count"), USAGE_OUTPUT, NO_PART, NONE},
         {NONE, NAMED("thoughts_token_count"), USAGE_OUTPUT, NO_PART, NONE},
         {NONE, NAMED("total_token_count"), USAGE_TOKENS, NO_PART, NONE},
     }},
    /* Bedrock: Converse. Its inputTokens leave out what the cache served or took, and what its
     * totalTokens hold is not published. */
    {{NAMED("inputTokens"), NAMED("outputTokens"), NAMED("totalTokens")},
     {
         {NONE, NAMED("inputTokens"), USAGE_INPUT, NO_PART, NONE},
         {NONE, NAMED("cacheReadInputTokens"), USAGE_INPUT, USAGE_CACHE_READ, NONE},
         {NONE, NAMED("cacheWriteInputTokens"), USAGE_INPUT, USAGE_CACHE_WRITE, NONE},
         {NONE, NAMED("outputTokens"), USAGE_OUTPUT, NO_PART, NONE},
     }},
    /* OpenAI: chat completions, and embeddings, which have no output; Azure, Mistral, Groq,
     * OpenRouter and others after it. */
    {{NAMED("prompt_tokens"), NAMED("completion_tokens")},
     {
         {NONE, NAMED("prompt_tokens"), USAGE_INPUT, NO_PART, NONE},
         {NAMED("prompt_tokens_details"), NAMED("cached_tokens"), USAGE_CACHE_READ, NO_PART, NONE},
         {NAMED("prompt_tokens_details"), NAMED("cache_write_tokens"), USAGE_CACHE_WRITE, NO_PART,
          NONE},
         {NONE, NAMED("num_cached_tokens"), USAGE_CACHE_READ, NO_PART,
          NAMED("prompt_tokens_details")},
         {NONE, NAMED("completion_tokens"), USAGE_OUTPUT, NO_PART, NONE},
         {NONE, NAMED("total_tokens"), USAGE_TOKENS, NO_PART, NONE},
     }},
    /* Anthropic: messages. Its input_tokens leave out what the cache served or took. */
    {{NAMED("cache_creation_input_tokens"), NAMED("cache_read_input_tokens"),
      NAMED("cache_creation"), NAMED("service_tier"), NAMED("server_tool_use")},
     {
         {NONE, NAMED("input_tokens"), USAGE_INPUT, NO_PART, NONE},
         {NONE, NAMED("cache_creation_input_tokens"), USAGE_INPUT, USAGE_CACHE_WRITE, NONE},
         {NAMED("cache_creation"), NAMED("ephemeral_5m_input_tokens"), USAGE_INPUT,
          USAGE_CACHE_WRITE, NAMED("cache_creation_input_tokens")},
         {NAMED("cache_creation"), NAMED("ephemeral_1h_input_tokens"), USAGE_INPUT,
          USAGE_CACHE_WRITE, NAMED("cache_creation_input_tokens")},
         {NAMED("cache_creation"), NAMED("ephemeral_1h_input_tokens"), USAGE_CACHE_WRITE_1H,
          NO_PART, NONE},
         {NONE, NAMED("cache_read_input_tokens"), USAGE_INPUT, USAGE_CACHE_READ, NONE},
         {NONE, NAMED("output_tokens"), USAGE_OUTPUT, NO_PART, NONE},
     }},
    /* OpenAI: responses. Also what is found inside an answer and has no marker of any shape. */
    {{NAMED("input_tokens_details"), NAMED("output_tokens_details"), NAMED("total_tokens")},
     {
         {NONE, NAMED("input_tokens"), USAGE_INPUT, NO_PART, NONE},
         {NAMED("input_tokens_details"), NAMED("cached_tokens"), USAGE_CACHE_READ, NO_PART, NONE},
         {NONE, NAMED("output_tokens"), USAGE_OUTPUT, NO_PART, NONE},
         {NONE, NAMED("total_tokens"), USAGE_TOKENS, NO_PART, NONE},
     }},
};

#define SHAPES         (sizeof(shapes) / sizeof(shapes[0]))
#define SHAPE_UNMARKED (&shapes[SHAPES - 1])

/* An object, and the kinds of its members' names: it is asked for dozens of names and has few. */
struct sight {
    const json_value *object;
    uint64_t kinds;
};

static int add_kind(void *ctx, struct text name, json_value *v)
{
    (void)v;
    *(uint64_t *)ctx |= KIND_OF(name.len, name.len ? name.at[0] : 0);
    return 0;
}

static struct sight look_at(const json_value *object)
{
    struct sight sight = {.object = object};
    (void)json_each(object, add_kind, &sight.kinds); /* add_kind goes on to the end */
    return sight;
}

/* The same as json_member. */
static inline const json_value *find(const struct sight *in, const struct known *known)
{
    return in->kinds & known->kind ? json_member(in->object, known->name) : NULL;
}

static bool has_marker(const struct shape *shape, const struct sight *object)
{
    for (size_t i = 0; i < MARKERS_MAX && shape->markers[i].kind; i++) {
        if (find(object, &shape->markers[i])) {
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

/* A value, or NULL where it is missing or null. */
static const json_value *present(const json_value *v)
{
    return v && !json_is_null(v) ? v : NULL;
}

/* The value a rule speaks of, or NULL where there is none. */
static const json_value *rule_value(const struct rule *rule, const struct sight *object)
{
    if (present(find(object, &rule->unless))) {
        return NULL;
    }
    if (rule->group.kind) {
        const json_value *group = find(object, &rule->group);
        return group ? present(json_member(group, rule->field.name)) : NULL;
    }
    return present(find(object, &rule->field));
}

static int apply_rule(const struct rule *rule, const struct sight *object, struct usage *usage,
                      struct buf *why)
{
    const json_value *v = rule_value(rule, object);
    if (!v) {
        return 0;
    }
    int64_t n;
    if (!json_is_number(v) || !json_read_i64(v, &n) || n < 0 || n > AMOUNT_MAX) {
        buf_addf(why, "`usage.%s%s%s` must be a whole number from 0 to %lld",
                 rule->group.kind ? rule->group.name.at : "", rule->group.kind ? "." : "",
                 rule->field.name.at, (long long)AMOUNT_MAX);
        return ERR_INVALID_REQUEST;
    }
    add_part(usage, rule->part, n);
    add_part(usage, rule->also, n);
    return 0;
}

static int read_shape(const struct shape *shape, const struct sight *object, struct usage *usage,
                      struct buf *why)
{
    for (size_t i = 0; i < RULES_MAX && shape->rules[i].field.kind; i++) {
        int err = apply_rule(&shape->rules[i], object, usage, why);
        if (err) {
            return err;
        }
    }
    return 0;
}

/* Bedrock lists what it wrote by how long it is kept. What is not readable is kept for the shorter
 * time, as is everything that does not say. */
static void read_cache_details(const struct sight *object, struct usage *usage)
{
    static const struct known name = NAMED("cacheDetails");
    const json_value *details = find(object, &name);
    if (!details) {
        return;
    }
    const json_value *at = json_array_next(details, NULL);
    for (int i = 0; at && i < USAGE_EVENTS_MAX; i++, at = json_array_next(details, at)) {
        struct text ttl;
        int64_t n;
        const json_value *tokens = json_get(at, "inputTokens");
        if (json_read_text(json_get(at, "ttl"), &ttl) && text_equal(ttl, TEXT("1h")) && tokens &&
            json_read_i64(tokens, &n) && n >= 0) {
            add_part(usage, USAGE_CACHE_WRITE_1H, n);
        }
    }
}

#define NORMAL(literal, part) FIELD(literal, field_i64, struct usage, of[part], 0, AMOUNT_MAX)

/* In the order of enum usage_part, so that the bits of `given` are the same. */
static const struct field normal_table[USAGE_PARTS] = {
    NORMAL("requests", USAGE_REQUESTS),
    NORMAL("tokens", USAGE_TOKENS),
    NORMAL("input_tokens", USAGE_INPUT),
    NORMAL("cached_input_tokens", USAGE_CACHE_READ),
    NORMAL("cache_write_tokens", USAGE_CACHE_WRITE),
    NORMAL("cache_write_1h_tokens", USAGE_CACHE_WRITE_1H),
    NORMAL("output_tokens", USAGE_OUTPUT),
    FIELD("usd", field_picousd, struct usage, of[USAGE_USD], 0, USD_AMOUNT_MAX),
};

static int read_normal(const json_value *object, struct usage *usage, struct buf *why)
{
    static const struct fields normal = {FIELDS_OF(normal_table)};
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

/* The parts of the input lie within it, whatever the numbers say, and each token in one. */
static void nest(struct usage *usage)
{
    int64_t *of = usage->of;
    of[USAGE_CACHE_WRITE] = max_i64(of[USAGE_CACHE_WRITE], of[USAGE_CACHE_WRITE_1H]);
    if (usage->given & 1u << USAGE_INPUT) {
        of[USAGE_CACHE_READ] = min_i64(of[USAGE_CACHE_READ], of[USAGE_INPUT]);
        of[USAGE_CACHE_WRITE] =
            min_i64(of[USAGE_CACHE_WRITE], of[USAGE_INPUT] - of[USAGE_CACHE_READ]);
    }
    of[USAGE_CACHE_WRITE_1H] = min_i64(of[USAGE_CACHE_WRITE_1H], of[USAGE_CACHE_WRITE]);
}

/* What an answer or an event holds its usage under. Null: there is none in it. */
static const json_value *inside(const struct sight *object)
{
    static const struct known usages[] = {NAMED("usage"), NAMED("usageMetadata"),
                                          NAMED("usage_metadata")};
    static const struct known holders[] = {NAMED("message"), NAMED("response"), NAMED("x_groq"),
                                           NAMED("metadata")};
    for (size_t i = 0; i < sizeof(usages) / sizeof(usages[0]); i++) {
        const json_value *v = find(object, &usages[i]);
        if (v && (json_is_object(v) || json_is_null(v))) {
            return v;
        }
    }
    for (size_t i = 0; i < sizeof(holders) / sizeof(holders[0]); i++) {
        const json_value *v = find(object, &holders[i]);
        if (json_is_object(v)) {
            struct sight held = look_at(v);
            if (inside(&held)) {
                return v;
            }
        }
    }
    return NULL;
}

/* The first shape of which the object has a marker, or NULL. */
static const struct shape *shape_of(const struct sight *object)
{
    for (size_t i = 0; i < SHAPES; i++) {
        if (has_marker(&shapes[i], object)) {
            return &shapes[i];
        }
    }
    return NULL;
}

/* `ours` says that an object without marks may be the normal form. */
static int read_object(const json_value *object, bool ours, struct usage *usage, struct buf *why)
{
    struct sight sight = look_at(object);
    const json_value *found;
    for (int i = 0; i < WRAPS_MAX && (found = inside(&sight)); i++) {
        sight = look_at(found);
        ours = false;
    }
    if (json_is_null(sight.object)) {
        return 0;
    }
    const struct shape *shape = shape_of(&sight);
    if (!shape && ours) {
        return read_normal(sight.object, usage, why);
    }
    read_cache_details(&sight, usage);
    return read_shape(shape ? shape : SHAPE_UNMARKED, &sight, usage, why);
}

/* A stream's numbers count up: of each, the largest is the last. Events without usage have no part
 * of any. */
static int read_events(const json_value *array, struct usage *usage, struct buf *why)
{
    if (json_array_len(array) > USAGE_EVENTS_MAX) {
        buf_addf(why, "`usage` may hold at most %d events", USAGE_EVENTS_MAX);
        return ERR_INVALID_REQUEST;
    }
    const json_value *at = json_array_next(array, NULL);
    for (; at; at = json_array_next(array, at)) {
        struct usage one = {0};
        int err = json_is_object(at) ? read_object(at, false, &one, why) : 0;
        if (err) {
            return err;
        }
        for (int part = 0; part < USAGE_PARTS; part++) {
            usage->of[part] = max_i64(usage->of[part], one.of[part]);
        }
        usage->given |= one.given;
    }
    return 0;
}

int usage_read(const json_value *v, struct usage *usage, struct buf *why)
{
    struct usage found = {0};
    int err;
    if (json_is_array(v)) {
        err = read_events(v, &found, why);
    } else if (json_is_object(v)) {
        err = read_object(v, true, &found, why);
    } else {
        buf_add_str(why, "`usage` must be an object, or an array of a stream's events");
        err = ERR_INVALID_REQUEST;
    }
    if (err) {
        return err;
    }
    complete(&found);
    nest(&found);
    *usage = found;
    return 0;
}

bool usage_parts(const struct usage *usage, struct parts *parts)
{
    if (!(usage->given & 1u << USAGE_INPUT)) {
        return false;
    }
    const int64_t *of = usage->of;
    *parts = (struct parts){{
        [PART_INPUT] = of[USAGE_INPUT] - of[USAGE_CACHE_READ] - of[USAGE_CACHE_WRITE],
        [PART_CACHE_READ] = of[USAGE_CACHE_READ],
        [PART_CACHE_WRITE_5M] = of[USAGE_CACHE_WRITE] - of[USAGE_CACHE_WRITE_1H],
        [PART_CACHE_WRITE_1H] = of[USAGE_CACHE_WRITE_1H],
        [PART_OUTPUT] = of[USAGE_OUTPUT],
    }};
    assert(parts->of[PART_INPUT] >= 0 && parts->of[PART_CACHE_WRITE_5M] >= 0);
    return true;
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
