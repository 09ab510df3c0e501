/*
 * Questions to the ledger. Each is read from the request on the loop's thread, asked on one of
 * libuv's, which also writes the answer's body, and answered on the loop's again. A question whose
 * asker has hung up is stopped.
 */
#include <stdlib.h>

#include "base/num.h"
#include "http/member.h"
#include "journal/usage.h"
#include "provider/wait.h"
#include "server/api.h"

#define JOBS_MAX         2 /* questions at once: half of libuv's threads, others need them too */
#define ROWS_DEFAULT     100
#define ROWS_MAX         1000
#define SESSION_ROWS_MAX 100 /* models of one session */
#define TEXT_BYTES_MAX   2048
#define LABEL_PREFIX     "label:"
#define LABEL_PREFIX_LEN (sizeof(LABEL_PREFIX) - 1)
#define DAY_US           INT64_C(86400000000)

static const char *const by_names[USAGE_BYS] = {
    [USAGE_BY_TENANT] = "tenant",     [USAGE_BY_SESSION] = "session", [USAGE_BY_MODEL] = "model",
    [USAGE_BY_RESOURCE] = "resource", [USAGE_BY_ACCOUNT] = "account", [USAGE_BY_ROUTE] = "route",
    [USAGE_BY_OUTCOME] = "outcome",   [USAGE_BY_LABEL] = "label",     [USAGE_BY_DAY] = "day",
    [USAGE_BY_HOUR] = "hour",
};

enum param {
    PARAM_BY,
    PARAM_SINCE,
    PARAM_UNTIL,
    PARAM_TENANT,
    PARAM_SESSION,
    PARAM_MODEL,
    PARAM_RESOURCE,
    PARAM_ACCOUNT,
    PARAM_ROUTE,
    PARAM_AFTER,
    PARAM_LIMIT,
    PARAMS
};

const char *const api_usage_params[PARAMS + 1] = {
    "by",       "since",   "until", "tenant", "session", "model",
    "resource", "account", "route", "after",  "limit",   NULL,
};

struct job {
    uv_work_t work;
    struct api *api;
    struct http_request *req; /* NULL once the peer has hung up */
    atomic_bool stop;
    const char *path; /* the journal's, which outlives the loop */
    struct usage_question question;
    bool of_session;
    int64_t now_us;                /* by the wall clock */
    int64_t until_us;              /* to be told */
    struct buf texts[PARAMS];      /* of the question */
    char session[NAME_LEN_MAX];    /* of_session */
    char tenant[NAME_LEN_MAX + 1]; /* of a key that is bound */
    struct buf budgets;            /* of_session: the member, written beforehand */
    struct buf body;
    struct buf why;
    int err;
};

/* --- Writing. --- */

static void put_sums(struct json_writer *w, const struct usage_sums *s)
{
    member_i64(w, "calls", s->calls);
    member_i64(w, "errors", s->errors);
    member_i64(w, "expired", s->expired);
    member_i64(w, "requests", s->requests);
    member_i64(w, "tokens", s->tokens);
    member_i64(w, "input_tokens", s->parts.of[PART_INPUT]);
    member_i64(w, "cache_read_tokens", s->parts.of[PART_CACHE_READ]);
    member_i64(w, "cache_write_5m_tokens", s->parts.of[PART_CACHE_WRITE_5M]);
    member_i64(w, "cache_write_1h_tokens", s->parts.of[PART_CACHE_WRITE_1H]);
    member_i64(w, "output_tokens", s->parts.of[PART_OUTPUT]);
    json_key(w, "cost_usd");
    json_milliusd(w, s->usd_milli, s->usd_rest);
    member_i64(w, "waited_ms", s->waited_us / US_PER_MS);
    member_i64(w, "held_ms", s->held_us / US_PER_MS);
}

struct rows {
    struct json_writer *w;
    struct usage_sums total;
    const char *key; /* what rows call theirs */
    struct buf last; /* the newest key */
};

static void add_sums(struct usage_sums *to, const struct usage_sums *s)
{
    to->calls = add_sat(to->calls, s->calls);
    to->errors = add_sat(to->errors, s->errors);
    to->expired = add_sat(to->expired, s->expired);
    to->waited_us = add_sat(to->waited_us, s->waited_us);
    to->held_us = add_sat(to->held_us, s->held_us);
    to->requests = add_sat(to->requests, s->requests);
    to->tokens = add_sat(to->tokens, s->tokens);
    for (int i = 0; i < PARTS; i++) {
        to->parts.of[i] = add_sat(to->parts.of[i], s->parts.of[i]);
    }
    int64_t rest = to->usd_rest + s->usd_rest;
    to->usd_milli = add_sat(add_sat(to->usd_milli, s->usd_milli), rest / PICOUSD_PER_MILLIUSD);
    to->usd_rest = rest % PICOUSD_PER_MILLIUSD;
    bool first = to->first_us == 0 || (s->first_us && s->first_us < to->first_us);
    to->first_us = first ? s->first_us : to->first_us;
    to->last_us = max_i64(to->last_us, s->last_us);
}

