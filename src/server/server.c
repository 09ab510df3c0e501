/*
 * One turn of the loop, as libuv orders it:
 *
 *     poll      requests arrive and are judged; the journal or a deadline may only wake
 *     prepare   on_before_poll: time passes in the core, the turn's records are committed, answers
 *               that are durable leave, and the next deadline is set
 *
 * Whatever happens between two polls, so one place ends the turn, and nothing waits in it while
 * the loop sleeps: `awake` is active exactly while a turn has something in it.
 */
#include "server/server.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/num.h"
#include "core/core.h"
#include "http/fields.h"
#include "http/http.h"
#include "journal/journal.h"
#include "server/api.h"
#include "server/driver.h"
#include "server/events.h"
#include "server/log.h"
#include "server/reload.h"
#include "server/restore.h"
#include "server/webhook.h"

#define HEARTBEAT_MS     1000
#define PRUNE_BEATS      10
#define KEEP_ALIVE_BEATS 15
#define WHY_BYTES_MAX    (64u << 10)
#define SPARE_FILES      64 /* descriptors that are not connections */

enum server_state { SERVER_RUNNING, SERVER_DRAINING, SERVER_LEAVING };

struct server {
    const struct server_options *options;
    struct config *config;
    struct core *core;
    struct journal *journal;
    struct clock clock;
    struct restored restored;
    struct events events;
    struct driver driver;
    struct api api;
    struct http_server *http;
    struct webhook *webhook;
    enum server_state state;

    uv_loop_t loop;
    uv_prepare_t before_poll;
    uv_idle_t awake;
    uv_timer_t deadline;
    uv_timer_t heartbeat;
    uv_timer_t drain;
    uv_poll_t journal_called;
    int journal_bell; /* an eventfd, by which the journal's thread wakes the loop; -1: none */
    uv_signal_t signals[3];
    int64_t armed_us; /* the deadline the timer is set to, or 0 */
    uint64_t beats;
};

/* --- The turn. --- */

static void leave(struct server *s);

static void on_deadline(uv_timer_t *timer)
{
    struct server *s = timer->data;
    s->armed_us = 0; /* the turn's end does the rest */
}

/* Rounds up to the timer's milliseconds: early would be in vain. */
static void arm_deadline(struct server *s)
{
    int64_t due_us = core_next_deadline(s->core);
    if (due_us == s->armed_us) {
        return;
    }
    s->armed_us = due_us;
    if (due_us == INT64_MAX) {
        uv_timer_stop(&s->deadline);
        return;
    }
    int64_t wait_us = max_i64(0, due_us - clock_now_us(&s->clock));
    uv_update_time(&s->loop);
    uv_timer_start(&s->deadline, on_deadline, (uint64_t)((wait_us + US_PER_MS - 1) / US_PER_MS), 0);
}

/* Being active is all it is for. */
static void on_awake(uv_idle_t *handle)
{
    (void)handle;
}

static void wake(void *ctx)
{
    struct server *s = ctx;
    if (s->http) {
        uv_idle_start(&s->awake, on_awake);
    }
}

/* Whether everyone has been answered and has been seen off. */
static bool drained(const struct server *s)
{
    struct http_stats stats;
    http_server_stats(s->http, &stats);
    return driver_idle(&s->driver) && stats.connections == 0;
}

static void on_before_poll(uv_prepare_t *handle)
{
    struct server *s = handle->data;
    bool more = driver_turn(&s->driver);
    arm_deadline(s);
    if (more) {
        uv_idle_start(&s->awake, on_awake);
    } else {
        uv_idle_stop(&s->awake);
    }
    if (s->state == SERVER_DRAINING && drained(s)) {
        leave(s);
    }
}

/*
 * Not by uv_async_t, which has the loop spin while a sender is between two of its lines: the write
 * that wakes the loop makes room for it on the sender's own processor, so that it wakes to find the
 * sender just there, and spins for longer than a batch of decisions takes.
 */
static void on_journal_called(uv_poll_t *handle, int status, int events)
{
    struct server *s = handle->data;
    uint64_t calls;
    (void)status;
    (void)events;
    if (read(s->journal_bell, &calls, sizeof(calls)) == (ssize_t)sizeof(calls)) {
        driver_progress(&s->driver);
    }
}

