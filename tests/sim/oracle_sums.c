/* Limits, and what is used of them: every sum is worked out from the history. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oracle_calendar.h"

#define GRANULES     131072
#define PERIODS_KEPT 8191

static int128 ceil_div(int128 a, int128 b)
{
    return (a + b - 1) / b;
}

static int128 floor_div(int128 a, int128 b)
{
    return a >= 0 ? a / b : -ceil_div(-a, b);
}

static int64_t less_headroom(int64_t amount, int32_t ppm)
{
    return amount - (int64_t)ceil_div((int128)amount * ppm, 1000000);
}

int64_t limit_amount(const struct limit *l)
{
    /* One that is to be learned allows all that nobody has told it not to. */
    return less_headroom(l->learned ? AMOUNT_MAX : l->amount, l->headroom_ppm);
}

int64_t told_amount(const struct ident *id)
{
    const struct limit *l = id->limit;
    struct limit told = *l;
    told.amount = l->learned ? id->told : min_i64(l->amount, id->told);
    told.learned = false;
    return max_i64(1, limit_amount(&told));
}

int64_t limit_burst(const struct limit *l)
{
    int64_t guarded = (int64_t)ceil_div((int128)limit_amount(l) * l->guard_us, l->per_us);
    return max_i64(1, less_headroom(l->burst, l->headroom_ppm) - guarded);
}

int64_t limit_most(const struct limit *l)
{
    return l->window == WINDOW_BUCKET ? limit_burst(l) : limit_amount(l);
}

int64_t limit_slice(const struct limit *l)
{
    return max_i64(1, (int64_t)((int128)limit_amount(l) * l->slice_us / l->per_us));
}

static int64_t leave_us(int64_t at_us, int64_t per_us, int64_t guard_us)
{
    int64_t g = max_i64(1, per_us / GRANULES);
    return (at_us + g - 1) / g * g + per_us + guard_us;
}

int64_t rolling_leave_us(const struct limit *l, int64_t at_us)
{
    return leave_us(at_us, l->per_us, l->guard_us);
}

int64_t slice_leave_us(const struct limit *l, int64_t at_us)
{
    return leave_us(at_us, l->slice_us, min_i64(l->guard_us, l->slice_us));
}

static int64_t zone_offset_us(const struct zone *z, int64_t wall_us)
{
    int64_t offset = z ? z->changes[0].offset_us : 0;
    for (size_t i = 1; z && i < z->changes_n; i++) {
        if (wall_us >= z->changes[i].at_us) {
            offset = z->changes[i].offset_us;
        }
    }
    return offset;
}

