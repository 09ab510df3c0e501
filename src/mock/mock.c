#include "mock/mock.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/num.h"
#include "mock/chance.h"
#include "mock/headers.h"
#include "mock/provider.h"

#define BODY_BYTES_MAX     (16u << 20)
#define CONNECTIONS_MAX    20000
#define STATS_BYTES_MAX    (64u << 20)
#define WHY_BYTES_MAX      512
#define MAX_OUTPUT_DEFAULT 256

void mock_options_default(struct mock_options *o)
{
    *o = (struct mock_options){
        .profile = QUOTA_OPENAI, .minute_us = US_PER_MIN, .max_output = MAX_OUTPUT_DEFAULT};
}

int64_t mock_real_us(const struct mock *m, int64_t provider_us)
{
    return mul_div_sat(provider_us, m->options.minute_us, US_PER_MIN);
}

void mock_reply(struct http_request *req, int status, const struct buf *body)
{
    if (body->failed) {
        http_reply(
            req, 500, "application/json",
            TEXT("{\"error\":{\"type\":\"server_error\",\"message\":\"The pretend provider is "
                 "out of memory.\"}}"));
    } else {
        http_reply(req, status, "application/json", buf_text(body));
    }
}

void mock_refuse(struct http_request *req, enum dialect dialect, int status, const char *message)
{
    struct fault fault;
    struct buf body;
    buf_init(&body, STATS_BYTES_MAX);
    fault_make(dialect, status, message, &fault);
    fault_write(dialect, &fault, "req_refused", &body);
    mock_reply(req, status, &body);
    buf_release(&body);
}

/* What the HTTP layer answers by itself is in OpenAI's shape, as no path is known then. */
static void write_http_error(void *ctx, int status, const char *reason, struct buf *body)
{
    (void)ctx;
    struct fault fault;
    fault_make(DIALECT_OPENAI, status, reason, &fault);
    fault_write(DIALECT_OPENAI, &fault, "", body);
}

/* --- Which path is which. --- */

struct route {
    enum dialect dialect;
    enum api api;
    struct text model; /* Azure's deployment; empty where the body names the model */
};

static bool take_prefix(struct text *t, struct text prefix)
{
    if (t->len < prefix.len || memcmp(t->at, prefix.at, prefix.len) != 0) {
        return false;
    }
    *t = (struct text){t->at + prefix.len, t->len - prefix.len};
    return true;
}

static bool route_rest(struct text rest, struct route *route)
{
    static const struct {
        struct text path;
        enum api api;
    } known[] = {
        {{"chat/completions", 16}, API_CHAT},
        {{"responses", 9}, API_RESPONSES},
        {{"embeddings", 10}, API_EMBEDDINGS},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (text_equal(rest, known[i].path)) {
            route->api = known[i].api;
            return true;
        }
    }
    return false;
}

/* NAME/chat/completions, with Azure's mandatory api-version. */
static bool route_deployment(struct http_request *req, struct text rest, struct route *route)
{
    struct buf version;
    const char *slash = rest.len ? memchr(rest.at, '/', rest.len) : NULL;
    buf_init(&version, WHY_BYTES_MAX);
    bool versioned = http_query_get(req, "api-version", &version);
    buf_release(&version);
    if (!slash || !versioned) {
        return false;
    }
    size_t n = (size_t)(slash - rest.at);
    route->model = (struct text){rest.at, n};
    return route_rest((struct text){slash + 1, rest.len - n - 1}, route);
}

static bool route_find(const struct mock *m, struct http_request *req, struct route *route)
{
    struct text path = http_path(req);
    *route = (struct route){.dialect =
                                m->options.profile == QUOTA_AZURE ? DIALECT_AZURE : DIALECT_OPENAI};
    if (text_equal(path, TEXT("/v1/messages"))) {
        route->dialect = DIALECT_ANTHROPIC;
        route->api = API_MESSAGES;
        return true;
    }
    if (take_prefix(&path, TEXT("/v1/"))) {
        return route_rest(path, route);
    }
    if (!take_prefix(&path, TEXT("/openai/"))) {
        return false;
    }
    route->dialect = DIALECT_AZURE;
    if (take_prefix(&path, TEXT("v1/"))) {
        return route_rest(path, route);
    }
    return take_prefix(&path, TEXT("deployments/")) && route_deployment(req, path, route);
}

