#include "config/profile.h"

#include "base/num.h"

#define ANY       SPAN_ANY
#define DAY       SPAN_DAY
#define ROLLING   WINDOW_ROLLING
#define BUCKET    WINDOW_BUCKET
#define CALENDAR  WINDOW_CALENDAR
#define GRANT     CHARGE_AT_GRANT
#define SETTLE    CHARGE_AT_SETTLE
#define PACIFIC   "America/Los_Angeles"
#define RULES(of) of, sizeof(of) / sizeof(of[0])

/* Charged at the grant to a rolling window of any span. */
#define USUAL(unit, settle, source)                                                                \
    {                                                                                              \
        unit, ANY, ROLLING, GRANT, settle, 0, NULL, source                                         \
    }

#define AS_TOKENS ": not limited apart from tokens; as tokens"

/* A rolling window fits under any fixed window of its length, whatever its phase, and under any
 * bucket of its size; so it stands wherever the kind of window is not published. */
static const struct profile_rule generic[] = {
    USUAL(UNIT_REQUESTS, SETTLE_TRUE_UP, "no provider: the safe window"),
    USUAL(UNIT_TOKENS, SETTLE_TRUE_UP, "no provider: the safe window"),
    USUAL(UNIT_INPUT_TOKENS, SETTLE_TRUE_UP, "no provider: the safe window"),
    USUAL(UNIT_OUTPUT_TOKENS, SETTLE_TRUE_UP, "no provider: the safe window"),
};

#define OPENAI_LIMITS "OpenAI docs, Rate limits"
static const struct profile_rule openai[] = {
    USUAL(UNIT_REQUESTS, SETTLE_KEEP, OPENAI_LIMITS ": failed calls count; window unpublished"),
    USUAL(UNIT_TOKENS, SETTLE_KEEP,
          OPENAI_LIMITS
          ": input plus max_tokens at admission; correction after the call unpublished"),
    USUAL(UNIT_INPUT_TOKENS, SETTLE_KEEP, OPENAI_LIMITS AS_TOKENS),
    USUAL(UNIT_OUTPUT_TOKENS, SETTLE_KEEP, OPENAI_LIMITS AS_TOKENS),
};

#define ANTHROPIC_LIMITS "Anthropic API docs, Rate limits"
static const struct profile_rule anthropic[] = {
    {UNIT_REQUESTS, ANY, BUCKET, GRANT, SETTLE_KEEP, 0, NULL,
     ANTHROPIC_LIMITS ": token bucket, refilled continuously"},
    {UNIT_TOKENS, ANY, BUCKET, GRANT, SETTLE_TRUE_UP, 0, NULL,
     ANTHROPIC_LIMITS ": token bucket; input corrected to actual"},
    {UNIT_INPUT_TOKENS, ANY, BUCKET, GRANT, SETTLE_TRUE_UP, 0, NULL,
     ANTHROPIC_LIMITS ": estimated at the start, corrected to actual; cache reads are free"},
    {UNIT_OUTPUT_TOKENS, ANY, BUCKET, SETTLE, SETTLE_TRUE_UP, 0, NULL,
     ANTHROPIC_LIMITS ": counted as produced; max_tokens does not count"},
};

#define AZURE_LIMITS "Azure OpenAI docs, Quotas and limits"
static const struct profile_rule azure[] = {
    {UNIT_REQUESTS, ANY, ROLLING, GRANT, SETTLE_KEEP, 10 * US_PER_S, NULL,
     AZURE_LIMITS ": requests are judged over slices of 1 or 10 seconds"},
    USUAL(UNIT_TOKENS, SETTLE_KEEP,
          AZURE_LIMITS
          ": estimate plus max_tokens, reset each minute; a rolling minute is safe for "
          "any phase of it"),
    USUAL(UNIT_INPUT_TOKENS, SETTLE_KEEP, AZURE_LIMITS AS_TOKENS),
    USUAL(UNIT_OUTPUT_TOKENS, SETTLE_KEEP, AZURE_LIMITS AS_TOKENS),
};

#define GEMINI_LIMITS "Gemini API docs, Rate limits"
static const struct profile_rule gemini[] = {
    USUAL(UNIT_REQUESTS, SETTLE_KEEP, GEMINI_LIMITS ": per minute; failures count (third party)"),
    {UNIT_REQUESTS, DAY, CALENDAR, GRANT, SETTLE_KEEP, 0, PACIFIC,
     GEMINI_LIMITS ": the day resets at midnight Pacific"},
    USUAL(UNIT_INPUT_TOKENS, SETTLE_TRUE_UP,
          GEMINI_LIMITS ": TPM counts input only; corrected to the real input"),
    {UNIT_INPUT_TOKENS, DAY, CALENDAR, GRANT, SETTLE_TRUE_UP, 0, PACIFIC,
     GEMINI_LIMITS ": the day resets at midnight Pacific"},
    USUAL(UNIT_TOKENS, SETTLE_TRUE_UP, GEMINI_LIMITS ": not limited; as input tokens"),
    {UNIT_TOKENS, DAY, CALENDAR, GRANT, SETTLE_TRUE_UP, 0, PACIFIC,
     GEMINI_LIMITS ": the day resets at midnight Pacific"},
    USUAL(UNIT_OUTPUT_TOKENS, SETTLE_TRUE_UP, GEMINI_LIMITS ": not limited; as input tokens"),
};

