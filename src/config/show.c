#include "config/show.h"

#include <inttypes.h>

#include "base/num.h"
#include "config/words.h"

static void show_decimal(struct buf *b, int64_t n, int64_t scale)
{
    buf_add_i64(b, n / scale);
    int64_t rest = n % scale;
    if (rest) {
        buf_add_char(b, '.');
    }
    while (rest) {
        scale /= 10;
        buf_add_char(b, (char)('0' + rest / scale));
        rest %= scale;
    }
}

void show_amount(struct buf *b, enum unit unit, int64_t amount)
{
    if (unit == UNIT_USD) {
        show_decimal(b, amount, PICOUSD_PER_USD);
    } else if (amount && amount % 1000000 == 0) {
        buf_addf(b, "%" PRId64 "M", amount / 1000000);
    } else if (amount && amount % 1000 == 0) {
        buf_addf(b, "%" PRId64 "k", amount / 1000);
    } else {
        buf_add_i64(b, amount);
    }
}

void show_duration(struct buf *b, int64_t us)
{
    static const struct {
        const char *name;
        int64_t us;
    } units[] = {{"d", US_PER_DAY}, {"h", US_PER_H}, {"m", US_PER_MIN}, {"s", US_PER_S}};
    if (us == 0) {
        buf_add_str(b, "0s");
        return;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (us >= units[i].us) {
            buf_addf(b, "%" PRId64 "%s", us / units[i].us, units[i].name);
            us %= units[i].us;
        }
    }
    if (us) {
        show_decimal(b, us, US_PER_MS);
        buf_add_str(b, "ms");
    }
}

void show_share(struct buf *b, int32_t ppm)
{
    show_decimal(b, ppm, 10000);
    buf_add_char(b, '%');
}

void show_per(struct buf *b, const struct limit *l)
{
    switch (l->window) {
    case WINDOW_NONE: return;
    case WINDOW_ROLLING:
    case WINDOW_BUCKET: show_duration(b, l->per_us); return;
    case WINDOW_CALENDAR: buf_add_str(b, step_words[l->step]); return;
    case WINDOW_LIFETIME: buf_add_str(b, "lifetime"); return;
    }
}

void show_scope(struct buf *b, const struct limit *l)
{
    buf_add_str(b, scope_words[l->scope]);
    if (l->scope == SCOPE_LABEL || l->scope == SCOPE_ROUTE) {
        buf_addf(b, ":%s", l->label);
    }
}

static void show_zone(struct buf *b, const struct zone *zone)
{
    int64_t minutes = zone->changes[0].offset_us / US_PER_MIN;
    int64_t ahead = minutes < 0 ? -minutes : minutes;
    buf_addf(b, "UTC%c%02" PRId64 ":%02" PRId64, minutes < 0 ? '-' : '+', ahead / 60, ahead % 60);
}

void show_window_name(struct buf *b, const struct limit *l)
{
    if (l->window == WINDOW_NONE) {
        buf_add_str(b, "in flight");
        return;
    }
    buf_add_str(b, window_words[l->window]);
    if (l->window == WINDOW_CALENDAR && l->zone) {
        buf_add_char(b, ' ');
        show_zone(b, l->zone);
    } else if (l->window == WINDOW_CALENDAR) {
        buf_add_str(b, " UTC");
    }
}

static void show_window(struct buf *b, const struct limit *l)
{
    buf_addf(b, ", window %s", window_words[l->window]);
    if (l->window == WINDOW_BUCKET) {
        buf_add_str(b, ", burst ");
        show_amount(b, l->unit, l->burst);
    }
    if (l->guard_us) {
        buf_add_str(b, ", guard ");
        show_duration(b, l->guard_us);
    }
    if (l->slice_us) {
        buf_add_str(b, ", pace ");
        show_duration(b, l->slice_us);
    }
    if (l->told_of != TOLD_OF_LENGTH) {
        buf_addf(b, ", headers %s", told_of_words[l->told_of]);
    }
    if (l->zone) {
        buf_add_str(b, ", zone ");
        show_zone(b, l->zone);
    }
}

static void show_rules(struct buf *b, const struct limit *l)
{
    if (l->window != WINDOW_NONE) {
        buf_addf(b, ", charge %s, settle %s, on_expire %s", charge_words[l->charge],
                 settle_words[l->settle], expire_words[l->on_expire]);
    }
    buf_addf(b, ", exceed %s", exceed_words[l->exceed]);
    if (l->headroom_ppm) {
        buf_add_str(b, ", headroom ");
        show_share(b, l->headroom_ppm);
    }
    if (l->warn_ppm) {
        buf_add_str(b, ", warn_at ");
        show_share(b, l->warn_ppm);
    }
    if (l->shared[0]) {
        buf_addf(b, ", shared %s", l->shared);
    }
}

