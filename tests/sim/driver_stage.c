/*
 * The core with the API, the driver and the journal, put together as src/server/server.c does, on a
 * disk in memory (tests/journal/disk.h), with a clock that is set, a worker that runs when it is
 * let to (worker.h), and peers that are only pretended (peers.h).
 *
 * The oracle judges each step of the core as it does on the other stage: core_step is wrapped at
 * link time, so that it sees the events which the driver makes of requests, of time and of
 * troubles, and what comes of them. Beside it three things are judged here: each answer says what
 * was decided (answer_read.c); what a restart finds is the end of some batch, and not before any
 * record of which somebody was told (ledger.h, P8); and when all is durable nobody is kept waiting
 * for an answer.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "asking.h"
#include "base/map.h"
#include "base/num.h"
#include "core/view.h"
#include "journal/disk.h"
#include "journal/faults.h"
#include "journal/journal.h"
#include "ledger.h"
#include "peers.h"
#include "server/api.h"
#include "server/driver.h"
#include "server/log.h"
#include "server/restore.h"
#include "stage.h"
#include "worker.h"

#define TURNS_MAX    3000
#define BODY_MAX     (1u << 16)
#define WHY_MAX      4096
#define PATH_LEN_MAX 512
#define CHECK_EVERY  8

/* Elements that will be asked in one request. */
struct gathering {
    enum event_kind kind;
    struct http_request *peer;
    struct buf body;
    struct text tenant; /* to which their key is bound, if it is */
    bool bound;
    int64_t lease_us; /* of a bundle */
};

struct daemon {
    struct stage stage;
    struct peers peers;
    struct ledger ledger;
    struct gathering gathering;
    struct core *core;
    struct journal *journal;
    struct clock clock;
    struct events events;
    struct driver driver;
    struct api api;
    struct restored restored;
    struct config **configs;
    size_t configs_n;
    struct config *config; /* in force */
    uint64_t seed;
    uint64_t starts;
    bool running;
    bool muted;     /* what the core does is nobody's business any more */
    bool restoring; /* records are given back */
    bool called;    /* by the journal */
    bool faulty;    /* the disk may fail */
    bool late_ticks;
    int64_t machine_us;
    int64_t behind_us; /* the world's time is so much behind, which was spent restarting */
    int64_t skew_us;
    uint64_t rested;
};

static struct daemon *current;

/* The store's name and its lock are the only files of the system's, and the same in all runs: what
 * is answered in trouble names them. */
static char path[PATH_LEN_MAX];

/* --- The log is not kept. --- */

void log_level_set(enum log_level level)
{
    (void)level;
}

bool log_level_read(const char *name, enum log_level *level)
{
    (void)name;
    (void)level;
    return false;
}

void log_error(const char *format, ...)
{
    (void)format;
}

void log_warn(const char *format, ...)
{
    (void)format;
}

void log_info(const char *format, ...)
{
    (void)format;
}

void log_error_lines(const char *words)
{
    (void)words;
}

/* --- What the core is seen to do --- */

int __real_core_step(struct core *core, const struct event *event, struct effects *effects);
int __wrap_core_step(struct core *core, const struct event *event, struct effects *effects);
int __real_core_restore(struct core *core, const struct record *record, bool *skipped);
int __wrap_core_restore(struct core *core, const struct record *record, bool *skipped);
uint64_t __real_journal_commit(struct journal *journal);
uint64_t __wrap_journal_commit(struct journal *journal);

/* The caller that an event came from, if its peer is still there. */
static struct http_request *asked_by(struct daemon *d, caller_id id, size_t *index)
{
    struct caller *caller = callers_find(&d->driver.callers, id);
    *index = caller && caller->stream ? caller->index : 0;
    return !caller ? NULL : caller->stream ? caller->stream->req : caller->req;
}

/* What the provider answered is understood as it was meant. */
static void judge_reading(struct daemon *d, const struct event *e)
{
    size_t i;
    const struct answer *a = e->kind == EVENT_RELEASE ? e->release.answer : NULL;
    const struct http_request *peer = a ? asked_by(d, e->caller, &i) : NULL;
    if (peer && peer->said[i] != (int)a->class) {
        stage_object(&d->stage, e->now_us, "the provider's %s is read as %s",
                     peer->said[i] < 0 ? "silence"
                                       : answer_class_name((enum answer_class)peer->said[i]),
                     answer_class_name(a->class));
    }
}

