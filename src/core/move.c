#include "core/move.h"

#include <assert.h>
#include <string.h>

#include "core/acquire.h"
#include "core/choose.h"
#include "core/emit.h"
#include "core/flow.h"
#include "core/health.h"
#include "core/line.h"
#include "core/request.h"

/* --- One. --- */

static int counters_at(struct core *core, const struct request *r, const struct choice *choice,
                       struct counter **counters)
{
    struct acquire a;
    request_facts(r, &a);
    a.load = choice->load;
    return counters_of(core, choice->line, &a, counters);
}

static bool move_to(struct core *core, struct request *r, struct path *path,
                    const struct choice *choice)
{
    struct counter *counters[CHARGES_MAX];
    bool full = (int64_t)core->counters.len >= core->policy->counters_max;
    if (full || counters_at(core, r, choice, counters) != 0 ||
        line_move(core, r, path, choice->step, &choice->load, counters) != 0) {
        return false;
    }
    r->estimated = choice->estimated;
    r->way->max_output = choice->max_output;
    r->way->passed[choice->step] = PASS_NONE;
    path->stats.moved++;
    return true;
}

static void refuse_exhausted(struct core *core, struct request *r, struct path *path,
                             const struct choice *choice)
{
    struct way told = *r->way;
    told.path = path;
    memcpy(told.passed, choice->passed, sizeof(told.passed));
    struct effect *e = effect_refuse_route(core, r->caller, path, &told, choice->again_us);
    e->refuse.id = r->id;
    e->refuse.waited_us = core->now_us - r->enqueued_us;
    request_end(core, r);
}

static int choose_anew(struct core *core, const struct request *r, const struct path *path,
                       struct choice *choice)
{
    struct acquire a;
    request_facts(r, &a);
    const struct wish wish = {
        .path = path,
        .asked = &a,
        .failed = r->way->failed,
        .passed = r->way->passed,
        .wait_us = max_i64(0, r->deadline_us - core->now_us),
        .seq = r->seq,
        .standing = r,
        .midway = true,
    };
    return choose(core, &wish, choice);
}

/* To the line of a choice, or out of line where nothing is left. */
static enum move follow(struct core *core, struct request *r, struct path *path,
                        const struct choice *choice)
{
    if (!choice->line) {
        refuse_exhausted(core, r, path, choice);
        return MOVE_GONE;
    }
    if (!move_to(core, r, path, choice)) {
        return MOVE_LATER;
    }
    memcpy(r->way->passed, choice->passed, sizeof(choice->passed));
    return MOVE_GONE;
}

enum move move_on(struct core *core, struct request *r)
{
    struct choice choice;
    struct path *path = path_find(core, r->way->route);
    if (!path) {
        return MOVE_STAYS;
    }
    if (choose_anew(core, r, path, &choice) != 0) {
        return MOVE_LATER;
    }
    if (choice.line == flow_line(r->flow) || (!choice.line && !r->caller)) {
        return MOVE_STAYS;
    }
    return follow(core, r, path, &choice);
}

static void fail_here(struct way *way)
{
    way->failed |= (uint8_t)(1u << way->step);
    way->passed[way->step] = PASS_DEADLINE;
}

enum move move_at_last(struct core *core, struct request *r)
{
    struct choice choice;
    struct path *path = r->way->path;
    if (!path) {
        return MOVE_STAYS;
    }
    fail_here(r->way);
    if (choose_anew(core, r, path, &choice) != 0) {
        return MOVE_LATER;
    }
    if (!choice.line && path->route->finally == FINALLY_REFUSE) {
        memcpy(r->way->passed, choice.passed, sizeof(choice.passed));
        return MOVE_STAYS;
    }
    return follow(core, r, path, &choice);
}

enum move move_on_at_once(struct core *core, struct request *r)
{
    if (!r->way->path) {
        return MOVE_STAYS;
    }
    fail_here(r->way);
    return move_on(core, r);
}

/* --- All of a line that has closed. --- */

