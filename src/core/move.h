/*
 * Moves: a request that came by a route goes on to the line of another step.
 *
 * It moves when its own resource closes or a limit there has come to refuse it, and when another
 * account of its pool has room and nobody of its own. It keeps its age, and so its place by
 * arrival. Internal to src/core.
 */
#ifndef SLUICE_CORE_MOVE_H
#define SLUICE_CORE_MOVE_H

#include "core/state.h"

/* When something is tried again for which there was no memory. */
#define MEMORY_RETRY_US (INT64_C(10) * 1000)

/* The line has closed: those who stand there by a route are to be looked at. */
void line_closed(struct core *core, struct line *line);

/* When that is to be tried again for want of memory, or INT64_MAX; begins anew where it is time. */
int64_t line_moves_again_us(struct core *core, struct line *line);

/* Looks at them within the budget, in the order in which they joined. */
void move_those_due(struct core *core);

enum move {
    MOVE_STAYS, /* its line is the best there is, or its holder is away and hears of it later */
    MOVE_GONE,  /* it has moved, or was refused because nothing is left */
    MOVE_LATER, /* there is no memory for it now */
};

/* Moves a request on whose resource will not do, but to wait for. */
enum move move_on(struct core *core, struct request *r);

/* The same for one that did not want to wait, and has not been granted where it stood. */
enum move move_on_at_once(struct core *core, struct request *r);

/* The same for one whose time in line is up: it is granted elsewhere at once, or its route ends.
 * It stays where its route would only refuse it. */
enum move move_at_last(struct core *core, struct request *r);

/* A line of a pool with nobody in it takes over one who waits at another account, and could be
 * granted here at once. False where there is none; then `at_us` is when there may be. */
bool take_over(struct core *core, struct line *line, int64_t *at_us);

#endif
