#include "base/list.h"

#include "base/map.h" /* CONTAINER_OF */
#include "check.h"
#include "support/random.h"

#define ITEMS 100

struct item {
    struct list node;
    int number;
};

static void test_a_list_keeps_the_order_of_arrival(void **state)
{
    (void)state;
    struct list l;
    struct item items[3];
    list_init(&l);
    assert_true(list_empty(&l));
    assert_null(list_first(&l));
    for (int i = 0; i < 3; i++) {
        items[i].number = i;
        list_append(&l, &items[i].node);
    }
    for (int i = 0; i < 3; i++) {
        struct item *first = CONTAINER_OF(list_first(&l), struct item, node);
        assert_int_equal(first->number, i);
        list_remove(&first->node);
    }
    assert_true(list_empty(&l));
}

static void test_removing_twice_does_nothing(void **state)
{
    (void)state;
    struct list l;
    struct list a;
    struct list b;
    list_init(&l);
    list_append(&l, &a);
    list_append(&l, &b);
    list_remove(&a);
    assert_false(list_holds(&a));
    list_remove(&a);
    assert_ptr_equal(list_first(&l), &b);
    assert_true(list_holds(&b));
}

/* The model is an array of numbers in order. */
struct model {
    int at[ITEMS];
    int len;
};

static void model_remove(struct model *m, int number)
{
    int kept = 0;
    for (int i = 0; i < m->len; i++) {
        if (m->at[i] != number) {
            m->at[kept++] = m->at[i];
        }
    }
    m->len = kept;
}

static void assert_same(const struct list *l, const struct model *m)
{
    int i = 0;
    for (struct list *n = l->next; n != l; n = n->next, i++) {
        assert_true(i < m->len);
        assert_int_equal(CONTAINER_OF(n, struct item, node)->number, m->at[i]);
    }
    assert_int_equal(i, m->len);
}

static void test_any_sequence_agrees_with_an_array(void **state)
{
    (void)state;
    struct random r = {20261106};
    struct item items[ITEMS];
    struct model m = {.len = 0};
    struct list l;
    list_init(&l);
    for (int i = 0; i < ITEMS; i++) {
        items[i].number = i;
        list_init(&items[i].node);
    }
    for (int i = 0; i < 5000; i++) {
        int number = (int)random_below(&r, ITEMS);
        if (list_holds(&items[number].node)) {
            list_remove(&items[number].node);
            model_remove(&m, number);
        } else {
            list_append(&l, &items[number].node);
            m.at[m.len++] = number;
        }
        assert_same(&l, &m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_list_keeps_the_order_of_arrival),
        cmocka_unit_test(test_removing_twice_does_nothing),
        cmocka_unit_test(test_any_sequence_agrees_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
