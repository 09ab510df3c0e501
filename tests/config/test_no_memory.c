/*
 * What loading does when memory is refused at the n-th allocation, for every n: it says so, and
 * leaves nothing behind (which the leak checker sees). The allocator is wrapped at link time, so
 * it is our own allocations that fail; libyaml's are stood for by its functions that report them.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/error.h"
#include "check.h"
#include "config/config.h"
#include "support/memory.h"

int __real_yaml_parser_initialize(yaml_parser_t *parser);
int __real_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event);
int __wrap_yaml_parser_initialize(yaml_parser_t *parser);
int __wrap_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event);

int __wrap_yaml_parser_initialize(yaml_parser_t *parser)
{
    return memory_refuses() ? 0 : __real_yaml_parser_initialize(parser);
}

int __wrap_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event)
{
    if (memory_refuses()) {
        parser->error = YAML_MEMORY_ERROR;
        return 0;
    }
    return __real_yaml_parser_parse(parser, event);
}

static const char good[] =
    "listen: [127.0.0.1:1, localhost:2]\n"
    "keys:\n"
    "  - {name: a, hash: "
    "\"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}\n"
    "tenants: {t: {weight: 2}}\n"
    "alerts: {webhook: \"http://example.org/\"}\n"
    "resources:\n"
    "  a: {provider: gemini, rpm: 5, rpd: 10, price: {input: 1, output: 2}, "
    "limits: [{unit: usd, amount: 1, per: day}]}\n"
    "  b: {limits: [{unit: requests, amount: 1, per: day, zone: Europe/Berlin}]}\n"
    "  c: {rpm: 9, accounts: {x: {rpm: 5}, y: {}}}\n"
    "routes: {r: {try: [c, a], finally: {static: none}}}\n";

static const char bad[] = "listen: x\nresources:\n  a: {rpm: x, rpm: 5}\n  b: 5\nfoo: {}\n";

/* Whether some allocation was still refused, so that there may be a further one. */
static bool fail_once(const char *yaml, int nth, int without_failure)
{
    struct config *config = NULL;
    struct buf why;
    buf_init(&why, 10000);
    memory_fail(nth);
    int error = config_parse(text_of(yaml), "file", &config, &why);
    memory_pause();
    bool was_refused = memory_failed();
    if (!was_refused) {
        assert_int_equal(error, without_failure);
    } else {
        /* A message that could not be written is no reason to take the file. */
        assert_true(error == ERR_NO_MEMORY || (without_failure && error == without_failure));
        assert_null(config);
    }
    config_free(config);
    buf_release(&why);
    return was_refused;
}

static void test_a_good_file_is_not_half_loaded(void **state)
{
    (void)state;
    int nth = 1;
    while (fail_once(good, nth, 0)) {
        nth++;
    }
    assert_true(nth > 20);
}

static void test_a_bad_file_is_refused_all_the_same(void **state)
{
    (void)state;
    int nth = 1;
    while (fail_once(bad, nth, ERR_INVALID_REQUEST)) {
        nth++;
    }
    assert_true(nth > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_file_is_not_half_loaded),
        cmocka_unit_test(test_a_bad_file_is_refused_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
