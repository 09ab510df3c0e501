/* What an answer of the provider makes of a resource, as those see it who ask over the API. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "rig.h"

#define LEASE_NAME_LEN 19

static struct rig rig;

static int set_up(void **state)
{
    (void)state;
    rig_init(&rig, 100);
    rig.resource.feedback = feedback_default;
    return driver_configure(&rig.driver, &rig.policy);
}

static int tear_down(void **state)
{
    (void)state;
    rig_release(&rig);
    return 0;
}

/* The answer to a request, once what it changed is durable. */
static const struct rig_answer *ask(const char *method, const char *path, const char *body)
{
    rig.answers_n = 0;
    const struct http_request *peer = rig_ask(&rig, method, path, body);
    driver_turn(&rig.driver);
    rig_store_durable(&rig);
    driver_turn(&rig.driver);
    for (size_t i = 0; i < rig.answers_n; i++) {
        if (rig.answers[i].peer == peer) {
            return &rig.answers[i];
        }
    }
    fail_msg("%s %s was not answered", method, path);
    return NULL;
}

static void expect(const struct rig_answer *answer, int status, const char *words)
{
    if (answer->status != status || !strstr(answer->body, words)) {
        fail_msg("%d %s, where %d %s was expected", answer->status, answer->body, status, words);
    }
}

static void call_with(const char *acquire, const char *outcome, struct rig_answer *released)
{
    const struct rig_answer *granted = ask("POST", "/v1/acquire", acquire);
    expect(granted, 200, "\"lease\":\"ls_");
    char body[RIG_BODY_MAX];
    const char *lease = strstr(granted->body, "ls_");
    snprintf(body, sizeof(body), "{\"lease\":\"%.*s\",%s}", LEASE_NAME_LEN, lease, outcome);
    *released = *ask("POST", "/v1/release", body);
}

#define CHAT "{\"resource\":\"chat\"}"
#define REFUSED_FOR_A_MINUTE                                                                       \
    "\"status\":429,\"headers\":{\"Retry-After\":\"60\"},\"error\":{\"error\":"                    \
    "{\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\",\"message\":\"Rate limit reached\"}}"

static void test_a_refusal_closes_the_resource_and_advises_a_retry(void **state)
{
    struct rig_answer released;
    (void)state;
    call_with(CHAT, REFUSED_FOR_A_MINUTE, &released);
    expect(&released, 200, "\"advice\":{\"action\":\"retry\",\"after_ms\":");
    expect(&released, 200, "\"ticket\":\"tk_");
    expect(&released, 200, "\"reason\":\"wait\"");
    const struct rig_answer *seen = ask("GET", "/v1/resources/chat", "");
    expect(seen, 200, "\"state\":{\"name\":\"paused\",\"since_ms\":1");
    expect(seen, 200, "\"why\":\"wait\",\"reason\":\"rate_limit_exceeded\",\"rate\":0");
    expect(seen, 200, "\"refusals_in_a_row\":1}");
    expect(seen, 200, "\"retries\":1,");
    expect(seen, 200, "\"answers\":{\"wait\":1}");
}

static void test_who_would_not_wait_that_long_is_told_the_state(void **state)
{
    struct rig_answer released;
    (void)state;
    call_with(CHAT, REFUSED_FOR_A_MINUTE, &released);
    const struct rig_answer *refused =
        ask("POST", "/v1/acquire", "{\"resource\":\"chat\",\"wait_ms\":1000}");
    expect(refused, 503, "\"code\":\"breaker_open\"");
    expect(refused, 503, "the provider is failing: the resource is in state `paused`");
    expect(refused, 503, "\"retry_after_ms\":");
    expect(refused, 503, "\"state\":\"paused\"");
}