static void promise(struct daemon *d, const struct effect *e)
{
    size_t index;
    const struct caller *caller = callers_find(&d->driver.callers, e->caller);
    if (!caller || e->kind == EFFECT_PERSIST || e->kind == EFFECT_EXPIRED ||
        e->kind == EFFECT_ALERT) {
        return;
    }
    struct http_request *peer = asked_by(d, e->caller, &index);
    if (!peer) {
        return; /* it is hanging up, with the others of its array */
    }
    peer_promise(peer, index, e, caller->line_capped, d->ledger.log.len);
}

static void watch(struct daemon *d, const struct event *event, const struct effects *effects)
{
    d->stage.steps++;
    if (d->stage.names) {
        stage_print(&d->stage, event, effects);
    }
    if (d->stage.steps % CHECK_EVERY == 0) {
        core_check(d->core);
    }
    for (size_t i = 0; i < effects->len; i++) {
        if (effects->at[i].kind == EFFECT_PERSIST) {
            ledger_add(&d->ledger, &effects->at[i].record, event->now_us);
        }
    }
    judge_reading(d, event);
    oracle_step(d->stage.oracle, d->core, event, effects);
    for (size_t i = 0; i < effects->len; i++) {
        promise(d, &effects->at[i]);
    }
}

int __wrap_core_step(struct core *core, const struct event *event, struct effects *effects)
{
    int err = __real_core_step(core, event, effects);
    if (current && core == current->core && !current->muted) {
        if (err) {
            stage_object(&current->stage, event->now_us, "a step fails without a reason");
        }
        watch(current, event, effects);
    }
    return err;
}

int __wrap_core_restore(struct core *core, const struct record *record, bool *skipped)
{
    if (current && current->restoring) {
        ledger_given(&current->ledger, record);
    }
    return __real_core_restore(core, record, skipped);
}

uint64_t __wrap_journal_commit(struct journal *journal)
{
    if (current && !current->muted) {
        ledger_batch(&current->ledger);
    }
    return __real_journal_commit(journal);
}

/* --- Time and turns --- */

static void set_time(struct daemon *d, int64_t machine_us)
{
    d->machine_us = machine_us;
    time_set(machine_us, d->skew_us);
    d->peers.now_us = clock_now_us(&d->clock);
    d->stage.world->seen_us = machine_us - d->behind_us;
}

static int64_t now_of(const struct daemon *d)
{
    return clock_now_us(&d->clock);
}

static void wake(void *ctx)
{
    (void)ctx;
}

/* From the worker's thread, while the other one stands still. */
static void call_from_journal(void *ctx)
{
    struct daemon *d = ctx;
    d->called = true;
}

/* Turns of the loop until there is nothing more to do at once. */
static void end_turn(struct daemon *d)
{
    for (size_t turns = 0; driver_turn(&d->driver) && !d->stage.problem.len; turns++) {
        if (turns == TURNS_MAX) {
            stage_object(&d->stage, now_of(d), "the driver turns and never has enough");
            return;
        }
    }
}

/* All that is due has been done: asks the oracle, once after each step. */
static void rest(struct daemon *d)
{
    if (d->rested < d->stage.steps && !d->stage.problem.len) {
        d->rested = d->stage.steps;
        oracle_rest(d->stage.oracle, d->core);
    }
}

static void jump(struct daemon *d, int64_t machine_us)
{
    if (machine_us <= d->machine_us) {
        return;
    }
    if (!d->late_ticks) {
        rest(d);
        oracle_before(d->stage.oracle, now_of(d) + machine_us - d->machine_us);
    }
    set_time(d, machine_us);
}

/* The loop's timer fires at each deadline up to then: it is set when the turn has ended, for that
 * may have given back what nobody is left to be told of. */