static void take_row(void *ctx, struct text key, const struct usage_sums *sums)
{
    struct rows *rows = ctx;
    add_sums(&rows->total, sums);
    if (rows->w) {
        json_object_begin(rows->w);
        json_key(rows->w, rows->key);
        if (key.len > 0) {
            json_text(rows->w, key);
        } else {
            json_null(rows->w);
        }
        put_sums(rows->w, sums);
        json_object_end(rows->w);
    }
    buf_clear(&rows->last);
    buf_add_text(&rows->last, key);
}

/* --- On a thread of its own. --- */

static void ask_usage(struct job *job)
{
    struct json_writer w;
    struct rows rows = {.w = &w, .key = "key"};
    bool more;
    json_writer_init(&w, &job->body);
    buf_init(&rows.last, TEXT_BYTES_MAX);
    json_object_begin(&w);
    member_str(&w, "by", by_names[job->question.by]);
    member_i64(&w, "since_ms", job->question.since_us / US_PER_MS);
    member_i64(&w, "until_ms", job->until_us / US_PER_MS);
    json_key(&w, "rows");
    json_array_begin(&w);
    job->err = usage_ask(job->path, &job->question, &job->stop, take_row, &rows, &more, &job->why);
    json_array_end(&w);
    json_key(&w, "next");
    if (!job->err && more) {
        json_text(&w, buf_text(&rows.last));
    } else {
        json_null(&w);
    }
    json_object_end(&w);
    buf_release(&rows.last);
}

static void put_time(struct json_writer *w, const char *key, int64_t at_us)
{
    json_key(w, key);
    if (at_us > 0) {
        json_i64(w, at_us / US_PER_MS);
    } else {
        json_null(w);
    }
}

static void ask_session(struct job *job)
{
    struct json_writer w;
    struct rows all = {.w = &w, .key = "model"};
    struct rows today = {0};
    struct usage_question since_midnight = job->question;
    bool more;
    since_midnight.since_us = job->now_us / DAY_US * DAY_US;
    json_writer_init(&w, &job->body);
    buf_init(&all.last, TEXT_BYTES_MAX);
    buf_init(&today.last, TEXT_BYTES_MAX);
    json_object_begin(&w);
    member_text(&w, "session", job->question.session.value);
    json_key(&w, "models");
    json_array_begin(&w);
    job->err = usage_ask(job->path, &job->question, &job->stop, take_row, &all, &more, &job->why);
    json_array_end(&w);
    if (!job->err) {
        job->err =
            usage_ask(job->path, &since_midnight, &job->stop, take_row, &today, &more, &job->why);
    }
    put_sums(&w, &all.total);
    json_key(&w, "cost_today_usd");
    json_milliusd(&w, today.total.usd_milli, today.total.usd_rest);
    put_time(&w, "first_ms", all.total.first_us);
    put_time(&w, "last_ms", all.total.last_us);
    buf_add_text(&job->body, buf_text(&job->budgets));
    json_object_end(&w);
    buf_release(&all.last);
    buf_release(&today.last);
}

static void on_work(uv_work_t *work)
{
    struct job *job = CONTAINER_OF(work, struct job, work);
    if (job->of_session) {
        ask_session(job);
    } else {
        ask_usage(job);
    }
    buf_add_char(&job->body, '\n');
}

/* --- Back on the loop. --- */

static void job_free(struct job *job)
{
    for (int i = 0; i < PARAMS; i++) {
        buf_release(&job->texts[i]);
    }
    buf_release(&job->budgets);
    buf_release(&job->body);
    buf_release(&job->why);
    free(job);
}

static void on_done(uv_work_t *work, int status)
{
    struct job *job = CONTAINER_OF(work, struct job, work);
    (void)status;
    job->api->usage_jobs--;
    if (!job->req) {
        job_free(job);
        return;
    }
    if (job->err) {
        api_refuse(job->req, (enum error_code)job->err, job->why.len ? job->why.at : NULL);
    } else {
        api_reply(job->req, "application/json", &job->body);
    }
    job_free(job);
}

static void on_gone(void *ctx)
{
    struct job *job = ctx;
    job->req = NULL;
    atomic_store(&job->stop, true);
}

/* --- Reading the question. --- */

