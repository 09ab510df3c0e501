#include "config/access.h"

#include <stdlib.h>
#include <string.h>

#include "config/hint.h"
#include "config/key.h"

static const struct key_row tenant_rows[] = {
    {"weight", read_amount, 0, NULL, 1, WEIGHT_MAX, "a whole number from 1 to 1000", "1",
     "The tenant's share of a contended resource, against that of the others."},
};

const struct section tenant_section = {"Tenants (`tenants.NAME`)", tenant_rows,
                                       sizeof(tenant_rows) / sizeof(tenant_rows[0]), "{weight: 2}"};

void tenants_read(struct problems *p, const struct node *map, struct policy *policy)
{
    struct place at = {.name = TEXT("tenants")};
    void *array;
    if (!map_wanted(p, &at, map, TENANTS_MAX, sizeof(struct tenant_weight), &array)) {
        return;
    }
    policy->weights = array;
    for (const struct node *n = map->first; n; n = n->next) {
        struct place here = {.up = &at, .name = n->key->text};
        struct setting weight = {1, 0};
        if (!name_allowed(n->key->text)) {
            problem_add(p, n->key->line, "tenants: a tenant's name has 1 to %d printable bytes",
                        NAME_LEN_MAX);
            continue;
        }
        section_read(p, &here, &tenant_section, n, &weight);
        struct tenant_weight *w = &policy->weights[policy->weights_n++];
        name_copy(w->tenant, n->key->text);
        w->weight = (int32_t)weight.value;
    }
}

struct key_draft {
    struct word name, hash, tenant;
    const struct node *rights;
};

static const struct key_row key_rows[] = {
    {"name", read_name, offsetof(struct key_draft, name), NULL, 0, 0,
     "a name of 1 to 128 printable bytes", "required", "What logs and metrics call the key."},
    {"hash", read_word, offsetof(struct key_draft, hash), NULL, 0, 0,
     "\"sha256:\" and 64 hexadecimal digits", "required",
     "The key's SHA-256; `sluice key` makes a key and prints this line."},
    {"tenant", read_name, offsetof(struct key_draft, tenant), NULL, 0, 0, "a tenant's name",
     "requests may name any tenant", "Every request with this key is this tenant's."},
    {"rights", read_node, offsetof(struct key_draft, rights), NULL, 0, 0,
     "a list of acquire, read, admin", "[acquire, read]",
     "What the key may do: take and settle leases; see resources, leases and metrics; everything "
     "of every tenant."},
};

const struct section key_section = {"API keys (`keys[]`)", key_rows,
                                    sizeof(key_rows) / sizeof(key_rows[0]),
                                    "{name: batch, hash: \"sha256:…\"}"};

static const char *const right_names[] = {"acquire", "read", "admin"};

static unsigned read_rights(struct problems *p, const struct place *up, const struct node *list)
{
    struct place at = {.up = up, .name = TEXT("rights")};
    char where[PLACE_LEN_MAX];
    unsigned rights = 0;
    if (!list_wanted(p, &at, list, "a list of acquire, read, admin")) {
        return 0;
    }
    for (const struct node *n = list->first; n; n = n->next) {
        size_t i = 0;
        while (i < 3 && !text_equal(n->text, text_of(right_names[i]))) {
            i++;
        }
        if (i == 3) {
            problem_add(p, n->line, "%s: \"%.*s\" is not one of acquire, read, admin%s",
                        place_text(&at, where), shown_len(n->text), n->text.at,
                        hint_name(n->text, choice_name, right_names, 3).text);
        } else {
            rights |= 1u << i;
        }
    }
    if (!list->first) {
        problem_add(p, list->line, "%s: none is given", place_text(&at, where));
    }
    return rights;
}

static void read_key(struct problems *p, const struct place *at, const struct node *n,
                     struct api_key *key)
{
    struct key_draft d = {.rights = NULL};
    char where[PLACE_LEN_MAX];
    section_read(p, at, &key_section, n, &d);
    if (n->kind == NODE_MAP && (!d.name.line || !d.hash.line)) {
        problem_add(p, n->line, "%s: a key has a \"name\" and a \"hash\"", place_text(at, where));
        return;
    }
    if (d.hash.line > 0 && !key_hash_read(d.hash.text, key->hash)) {
        problem_add(p, d.hash.line,
                    "%s.hash: \"%.*s\" is not \"sha256:\" and 64 hexadecimal digits",
                    place_text(at, where), shown_len(d.hash.text), d.hash.text.at);
    }
    name_copy(key->name, d.name.text);
    name_copy(key->tenant, d.tenant.text);
    key->rights = d.rights ? read_rights(p, at, d.rights) : RIGHT_ACQUIRE | RIGHT_READ;
}

/* The newest key against those before it. */
static void check_twin(struct problems *p, int line, const struct config *config)
{
    static const unsigned char none[KEY_HASH_LEN];
    const struct api_key *key = &config->keys[config->keys_n - 1];
    for (const struct api_key *other = config->keys; other < key; other++) {
        if (key->name[0] && strcmp(other->name, key->name) == 0) {
            problem_add(p, line, "keys: two keys are called \"%s\"", key->name);
            return;
        }
        if (memcmp(other->hash, none, KEY_HASH_LEN) != 0 &&
            memcmp(other->hash, key->hash, KEY_HASH_LEN) == 0) {
            problem_add(p, line, "keys: \"%s\" and \"%s\" have the same hash", other->name,
                        key->name);
            return;
        }
    }
}

void keys_read(struct problems *p, const struct node *list, struct config *config)
{
    struct place at = {.name = TEXT("keys")};
    if (!list_wanted(p, &at, list, "a list of keys, as `sluice key` prints them")) {
        return;
    }
    if (list->members > KEYS_MAX) {
        problem_add(p, list->line, "keys: more than %d", KEYS_MAX);
        return;
    }
    config->keys = calloc(list->members + 1, sizeof(struct api_key));
    if (!config->keys) {
        p->no_memory = true;
        return;
    }
    for (const struct node *n = list->first; n; n = n->next) {
        struct place here = {.up = &at, .index = config->keys_n + 1};
        struct api_key *key = &config->keys[config->keys_n];
        read_key(p, &here, n, key);
        config->keys_n++;
        check_twin(p, n->line, config);
    }
}
