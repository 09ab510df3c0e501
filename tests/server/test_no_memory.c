/*
 * What the coordinator does when memory is refused: at each allocation in turn, one fails while a
 * whole conversation takes place. Whatever fails, each request is answered, each element of an
 * array has its line, the core's structures hold, and the next client is served.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/view.h"
#include "rig.h"
#include "server/names.h"
#include "support/memory.h"

#define SLOTS 4

/* --- What was said. --- */

static void turn(struct rig *r)
{
    driver_turn(&r->driver);
    rig_store_durable(r);
    driver_turn(&r->driver);
    core_check(r->core);
}

static const struct rig_answer *answer_to(const struct rig *r, const struct http_request *peer)
{
    const struct rig_answer *found = NULL;
    for (size_t i = 0; i < r->answers_n; i++) {
        if (r->answers[i].peer == peer) {
            assert_null(found); /* once */
            found = &r->answers[i];
        }
    }
    return found;
}

/* The first lease that an answer names, or 0. */
static uint64_t lease_in(const struct rig_answer *answer)
{
    uint64_t lease = 0;
    const char *at = strstr(answer->body, "\"ls_");
    if (at) {
        assert_true(lease_name_read((struct text){at + 1, sizeof("ls_") - 1 + 16}, &lease));
    }
    return lease;
}

/* A request of its own; it is answered, with 200 or with an error that says what is wrong. */
static const struct rig_answer *ask(struct rig *r, const char *path, const char *body)
{
    struct http_request *peer = rig_ask(r, body ? "POST" : "GET", path, body);
    turn(r);
    const struct rig_answer *answer = answer_to(r, peer);
    assert_non_null(answer);
    assert_false(rig_parked(peer));
    if (answer->status != 200 && answer->status != 503 && !strstr(answer->body, "not given")) {
        fail_msg("%s %s: %d %s", path, body ? body : "", answer->status, answer->body);
    }
    assert_true(answer->status == 200 || memory_failed());
    return answer;
}

/* An array is answered with a line for each element and an end, or refused as a whole. */
static void ask_array(struct rig *r, const char *path, const char *body, size_t n)
{
    size_t from = r->answers_n;
    struct http_request *peer = rig_ask(r, "POST", path, body);
    turn(r);
    assert_false(rig_parked(peer));
    if (r->answers[from].status > 0) {
        assert_int_equal(r->answers_n, from + 1);
        assert_int_equal(r->answers[from].status, 503);
        assert_true(memory_failed());
        return;
    }
    assert_int_equal(r->answers_n, from + n + 1);
    assert_int_equal(r->answers[from + n].status, -1);
    unsigned seen = 0;
    for (size_t i = from; i < from + n; i++) {
        unsigned index;
        assert_int_equal(sscanf(r->answers[i].body, "{\"index\":%u,", &index), 1);
        assert_non_null(strstr(r->answers[i].body, "\"status\":"));
        seen |= 1u << index;
    }
    assert_int_equal(seen, (1u << n) - 1);
}

/* --- The conversations. --- */

#define ACQUIRE(more) "{\"resource\":\"chat\",\"wait_ms\":0" more "}"

static void acquire_and_release(struct rig *r)
{
    char words[128];
    const struct rig_answer *granted =
        ask(r, "/v1/acquire", ACQUIRE(",\"load\":5,\"labels\":{\"of\":\"b\"},\"session\":\"s\""));
    uint64_t lease = lease_in(granted);
    if (granted->status != 200) {
        return;
    }
    struct public_name name = lease_name(lease);
    snprintf(words, sizeof(words), "{\"lease\":\"%s\",\"lease_ms\":1000}", name.at);
    ask(r, "/v1/renew", words);
    snprintf(words, sizeof(words), "{\"leases\":[\"%s\",\"%s\"]}", name.at, name.at);
    ask(r, "/v1/renew", words);
    snprintf(words, sizeof(words), "{\"lease\":\"%s\",\"usage\":{\"total_tokens\":3}}", name.at);
    ask(r, "/v1/release", words);
    ask(r, "/v1/release", words);
}

static void ask_in_arrays(struct rig *r)
{
    ask_array(
        r, "/v1/acquire",
        "[" ACQUIRE(",\"id\":\"a\"") "," ACQUIRE("") ",{\"resource\":\"none\",\"id\":\"c\"},{}]",
        4);
    ask_array(r, "/v1/release", "[{\"lease\":\"ls_00000000000000ff\"},{\"lease\":1},{}]", 3);
}

static void look(struct rig *r)
{
    ask(r, "/v1/resources", NULL);
    ask(r, "/v1/resources?scope_key=a", NULL);
    ask(r, "/v1/resources/ch%61t", NULL);
    ask(r, "/v1/leases?limit=2", NULL);
    ask(r, "/metrics", NULL);
    ask(r, "/readyz", NULL);
}