/* Times by the wall clock: RFC 3339, milliseconds since 1970, or how long ago. */
static bool read_time(struct text t, int64_t now_us, int64_t *at_us)
{
    int64_t n;
    if (config_read_amount(t, USAGE_TIME_US_MAX / US_PER_MS, &n)) {
        *at_us = n * US_PER_MS;
        return true;
    }
    if (config_read_duration(t, &n)) {
        *at_us = max_i64(0, sub_sat(now_us, n));
        return true;
    }
    return wait_read_date(t, at_us) && *at_us >= 0 && *at_us <= USAGE_TIME_US_MAX;
}

static bool read_by(struct text t, struct usage_question *q)
{
    if (t.len > LABEL_PREFIX_LEN && t.len <= LABEL_PREFIX_LEN + NAME_LEN_MAX &&
        memcmp(t.at, LABEL_PREFIX, LABEL_PREFIX_LEN) == 0) {
        q->by = USAGE_BY_LABEL;
        q->label = (struct text){t.at + LABEL_PREFIX_LEN, t.len - LABEL_PREFIX_LEN};
        return memchr(q->label.at, 0, q->label.len) == NULL;
    }
    for (int i = 0; i < USAGE_BYS; i++) {
        if (i != USAGE_BY_LABEL && text_equal(t, text_of(by_names[i]))) {
            q->by = (enum usage_by)i;
            return true;
        }
    }
    return false;
}

/* Reads the parameters' texts; false where one is longer than any that means something. `given` has
 * a bit for each that is there. */
static bool read_texts(const struct call *call, struct job *job, unsigned *given)
{
    bool failed = false;
    for (int i = 0; i < PARAMS; i++) {
        bool there = http_query_get(call->req, api_usage_params[i], &job->texts[i]);
        *given |= there ? 1u << i : 0;
        failed |= job->texts[i].failed;
    }
    return !failed;
}

static struct usage_filter filter(const struct job *job, enum param which, unsigned given)
{
    return (struct usage_filter){given >> which & 1u, buf_text(&job->texts[which])};
}

static const char *read_filters(struct job *job, unsigned given)
{
    struct usage_question *q = &job->question;
    q->tenant = filter(job, PARAM_TENANT, given);
    q->session = filter(job, PARAM_SESSION, given);
    q->model = filter(job, PARAM_MODEL, given);
    q->resource = filter(job, PARAM_RESOURCE, given);
    q->account = filter(job, PARAM_ACCOUNT, given);
    q->route = filter(job, PARAM_ROUTE, given);
    q->after = filter(job, PARAM_AFTER, given);
    for (enum param i = PARAM_TENANT; i <= PARAM_ROUTE; i++) {
        if (job->texts[i].len > NAME_LEN_MAX) {
            return "a name is too long";
        }
    }
    return NULL;
}

/* NULL, or what is wrong with the question: a clause for people. */
static const char *read_question(struct job *job, unsigned given)
{
    struct usage_question *q = &job->question;
    struct text by = buf_text(&job->texts[PARAM_BY]);
    if (given & 1u << PARAM_BY && !read_by(by, q)) {
        return "`by` must be tenant, session, model, resource, account, route, outcome, day, hour "
               "or label:KEY";
    }
    q->since_us = max_i64(0, job->now_us - DAY_US);
    q->until_us = USAGE_TIME_US_MAX;
    job->until_us = job->now_us;
    if (given & 1u << PARAM_SINCE &&
        !read_time(buf_text(&job->texts[PARAM_SINCE]), job->now_us, &q->since_us)) {
        return "`since` must be an RFC 3339 time, milliseconds since 1970, or how long ago, as 24h";
    }
    if (given & 1u << PARAM_UNTIL) {
        if (!read_time(buf_text(&job->texts[PARAM_UNTIL]), job->now_us, &q->until_us)) {
            return "`until` must be an RFC 3339 time, milliseconds since 1970, or how long ago, "
                   "as 1h";
        }
        job->until_us = q->until_us;
    }
    q->rows_max = ROWS_DEFAULT;
    if (given & 1u << PARAM_LIMIT &&
        (!config_read_amount(buf_text(&job->texts[PARAM_LIMIT]), ROWS_MAX, &q->rows_max) ||
         q->rows_max == 0)) {
        return "`limit` must be a number from 1 to 1000";
    }
    return read_filters(job, given);
}

/* --- Beginning. --- */

static struct job *job_new(const struct call *call)
{
    struct job *job = calloc(1, sizeof(*job));
    if (!job) {
        return NULL;
    }
    for (int i = 0; i < PARAMS; i++) {
        buf_init(&job->texts[i], TEXT_BYTES_MAX);
    }
    buf_init(&job->budgets, REPLY_BYTES_MAX);
    buf_init(&job->body, REPLY_BYTES_MAX);
    buf_init(&job->why, TEXT_BYTES_MAX);
    job->api = call->api;
    job->req = call->req;
    job->path = journal_path(call->api->journal);
    job->now_us = max_i64(0, driver_now(call->api->driver) + call->api->driver->skew_us);
    return job;
}