/* --- Keys and models. --- */

static bool key_is_known(const struct mock *m, struct http_request *req)
{
    struct text bearer = http_header(req, "authorization");
    if (!take_prefix(&bearer, TEXT("Bearer "))) {
        bearer = TEXT_NONE;
    }
    const struct text given[] = {bearer, http_header(req, "x-api-key"),
                                 http_header(req, "api-key")};
    for (size_t k = 0; k < m->options.keys_n; k++) {
        for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
            if (text_equal(m->options.keys[k], given[i])) {
                return true;
            }
        }
    }
    return m->options.keys_n == 0;
}

static void rules_of(const struct mock *m, const int64_t *amount, struct quota_rules *rules)
{
    const struct mock_options *o = &m->options;
    *rules = (struct quota_rules){.profile = o->profile, .minute_us = o->minute_us};
    memcpy(rules->amount, amount, sizeof(rules->amount));
    /* Nobody outside knows when Azure's minute begins. */
    rules->phase_us = chance_between(o->seed, 0, CHANCE_PHASE, 0, o->minute_us - 1);
}

static struct model *model_of(struct mock *m, struct text name)
{
    struct model *model = models_find(&m->models, name);
    if (model) {
        return model;
    }
    struct quota_rules rules;
    rules_of(m, m->options.amount, &rules);
    return models_add(&m->models, name, &rules, clock_now_us(&m->clock));
}

/* --- Generation. --- */

static void read_steering(struct http_request *req, struct ask *ask)
{
    ask_steer(http_header(req, "x-mock-output-tokens"), &ask->wanted_output);
    ask_steer(http_header(req, "x-mock-input-tokens"), &ask->wanted_input);
    ask_steer(http_header(req, "x-mock-cached-tokens"), &ask->wanted_cached);
}

static void generate(struct mock *m, struct http_request *req, const struct route *route)
{
    struct ask ask;
    struct buf why;
    buf_init(&why, WHY_BYTES_MAX);
    int rc = ask_parse(route->api, http_body(req), &ask, &why);
    if (rc) {
        mock_refuse(req, route->dialect, rc == ERR_INVALID_REQUEST ? 400 : 500,
                    why.len ? why.at : NULL);
        buf_release(&why);
        return;
    }
    buf_release(&why);
    read_steering(req, &ask);
    struct model *model = model_of(m, route->model.len ? route->model : text_of(ask.model));
    if (!model) {
        mock_refuse(req, route->dialect, 404, NULL);
        return;
    }
    call_begin(m, req, route->dialect, model, &ask);
}

static void handle_generation(struct mock *m, struct http_request *req, const struct route *route)
{
    if (!text_equal(http_method(req), TEXT("POST"))) {
        http_reply_header(req, "allow", "POST");
        mock_refuse(req, route->dialect, 405, "Method not allowed.");
    } else if (!key_is_known(m, req)) {
        mock_refuse(req, route->dialect, 401, NULL);
    } else {
        generate(m, req, route);
    }
}

/* --- The other pages. --- */

static void write_model(struct json_writer *w, const struct model *model, bool anthropic)
{
    json_object_begin(w);
    member_str(w, "id", model->name);
    if (anthropic) {
        member_str(w, "type", "model");
        member_str(w, "display_name", model->name);
        member_str(w, "created_at", "2024-01-01T00:00:00Z");
    } else {
        member_str(w, "object", "model");
        member_i64(w, "created", 1704067200);
        member_str(w, "owned_by", "mock");
    }
    json_object_end(w);
}

