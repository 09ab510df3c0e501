/* The file as a whole: where it comes from, its top-level keys, and what is refused at the door. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "check.h"
#include "config/config.h"
#include "config/problem.h"
#include "config/tree.h"
#include "journal/journal.h"

static struct config *parse(const char *yaml)
{
    struct config *config = NULL;
    struct buf why;
    buf_init(&why, 100000);
    if (config_parse(text_of(yaml), "file", &config, &why) != 0) {
        fail_msg("%s", why.at);
    }
    buf_release(&why);
    return config;
}

static void test_defaults(void **state)
{
    (void)state;
    struct config *c = parse("resources: {a: {}}");
    assert_int_equal(c->listens_n, 1);
    assert_string_equal(c->listens[0], "127.0.0.1:7411");
    assert_string_equal(c->store, "sluice.db");
    assert_int_equal(c->durability, DURABILITY_FULL);
    assert_int_equal(c->keys_n, 0);
    assert_int_equal(c->connections_max, 16000);
    assert_int_equal(c->body_bytes_max, 1000000);
    assert_int_equal(c->header_bytes_max, 16000);
    assert_int_equal(c->header_timeout_us, 10 * US_PER_S);
    assert_int_equal(c->body_timeout_us, 30 * US_PER_S);
    assert_int_equal(c->idle_timeout_us, 75 * US_PER_S);
    assert_int_equal(c->tickets_per_client_max, 200000);
    assert_int_equal(c->drain_us, 10 * US_PER_S);
    assert_int_equal(c->policy.leases_max, 1000000);
    assert_int_equal(c->policy.counters_max, 1000000);
    assert_null(c->alerts.webhook);
    assert_int_equal(c->alerts.fallback_share_ppm, 100000);
    assert_int_equal(c->alerts.backoff_us, 10 * US_PER_S);
    assert_int_equal(c->alerts.again_us, US_PER_MIN);
    assert_int_equal(c->ledger_keep_us, 90 * US_PER_DAY);
    config_free(c);
}

static void test_every_key_of_the_file_takes_effect(void **state)
{
    (void)state;
    struct config *c = parse("listen: [0.0.0.0:80, '[::1]:7411', localhost:0, unix:/run/s.sock]\n"
                             "store: /var/lib/sluice/store.db\n"
                             "durability: process\n"
                             "server:\n"
                             "  connections: 1k\n"
                             "  body_max: 64k\n"
                             "  header_max: 8192\n"
                             "  header_timeout: 1s\n"
                             "  body_timeout: 2s\n"
                             "  idle_timeout: 1m\n"
                             "  tickets_per_client: 5\n"
                             "  drain_timeout: 500ms\n"
                             "  leases: 77\n"
                             "  counters: 78\n"
                             "resources: {a: {}}\n");
    assert_int_equal(c->listens_n, 4);
    assert_string_equal(c->listens[0], "0.0.0.0:80");
    assert_string_equal(c->listens[1], "[::1]:7411");
    assert_string_equal(c->listens[2], "127.0.0.1:0");
    assert_string_equal(c->listens[3], "unix:/run/s.sock");
    assert_string_equal(c->store, "/var/lib/sluice/store.db");
    assert_int_equal(c->durability, DURABILITY_PROCESS);
    assert_int_equal(c->connections_max, 1000);
    assert_int_equal(c->body_bytes_max, 64000);
    assert_int_equal(c->header_bytes_max, 8192);
    assert_int_equal(c->header_timeout_us, US_PER_S);
    assert_int_equal(c->body_timeout_us, 2 * US_PER_S);
    assert_int_equal(c->idle_timeout_us, US_PER_MIN);
    assert_int_equal(c->tickets_per_client_max, 5);
    assert_int_equal(c->drain_us, 500 * US_PER_MS);
    assert_int_equal(c->policy.leases_max, 77);
    assert_int_equal(c->policy.counters_max, 78);
    config_free(c);
}

static void test_alerts_and_the_ledger_are_taken(void **state)
{
    (void)state;
    struct config *c = parse("alerts: {webhook: 'https://example.org/hook?a=b', again: 5m,\n"
                             "  fallback_share: 25%, backoff: 30s}\n"
                             "ledger: {keep: 400d}\n"
                             "resources: {a: {}}\n");
    assert_string_equal(c->alerts.webhook, "https://example.org/hook?a=b");
    assert_int_equal(c->alerts.fallback_share_ppm, 250000);
    assert_int_equal(c->alerts.backoff_us, 30 * US_PER_S);
    assert_int_equal(c->alerts.again_us, 5 * US_PER_MIN);
    assert_int_equal(c->ledger_keep_us, 400 * US_PER_DAY);
    config_free(c);
    c = parse("{ledger: {keep: forever}, resources: {a: {}}}");
    assert_int_equal(c->ledger_keep_us, 0);
    config_free(c);
}

static void test_durability_none_keeps_nothing(void **state)
{
    (void)state;
    struct config *c = parse("{durability: none, resources: {a: {}}}");
    assert_int_equal(c->durability, DURABILITY_NONE);
    config_free(c);
}

/* Writes a file of these bytes and loads it. */
static int load_bytes(const char *bytes, size_t len, struct config **config, struct buf *why)
{
    char path[] = "config-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    int error = config_load(path, config, why);
    unlink(path);
    return error;
}

