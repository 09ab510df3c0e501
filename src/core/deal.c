#include "core/deal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/line.h"

struct text lease_model(const struct lease *l)
{
    return l->deal ? (struct text){l->deal->model, l->deal->model_len}
                   : way_model_at(l->way, l->line);
}

static bool same_price(const struct price *a, const struct price *b)
{
    return a->known == b->known && memcmp(a->of, b->of, sizeof(a->of)) == 0 &&
           a->tier_start == b->tier_start && memcmp(a->over, b->over, sizeof(a->over)) == 0 &&
           a->discount_ppm == b->discount_ppm;
}

int deal_carry(struct lease *l, const struct lease *old)
{
    const struct price *price = lease_price(old);
    struct text model = lease_model(old);
    bool over = old->state == LEASE_SETTLED || old->state == LEASE_CANCELLED;
    if (over || (same_price(price, lease_price(l)) && text_equal(model, lease_model(l)))) {
        return 0;
    }
    struct deal *deal = malloc(sizeof(*deal));
    if (!deal) {
        return ERR_NO_MEMORY;
    }
    assert(model.len <= NAME_LEN_MAX);
    deal->price = *price;
    deal->model_len = model.len;
    memcpy(deal->model, model.len ? model.at : "", model.len);
    l->deal = deal;
    return 0;
}
