/*
 * A lean load: keep-alive connections that post the same body over and over, each its next request
 * as soon as its last is answered. Raw epoll and a reader that knows no more HTTP than the daemon
 * speaks, so that on two cores the load takes little from what it measures.
 *
 *     http_load [-c CONNECTIONS] [-d SECONDS] [-w WARM_SECONDS] [-l LINES | -r] PORT PATH BODY
 *
 * Without -l an answer is whole, with a Content-Length; with it the answer is chunked, has LINES
 * lines, and each says "status":200. With -r every second request releases the lease that the
 * answer before named, with what OpenAI's API says a call has used. Anything but success ends the
 * run: a refusal is no decision.
 * Prints one JSON object: answers and decisions a second, and the time an answer took, in µs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "histogram.h"

#define CONNECTIONS_MAX 10000
#define EVENTS_MAX      256
#define HEAD_BYTES_MAX  512
#define ANSWER_BYTES    (1 << 18) /* an answer with its head: what fits one array of 1,024 */
#define GRANTED         "\"status\":200"
#define LEASE           "{\"lease\":\"ls_"
#define LEASE_DIGITS    16
#define RELEASE_PATH    "/v1/release"
#define RELEASE_TAIL                                                                               \
    "\",\"status\":200,\"usage\":{\"prompt_tokens\":900,\"completion_tokens\":300,"                \
    "\"total_tokens\":1200}}"

struct request {
    char *at;
    size_t len;
};

struct connection {
    int fd;
    struct request release; /* its own, with -r: the lease is written in at each turn */
    const struct request *asks;
    size_t sent; /* of the request */
    size_t len;  /* of the answer, so far */
    int64_t began_ns;
    char *answer;
};

struct load {
    int port;
    long connections;
    long lines; /* 0: answers are whole */
    bool releases;
    double seconds, warm_seconds;
    struct request acquire;
    int epoll;
    int64_t counted_from_ns, ends_ns;
    struct connection *all;
    struct histogram took;
};

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "http_load: %s: %s\n", what, detail);
    exit(1);
}

static struct request post(int port, const char *path, const char *body)
{
    size_t size = HEAD_BYTES_MAX + strlen(path) + strlen(body);
    struct request r = {.at = malloc(size)};
    if (!r.at) {
        die("request", "out of memory");
    }
    r.len = (size_t)snprintf(r.at, size,
                             "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                             "Content-Type: application/json\r\n"
                             "Content-Length: %zu\r\n\r\n%s",
                             path, port, strlen(body), body);
    return r;
}

static void read_options(struct load *l, int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "c:d:w:l:r")) != -1) {
        switch (option) {
        case 'c': l->connections = strtol(optarg, NULL, 10); break;
        case 'd': l->seconds = strtod(optarg, NULL); break;
        case 'w': l->warm_seconds = strtod(optarg, NULL); break;
        case 'l': l->lines = strtol(optarg, NULL, 10); break;
        case 'r': l->releases = true; break;
        default: optind = argc + 1; break;
        }
    }
    if (argc - optind != 3 || l->connections < 1 || l->connections > CONNECTIONS_MAX ||
        l->lines < 0 || (l->lines && l->releases) || l->seconds <= 0) {
        fprintf(stderr, "usage: http_load [-c CONNECTIONS] [-d SECONDS] [-w WARM_SECONDS] "
                        "[-l LINES | -r] PORT PATH BODY\n");
        exit(2);
    }
    l->port = (int)strtol(argv[optind], NULL, 10);
    l->acquire = post(l->port, argv[optind + 1], argv[optind + 2]);
}

/* --- Sending. --- */

static void watch(struct load *l, struct connection *c, int how, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(l->epoll, how, c->fd, &event)) {
        die("epoll_ctl", strerror(errno));
    }
}

static void send_more(struct load *l, struct connection *c)
{
    while (c->sent < c->asks->len) {
        ssize_t n = send(c->fd, c->asks->at + c->sent, c->asks->len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch(l, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0) {
            die("send", strerror(errno));
        }
        c->sent += (size_t)n;
    }
}

static void begin_request(struct load *l, struct connection *c)
{
    c->sent = c->len = 0;
    c->began_ns = histogram_now_ns();
    send_more(l, c);
}

static void connect_one(struct load *l, struct connection *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)l->port)};
    int on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->release = post(l->port, RELEASE_PATH, LEASE "0000000000000000" RELEASE_TAIL);
    c->asks = &l->acquire;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    c->answer = malloc(ANSWER_BYTES + 1);
    if (c->fd < 0 || !c->answer || connect(c->fd, (struct sockaddr *)&to, sizeof(to))) {
        die("connect", strerror(errno));
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    watch(l, c, EPOLL_CTL_ADD, EPOLLIN);
}

/* --- Answers. --- */