static void test_a_file_is_read_from_disk_and_named_in_problems(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct buf why;
    buf_init(&why, 1000);
    assert_int_equal(load_bytes("resources: {a: {rpm: 1}}\n", 25, &c, &why), 0);
    assert_int_equal(c->policy.resources_n, 1);
    config_free(c);
    assert_int_equal(load_bytes("\nrsources: {}\n", 14, &c, &why), ERR_INVALID_REQUEST);
    assert_null(c);
    assert_int_equal(strncmp(why.at, "config-test-", 12), 0);
    assert_non_null(strstr(why.at, ":2: \"rsources\""));
    buf_release(&why);
}

static void test_a_file_that_cannot_be_read_is_named_with_the_reason(void **state)
{
    (void)state;
    struct config *c = (struct config *)&c;
    struct buf why;
    buf_init(&why, 1000);
    assert_int_equal(config_load("no/such/file.yaml", &c, &why), ERR_NOT_FOUND);
    assert_null(c);
    assert_string_equal(why.at, "no/such/file.yaml: cannot be read: No such file or directory\n");
    buf_clear(&why);
    assert_int_equal(config_load("/", &c, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.at, "/: cannot be read: "));
    buf_release(&why);
}

static void test_a_file_of_more_than_a_mebibyte_is_refused(void **state)
{
    (void)state;
    size_t len = TREE_BYTES_MAX + 1;
    char *bytes = malloc(len);
    assert_non_null(bytes);
    memset(bytes, '#', len);
    struct config *c = NULL;
    struct buf why;
    buf_init(&why, 1000);
    assert_int_equal(load_bytes(bytes, len, &c, &why), ERR_INVALID_REQUEST);
    assert_non_null(strstr(why.at, "larger than 1 MiB"));
    buf_clear(&why);
    memcpy(bytes, "resources: {a: {}}\n#", 20);
    assert_int_equal(load_bytes(bytes, len - 1, &c, &why), 0);
    config_free(c);
    buf_release(&why);
    free(bytes);
}

static void test_a_file_of_too_many_values_is_refused(void **state)
{
    (void)state;
    struct buf yaml, why;
    struct config *c = NULL;
    buf_init(&yaml, TREE_BYTES_MAX);
    buf_init(&why, 10000);
    buf_add_char(&yaml, '[');
    for (int i = 0; i < TREE_NODES_MAX; i++) {
        buf_add_str(&yaml, "a,");
    }
    buf_add_char(&yaml, ']');
    assert_int_equal(config_parse(buf_text(&yaml), "file", &c, &why), ERR_INVALID_REQUEST);
    assert_string_equal(why.at, "file:1: the file has more than 200,000 values\n");
    buf_release(&yaml);
    buf_release(&why);
}

/* Loads a file of a head and `n` members, in which each # stands for a number. */
static int load_many(const char *head, const char *member, int n, struct buf *why)
{
    struct buf yaml;
    struct config *c = NULL;
    buf_init(&yaml, 2 * TREE_BYTES_MAX);
    buf_add_str(&yaml, head);
    for (int i = 1; i <= n; i++) {
        for (const char *at = member; *at; at++) {
            if (*at == '#') {
                buf_add_i64(&yaml, i);
            } else {
                buf_add_char(&yaml, *at);
            }
        }
    }
    assert_false(yaml.failed);
    int error = config_parse(buf_text(&yaml), "file", &c, why);
    config_free(c);
    buf_release(&yaml);
    return error;
}

