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

/* The line has closed: those who stand there by a route are to be looked at. */
void line_closed(struct core *core, struct line *line);

/* Looks at them within the budget, in the order in which they joined. */
void move_those_due(struct core *core);

/* Moves a request on, or refuses it where nothing is left; its resource will not do, but to wait
 * for. False where it stays. */
bool move_on(struct core *core, struct request *r);

/* The same for one that did not want to wait, and has not been granted where it stood. */
bool move_on_at_once(struct core *core, struct request *r);

/* A line of a pool with nobody in it takes over one who waits at another account, and could be
 * granted here at once. False where there is none; then `at_us` is when there may be. */
bool take_over(struct core *core, struct line *line, int64_t *at_us);

#endif
