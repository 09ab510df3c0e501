#include "books.h"

#include <assert.h>
#include <glib.h>

#define WINDOW_US INT64_C(60250000)

struct entry {
    int64_t at_us;
    int64_t amount;
};

struct call {
    gint64 number;
    struct entry *requests;
    struct entry *tokens;
};

struct waiter {
    int64_t since_us;
    int64_t tokens;
};

struct log {
    GQueue entries;
    int64_t sum;
};

struct books {
    GHashTable *open;
    struct log requests, tokens;
    GQueue line;
    int64_t now_us, step_us;
    gint64 numbers;
};

static void log_let_go(struct log *log, int64_t now_us)
{
    struct entry *e;
    while ((e = g_queue_peek_head(&log->entries)) != NULL && e->at_us + WINDOW_US <= now_us) {
        log->sum -= e->amount;
        g_free(g_queue_pop_head(&log->entries));
    }
}

static struct entry *log_enter(struct log *log, int64_t now_us, int64_t amount)
{
    struct entry *e = g_new(struct entry, 1);
    *e = (struct entry){now_us, amount};
    log->sum += amount;
    g_queue_push_tail(&log->entries, e);
    return e;
}

static void wait_in_line(struct books *b)
{
    struct waiter *w = g_new(struct waiter, 1);
    *w = (struct waiter){b->now_us, 700};
    g_queue_push_tail(&b->line, w);
}

static void enter(struct books *b, int64_t tokens)
{
    struct call *call = g_new(struct call, 1);
    log_let_go(&b->requests, b->now_us);
    log_let_go(&b->tokens, b->now_us);
    call->number = ++b->numbers;
    call->requests = log_enter(&b->requests, b->now_us, 1);
    call->tokens = log_enter(&b->tokens, b->now_us, tokens);
    g_hash_table_insert(b->open, &call->number, call);
}

static void settle(struct books *b, gint64 number, int64_t tokens)
{
    const struct call *call = g_hash_table_lookup(b->open, &number);
    assert(call);
    b->tokens.sum += tokens - call->tokens->amount;
    call->tokens->amount = tokens;
    g_hash_table_remove(b->open, &number);
}

void books_turn(struct books *b)
{
    b->now_us += b->step_us;
    int64_t tokens = 700;
    if (!g_queue_is_empty(&b->line)) {
        wait_in_line(b);
        struct waiter *first = g_queue_pop_head(&b->line);
        tokens = first->tokens;
        g_free(first);
    }
    enter(b, tokens);
    settle(b, b->numbers, 500);
}

struct books *books_new(size_t waiting, int64_t step_us)
{
    struct books *b = g_new0(struct books, 1);
    b->open = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    b->step_us = step_us;
    for (size_t i = 0; i < waiting; i++) {
        wait_in_line(b);
    }
    while (b->now_us < WINDOW_US) {
        books_turn(b);
    }
    return b;
}

void books_free(struct books *b)
{
    g_hash_table_destroy(b->open);
    g_queue_clear_full(&b->requests.entries, g_free);
    g_queue_clear_full(&b->tokens.entries, g_free);
    g_queue_clear_full(&b->line, g_free);
    g_free(b);
}
