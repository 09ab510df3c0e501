/*
 * Paths: routes in force.
 *
 * A path knows the lines of its route's steps, and which account has served a session last. The way
 * of a single request by one is way.h's. Which step serves is choose.c's to say, and move.c takes
 * requests from one line to another.
 *
 * Internal to src/core.
 */
#ifndef SLUICE_CORE_PATH_H
#define SLUICE_CORE_PATH_H

#include "base/list.h"
#include "base/map.h"
#include "core/event.h"
#include "core/view.h"

struct core;
struct line;
struct request;

struct path {
    struct map_node node; /* in paths.by_name */
    const struct route *route;
    struct text name;
    struct line *lines[ROUTE_STEPS_MAX]; /* by the route's steps */
    struct route_view stats;             /* `waiting` is kept too */
};

/* All of a core. */
struct paths {
    struct path *at;
    size_t n;
    struct map by_name;
    struct list moving; /* lines that have closed, whose requests are to be looked at */
    uint64_t served;    /* requests, so far */
    struct map sticks;
    struct list sticks_idle; /* by when they were last used */
};

/* What a line keeps for routes. */
struct crossing {
    struct list ways;   /* of those in line who came by a route, by when they joined */
    struct list moving; /* in paths.moving */
    size_t ways_n;
    size_t to_move;    /* how many of its ways are still to be looked at */
    int64_t again_us;  /* when they are looked at again, for want of memory; or INT64_MAX */
    int64_t cool_us;   /* it was refused: until then routes pass over it */
    struct path *pool; /* of which it is an account; or NULL */
    uint64_t served;   /* when it last served a request by a route, in the order of all; 0: never */
};

void paths_init(struct paths *paths);

/* The paths of the core's policy, whose lines are there. 0 or ERR_NO_MEMORY. */
int paths_build(struct core *core);
void paths_release(struct paths *paths);
/* After the struct around it was copied. */
void paths_move(struct paths *to, struct paths *from);

/* What was counted, and which sessions stick, goes on. */
void paths_carry(struct core *next, struct core *core);
void crossing_init(struct crossing *crossing);

/* The path of that name, or NULL. */
struct path *path_find(const struct core *core, struct text name);

/* The path that an acquire asks for: a route, or a pool of accounts named as a resource. */
struct path *path_asked(const struct core *core, const struct acquire *a);

/* The step that is a line's, or steps_n. */
size_t path_step(const struct path *path, const struct line *line);

/* A session was served at that step: it sticks to it, where that is an account of a pool which says
 * so. */
void path_stick(struct core *core, const struct path *path, size_t step, struct text session);

/* The step at which a session is to be served again by the pool whose account stands at that step,
 * or steps_n. */
size_t path_stuck_at(const struct core *core, const struct path *path, size_t step,
                     struct text session);

#endif