/* A key that is bound to a tenant is told of that one alone. */
static enum error_code bind_tenant(const struct call *call, struct job *job)
{
    struct usage_filter *tenant = &job->question.tenant;
    struct text own = call->identity.tenant;
    if (!call->identity.bound) {
        return ERR_NONE;
    }
    if (tenant->set && !text_equal(tenant->value, own)) {
        buf_add_str(&job->why, "this API key is bound to another tenant");
        return ERR_FORBIDDEN;
    }
    memcpy(job->tenant, own.at, own.len); /* a reload may free the key's */
    *tenant = (struct usage_filter){true, {job->tenant, own.len}};
    return ERR_NONE;
}

static void begin(struct job *job, enum error_code err)
{
    struct api *api = job->api;
    if (!err && !job->path) {
        err = ERR_NOT_FOUND;
        buf_add_str(&job->why, "there is no ledger: the coordinator runs with durability none");
    } else if (!err && api->usage_jobs >= JOBS_MAX) {
        err = ERR_OVER_CAP;
        buf_add_str(&job->why, "as many questions as can be are being answered; ask again");
    }
    if (err) {
        api_refuse(job->req, err, job->why.len ? job->why.at : NULL);
        job_free(job);
        return;
    }
    http_request_park(job->req, on_gone, job);
    if (uv_queue_work(api->loop, &job->work, on_work, on_done)) {
        api_refuse(job->req, ERR_INTERNAL, NULL);
        job_free(job);
        return;
    }
    api->usage_jobs++;
}

void api_usage(const struct call *call)
{
    struct job *job = job_new(call);
    unsigned given = 0;
    if (!job) {
        api_refuse(call->req, ERR_NO_MEMORY, NULL);
        return;
    }
    const char *problem =
        read_texts(call, job, &given) ? read_question(job, given) : "a parameter is too long";
    if (problem) {
        buf_add_str(&job->why, problem);
    }
    begin(job, problem ? ERR_INVALID_REQUEST : bind_tenant(call, job));
}

/* --- One session. --- */

static bool is_session_budget(const struct limit *l)
{
    return l->scope == SCOPE_SESSION &&
           (l->window == WINDOW_CALENDAR || l->window == WINDOW_LIFETIME) &&
           (l->unit == UNIT_USD || l->unit == UNIT_TOKENS || l->unit == UNIT_INPUT_TOKENS ||
            l->unit == UNIT_OUTPUT_TOKENS || l->unit == UNIT_REQUESTS);
}

static int put_budget(struct json_writer *w, const struct api *api, size_t i, size_t j,
                      struct text session)
{
    struct limit_view v;
    struct resource_view resource;
    bool found;
    core_limit_view(api->core, i, j, &v);
    if (!is_session_budget(v.limit)) {
        return 0;
    }
    int err = api_scope_view(api, i, j, session, &v, &found);
    if (!found) {
        v.used = v.held = v.reset_us = 0;
        v.remaining = v.amount;
    }
    core_resource_view(api->core, i, &resource);
    json_object_begin(w);
    member_str(w, "resource", resource.resource->name);
    api_write_limit(w, &v);
    api_write_counter(w, &v);
    json_object_end(w);
    return err;
}

/* Writes the last member of the answer: what the core knows, it is asked for here. */
static enum error_code write_budgets(struct job *job, struct text session)
{
    const struct core *core = job->api->core;
    struct json_writer w;
    int err = 0;
    json_writer_init(&w, &job->budgets);
    w.comma = true; /* it follows others */
    json_key(&w, "budgets");
    json_array_begin(&w);
    for (size_t i = 0; i < core_resources(core); i++) {
        for (size_t j = 0; j < core_limits(core, i) && !err; j++) {
            err = put_budget(&w, job->api, i, j, session);
        }
    }
    json_array_end(&w);
    return (enum error_code)err;
}

void api_session(const struct call *call)
{
    struct job *job = job_new(call);
    size_t len;
    if (!job) {
        api_refuse(call->req, ERR_NO_MEMORY, NULL);
        return;
    }
    enum error_code err = ERR_NONE;
    if (!api_path_name(call, job->session, &len) || len == 0) {
        err = ERR_INVALID_REQUEST;
        buf_add_str(&job->why, "the session's name is malformed, or longer than 128 bytes");
    } else {
        struct text session = {job->session, len};
        job->of_session = true;
        job->question = (struct usage_question){.by = USAGE_BY_MODEL,
                                                .until_us = USAGE_TIME_US_MAX,
                                                .session = {true, session},
                                                .rows_max = SESSION_ROWS_MAX};
        err = write_budgets(job, session);
    }
    begin(job, err ? err : bind_tenant(call, job));
}
