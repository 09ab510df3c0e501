#include "core/horizon.h"

#include <assert.h>
#include <string.h>

#include "base/num.h"

static void horizon_forget(struct horizon *h, int64_t now_us, int64_t matters_us)
{
    size_t over = 0;
    while (over < h->ends_n && add_sat(h->ends[over].until_us, matters_us) < now_us) {
        over++;
    }
    h->ends_n -= over;
    memmove(h->ends, h->ends + over, h->ends_n * sizeof(h->ends[0]));
}

void horizon_note(struct horizon *h, int64_t now_us, int64_t noted_us, int64_t matters_us)
{
    assert(matters_us >= HORIZON_STRETCHES);
    size_t last = h->ends_n - 1;
    if (unlikely(h->ends_n == 0 ||
                 now_us - h->ends[last].since_us >= matters_us / HORIZON_STRETCHES)) {
        horizon_forget(h, now_us, matters_us);
        if (h->ends_n < HORIZON_MAX) {
            h->ends[h->ends_n].since_us = now_us;
            h->ends[h->ends_n++].noted_us = noted_us;
        }
    }
    last = h->ends_n - 1;
    h->ends[last].until_us = now_us;
    h->ends[last].noted_us = min_i64(h->ends[last].noted_us, noted_us);
}

int64_t horizon_oldest_us(const struct horizon *h, int64_t now_us, int64_t matters_us)
{
    int64_t oldest_us = INT64_MAX;
    for (size_t i = 0; i < h->ends_n; i++) {
        bool matters = add_sat(h->ends[i].until_us, matters_us) >= now_us;
        oldest_us = matters ? min_i64(oldest_us, h->ends[i].noted_us) : oldest_us;
    }
    return oldest_us;
}
