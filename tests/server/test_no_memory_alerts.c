/*
 * What becomes of alerts when memory is refused: each allocation in turn fails, in the loop and in
 * the worker that posts. Alerts may be lost; what counts them, and what posts them, goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/num.h"
#include "server/log.h"
#include "server/notice.h"
#include "server/watch.h"
#include "server/webhook.h"
#include "support/memory.h"

#define ALLOCATIONS_MAX 1000
#define LINE_MAX_BYTES  (1u << 14)

int __real_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat);

/* What is tried again later is tried again at once. */
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
    (void)timeout;
    return __real_uv_timer_start(timer, cb, 0, repeat);
}

/* Goes through all allocations of a deed, until there is none left that could fail. */
static void each_in_turn(void (*deed)(void))
{
    int n = 1;
    do {
        assert_true(n < ALLOCATIONS_MAX);
        memory_fail(n++);
        deed();
    } while (memory_failed());
    memory_pause();
    assert_true(n > 2); /* something was refused */
}

static const struct alert ALERT = {
    .topic = TOPIC_BUDGET_WARN,
    .resource = {"m", 1},
    .limit = "budget",
    .scope_key = {"acme", 4},
    .unit = UNIT_USD,
    .used = 8 * PICOUSD_PER_USD,
    .amount = 10 * PICOUSD_PER_USD,
};

static struct resource resources[2] = {{.name = "m", .model = "m"}, {.name = "n", .model = "n"}};
static struct route route = {.name = "best", .steps = {{.resource = 0}}, .steps_n = 1};

static struct policy policy_of(size_t resources_n)
{
    return (struct policy){
        .resources = resources, .resources_n = resources_n, .routes = &route, .routes_n = 1};
}

/* --- Counting. --- */

static void configure_anew(void)
{
    struct alerts alerts;
    struct policy one = policy_of(1), two = policy_of(2);
    memory_pause();
    alerts_init(&alerts);
    alerts_configure(&alerts, &one);
    assert_true(alerts_count(&alerts, &ALERT, US_PER_S));
    memory_resume();
    alerts_configure(&alerts, &two);
    /* What was counted stays, whether there are rows for the new resource or not. */
    assert_int_equal(alerts.rows_n, memory_failed() ? 2 : 3);
    assert_int_equal(alerts.rows[0].n[TOPIC_BUDGET_WARN], 1);
    struct alert other = ALERT;
    other.resource = text_of("n");
    other.topic = TOPIC_WAIT_TIMEOUT;
    assert_true(alerts_count(&alerts, &other, US_PER_S));
    alerts_release(&alerts);
}

static void test_alerts_go_on_counting_where_a_new_policy_finds_no_memory(void **state)
{
    (void)state;
    each_in_turn(configure_anew);
}

static void watch_anew(void)
{
    struct watch watch = {0};
    struct policy two = policy_of(2);
    struct alert alerts[WATCH_ALERTS_MAX];
    watch_configure(&watch, &two);
    /* What is not watched is not looked at, so that no core is needed. */
    if (memory_failed()) {
        assert_true(watch.n == 0 || watch.routes_n == 0);
    } else {
        assert_int_equal(watch.n, 2);
        assert_int_equal(watch.routes_n, 1);
    }
    if (watch.n == 0) {
        assert_int_equal(watch_look(&watch, NULL, 1, alerts), 0);
    }
    if (watch.routes_n == 0) {
        assert_false(watch_route(&watch, NULL, 0, 1, &alerts[0]));
    }
    memory_pause();
    watch_configure(&watch, &two);
    assert_int_equal(watch.n, 2);
    assert_int_equal(watch.routes_n, 1);
    watch_release(&watch);
}

static void test_nothing_is_watched_without_memory_and_all_is_after_the_next_policy(void **state)
{
    (void)state;
    int n = 1;
    bool failed;
    do {
        memory_fail(n++);
        watch_anew();
        failed = n <= 3; /* two tables */
    } while (failed);
    memory_pause();
    watch_anew();
}

/* --- Words. --- */

static void write_words(void)
{
    struct buf body, words;
    struct json_writer w;
    buf_init(&body, LINE_MAX_BYTES);
    buf_init(&words, ALERT_WORDS_BYTES_MAX);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    alert_words(&ALERT, &words);
    alert_write(&ALERT, US_PER_DAY, &w);
    json_object_end(&w);
    bool whole = !body.failed && !words.failed;
    assert_true(whole || memory_failed());
    assert_true(!whole || (body.len > words.len && words.len > 0));
    buf_release(&words);
    buf_release(&body);
}

static void write_notice(void)
{
    struct effect e = {.kind = EFFECT_ALERT};
    enum notice_kind kind;
    struct buf line;
    e.alert.kind = ALERT_BUDGET_WARN;
    e.alert.resource = text_of("m");
    e.alert.limit = "budget";
    buf_init(&line, LINE_MAX_BYTES);
    if (notice_kind_of(&e, &kind)) {
        notice_write(&e, US_PER_DAY, &line);
    } else {
        e = (struct effect){.kind = EFFECT_EXPIRED};
        e.expired.resource = text_of("m");
        assert_true(notice_kind_of(&e, &kind));
        notice_write(&e, US_PER_DAY, &line);
    }
    assert_true(line.failed ? memory_failed() : line.len > 0);
    buf_release(&line);
}