/* One waits and is let in, one waits and hangs up, one is told of by events. */
static void wait_in_line(struct rig *r)
{
    static const char waits[] = "{\"resource\":\"chat\",\"load\":1,\"id\":\"w\"}";
    struct http_request *listener = rig_ask(r, "GET", "/v1/events", NULL);
    uint64_t held[SLOTS];
    for (int i = 0; i < SLOTS; i++) {
        held[i] = lease_in(ask(r, "/v1/acquire", ACQUIRE("")));
    }
    struct http_request *first = rig_ask(r, "POST", "/v1/acquire", waits);
    struct http_request *second = rig_ask(r, "POST", "/v1/acquire", "{\"resource\":\"chat\"}");
    turn(r);
    if (rig_parked(second)) {
        rig_hang_up(second);
    }
    for (int i = 0; i < SLOTS; i++) {
        if (held[i]) {
            rig_release_lease(r, held[i]);
        }
        turn(r);
    }
    assert_false(rig_parked(first));
    (void)answer_to(r, first); /* at most once */
    if (rig_parked(listener)) {
        rig_hang_up(listener);
    }
}

/* What cannot be made durable is taken back, and said to be. */
static void lose_the_store(struct rig *r)
{
    size_t from = r->answers_n;
    struct http_request *one = rig_ask(r, "POST", "/v1/acquire", ACQUIRE(""));
    struct http_request *array = rig_ask(r, "POST", "/v1/acquire", "[" ACQUIRE("") "]");
    driver_turn(&r->driver);
    rig_store_failing(r, true);
    for (int i = 0; i < 4; i++) {
        driver_turn(&r->driver);
    }
    assert_false(rig_parked(one) || rig_parked(array));
    for (size_t i = from; i < r->answers_n; i++) {
        const struct rig_answer *a = &r->answers[i];
        assert_true(a->status == 503 || a->status == -1 || strstr(a->body, "\"index\":0,"));
        assert_true(a->status == -1 || strstr(a->body, "store_failed") || memory_failed());
    }
    rig_store_failing(r, false);
    turn(r);
}

static void reload_and_drain(struct rig *r)
{
    struct resource resource = r->resource;
    struct policy policy = r->policy;
    policy.resources = &resource;
    resource.limits[0].amount = SLOTS + 1;
    int err = driver_configure(&r->driver, &policy);
    assert_true(err == 0 || memory_failed());
    turn(r);
    memory_pause(); /* the policies are this function's */
    assert_int_equal(driver_configure(&r->driver, &r->policy), 0);
}

typedef void conversation(struct rig *r);

/* Holds one conversation in which the nth allocation fails. False where it has fewer. */
static bool survives(conversation *hold, int nth)
{
    struct rig r;
    rig_init(&r, SLOTS);
    memory_fail(nth);
    hold(&r);
    memory_pause();
    struct lease_view view;
    while (core_lease_next(r.core, 0, &view)) {
        rig_release_lease(&r, view.lease);
        turn(&r);
    }
    bool failed = memory_failed();
    memory_fail(0);
    for (int i = 0; i < SLOTS; i++) {
        assert_int_equal(ask(&r, "/v1/acquire", ACQUIRE(""))->status, 200);
    }
    assert_true(driver_idle(&r.driver));
    rig_release(&r);
    return failed;
}

static void hold_all(conversation *hold, int least)
{
    int nth = 1;
    while (survives(hold, nth)) {
        nth++;
    }
    assert_true(nth > least);
}

static void test_asking_and_settling_survive_any_allocation_that_fails(void **state)
{
    (void)state;
    hold_all(acquire_and_release, 10);
}

static void test_every_element_of_an_array_has_its_line_whatever_allocation_fails(void **state)
{
    (void)state;
    hold_all(ask_in_arrays, 10);
}

static void test_looking_survives_any_allocation_that_fails(void **state)
{
    (void)state;
    hold_all(look, 5);
}

static void test_a_line_survives_any_allocation_that_fails(void **state)
{
    (void)state;
    hold_all(wait_in_line, 10);
}

static void test_a_failing_store_survives_any_allocation_that_fails(void **state)
{
    (void)state;
    hold_all(lose_the_store, 5);
}

static void test_a_reload_survives_any_allocation_that_fails(void **state)
{
    (void)state;
    hold_all(reload_and_drain, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asking_and_settling_survive_any_allocation_that_fails),
        cmocka_unit_test(test_every_element_of_an_array_has_its_line_whatever_allocation_fails),
        cmocka_unit_test(test_looking_survives_any_allocation_that_fails),
        cmocka_unit_test(test_a_line_survives_any_allocation_that_fails),
        cmocka_unit_test(test_a_failing_store_survives_any_allocation_that_fails),
        cmocka_unit_test(test_a_reload_survives_any_allocation_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
