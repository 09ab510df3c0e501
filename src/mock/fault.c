#include "mock/fault.h"

#include <assert.h>
#include <stdio.h>

#include "base/num.h"
#include "mock/answer.h"

struct usual {
    int status;
    const char *type;
    const char *code; /* NULL: none */
    const char *message;
};

static const struct usual openai_usual[] = {
    {400, "invalid_request_error", NULL, "The request is invalid."},
    {401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."},
    {403, "invalid_request_error", "unsupported_country_region_territory", "Not allowed."},
    {404, "invalid_request_error", "model_not_found", "The model does not exist."},
    {413, "invalid_request_error", NULL, "The request is too large."},
    {429, "requests", "rate_limit_exceeded", "Rate limit reached for requests."},
    {503, "service_unavailable_error", "server_is_overloaded",
     "Our servers are currently overloaded. Please try again later."},
    {0, "server_error", NULL,
     "The server had an error while processing your request. Sorry about that!"},
};

static const struct usual azure_usual[] = {
    {400, "BadRequest", "BadRequest", "The request is invalid."},
    {401, "401", "401", "Access denied due to invalid subscription key or wrong API endpoint."},
    {403, "403", "403", "Access denied."},
    {404, "404", "404", "Resource not found"},
    {413, "413", "413", "The request is too large."},
    {429, "429", "429", "Requests have exceeded the call rate limit. Please retry later."},
    {503, "ServiceUnavailable", "ServiceUnavailable", "The service is temporarily unavailable."},
    {0, "InternalServerError", "InternalServerError", "Backend returned unexpected response."},
};

static const struct usual anthropic_usual[] = {
    {400, "invalid_request_error", NULL, "The request is invalid."},
    {401, "authentication_error", NULL, "invalid x-api-key"},
    {403, "permission_error", NULL, "Your API key may not use this."},
    {404, "not_found_error", NULL, "Not found"},
    {413, "request_too_large", NULL, "Request exceeds the maximum size"},
    {429, "rate_limit_error", NULL, "This request would exceed your organization's rate limit."},
    {503, "api_error", NULL, "Service unavailable"},
    {529, "overloaded_error", NULL, "Overloaded"},
    {0, "api_error", NULL, "Internal server error"},
};

static const struct usual *usual_of(enum dialect dialect, int status)
{
    const struct usual *u = dialect == DIALECT_OPENAI  ? openai_usual
                            : dialect == DIALECT_AZURE ? azure_usual
                                                       : anthropic_usual;
    const struct usual *first = u;
    while (u->status && u->status != status) {
        u++;
    }
    /* The first is 400, which stands for what is the caller's fault; the last for the rest. */
    return u->status == 0 && status < 500 ? first : u;
}

static void set_word(char *to, const char *word)
{
    snprintf(to, FAULT_WORD_MAX, "%s", word ? word : "");
}

void fault_make(enum dialect dialect, int status, const char *message, struct fault *fault)
{
    const struct usual *u = usual_of(dialect, status);
    *fault = (struct fault){.status = status};
    set_word(fault->type, u->type);
    set_word(fault->code, u->code);
    snprintf(fault->message, sizeof(fault->message), "%s", message ? message : u->message);
}

void fault_of_rule(enum dialect dialect, const struct trouble_rule *rule, struct fault *fault)
{
    assert(rule->what == TROUBLE_STATUS);
    fault_make(dialect, (int)rule->amount, rule->value[0] ? rule->value : NULL, fault);
    if (rule->name[0]) {
        set_word(fault->code, rule->name);
    }
    if (rule->type[0]) {
        set_word(fault->type, rule->type);
    }
    fault->retry_after_us = max_i64(0, rule->retry_after_us);
}

/* How the vendors name a unit's limit in their sentences. */
static const char *openai_limit_name(enum quota_unit unit)
{
    switch (unit) {
    case QUOTA_REQUESTS: return "requests per min (RPM)";
    case QUOTA_INPUT_TOKENS: return "input tokens per min";
    case QUOTA_OUTPUT_TOKENS: return "output tokens per min";
    case QUOTA_SLOTS: return "concurrent requests";
    default: return "tokens per min (TPM)";
    }
}

static const char *anthropic_limit_name(enum quota_unit unit)
{
    switch (unit) {
    case QUOTA_REQUESTS: return "requests per minute";
    case QUOTA_INPUT_TOKENS: return "input tokens per minute";
    case QUOTA_OUTPUT_TOKENS: return "output tokens per minute";
    case QUOTA_SLOTS: return "concurrent connections";
    default: return "tokens per minute";
    }
}

static void openai_refusal(const struct quota_verdict *v, const char *model, struct fault *f)
{
    set_word(f->type, v->unit == QUOTA_REQUESTS || v->unit == QUOTA_SLOTS ? "requests" : "tokens");
    const char *name = openai_limit_name(v->unit);
    if (v->too_large) {
        snprintf(f->message, sizeof(f->message),
                 "Request too large for %s in organization org-mock on %s: Limit %lld, Requested "
                 "%lld. The input or output tokens must be reduced in order to run successfully.",
                 model, name, (long long)v->limit, (long long)v->asked);
        return;
    }
    snprintf(f->message, sizeof(f->message),
             "Rate limit reached for %s in organization org-mock on %s: Limit %lld, Used %lld, "
             "Requested %lld. Please try again in %.3fs.",
             model, name, (long long)v->limit, (long long)v->used, (long long)v->asked,
             (double)v->retry_after_us / (double)US_PER_S);
}

static void azure_refusal(const struct quota_verdict *v, struct fault *f)
{
    /* For what can never fit, Azure names a day. */
    int64_t seconds = v->too_large ? 86400 : (v->retry_after_us + US_PER_S - 1) / US_PER_S;
    f->retry_after_us = v->too_large ? 86400 * US_PER_S : f->retry_after_us;
    snprintf(f->message, sizeof(f->message),
             "Requests to the model deployment have exceeded the %s rate limit of your current "
             "pricing tier. Please retry after %lld seconds.",
             v->unit == QUOTA_REQUESTS || v->unit == QUOTA_SLOTS ? "call" : "token",
             (long long)seconds);
}

static void anthropic_refusal(const struct quota_verdict *v, const char *model, struct fault *f)
{
    snprintf(f->message, sizeof(f->message),
             "This request would exceed your organization's rate limit of %lld %s (model: %s). "
             "Please reduce the prompt length or the maximum tokens requested, or try again later.",
             (long long)v->limit, anthropic_limit_name(v->unit), model);
}

void fault_of_verdict(enum dialect dialect, const struct quota_verdict *verdict, const char *model,
                      struct fault *fault)
{
    assert(!verdict->admitted);
    fault_make(dialect, 429, NULL, fault);
    fault->retry_after_us = verdict->retry_after_us;
    switch (dialect) {
    case DIALECT_OPENAI: openai_refusal(verdict, model, fault); break;
    case DIALECT_AZURE: azure_refusal(verdict, fault); break;
    case DIALECT_ANTHROPIC: anthropic_refusal(verdict, model, fault); break;
    }
}

static void openai_fault(const struct fault *fault, struct json_writer *w)
{
    json_object_begin(w);
    json_key(w, "error");
    json_object_begin(w);
    member_str(w, "message", fault->message);
    member_str(w, "type", fault->type);
    member_str(w, "param", NULL);
    member_str(w, "code", fault->code[0] ? fault->code : NULL);
    json_object_end(w);
    json_object_end(w);
}

static void azure_fault(const struct fault *fault, struct json_writer *w)
{
    json_object_begin(w);
    json_key(w, "error");
    json_object_begin(w);
    member_str(w, "code", fault->code[0] ? fault->code : fault->type);
    member_str(w, "message", fault->message);
    json_object_end(w);
    json_object_end(w);
}

static void anthropic_fault(const struct fault *fault, const char *request_id,
                            struct json_writer *w)
{
    json_object_begin(w);
    member_str(w, "type", "error");
    json_key(w, "error");
    json_object_begin(w);
    member_str(w, "type", fault->type);
    member_str(w, "message", fault->message);
    json_object_end(w);
    member_str(w, "request_id", request_id);
    json_object_end(w);
}

void fault_write(enum dialect dialect, const struct fault *fault, const char *request_id,
                 struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    switch (dialect) {
    case DIALECT_OPENAI: openai_fault(fault, &w); break;
    case DIALECT_AZURE: azure_fault(fault, &w); break;
    case DIALECT_ANTHROPIC: anthropic_fault(fault, request_id, &w); break;
    }
}
