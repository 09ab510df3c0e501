/*
 * What the vendors write, as of November 2026.
 *
 * Codes are matched as a whole. Phrases are only looked for where the class at hand leaves room for
 * them: "too many tokens" of a 429 is a rate, of a 400 the context. The tables of one vendor hold
 * only what others would mean otherwise, since so many speak OpenAI's dialect.
 */
#include "provider/dialect.h"

#include <string.h>

#include "base/num.h"
#include "provider/answer.h"

#define OK      ANSWER_OK
#define WAIT    ANSWER_WAIT
#define SLOW    ANSWER_SLOW_DOWN
#define LOADED  ANSWER_OVERLOAD
#define DAY     ANSWER_DAY_OVER
#define MONEY   ANSWER_OUT_OF_MONEY
#define NEVER   ANSWER_NEVER_FITS
#define LONG    ANSWER_TOO_LONG
#define BAD     ANSWER_BAD_REQUEST
#define AUTH    ANSWER_AUTH
#define UNKNOWN CLASS_UNKNOWN

const struct word common_words[] = {
    /* OpenAI: error codes and types. */
    {"insufficient_quota", MONEY},
    {"credit_balance_exhausted", MONEY},
    {"organization_spend_limit_exceeded", MONEY},
    {"project_spend_limit_exceeded", MONEY},
    {"billing_hard_limit_reached", MONEY},
    {"billing_not_active", MONEY},
    {"rate_limit_exceeded", WAIT},
    {"slow_down", SLOW},
    {"server_is_overloaded", LOADED},
    {"server_error", LOADED},
    {"internal_error", LOADED},
    {"internal_server_error", LOADED},
    {"engine_overloaded", LOADED},
    {"service_unavailable", LOADED},
    {"vector_store_timeout", LOADED},
    {"context_length_exceeded", LONG},
    {"string_above_max_length", BAD},
    {"invalid_prompt", BAD},
    {"content_policy_violation", BAD},
    {"content_filter", BAD},
    {"model_not_found", BAD},
    {"unsupported_value", BAD},
    {"unsupported_parameter", BAD},
    {"invalid_request_error", BAD},
    {"invalid_api_key", AUTH},
    {"invalid_organization", AUTH},
    {"account_deactivated", AUTH},
    {"insufficient_permissions", AUTH},
    {"unsupported_country_region_territory", AUTH},
    /* Anthropic: error types, and error.details.error_code. */
    {"rate_limit_error", WAIT},
    {"overloaded_error", LOADED},
    {"api_error", LOADED},
    {"timeout_error", LOADED},
    {"billing_error", MONEY},
    {"enforced_spend_limit_reached", MONEY},
    {"authentication_error", AUTH},
    {"permission_error", AUTH},
    {"not_found_error", BAD},
    {"request_too_large", BAD},
    /* Words of gateways and SDKs in between. */
    {"too_many_requests", WAIT},
    {"ratelimitreached", WAIT},
    {"payload_too_large", BAD},
    {NULL, OK},
};

#define ROOM (FROM(WAIT) | FROM(BAD) | FROM(UNKNOWN))
#define RATE (FROM(WAIT) | FROM(UNKNOWN))
#define PAY  (FROM(WAIT) | FROM(BAD) | FROM(AUTH) | FROM(UNKNOWN))
#define SIZE (FROM(BAD) | FROM(UNKNOWN))