void line_closed(struct core *core, struct line *line)
{
    struct crossing *crossing = &line->crossing;
    crossing->again_us = INT64_MAX;
    crossing->to_move = crossing->ways_n;
    if (crossing->to_move > 0 && !list_holds(&crossing->moving)) {
        leave_to_do(core, &core->paths.moving, &crossing->moving);
    }
}

static void stop_moving(struct crossing *crossing)
{
    crossing->to_move = 0;
    list_remove(&crossing->moving);
}

/* The first of those to be looked at goes behind the others. */
static void move_first(struct core *core, struct line *line)
{
    struct crossing *crossing = &line->crossing;
    struct list *first = list_first(&crossing->ways);
    bool open = health_lets(core, line) || line->health.state == HEALTH_RECOVERING;
    if (!first || crossing->to_move == 0 || open) {
        stop_moving(crossing);
        return;
    }
    crossing->to_move--;
    list_remove(first);
    list_append(&crossing->ways, first);
    if (move_on(core, CONTAINER_OF(first, struct way, place)->request) == MOVE_LATER) {
        stop_moving(crossing);
        crossing->again_us = add_sat(core->now_us, MEMORY_RETRY_US);
        line_make_pending(core, line);
    }
}

int64_t line_moves_again_us(struct core *core, struct line *line)
{
    if (line->crossing.again_us <= core->now_us) {
        line_closed(core, line);
    }
    return line->crossing.again_us;
}

void move_those_due(struct core *core)
{
    while (!list_empty(&core->paths.moving) && core->budget > 0) {
        struct list *first = list_first(&core->paths.moving);
        core->budget--;
        move_first(core, CONTAINER_OF(first, struct line, crossing.moving));
    }
}

/* --- Accounts of one pool. --- */

struct search {
    struct line *line;    /* that has room */
    struct request *best; /* or NULL */
    struct choice choice; /* of the best */
    int64_t at_us;
};

static void consider(struct core *core, struct search *s, struct request *r)
{
    struct choice choice;
    int64_t fits_us;
    bool comes = r->way && r->way->path && r->state == REQUEST_WAITING &&
                 (!s->best || request_before(r, s->best));
    if (comes && would_fit_at(core, s->line, r, &choice, &fits_us)) {
        s->best = r;
        s->choice = choice;
    } else if (comes) {
        s->at_us = min_i64(s->at_us, fits_us);
    }
}

/* Whoever is next there, and those who have waited there longest. */
static void search_at(struct core *core, struct search *s, struct line *other)
{
    struct flow *next = line_pick(core, other);
    const struct list *at = other->crossing.ways.next;
    if (next) {
        consider(core, s, flow_first(next));
    }
    for (int i = 0; i < WAYS_OFFERED_MAX && at != &other->crossing.ways; i++, at = at->next) {
        consider(core, s, CONTAINER_OF(at, struct way, place)->request);
    }
}

/* An account that a route names as a step of its own may take over who waits at an earlier one: the
 * steps before it that nothing was said against were not asked again. */
static void tell_skipped(struct way *way)
{
    const struct route *route = way->path->route;
    size_t place = route_place(route, way->step);
    for (size_t i = 0; i < way->step; i++) {
        if (way->passed[i] == PASS_NONE && route_place(route, i) < place) {
            way->passed[i] = PASS_TAKEN_OVER;
        }
    }
}

bool take_over(struct core *core, struct line *line, int64_t *at_us)
{
    const struct path *pool = line->crossing.pool;
    struct search s = {.line = line, .at_us = INT64_MAX};
    *at_us = line->crossing.cool_us;
    if (line->crossing.cool_us > core->now_us && line->health.state != HEALTH_PROBING) {
        return false;
    }
    for (size_t i = 0; i < pool->route->steps_n; i++) {
        struct line *other = pool->lines[i];
        if (other != line && !list_empty(&other->crossing.ways)) {
            search_at(core, &s, other);
        }
    }
    *at_us = s.at_us;
    if (s.best && !move_to(core, s.best, s.best->way->path, &s.choice)) {
        *at_us = add_sat(core->now_us, MEMORY_RETRY_US);
        return false;
    }
    if (s.best) {
        tell_skipped(s.best->way);
    }
    return s.best != NULL;
}