static void test_a_retry_comes_back_with_its_ticket_in_its_place(void **state)
{
    struct rig_answer released;
    char body[RIG_BODY_MAX];
    (void)state;
    rig.resource.feedback.pause_us = 0;
    rig.resource.feedback.backoff_us = 0;
    assert_int_equal(driver_configure(&rig.driver, &rig.policy), 0);
    call_with("{\"resource\":\"chat\",\"load\":70}", "\"status\":529", &released);
    expect(&released, 200, "\"advice\":{\"action\":\"retry\",\"after_ms\":0,\"ticket\":");
    const char *ticket = strstr(released.body, "tk_");
    snprintf(body, sizeof(body), "{\"ticket\":\"%.*s\"}", LEASE_NAME_LEN, ticket);
    const struct rig_answer *again = ask("POST", "/v1/acquire", body);
    expect(again, 200, "\"tokens\":70,");
    expect(again, 200, "\"attempt\":2");
}

static void test_no_more_attempts_than_the_request_allows_are_advised(void **state)
{
    struct rig_answer released;
    (void)state;
    call_with("{\"resource\":\"chat\",\"max_attempts\":1}", REFUSED_FOR_A_MINUTE, &released);
    expect(&released, 200, "\"action\":\"give_up\"");
    expect(&released, 200, "\"reason\":\"attempts\"");
    expect(ask("POST", "/v1/acquire", "{\"resource\":\"chat\",\"max_attempts\":0}"), 400,
           "max_attempts");
    expect(ask("POST", "/v1/acquire", "{\"resource\":\"chat\",\"max_attempts\":101}"), 400,
           "max_attempts");
}

static void test_no_money_is_never_retried(void **state)
{
    struct rig_answer released;
    (void)state;
    call_with(CHAT,
              "\"status\":429,\"error\":{\"error\":{\"type\":\"insufficient_quota\","
              "\"code\":\"insufficient_quota\",\"message\":\"You exceeded your current quota\"}}",
              &released);
    expect(&released, 200, "\"action\":\"give_up\",\"after_ms\":0,\"reason\":\"out_of_money\"");
    expect(ask("GET", "/v1/resources/chat", ""), 200, "\"name\":\"out_of_money\"");
    expect(ask("POST", "/v1/acquire", CHAT), 503, "\"state\":\"out_of_money\"");
}

static void test_one_overload_closes_nothing_but_is_counted(void **state)
{
    struct rig_answer released;
    (void)state;
    call_with(CHAT,
              "\"status\":529,\"error\":{\"type\":\"error\",\"error\":"
              "{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
              &released);
    expect(&released, 200, "\"action\":\"retry\"");
    const struct rig_answer *seen = ask("GET", "/v1/resources/chat", "");
    expect(seen, 200,
           "\"state\":{\"name\":\"ok\",\"since_ms\":null,\"until_ms\":null,\"why\":null");
    expect(seen, 200, "\"answers\":{\"overload\":1}");
}

static void test_an_operator_reopens_what_was_closed(void **state)
{
    struct rig_answer released;
    (void)state;
    call_with(CHAT, REFUSED_FOR_A_MINUTE, &released);
    const struct rig_answer *reopened = ask("POST", "/v1/resources/chat/reopen", "");
    expect(reopened, 200, "{\"resource\":\"chat\",\"state\":{\"name\":\"ok\",");
    expect(reopened, 200, "\"rate\":1,\"refusals_in_a_row\":0}}");
    expect(ask("POST", "/v1/acquire", CHAT), 200, "\"lease\"");
    expect(ask("POST", "/v1/resources/chat/reopen", "{}"), 200, "\"name\":\"ok\"");
}

static void test_what_cannot_be_reopened_is_refused(void **state)
{
    (void)state;
    expect(ask("POST", "/v1/resources/other/reopen", ""), 404, "unknown_resource");
    expect(ask("POST", "/v1/resources/%zz/reopen", ""), 404, "unknown_resource");
    expect(ask("POST", "/v1/resources//reopen", ""), 404, "unknown_resource");
    expect(ask("POST", "/v1/resources/chat/reopen", "{\"now\":true}"), 400, "unknown field `now`");
    expect(ask("POST", "/v1/resources/chat/reopen", "[]"), 400, "invalid_request");
    expect(ask("GET", "/v1/resources/chat/reopen", ""), 405, "method_not_allowed");
    expect(ask("POST", "/v1/resources/chat", ""), 405, "method_not_allowed");
    expect(ask("POST", "/v1/resources/", ""), 405, "method_not_allowed");
    expect(ask("GET", "/v1/resources/", ""), 404, "unknown_resource");
}

