/*
 * The life of one call to the pretend provider.
 *
 *     ARRIVING   sent, but not yet at the provider: the admission delay
 *     WAITING    admitted and in flight, before the first token
 *     PRODUCING  tokens come into being, streamed or not
 *     (gone)     answered, refused, cut off, or left by its caller
 *
 * A call is judged once, at the end of ARRIVING. One timer wakes it for each next thing to do. The
 * request may vanish at any moment (call_gone); the call then leaves the in-flight count at once,
 * though what it was charged stays charged, as with the vendors.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/num.h"
#include "mock/chance.h"
#include "mock/headers.h"
#include "mock/provider.h"

#define PRODUCE_STEPS_A_MINUTE 240 /* how finely unstreamed output is charged */
#define PARTS_PER_HALF         2

enum call_state { CALL_ARRIVING, CALL_WAITING, CALL_PRODUCING };

struct call {
    struct list node;
    struct mock *m;
    struct http_request *req;
    struct model *model;
    enum dialect dialect;
    enum call_state state;
    uint64_t number;
    struct ask ask;
    struct answer answer;
    struct trouble trouble;
    struct quota_state states[QUOTA_SLOTS]; /* at admission */
    int64_t judged_us;                      /* at the end of ARRIVING */
    int64_t first_us;
    int64_t per_token_us;
    int64_t produced;
    uv_timer_t timer;
};

static const struct shape *shape_of(enum api api)
{
    switch (api) {
    case API_CHAT: return &chat_shape;
    case API_RESPONSES: return &responses_shape;
    case API_EMBEDDINGS: return &embeddings_shape;
    case API_MESSAGES: break;
    }
    return &messages_shape;
}

static int64_t now_us(const struct call *c)
{
    return clock_now_us(&c->m->clock);
}

static void call_freed(uv_handle_t *timer)
{
    free(CONTAINER_OF(timer, struct call, timer));
}

/* Ends the call; its request has been answered or is gone. */
static void call_end(struct call *c)
{
    if (c->state != CALL_ARRIVING) {
        quota_done(&c->model->quota);
    }
    list_remove(&c->node);
    uv_close((uv_handle_t *)&c->timer, call_freed);
}

static void call_gone(void *ctx)
{
    struct call *c = ctx;
    c->model->stats.hung_up++;
    call_end(c);
}

static void call_arm(struct call *c, int64_t delay_us, uv_timer_cb wake)
{
    uint64_t ms = (uint64_t)((max_i64(0, delay_us) + US_PER_MS - 1) / US_PER_MS);
    uv_timer_start(&c->timer, wake, ms, 0);
}

/* --- Answering. --- */

static void put_headers(struct call *c, const struct fault *fault)
{
    char request_id[REQUEST_ID_LEN + 1];
    struct headers h;
    snprintf(request_id, sizeof(request_id), "req_%s", c->answer.id);
    headers_init(&h, c->req, &c->m->options.script, &c->trouble);
    headers_put_common(&h, c->dialect, request_id);
    headers_put_quota(&h, c->dialect, c->states, c->judged_us);
    headers_put_judged(&h, c->judged_us);
    if (fault) {
        headers_put_retry(&h, c->dialect, fault);
    }
    headers_end(&h);
}

static void answer_fault(struct call *c, const struct fault *fault)
{
    char request_id[REQUEST_ID_LEN + 1];
    struct buf body;
    snprintf(request_id, sizeof(request_id), "req_%s", c->answer.id);
    buf_init(&body, ANSWER_BYTES_MAX);
    fault_write(c->dialect, fault, request_id, &body);
    put_headers(c, fault);
    mock_reply(c->req, fault->status, &body);
    buf_release(&body);
    call_end(c);
}

/* Sends events of a stream. False where the call is over: the caller has stopped reading, or there
 * was no memory for all of them, and a stream with a hole in it must not look whole. */
static bool write_events(struct call *c, const struct buf *events)
{
    if (events->failed) {
        http_stream_abort(c->req);
        call_end(c);
        return false;
    }
    return http_stream_write(c->req, buf_text(events));
}

/* The caller sees the connection break: in the middle of a stream, or of a body. */
static void answer_cut(struct call *c)
{
    c->model->stats.failed++;
    if (!c->ask.stream) {
        struct buf body;
        buf_init(&body, ANSWER_BYTES_MAX);
        shape_of(c->ask.api)->whole(&c->answer, &body);
        put_headers(c, NULL);
        http_stream_begin(c->req, 200, "application/json");
        http_stream_write(c->req, (struct text){body.at, body.len / PARTS_PER_HALF});
        buf_release(&body);
    }
    http_stream_abort(c->req);
    call_end(c);
}

static void answer_fail(struct call *c)
{
    struct fault fault;
    c->model->stats.failed++;
    fault_make(c->dialect, c->dialect == DIALECT_ANTHROPIC ? 529 : 500, NULL, &fault);
    if (!c->ask.stream) {
        answer_fault(c, &fault);
        return;
    }
    struct buf events;
    buf_init(&events, ANSWER_BYTES_MAX);
    shape_of(c->ask.api)->fail(&c->answer, &fault, &events);
    if (write_events(c, &events)) {
        http_stream_end(c->req);
        call_end(c);
    }
    buf_release(&events);
}

