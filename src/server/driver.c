#include "server/driver.h"

#include <assert.h>
#include <stdio.h>

#include "base/map.h"
#include "base/num.h"
#include "core/view.h"
#include "http/member.h"
#include "server/answer.h"
#include "server/log.h"
#include "server/restore.h"
#include "server/tell.h"

#define BUNDLE_BYTES_MAX (4u << 20)
#define WHY_BYTES_MAX    4096

/* --- The whole of it. --- */

static void hear_journal(struct driver *d);
static void let_time_pass(struct driver *d);
static void close_turn(struct driver *d);
static void deliver_closed(struct driver *d);

bool driver_turn(struct driver *d)
{
    hear_journal(d);
    let_time_pass(d);
    close_turn(d);
    deliver_closed(d);
    bool more =
        !turn_empty(d->turn) || d->appended || core_next_deadline(d->o.core) <= driver_now(d);
    d->now_us = 0;
    return more;
}

/* --- Life cycle. --- */

static void caller_gone(void *ctx, struct caller *caller)
{
    if (caller->state == CALLER_WAITING) {
        struct event event = {.kind = EVENT_HANGUP, .caller = caller_id_of(caller)};
        driver_step(ctx, &event);
    }
    /* An answer that was on its way finds nobody, and deliver_closed sees to its lease. */
}

int driver_init(struct driver *d, const struct driver_options *options)
{
    *d = (struct driver){.o = *options};
    list_init(&d->closed);
    list_init(&d->spare);
    effects_init(&d->effects);
    callers_init(&d->callers, caller_gone, d);
    tickets_init(&d->tickets);
    alerts_init(&d->alerts);
    buf_init(&d->bundle, BUNDLE_BYTES_MAX);
    buf_init(&d->why, WHY_BYTES_MAX);
    d->turn = turn_new();
    return d->turn ? 0 : ERR_NO_MEMORY;
}

static struct turn *turn_of(struct list *node)
{
    return CONTAINER_OF(node, struct turn, node);
}

static void free_turns(struct list *turns)
{
    struct list *node;
    while ((node = list_first(turns)) != NULL) {
        list_remove(node);
        turn_free(turn_of(node));
    }
}

void driver_release(struct driver *d)
{
    free_turns(&d->closed);
    free_turns(&d->spare);
    turn_free(d->turn);
    effects_release(&d->effects);
    tickets_release(&d->tickets);
    alerts_release(&d->alerts);
    watch_release(&d->watch);
    callers_release(&d->callers);
    buf_release(&d->bundle);
    buf_release(&d->why);
}

int64_t driver_now(struct driver *d)
{
    if (d->now_us == 0) {
        d->now_us = clock_now_us(d->o.clock);
    }
    return d->now_us;
}

/* --- Answers are written down. --- */

static void write_tag(const struct caller *caller, struct text id, struct json_writer *w)
{
    if (!caller || !caller->stream) {
        return;
    }
    member_i64(w, "index", caller->index);
    if (id.len > 0) {
        member_text(w, "id", id);
    }
    if (caller->lease) {
        answer_write_lease("lease", caller->lease, w);
    }
}

/* Begins a reply in the turn: the brace and the tag. NULL: out of memory. */
static struct reply *reply_begin(struct driver *d, caller_id id, const struct caller *caller,
                                 struct text request_id, struct json_writer *w)
{
    struct reply *reply = turn_add_reply(d->turn);
    if (!reply) {
        return NULL;
    }
    json_writer_init(w, &d->turn->text);
    reply->caller = id;
    reply->body.at = (uint32_t)d->turn->text.len;
    json_object_begin(w);
    write_tag(caller, request_id, w);
    reply->tag_len = (uint32_t)d->turn->text.len - reply->body.at;
    return reply;
}

static void write_status(const struct caller *caller, int status, struct json_writer *w)
{
    if (caller && caller->stream) {
        member_i64(w, "status", status);
    }
}

static void reply_end(struct driver *d, struct reply *reply, struct json_writer *w)
{
    json_object_end(w);
    buf_add_char(&d->turn->text, '\n');
    reply->body.len = (uint32_t)d->turn->text.len - reply->body.at;
}

/* Without memory to write an answer down there is one that needs none. A lease that was granted
 * with it expires. A line of a stream says at least which it is. */