static void test_a_change_of_state_is_an_event(void **state)
{
    struct rig_answer released;
    (void)state;
    const struct http_request *listener = rig_ask(&rig, "GET", "/v1/events?kind=state", "");
    call_with(CHAT, REFUSED_FOR_A_MINUTE, &released);
    (void)ask("POST", "/v1/resources/chat/reopen", "");
    const char *heard = NULL;
    for (size_t i = 0; i < rig.answers_n; i++) {
        if (rig.answers[i].peer == listener) {
            heard = rig.answers[i].body;
        }
    }
    assert_non_null(heard);
    assert_non_null(strstr(heard, "event: state\ndata: {\"at_ms\":"));
    assert_non_null(
        strstr(heard, "\"resource\":\"chat\",\"was\":\"paused\",\"state\":{\"name\":\"ok\""));
}

/* --- Routes. --- */

static struct resource both[2];
static struct route route;

/* "chat", and behind it "other", of one slot each. */
static int set_up_route(void **state)
{
    (void)set_up(state);
    route = (struct route){.name = "best",
                           .steps = {{.resource = 0}, {.resource = 1, .model = "small"}},
                           .steps_n = 2,
                           .finally = FINALLY_STATIC,
                           .static_answer = "come back later"};
    both[0] = rig.resource;
    both[0].limits[0].amount = 1;
    both[1] = both[0];
    memcpy(both[1].name, "other", sizeof("other"));
    rig.policy.resources = both;
    rig.policy.resources_n = 2;
    rig.policy.routes = &route;
    rig.policy.routes_n = 1;
    return driver_configure(&rig.driver, &rig.policy);
}

#define BEST "{\"route\":\"best\",\"wait_ms\":0}"

static void test_a_grant_by_a_route_says_which_step_served_and_why_not_the_first(void **state)
{
    (void)state;
    expect(ask("POST", "/v1/acquire", BEST), 200,
           "\"resource\":\"chat\",\"model\":\"chat\",\"route\":\"best\",\"step\":1,\"passed\":[]");
    expect(ask("POST", "/v1/acquire", BEST), 200,
           "\"resource\":\"other\",\"model\":\"small\",\"route\":\"best\",\"step\":2,"
           "\"passed\":[{\"resource\":\"chat\",\"reason\":\"deadline\"}]");
    expect(ask("GET", "/v1/resources", ""), 200,
           "\"routes\":[{\"route\":\"best\",\"accounts\":false,\"waiting\":0,\"steps\":["
           "{\"resource\":\"chat\",\"step\":1,\"granted\":1},{\"resource\":\"other\",\"step\":2,"
           "\"granted\":1}],"
           "\"passed\":{\"deadline\":1},\"exhausted\":0");
    const struct rig_answer *metrics = ask("GET", "/metrics", "");
    expect(metrics, 200,
           "sluice_route_granted_total{route=\"best\",resource=\"other\",step=\"2\"} 1\n");
    expect(metrics, 200, "sluice_route_passed_total{route=\"best\",reason=\"deadline\"} 1\n");
    expect(metrics, 200, "sluice_alerts_total{alert=\"fallback_share\",resource=\"best\"} 0\n");
}

static void test_a_route_with_nothing_left_says_what_to_do_instead(void **state)
{
    (void)state;
    both[0].line_len_max = both[1].line_len_max = 1;
    struct rig_answer released;
    for (int i = 0; i < 2; i++) {
        call_with(BEST, REFUSED_FOR_A_MINUTE, &released);
    }
    const struct rig_answer *refused = ask("POST", "/v1/acquire", BEST);
    expect(refused, 503, "\"code\":\"route_exhausted\"");
    expect(refused, 503, "`chat`: paused, `other`: paused");
    expect(refused, 503, "\"finally\":\"static\",\"static_answer\":\"come back later\"");
    expect(refused, 503, "\"passed\":[{\"resource\":\"chat\",\"reason\":\"paused\"},");
}

