/*
 * The documentation and the examples against the tables that read the configuration.
 *
 *     test_reference docs/configuration.md EXAMPLE...
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "check.h"
#include "config/config.h"
#include "config/profile.h"
#include "config/reference.h"
#include "config/schema.h"

static char **paths;
static int paths_n;

static void read_file(const char *path, struct buf *b)
{
    char piece[4096];
    size_t n;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while ((n = fread(piece, 1, sizeof(piece), file)) > 0) {
        buf_add(b, piece, n);
    }
    fclose(file);
    assert_false(b->failed);
}

static void test_the_documentation_holds_the_reference_word_for_word(void **state)
{
    (void)state;
    struct buf docs, reference;
    buf_init(&docs, 1u << 20);
    buf_init(&reference, 1u << 20);
    read_file(paths[0], &docs);
    reference_write(&reference);
    assert_false(reference.failed);
    bool holds = strstr(docs.at, reference.at) != NULL;
    buf_release(&docs);
    buf_release(&reference);
    if (!holds) {
        fail_msg("%s differs: put the output of \"sluice help config\" there", paths[0]);
    }
}

static void test_every_example_is_a_good_configuration(void **state)
{
    (void)state;
    assert_true(paths_n > 1);
    for (int i = 1; i < paths_n; i++) {
        struct config *config = NULL;
        struct buf why;
        buf_init(&why, 100000);
        int error = config_load(paths[i], &config, &why);
        if (error) {
            fail_msg("%s", why.at ? why.at : error_name((enum error_code)error));
        }
        config_free(config);
        buf_release(&why);
    }
}

/* The YAML of each fenced block of the documentation that begins with ```yaml. */
static void test_every_example_in_the_documentation_is_good(void **state)
{
    (void)state;
    struct buf docs;
    int seen = 0;
    buf_init(&docs, 1u << 20);
    read_file(paths[0], &docs);
    for (const char *at = docs.at; (at = strstr(at, "```yaml\n"));) {
        const char *yaml = at + 8;
        const char *end = strstr(yaml, "```");
        assert_non_null(end);
        struct config *config = NULL;
        struct buf why;
        buf_init(&why, 100000);
        if (config_parse((struct text){yaml, (size_t)(end - yaml)}, "block", &config, &why)) {
            fail_msg("%s%.*s", why.at ? why.at : "", (int)(end - yaml), yaml);
        }
        config_free(config);
        buf_release(&why);
        at = end;
        seen++;
    }
    buf_release(&docs);
    assert_true(seen > 0);
}

static void test_every_profile_has_a_rule_for_every_unit_of_a_provider(void **state)
{
    (void)state;
    const struct profile *profile;
    for (size_t i = 0; (profile = profile_at(i)); i++) {
        assert_ptr_equal(profile_find(text_of(profile->name)), profile);
        for (int unit = UNIT_REQUESTS; unit <= UNIT_OUTPUT_TOKENS; unit++) {
            const struct profile_rule *rule = profile_rule(profile, (enum unit)unit, SPAN_ANY);
            assert_true(rule >= profile->rules && rule < profile->rules + profile->rules_n);
            assert_int_equal(rule->unit, unit);
            assert_true(strlen(rule->source) > 0);
        }
    }
    assert_null(profile_find(TEXT("nobody")));
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return 2;
    }
    paths = argv + 1;
    paths_n = argc - 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_documentation_holds_the_reference_word_for_word),
        cmocka_unit_test(test_every_example_is_a_good_configuration),
        cmocka_unit_test(test_every_example_in_the_documentation_is_good),
        cmocka_unit_test(test_every_profile_has_a_rule_for_every_unit_of_a_provider),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