/* How long the whole answer is once its head is there, 0 before. */
static size_t whole_len(struct connection *c)
{
    static const char field[] = "Content-Length: ";
    char *head_end = memmem(c->answer, c->len, "\r\n\r\n", 4);
    if (!head_end) {
        return 0;
    }
    size_t head_len = (size_t)(head_end - c->answer) + 4;
    char *length = memmem(c->answer, head_len, field, sizeof(field) - 1);
    if (!length) {
        die("an answer without a length", c->answer);
    }
    return head_len + strtoul(length + sizeof(field) - 1, NULL, 10);
}

/* The last chunk is empty, and its five bytes end the answer and occur nowhere before. */
static bool stream_is_over(const struct connection *c)
{
    return c->len >= 5 && memcmp(c->answer + c->len - 5, "0\r\n\r\n", 5) == 0 &&
           memmem(c->answer, c->len - 5, "\r\n\r\n", 4) != NULL;
}

static long granted_lines(const struct connection *c)
{
    const char *at = c->answer, *end = c->answer + c->len;
    long lines = 0;
    while ((at = memmem(at, (size_t)(end - at), GRANTED, sizeof(GRANTED) - 1)) != NULL) {
        lines++;
        at += sizeof(GRANTED) - 1;
    }
    return lines;
}

static bool answer_is_over(struct load *l, struct connection *c)
{
    c->answer[c->len] = '\0';
    if (l->lines ? !stream_is_over(c) : c->len < 16 || c->len != whole_len(c)) {
        return false;
    }
    if (memcmp(c->answer, "HTTP/1.1 200", 12) != 0 || (l->lines && granted_lines(c) != l->lines)) {
        die("not granted", c->answer);
    }
    return true;
}

/* Writes the lease of the answer into the request that releases it. */
static void fill_release(struct connection *c)
{
    const char *lease = memmem(c->answer, c->len, LEASE, sizeof(LEASE) - 1);
    size_t tail_len = LEASE_DIGITS + sizeof(RELEASE_TAIL) - 1;
    if (!lease || (size_t)(c->answer + c->len - lease) < sizeof(LEASE) - 1 + LEASE_DIGITS) {
        die("an answer without a lease", c->answer);
    }
    memcpy(c->release.at + c->release.len - tail_len, lease + sizeof(LEASE) - 1, LEASE_DIGITS);
}

static void choose_next(struct load *l, struct connection *c)
{
    if (!l->releases || c->asks == &c->release) {
        c->asks = &l->acquire;
        return;
    }
    fill_release(c);
    c->asks = &c->release;
}

static void take_answer(struct load *l, struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->len, ANSWER_BYTES - c->len, 0);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) {
        die("recv", n ? strerror(errno) : "closed, or an answer larger than foreseen");
    }
    c->len += (size_t)n;
    if (!answer_is_over(l, c)) {
        return;
    }
    int64_t now_ns = histogram_now_ns();
    if (now_ns >= l->counted_from_ns && now_ns < l->ends_ns) {
        histogram_add(&l->took, now_ns - c->began_ns);
    }
    choose_next(l, c);
    begin_request(l, c);
}

static void run(struct load *l)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t now_ns = histogram_now_ns();
    l->counted_from_ns = now_ns + (int64_t)(l->warm_seconds * 1e9);
    l->ends_ns = l->counted_from_ns + (int64_t)(l->seconds * 1e9);
    for (long i = 0; i < l->connections; i++) {
        begin_request(l, &l->all[i]);
    }
    while (histogram_now_ns() < l->ends_ns) {
        int n = epoll_wait(l->epoll, events, EVENTS_MAX, 100);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                watch(l, c, EPOLL_CTL_MOD, EPOLLIN);
                send_more(l, c);
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                take_answer(l, c);
            }
        }
    }
}

int main(int argc, char **argv)
{
    static struct load l = {.connections = 64, .seconds = 3, .warm_seconds = 0.5};
    read_options(&l, argc, argv);
    l.epoll = epoll_create1(0);
    l.all = calloc((size_t)l.connections, sizeof(struct connection));
    if (l.epoll < 0 || !l.all) {
        die("start", strerror(errno));
    }
    for (long i = 0; i < l.connections; i++) {
        connect_one(&l, &l.all[i]);
    }
    run(&l);
    double per_s = (double)l.took.total / l.seconds;
    double decisions = l.releases ? per_s / 2 : per_s * (double)(l.lines ? l.lines : 1);
    printf("{\"answers_per_s\": %.1f, \"decisions_per_s\": %.1f, \"p50_us\": %lld, "
           "\"p99_us\": %lld, \"max_us\": %lld}\n",
           per_s, decisions, (long long)histogram_us(&l.took, 0.5),
           (long long)histogram_us(&l.took, 0.99), (long long)l.took.max_us);
    return 0;
}