static void test_pools_tenants_and_keys_are_taken_up_to_their_caps(void **state)
{
    (void)state;
    static const struct {
        const char *head, *member;
        int max;
        const char *problem;
    } rows[] = {
        {"resources:\n", " r#: {limits: [{shared: p#, unit: slots, amount: 1}]}\n", 256,
         "file:258: resources.r257.limits[1].shared: more than 256 pools are named\n"},
        {"resources: {a: {}}\ntenants:\n", " t#: {}\n", 65536,
         "file:3: tenants: more than 65536\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf why;
        buf_init(&why, 10000);
        assert_int_equal(load_many(rows[i].head, rows[i].member, rows[i].max, &why), 0);
        assert_int_equal(load_many(rows[i].head, rows[i].member, rows[i].max + 1, &why),
                         ERR_INVALID_REQUEST);
        assert_string_equal(why.at, rows[i].problem);
        buf_release(&why);
    }
}

static void test_more_keys_than_the_cap_are_refused_before_they_are_read(void **state)
{
    (void)state;
    struct buf why;
    buf_init(&why, 10000);
    assert_int_equal(load_many("resources: {a: {}}\nkeys:\n", " - #\n", 4097, &why),
                     ERR_INVALID_REQUEST);
    assert_string_equal(why.at, "file:3: keys: more than 4096\n");
    buf_release(&why);
}

static void test_problems_beyond_the_cap_are_counted(void **state)
{
    (void)state;
    struct buf yaml, why;
    buf_init(&yaml, 100000);
    buf_init(&why, 100000);
    buf_add_str(&yaml, "resources:\n  a:\n");
    for (int i = 0; i < PROBLEMS_MAX + 20; i++) {
        buf_addf(&yaml, "    wrong%d: 1\n", i);
    }
    struct config *c = NULL;
    assert_int_equal(config_parse(buf_text(&yaml), "file", &c, &why), ERR_INVALID_REQUEST);
    assert_non_null(strstr(why.at, "file: and 20 more\n"));
    buf_release(&yaml);
    buf_release(&why);
}

static void test_a_report_is_cut_at_the_cap_of_its_buffer(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct buf why;
    buf_init(&why, 10);
    assert_int_equal(config_parse(TEXT("{a: 1}"), "file", &c, &why), ERR_INVALID_REQUEST);
    assert_true(why.len <= 10);
    buf_release(&why);
}

static void test_many_resources_are_taken_up_to_the_cap(void **state)
{
    (void)state;
    for (int n = 4096; n <= 4097; n++) {
        struct buf yaml, why;
        buf_init(&yaml, TREE_BYTES_MAX);
        buf_init(&why, 10000);
        buf_add_str(&yaml, "resources:\n");
        for (int i = 0; i < n; i++) {
            buf_addf(&yaml, "  model-%d: {rpm: 5}\n", i);
        }
        assert_false(yaml.failed);
        struct config *c = NULL;
        int error = config_parse(buf_text(&yaml), "file", &c, &why);
        if (n == 4096) {
            assert_int_equal(error, 0);
            assert_int_equal(c->policy.resources_n, 4096);
            assert_string_equal(c->policy.resources[4095].name, "model-4095");
        } else {
            assert_int_equal(error, ERR_INVALID_REQUEST);
            assert_string_equal(why.at, "file:2: resources: more than 4096\n");
        }
        config_free(c);
        buf_release(&yaml);
        buf_release(&why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_key_of_the_file_takes_effect),
        cmocka_unit_test(test_alerts_and_the_ledger_are_taken),
        cmocka_unit_test(test_durability_none_keeps_nothing),
        cmocka_unit_test(test_a_file_is_read_from_disk_and_named_in_problems),
        cmocka_unit_test(test_a_file_that_cannot_be_read_is_named_with_the_reason),
        cmocka_unit_test(test_a_file_of_more_than_a_mebibyte_is_refused),
        cmocka_unit_test(test_a_file_of_too_many_values_is_refused),
        cmocka_unit_test(test_pools_tenants_and_keys_are_taken_up_to_their_caps),
        cmocka_unit_test(test_more_keys_than_the_cap_are_refused_before_they_are_read),
        cmocka_unit_test(test_problems_beyond_the_cap_are_counted),
        cmocka_unit_test(test_a_report_is_cut_at_the_cap_of_its_buffer),
        cmocka_unit_test(test_many_resources_are_taken_up_to_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