static void pass_time(struct daemon *d, int64_t until_us)
{
    if (until_us > d->machine_us) {
        end_turn(d);
    }
    while (!d->stage.problem.len) {
        int64_t due_us = core_next_deadline(d->core);
        int64_t now_us = now_of(d);
        if (due_us > now_us + (until_us - d->machine_us)) {
            break;
        }
        jump(d, d->late_ticks ? until_us : d->machine_us + max_i64(0, due_us - now_us));
        end_turn(d);
    }
    jump(d, until_us);
}

/* --- Life and death --- */

static void make_api(struct daemon *d)
{
    d->api = (struct api){.driver = &d->driver,
                          .core = d->core,
                          .journal = d->journal,
                          .events = &d->events,
                          .rules = {d->config, true},
                          .restored = &d->restored};
}

static void open_parts(struct daemon *d)
{
    struct buf why;
    buf_init(&why, WHY_MAX);
    struct journal_options store = {path, (enum durability)d->stage.world->durability};
    struct core_options core = {.seed = {d->seed, ++d->starts},
                                .spill = store.durability != DURABILITY_NONE};
    if (journal_open(&store, &d->journal, &why) != 0) {
        stage_object(&d->stage, d->machine_us, "P8: the store cannot be opened: %s", why.at);
    }
    struct driver_options options = {.journal = d->journal,
                                     .clock = &d->clock,
                                     .events = &d->events,
                                     .deliver = api_deliver,
                                     .wake = wake};
    bool failed = core_new(&core, &d->core) != 0;
    options.core = d->core;
    failed = failed || driver_init(&d->driver, &options) != 0;
    assert(!failed);
    buf_release(&why);
}

static void read_back(struct daemon *d)
{
    struct buf why;
    buf_init(&why, WHY_MAX);
    d->restoring = true;
    ledger_read(&d->ledger);
    if (restore_run(d->journal, d->core, &d->restored, &why) != 0) {
        stage_object(&d->stage, d->machine_us, "P8: the store cannot be read back: %s", why.at);
    }
    d->restoring = false;
    buf_release(&why);
}

/* What a restart found, against what was there and what was told. */
static void judge_restored(struct daemon *d)
{
    const char *why;
    if (!ledger_restored(&d->ledger, &why)) {
        stage_object(&d->stage, d->machine_us, "P8: %s", why);
    }
    if (d->ledger.log.len < d->peers.promised) {
        stage_object(&d->stage, d->machine_us,
                     "P8: somebody was told of what is not there: %zu of "
                     "%zu records",
                     d->ledger.log.len, d->peers.promised);
    }
}

static void tell_oracle(struct daemon *d)
{
    struct effects none = {0};
    struct event e = {.kind = EVENT_CONFIGURE, .now_us = now_of(d), .policy = &d->config->policy};
    if (d->starts > 1) {
        oracle_crash(d->stage.oracle, d->ledger.log.len);
    }
    for (size_t i = 0; (i = ledger_next_lost(&d->ledger, i)) > 0;) {
        oracle_lost(d->stage.oracle, &d->ledger.log.at[i - 1]);
    }
    if (d->stage.names) {
        printf("%s", d->starts > 1 ? "restart\n" : "");
        stage_print(&d->stage, &e, &none);
    }
    oracle_step(d->stage.oracle, d->core, &e, &none);
    if (d->starts > 1) {
        oracle_restored(d->stage.oracle);
    }
}

static void start(struct daemon *d)
{
    open_parts(d);
    if (d->stage.problem.len) {
        return;
    }
    clock_init(&d->clock, 0);
    d->muted = true;
    int err = driver_configure(&d->driver, &d->config->policy);
    assert(err == 0);
    read_back(d);
    judge_restored(d);
    tell_oracle(d);
    d->muted = false;
    clock_init(&d->clock, d->restored.newest_us);
    d->peers.now_us = now_of(d);
    driver_clock_changed(&d->driver);
    err = journal_start(d->journal, call_from_journal, d);
    assert(err == 0);
    make_api(d);
    d->running = true;
    end_turn(d);
    core_check(d->core);
}

