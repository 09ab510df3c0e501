/*
 * How soon capacity that comes back reaches who waits for it. Two connections take turns with the
 * one slot of a resource: one holds the lease, the other stands in line; the holder releases, and
 * the clock runs from before that is sent until the grant's first bytes are at the other one.
 * Whoever waits is known to be in line, because the daemon was asked.
 *
 *     handover [-n TIMES] PORT RESOURCE
 *
 * Prints one JSON object with the times in microseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "histogram.h"

#define ANSWER_BYTES  8192
#define REQUEST_BYTES 1024
#define LEASE_BYTES   32

struct party {
    int fd;
    char lease[LEASE_BYTES];
    char answer[ANSWER_BYTES + 1];
};

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "handover: %s: %s\n", what, detail);
    exit(1);
}

static void party_connect(struct party *p, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&to, sizeof(to))) {
        die("connect", strerror(errno));
    }
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void ask(struct party *p, const char *method, const char *path, const char *body)
{
    char request[REQUEST_BYTES];
    int len = snprintf(request, sizeof(request),
                       "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %zu\r\n\r\n%s", method,
                       path, strlen(body), body);
    if (send(p->fd, request, (size_t)len, MSG_NOSIGNAL) != len) {
        die("send", strerror(errno));
    }
}

static bool is_whole(const struct party *p, size_t len)
{
    const char *length = strstr(p->answer, "Content-Length: ");
    const char *head_end = strstr(p->answer, "\r\n\r\n");
    return length && head_end &&
           len == (size_t)(head_end + 4 - p->answer) + strtoul(length + 16, NULL, 10);
}

/* Reads an answer, which must be a success. Returns when its first bytes came, in ns. */
static int64_t hear(struct party *p)
{
    size_t len = 0;
    int64_t first_ns = 0;
    do {
        ssize_t n = recv(p->fd, p->answer + len, ANSWER_BYTES - len, 0);
        if (n <= 0) {
            die("recv", n ? strerror(errno) : "closed, or an answer larger than foreseen");
        }
        first_ns = first_ns ? first_ns : histogram_now_ns();
        len += (size_t)n;
        p->answer[len] = '\0';
    } while (!is_whole(p, len));
    if (strncmp(p->answer, "HTTP/1.1 200", 12) != 0) {
        die("refused", p->answer);
    }
    return first_ns;
}

static void take_lease(struct party *p)
{
    const char *lease = strstr(p->answer, "\"lease\":\"");
    if (!lease) {
        die("no lease", p->answer);
    }
    snprintf(p->lease, sizeof(p->lease), "%.19s", lease + 9);
}

static void await_line(struct party *p, const char *resource)
{
    char path[256];
    snprintf(path, sizeof(path), "/v1/resources/%s", resource);
    do {
        ask(p, "GET", path, "");
        hear(p);
    } while (!strstr(p->answer, "\"waiting\":1,"));
}

static int64_t hand_over(struct party *from, struct party *to, const char *resource)
{
    char acquire[256], release[128];
    snprintf(acquire, sizeof(acquire), "{\"resource\":\"%s\"}", resource);
    snprintf(release, sizeof(release), "{\"lease\":\"%s\"}", from->lease);
    ask(to, "POST", "/v1/acquire", acquire);
    await_line(from, resource);
    int64_t began_ns = histogram_now_ns();
    ask(from, "POST", "/v1/release", release);
    int64_t granted_ns = hear(to);
    hear(from);
    take_lease(to);
    return granted_ns - began_ns;
}

int main(int argc, char **argv)
{
    static struct histogram took;
    static struct party parties[2];
    long times = 2000;
    int option;
    while ((option = getopt(argc, argv, "n:")) != -1) {
        times = option == 'n' ? strtol(optarg, NULL, 10) : 0;
    }
    if (argc - optind != 2 || times < 1) {
        fprintf(stderr, "usage: handover [-n TIMES] PORT RESOURCE\n");
        return 2;
    }
    const char *resource = argv[optind + 1];
    char acquire[256];
    for (int i = 0; i < 2; i++) {
        party_connect(&parties[i], (int)strtol(argv[optind], NULL, 10));
    }
    snprintf(acquire, sizeof(acquire), "{\"resource\":\"%s\"}", resource);
    ask(&parties[0], "POST", "/v1/acquire", acquire);
    hear(&parties[0]);
    take_lease(&parties[0]);
    for (long i = 0; i < times; i++) {
        histogram_add(&took, hand_over(&parties[i % 2], &parties[(i + 1) % 2], resource));
    }
    printf("{\"times\": %ld, \"p50_us\": %lld, \"p99_us\": %lld, \"max_us\": %lld}\n", times,
           (long long)histogram_us(&took, 0.5), (long long)histogram_us(&took, 0.99),
           (long long)took.max_us);
    return 0;
}
