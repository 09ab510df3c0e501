#include "base/clock.h"

#include <assert.h>
#include <time.h>

#include "base/num.h"

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    int rc = clock_gettime(id, &ts);
    assert(rc == 0);
    (void)rc;
    return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

void clock_init(struct clock *c, int64_t floor_us)
{
    c->wall_us = max_i64(read_us(CLOCK_REALTIME), floor_us);
    c->since_us = read_us(CLOCK_BOOTTIME);
}

int64_t clock_now_us(const struct clock *c)
{
    return c->wall_us + (read_us(CLOCK_BOOTTIME) - c->since_us);
}

int64_t clock_skew_us(const struct clock *c)
{
    return read_us(CLOCK_REALTIME) - clock_now_us(c);
}
