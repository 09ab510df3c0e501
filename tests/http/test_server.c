/*
 * The server as a whole: addresses, its caps, draining, closing, and handlers that reach into other
 * connections.
 */
#include "rig.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"

static void begin(struct rig *rig)
{
    rig_init(rig);
    rig_start(rig);
}

/* --- Addresses. --- */

struct address_row {
    const char *address;
    bool listens;
};

static const struct address_row addresses[] = {
    {"127.0.0.1:0", true},
    {"localhost:0", true},
    {"0.0.0.0:0", true},
    {"127.1.2.3:0", true},
    {"unix:", false},
    {"", false},
    {":", false},
    {":80", false},
    {"127.0.0.1", false},
    {"127.0.0.1:", false},
    {"127.0.0.1:x", false},
    {"127.0.0.1:-1", false},
    {"127.0.0.1: 1", false},
    {"127.0.0.1:65536", false},
    {"127.0.0.1:123456", false},
    {"::1:0", false},
    {"[::1]", false},
    {"[::1]0", false},
    {"[::1:0", false},
    {"[]:0", false},
    {"192.0.2.1:0", false},
    {"10.0.0.1:1", false},
    {"no such host:0", false},
};

static void check_address(const struct address_row *row)
{
    struct rig rig;
    struct buf why;
    begin(&rig);
    buf_init(&why, 1024);
    int err = http_server_listen(rig.server, row->address, &why);
    assert_int_equal(err == 0, row->listens);
    assert_int_equal(why.len == 0, row->listens);
    assert_int_equal(http_server_port(rig.server, 1) != 0, row->listens);
    buf_release(&why);
    rig_stop(&rig);
}

static void test_addresses_are_taken_or_refused_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        print_message("\"%s\"\n", addresses[i].address);
        check_address(&addresses[i]);
    }
}

static void test_addresses_that_reach_only_this_machine_are_known(void **state)
{
    (void)state;
    assert_true(http_address_is_loopback("127.0.0.1:7411"));
    assert_true(http_address_is_loopback("127.255.0.9:7411"));
    assert_true(http_address_is_loopback("localhost:1"));
    assert_true(http_address_is_loopback("[::1]:7411"));
    assert_true(http_address_is_loopback("unix:/run/x"));
    assert_false(http_address_is_loopback("0.0.0.0:7411"));
    assert_false(http_address_is_loopback("[::]:7411"));
    assert_false(http_address_is_loopback("[::ffff:10.0.0.1]:7411"));
    assert_false(http_address_is_loopback("128.0.0.1:7411"));
    assert_false(http_address_is_loopback("127.0.0.1.example.com:7411"));
    assert_false(http_address_is_loopback("localhost.example.com:7411"));
    assert_false(http_address_is_loopback("127.0.0.1"));
}

static void test_an_address_in_use_is_refused(void **state)
{
    struct rig rig;
    struct buf why;
    char taken[64];
    (void)state;
    begin(&rig);
    buf_init(&why, 1024);
    snprintf(taken, sizeof(taken), "127.0.0.1:%d", http_server_port(rig.server, 0));
    assert_int_equal(http_server_listen(rig.server, taken, &why), ERR_INTERNAL);
    assert_non_null(strstr(why.at, "address already in use"));
    buf_release(&why);
    rig_stop(&rig);
}

static void test_a_server_may_listen_on_several_addresses(void **state)
{
    struct rig rig;
    struct buf why;
    (void)state;
    begin(&rig);
    buf_init(&why, 1024);
    assert_int_equal(http_server_listen(rig.server, "127.0.0.1:0", &why), 0);
    assert_int_not_equal(http_server_port(rig.server, 0), 0);
    assert_int_not_equal(http_server_port(rig.server, 1), 0);
    assert_int_not_equal(http_server_port(rig.server, 1), http_server_port(rig.server, 0));
    assert_int_equal(http_server_port(rig.server, 2), 0);
    rig_stop(&rig);
}

/* --- Unix sockets. --- */