static void answer_whole(struct call *c)
{
    struct buf body;
    buf_init(&body, ANSWER_BYTES_MAX);
    shape_of(c->ask.api)->whole(&c->answer, &body);
    put_headers(c, NULL);
    mock_reply(c->req, 200, &body);
    buf_release(&body);
    call_end(c);
}

static void answer_end(struct call *c)
{
    struct mock_stats *s = &c->model->stats;
    s->finished++;
    s->input_tokens += c->answer.input_tokens;
    s->output_tokens += c->answer.output_tokens;
    if (!c->ask.stream) {
        answer_whole(c);
        return;
    }
    struct buf events;
    buf_init(&events, ANSWER_BYTES_MAX);
    shape_of(c->ask.api)->end(&c->answer, &events);
    if (write_events(c, &events)) {
        http_stream_end(c->req);
        call_end(c);
    }
    buf_release(&events);
}

/* --- Producing. --- */

/* How many tokens there will be before something ends the production. */
static int64_t target_of(const struct call *c)
{
    int64_t target = c->answer.output_tokens;
    if (c->trouble.cut) {
        target = min_i64(target, c->trouble.cut->amount);
    }
    return c->trouble.fail ? min_i64(target, c->trouble.fail->amount) : target;
}

static void produced_all(struct call *c)
{
    if (c->trouble.cut && c->produced >= c->trouble.cut->amount) {
        answer_cut(c);
    } else if (c->trouble.fail && c->produced >= c->trouble.fail->amount) {
        answer_fail(c);
    } else {
        answer_end(c);
    }
}

/* Streams tokens produced..until-1; false where the caller has stopped reading. */
static bool stream_pieces(struct call *c, int64_t until)
{
    struct buf events;
    buf_init(&events, ANSWER_BYTES_MAX);
    for (int64_t from = c->produced; from < until; from += PIECE_TOKENS_MAX) {
        shape_of(c->ask.api)
            ->piece(&c->answer, from, min_i64(PIECE_TOKENS_MAX, until - from), &events);
    }
    bool open = write_events(c, &events);
    buf_release(&events);
    return open;
}

/* When to look again: at the next token of a stream; else rarely, to charge output as it comes. */
static int64_t next_in_us(const struct call *c, int64_t now)
{
    int64_t last_us = c->first_us + (target_of(c) - 1) * c->per_token_us;
    if (c->ask.stream) {
        return c->first_us + c->produced * c->per_token_us - now;
    }
    if (c->m->options.profile != QUOTA_ANTHROPIC) {
        return last_us - now;
    }
    return min_i64(last_us - now, c->m->options.minute_us / PRODUCE_STEPS_A_MINUTE);
}

static void on_produce(uv_timer_t *timer)
{
    struct call *c = CONTAINER_OF(timer, struct call, timer);
    int64_t now = now_us(c);
    int64_t target = target_of(c);
    int64_t until = target;
    if (c->per_token_us > 0) {
        until = min_i64(target, 1 + (now - c->first_us) / c->per_token_us);
    }
    quota_produce(&c->model->quota, now, until - c->produced);
    if (c->ask.stream && until > c->produced && !stream_pieces(c, until)) {
        return; /* call_gone follows, or the call is no more */
    }
    c->produced = until;
    if (until >= target) {
        produced_all(c);
        return;
    }
    call_arm(c, next_in_us(c, now), on_produce);
}

static void on_first_token(uv_timer_t *timer)
{
    struct call *c = CONTAINER_OF(timer, struct call, timer);
    c->state = CALL_PRODUCING;
    c->first_us = now_us(c);
    if (c->ask.stream) {
        struct buf events;
        buf_init(&events, ANSWER_BYTES_MAX);
        put_headers(c, NULL);
        http_stream_begin(c->req, 200, "text/event-stream; charset=utf-8");
        shape_of(c->ask.api)->begin(&c->answer, &events);
        bool open = write_events(c, &events);
        buf_release(&events);
        if (!open) {
            return;
        }
    }
    on_produce(timer);
}

/* --- Judging. --- */

/* Whether an answer says what was left: refusals and successes both do. */
static void note_states(struct call *c, int64_t now)
{
    for (int u = 0; u < QUOTA_SLOTS; u++) {
        quota_state(&c->model->quota, now, u, &c->states[u]);
    }
}

static void refuse_by_script(struct call *c, int64_t now)
{
    struct fault fault;
    mock_stats_refuse(&c->model->stats, now - c->m->started_us, NULL);
    quota_count_refused(&c->model->quota, now);
    note_states(c, now);
    fault_of_rule(c->dialect, c->trouble.status, &fault);
    fault.retry_after_us = mock_real_us(c->m, fault.retry_after_us);
    answer_fault(c, &fault);
}