/* Gives back all memory of a process that is no more. */
static int drop_parts(struct daemon *d)
{
    d->muted = true;
    if (d->gathering.peer) {
        buf_clear(&d->gathering.body);
        d->gathering.peer = NULL;
    }
    peers_hang_up(&d->peers);
    driver_release(&d->driver);
    core_free(d->core);
    int err = journal_close(d->journal);
    d->core = NULL;
    d->journal = NULL;
    d->running = false;
    d->called = false;
    return err;
}

static void heal(struct daemon *d)
{
    faults_set(0, false);
    d->faulty = false;
}

static struct config *config_of(struct daemon *d, const struct policy *policy)
{
    struct config *c = calloc(1, sizeof(*c));
    d->configs = realloc(d->configs, (d->configs_n + 1) * sizeof(*d->configs));
    if (!c || !d->configs) {
        abort();
    }
    c->policy = *policy;
    c->tickets_per_client_max = d->stage.world->client_max;
    d->configs[d->configs_n++] = c;
    return c;
}

static void restart(struct daemon *d, int64_t down_us, const struct policy *policy)
{
    bool kept = d->stage.world->durability != DURABILITY_NONE;
    world_forget(d->stage.world, !kept);
    d->peers.promised = kept ? d->peers.promised : 0;
    d->behind_us += down_us;
    d->config = policy ? config_of(d, policy) : d->config;
    set_time(d, d->machine_us + down_us);
    start(d);
}

static void crash(struct daemon *d, const struct happening *h)
{
    heal(d);
    disk_die((enum disk_loss)h->course.loss, h->course.chance);
    drop_parts(d);
    restart(d, h->course.down_us, h->event.policy);
}

/* The worker does all it can, and the driver hears of it. */
static void catch_up(struct daemon *d)
{
    worker_run(-1);
    driver_progress(&d->driver);
    end_turn(d);
}

/* In order: nothing is lost, and nobody is left without an answer. Once at rest, a store of any
 * durability has lost its fear of a loss of power. */
static void leave(struct daemon *d, const struct happening *h)
{
    heal(d);
    end_turn(d);
    pass_time(d, d->machine_us + JOURNAL_RETRY_US);
    d->behind_us += JOURNAL_RETRY_US;
    driver_drain(&d->driver);
    catch_up(d);
    catch_up(d);
    if (!driver_idle(&d->driver)) {
        stage_object(&d->stage, now_of(d), "P8: leaves with answers unsent");
    }
    size_t records = d->ledger.log.len;
    ledger_batch(&d->ledger);
    if (drop_parts(d) != 0) {
        stage_object(&d->stage, now_of(d), "P8: leaves without writing all that there was");
    }
    if (d->stage.world->durability != DURABILITY_NONE) {
        d->peers.promised = records;
        disk_die(DISK_LOSES_UNSYNCED, h->course.chance);
    }
    restart(d, h->course.down_us, h->event.policy);
}

/* --- Asking --- */

static bool same_family(enum event_kind a, enum event_kind b)
{
    return a == b || (a == EVENT_ACQUIRE && b == EVENT_RESUME) ||
           (a == EVENT_RESUME && b == EVENT_ACQUIRE);
}

static void call_api(const struct gathering *g, const struct call *call, const json_value *body)
{
    switch (g->kind) {
    case EVENT_RELEASE: api_release(call, body); break;
    case EVENT_RENEW: api_renew(call, body); break;
    case EVENT_CANCEL: api_cancel(call, body); break;
    case EVENT_REOPEN: api_reopen(call, body); break;
    default: api_acquire(call, body); break;
    }
}

static void write_request(const struct gathering *g, struct buf *body)
{
    if (g->kind == EVENT_RENEW) {
        asking_bundle(body, &g->body, g->lease_us);
        return;
    }
    buf_add_str(body, g->peer->array ? "[" : "");
    buf_add_text(body, buf_text(&g->body));
    buf_add_str(body, g->peer->array ? "]" : "");
}