static void out_of_memory(struct driver *d, struct caller *caller)
{
    char words[256];
    char tag[64] = "";
    int status = error_status(ERR_NO_MEMORY);
    log_error("out of memory for an answer");
    if (!caller) {
        return;
    }
    if (caller->stream) {
        snprintf(tag, sizeof(tag), "\"index\":%u,\"status\":%d,", (unsigned)caller->index, status);
    }
    snprintf(words, sizeof(words),
             "{%s\"error\":{\"type\":\"%s\",\"code\":\"%s\",\"message\":\"%s\"}}\n", tag,
             error_name(ERR_NO_MEMORY), error_name(ERR_NO_MEMORY), error_sentence(ERR_NO_MEMORY));
    d->o.deliver(d->o.ctx, caller, status, 1, text_of(words));
}

static struct text effect_id(const struct effect *e)
{
    switch ((int)e->kind) {
    case EFFECT_GRANT: return e->grant.id;
    case EFFECT_WAIT: return e->wait.id;
    case EFFECT_REFUSE: return e->refuse.id;
    default: return TEXT_NONE;
    }
}

/* An element of a bundle: the answer about one lease of several. */
static void add_to_bundle(struct driver *d, const struct effect *e, const struct caller *caller)
{
    struct json_writer w;
    if (d->bundle.len > 0) {
        buf_add_char(&d->bundle, ',');
    }
    json_writer_init(&w, &d->bundle);
    json_object_begin(&w);
    if (e->kind == EFFECT_REFUSE) {
        answer_write_lease("lease", caller->lease, &w);
    }
    answer_write(e, d->policy, &w);
    json_object_end(&w);
}

static void answer(struct driver *d, struct effect *e)
{
    struct caller *caller = callers_find(&d->callers, e->caller);
    if (e->caller == 0 || (!caller && e->kind != EFFECT_GRANT)) {
        return;
    }
    if (caller && d->bundled == e->caller) {
        add_to_bundle(d, e, caller);
        return;
    }
    if (caller && caller->line_capped && e->kind == EFFECT_REFUSE &&
        e->refuse.code == ERR_WOULD_WAIT) {
        e->refuse.code = ERR_LINE_FULL;
    }
    struct json_writer w;
    struct reply *reply = reply_begin(d, e->caller, caller, effect_id(e), &w);
    if (!reply) {
        out_of_memory(d, caller);
        return;
    }
    reply->status = answer_status(e);
    reply->retry_after_s = answer_retry_after_s(answer_retry_after_ms(e));
    if (e->kind == EFFECT_GRANT && !e->grant.repeated && e->grant.id.len == 0) {
        reply->lease = e->grant.lease;
    }
    write_status(caller, reply->status, &w);
    answer_write(e, d->policy, &w);
    reply_end(d, reply, &w);
    if (caller) {
        caller_set(caller, CALLER_ANSWERED);
    }
}

/* --- Alerts that no effect gives. --- */

void driver_look_around(struct driver *d)
{
    struct alert due[WATCH_ALERTS_MAX];
    bool any = false;
    for (size_t i = 0; i < core_resources(d->o.core); i++) {
        size_t n = watch_look(&d->watch, d->o.core, i, due);
        for (size_t j = 0; j < n; j++) {
            tell_alert(d, &due[j]);
        }
        any |= n > 0;
    }
    for (size_t i = 0; i < core_routes(d->o.core); i++) {
        if (watch_route(&d->watch, d->o.core, i, d->alerts.fallback_ppm, &due[0])) {
            tell_alert(d, &due[0]);
            any = true;
        }
    }
    if (any) {
        d->o.wake(d->o.ctx);
    }
}

/* --- Events are judged. --- */

static void keep_record(struct driver *d, const struct record *record)
{
    int err = journal_append(d->o.journal, record);
    if (err) {
        if (!d->turn->failed) {
            log_error("a record could not be kept: %s", error_sentence((enum error_code)err));
        }
        d->turn->failed = true;
    }
    d->appended = true;
}

/* Notes whose tickets are out. */
static void note_ticket(struct driver *d, const struct effect *e)
{
    bool again = e->kind == EFFECT_SETTLED && e->settled.advice.ticket;
    const struct caller *caller =
        again || e->kind == EFFECT_WAIT ? callers_find(&d->callers, e->caller) : NULL;
    if (caller && again) {
        int64_t at_us = add_sat(d->now_us, e->settled.advice.after_us);
        tickets_give(&d->tickets, e->settled.advice.ticket, caller->client, at_us);
    } else if (caller) {
        tickets_give(&d->tickets, e->wait.ticket, caller->client, d->now_us);
    } else if (e->kind == EFFECT_CANCELLED && e->cancelled.ticket) {
        tickets_take(&d->tickets, e->cancelled.ticket);
    }
}

