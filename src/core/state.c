#include "core/state.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "core/counter.h"
#include "core/lease.h"
#include "core/line.h"
#include "core/request.h"
#include "core/timer.h"

#define AT(member) offsetof(struct core, member)

static const size_t maps_at[] = {AT(lines_by_name),
                                 AT(counters),
                                 AT(parties),
                                 AT(flows),
                                 AT(leases),
                                 AT(lease_ids),
                                 AT(requests_by_caller),
                                 AT(requests_by_ticket),
                                 AT(request_ids)};
static const size_t lists_at[] = {AT(open),  AT(ended),  AT(idle),    AT(idle_parties),
                                  AT(dirty), AT(gained), AT(pending), AT(graveyard)};

#define MAPS_N  (sizeof(maps_at) / sizeof(maps_at[0]))
#define LISTS_N (sizeof(lists_at) / sizeof(lists_at[0]))

static struct map *map_at(struct core *core, size_t i)
{
    return (void *)((char *)core + maps_at[i]);
}

static struct list *list_at(struct core *core, size_t i)
{
    return (void *)((char *)core + lists_at[i]);
}

void state_init(struct core *core)
{
    for (size_t i = 0; i < MAPS_N; i++) {
        map_init(map_at(core, i));
    }
    for (size_t i = 0; i < LISTS_N; i++) {
        list_init(list_at(core, i));
    }
    heap_init(&core->timers);
    core->timer_us = INT64_MAX;
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
    for (size_t i = 0; i < MAPS_N; i++) {
        map_release(map_at(core, i));
    }
    assert(core->timers_n == 0);
    heap_release(&core->timers);
    spares_release(&core->spares);
    paths_release(&core->paths);
}

void state_move(struct core *to, struct core *from)
{
    *to = *from;
    for (size_t i = 0; i < LISTS_N; i++) {
        list_move(list_at(to, i), list_at(from, i));
    }
    paths_move(&to->paths, &from->paths);
}