void show_limit(struct buf *b, const struct limit *l)
{
    buf_addf(b, "%s: ", l->name);
    if (l->learned) {
        buf_add_str(b, "learned");
    } else {
        show_amount(b, l->unit, l->amount);
    }
    buf_addf(b, " %s", unit_name(l->unit));
    if (l->window != WINDOW_NONE) {
        buf_add_str(b, " per ");
        show_per(b, l);
    }
    if (l->scope != SCOPE_RESOURCE) {
        buf_add_str(b, ", scope ");
        show_scope(b, l);
    }
    show_window(b, l);
    show_rules(b, l);
}

static void show_time(struct buf *b, const char *what, int64_t us)
{
    buf_add_str(b, what);
    show_duration(b, us);
}

static void show_part(struct buf *b, const char *what, int32_t ppm)
{
    buf_add_str(b, what);
    show_share(b, ppm);
}

static void show_breaker(struct buf *b, const struct feedback *f)
{
    if (f->breaker_refusals == 0) {
        buf_add_str(b, ", breaker off");
        return;
    }
    buf_addf(b, ", breaker after %d", (int)f->breaker_refusals);
    show_time(b, " for ", f->breaker_us);
    show_time(b, " to ", f->breaker_us_max);
}

static void show_retries(struct buf *b, const struct feedback *f)
{
    if (f->attempts_max == 0) {
        buf_add_str(b, ", retry off");
        return;
    }
    buf_addf(b, ", retry %d attempts", (int)f->attempts_max);
    show_part(b, ", share ", f->retry_share_ppm);
}

void show_feedback(struct buf *b, const struct resource *r)
{
    const struct feedback *f = &r->feedback;
    show_time(b, "cooldown ", r->cooldown_us);
    if (f->pause_us == 0 && f->backoff_us == 0 && f->attempts_max == 0) {
        buf_add_str(b, ", feedback off");
        return;
    }
    show_time(b, ", pause ", f->pause_us);
    show_time(b, ", ramp ", f->ramp_us);
    show_part(b, ", slow_down ", f->slow_ppm);
    show_part(b, ", growth ", f->growth_ppm);
    show_time(b, ", money_probe ", f->money_probe_us);
    show_time(b, ", backoff ", f->backoff_us);
    show_time(b, " to ", f->backoff_us_max);
    show_retries(b, f);
    show_breaker(b, f);
    if (f->day_zone) {
        buf_add_str(b, ", zone ");
        show_zone(b, f->day_zone);
    }
}

static const char *const part_names[PARTS] = {
    [PART_INPUT] = "input",
    [PART_CACHE_READ] = "cached_input",
    [PART_CACHE_WRITE_5M] = "cache_write",
    [PART_CACHE_WRITE_1H] = "cache_write_1h",
    [PART_OUTPUT] = "output",
};

static void show_parts(struct buf *b, const int64_t of[PARTS])
{
    for (int i = 0; i < PARTS; i++) {
        buf_addf(b, "%s%s ", i ? ", " : "", part_names[i]);
        show_decimal(b, of[i], PICOUSD_PER_USD / 1000000);
    }
}

void show_price(struct buf *b, const struct price *p)
{
    if (!p->known) {
        buf_add_str(b, "unknown");
        return;
    }
    show_parts(b, p->of);
    if (p->tier_start) {
        buf_add_str(b, "; above ");
        show_amount(b, UNIT_TOKENS, p->tier_start);
        buf_add_str(b, " tokens: ");
        show_parts(b, p->over);
    }
    if (p->discount_ppm) {
        show_part(b, "; less ", p->discount_ppm);
    }
}

static void show_step(struct buf *b, const struct policy *p, const struct route_step *step)
{
    buf_add_str(b, p->resources[step->resource].name);
    if (step->model[0]) {
        buf_addf(b, " as %s", step->model);
    }
    if (step->context_tokens) {
        buf_add_str(b, " up to ");
        show_amount(b, UNIT_TOKENS, step->context_tokens);
    }
    if (step->max_output_tokens) {
        buf_add_str(b, ", output up to ");
        show_amount(b, UNIT_TOKENS, step->max_output_tokens);
    }
    if (step->own_price) {
        buf_add_str(b, " (price ");
        show_price(b, &step->price);
        buf_add_char(b, ')');
    }
}

void show_route(struct buf *b, const struct policy *p, const struct route *route)
{
    buf_addf(b, "%s: ", route->name);
    for (size_t i = 0; i < route->steps_n; i++) {
        bool alike = route->accounts || route->steps[i].alike;
        buf_add_str(b, i == 0 ? "" : alike ? " or " : ", then ");
        show_step(b, p, &route->steps[i]);
    }
    buf_addf(b, "; prefer %s, finally %s%s",
             route->accounts ? "least loaded" : prefer_words[route->prefer],
             finally_words[route->finally], route->sticky ? ", sticky by session" : "");
}