/* From the journal's own thread. */
static void call_from_journal(void *ctx)
{
    struct server *s = ctx;
    uint64_t one = 1;
    ssize_t written = write(s->journal_bell, &one, sizeof(one));
    assert(written == (ssize_t)sizeof(one)); /* it is full after 2^64 calls that nobody heard */
    (void)written;
}

static int hang_bell(struct server *s)
{
    s->journal_bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->journal_bell < 0 || uv_poll_init(&s->loop, &s->journal_called, s->journal_bell)) {
        return ERR_INTERNAL;
    }
    s->journal_called.data = s;
    return uv_poll_start(&s->journal_called, UV_READABLE, on_journal_called) ? ERR_INTERNAL : 0;
}

/* The ledger's times are the wall's. */
static void prune_ledger(struct server *s)
{
    int64_t wall_us = clock_now_us(&s->clock) + clock_skew_us(&s->clock);
    if (s->config->ledger_keep_us > 0) {
        journal_prune_ledger(s->journal, max_i64(0, sub_sat(wall_us, s->config->ledger_keep_us)));
    }
}

static void on_heartbeat(uv_timer_t *timer)
{
    struct server *s = timer->data;
    s->beats++;
    driver_check_clock(&s->driver);
    driver_look_around(&s->driver);
    if (s->beats % PRUNE_BEATS == 0) {
        journal_prune(s->journal, core_horizon_us(s->core));
        prune_ledger(s);
    }
    if (s->beats % KEEP_ALIVE_BEATS == 0) {
        events_keep_alive(&s->events);
    }
}

/* --- Reload. --- */

static bool needs_keys(const struct server *s, const struct config *config)
{
    return !s->api.rules.loopback_only && config->keys_n == 0 && !s->options->insecure;
}

static void tell_config(struct server *s, const char *state)
{
    struct notice notice = {.kind = NOTICE_CONFIG};
    char data[128];
    snprintf(data, sizeof(data), "{\"at_ms\":%lld,\"config\":\"%s\"}",
             (long long)(driver_now(&s->driver) / US_PER_MS), state);
    events_tell(&s->events, &notice, text_of(data));
}

static void configure_alerts(struct server *s)
{
    s->driver.alerts.fallback_ppm = s->config->alerts.fallback_share_ppm;
    s->driver.alerts.backoff_us = s->config->alerts.backoff_us;
    s->driver.alerts.again_us = s->config->alerts.again_us;
    if (webhook_configure(s->webhook, s->config->alerts.webhook) != 0) {
        log_error("out of memory for another webhook; alerts go where they went");
    }
}

/* Also while the store is read back, before there is a webhook. */
static void on_alert(void *ctx, const struct alert *alert, int64_t now_us)
{
    struct server *s = ctx;
    if (s->webhook) {
        webhook_add(s->webhook, alert, now_us);
    }
}

/* The new configuration takes effect as a whole, or the old one stays. */
static int apply_config(struct server *s, struct config *config)
{
    if (needs_keys(s, config)) {
        log_error(
            "the new configuration has no `keys`, and other machines can reach the daemon: add "
            "some (see `sluice key`), or start it with --insecure");
        return ERR_INVALID_REQUEST;
    }
    int err = driver_configure(&s->driver, &config->policy);
    if (err) {
        log_error("%s", error_sentence((enum error_code)err));
        return err;
    }
    reload_log_changes(s->config, config);
    config_free(s->config);
    s->config = config;
    s->api.rules.config = config;
    configure_alerts(s);
    return 0;
}

static void reload(struct server *s)
{
    struct config *config = NULL;
    struct buf why;
    buf_init(&why, WHY_BYTES_MAX);
    int err = config_load(s->options->config_path, &config, &why);
    if (err) {
        log_error_lines(why.len ? why.at : error_sentence((enum error_code)err));
    } else {
        err = apply_config(s, config);
        if (err) {
            config_free(config);
        }
    }
    buf_release(&why);
    if (err) {
        log_error("reload refused; the configuration before it stays in force");
    } else {
        log_info("reloaded %s", s->options->config_path);
    }
    tell_config(s, err ? "refused" : "applied");
}

/* --- The end. --- */

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void on_http_closed(void *ctx)
{
    struct server *s = ctx;
    s->http = NULL;
    uv_walk(&s->loop, close_handle, NULL);
}