static void take_effects(struct driver *d)
{
    for (size_t i = 0; i < d->effects.len; i++) {
        struct effect *e = &d->effects.at[i];
        if (e->kind == EFFECT_PERSIST) {
            keep_record(d, &e->record);
            continue;
        }
        tell_effect(d, e);
        note_ticket(d, e);
        answer(d, e);
    }
    if (d->effects.len > 0) {
        d->o.wake(d->o.ctx);
    }
}

/* What becomes of the asker when the step is over. */
static void settle_caller(struct driver *d, caller_id id)
{
    struct caller *caller = callers_find(&d->callers, id);
    if (!caller || caller->state != CALLER_ASKED || d->bundled == id) {
        return;
    }
    if (caller->kind == CALLER_ACQUIRE) {
        caller_set(caller, CALLER_WAITING);
    } else {
        driver_refuse(d, caller, TEXT_NONE, ERR_INTERNAL, NULL);
    }
}

static void refuse_unjudged(struct driver *d, caller_id id, int err)
{
    struct caller *caller = callers_find(&d->callers, id);
    log_error("an event could not be judged: %s", error_sentence((enum error_code)err));
    if (caller && caller->state == CALLER_ASKED) {
        driver_refuse(d, caller, TEXT_NONE, (enum error_code)err, NULL);
    }
}

/* Whether whoever came back with a ticket was told that there is no such. */
static bool ticket_unknown(const struct driver *d, caller_id caller)
{
    for (size_t i = 0; i < d->effects.len; i++) {
        const struct effect *e = &d->effects.at[i];
        if (e->kind == EFFECT_REFUSE && e->caller == caller &&
            e->refuse.code == ERR_UNKNOWN_TICKET) {
            return true;
        }
    }
    return false;
}

void driver_step(struct driver *d, struct event *event)
{
    event->now_us = driver_now(d);
    int err = core_step(d->o.core, event, &d->effects);
    if (err) {
        refuse_unjudged(d, event->caller, err);
    }
    if (event->kind == EVENT_RESUME && !ticket_unknown(d, event->caller)) {
        tickets_take(&d->tickets, event->resume.ticket);
    }
    take_effects(d);
    settle_caller(d, event->caller);
}

void driver_acquire(struct driver *d, struct event *event)
{
    /* A budget that cannot be read must not be taken for one of which nothing is used. */
    size_t found;
    int err = restore_missing(d->o.journal, d->o.core, &event->acquire, &found);
    if (err) {
        refuse_unjudged(d, event->caller, err);
        return;
    }
    driver_step(d, event);
}

void driver_settle(struct driver *d, struct event *event)
{
    const struct answer *answer = event->release.answer;
    struct lease_view view;
    bool failed = answer && answer->class != ANSWER_OK &&
                  core_lease_view(d->o.core, event->release.lease, &view);
    if (failed && view.route.len) {
        struct acquire asked = {.route = view.route,
                                .tenant = view.tenant,
                                .session = view.session,
                                .labels = view.labels};
        size_t found;
        /* What cannot be read now counts as spent. */
        (void)restore_missing(d->o.journal, d->o.core, &asked, &found);
    }
    driver_step(d, event);
}

size_t driver_places(struct driver *d, const struct client *client, uint64_t ticket)
{
    tickets_expire(&d->tickets, driver_now(d));
    bool own = ticket && tickets_holder(&d->tickets, ticket) == client;
    return client->waiting + client->away - own;
}

void driver_refuse(struct driver *d, struct caller *caller, struct text id, enum error_code code,
                   const char *message)
{
    struct json_writer w;
    struct reply *reply = reply_begin(d, caller_id_of(caller), caller, id, &w);
    if (!reply) {
        out_of_memory(d, caller);
        return;
    }
    int64_t retry_after_ms = error_retry_after_ms(code);
    reply->status = error_status(code);
    reply->retry_after_s = answer_retry_after_s(retry_after_ms);
    write_status(caller, reply->status, &w);
    answer_write_error(code, message, retry_after_ms, &w);
    reply_end(d, reply, &w);
    caller_set(caller, CALLER_ANSWERED);
    d->o.wake(d->o.ctx);
}

/* --- Bundles. --- */

