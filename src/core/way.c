#include "core/way.h"

#include <assert.h>
#include <string.h>

#include "core/line.h"

#define WAY_ALIGNED(n) (((n) + sizeof(int64_t) - 1) / sizeof(int64_t) * sizeof(int64_t))

size_t way_bytes(const struct way *way)
{
    return WAY_ALIGNED(sizeof(*way) + way->route.len);
}

struct way *way_put(void *to, const struct way *from, struct request *request)
{
    struct way *way = to;
    char *bytes = (char *)(way + 1);
    *way = *from;
    way->request = request;
    way->route = text_copy(&bytes, from->route);
    list_init(&way->place);
    return way;
}

void way_resume(const struct core *core, const struct line *line, struct way *way)
{
    way->path = path_find(core, way->route);
    size_t step = way->path ? path_step(way->path, line) : 0;
    if (way->path && step < way->path->route->steps_n) {
        way->step = (uint8_t)step;
    } else {
        way->path = NULL;
    }
    way->failed = 0; /* the steps may be others now */
    memset(way->passed, PASS_NONE, sizeof(way->passed));
}

void way_asked(const struct way *way, struct acquire *a)
{
    a->route = way->route;
    a->has_input = way->asked.has_input;
    a->has_output = way->asked.has_output;
    a->has_usd = way->asked.has_usd;
    a->load.of[UNIT_TOKENS] = way->asked.tokens;
    a->load.of[UNIT_INPUT_TOKENS] = way->asked.input;
    a->load.of[UNIT_OUTPUT_TOKENS] = way->asked.output;
}

bool pool_waits(const struct path *pool)
{
    for (size_t i = 0; i < pool->route->steps_n; i++) {
        if (pool->lines[i]->crossing.ways_n > 0) {
            return true;
        }
    }
    return false;
}

void way_waits(struct core *core, const struct line *line, const struct way *way)
{
    const struct path *pool = way->path ? line->crossing.pool : NULL;
    for (size_t i = 0; pool && i < pool->route->steps_n; i++) {
        if (pool->lines[i] != line && pool->lines[i]->backlog == 0) {
            line_make_pending(core, pool->lines[i]);
        }
    }
}

void way_joins(struct core *core, struct line *line, struct way *way)
{
    if (!way->path) {
        return;
    }
    assert(way->path->lines[way->step] == line);
    way->path->stats.waiting++;
    list_append(&line->crossing.ways, &way->place);
    line->crossing.ways_n++;
    way_waits(core, line, way);
}

void way_leaves(struct core *core, struct way *way)
{
    if (!way->path) {
        return;
    }
    struct line *line = way->path->lines[way->step];
    way->path->stats.waiting--;
    line->crossing.ways_n--;
    list_remove(&way->place);
    if (line->crossing.ways_n >= WAYS_OFFERED_MAX) {
        way_waits(core, line, way);
    }
}

void way_served(struct core *core, const struct way *way, struct text session)
{
    struct path *path = way->path;
    if (!path) {
        return;
    }
    path->stats.granted[way->step]++;
    path->lines[way->step]->crossing.served = ++core->paths.served;
    for (size_t i = 0; i < path->route->steps_n; i++) {
        path->stats.passed[way->passed[i]] += way->passed[i] != PASS_NONE;
    }
    path_stick(core, path, way->step, session);
}

size_t way_place(const struct way *way)
{
    return way->path ? route_place(way->path->route, way->step) : way->step + 1u;
}

void way_tell_all(const struct way *way, bool served, struct routed *routed)
{
    routed->route = way->route;
    routed->step = served ? way_place(way) : 0;
    routed->passed_n = 0;
    for (size_t i = 0; way->path && i < way->path->route->steps_n; i++) {
        if (way->passed[i] != PASS_NONE) {
            routed->passed[routed->passed_n++] = (struct passed){
                .resource = way->path->lines[i]->name,
                .reason = pass_name(way->passed[i]),
            };
        }
    }
}

const struct price *price_at(const struct line *line, const struct route_step *step)
{
    return step && step->own_price ? &step->price : &line->resource->price;
}

struct text way_model_at(const struct way *way, const struct line *line)
{
    const struct route_step *step = way_step(way);
    return step && step->model[0] ? text_of(step->model) : line->model;
}