/* Who is cut off when the time for leaving is over. */
static void log_left_behind(const struct server *s)
{
    struct http_stats stats;
    http_server_stats(s->http, &stats);
    if (s->driver.callers.live > 0) {
        log_warn("leaving with %zu requests unanswered", s->driver.callers.live);
    } else if (stats.connections > 0) {
        log_warn("leaving with %zu connections unfinished", stats.connections);
    }
}

static void leave(struct server *s)
{
    if (s->state == SERVER_LEAVING) {
        return;
    }
    log_left_behind(s);
    s->state = SERVER_LEAVING;
    webhook_close(s->webhook);
    http_server_close(s->http, on_http_closed, s);
}

static void on_drain_over(uv_timer_t *timer)
{
    leave(timer->data);
}

static void drain(struct server *s, int signum)
{
    log_info("%s: draining, at most %lld ms", signum == SIGINT ? "SIGINT" : "SIGTERM",
             (long long)(s->config->drain_us / US_PER_MS));
    s->state = SERVER_DRAINING;
    driver_drain(&s->driver);
    events_close(&s->events);
    http_server_drain(s->http);
    uv_timer_start(&s->drain, on_drain_over, (uint64_t)(s->config->drain_us / US_PER_MS), 0);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct server *s = handle->data;
    if (signum == SIGHUP) {
        if (s->state == SERVER_RUNNING) {
            reload(s);
        }
    } else if (s->state == SERVER_RUNNING) {
        drain(s, signum);
    } else {
        leave(s);
    }
}

/* --- The beginning. --- */

static int fail(const char *what, int err, const struct buf *why)
{
    if (why && why->len > 0) {
        log_error("%s: %s", what, why->at);
    } else {
        log_error("%s: %s", what, error_sentence((enum error_code)err));
    }
    return err;
}

static const char *store_path(const struct server *s)
{
    return s->options->store ? s->options->store : s->config->store;
}

static enum durability durability(const struct server *s)
{
    int d = s->options->durability >= 0 ? s->options->durability : s->config->durability;
    return (enum durability)d;
}

static int open_store(struct server *s, struct buf *why)
{
    struct journal_options options = {.path = store_path(s), .durability = durability(s)};
    return journal_open(&options, &s->journal, why);
}

static int make_core(struct server *s)
{
    struct core_options options = {.spill = durability(s) != DURABILITY_NONE};
    if (getrandom(options.seed, sizeof(options.seed), 0) != (ssize_t)sizeof(options.seed)) {
        return ERR_INTERNAL;
    }
    return core_new(&options, &s->core);
}

/* A restart is no event for a provider: "resource gpt-4o: still day_over for 3600000 ms". */
static void log_states(const struct server *s)
{
    struct resource_view view;
    for (size_t i = 0; i < core_resources(s->core); i++) {
        core_resource_view(s->core, i, &view);
        const struct health_view *h = &view.health;
        if (h->state == HEALTH_OK) {
            continue;
        }
        char left[64] = "";
        if (h->until_us > 0 && h->until_us < INT64_MAX) {
            snprintf(left, sizeof(left), " for %lld ms",
                     (long long)(sub_sat(h->until_us, clock_now_us(&s->clock)) / US_PER_MS));
        }
        log_warn("resource %s: still %s%s (%s%s%s)", view.resource->name,
                 health_state_name(h->state), left, answer_class_name(h->why),
                 h->reason[0] ? ", " : "", h->reason);
    }
}

static void log_restored(const struct server *s)
{
    const struct restored *r = &s->restored;
    if (durability(s) == DURABILITY_NONE) {
        log_warn("durability none: nothing is kept, and a restart forgets what was used");
        return;
    }
    log_info("restored %zu leases from %llu records of %s in %lld ms (%llu counters, %llu states, "
             "%llu learned limits, %llu skipped)",
             r->leases, (unsigned long long)r->records, store_path(s),
             (long long)(r->took_us / US_PER_MS), (unsigned long long)r->counters,
             (unsigned long long)r->states, (unsigned long long)r->learned,
             (unsigned long long)r->skipped);
    log_states(s);
}