#define BEDROCK_LIMITS "Amazon Bedrock docs, Quotas (runtime token burndown)"
static const struct profile_rule bedrock[] = {
    USUAL(UNIT_REQUESTS, SETTLE_KEEP, BEDROCK_LIMITS ": window unpublished"),
    USUAL(UNIT_TOKENS, SETTLE_TRUE_UP,
          BEDROCK_LIMITS
          ": input, cache and max_tokens at admission, trued up; window unpublished"),
    USUAL(UNIT_INPUT_TOKENS, SETTLE_TRUE_UP, BEDROCK_LIMITS AS_TOKENS),
    USUAL(UNIT_OUTPUT_TOKENS, SETTLE_TRUE_UP, BEDROCK_LIMITS AS_TOKENS),
};

#define MISTRAL_LIMITS "Mistral docs, Rate limits and usage tiers"
static const struct profile_rule mistral[] = {
    USUAL(UNIT_REQUESTS, SETTLE_KEEP, MISTRAL_LIMITS ": requests per second; window unpublished"),
    USUAL(UNIT_TOKENS, SETTLE_KEEP,
          MISTRAL_LIMITS ": input plus output; correction after the call unpublished"),
    USUAL(UNIT_INPUT_TOKENS, SETTLE_KEEP, MISTRAL_LIMITS AS_TOKENS),
    USUAL(UNIT_OUTPUT_TOKENS, SETTLE_KEEP, MISTRAL_LIMITS AS_TOKENS),
};

#define GROQ_LIMITS "Groq docs, Rate limits"
static const struct profile_rule groq[] = {
    USUAL(UNIT_REQUESTS, SETTLE_KEEP, GROQ_LIMITS ": per minute and per day, replenishing"),
    USUAL(UNIT_TOKENS, SETTLE_KEEP,
          GROQ_LIMITS ": prompt plus max_tokens; correction after the call unpublished"),
    USUAL(UNIT_INPUT_TOKENS, SETTLE_KEEP, GROQ_LIMITS AS_TOKENS),
    USUAL(UNIT_OUTPUT_TOKENS, SETTLE_KEEP, GROQ_LIMITS AS_TOKENS),
};

#define OPENROUTER_LIMITS "OpenRouter docs, Limits"
static const struct profile_rule openrouter[] = {
    USUAL(UNIT_REQUESTS, SETTLE_KEEP,
          OPENROUTER_LIMITS ": per minute on free models; window unpublished"),
    {UNIT_REQUESTS, DAY, CALENDAR, GRANT, SETTLE_KEEP, 0, NULL,
     OPENROUTER_LIMITS ": per UTC day on free models"},
    USUAL(UNIT_TOKENS, SETTLE_TRUE_UP, OPENROUTER_LIMITS ": not limited; settled as money is"),
    USUAL(UNIT_INPUT_TOKENS, SETTLE_TRUE_UP,
          OPENROUTER_LIMITS ": not limited; settled as money is"),
    USUAL(UNIT_OUTPUT_TOKENS, SETTLE_TRUE_UP,
          OPENROUTER_LIMITS ": not limited; settled as money is"),
};

static const struct profile profiles[] = {
    {"generic", UNIT_TOKENS, NULL, RULES(generic)},
    {"openai", UNIT_TOKENS, NULL, RULES(openai)},
    {"anthropic", UNIT_TOKENS, NULL, RULES(anthropic)},
    {"azure", UNIT_TOKENS, NULL, RULES(azure)},
    {"gemini", UNIT_INPUT_TOKENS, PACIFIC, RULES(gemini)},
    {"bedrock", UNIT_TOKENS, NULL, RULES(bedrock)},
    {"mistral", UNIT_TOKENS, NULL, RULES(mistral)},
    {"groq", UNIT_TOKENS, NULL, RULES(groq)},
    {"openrouter", UNIT_TOKENS, NULL, RULES(openrouter)},
};

const struct profile *profile_find(struct text name)
{
    for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
        if (text_equal(name, text_of(profiles[i].name))) {
            return &profiles[i];
        }
    }
    return NULL;
}

const struct profile *profile_at(size_t i)
{
    return i < sizeof(profiles) / sizeof(profiles[0]) ? &profiles[i] : NULL;
}

/* Money and calls in flight are the operator's own limits: no vendor's rule bends them. */
static const struct profile_rule own[UNIT_COUNT] = {
    [UNIT_REQUESTS] = USUAL(UNIT_REQUESTS, SETTLE_TRUE_UP, "own"),
    [UNIT_TOKENS] = USUAL(UNIT_TOKENS, SETTLE_TRUE_UP, "own"),
    [UNIT_INPUT_TOKENS] = USUAL(UNIT_INPUT_TOKENS, SETTLE_TRUE_UP, "own"),
    [UNIT_OUTPUT_TOKENS] = USUAL(UNIT_OUTPUT_TOKENS, SETTLE_TRUE_UP, "own"),
    [UNIT_SLOTS] = {UNIT_SLOTS, ANY, WINDOW_NONE, GRANT, SETTLE_KEEP, 0, NULL, "own"},
    [UNIT_USD] = {UNIT_USD, ANY, ROLLING, SETTLE, SETTLE_TRUE_UP, 0, NULL, "own"},
};

const struct profile_rule *profile_rule(const struct profile *profile, enum unit unit,
                                        enum span span)
{
    const struct profile_rule *found = &own[unit];
    for (size_t i = 0; profile && i < profile->rules_n; i++) {
        const struct profile_rule *rule = &profile->rules[i];
        if (rule->unit == unit && (rule->span == span || rule->span == SPAN_ANY)) {
            found = rule;
            if (rule->span == span) {
                break;
            }
        }
    }
    return found;
}