const struct phrase common_phrases[] = {
    {"request too large for", ROOM, NEVER}, /* OpenAI 429, Groq 413 */
    /* Without credit, whatever the status. */
    {"credit balance is too low", PAY, MONEY}, /* Anthropic 400 */
    {"reached your specified api usage limits", PAY, MONEY},
    {"insufficient credits", PAY, MONEY},
    {"insufficient balance", PAY, MONEY},
    {"spend limit", PAY, MONEY},
    {"spending limit", PAY, MONEY},
    {"spending cap", PAY, MONEY},
    {"billing hard limit", PAY, MONEY},
    {"prepayment credits", PAY, MONEY},
    {"insufficient_quota", PAY, MONEY}, /* in an exception's text */
    {"per month", RATE, MONEY},
    {"monthly", RATE, MONEY},
    /* Growing too fast. Anthropic publishes the limit and not its text; seen so. */
    {"acceleration limit", RATE, SLOW},
    {"usage increase rate", RATE, SLOW},
    {"slow down", RATE, SLOW},
    /* The day's share. */
    {"(rpd)", RATE, DAY},
    {"(tpd)", RATE, DAY},
    {"per day", RATE, DAY},
    {"per-day", RATE, DAY},
    {"per_day", RATE, DAY},
    {"perday", RATE, DAY},
    {"daily", RATE, DAY},
    /* Longer than the context. */
    {"context_length_exceeded", SIZE, LONG},
    {"maximum context length", SIZE, LONG},
    {"context window", SIZE, LONG},
    {"prompt is too long", SIZE, LONG},
    {"input is too long", SIZE, LONG},
    {"exceed context limit", SIZE, LONG},
    {"exceeds the maximum number of tokens", SIZE, LONG},
    {"too large for model with", SIZE, LONG},
    {"reduce the length of the messages", SIZE, LONG},
    /* Said in sentences only. */
    {"api key not valid", SIZE, AUTH},
    {"invalid api key", SIZE, AUTH},
    {"incorrect api key", SIZE, AUTH},
    {"rate limit", FROM(UNKNOWN), WAIT},
    {"too many requests", FROM(UNKNOWN), WAIT},
    {"overloaded", FROM(UNKNOWN), LOADED},
    {NULL, 0, OK},
};

static const struct word no_words[] = {{NULL, OK}};
static const struct phrase no_phrases[] = {{NULL, 0, OK}};
static const struct header_row no_rows[] = {{.limit = NULL}};

/* --- Headers --- */

#define X_LIMIT     "x-ratelimit-limit-"
#define X_REMAINING "x-ratelimit-remaining-"
#define X_RESET     "x-ratelimit-reset-"
#define X_ROW(what, unit, span, told)                                                              \
    {                                                                                              \
        X_LIMIT what, X_REMAINING what, X_RESET what, unit, span, 1, told                          \
    }

/* OpenAI does not say whether its numbers are of the minute or, on small accounts, of the day. */
#define OPENAI_ROWS                                                                                \
    X_ROW("requests", UNIT_REQUESTS, READING_MINUTE, false),                                       \
        X_ROW("tokens", UNIT_TOKENS, READING_MINUTE, false),                                       \
        X_ROW("project-tokens", UNIT_TOKENS, READING_MINUTE, false)

#define ANTHROPIC_ROW(what, unit, grain)                                                           \
    {                                                                                              \
        "anthropic-ratelimit-" what "-limit", "anthropic-ratelimit-" what "-remaining",            \
            "anthropic-ratelimit-" what "-reset", unit, READING_MINUTE, grain, true                \
    }

#define ANTHROPIC_ROWS                                                                             \
    ANTHROPIC_ROW("requests", UNIT_REQUESTS, 1), ANTHROPIC_ROW("tokens", UNIT_TOKENS, 1000),       \
        ANTHROPIC_ROW("input-tokens", UNIT_INPUT_TOKENS, 1000),                                    \
        ANTHROPIC_ROW("output-tokens", UNIT_OUTPUT_TOKENS, 1000)

