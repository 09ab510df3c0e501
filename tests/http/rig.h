/*
 * A server on a port that the system chose, and peers that talk to it in raw bytes.
 *
 * Everything runs in one thread: a peer's socket is watched by the same loop, so a test sends
 * bytes and then turns the loop until what it waits for has come. A watchdog ends a test that
 * waits for what never comes; nothing sleeps.
 *
 * The rig's handler answers by path:
 *   /parked       is parked; the test answers it by rig_answer
 *   /stream       begins a stream, parked; the test goes on with it
 *   /header       answers with a header of its own
 *   /empty        204
 *   /big          BIG_BYTES of 'x'
 *   else          says back the method, path, query, body, and the header X-Say
 */
#ifndef TESTS_HTTP_RIG_H
#define TESTS_HTTP_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/map.h"
#include "http/http.h"

#define PARKED_MAX 64

#define PARKED "GET /parked HTTP/1.1\r\nHost: h\r\n\r\n"
#define GET_A  "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
#define REPLY_TO_A                                                                                 \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\nGET /a\n"

#define BIG_BYTES ((size_t)8 << 20)

struct parked {
    struct http_request *req; /* NULL once it is answered or gone */
    bool gone;
};

struct rig {
    uv_loop_t loop;
    struct http_server *server; /* NULL once it is closed */
    struct http_options options;
    uv_timer_t watchdog;
    char address[128];
    struct parked parked[PARKED_MAX]; /* in the order of their arrival */
    size_t parked_n;
    size_t handled_n;
    char *big;
};

struct peer {
    struct rig *rig;
    uv_poll_t poll;
    int fd;
    struct buf got;
    bool ended; /* the server has closed its side, or reset the connection */
    bool reset;
};

/* Default options with the rig's handler and an error body of "STATUS: reason\n"; the test may
 * change them before rig_start. */
void rig_init(struct rig *rig);
void rig_start(struct rig *rig);
/* Closes the server, if it is open still, and checks that nothing is left in the loop. */
void rig_stop(struct rig *rig);

/* cmocka's set-up and tear-down: *state is a rig that runs with the default options. */
int rig_setup(void **state);
int rig_teardown(void **state);

struct http_stats rig_stats(const struct rig *rig);

/* One turn of the loop; waits for an event unless `poll_only`. */
void rig_turn(struct rig *rig, bool poll_only);
/* A few turns without waiting: enough for what is under way to arrive. */
void rig_breathe(struct rig *rig);
/* Turns the loop until the n-th parked request has arrived, and returns it. */
struct parked *rig_parked(struct rig *rig, size_t n);
/* Answers a parked request with 200 and a text. */
void rig_answer(struct parked *parked, const char *body);

struct peer *peer_new(struct rig *rig);
void peer_free(struct peer *p);
void peer_send(struct peer *p, struct text bytes);
/* Sends so many bytes at a time, turning the loop after each piece. */
void peer_send_in_pieces(struct peer *p, struct text bytes, size_t step);
void peer_say(struct peer *p, const char *words);
/* Turns the loop until that much has come or the server has closed. */
void peer_wait(struct peer *p, size_t bytes);
void peer_wait_end(struct peer *p);
/* Waits for exactly these bytes, takes them off `got`, and fails on any others. */
void peer_expect(struct peer *p, const char *bytes);

/* Turns the loop while a condition holds. */
#define RIG_WHILE(rig, condition)                                                                  \
    while (condition) {                                                                            \
        rig_turn(rig, false);                                                                      \
    }

#endif