void driver_bundle_begin(struct driver *d, struct caller *caller)
{
    assert(!d->bundled);
    buf_clear(&d->bundle);
    d->bundled = caller_id_of(caller);
}

void driver_bundle_end(struct driver *d, struct caller *caller, const char *before,
                       const char *after)
{
    d->bundled = 0;
    if (caller->state != CALLER_ASKED) {
        return; /* one of the events could not be judged, and that is the answer */
    }
    struct reply *reply = turn_add_reply(d->turn);
    if (!reply || d->bundle.failed) {
        out_of_memory(d, caller);
        return;
    }
    struct buf *text = &d->turn->text;
    reply->caller = caller_id_of(caller);
    reply->status = 200;
    reply->body.at = (uint32_t)text->len;
    reply->tag_len = 1;
    buf_add_str(text, before);
    buf_add_text(text, buf_text(&d->bundle));
    buf_add_str(text, after);
    reply->body.len = (uint32_t)text->len - reply->body.at;
    caller_set(caller, CALLER_ANSWERED);
    d->o.wake(d->o.ctx);
}

/* --- The end of a turn. --- */

static void let_time_pass(struct driver *d)
{
    for (int i = 0; i < DRIVER_TICKS_MAX && core_next_deadline(d->o.core) <= driver_now(d); i++) {
        struct event tick = {.kind = EVENT_TICK};
        driver_step(d, &tick);
    }
}

static struct turn *next_turn(struct driver *d)
{
    struct list *node = list_first(&d->spare);
    if (!node) {
        return turn_new();
    }
    list_remove(node);
    return turn_of(node);
}

/* Hands the turn's records over, and sets its answers aside until they are durable. */
static void close_turn(struct driver *d)
{
    if (turn_empty(d->turn) && !d->appended) {
        return;
    }
    uint64_t batch = journal_commit(d->o.journal);
    d->appended = false;
    if (turn_empty(d->turn)) {
        return;
    }
    struct turn *next = next_turn(d);
    if (!next) {
        return; /* goes on gathering in this one */
    }
    d->turn->batch = batch;
    d->turn->failed |= d->turn->text.failed;
    list_append(&d->closed, &d->turn->node);
    d->turn = next;
}

/* A lease that nobody will ever use. */
static void take_back(struct driver *d, uint64_t lease)
{
    struct event cancel = {.kind = EVENT_CANCEL, .any_tenant = true};
    cancel.cancel.lease = lease;
    d->taken_back++;
    driver_step(d, &cancel);
}

/* The answer to everyone whose answer could not be made durable. */
static void deliver_failure(struct driver *d, struct turn *turn, const struct reply *reply,
                            struct caller *caller)
{
    struct json_writer w;
    struct buf body;
    int64_t retry_after_ms = error_retry_after_ms(ERR_STORE_FAILED);
    char message[WHY_BYTES_MAX];
    snprintf(message, sizeof(message), "%s%s%.*s", error_sentence(ERR_STORE_FAILED),
             d->why.len ? ": " : "", (int)d->why.len, d->why.len ? d->why.at : "");
    buf_init(&body, BUNDLE_BYTES_MAX);
    json_writer_init(&w, &body);
    if (turn->text.failed) {
        json_object_begin(&w); /* the tag in it may be cut */
        write_tag(caller, TEXT_NONE, &w);
    } else {
        buf_add_text(&body, (struct text){turn_text(turn, reply->body).at, reply->tag_len});
        w.comma = reply->tag_len > 1;
    }
    write_status(caller, error_status(ERR_STORE_FAILED), &w);
    answer_write_error(ERR_STORE_FAILED, message, retry_after_ms, &w);
    json_object_end(&w);
    buf_add_char(&body, '\n');
    if (body.failed) {
        out_of_memory(d, caller);
    } else {
        d->o.deliver(d->o.ctx, caller, error_status(ERR_STORE_FAILED),
                     answer_retry_after_s(retry_after_ms), buf_text(&body));
    }
    buf_release(&body);
}