/* Resets are not published. The "bysize" names are the older ones. */
#define MISTRAL_ROWS                                                                               \
    X_ROW("req-second", UNIT_REQUESTS, READING_SECOND, true),                                      \
        X_ROW("req-minute", UNIT_REQUESTS, READING_MINUTE, true),                                  \
        X_ROW("req-day", UNIT_REQUESTS, READING_DAY, true),                                        \
        X_ROW("tokens-minute", UNIT_TOKENS, READING_MINUTE, true),                                 \
        X_ROW("tokens-day", UNIT_TOKENS, READING_DAY, true),                                       \
        X_ROW("tokens-month", UNIT_TOKENS, READING_MONTH, true),                                   \
        {"x-ratelimitbysize-limit-minute",                                                         \
         "x-ratelimitbysize-remaining-minute",                                                     \
         NULL,                                                                                     \
         UNIT_TOKENS,                                                                              \
         READING_MINUTE,                                                                           \
         1,                                                                                        \
         true},                                                                                    \
    {                                                                                              \
        "x-ratelimitbysize-limit-month", "x-ratelimitbysize-remaining-month", NULL, UNIT_TOKENS,   \
            READING_MONTH, 1, true                                                                 \
    }

#define PLAIN_ROW                                                                                  \
    {                                                                                              \
        "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", UNIT_REQUESTS,          \
            READING_MINUTE, 1, false                                                               \
    }

#define END                                                                                        \
    {                                                                                              \
        .limit = NULL                                                                              \
    }

static const struct header_row openai_rows[] = {OPENAI_ROWS, END};

static const struct header_row anthropic_rows[] = {ANTHROPIC_ROWS, END};

static const struct header_row azure_rows[] = {
    X_ROW("requests", UNIT_REQUESTS, READING_MINUTE, true),
    X_ROW("tokens", UNIT_TOKENS, READING_MINUTE, true),
    END,
};

static const struct header_row groq_rows[] = {
    X_ROW("requests", UNIT_REQUESTS, READING_DAY, true),
    X_ROW("tokens", UNIT_TOKENS, READING_MINUTE, true),
    END,
};

static const struct header_row mistral_rows[] = {MISTRAL_ROWS, END};

static const struct header_row openrouter_rows[] = {PLAIN_ROW, END};

static const struct header_row generic_rows[] = {
    OPENAI_ROWS,
    ANTHROPIC_ROWS,
    MISTRAL_ROWS,
    PLAIN_ROW,
    {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", UNIT_REQUESTS, READING_MINUTE, 1,
     false},
    END,
};

/* --- Words and phrases of one vendor --- */

static const struct phrase openai_phrases[] = {
    {"exceeded your current quota", PAY, MONEY}, /* where the code is lost; Gemini means a rate */
    {NULL, 0, OK},
};

static const struct word azure_words[] = {
    {"nocapacity", LOADED},
    {"deploymentnotfound", BAD},
    {"operationnotsupported", BAD},
    {"permissiondenied", AUTH},
    {"unauthorized", AUTH},
    {"accessdenied", AUTH},
    {"quotaexceeded", WAIT},
    {"responsibleaipolicyviolation", BAD},
    {NULL, OK},
};

static const struct phrase azure_phrases[] = {
    {"out of call volume quota", PAY, MONEY}, /* the month's or week's, of API Management */
    {"high demand", RATE, LOADED},
    {"peak load", RATE, LOADED},
    {"exceeded your current quota", PAY, MONEY},
    {NULL, 0, OK},
};

static const struct word gemini_words[] = {
    {"resource_exhausted", WAIT}, {"rate_limit_exceeded", WAIT},
    {"ratelimitexceeded", WAIT},  {"unavailable", LOADED},
    {"internal", LOADED},         {"deadline_exceeded", LOADED},
    {"aborted", LOADED},          {"cancelled", LOADED},
    {"unknown", LOADED},          {"invalid_argument", BAD},
    {"failed_precondition", BAD}, {"not_found", BAD},
    {"out_of_range", BAD},        {"unimplemented", BAD},
    {"permission_denied", AUTH},  {"unauthenticated", AUTH},
    {"api_key_invalid", AUTH},    {"service_disabled", AUTH},
    {"billing_disabled", MONEY},  {NULL, OK},
};

