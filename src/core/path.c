#include "core/path.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/line.h"

/* How many stick in all, and how long one that is idle. */
#define STICKS_MAX 65536                             /* sessions that stick, in all */
#define STICK_US   (INT64_C(60) * INT64_C(60000000)) /* one that is idle is forgotten */

/* A session that goes back to the account that served it last. */
struct stick {
    struct map_node node; /* in paths.sticks */
    struct list idle;     /* in paths.sticks_idle */
    const struct path *path;
    const struct line *line;
    int64_t used_us;
    size_t session_len;
    char session[];
};

const char *pass_name(enum pass pass)
{
    static const char *const names[PASS_COUNT] = {
        [PASS_NONE] = "none",
        [PASS_PAUSED] = "paused",
        [PASS_BACKOFF] = "backoff",
        [PASS_BREAKER_OPEN] = "breaker_open",
        [PASS_PROBING] = "probing",
        [PASS_DAY_OVER] = "day_over",
        [PASS_OUT_OF_MONEY] = "out_of_money",
        [PASS_COOLING] = "cooling_down",
        [PASS_CONTEXT] = "context",
        [PASS_NEVER_FITS] = "never_fits",
        [PASS_UNPRICED] = "usd_missing",
        [PASS_BUDGET] = "budget_exceeded",
        [PASS_DEADLOCK] = "would_deadlock",
        [PASS_LINE_FULL] = "line_full",
        [PASS_DEADLINE] = "deadline",
        [PASS_ATTEMPTS] = "attempts",
        [PASS_AUTH] = "auth",
        [PASS_TAKEN_OVER] = "taken_over",
    };
    return names[pass];
}

/* --- Sessions that stick. --- */

static uint64_t stick_hash(const struct core *core, const struct path *path, struct text session)
{
    uint64_t place = (uint64_t)(path - core->paths.at) + 1;
    return text_hash(session, &core->hash_key) + place * UINT64_C(0x9e3779b97f4a7c15);
}

static struct stick *stick_find(const struct core *core, const struct path *path,
                                struct text session)
{
    uint64_t hash = stick_hash(core, path, session);
    struct map_node *n = map_find(&core->paths.sticks, hash);
    for (; n; n = map_next_equal(n)) {
        struct stick *s = CONTAINER_OF(n, struct stick, node);
        if (s->path == path && text_equal((struct text){s->session, s->session_len}, session)) {
            return s;
        }
    }
    return NULL;
}

static void stick_free(struct paths *paths, struct stick *s)
{
    map_remove(&paths->sticks, &s->node);
    list_remove(&s->idle);
    free(s);
}

/* The oldest go where they have been idle too long, or are too many: two for each that comes. */
static void sticks_sweep(struct core *core)
{
    struct paths *paths = &core->paths;
    for (int i = 0; i < 2 && !list_empty(&paths->sticks_idle); i++) {
        struct stick *s = CONTAINER_OF(list_first(&paths->sticks_idle), struct stick, idle);
        bool over = paths->sticks.len >= STICKS_MAX || core->now_us - s->used_us > STICK_US;
        if (!over) {
            return;
        }
        stick_free(paths, s);
    }
}

/* Without memory a session does not stick, and nothing else changes. */
static void stick_set(struct core *core, const struct path *path, struct text session,
                      const struct line *line, int64_t used_us)
{
    struct paths *paths = &core->paths;
    struct stick *s = stick_find(core, path, session);
    if (!s) {
        sticks_sweep(core);
        s = malloc(sizeof(*s) + session.len);
        if (!s || map_reserve(&paths->sticks) != 0) {
            free(s);
            return;
        }
        s->path = path;
        s->session_len = session.len;
        memcpy(s->session, session.at, session.len);
        list_init(&s->idle);
        map_insert(&paths->sticks, &s->node, stick_hash(core, path, session));
    }
    s->line = line;
    s->used_us = used_us;
    list_remove(&s->idle);
    list_append(&paths->sticks_idle, &s->idle);
}

size_t path_stuck_at(const struct core *core, const struct path *path, size_t step,
                     struct text session)
{
    const struct path *pool = path->lines[step]->crossing.pool;
    bool may = pool && pool->route->sticky && session.len > 0;
    const struct stick *s = may ? stick_find(core, pool, session) : NULL;
    bool holds = s && core->now_us - s->used_us <= STICK_US;
    return holds ? path_step(path, s->line) : path->route->steps_n;
}