/* The core with its policy and all that was stored, and the driver around it. */
static int bring_back(struct server *s, struct buf *why)
{
    struct driver_options options = {.core = s->core,
                                     .journal = s->journal,
                                     .clock = &s->clock,
                                     .events = &s->events,
                                     .deliver = api_deliver,
                                     .alerted = on_alert,
                                     .wake = wake,
                                     .ctx = s};
    int err = driver_init(&s->driver, &options);
    if (!err) {
        clock_init(&s->clock, 0);
        err = driver_configure(&s->driver, &s->config->policy);
    }
    if (!err) {
        err = restore_run(s->journal, s->core, &s->restored, why);
    }
    if (!err) {
        /* What is in the store has happened, so its time has passed, whatever the wall says. */
        clock_init(&s->clock, s->restored.newest_us);
        driver_clock_changed(&s->driver);
        log_restored(s);
    }
    return err;
}

static int init_loop(struct server *s)
{
    int failed = uv_loop_init(&s->loop);
    if (failed) {
        return ERR_INTERNAL;
    }
    s->loop.data = s; /* says that there is a loop to close */
    failed |= uv_prepare_init(&s->loop, &s->before_poll);
    failed |= uv_idle_init(&s->loop, &s->awake);
    failed |= uv_timer_init(&s->loop, &s->deadline);
    failed |= uv_timer_init(&s->loop, &s->heartbeat);
    failed |= uv_timer_init(&s->loop, &s->drain);
    failed |= hang_bell(s);
    s->before_poll.data = s;
    s->deadline.data = s;
    s->heartbeat.data = s;
    s->drain.data = s;
    return failed ? ERR_INTERNAL : 0;
}

/* Not before the loop is about to turn: until then a signal ends the process as it always does. */
static int watch_signals(struct server *s)
{
    static const int signums[] = {SIGTERM, SIGINT, SIGHUP};
    int failed = 0;
    for (size_t i = 0; i < 3; i++) {
        failed |= uv_signal_init(&s->loop, &s->signals[i]);
        s->signals[i].data = s;
        failed |= uv_signal_start(&s->signals[i], on_signal, signums[i]);
    }
    return failed ? ERR_INTERNAL : 0;
}

/* A connection is a descriptor, and the default limit is low. */
static void raise_file_limit(int64_t connections_max)
{
    struct rlimit files;
    rlim_t need = (rlim_t)connections_max + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur >= need) {
        return;
    }
    files.rlim_cur = files.rlim_max < need ? files.rlim_max : need;
    if (setrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur < need) {
        log_warn("the system allows %llu open files, fewer than %lld connections need",
                 (unsigned long long)files.rlim_cur, (long long)connections_max);
    }
}

static int make_http(struct server *s)
{
    struct http_options options;
    http_options_default(&options);
    options.handler = api_handle;
    options.error_body = api_error_body;
    options.ctx = &s->api;
    options.connections_max = (size_t)s->config->connections_max;
    options.body_bytes_max = (size_t)s->config->body_bytes_max;
    options.header_bytes_max = (size_t)s->config->header_bytes_max;
    options.header_timeout_us = s->config->header_timeout_us;
    options.body_timeout_us = s->config->body_timeout_us;
    options.idle_timeout_us = s->config->idle_timeout_us;
    raise_file_limit(s->config->connections_max);
    return http_server_new(&s->loop, &options, &s->http);
}

static const char *address_at(const struct server *s, size_t i)
{
    return s->options->listen ? s->options->listen : s->config->listens[i];
}

static size_t addresses_n(const struct server *s)
{
    return s->options->listen ? 1 : s->config->listens_n;
}

static int check_addresses(struct server *s, struct buf *why)
{
    s->api.rules.loopback_only = true;
    for (size_t i = 0; i < addresses_n(s); i++) {
        if (http_address_check(address_at(s, i), why) != 0) {
            return fail(s->options->listen ? "--listen" : "listen", ERR_INVALID_REQUEST, why);
        }
        if (http_address_is_loopback(address_at(s, i))) {
            continue;
        }
        s->api.rules.loopback_only = false;
        if (needs_keys(s, s->config)) {
            log_error("%s can be reached from other machines, and the configuration has no `keys`: "
                      "add some (see `sluice key`), listen on 127.0.0.1, or say --insecure",
                      address_at(s, i));
            return ERR_INVALID_REQUEST;
        }
    }
    return 0;
}

/* The address as it is now: with the port the system chose. */
static void log_listening(const struct server *s, size_t i)
{
    const char *address = address_at(s, i);
    const char *colon = strrchr(address, ':');
    int port = http_server_port(s->http, i);
    if (port > 0 && colon) {
        log_info("listening on %.*s:%d", (int)(colon - address), address, port);
    } else {
        log_info("listening on %s", address);
    }
}