/* Sends the request that was gathered. */
static void send_request(struct daemon *d)
{
    struct gathering *g = &d->gathering;
    struct buf body, why;
    json_value *document = NULL;
    char name[NAME_LEN_MAX + 1];
    if (!g->peer) {
        return;
    }
    buf_init(&body, BODY_MAX);
    buf_init(&why, WHY_MAX);
    write_request(g, &body);
    snprintf(name, sizeof(name), "%.*s", g->bound ? (int)g->tenant.len : 0,
             g->bound && g->tenant.len ? g->tenant.at : "");
    struct call call = {.api = &d->api, .req = g->peer};
    call.identity.client = callers_client(&d->driver.callers, name, name);
    call.identity.rights = RIGHT_ACQUIRE;
    call.identity.bound = g->bound;
    call.identity.tenant = g->tenant;
    call.rest = text_of(g->peer->path);
    g->peer = NULL;
    if (json_parse(buf_text(&body), &document, &why) != 0) {
        stage_object(&d->stage, now_of(d), "a request of the world's own is refused: %s", body.at);
    } else {
        call_api(g, &call, document);
    }
    json_free(document);
    buf_clear(&g->body);
    buf_release(&body);
    buf_release(&why);
}

static bool may_be_several(enum event_kind kind)
{
    return kind != EVENT_RENEW && kind != EVENT_CANCEL && kind != EVENT_REOPEN;
}

static void gather(struct daemon *d, const struct happening *h, const struct event *e)
{
    struct gathering *g = &d->gathering;
    if (g->peer && (!same_family(g->kind, e->kind) || g->peer->clients_n == PEER_CLIENTS_MAX)) {
        send_request(d);
    }
    if (!g->peer) {
        g->kind = e->kind;
        g->peer = peer_new(&d->peers);
        g->peer->bundle = e->kind == EVENT_RENEW;
        g->peer->array = h->course.joins && may_be_several(e->kind);
        snprintf(g->peer->path, sizeof(g->peer->path), "%.*s",
                 e->kind == EVENT_REOPEN ? (int)e->reopen.resource.len : 0,
                 e->kind == EVENT_REOPEN ? e->reopen.resource.at : "");
        g->tenant = e->kind == EVENT_ACQUIRE ? e->acquire.tenant : e->tenant;
        g->bound = (e->kind == EVENT_CANCEL && !e->any_tenant) ||
                   (e->kind == EVENT_ACQUIRE && !g->peer->array && g->tenant.len > 0 &&
                    e->caller % 3 == 0);
    }
    buf_add_str(&g->body, g->body.len ? "," : "");
    asking_write(&g->body, e, world_provider(d->stage.world, h->subject));
    g->lease_us = e->kind == EVENT_RENEW ? e->renew.lease_us : 0;
    const struct answer *a = e->kind == EVENT_RELEASE ? e->release.answer : NULL;
    peer_add(g->peer, e->caller, a ? (int)a->class : -1);
    if (!h->course.joins || (!g->peer->array && !g->peer->bundle)) {
        send_request(d);
    }
}

/* --- What happens --- */

static void configure(struct daemon *d, const struct policy *policy)
{
    d->config = config_of(d, policy);
    if (!d->running) {
        start(d);
        return;
    }
    int err = driver_configure(&d->driver, &d->config->policy);
    assert(err == 0);
    d->api.rules.config = d->config;
}

static void hang_up(struct daemon *d, caller_id client)
{
    struct http_request *peer = peer_of(&d->peers, client);
    if (peer) {
        peer_hang_up(peer);
    }
}

static void take_event(struct daemon *d, const struct happening *h)
{
    struct event e;
    if (!world_resolve(d->stage.world, h, &e)) {
        return;
    }
    if (e.kind == EVENT_HANGUP || e.kind == EVENT_CONFIGURE || e.kind == EVENT_CLOCK) {
        send_request(d);
    }
    switch (e.kind) {
    case EVENT_TICK: break;
    case EVENT_CONFIGURE: configure(d, e.policy); break;
    case EVENT_HANGUP: hang_up(d, h->subject); break;
    case EVENT_CLOCK:
        d->skew_us = e.skew_us;
        set_time(d, d->machine_us);
        driver_check_clock(&d->driver);
        break;
    case EVENT_CANCEL:
        if (!e.cancel.lease) { /* which only the driver does */
            gather(d, h, &e);
        }
        break;
    default: gather(d, h, &e); break;
    }
}