static const struct word bedrock_words[] = {
    {"throttlingexception", WAIT},
    {"toomanyrequestsexception", WAIT},
    {"servicequotaexceededexception", WAIT},
    {"modelnotreadyexception", LOADED},
    {"modeltimeoutexception", LOADED},
    {"modelerrorexception", LOADED},
    {"modelstreamerrorexception", LOADED},
    {"serviceunavailableexception", LOADED},
    {"internalserverexception", LOADED},
    {"internalfailure", LOADED},
    {"serviceunavailable", LOADED},
    {"throttling", WAIT},
    {"validationexception", BAD},
    {"resourcenotfoundexception", BAD},
    {"conflictexception", BAD},
    {"accessdeniedexception", AUTH},
    {"unrecognizedclientexception", AUTH},
    {"expiredtokenexception", AUTH},
    {"invalidsignatureexception", AUTH},
    {"incompletesignatureexception", AUTH},
    {"missingauthenticationtokenexception", AUTH},
    {NULL, OK},
};

static const struct phrase bedrock_phrases[] = {
    {"too many input tokens", SIZE, LONG},
    {"security token", SIZE, AUTH},
    {NULL, 0, OK},
};

static const struct word mistral_words[] = {
    {"rate_limited", WAIT},
    {"service_tier_capacity_exceeded", LOADED},
    {"invalid_model", BAD},
    {"invalid_request_prompt", BAD},
    {"invalid_request_invalid_args", BAD},
    {"unauthorized", AUTH},
    {NULL, OK},
};

static const struct phrase mistral_phrases[] = {
    {"capacity exceeded", RATE, LOADED},
    {NULL, 0, OK},
};

static const struct word groq_words[] = {
    {"capacity_exceeded", LOADED},     {"over_capacity", LOADED},
    {"blocked_api_access", MONEY}, /* a 400 once the spend limit is reached */
    {"organization_restricted", AUTH}, {"tool_use_failed", BAD},
    {"json_validate_failed", BAD},     {NULL, OK},
};

static const struct word openrouter_words[] = {
    {"openrouter_in_flight_budget", WAIT}, /* a 402 that goes by as calls end */
    {"openrouter_free_tier_daily", DAY},
    {NULL, OK},
};

static const struct phrase openrouter_phrases[] = {
    {"in_flight_budget", FROM(MONEY) | RATE, WAIT},
    {"key limit exceeded", PAY, MONEY},
    {"requires moderation", FROM(AUTH), BAD},
    {"was flagged", FROM(AUTH), BAD},
    {NULL, 0, OK},
};

static const struct dialect dialects[] = {
    {"generic", no_words, no_phrases, generic_rows, 0, true, false},
    {"openai", no_words, openai_phrases, openai_rows, 0, false, false},
    {"anthropic", no_words, no_phrases, anthropic_rows, 0, false, true},
    {"azure", azure_words, azure_phrases, azure_rows, US_PER_DAY, false, false},
    {"gemini", gemini_words, no_phrases, no_rows, 0, false, false},
    {"bedrock", bedrock_words, bedrock_phrases, no_rows, 0, false, false},
    {"mistral", mistral_words, mistral_phrases, mistral_rows, 0, false, false},
    {"groq", groq_words, no_phrases, groq_rows, 0, false, true},
    {"openrouter", openrouter_words, openrouter_phrases, openrouter_rows, 0, false, false},
};

const struct dialect *dialect_of(const char *provider)
{
    for (size_t i = 1; i < sizeof(dialects) / sizeof(dialects[0]); i++) {
        if (provider[0] == dialects[i].name[0] && strcmp(provider, dialects[i].name) == 0) {
            return &dialects[i];
        }
    }
    return &dialects[0];
}

bool dialect_cache_reads_free(const struct dialect *dialect)
{
    return dialect->cache_reads_free;
}
