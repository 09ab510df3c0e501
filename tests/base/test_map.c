#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "support/random.h"

#define KEYS 3000

struct item {
    struct map_node node;
    uint64_t key;
    bool in;
};

static void insert(struct map *m, struct item *item, uint64_t hash)
{
    assert_int_equal(map_reserve(m), 0);
    map_insert(m, &item->node, hash);
    item->in = true;
}

static struct item *find(const struct map *m, uint64_t hash, uint64_t key)
{
    for (struct map_node *n = map_find(m, hash); n; n = map_next_equal(n)) {
        struct item *item = CONTAINER_OF(n, struct item, node);
        if (item->key == key) {
            return item;
        }
    }
    return NULL;
}

static void test_an_empty_map_finds_nothing(void **state)
{
    (void)state;
    struct map m;
    map_init(&m);
    assert_null(map_find(&m, 0));
    map_release(&m);
}

static void test_keys_of_one_hash_are_all_found(void **state)
{
    (void)state;
    struct map m;
    map_init(&m);
    static struct item items[500];
    for (uint64_t i = 0; i < 500; i++) {
        items[i].key = i;
        insert(&m, &items[i], 42);
        for (uint64_t j = 0; j <= i; j++) {
            assert_ptr_equal(find(&m, 42, j), &items[j]);
        }
    }
    assert_null(map_find(&m, 43));
    map_release(&m);
}

static void test_a_map_is_emptied_node_by_node(void **state)
{
    (void)state;
    struct map m;
    map_init(&m);
    static struct item items[100];
    struct random r = {3};
    for (size_t i = 0; i < 100; i++) {
        insert(&m, &items[i], random_u64(&r));
    }
    for (size_t left = 100; left > 0; left--) {
        assert_int_equal(m.len, left);
        map_remove(&m, &items[left - 1].node);
        assert_null(find(&m, items[left - 1].node.hash, items[left - 1].key));
    }
    map_release(&m);
}

struct visits {
    size_t seen;
    uint64_t sum;
};

static void visit(void *ctx, struct map_node *node)
{
    struct visits *visits = ctx;
    visits->seen++;
    visits->sum += CONTAINER_OF(node, struct item, node)->key;
}

/* Each node is visited once, also while chains are on their way to a larger table. */
static void test_each_visits_every_node_once_while_the_map_grows(void **state)
{
    (void)state;
    struct map m;
    map_init(&m);
    static struct item items[200];
    struct random r = {4};
    uint64_t sum = 0;
    for (uint64_t i = 0; i < 200; i++) {
        items[i].key = i;
        sum += i;
        insert(&m, &items[i], random_u64(&r));
        struct visits visits = {0};
        map_each(&m, visit, &visits);
        assert_int_equal(visits.seen, i + 1);
        assert_int_equal(visits.sum, sum);
    }
    map_release(&m);
}

static void record_order(void *ctx, struct map_node *node)
{
    uint64_t **next = ctx;
    *(*next)++ = CONTAINER_OF(node, struct item, node)->key;
}

static void fill_and_list(uint64_t order[100])
{
    struct map m;
    map_init(&m);
    static struct item items[100];
    struct random r = {5};
    for (uint64_t i = 0; i < 100; i++) {
        items[i] = (struct item){.key = i};
        insert(&m, &items[i], random_u64(&r));
    }
    uint64_t *next = order;
    map_each(&m, record_order, &next);
    map_release(&m);
}

static void test_the_order_is_the_same_in_every_run(void **state)
{
    (void)state;
    uint64_t once[100];
    uint64_t again[100];
    fill_and_list(once);
    fill_and_list(again);
    assert_memory_equal(once, again, sizeof(once));
}

/* The model is the `in` flag of each key. Few distinct hashes, so that chains are long. */
static void test_any_sequence_agrees_with_a_flag_per_key(void **state)
{
    (void)state;
    struct random r = {20261103};
    static struct item items[KEYS];
    memset(items, 0, sizeof(items));
    struct map m;
    map_init(&m);
    size_t len = 0;
    for (int i = 0; i < 60000; i++) {
        uint64_t key = random_below(&r, KEYS);
        uint64_t hash = key % 977 * 0x9e3779b97f4a7c15u;
        struct item *item = &items[key];
        item->key = key;
        assert_ptr_equal(find(&m, hash, key), item->in ? item : NULL);
        /* Grows to all keys at first, then shrinks and grows. */
        if (item->in && (i > 20000 || random_below(&r, 4) == 0)) {
            map_remove(&m, &item->node);
            item->in = false;
            len--;
        } else if (!item->in) {
            insert(&m, item, hash);
            len++;
        }
        assert_int_equal(m.len, len);
    }
    map_release(&m);
}

static void test_room_reserved_for_many_stays_while_nodes_leave_and_come_back(void **state)
{
    (void)state;
    static struct item items[KEYS];
    struct map m;
    map_init(&m);
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(map_reserve_for(&m, i + 1), 0);
        map_insert(&m, &items[i].node, i);
        map_remove(&m, &items[i].node);
    }
    for (size_t i = 0; i < KEYS; i++) {
        map_insert(&m, &items[i].node, i);
    }
    assert_int_equal(m.len, KEYS);
    map_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_map_finds_nothing),
        cmocka_unit_test(test_keys_of_one_hash_are_all_found),
        cmocka_unit_test(test_a_map_is_emptied_node_by_node),
        cmocka_unit_test(test_each_visits_every_node_once_while_the_map_grows),
        cmocka_unit_test(test_the_order_is_the_same_in_every_run),
        cmocka_unit_test(test_any_sequence_agrees_with_a_flag_per_key),
        cmocka_unit_test(test_room_reserved_for_many_stays_while_nodes_leave_and_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