/* What was told to a listener last. */
static const char *heard_by(const struct http_request *listener)
{
    const char *heard = "";
    for (size_t i = 0; i < rig.answers_n; i++) {
        heard = rig.answers[i].peer == listener ? rig.answers[i].body : heard;
    }
    return heard;
}

/* A minute of grants by the route, of which a tenth at most is to be fallbacks. */
static const char *alert_after(int grants, int64_t slots_of_the_first)
{
    both[0].limits[0].amount = slots_of_the_first;
    both[1].limits[0].amount = 100;
    assert_int_equal(driver_configure(&rig.driver, &rig.policy), 0);
    const struct http_request *listener = rig_ask(&rig, "GET", "/v1/events?kind=alert", "");
    driver_look_around(&rig.driver);
    for (int i = 0; i < grants; i++) {
        expect(ask("POST", "/v1/acquire", BEST), 200, "\"route\":\"best\"");
    }
    rig.clock.wall_us += US_PER_MIN;
    (void)ask("GET", "/v1/resources", "");
    expect(ask("POST", "/v1/acquire", "{\"resource\":\"other\"}"), 200, "\"lease\"");
    driver_look_around(&rig.driver);
    driver_turn(&rig.driver);
    return heard_by(listener);
}

static void test_a_route_of_which_more_than_a_tenth_falls_back_is_an_alert(void **state)
{
    (void)state;
    const char *alert = alert_after(20, 17);
    assert_non_null(strstr(alert, "\"resource\":\"best\",\"alert\":\"fallback_share\""));
    assert_non_null(strstr(alert, "\"share\":0.15"));
    assert_non_null(strstr(alert, "route best: 15 % of what it granted in the last minute were"));
    expect(ask("GET", "/metrics", ""), 200,
           "sluice_alerts_total{alert=\"fallback_share\",resource=\"best\"} 1\n");
}

static void test_a_tenth_of_fallbacks_is_no_alert(void **state)
{
    (void)state;
    assert_string_equal(alert_after(20, 18), "");
}

static void test_a_request_names_a_resource_or_a_route(void **state)
{
    (void)state;
    expect(ask("POST", "/v1/acquire", "{\"route\":\"best\",\"resource\":\"chat\"}"), 400,
           "`resource` and `route` exclude each other");
    expect(ask("POST", "/v1/acquire", "{}"), 400, "or name a `route`");
    expect(ask("POST", "/v1/acquire", "{\"route\":\"none\"}"), 404, "unknown_resource");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_refusal_closes_the_resource_and_advises_a_retry),
        TEST(test_who_would_not_wait_that_long_is_told_the_state),
        TEST(test_a_retry_comes_back_with_its_ticket_in_its_place),
        TEST(test_no_more_attempts_than_the_request_allows_are_advised),
        TEST(test_no_money_is_never_retried),
        TEST(test_one_overload_closes_nothing_but_is_counted),
        TEST(test_an_operator_reopens_what_was_closed),
        TEST(test_what_cannot_be_reopened_is_refused),
        TEST(test_a_change_of_state_is_an_event),
#define TEST_ROUTE(name) cmocka_unit_test_setup_teardown(name, set_up_route, tear_down)
        TEST_ROUTE(test_a_grant_by_a_route_says_which_step_served_and_why_not_the_first),
        TEST_ROUTE(test_a_route_with_nothing_left_says_what_to_do_instead),
        TEST_ROUTE(test_a_route_of_which_more_than_a_tenth_falls_back_is_an_alert),
        TEST_ROUTE(test_a_tenth_of_fallbacks_is_no_alert),
        TEST_ROUTE(test_a_request_names_a_resource_or_a_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
