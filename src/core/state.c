#include "core/state.h"

#include <assert.h>
#include <stdlib.h>

#include "core/counter.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/request.h"
#include "core/timer.h"

void state_init(struct core *core)
{
    struct map *maps[] = {&core->lines_by_name,
                          &core->counters,
                          &core->parties,
                          &core->flows,
                          &core->leases,
                          &core->lease_ids,
                          &core->requests_by_caller,
                          &core->requests_by_ticket,
                          &core->request_ids};
    struct list *lists[] = {&core->open,  &core->ended,  &core->idle,    &core->idle_parties,
                            &core->dirty, &core->gained, &core->pending, &core->graveyard};
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        map_init(maps[i]);
    }
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        list_init(lists[i]);
    }
    heap_init(&core->timers);
    core->rows.next = TIMER_ROWS;
    paths_init(&core->paths);
}

static void leases_release(struct core *core, struct list *leases)
{
    while (!list_empty(leases)) {
        lease_free(core, CONTAINER_OF(list_first(leases), struct lease, place));
    }
}

static void parties_release(struct core *core)
{
    while (!list_empty(&core->idle_parties)) {
        struct list *first = list_first(&core->idle_parties);
        party_free(core, CONTAINER_OF(first, struct party, idle));
    }
    assert(core->parties.len == 0);
}

static void rule_free(struct core *core, struct rule *rule)
{
    while (!list_empty(&rule->counters)) {
        counter_free(core, CONTAINER_OF(list_first(&rule->counters), struct counter, of_rule));
    }
    free(rule->users);
    free(rule);
}

void state_release(struct core *core)
{
    for (size_t i = 0; i < core->lines_n; i++) {
        struct request *r;
        while ((r = line_oldest(core->lines[i])) != NULL) {
            line_leave(core, r);
        }
    }
    graveyard_clear(core);
    leases_release(core, &core->open);
    leases_release(core, &core->ended);
    parties_release(core);
    for (size_t i = 0; i < core->lines_n; i++) {
        line_free(core, core->lines[i]);
    }
    for (size_t i = 0; i < core->rules_n; i++) {
        rule_free(core, core->rules[i]);
    }
    free(core->lines);
    free(core->rules);
    struct map *maps[] = {&core->lines_by_name,
                          &core->counters,
                          &core->parties,
                          &core->flows,
                          &core->leases,
                          &core->lease_ids,
                          &core->requests_by_caller,
                          &core->requests_by_ticket,
                          &core->request_ids};
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        map_release(maps[i]);
    }
    assert(core->timers_n == 0);
    heap_release(&core->timers);
    spares_release(&core->spares);
    paths_release(&core->paths);
}

void state_move(struct core *to, struct core *from)
{
    *to = *from;
    struct list *pairs[][2] = {
        {&to->open, &from->open},       {&to->ended, &from->ended},
        {&to->idle, &from->idle},       {&to->idle_parties, &from->idle_parties},
        {&to->dirty, &from->dirty},     {&to->gained, &from->gained},
        {&to->pending, &from->pending}, {&to->graveyard, &from->graveyard},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        list_move(pairs[i][0], pairs[i][1]);
    }
    paths_move(&to->paths, &from->paths);
}
