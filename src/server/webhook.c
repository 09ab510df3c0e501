/*
 * One alert is with the worker or with the timer at a time, the first of the backlog:
 *
 *     idle ── an alert is added ──► posting ── taken ──► the next, or idle
 *                                    │   ▲
 *                                    ▼   │ the timer
 *                                   waiting ── too often ──► dropped, and the next
 *
 * What the worker uses stands in `job`, and nobody else touches that while it is `posting`.
 */
#include "server/webhook.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "client/client.h"
#include "http/member.h"
#include "server/log.h"

#define LETTER_BYTES_MAX (16u << 10)
#define ANSWER_BYTES_MAX (1u << 20)
#define WHY_BYTES_MAX    512

struct letter {
    struct list node;
    size_t len;
    char body[];
};

struct job {
    char *url;
    struct text body;
    int err;
    int status;
    char why[WHY_BYTES_MAX];
};

struct webhook {
    uv_timer_t again;
    uv_work_t work;
    struct job job;
    atomic_bool stop;
    bool posting;
    bool waiting; /* for the timer */
    bool closed;
    bool overflown; /* the log has been told that alerts are dropped */
    char *url;      /* NULL: nowhere */
    struct list backlog;
    size_t backlog_n;
    int attempts; /* of the first of the backlog */
    struct webhook_stats stats;
};

int webhook_new(uv_loop_t *loop, struct webhook **webhook)
{
    struct buf why;
    struct client *first = NULL;
    struct webhook *w = calloc(1, sizeof(*w));
    if (!w || uv_timer_init(loop, &w->again) != 0) {
        free(w);
        return ERR_NO_MEMORY;
    }
    list_init(&w->backlog);
    atomic_init(&w->stop, false);
    w->again.data = w;
    w->work.data = w;
    /* The first client sets up the library for all threads, which only one thread may do. */
    buf_init(&why, WHY_BYTES_MAX);
    (void)client_new(CLIENT_URL_DEFAULT, NULL, &first, &why);
    client_free(first);
    buf_release(&why);
    *webhook = w;
    return 0;
}

/* --- The worker. --- */

/* The client leaves out a slash at the end of an address, which may matter to whoever is there. */
static const char *path_of(const char *url)
{
    size_t len = strlen(url);
    return len > 0 && url[len - 1] == '/' ? "/" : "";
}

static void post(uv_work_t *work)
{
    struct webhook *w = work->data;
    struct job *job = &w->job;
    struct client *client = NULL;
    struct buf why, answer;
    buf_init(&why, WHY_BYTES_MAX - 1);
    buf_init(&answer, ANSWER_BYTES_MAX);
    job->why[0] = '\0';
    job->err = client_new(job->url, NULL, &client, &why);
    if (!job->err) {
        client_call_it(client, "the other side");
        client_stop_when(client, &w->stop);
        job->err = client_post(client, path_of(job->url), job->body, WEBHOOK_TIMEOUT_US,
                               &job->status, &answer, &why);
        if (why.len) {
            memcpy(job->why, why.at, why.len + 1);
        }
    }
    client_free(client);
    buf_release(&answer);
    buf_release(&why);
}

/* --- The loop. --- */

static void go_on(struct webhook *w);

static struct letter *first(const struct webhook *w)
{
    struct list *node = list_first(&w->backlog);
    return node ? CONTAINER_OF(node, struct letter, node) : NULL;
}

static void drop_first(struct webhook *w)
{
    struct letter *letter = first(w);
    list_remove(&letter->node);
    free(letter);
    w->backlog_n--;
    w->attempts = 0;
}

static void drop_all(struct webhook *w)
{
    w->stats.dropped += w->backlog_n;
    while (w->backlog_n > 0) {
        drop_first(w);
    }
}

static void on_again(uv_timer_t *timer)
{
    struct webhook *w = timer->data;
    w->waiting = false;
    go_on(w);
}

static bool may_pass(const struct job *job)
{
    return job->err || job->status >= 500 || job->status == 408 || job->status == 429;
}