static void deliver_turn(struct driver *d, struct turn *turn, bool durable)
{
    for (size_t i = 0; i < turn->replies_n; i++) {
        const struct reply *reply = &turn->replies[i];
        struct caller *caller = callers_find(&d->callers, reply->caller);
        if (reply->lease && (!caller || !durable)) {
            take_back(d, reply->lease);
        }
        if (!caller) {
            continue;
        }
        if (durable) {
            d->o.deliver(d->o.ctx, caller, reply->status, reply->retry_after_s,
                         turn_text(turn, reply->body));
        } else {
            deliver_failure(d, turn, reply, caller);
        }
    }
    for (size_t i = 0; i < turn->notices_n && durable; i++) {
        struct pending_notice *pending = &turn->notices[i];
        pending->notice.resource = turn_text(turn, pending->resource);
        pending->notice.tenant = turn_text(turn, pending->tenant);
        events_tell(d->o.events, &pending->notice, turn_text(turn, pending->data));
    }
}

static void recycle_turn(struct driver *d, struct turn *turn)
{
    if (!list_empty(&d->spare)) {
        turn_free(turn);
        return;
    }
    turn_clear(turn);
    list_append(&d->spare, &turn->node);
}

static void deliver_closed(struct driver *d)
{
    struct list *node = list_first(&d->closed);
    if (!node) {
        return;
    }
    uint64_t durable = journal_durable(d->o.journal);
    while (node && (turn_of(node)->batch <= durable || d->trouble)) {
        struct turn *turn = turn_of(node);
        list_remove(node);
        deliver_turn(d, turn, turn->batch <= durable && !turn->failed);
        recycle_turn(d, turn);
        node = list_first(&d->closed);
    }
}

/* --- The store. --- */

static void tell_store(struct driver *d, const char *state)
{
    struct notice notice = {.kind = NOTICE_STORE};
    struct json_writer w;
    struct buf data;
    buf_init(&data, 2 * WHY_BYTES_MAX);
    json_writer_init(&w, &data);
    json_object_begin(&w);
    member_i64(&w, "at_ms", driver_now(d) / US_PER_MS);
    member_str(&w, "store", state);
    if (d->why.len > 0) {
        member_text(&w, "reason", buf_text(&d->why));
    }
    json_object_end(&w);
    events_tell(d->o.events, &notice, buf_text(&data));
    buf_release(&data);
}

void driver_progress(struct driver *d)
{
    d->progress = true;
}

static void hear_journal(struct driver *d)
{
    if (!d->progress) {
        return;
    }
    d->progress = false;
    buf_clear(&d->why);
    bool trouble = journal_trouble(d->o.journal, &d->why) != 0;
    if (trouble == d->trouble) {
        return;
    }
    d->trouble = trouble;
    if (trouble) {
        log_error("the store cannot be written: %.*s; nothing is granted until it can",
                  (int)d->why.len, d->why.at);
    } else {
        log_info("the store can be written again");
    }
    tell_store(d, trouble ? "failing" : "well");
}

/* --- Configuration, the clock, the end, the state. --- */

void driver_clock_changed(struct driver *d)
{
    d->now_us = 0;
    d->skew_us = clock_skew_us(d->o.clock);
    struct event event = {.kind = EVENT_CLOCK};
    event.skew_us = d->skew_us;
    driver_step(d, &event);
}

void driver_check_clock(struct driver *d)
{
    int64_t moved_us = sub_sat(clock_skew_us(d->o.clock), d->skew_us);
    if (moved_us > CLOCK_SKEW_US || moved_us < -CLOCK_SKEW_US) {
        log_warn("the wall clock moved by %lld ms; calendar windows follow it",
                 (long long)(moved_us / US_PER_MS));
        driver_clock_changed(d);
    }
}

int driver_configure(struct driver *d, const struct policy *policy)
{
    struct event event = {.kind = EVENT_CONFIGURE, .now_us = driver_now(d), .policy = policy};
    int err = core_step(d->o.core, &event, &d->effects);
    if (!err) {
        d->policy = policy;
        alerts_configure(&d->alerts, policy);
        watch_configure(&d->watch, policy);
    }
    take_effects(d); /* also of the time that passed before a policy that could not be taken */
    return err;
}

void driver_drain(struct driver *d)
{
    struct event event = {.kind = EVENT_DRAIN};
    d->draining = true;
    driver_step(d, &event);
}

bool driver_idle(const struct driver *d)
{
    return turn_empty(d->turn) && list_empty(&d->closed) && d->callers.live == 0;
}

enum error_code driver_ready(const struct driver *d, const char **words)
{
    *words = d->trouble && d->why.len ? d->why.at : NULL;
    if (d->draining) {
        return ERR_SHUTTING_DOWN;
    }
    return d->trouble ? ERR_STORE_FAILED : ERR_NONE;
}