static int listen_all(struct server *s, struct buf *why)
{
    for (size_t i = 0; i < addresses_n(s); i++) {
        int err = http_server_listen(s->http, address_at(s, i), why);
        if (err) {
            buf_addf(why, "; give %s another address",
                     s->options->listen ? "--listen" : "`listen` (or --listen)");
            return err;
        }
    }
    return 0;
}

static void make_api(struct server *s)
{
    bool loopback_only = s->api.rules.loopback_only;
    s->api = (struct api){.driver = &s->driver,
                          .core = s->core,
                          .journal = s->journal,
                          .events = &s->events,
                          .http = s->http,
                          .webhook = s->webhook,
                          .rules = {s->config, loopback_only},
                          .restored = &s->restored,
                          .started_us = clock_now_us(&s->clock),
                          .loop = &s->loop};
}

/* What connects from here on waits in the system's backlog until the loop turns. */
static int take_addresses(struct server *s, struct buf *why)
{
    int err = check_addresses(s, why);
    if (err) {
        return err;
    }
    err = init_loop(s);
    err = err ? err : make_http(s);
    if (err) {
        return fail("the loop cannot be set up", err, NULL);
    }
    err = listen_all(s, why);
    return err ? fail("cannot listen", err, why) : 0;
}

static int take_store(struct server *s, struct buf *why)
{
    int err = open_store(s, why);
    if (err) {
        return fail("the store cannot be opened", err, why);
    }
    err = make_core(s);
    err = err ? err : bring_back(s, why);
    return err ? fail("the store cannot be read back", err, why) : 0;
}

static int make_ready(struct server *s)
{
    int err = webhook_new(&s->loop, &s->webhook);
    err = err ? err : watch_signals(s);
    if (err) {
        return fail("the loop cannot be set up", err, NULL);
    }
    make_api(s);
    configure_alerts(s);
    err = journal_start(s->journal, call_from_journal, s);
    if (err) {
        return fail("the journal cannot be started", err, NULL);
    }
    uv_update_time(&s->loop);
    uv_timer_start(&s->heartbeat, on_heartbeat, HEARTBEAT_MS, HEARTBEAT_MS);
    for (size_t i = 0; i < addresses_n(s); i++) {
        log_listening(s, i);
    }
    return 0;
}

/* The addresses come first: a daemon that cannot have them leaves no store behind, and changes
 * none. */
static int start(struct server *s, struct buf *why)
{
    int err = take_addresses(s, why);
    err = err ? err : take_store(s, why);
    return err ? err : make_ready(s);
}

static void run(struct server *s)
{
    uv_prepare_start(&s->before_poll, on_before_poll);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    (void)driver_turn(&s->driver); /* hands the journal what the last hang-ups changed */
}

/* Undoes whatever part of the start was reached. */
static int finish(struct server *s)
{
    if (s->http) {
        http_server_close(s->http, on_http_closed, s);
        uv_run(&s->loop, UV_RUN_DEFAULT);
    }
    int err = journal_close(s->journal);
    if (err) {
        log_error("the store could not be written to the end: %s",
                  error_sentence((enum error_code)err));
    }
    if (s->loop.data) {
        uv_walk(&s->loop, close_handle, NULL);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        uv_loop_close(&s->loop);
    }
    if (s->journal_bell >= 0) {
        close(s->journal_bell);
    }
    if (s->driver.turn) {
        driver_release(&s->driver);
    }
    json_room_release(&s->api.room);
    webhook_free(s->webhook);
    core_free(s->core);
    config_free(s->config);
    return err;
}

int server_run(const struct server_options *options)
{
    struct server *s = calloc(1, sizeof(*s));
    struct buf why;
    if (!s) {
        log_error("out of memory");
        return 1;
    }
    s->options = options;
    s->config = options->config;
    s->journal_bell = -1;
    events_init(&s->events);
    buf_init(&why, WHY_BYTES_MAX);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a full quota is an error of the write, which the journal reports */
    int err = start(s, &why);
    if (!err) {
        run(s);
    }
    int unwritten = finish(s);
    if (!err) {
        log_info("left");
    }
    buf_release(&why);
    free(s);
    return err || unwritten ? 1 : 0;
}
