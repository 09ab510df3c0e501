#include "base/heap.h"

#include <stdlib.h>

#include "base/map.h" /* CONTAINER_OF */
#include "check.h"
#include "support/random.h"

#define ITEMS 600

struct item {
    struct heap_node node;
    uint64_t key;
    uint64_t seq; /* breaks ties */
};

static bool item_before(const struct item *x, const struct item *y)
{
    return x->key != y->key ? x->key < y->key : x->seq < y->seq;
}

static void push(struct heap *h, struct item *item)
{
    assert_int_equal(heap_reserve(h, 1), 0);
    heap_push(h, &item->node, item->key, item->seq);
}

static struct item *first(const struct heap *h)
{
    struct heap_node *node = heap_first(h);
    return node ? CONTAINER_OF(node, struct item, node) : NULL;
}

static void test_an_empty_heap_has_no_first(void **state)
{
    (void)state;
    struct heap h;
    heap_init(&h);
    assert_null(heap_first(&h));
    assert_null(heap_second(&h));
    heap_release(&h);
}

static void test_nodes_come_out_in_order(void **state)
{
    (void)state;
    struct heap h;
    heap_init(&h);
    struct item items[ITEMS];
    struct random r = {7};
    for (size_t i = 0; i < ITEMS; i++) {
        items[i] = (struct item){.key = random_below(&r, 50), .seq = i};
        push(&h, &items[i]);
    }
    const struct item *last = NULL;
    for (size_t i = 0; i < ITEMS; i++) {
        struct item *item = first(&h);
        heap_remove(&h, &item->node);
        assert_false(heap_holds(&item->node));
        assert_true(!last || item_before(last, item));
        last = item;
    }
    assert_int_equal(h.len, 0);
    heap_release(&h);
}

static void test_a_node_knows_whether_it_is_held(void **state)
{
    (void)state;
    struct heap h;
    heap_init(&h);
    struct item item = {.key = 1};
    assert_false(heap_holds(&item.node));
    push(&h, &item);
    assert_true(heap_holds(&item.node));
    heap_remove(&h, &item.node);
    assert_false(heap_holds(&item.node));
    heap_release(&h);
}

static void test_reserved_room_is_there(void **state)
{
    (void)state;
    struct heap h;
    heap_init(&h);
    struct item items[100] = {0};
    assert_int_equal(heap_reserve(&h, 100), 0);
    struct heap_entry *entries = h.entries;
    for (size_t i = 0; i < 100; i++) {
        items[i].seq = i;
        heap_push(&h, &items[i].node, items[i].key, items[i].seq);
    }
    assert_ptr_equal(h.entries, entries);
    heap_release(&h);
}

/* The smallest of those in the heap by looking at all; `but` is left out. */
static struct item *naive_first(struct item *items, const struct item *but)
{
    struct item *best = NULL;
    for (size_t i = 0; i < ITEMS; i++) {
        if (heap_holds(&items[i].node) && &items[i] != but &&
            (!best || item_before(&items[i], best))) {
            best = &items[i];
        }
    }
    return best;
}

static void step(struct random *r, struct heap *h, struct item *item)
{
    if (!heap_holds(&item->node)) {
        item->key = random_below(r, 1000);
        push(h, item);
    } else if (random_below(r, 2)) {
        heap_remove(h, &item->node);
    } else {
        item->key = random_below(r, 1000);
        heap_rekey(h, &item->node, item->key, item->seq);
    }
}

static void test_any_sequence_agrees_with_looking_at_all(void **state)
{
    (void)state;
    struct random r = {20261102};
    static struct item items[ITEMS];
    struct heap h;
    heap_init(&h);
    for (size_t i = 0; i < ITEMS; i++) {
        items[i].seq = i;
    }
    for (int i = 0; i < 20000; i++) {
        struct item *item = &items[random_below(&r, ITEMS)];
        step(&r, &h, item);
        const struct item *best = naive_first(items, NULL);
        assert_ptr_equal(first(&h), best);
        const struct item *next = naive_first(items, best);
        struct heap_node *second = heap_second(&h);
        assert_ptr_equal(second, next ? &next->node : NULL);
    }
    heap_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_heap_has_no_first),
        cmocka_unit_test(test_nodes_come_out_in_order),
        cmocka_unit_test(test_a_node_knows_whether_it_is_held),
        cmocka_unit_test(test_reserved_room_is_there),
        cmocka_unit_test(test_any_sequence_agrees_with_looking_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
