/* Tickets that are out: counted for the client they were given to, as long as the core keeps them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/ticket.h"

#define NOW_US INT64_C(1000000)

static struct tickets tickets;
static struct client one, other;

static int setup(void **state)
{
    (void)state;
    one = other = (struct client){.waiting = 0};
    tickets_init(&tickets);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tickets_release(&tickets);
    assert_int_equal(one.away + other.away, 0);
    return 0;
}

static void test_each_client_is_counted_its_own(void **state)
{
    (void)state;
    tickets_give(&tickets, 1, &one, NOW_US);
    tickets_give(&tickets, 2, &one, NOW_US);
    tickets_give(&tickets, 3, &other, NOW_US);
    assert_int_equal(one.away, 2);
    assert_int_equal(other.away, 1);
    assert_ptr_equal(tickets_holder(&tickets, 2), &one);
    assert_ptr_equal(tickets_holder(&tickets, 3), &other);
    assert_null(tickets_holder(&tickets, 4));
}

static void test_one_that_is_taken_up_again_is_no_longer_out(void **state)
{
    (void)state;
    tickets_give(&tickets, 1, &one, NOW_US);
    tickets_take(&tickets, 1);
    tickets_take(&tickets, 1);
    assert_int_equal(one.away, 0);
    assert_null(tickets_holder(&tickets, 1));
}

static void test_one_that_is_given_again_counts_once_and_for_whoever_was_given_it_last(void **state)
{
    (void)state;
    tickets_give(&tickets, 1, &one, NOW_US);
    tickets_give(&tickets, 1, &other, NOW_US);
    assert_int_equal(one.away, 0);
    assert_int_equal(other.away, 1);
}

static void test_it_is_out_until_the_core_drops_it_and_no_longer(void **state)
{
    (void)state;
    tickets_give(&tickets, 1, &one, NOW_US);
    tickets_give(&tickets, 2, &one, NOW_US + 1);
    tickets_give(&tickets, 1, &one, NOW_US + 2);
    tickets_expire(&tickets, NOW_US + TICKET_KEPT_US);
    assert_int_equal(one.away, 2);
    tickets_expire(&tickets, NOW_US + 1 + TICKET_KEPT_US);
    assert_int_equal(one.away, 1);
    assert_null(tickets_holder(&tickets, 2));
    tickets_expire(&tickets, NOW_US + 2 + TICKET_KEPT_US);
    assert_int_equal(one.away, 0);
}

static void test_a_retry_that_is_given_before_another_ticket_may_be_out_longer(void **state)
{
    (void)state;
    tickets_give(&tickets, 1, &one, NOW_US + 60000000);
    tickets_give(&tickets, 2, &one, NOW_US);
    tickets_give(&tickets, 3, &other, NOW_US + 30000000);
    tickets_expire(&tickets, NOW_US + TICKET_KEPT_US);
    assert_null(tickets_holder(&tickets, 2));
    assert_int_equal(one.away, 1);
    tickets_expire(&tickets, NOW_US + 30000000 + TICKET_KEPT_US);
    assert_int_equal(other.away, 0);
    assert_ptr_equal(tickets_holder(&tickets, 1), &one);
    tickets_take(&tickets, 1);
    assert_int_equal(one.away, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_each_client_is_counted_its_own),
        T(test_one_that_is_taken_up_again_is_no_longer_out),
        T(test_one_that_is_given_again_counts_once_and_for_whoever_was_given_it_last),
        T(test_it_is_out_until_the_core_drops_it_and_no_longer),
        T(test_a_retry_that_is_given_before_another_ticket_may_be_out_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