static void log_failure(const struct webhook *w, bool again)
{
    const struct job *job = &w->job;
    const char *then = again ? "it is tried again" : "the alert is let go";
    if (job->err) {
        log_warn("the webhook did not take an alert: %s; %s",
                 job->why[0] ? job->why : error_sentence((enum error_code)job->err), then);
    } else {
        log_warn("the webhook did not take an alert: it answered %d; %s", job->status, then);
    }
}

static void failed(struct webhook *w)
{
    bool again = may_pass(&w->job) && ++w->attempts < WEBHOOK_ATTEMPTS_MAX;
    w->stats.failures++;
    if (!again || w->attempts == 1) {
        log_failure(w, again);
    }
    if (again) {
        w->waiting = true;
        uv_timer_start(&w->again, on_again, (uint64_t)WEBHOOK_AGAIN_MS << (w->attempts - 1), 0);
        return;
    }
    w->stats.dropped++;
    drop_first(w);
}

static void on_posted(uv_work_t *work, int cancelled)
{
    struct webhook *w = work->data;
    const struct job *job = &w->job;
    w->posting = false;
    free(w->job.url);
    w->job.url = NULL;
    if (w->closed || !w->url || cancelled) {
        drop_all(w);
        return;
    }
    if (!job->err && job->status >= 200 && job->status < 300) {
        w->stats.posted++;
        w->overflown = false;
        drop_first(w);
    } else {
        failed(w);
    }
    go_on(w);
}

/* Posts the first of the backlog, unless that is under way. */
static void go_on(struct webhook *w)
{
    const struct letter *letter = first(w);
    if (w->posting || w->waiting || w->closed || !letter) {
        return;
    }
    char *url = strdup(w->url);
    w->job = (struct job){.url = url, .body = {letter->body, letter->len}};
    w->posting = url && uv_queue_work(w->again.loop, &w->work, post, on_posted) == 0;
    if (!w->posting) {
        free(url);
        w->job.url = NULL;
        drop_all(w);
    }
}

/* --- From outside. --- */

int webhook_configure(struct webhook *w, const char *url)
{
    char *copy = url ? strdup(url) : NULL;
    if (url && !copy) {
        return ERR_NO_MEMORY;
    }
    free(w->url);
    w->url = copy;
    if (!url && !w->posting) {
        uv_timer_stop(&w->again);
        w->waiting = false;
        drop_all(w);
    }
    return 0;
}

/* `text` is where chat systems look for the words of a message. */
static struct letter *letter_new(const struct alert *alert, int64_t now_us)
{
    struct json_writer w;
    struct buf body, words;
    struct letter *letter = NULL;
    buf_init(&body, LETTER_BYTES_MAX);
    buf_init(&words, ALERT_WORDS_BYTES_MAX);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    alert_words(alert, &words);
    member_text(&w, "text", buf_text(&words));
    alert_write(alert, now_us, &w);
    json_object_end(&w);
    if (!body.failed && (letter = malloc(sizeof(*letter) + body.len)) != NULL) {
        letter->len = body.len;
        memcpy(letter->body, body.at, body.len);
    }
    buf_release(&words);
    buf_release(&body);
    return letter;
}

void webhook_add(struct webhook *w, const struct alert *alert, int64_t now_us)
{
    if (!w->url || w->closed) {
        return;
    }
    bool full = w->backlog_n == WEBHOOK_BACKLOG_MAX;
    struct letter *letter = full ? NULL : letter_new(alert, now_us);
    if (!letter) {
        w->stats.dropped++;
        if (full && !w->overflown) {
            log_warn("the webhook is too slow: alerts are let go");
            w->overflown = true;
        }
        return;
    }
    list_append(&w->backlog, &letter->node);
    w->backlog_n++;
    go_on(w);
}

void webhook_close(struct webhook *w)
{
    w->closed = true;
    atomic_store(&w->stop, true);
    uv_close((uv_handle_t *)&w->again, NULL);
    if (w->posting) {
        (void)uv_cancel((uv_req_t *)&w->work);
    } else {
        drop_all(w);
    }
}

void webhook_free(struct webhook *w)
{
    if (!w) {
        return;
    }
    drop_all(w);
    free(w->url);
    free(w);
}

void webhook_stats(const struct webhook *w, struct webhook_stats *stats)
{
    *stats = w->stats;
    stats->waiting = w->backlog_n;
}
