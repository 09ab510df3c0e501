/* What src/base does when memory is refused: it says so and is as it was before. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/heap.h"
#include "base/map.h"
#include "check.h"
#include "support/memory.h"

static void test_a_buffer_keeps_its_content_and_is_marked_failed(void **state)
{
    (void)state;
    for (int nth = 1; nth <= 3; nth++) {
        struct buf b;
        size_t kept = 0;
        buf_init(&b, 10000);
        memory_fail(nth);
        for (int i = 0; i < 300 && !b.failed; i++) {
            kept = b.len;
            buf_add_char(&b, 'x');
        }
        memory_pause();
        assert_true(b.failed);
        assert_int_equal(b.len, kept);
        for (size_t i = 0; i < kept; i++) {
            assert_int_equal(b.at[i], 'x');
        }
        buf_release(&b);
    }
}

static void test_a_heap_without_room_is_as_it_was(void **state)
{
    (void)state;
    struct heap h;
    struct heap_node nodes[64];
    memset(nodes, 0, sizeof(nodes));
    heap_init(&h);
    memory_fail(1);
    assert_int_equal(heap_reserve(&h, 1), ERR_NO_MEMORY);
    assert_int_equal(heap_reserve(&h, 16), 0);
    for (int i = 0; i < 16; i++) {
        heap_push(&h, &nodes[i], i, 0);
    }
    memory_fail(1);
    assert_int_equal(heap_reserve(&h, 1), ERR_NO_MEMORY);
    assert_int_equal(h.len, 16);
    assert_ptr_equal(heap_first(&h), &nodes[0]);
    assert_int_equal(heap_reserve(&h, 1), 0);
    heap_push(&h, &nodes[16], 16, 0);
    heap_release(&h);
}

static void test_a_map_without_room_still_finds_everything(void **state)
{
    (void)state;
    struct map m;
    struct map_node nodes[100];
    map_init(&m);
    memory_fail(1);
    assert_int_equal(map_reserve(&m), ERR_NO_MEMORY);
    size_t refusals = 0;
    for (uint64_t i = 0; i < 100; i++) {
        memory_fail(1);
        if (map_reserve(&m) == ERR_NO_MEMORY) {
            refusals++;
            for (uint64_t j = 0; j < i; j++) {
                assert_ptr_equal(map_find(&m, j), &nodes[j]);
            }
            assert_int_equal(map_reserve(&m), 0);
        }
        memory_pause();
        map_insert(&m, &nodes[i], i);
    }
    assert_int_equal(refusals, 4); /* tables of 16, 32, 64 and 128 chains */
    map_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_buffer_keeps_its_content_and_is_marked_failed),
        cmocka_unit_test(test_a_heap_without_room_is_as_it_was),
        cmocka_unit_test(test_a_map_without_room_still_finds_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