/* Lists the models met so far, in the shape of the vendor whose header is there. */
static void handle_models(struct mock *m, struct http_request *req)
{
    struct json_writer w;
    struct buf body;
    bool anthropic = http_header(req, "anthropic-version").len > 0;
    buf_init(&body, STATS_BYTES_MAX);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    json_key(&w, "data");
    json_array_begin(&w);
    for (size_t i = 0; i < m->models.n; i++) {
        write_model(&w, m->models.at[i], anthropic);
    }
    json_array_end(&w);
    if (anthropic) {
        size_t n = m->models.n;
        json_key(&w, "has_more");
        json_bool(&w, false);
        member_str(&w, "first_id", n ? m->models.at[0]->name : NULL);
        member_str(&w, "last_id", n ? m->models.at[n - 1]->name : NULL);
    } else {
        member_str(&w, "object", "list");
    }
    json_object_end(&w);
    mock_reply(req, 200, &body);
    buf_release(&body);
}

/* Anthropic's way to count before asking; free and not limited here. */
static void handle_count_tokens(struct mock *m, struct http_request *req)
{
    struct json_writer w;
    struct buf body;
    int64_t tokens = 0;
    (void)m;
    if (ask_count(API_MESSAGES, http_body(req), &tokens)) {
        mock_refuse(req, DIALECT_ANTHROPIC, 400, NULL);
        return;
    }
    buf_init(&body, STATS_BYTES_MAX);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    member_i64(&w, "input_tokens", tokens);
    json_object_end(&w);
    mock_reply(req, 200, &body);
    buf_release(&body);
}

static void handle_stats(struct mock *m, struct http_request *req)
{
    struct buf body;
    buf_init(&body, STATS_BYTES_MAX);
    mock_write_stats(m, &body);
    mock_reply(req, 200, &body);
    buf_release(&body);
}

static void handle_reset(struct mock *m, struct http_request *req)
{
    m->started_us = clock_now_us(&m->clock);
    m->calls_n = 0;
    models_reset(&m->models, m->started_us);
    http_reply(req, 200, "application/json", TEXT("{\"reset\":true}"));
}

struct page {
    struct text method;
    struct text path;
    void (*handle)(struct mock *m, struct http_request *req);
};

static bool handle_page(struct mock *m, struct http_request *req)
{
    const struct page pages[] = {
        {TEXT("GET"), TEXT("/v1/models"), handle_models},
        {TEXT("GET"), TEXT("/openai/v1/models"), handle_models},
        {TEXT("POST"), TEXT("/v1/messages/count_tokens"), handle_count_tokens},
        {TEXT("GET"), TEXT("/mock/stats"), handle_stats},
        {TEXT("POST"), TEXT("/mock/reset"), handle_reset},
    };
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (text_equal(http_path(req), pages[i].path) &&
            text_equal(http_method(req), pages[i].method)) {
            pages[i].handle(m, req);
            return true;
        }
    }
    return false;
}

static void refuse_path(struct http_request *req, enum dialect dialect)
{
    struct fault fault;
    struct buf body;
    buf_init(&body, STATS_BYTES_MAX);
    fault_make(dialect, 404, "There is nothing at this path.", &fault);
    fault.code[0] = '\0';
    fault_write(dialect, &fault, "req_refused", &body);
    mock_reply(req, 404, &body);
    buf_release(&body);
}

static void handle(void *ctx, struct http_request *req)
{
    struct mock *m = ctx;
    struct route route;
    if (route_find(m, req, &route)) {
        handle_generation(m, req, &route);
    } else if (!handle_page(m, req)) {
        refuse_path(req, route.dialect);
    }
}

/* --- Statistics. --- */

static void write_amounts(struct json_writer *w, const char *key, const int64_t *amount)
{
    json_key(w, key);
    json_object_begin(w);
    for (int u = 0; u < QUOTA_UNIT_COUNT; u++) {
        if (amount[u]) {
            member_i64(w, quota_unit_name(u), amount[u]);
        }
    }
    json_object_end(w);
}