static void take_deed(struct daemon *d, const struct happening *h)
{
    if (h->kind == WORLD_EVENT) {
        take_event(d, h);
        return;
    }
    send_request(d);
    switch (h->kind) {
    case WORLD_CRASH: crash(d, h); break;
    case WORLD_STOP: leave(d, h); break;
    case WORLD_SYNC: catch_up(d); break;
    case WORLD_WELL: heal(d); break;
    case WORLD_TROUBLE:
        faults_set(h->course.fails_at, h->course.lasting);
        d->faulty = true;
        break;
    case WORLD_PRUNE:
        if (d->stage.world->durability != DURABILITY_NONE) {
            ledger_prune(&d->ledger, core_horizon_us(d->core));
            journal_prune(d->journal, core_horizon_us(d->core));
        }
        break;
    default: break;
    }
}

/* The turn ends, the disk works, and its answer is heard, each if the course has it so. */
static void take_course(struct daemon *d, const struct course *c)
{
    if (c->ends_turn) {
        end_turn(d);
    }
    worker_run(c->disk_ops);
    if (!d->called || !c->hears) {
        return;
    }
    d->called = false;
    driver_progress(&d->driver);
    end_turn(d);
    struct list *oldest = list_first(&d->driver.closed);
    if (oldest && CONTAINER_OF(oldest, struct turn, node)->batch <= journal_durable(d->journal)) {
        stage_object(&d->stage, now_of(d), "P8: answers are kept back that are durable");
    }
}

static void daemon_happen(struct stage *stage, const struct happening *h)
{
    struct daemon *d = (struct daemon *)stage;
    int64_t until_us = h->event.now_us + d->behind_us;
    if (!d->running && h->event.kind != EVENT_CONFIGURE) {
        return;
    }
    if (!d->running) {
        set_time(d, until_us);
    }
    if (d->running && until_us > d->machine_us) {
        send_request(d);
        pass_time(d, until_us);
    }
    take_deed(d, h);
    if (d->gathering.peer || !d->running) {
        return;
    }
    take_course(d, &h->course);
    pass_time(d, d->machine_us);
    rest(d);
}

/* --- Life cycle --- */

static void remove_place(void)
{
    char lock[PATH_LEN_MAX + sizeof(".lock")];
    snprintf(lock, sizeof(lock), "%s.lock", path);
    unlink(lock);
    unlink(path);
}

static void make_place(void)
{
    const char *dir = getenv("TMPDIR");
    if (path[0]) {
        return;
    }
    disk_install();
    faults_install();
    faults_hook(worker_at_disk);
    disk_on_wait(worker_awaited);
    snprintf(path, sizeof(path), "%s/sluice-sim-XXXXXX", dir ? dir : "/tmp");
    int fd = mkstemp(path);
    assert(fd >= 0);
    close(fd);
    atexit(remove_place);
}

static struct stage *daemon_open(struct world *w, uint64_t seed, bool print)
{
    struct daemon *d = calloc(1, sizeof(*d));
    if (!d) {
        abort();
    }
    stage_init(&d->stage, &driver_stage, w, print);
    d->seed = seed;
    d->late_ticks = w->late_ticks;
    make_place();
    disk_clear();
    heal(d);
    peers_init(&d->peers, &d->stage);
    d->peers.store_failed = &d->driver.trouble;
    d->peers.disk_fails = &d->faulty;
    d->peers.lines_capped = w->client_max < CLIENTS_MAX;
    ledger_init(&d->ledger);
    events_init(&d->events);
    buf_init(&d->gathering.body, BODY_MAX);
    current = d;
    return &d->stage;
}

static void daemon_close(struct stage *stage)
{
    struct daemon *d = (struct daemon *)stage;
    heal(d);
    if (d->journal) { /* also where it was objected to before it ran */
        drop_parts(d);
    }
    current = NULL;
    for (size_t i = 0; i < d->configs_n; i++) {
        free(d->configs[i]);
    }
    free(d->configs);
    ledger_release(&d->ledger);
    buf_release(&d->gathering.body);
    stage_release(stage);
    free(d);
}

const struct stage_kind driver_stage = {
    .through_api = true,
    .open = daemon_open,
    .happen = daemon_happen,
    .close = daemon_close,
};
