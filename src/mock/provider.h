/*
 * What the parts of the pretend provider share among themselves. Not for others.
 */
#ifndef SLUICE_MOCK_PROVIDER_H
#define SLUICE_MOCK_PROVIDER_H

#include "base/clock.h"
#include "base/list.h"
#include "http/http.h"
#include "mock/answer.h"
#include "mock/mock.h"
#include "mock/model.h"

#define REQUEST_ID_LEN (sizeof("req_") - 1 + ANSWER_ID_LEN)

struct mock {
    uv_loop_t *loop;
    struct mock_options options;
    struct clock clock;
    int64_t started_us; /* at the start or the last reset */
    uint64_t calls_n;   /* since then */
    struct models models;
    struct list calls; /* struct call, open ones */
    struct http_server *http;
    void (*done)(void *ctx);
    void *done_ctx;
};

/* A time of the provider's in real time. */
int64_t mock_real_us(const struct mock *m, int64_t provider_us);

/* Answers with JSON; with 500 where memory did not hold all of it. */
void mock_reply(struct http_request *req, int status, const struct buf *body);

/* Answers with an error. For calls that never came to be judged. */
void mock_refuse(struct http_request *req, enum dialect dialect, int status, const char *message);

/* Begins a call, which is judged when it has arrived, and answers it in time. */
void call_begin(struct mock *m, struct http_request *req, enum dialect dialect, struct model *model,
                const struct ask *ask);

/* Ends every open call without an answer: their requests no longer exist. */
void calls_abandon(struct mock *m);

/* Writes what GET /mock/stats answers. */
void mock_write_stats(struct mock *m, struct buf *out);

#endif