/* The local date and time as one number, its digits cut off behind the step. */
static int64_t work_out_period(const struct limit *l, int64_t wall_us)
{
    int64_t offset_us = zone_offset_us(l->zone, wall_us);
    int64_t local_us = wall_us + offset_us;
    time_t seconds = (time_t)(local_us / US_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    int64_t fields[] = {tm.tm_year * 100 + tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec};
    size_t kept[] = {
        [STEP_SECOND] = 5, [STEP_MINUTE] = 4, [STEP_HOUR] = 3, [STEP_DAY] = 2, [STEP_MONTH] = 1};
    int64_t number = 0;
    for (size_t i = 0; i < 5; i++) {
        number = number * 100 + (i < kept[l->step] ? fields[i] : 0);
    }
    /* An hour that daylight saving repeats is two hours. */
    return number * 100 + (l->step <= STEP_HOUR ? offset_us / US_PER_H : 0);
}

/* The same few instants are asked for over and over: answers are kept. */
int64_t period_number(const struct limit *l, int64_t wall_us)
{
    static struct {
        const struct zone *zone;
        enum calendar_step step;
        int64_t wall_us;
        int64_t number;
    } kept[PERIODS_KEPT];
    size_t place = ((uint64_t)wall_us * 31 + (uint64_t)l->step) % PERIODS_KEPT;
    if (kept[place].number == 0 || kept[place].wall_us != wall_us || kept[place].zone != l->zone ||
        kept[place].step != l->step) {
        kept[place].zone = l->zone;
        kept[place].step = l->step;
        kept[place].wall_us = wall_us;
        kept[place].number = work_out_period(l, wall_us);
    }
    return kept[place].number;
}

bool has_periods(const struct limit *l)
{
    return l->window == WINDOW_CALENDAR;
}

/* Numbers of periods never come again: the first instant of another number is looked for. */
int64_t period_end_us(const struct limit *l, int64_t wall_us)
{
    static const int64_t LONGEST_US[] = {[STEP_SECOND] = 2 * US_PER_S,
                                         [STEP_MINUTE] = 2 * US_PER_MIN,
                                         [STEP_HOUR] = 3 * US_PER_H,
                                         [STEP_DAY] = 3 * US_PER_DAY,
                                         [STEP_MONTH] = 40 * US_PER_DAY};
    int64_t number = period_number(l, wall_us);
    int64_t same_us = wall_us, other_us = wall_us + LONGEST_US[l->step];
    while (other_us - same_us > 1) {
        int64_t middle_us = same_us + (other_us - same_us) / 2;
        if (period_number(l, middle_us) == number) {
            same_us = middle_us;
        } else {
            other_us = middle_us;
        }
    }
    return other_us;
}

size_t resource_index(const struct oracle *o, const char *name)
{
    for (size_t i = 0; o->policy && i < o->policy->resources_n; i++) {
        if (strcmp(o->policy->resources[i].name, name) == 0) {
            return i;
        }
    }
    return NONE;
}

const struct limit *limit_named(const struct oracle *o, size_t resource, const char *name)
{
    for (size_t l = 0; resource != NONE && name && l < o->policy->resources[resource].limits_n;
         l++) {
        if (strcmp(o->policy->resources[resource].limits[l].name, name) == 0) {
            return &o->policy->resources[resource].limits[l];
        }
    }
    return NULL;
}

static void label_value(const char *labels, const char *key, char out[KEY_MAX])
{
    size_t len = strlen(key);
    out[0] = 0;
    for (const char *at = labels; at && *at;) {
        const char *end = strchr(at, '\n');
        size_t line = end ? (size_t)(end - at) : strlen(at);
        if (line > len && strncmp(at, key, len) == 0 && at[len] == '=') {
            snprintf(out, KEY_MAX, "%.*s", (int)(line - len - 1), at + len + 1);
            return;
        }
        at = end ? end + 1 : NULL;
    }
}

static void copy_key(char key[KEY_MAX], const char *from)
{
    size_t len = strnlen(from, KEY_MAX - 1);
    memcpy(key, from, len);
    key[len] = 0;
}

/* What is called at a resource: the model of the route's step there, where that names one. */
static const char *called_model(const struct policy *p, const struct resource *r, const char *route)
{
    for (size_t i = 0; i < p->routes_n; i++) {
        const struct route *x = &p->routes[i];
        for (size_t k = 0; strcmp(x->name, route) == 0 && k < x->steps_n; k++) {
            const struct resource *at = &p->resources[x->steps[k].resource];
            if (strcmp(at->name, r->name) == 0 && x->steps[k].model[0]) {
                return x->steps[k].model;
            }
        }
    }
    return r->model;
}

bool charged_key(const struct policy *p, const struct limit *l, const struct resource *r,
                 struct payer payer, char key[KEY_MAX])
{
    switch (l->scope) {
    case SCOPE_TENANT: copy_key(key, payer.tenant); break;
    case SCOPE_SESSION: copy_key(key, payer.session); break;
    case SCOPE_MODEL: copy_key(key, called_model(p, r, payer.route)); break;
    case SCOPE_LABEL: label_value(payer.labels, l->label, key); break;
    case SCOPE_ROUTE: copy_key(key, payer.route); break;
    default: key[0] = 0;
    }
    return l->scope != SCOPE_ROUTE || strcmp(l->label, payer.route) == 0;
}

/* --- Amounts of single charges --- */

int64_t booked_amount(const struct limit *l, int64_t n, int64_t real)
{
    return l->settle == SETTLE_KEEP ? n : l->settle == SETTLE_REFUND_ONLY ? min_i64(n, real) : real;
}

int64_t expired_amount(const struct limit *l, const struct load *load)
{
    if (l->on_expire == EXPIRE_FULL) {
        return load->of[l->unit];
    }
    if (l->on_expire == EXPIRE_NOTHING) {
        return 0;
    }
    return l->unit == UNIT_TOKENS          ? load->of[UNIT_INPUT_TOKENS]
           : l->unit == UNIT_OUTPUT_TOKENS ? 0
                                           : load->of[l->unit];
}

static int64_t end_amount(const struct limit *l, const struct fact *f, int64_t n)
{
    switch (f->end) {
    case END_CANCELLED: return 0;
    case END_EXPIRED: return expired_amount(l, &f->load);
    case END_SETTLED: return booked_amount(l, n, f->used.of[l->unit]);
    default: return n;
    }
}

/* When a charge entered its window: at the grant, or at the end of the lease. */
static int64_t entered_us(const struct limit *l, const struct fact *f, const struct charge *c)
{
    return l->charge == CHARGE_AT_SETTLE ? f->end_us : c->at_us;
}

/* An instant after a charge entered. */
struct instant {
    int64_t us;
    uint64_t period;
};

/* Whether a charge is inside its window then. */
static bool inside(const struct limit *l, const struct fact *f, const struct charge *c,
                   struct instant at)
{
    if (l->window == WINDOW_ROLLING) {
        return at.us < rolling_leave_us(l, entered_us(l, f, c));
    }
    if (has_periods(l)) {
        return at.period &&
               at.period == (l->charge == CHARGE_AT_SETTLE ? c->end_period : c->period);
    }
    return true;
}

/* What a charge amounts to, the lease's end and late settle taken into account. */
int64_t charge_amount(const struct limit *l, const struct fact *f, const struct charge *c)
{
    int64_t amount = c->n;
    struct instant end = {f->end_us, c->end_period};
    struct instant late = {f->late_us, c->late_period};
    if (c->stuck) {
        return c->stuck_at;
    }
    if (f->end != END_OPEN && (l->charge == CHARGE_AT_SETTLE || inside(l, f, c, end))) {
        amount = end_amount(l, f, c->n);
    }
    if (f->late && inside(l, f, c, late)) {
        amount = booked_amount(l, c->n, f->late_used.of[l->unit]);
    }
    return amount;
}

static bool is_held(const struct limit *l, const struct fact *f)
{
    return f->end == END_OPEN && !f->lost &&
           (l->window == WINDOW_NONE || l->charge == CHARGE_AT_SETTLE);
}

/* --- Buckets: the whole story, told again --- */

struct level {
    int128 at; /* units × per_us */
    int64_t amount, per_us, burst;
    int64_t us;
};

static void refill(struct level *v, int64_t now_us)
{
    if (now_us < v->us) {
        return; /* a restart went back to the newest record */
    }
    v->at += (int128)(now_us - v->us) * v->amount;
    if (v->at > (int128)v->burst * v->per_us) {
        v->at = (int128)v->burst * v->per_us;
    }
    v->us = now_us;
}

/* Under new terms a bucket lacks as many units as it did under the old ones. */
static void change_terms(struct level *v, const struct deed *d)
{
    int128 lacks = d->kind == DEED_BORN ? 0 : (int128)v->burst * v->per_us - v->at;
    lacks = lacks / v->per_us * d->per_us + lacks % v->per_us * d->per_us / v->per_us;
    v->amount = d->amount;
    v->per_us = d->per_us;
    v->burst = d->burst;
    v->at = (int128)d->burst * d->per_us - lacks;
    v->us = d->at_us;
}

static void do_deed(struct level *v, const struct deed *d)
{
    int128 units = (int128)d->amount * v->per_us;
    if (d->kind == DEED_CAP) {
        v->at = v->at < units ? v->at : units;
    } else {
        v->at = (d->kind == DEED_SET ? 0 : v->at) + units;
    }
}

static int64_t bucket_level(const struct ident *id, const char *key, int64_t now_us)
{
    struct level v = {0, 0, 1, 0, 0};
    for (size_t i = 0; i < id->deeds_n; i++) {
        const struct deed *d = &id->deeds[i];
        if (d->kind == DEED_BORN || d->kind == DEED_TERMS) {
            if (d->kind == DEED_TERMS) {
                refill(&v, d->at_us);
            }
            change_terms(&v, d);
        } else if (d->kind != DEED_NOTE && strcmp(d->key, key) == 0) {
            refill(&v, max_i64(v.us, d->at_us));
            do_deed(&v, d);
            refill(&v, v.us);
        }
    }
    refill(&v, max_i64(v.us, now_us));
    return (int64_t)floor_div(v.at, v.per_us);
}

/* --- Sums --- */

static void add_charge(struct oracle *o, const struct ident *id, const struct charge *c,
                       struct sum *s)
{
    const struct limit *l = id->limit;
    const struct fact *f = &o->facts[c->fact];
    struct instant now = {o->now_us, period_now(o, id, c->key)};
    if (is_held(l, f)) {
        s->held += c->n;
    } else if (!c->gone && l->window != WINDOW_NONE && l->window != WINDOW_BUCKET &&
               inside(l, f, c, now)) {
        s->used += charge_amount(l, f, c);
    }
    if (l->slice_us && !c->gone && o->now_us < slice_leave_us(l, c->at_us)) {
        s->slice_used += c->n;
    }
}

static struct sum work_out(struct oracle *o, size_t ident, const char *key)
{
    const struct ident *id = &o->idents[ident];
    struct sum s = {0};
    for (size_t i = 0; i < id->charges_n; i++) {
        if (id->charges[i].key[0] == key[0] && strcmp(id->charges[i].key, key) == 0) {
            add_charge(o, id, &id->charges[i], &s);
        }
    }
    if (id->window == WINDOW_BUCKET) {
        s.free = bucket_level(id, key, o->now_us) - s.held;
    } else {
        s.free = limit_amount(id->limit) - s.used - s.held;
    }
    return s;
}

struct sum sum_of(struct oracle *o, size_t ident, const char *key)
{
    for (size_t i = 0; i < o->memos_n; i++) {
        if (o->memos[i].ident == ident && o->memos[i].key[0] == key[0] &&
            strcmp(o->memos[i].key, key) == 0) {
            return o->memos[i].sum;
        }
    }
    struct sum s = work_out(o, ident, key);
    if (o->memos_n < MEMO_MAX) {
        struct memo *m = &o->memos[o->memos_n++];
        m->ident = ident;
        m->sum = s;
        memcpy(m->key, key, strlen(key) + 1);
    }
    return s;
}

int64_t usage_of_holder(struct oracle *o, size_t ident, const struct reserve *s)
{
    const struct ident *id = &o->idents[ident];
    struct sum sum = {0};
    for (size_t i = 0; i < id->charges_n; i++) {
        const struct fact *f = &o->facts[id->charges[i].fact];
        if (s->priority ? f->priority <= s->priority : strcmp(f->tenant, s->tenant) == 0) {
            add_charge(o, id, &id->charges[i], &sum);
        }
    }
    return sum.used + sum.held;
}

void forget_sums(struct oracle *o)
{
    o->memos_n = 0;
    o->moment++;
}

int64_t rolling_used_at(struct oracle *o, size_t ident, int64_t at_us)
{
    const struct ident *id = &o->idents[ident];
    int64_t used = 0;
    for (size_t i = 0; i < id->charges_n; i++) {
        const struct charge *c = &id->charges[i];
        const struct fact *f = &o->facts[c->fact];
        if (!c->gone && !is_held(id->limit, f) &&
            at_us < rolling_leave_us(id->limit, entered_us(id->limit, f, c))) {
            used += charge_amount(id->limit, f, c);
        }
    }
    return used;
}

int64_t rolling_fits_us(struct oracle *o, size_t ident, int64_t n)
{
    const struct ident *id = &o->idents[ident];
    int64_t amount = limit_amount(id->limit), best = INT64_MAX;
    if (rolling_used_at(o, ident, o->now_us) + n <= amount) {
        return o->now_us;
    }
    for (size_t i = 0; i < id->charges_n; i++) {
        const struct fact *f = &o->facts[id->charges[i].fact];
        int64_t t = rolling_leave_us(id->limit, entered_us(id->limit, f, &id->charges[i]));
        if (t > o->now_us && t < best && rolling_used_at(o, ident, t) + n <= amount) {
            best = t;
        }
    }
    return best;
}
