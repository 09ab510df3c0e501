/*
 * What the server does when a socket fails: at each accept, read and write of a conversation in
 * turn, with each error that the system may give. What a program must bear (an interruption, a
 * socket that is full, half a write) changes nothing that the peer reads; what ends a connection
 * ends this one alone, and whoever waited on it is told.
 *
 * The calls are libuv's: the names defined here go before those of the C library. The peers use
 * send and recv, which are left alone.
 */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { CALL_ACCEPT, CALL_READ, CALL_WRITE };

struct fault {
    const char *name;
    enum call call;
    int error;  /* 0: only as much as `most` is done */
    bool borne; /* the peer notices nothing */
    size_t most;
};

static const struct fault faults[] = {
    {"accept EINTR", CALL_ACCEPT, EINTR, true, 0},
    {"accept EAGAIN", CALL_ACCEPT, EAGAIN, true, 0},
    {"accept ECONNABORTED", CALL_ACCEPT, ECONNABORTED, true, 0},
    {"accept ENOBUFS", CALL_ACCEPT, ENOBUFS, true, 0},
    {"accept EMFILE", CALL_ACCEPT, EMFILE, false, 0},
    {"accept ENFILE", CALL_ACCEPT, ENFILE, false, 0},
    {"read EINTR", CALL_READ, EINTR, true, 0},
    {"read EAGAIN", CALL_READ, EAGAIN, true, 0},
    {"read of one byte", CALL_READ, 0, true, 1},
    {"read ECONNRESET", CALL_READ, ECONNRESET, false, 0},
    {"read ETIMEDOUT", CALL_READ, ETIMEDOUT, false, 0},
    {"write EINTR", CALL_WRITE, EINTR, true, 0},
    {"write EAGAIN", CALL_WRITE, EAGAIN, true, 0},
    {"write of one byte", CALL_WRITE, 0, true, 1},
    {"write EPIPE", CALL_WRITE, EPIPE, false, 0},
    {"write ECONNRESET", CALL_WRITE, ECONNRESET, false, 0},
};

#define FAULTS_N (sizeof(faults) / sizeof(faults[0]))

/* --- The calls. --- */

static const struct fault *fault; /* NULL: none */
static int fault_at;              /* counted from the next such call as 1 */
static bool met;

static bool fails(enum call call)
{
    if (!fault || fault->call != call || fault_at == 0 || --fault_at > 0) {
        return false;
    }
    met = true;
    return true;
}

static bool is_socket(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* How much is done of `n` bytes, or -1 with errno. */
static ssize_t allowed(enum call call, int fd, size_t n)
{
    if (!is_socket(fd) || !fails(call)) {
        return (ssize_t)n;
    }
    if (fault->error) {
        errno = fault->error;
        return -1;
    }
    return (ssize_t)(n < fault->most ? n : fault->most);
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *len, int flags)
{
    if (fails(CALL_ACCEPT)) {
        errno = fault->error;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, address.__sockaddr__, len, flags);
}

ssize_t read(int fd, void *to, size_t n)
{
    ssize_t most = allowed(CALL_READ, fd, n);
    return most < 0 ? -1 : syscall(SYS_read, fd, to, (size_t)most);
}

ssize_t write(int fd, const void *from, size_t n)
{
    ssize_t most = allowed(CALL_WRITE, fd, n);
    return most < 0 ? -1 : syscall(SYS_write, fd, from, (size_t)most);
}

ssize_t writev(int fd, const struct iovec *pieces, int n)
{
    ssize_t most = allowed(CALL_WRITE, fd, pieces[0].iov_len);
    if (most < 0) {
        return -1;
    }
    return (size_t)most < pieces[0].iov_len
               ? syscall(SYS_write, fd, pieces[0].iov_base, (size_t)most)
               : syscall(SYS_writev, fd, pieces, n);
}

/* --- The conversations; each ends with the connection. --- */

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define LAST(path) "GET " path " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

static const char *const conversations[] = {
    GET("/a") LAST("/b"),
    "POST /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
    LAST("/big"),
    LAST("/parked"),
    LAST("/stream"),
};

static void go_on(struct parked *parked, bool streams)
{
    struct http_request *req = parked->req;
    if (!req) {
        return; /* its connection has ended */
    }
    if (!streams) {
        rig_answer(parked, "later");
        return;
    }
    (void)http_stream_write(req, TEXT("one"));
    (void)http_stream_write(req, TEXT("two"));
    parked->req = NULL;
    http_stream_end(req);
}

/* What the peer is told until the server ends the connection; for the caller to free. */
static struct buf converse(struct rig *rig, const char *words)
{
    bool streams = strstr(words, "/stream") != NULL;
    size_t from = rig->parked_n;
    struct peer *p = peer_new(rig);
    peer_say(p, words);
    while (!p->ended) {
        rig_turn(rig, false);
        if (rig->parked_n > from) {
            go_on(&rig->parked[from], streams);
        }
    }
    if (rig->parked_n > from) {
        assert_null(rig->parked[from].req);
    }
    struct buf said = p->got;
    buf_init(&p->got, 0);
    peer_free(p);
    return said;
}

static void assert_told(const struct fault *f, struct text said, struct text all)
{
    bool whole = text_equal(said, all);
    bool begins = said.len == 0 || (said.len < all.len && memcmp(said.at, all.at, said.len) == 0);
    if (!whole && (f->borne || !begins)) {
        fail_msg("%s: the peer was told %zu bytes instead of %zu", f->name, said.len, all.len);
    }
}

/* Holds a conversation in which the nth call fails. False where it has fewer. */
static bool bears(const struct fault *f, const char *words, int nth, struct text all)
{
    struct rig rig;
    rig_init(&rig);
    rig_start(&rig);
    met = false;
    fault_at = nth;
    fault = f;
    struct buf said = converse(&rig, words);
    fault = NULL;
    assert_told(f, buf_text(&said), all);
    buf_release(&said);
    said = converse(&rig, words);
    assert_true(text_equal(buf_text(&said), all));
    buf_release(&said);
    rig_stop(&rig);
    return met;
}

static void test_a_socket_may_fail_at_any_call(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(conversations) / sizeof(conversations[0]); i++) {
        struct rig rig;
        rig_init(&rig);
        rig_start(&rig);
        struct buf all = converse(&rig, conversations[i]);
        rig_stop(&rig);
        assert_true(all.len > 0);
        for (size_t j = 0; j < FAULTS_N; j++) {
            assert_true(bears(&faults[j], conversations[i], 1, buf_text(&all)));
            for (int nth = 2; nth < 5; nth++) {
                bears(&faults[j], conversations[i], nth, buf_text(&all));
            }
        }
        buf_release(&all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_socket_may_fail_at_any_call),
    };
    return cmocka_run_group_tests_name("http socket faults", tests, NULL, NULL);
}