static void fail_by_script(struct call *c)
{
    struct fault fault;
    c->model->stats.failed++;
    fault_of_rule(c->dialect, c->trouble.status, &fault);
    fault.retry_after_us = mock_real_us(c->m, fault.retry_after_us);
    answer_fault(c, &fault);
}

static void call_admitted(struct call *c, int64_t now)
{
    const struct mock_options *o = &c->m->options;
    c->state = CALL_WAITING;
    c->judged_us = now;
    mock_stats_admit(&c->model->stats, now - c->m->started_us,
                     add_sat(c->ask.estimate, c->ask.max_output));
    quota_correct_input(&c->model->quota, now, c->ask.estimate,
                        c->answer.input_tokens - c->answer.cached_tokens);
    note_states(c, now);
    if (c->trouble.status) {
        fail_by_script(c);
        return;
    }
    int64_t first_us = latency_draw_us(&o->latency, o->seed, c->number, CHANCE_FIRST_TOKEN);
    c->per_token_us = mock_real_us(c->m, o->latency.per_token_us);
    call_arm(c, mock_real_us(c->m, add_sat(first_us, c->trouble.slow_us)), on_first_token);
}

/* The script's clock is the provider's: real time stretched back. */
static int64_t script_us(const struct mock *m, int64_t now)
{
    return mul_div_sat(now - m->started_us, US_PER_MIN, m->options.minute_us);
}

static void on_arrival(uv_timer_t *timer)
{
    struct call *c = CONTAINER_OF(timer, struct call, timer);
    struct quota_verdict verdict;
    int64_t now = now_us(c);
    c->judged_us = now;
    c->model->stats.arrived++;
    struct quota_weather weather;
    trouble_weather(&c->m->options.script, text_of(c->model->name), script_us(c->m, now), &weather);
    quota_weather(&c->model->quota, now, &weather);
    if (c->trouble.status && c->trouble.status->amount == 429) {
        refuse_by_script(c, now);
        return;
    }
    struct quota_ask ask = {c->ask.estimate, c->ask.max_output};
    quota_judge(&c->model->quota, now, &ask, &verdict);
    if (verdict.admitted) {
        call_admitted(c, now);
        return;
    }
    struct fault fault;
    mock_stats_refuse(&c->model->stats, now - c->m->started_us, &verdict);
    note_states(c, now);
    fault_of_verdict(c->dialect, &verdict, c->model->name, &fault);
    answer_fault(c, &fault);
}

/* --- Beginning. --- */

/* How long the answer will be, and what its usage will say. */
static void draw_answer(struct call *c, uint64_t seed)
{
    struct answer *a = &c->answer;
    const struct ask *ask = &c->ask;
    int64_t most = ask->max_output ? ask->max_output : c->m->options.max_output;
    *a = (struct answer){.ask = ask, .model = c->model->name};
    a->created_s = now_us(c) / US_PER_S;
    a->input_tokens = ask->wanted_input >= 0 ? ask->wanted_input : ask->estimate;
    a->cached_tokens = min_i64(max_i64(0, ask->wanted_cached), a->input_tokens);
    if (ask->api != API_EMBEDDINGS) {
        a->output_tokens = ask->wanted_output >= 0
                               ? ask->wanted_output
                               : chance_between(seed, c->number, CHANCE_OUTPUT_TOKENS, 1, most);
        a->output_tokens = ask->max_output ? min_i64(a->output_tokens, most) : a->output_tokens;
    }
    uint64_t bits = chance_bits(seed, c->number, CHANCE_REQUEST_ID);
    snprintf(a->id, sizeof(a->id), "%016llx%08llx", (unsigned long long)bits,
             (unsigned long long)(c->number & UINT32_MAX));
}

void call_begin(struct mock *m, struct http_request *req, enum dialect dialect, struct model *model,
                const struct ask *ask)
{
    const struct mock_options *o = &m->options;
    struct call *c = calloc(1, sizeof(*c));
    if (!c) {
        mock_refuse(req, dialect, 500, NULL);
        return;
    }
    c->m = m;
    c->req = req;
    c->model = model;
    c->dialect = dialect;
    c->number = ++m->calls_n;
    c->ask = *ask;
    draw_answer(c, o->seed);
    trouble_choose(&o->script, c->number, text_of(model->name), script_us(m, now_us(c)), o->seed,
                   &c->trouble);
    list_append(&m->calls, &c->node);
    uv_timer_init(m->loop, &c->timer);
    http_request_park(req, call_gone, c);
    int64_t delay_us =
        latency_draw_us(&o->admission_delay, o->seed, c->number, CHANCE_ADMISSION_DELAY);
    delay_us = o->scale_admission_delay ? mock_real_us(m, delay_us) : delay_us;
    if (delay_us == 0) {
        on_arrival(&c->timer);
    } else {
        call_arm(c, delay_us, on_arrival);
    }
}

void calls_abandon(struct mock *m)
{
    while (!list_empty(&m->calls)) {
        call_end(CONTAINER_OF(list_first(&m->calls), struct call, node));
    }
}