/* A fresh directory and the address of a socket in it. */
static void socket_in_directory(struct rig *rig, char *directory)
{
    strcpy(directory, "/tmp/sluice-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(rig->address, sizeof(rig->address), "unix:%s/socket", directory);
}

static void test_a_unix_socket_serves_and_is_removed(void **state)
{
    struct rig rig;
    char directory[64];
    (void)state;
    rig_init(&rig);
    socket_in_directory(&rig, directory);
    rig_start(&rig);
    assert_int_equal(http_server_port(rig.server, 0), 0);
    struct peer *p = peer_new(&rig);
    peer_say(p, GET_A PARKED);
    peer_expect(p, REPLY_TO_A);
    rig_parked(&rig, 0);
    peer_free(p);
    RIG_WHILE(&rig, !rig.parked[0].gone);
    rig_stop(&rig);
    assert_int_equal(rmdir(directory), 0); /* only empty directories are removed */
}

static void test_a_unix_socket_left_behind_is_replaced(void **state)
{
    struct rig rig;
    char directory[64];
    struct sockaddr_un left = {.sun_family = AF_UNIX};
    (void)state;
    rig_init(&rig);
    socket_in_directory(&rig, directory);
    strcpy(left.sun_path, rig.address + 5);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&left, sizeof(left)), 0);
    close(fd);
    rig_start(&rig);
    struct peer *p = peer_new(&rig);
    peer_say(p, GET_A);
    peer_expect(p, REPLY_TO_A);
    peer_free(p);
    rig_stop(&rig);
    assert_int_equal(rmdir(directory), 0);
}

static void test_a_unix_socket_that_somebody_serves_is_not_taken(void **state)
{
    struct rig rig;
    struct buf why;
    char directory[64];
    (void)state;
    rig_init(&rig);
    socket_in_directory(&rig, directory);
    rig_start(&rig);
    buf_init(&why, 1024);
    assert_int_equal(http_server_listen(rig.server, rig.address, &why), ERR_INTERNAL);
    assert_int_not_equal(why.len, 0);
    buf_release(&why);
    rig_stop(&rig);
    assert_int_equal(rmdir(directory), 0);
}

static void test_a_file_that_is_no_socket_is_not_removed(void **state)
{
    struct rig rig;
    struct buf why;
    char directory[64];
    (void)state;
    begin(&rig);
    buf_init(&why, 1024);
    socket_in_directory(&rig, directory);
    FILE *file = fopen(rig.address + 5, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(http_server_listen(rig.server, rig.address, &why), ERR_INTERNAL);
    assert_int_equal(unlink(rig.address + 5), 0);
    assert_int_equal(rmdir(directory), 0);
    strcpy(rig.address, "127.0.0.1:0");
    buf_release(&why);
    rig_stop(&rig);
}

static void test_a_path_too_long_for_a_unix_socket_is_refused(void **state)
{
    struct rig rig;
    struct buf why;
    char address[160] = "unix:/tmp/";
    (void)state;
    begin(&rig);
    buf_init(&why, 1024);
    memset(address + 10, 'x', 120);
    assert_int_equal(http_server_listen(rig.server, address, &why), ERR_INVALID_REQUEST);
    buf_release(&why);
    rig_stop(&rig);
}

/* --- Caps. --- */

static void test_connections_over_the_cap_are_told_so(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig.options.connections_max = 2;
    rig_start(&rig);
    struct peer *first = peer_new(&rig);
    struct peer *second = peer_new(&rig);
    RIG_WHILE(&rig, rig_stats(&rig).connections < 2);
    struct peer *third = peer_new(&rig);
    peer_wait_end(third);
    assert_memory_equal(third->got.at, "HTTP/1.1 503 Service Unavailable\r\n", 34);
    assert_int_equal(rig_stats(&rig).connections, 2);
    peer_free(first);
    RIG_WHILE(&rig, rig_stats(&rig).connections > 1);
    struct peer *fourth = peer_new(&rig);
    peer_say(fourth, GET_A);
    peer_expect(fourth, REPLY_TO_A);
    peer_free(second);
    peer_free(third);
    peer_free(fourth);
    rig_stop(&rig);
}

#define CROWD 100

static void test_a_crowd_over_the_cap_is_closed_without_words(void **state)
{
    struct rig rig;
    struct peer *peers[CROWD];
    size_t told = 0;
    (void)state;
    rig_init(&rig);
    rig.options.connections_max = 0;
    rig_start(&rig);
    for (size_t i = 0; i < CROWD; i++) {
        peers[i] = peer_new(&rig);
    }
    for (size_t i = 0; i < CROWD; i++) {
        peer_wait_end(peers[i]);
        told += peers[i]->got.len > 0;
    }
    assert_int_equal(told, 64);
    for (size_t i = 0; i < CROWD; i++) {
        peer_free(peers[i]);
    }
    rig_stop(&rig);
}

static void test_running_out_of_descriptors_is_survived(void **state)
{
    struct rig rig;
    struct rlimit before;
    (void)state;
    begin(&rig);
    struct peer *early = peer_new(&rig);
    struct peer *late = peer_new(&rig); /* both stand in the backlog: the loop has not turned */
    getrlimit(RLIMIT_NOFILE, &before);
    struct rlimit none_left = {.rlim_cur = (rlim_t)late->fd + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none_left), 0);
    peer_wait_end(early);
    peer_wait_end(late);
    assert_int_equal(rig_stats(&rig).accepted, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    struct peer *p = peer_new(&rig);
    peer_say(p, GET_A);
    peer_expect(p, REPLY_TO_A);
    peer_free(early);
    peer_free(late);
    peer_free(p);
    rig_stop(&rig);
}

/* --- Draining and closing. --- */

static void test_draining_lets_requests_finish_and_closes_the_rest(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    struct peer *idle = peer_new(&rig);
    struct peer *busy = peer_new(&rig);
    struct peer *late = peer_new(&rig);
    peer_say(busy, PARKED);
    rig_parked(&rig, 0);
    peer_say(late, "GET /a HT");
    rig_breathe(&rig);
    http_server_drain(rig.server);
    peer_wait_end(idle);
    assert_int_equal(idle->got.len, 0);
    peer_say(late, "TP/1.1\r\nHost: h\r\n\r\n");
    rig_answer(&rig.parked[0], "x");
    peer_wait_end(busy);
    peer_expect(busy, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");
    peer_wait_end(late);
    assert_non_null(strstr(late->got.at, "Connection: close\r\n"));
    peer_free(idle);
    peer_free(busy);
    peer_free(late);
    RIG_WHILE(&rig, rig_stats(&rig).connections > 0);
    rig_stop(&rig);
}

static void test_a_draining_server_takes_no_connections(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)http_server_port(rig.server, 0))};
    http_server_drain(rig.server);
    rig_breathe(&rig);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
    close(fd);
    rig_stop(&rig);
}

