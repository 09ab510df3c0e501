#include "config/words.h"

#include <stddef.h>

#include "core/policy.h"

const char *const unit_words[] = {
    [UNIT_REQUESTS] = "requests",
    [UNIT_TOKENS] = "tokens",
    [UNIT_INPUT_TOKENS] = "input_tokens",
    [UNIT_OUTPUT_TOKENS] = "output_tokens",
    [UNIT_SLOTS] = "slots",
    [UNIT_USD] = "usd",
    NULL,
};

const char *const window_words[] = {
    [WINDOW_NONE] = "none",         [WINDOW_ROLLING] = "rolling",   [WINDOW_BUCKET] = "bucket",
    [WINDOW_CALENDAR] = "calendar", [WINDOW_LIFETIME] = "lifetime", NULL,
};

const char *const step_words[] = {
    [STEP_SECOND] = "second", [STEP_MINUTE] = "minute", [STEP_HOUR] = "hour",
    [STEP_DAY] = "day",       [STEP_MONTH] = "month",   NULL,
};

const char *const scope_words[] = {
    [SCOPE_RESOURCE] = "resource",
    [SCOPE_TENANT] = "tenant",
    [SCOPE_SESSION] = "session",
    [SCOPE_MODEL] = "model",
    [SCOPE_LABEL] = "label",
    [SCOPE_ROUTE] = "route",
    NULL,
};

const char *const exceed_words[] = {
    [EXCEED_WAIT] = "wait",
    [EXCEED_REFUSE] = "refuse",
    [EXCEED_DOWNGRADE] = "downgrade",
    NULL,
};

const char *const charge_words[] = {
    [CHARGE_AT_GRANT] = "grant",
    [CHARGE_AT_SETTLE] = "settle",
    NULL,
};

const char *const settle_words[] = {
    [SETTLE_TRUE_UP] = "true_up",
    [SETTLE_REFUND_ONLY] = "refund_only",
    [SETTLE_KEEP] = "keep",
    NULL,
};

const char *const expire_words[] = {
    [EXPIRE_FULL] = "full",
    [EXPIRE_INPUT_ONLY] = "input_only",
    [EXPIRE_NOTHING] = "nothing",
    NULL,
};

const char *const told_of_words[] = {
    [TOLD_OF_LENGTH] = "length",
    [TOLD_OF_SECOND] = "second",
    [TOLD_OF_MINUTE] = "minute",
    [TOLD_OF_DAY] = "day",
    [TOLD_OF_MONTH] = "month",
    [TOLD_OF_NONE] = "none",
    NULL,
};

const char *const prefer_words[] = {
    [PREFER_FIRST] = "first",
    [PREFER_FASTEST] = "fastest",
    NULL,
};

const char *const finally_words[] = {
    [FINALLY_REFUSE] = "refuse",
    [FINALLY_CACHED] = "cached",
    [FINALLY_STATIC] = "static",
    NULL,
};

const char *const durability_words[] = {"full", "process", "none", NULL};