static void test_words_that_find_no_memory_are_known_to_be_unfinished(void **state)
{
    (void)state;
    each_in_turn(write_words);
    each_in_turn(write_notice);
}

/* --- Posting. --- */

/* Whoever takes the alerts: answers each connection, and closes it. */
static struct taker {
    uv_loop_t loop;
    uv_tcp_t server;
    char url[64];
    unsigned asked;
} taker;

static void on_close(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    static char bytes[1 << 16];
    (void)handle;
    (void)size;
    *buf = uv_buf_init(bytes, sizeof(bytes));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    static char reply[] = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    bool whole = n > 0 && buf->base[n - 1] == '}';
    if (whole) {
        uv_buf_t out = uv_buf_init(reply, sizeof(reply) - 1);
        taker.asked++;
        uv_try_write(stream, &out, 1);
    }
    if ((n < 0 || whole) && !uv_is_closing((uv_handle_t *)stream)) {
        uv_close((uv_handle_t *)stream, on_close);
    }
}

static void on_connection(uv_stream_t *server, int status)
{
    memory_pause();
    uv_tcp_t *peer = calloc(1, sizeof(*peer));
    memory_resume();
    assert_int_equal(status, 0);
    assert_non_null(peer);
    peer->data = peer;
    assert_int_equal(uv_tcp_init(server->loop, peer), 0);
    assert_int_equal(uv_accept(server, (uv_stream_t *)peer), 0);
    assert_int_equal(uv_read_start((uv_stream_t *)peer, on_alloc, on_read), 0);
}

/* A loop of its own for each webhook, which ends with it. */
static void begin_to_take(void)
{
    struct sockaddr_in at;
    int len = sizeof(at);
    assert_int_equal(uv_loop_init(&taker.loop), 0);
    assert_int_equal(uv_tcp_init(&taker.loop, &taker.server), 0);
    uv_ip4_addr("127.0.0.1", 0, &at);
    assert_int_equal(uv_tcp_bind(&taker.server, (const struct sockaddr *)&at, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&taker.server, 16, on_connection), 0);
    uv_tcp_getsockname(&taker.server, (struct sockaddr *)&at, &len);
    snprintf(taker.url, sizeof(taker.url), "http://127.0.0.1:%d/hook", ntohs(at.sin_port));
}

static void close_socket(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (handle->type == UV_TCP && !uv_is_closing(handle)) {
        uv_close(handle, handle->data ? on_close : NULL);
    }
}

/* What is the webhook's on the loop, it has closed itself. */
static void end_taking(void)
{
    uv_walk(&taker.loop, close_socket, NULL);
    uv_run(&taker.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&taker.loop), 0);
}

static struct webhook_stats run_until_idle(struct webhook *w)
{
    struct webhook_stats stats;
    webhook_stats(w, &stats);
    while (stats.waiting > 0) {
        uv_run(&taker.loop, UV_RUN_ONCE);
        webhook_stats(w, &stats);
    }
    return stats;
}

static void post_to(struct webhook *w)
{
    if (webhook_configure(w, taker.url) != 0) {
        assert_true(memory_failed());
        webhook_add(w, &ALERT, US_PER_DAY); /* goes where it went: nowhere */
        assert_int_equal(webhook_configure(w, taker.url), 0);
    }
    webhook_add(w, &ALERT, US_PER_DAY);
    webhook_add(w, &ALERT, US_PER_DAY);
    struct webhook_stats stats = run_until_idle(w);
    /* Each is posted, or known to be lost. */
    assert_int_equal(stats.posted + stats.dropped, 2);
    assert_true(stats.posted == 2 || memory_failed());
    webhook_add(w, &ALERT, US_PER_DAY);
    stats = run_until_idle(w);
    assert_int_equal(stats.posted + stats.dropped, 3);
    assert_true(stats.posted > 0);
    webhook_close(w);
}

static void post_some(void)
{
    struct webhook *w = NULL;
    memory_pause();
    begin_to_take();
    memory_resume();
    if (webhook_new(&taker.loop, &w) == 0) {
        post_to(w);
    } else {
        assert_true(memory_failed());
    }
    end_taking();
    webhook_free(w);
}

static void test_each_alert_is_posted_or_counted_as_lost(void **state)
{
    (void)state;
    log_level_set(LOG_LEVEL_ERROR);
    each_in_turn(post_some);
    assert_true(taker.asked > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alerts_go_on_counting_where_a_new_policy_finds_no_memory),
        cmocka_unit_test(test_nothing_is_watched_without_memory_and_all_is_after_the_next_policy),
        cmocka_unit_test(test_words_that_find_no_memory_are_known_to_be_unfinished),
        cmocka_unit_test(test_each_alert_is_posted_or_counted_as_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