void path_stick(struct core *core, const struct path *path, size_t step, struct text session)
{
    const struct line *line = path->lines[step];
    const struct path *pool = line->crossing.pool;
    if (pool && pool->route->sticky && session.len > 0) {
        stick_set(core, pool, session, line, core->now_us);
    }
}

/* --- Paths. --- */

void paths_init(struct paths *paths)
{
    *paths = (struct paths){0};
    map_init(&paths->by_name);
    map_init(&paths->sticks);
    list_init(&paths->moving);
    list_init(&paths->sticks_idle);
}

void paths_release(struct paths *paths)
{
    while (!list_empty(&paths->sticks_idle)) {
        stick_free(paths, CONTAINER_OF(list_first(&paths->sticks_idle), struct stick, idle));
    }
    map_release(&paths->sticks);
    map_release(&paths->by_name);
    free(paths->at);
}

void paths_move(struct paths *to, struct paths *from)
{
    list_move(&to->moving, &from->moving);
    list_move(&to->sticks_idle, &from->sticks_idle);
}

void crossing_init(struct crossing *crossing)
{
    *crossing = (struct crossing){.cool_us = INT64_MIN, .again_us = INT64_MAX};
    list_init(&crossing->ways);
    list_init(&crossing->moving);
}

int paths_build(struct core *core)
{
    struct paths *paths = &core->paths;
    size_t n = core->policy->routes_n;
    if (n == 0) {
        return 0;
    }
    paths->at = calloc(n, sizeof(struct path));
    if (!paths->at || map_reserve_for(&paths->by_name, n) != 0) {
        return ERR_NO_MEMORY;
    }
    for (; paths->n < n; paths->n++) {
        struct path *path = &paths->at[paths->n];
        path->route = &core->policy->routes[paths->n];
        path->name = text_of(path->route->name);
        path->stats.route = path->route;
        map_insert(&paths->by_name, &path->node, text_hash(path->name, &core->hash_key));
        for (size_t i = 0; i < path->route->steps_n; i++) {
            path->lines[i] = core->lines[path->route->steps[i].resource];
            if (path->route->accounts) {
                path->lines[i]->crossing.pool = path;
            }
        }
    }
    return 0;
}

struct path *path_find(const struct core *core, struct text name)
{
    uint64_t hash = text_hash(name, &core->hash_key);
    struct map_node *n = map_find(&core->paths.by_name, hash);
    for (; n; n = map_next_equal(n)) {
        struct path *path = CONTAINER_OF(n, struct path, node);
        if (text_equal(path->name, name)) {
            return path;
        }
    }
    return NULL;
}

struct path *path_asked(const struct core *core, const struct acquire *a)
{
    if (core->paths.n == 0) {
        return NULL;
    }
    struct path *path = path_find(core, a->route.len ? a->route : a->resource);
    return path && (a->route.len || path->route->accounts) ? path : NULL;
}

size_t path_step(const struct path *path, const struct line *line)
{
    size_t i = 0;
    while (i < path->route->steps_n && path->lines[i] != line) {
        i++;
    }
    return i;
}

static void carry_sticks(struct core *next, const struct core *core)
{
    const struct list *all = &core->paths.sticks_idle;
    for (const struct list *at = all->next; at != all; at = at->next) {
        const struct stick *s = CONTAINER_OF(at, struct stick, idle);
        struct path *path = path_find(next, s->path->name);
        struct line *line = path ? line_find(next, s->line->name) : NULL;
        if (line && path->route->sticky) {
            stick_set(next, path, (struct text){s->session, s->session_len}, line, s->used_us);
        }
    }
}

void paths_carry(struct core *next, struct core *core)
{
    for (size_t i = 0; i < next->paths.n; i++) {
        struct path *path = &next->paths.at[i];
        const struct path *old = path_find(core, path->name);
        if (!old) {
            continue;
        }
        size_t waiting = path->stats.waiting;
        path->stats = old->stats;
        path->stats.route = path->route;
        path->stats.waiting = waiting;
        for (size_t k = 0; k < ROUTE_STEPS_MAX; k++) {
            path->stats.granted[k] = 0;
        }
        for (size_t k = 0; k < old->route->steps_n; k++) {
            size_t step = path_step(path, line_find(next, old->lines[k]->name));
            if (step < path->route->steps_n) {
                path->stats.granted[step] = old->stats.granted[k];
            }
        }
    }
    next->paths.served = core->paths.served;
    carry_sticks(next, core);
}