static void write_model_stats(struct json_writer *w, struct model *model, int64_t now)
{
    int64_t peak[QUOTA_UNIT_COUNT];
    int64_t used[QUOTA_UNIT_COUNT];
    for (int u = 0; u < QUOTA_SLOTS; u++) {
        peak[u] = model->quota.meters[u].peak;
        used[u] = meter_used(&model->quota.meters[u], now);
    }
    peak[QUOTA_SLOTS] = model->quota.in_flight_peak;
    used[QUOTA_SLOTS] = model->quota.in_flight;
    json_name(w, text_of(model->name));
    json_object_begin(w);
    mock_stats_write(&model->stats, w);
    write_amounts(w, "limits", model->quota.rules.amount);
    write_amounts(w, "used", used);
    write_amounts(w, "peak", peak);
    mock_stats_write_series(&model->stats, w);
    json_object_end(w);
}

static const char *profile_name(enum quota_profile profile)
{
    static const char *const names[] = {
        [QUOTA_OPENAI] = "openai", [QUOTA_ANTHROPIC] = "anthropic", [QUOTA_AZURE] = "azure"};
    return names[profile];
}

void mock_write_stats(struct mock *m, struct buf *out)
{
    int64_t now = clock_now_us(&m->clock);
    struct mock_stats *sum = calloc(1, sizeof(*sum));
    struct json_writer w;
    int64_t in_flight = 0;
    json_writer_init(&w, out);
    json_object_begin(&w);
    member_str(&w, "profile", profile_name(m->options.profile));
    member_i64(&w, "minute_ms", m->options.minute_us / US_PER_MS);
    member_i64(&w, "elapsed_ms", (now - m->started_us) / US_PER_MS);
    for (size_t i = 0; sum && i < m->models.n; i++) {
        mock_stats_sum(sum, &m->models.at[i]->stats);
        in_flight += m->models.at[i]->quota.in_flight;
    }
    if (sum) {
        mock_stats_write(sum, &w);
    }
    out->failed |= !sum;
    member_i64(&w, "in_flight", in_flight);
    json_key(&w, "models");
    json_object_begin(&w);
    for (size_t i = 0; i < m->models.n; i++) {
        write_model_stats(&w, m->models.at[i], now);
    }
    json_object_end(&w);
    json_object_end(&w);
    free(sum);
}

/* --- Life. --- */

static int add_overrides(struct mock *m)
{
    for (size_t i = 0; i < m->options.overrides_n; i++) {
        struct quota_rules rules;
        rules_of(m, m->options.overrides[i].amount, &rules);
        if (!models_add(&m->models, m->options.overrides[i].name, &rules, m->started_us)) {
            return ERR_OVER_CAP;
        }
    }
    return 0;
}

static int start(struct mock *m)
{
    struct http_options http;
    http_options_default(&http);
    http.handler = handle;
    http.error_body = write_http_error;
    http.ctx = m;
    http.connections_max = CONNECTIONS_MAX;
    http.body_bytes_max = BODY_BYTES_MAX;
    http.stream_bytes_max = ANSWER_BYTES_MAX;
    int rc = add_overrides(m);
    return rc ? rc : http_server_new(m->loop, &http, &m->http);
}

int mock_new(uv_loop_t *loop, const struct mock_options *options, struct mock **mock)
{
    assert(options->minute_us >= MINUTE_US_MIN);
    struct mock *m = calloc(1, sizeof(*m));
    if (!m) {
        return ERR_NO_MEMORY;
    }
    m->loop = loop;
    m->options = *options;
    clock_init(&m->clock, 0);
    m->started_us = clock_now_us(&m->clock);
    list_init(&m->calls);
    int rc = start(m);
    if (rc) {
        models_release(&m->models);
        free(m);
        return rc;
    }
    *mock = m;
    return 0;
}

int mock_listen(struct mock *mock, const char *address, struct buf *why)
{
    return http_server_listen(mock->http, address, why);
}

int mock_port(const struct mock *mock)
{
    return http_server_port(mock->http, 0);
}

static void on_http_closed(void *ctx)
{
    struct mock *m = ctx;
    void (*done)(void *) = m->done;
    void *done_ctx = m->done_ctx;
    calls_abandon(m);
    models_release(&m->models);
    free(m);
    done(done_ctx);
}

void mock_close(struct mock *mock, void (*done)(void *ctx), void *ctx)
{
    mock->done = done;
    mock->done_ctx = ctx;
    http_server_close(mock->http, on_http_closed, mock);
}
