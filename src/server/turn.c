#include "server/turn.h"

#include <stdlib.h>

#define REPLIES_FIRST 64

struct turn *turn_new(void)
{
    struct turn *turn = calloc(1, sizeof(*turn));
    if (turn) {
        list_init(&turn->node);
        buf_init(&turn->text, TURN_TEXT_BYTES_MAX);
    }
    return turn;
}

static void drop_memory(struct turn *turn)
{
    buf_release(&turn->text);
    free(turn->replies);
    free(turn->notices);
    turn->replies = NULL;
    turn->notices = NULL;
    turn->replies_size = 0;
    turn->notices_size = 0;
}

void turn_free(struct turn *turn)
{
    if (turn) {
        drop_memory(turn);
        free(turn);
    }
}

void turn_clear(struct turn *turn)
{
    size_t kept = turn->text.size + turn->replies_size * sizeof(struct reply) +
                  turn->notices_size * sizeof(struct pending_notice);
    if (kept > TURN_KEPT_BYTES) {
        drop_memory(turn);
    }
    buf_clear(&turn->text);
    turn->replies_n = 0;
    turn->notices_n = 0;
    turn->failed = false;
    turn->batch = 0;
}

/* Makes room for one more in an array. False when out of memory. */
static bool grow(void **array, size_t n, size_t *size, size_t element)
{
    if (n < *size) {
        return true;
    }
    size_t more = *size ? *size * 2 : REPLIES_FIRST;
    void *bigger = realloc(*array, more * element);
    if (!bigger) {
        return false;
    }
    *array = bigger;
    *size = more;
    return true;
}

struct reply *turn_add_reply(struct turn *turn)
{
    void *array = turn->replies;
    if (!grow(&array, turn->replies_n, &turn->replies_size, sizeof(struct reply))) {
        return NULL;
    }
    turn->replies = array;
    struct reply *reply = &turn->replies[turn->replies_n++];
    *reply = (struct reply){0};
    return reply;
}

struct pending_notice *turn_add_notice(struct turn *turn)
{
    void *array = turn->notices;
    if (!grow(&array, turn->notices_n, &turn->notices_size, sizeof(struct pending_notice))) {
        return NULL;
    }
    turn->notices = array;
    struct pending_notice *notice = &turn->notices[turn->notices_n++];
    *notice = (struct pending_notice){0};
    return notice;
}

struct span turn_add_text(struct turn *turn, struct text t)
{
    struct span span = {(uint32_t)turn->text.len, (uint32_t)t.len};
    buf_add_text(&turn->text, t);
    return span;
}