static void on_done(void *ctx)
{
    *(bool *)ctx = true;
}

static void test_closing_tells_each_parked_request(void **state)
{
    struct rig rig;
    bool done = false;
    (void)state;
    begin(&rig);
    struct peer *parked = peer_new(&rig);
    struct peer *streaming = peer_new(&rig);
    struct peer *halfway = peer_new(&rig);
    peer_say(parked, PARKED);
    rig_parked(&rig, 0);
    peer_say(streaming, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    rig_parked(&rig, 1);
    peer_say(halfway, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nx");
    rig_breathe(&rig);
    http_server_close(rig.server, on_done, &done);
    rig.server = NULL;
    assert_true(rig.parked[0].gone && rig.parked[1].gone);
    assert_false(done);
    RIG_WHILE(&rig, !done);
    peer_wait_end(parked);
    peer_free(parked);
    peer_free(streaming);
    peer_free(halfway);
    rig_stop(&rig);
}

/* --- Handlers that reach further than their own request. --- */

static void close_server(void *ctx, struct http_request *req)
{
    struct rig *rig = ctx;
    http_server_close(rig->server, NULL, NULL);
    rig->server = NULL;
    http_reply(req, 200, NULL, TEXT("too late"));
}

static void test_a_handler_may_close_the_server(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig.options.handler = close_server;
    rig_start(&rig);
    struct peer *p = peer_new(&rig);
    peer_say(p, GET_A GET_A);
    peer_wait_end(p);
    assert_int_equal(p->got.len, 0);
    peer_free(p);
    rig_stop(&rig);
}

/* Parks the first request, and answers it and itself at the second. */
static struct http_request *first;

static void forget_first(void *ctx)
{
    (void)ctx;
    first = NULL;
}

static void answer_both(void *ctx, struct http_request *req)
{
    (void)ctx;
    if (!first) {
        first = req;
        http_request_park(req, forget_first, NULL);
        return;
    }
    http_reply(first, 200, NULL, TEXT("first"));
    first = NULL;
    http_reply(req, 200, NULL, TEXT("second"));
}

static void test_a_handler_may_answer_other_requests(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig.options.handler = answer_both;
    rig_start(&rig);
    struct peer *a = peer_new(&rig);
    struct peer *b = peer_new(&rig);
    peer_say(a, GET_A GET_A);
    RIG_WHILE(&rig, !first);
    peer_say(b, GET_A);
    peer_expect(b, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
    peer_expect(a, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
    assert_non_null(first); /* the request pipelined behind it had its turn afterwards */
    peer_free(a);
    RIG_WHILE(&rig, first);
    peer_free(b);
    rig_stop(&rig);
}

/* A hang-up of one request makes room for another, which is answered from within `gone`. */
static struct http_request *heir;

static void hand_over(void *ctx)
{
    (void)ctx;
    struct http_request *req = heir;
    heir = NULL;
    if (req) {
        http_reply(req, 200, NULL, TEXT("granted"));
    }
}

static void forget_heir(void *ctx)
{
    (void)ctx;
    heir = NULL;
}

static void queue_up(void *ctx, struct http_request *req)
{
    struct rig *rig = ctx;
    if (rig->handled_n++ == 0) {
        http_request_park(req, hand_over, NULL);
    } else {
        heir = req;
        http_request_park(req, forget_heir, NULL);
    }
}

static void test_a_hang_up_may_answer_the_next_in_line(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig.options.handler = queue_up;
    rig_start(&rig);
    struct peer *holder = peer_new(&rig);
    peer_say(holder, GET_A);
    RIG_WHILE(&rig, rig.handled_n < 1);
    struct peer *next = peer_new(&rig);
    peer_say(next, GET_A);
    RIG_WHILE(&rig, !heir);
    peer_free(holder);
    peer_expect(next, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ngranted");
    peer_free(next);
    rig_stop(&rig);
}

/* --- Query parameters. --- */

struct query_row {
    const char *query;
    const char *value; /* of "k"; NULL where there is none */
};

static const struct query_row queries[] = {
    {"", NULL},
    {"k=v", "v"},
    {"a=b&k=v", "v"},
    {"k=v&k=w", "v"},
    {"k", ""},
    {"k=", ""},
    {"kk=v", NULL},
    {"K=v", NULL},
    {"k=a%20b+c", "a b c"},
    {"k=%C3%A9", "\xc3\xa9"},
    {"k=%26", "&"},
    {"k=%", NULL},
    {"k=%2", NULL},
    {"k=%zz", NULL},
    {"k=%00", NULL},
    {"&&k=v&", "v"},
    {"k=a=b", "a=b"},
    {"=v", NULL},
    {"k=%41", "A"},
};

static void say_k(void *ctx, struct http_request *req)
{
    struct buf out;
    (void)ctx;
    buf_init(&out, 1024);
    bool found = http_query_get(req, "k", &out);
    http_reply(req, found ? 200 : 404, NULL, found ? buf_text(&out) : TEXT_NONE);
    buf_release(&out);
}

static void check_query(struct rig *rig, const struct query_row *row)
{
    struct peer *p = peer_new(rig);
    char request[128];
    char reply[128];
    snprintf(request, sizeof(request), "GET /?%s HTTP/1.1\r\nHost: h\r\n\r\n", row->query);
    snprintf(reply, sizeof(reply), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
             row->value ? "200 OK" : "404 Not Found", row->value ? strlen(row->value) : 0,
             row->value ? row->value : "");
    peer_say(p, request);
    peer_expect(p, reply);
    peer_free(p);
}

static void test_query_parameters_are_found_and_decoded(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig.options.handler = say_k;
    rig_start(&rig);
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        check_query(&rig, &queries[i]);
    }
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_taken_or_refused_with_a_reason),
        cmocka_unit_test(test_addresses_that_reach_only_this_machine_are_known),
        cmocka_unit_test(test_an_address_in_use_is_refused),
        cmocka_unit_test(test_a_server_may_listen_on_several_addresses),
        cmocka_unit_test(test_a_unix_socket_serves_and_is_removed),
        cmocka_unit_test(test_a_unix_socket_left_behind_is_replaced),
        cmocka_unit_test(test_a_unix_socket_that_somebody_serves_is_not_taken),
        cmocka_unit_test(test_a_file_that_is_no_socket_is_not_removed),
        cmocka_unit_test(test_a_path_too_long_for_a_unix_socket_is_refused),
        cmocka_unit_test(test_connections_over_the_cap_are_told_so),
        cmocka_unit_test(test_a_crowd_over_the_cap_is_closed_without_words),
        cmocka_unit_test(test_running_out_of_descriptors_is_survived),
        cmocka_unit_test(test_draining_lets_requests_finish_and_closes_the_rest),
        cmocka_unit_test(test_a_draining_server_takes_no_connections),
        cmocka_unit_test(test_closing_tells_each_parked_request),
        cmocka_unit_test(test_a_handler_may_close_the_server),
        cmocka_unit_test(test_a_handler_may_answer_other_requests),
        cmocka_unit_test(test_a_hang_up_may_answer_the_next_in_line),
        cmocka_unit_test(test_query_parameters_are_found_and_decoded),
    };
    return cmocka_run_group_tests_name("http server", tests, NULL, NULL);
}
