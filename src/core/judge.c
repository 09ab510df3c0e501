/*
 * Judging: whoever asks is held against each of its limits. The essay in turn.c says by which
 * rules, and what follows.
 */
#include "core/counter.h"
#include "core/flow.h"
#include "core/turn.h"

_Static_assert(RESOURCE_LIMITS_MAX <= 32, "held_by has a bit for each limit");

static bool comes_before(const struct request *r, const struct asker *a)
{
    return r->priority != a->priority ? r->priority < a->priority : r->seq < a->seq;
}

int64_t claimed_by_heads(const struct rule *rule, const struct asker *a)
{
    int64_t sum = 0;
    for (size_t i = 0; i < rule->users_n; i++) {
        const struct line *other = rule->users[i];
        if (other != a->line && other->claims && other->head && comes_before(other->head, a)) {
            sum = add_sat(sum, other->head->load.of[rule->unit]);
        }
    }
    return sum;
}

bool others_asleep(const struct counter *c, const struct asker *a)
{
    struct heap_node *first = heap_first(&c->sleepers);
    if (!first) {
        return false;
    }
    const struct flow *flow = CONTAINER_OF(first, struct flow, place);
    return flow != a->flow && comes_before(flow_first(flow), a);
}

bool limit_lets(struct core *core, const struct asker *a, struct counter *c, int64_t n)
{
    return judge_limit(core, a, c, n) == VERDICT_FITS;
}

struct judgement judge(struct core *core, const struct asker *a)
{
    struct judgement j = {.verdict = VERDICT_FITS};
    bool own = false;
    size_t limits_n = a->line->limits_n;
    for (size_t i = 0; i < limits_n; i++) {
        struct counter *c = a->counters[i];
        enum verdict v = c ? judge_limit(core, a, c, a->load->of[c->rule->unit]) : VERDICT_FITS;
        if (v == VERDICT_FITS) {
            continue;
        }
        if (v == VERDICT_OVER_BUDGET) {
            return (struct judgement){.verdict = v, .by = c};
        }
        own |= v == VERDICT_STALLED && c->rule->users_n == 1;
        j.held_by |= UINT32_C(1) << i;
        if (j.verdict == VERDICT_FITS || (j.verdict == VERDICT_STALLED && v == VERDICT_ASLEEP)) {
            j.verdict = v;
            j.by = c;
        }
    }
    j.claims = j.verdict == VERDICT_STALLED && !own;
    return j;
}
