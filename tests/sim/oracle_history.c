/* What happened: leases as the records tell it, and which limits they are charged to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_calendar.h"
#include "oracle_health.h"
#include "oracle_routes.h"

static void copy_text(char *out, size_t size, struct text t)
{
    snprintf(out, size, "%.*s", (int)t.len, t.len ? t.at : "");
}

struct fact *find_fact(struct oracle *o, uint64_t lease)
{
    for (size_t i = o->facts_n; i > 0; i--) {
        if (o->facts[i - 1].lease == lease && !o->facts[i - 1].lost) {
            return &o->facts[i - 1];
        }
    }
    return NULL;
}

static struct charge *add_charge(struct ident *id)
{
    ROOM(id, charges);
    struct charge *c = &id->charges[id->charges_n++];
    memset(c, 0, sizeof(*c));
    return c;
}

static struct deed *add_deed(struct oracle *o, struct ident *id, enum deed_kind kind)
{
    ROOM(id, deeds);
    struct deed *d = &id->deeds[id->deeds_n++];
    memset(d, 0, sizeof(*d));
    d->kind = kind;
    d->record = o->records;
    d->at_us = o->now_us;
    return d;
}

/* A change of a bucket's level by some units. */
static void deed_units(struct oracle *o, struct ident *id, const char *key, int64_t units)
{
    if (id->window == WINDOW_BUCKET && units != 0) {
        struct deed *d = add_deed(o, id, DEED_ADD);
        snprintf(d->key, KEY_MAX, "%.39s", key);
        d->amount = units;
    }
}

/* An entry of a rolling window counts from the newest entry's time at least. */
static int64_t newest_us(const struct ident *id, const char *key)
{
    int64_t newest = 0;
    for (size_t i = 0; id->window == WINDOW_ROLLING && i < id->charges_n; i++) {
        if (strcmp(id->charges[i].key, key) == 0) {
            newest = max_i64(newest, id->charges[i].at_us);
        }
    }
    return newest;
}

static void charge_fact(struct oracle *o, struct ident *id, size_t fact, const struct resource *r)
{
    const struct fact *f = &o->facts[fact];
    int64_t n = f->load.of[id->unit];
    char key[KEY_MAX];
    if (!charged_key(o->policy, id->limit, r, PAYER(f), key) || n == 0) {
        return;
    }
    int64_t at_us = max_i64(f->granted_us, newest_us(id, key));
    int64_t wall_us = o->now_us + o->skew_us;
    bool present =
        f->granted_us == o->now_us || f->granted_wall_us >= wall_us ||
        period_number(id->limit, f->granted_wall_us) == period_number(id->limit, wall_us);
    struct charge *c = add_charge(id);
    memcpy(c->key, key, sizeof(key));
    c->fact = fact;
    c->n = n;
    c->at_us = at_us;
    c->wall_us = f->granted_wall_us;
    uint64_t period = has_periods(id->limit) ? page_of(o, id, key)->number : 0;
    c->period = present ? period : 0;
    if (id->limit->charge == CHARGE_AT_GRANT) {
        deed_units(o, id, c->key, -n);
    }
}

void history_advance(struct oracle *o)
{
    if (o->restoring) {
        return; /* the wall clock is not known again yet */
    }
    for (size_t i = 0; i < o->idents_n; i++) {
        if (o->idents[i].live && has_periods(o->idents[i].limit)) {
            pages_advance(o, &o->idents[i]);
        }
    }
    o->wall_us_max = max_i64(o->wall_us_max, o->now_us + o->skew_us);
}

/* --- Policies --- */

static bool same_limit(const struct ident *id, const struct resource *r, const struct limit *l)
{
    return id->live && id->unit == l->unit && id->window == l->window && id->scope == l->scope &&
           (id->window != WINDOW_CALENDAR || id->limit->step == l->step) &&
           id->pool == (l->shared[0] != 0) &&
           (id->pool ? strcmp(id->name, l->shared) == 0
                     : strcmp(id->name, l->name) == 0 && strcmp(id->resource, r->name) == 0);
}

static size_t find_ident(const struct oracle *o, const struct resource *r, const struct limit *l)
{
    for (size_t i = 0; i < o->idents_n; i++) {
        if (same_limit(&o->idents[i], r, l)) {
            return i;
        }
    }
    return NONE;
}

static size_t new_ident(struct oracle *o, const struct resource *r, const struct limit *l)
{
    ROOM(o, idents);
    struct ident *id = &o->idents[o->idents_n];
    memset(id, 0, sizeof(*id));
    id->live = true;
    id->pool = l->shared[0] != 0;
    snprintf(id->resource, sizeof(id->resource), "%s", id->pool ? "" : r->name);
    snprintf(id->name, sizeof(id->name), "%s", id->pool ? l->shared : l->name);
    id->unit = l->unit;
    id->window = l->window;
    id->scope = l->scope;
    id->limit = l;
    id->overmetered =
        o->reloads > 0 && (l->window == WINDOW_LIFETIME || l->window == WINDOW_CALENDAR);
    return o->idents_n++;
}

static void set_terms(struct oracle *o, struct ident *id, const struct limit *l, bool born)
{
    if (!born) {
        health_configured(id, l);
    }
    id->limit = l;
    id->learns = id->learns || l->learned;
    if (id->window == WINDOW_BUCKET) {
        struct deed *d = add_deed(o, id, born ? DEED_BORN : DEED_TERMS);
        d->amount = limit_amount(l);
        d->per_us = l->per_us;
        d->burst = limit_burst(l);
        d->at_us = born ? 0 : o->now_us;
    }
}

/* What has left a window under the old policy does not come back under the new one. */
static void drop_gone(struct oracle *o, struct ident *id)
{
    for (size_t i = 0; i < id->charges_n; i++) {
        struct charge *c = &id->charges[i];
        const struct fact *f = &o->facts[c->fact];
        bool held = f->end == END_OPEN && id->limit->charge == CHARGE_AT_SETTLE;
        int64_t at_us = id->limit->charge == CHARGE_AT_SETTLE ? f->end_us : c->at_us;
        if (id->window == WINDOW_ROLLING && !held &&
            o->now_us >= rolling_leave_us(id->limit, at_us)) {
            c->gone = true;
        }
    }
}

static bool charged_to(const struct ident *id, size_t fact)
{
    for (size_t i = 0; i < id->charges_n; i++) {
        if (id->charges[i].fact == fact) {
            return true;
        }
    }
    return false;
}

/* The number of the newest record that tells of a lease. */
static size_t noted(const struct oracle *o, const struct fact *f)
{
    size_t record = f->grant_record;
    for (size_t i = 0; i < o->renewals_n; i++) {
        record = o->renewals[i].lease == f->lease ? o->renewals[i].record : record;
    }
    return record;
}

/* Open leases come in the order of their newest records. */
static void charge_open_leases(struct oracle *o, size_t r, struct ident *id)
{
    const struct resource *resource = &o->policy->resources[r];
    for (size_t after = 0, next = NONE;; after = noted(o, &o->facts[next]), next = NONE) {
        for (size_t i = 0; i < o->facts_n; i++) {
            const struct fact *f = &o->facts[i];
            if (f->end == END_OPEN && strcmp(f->resource, resource->name) == 0 &&
                noted(o, f) > after && (next == NONE || noted(o, f) < noted(o, &o->facts[next]))) {
                next = i;
            }
        }
        if (next == NONE) {
            return;
        }
        if (!charged_to(id, next)) {
            charge_fact(o, id, next, resource);
        }
    }
}

void history_configure(struct oracle *o, const struct policy *policy)
{
    bool *kept = calloc(o->idents_n + 1, sizeof(*kept));
    size_t before = o->idents_n;
    for (size_t i = 0; i < before; i++) {
        if (o->idents[i].live) {
            drop_gone(o, &o->idents[i]);
        }
    }
    o->reloads += o->policy != NULL;
    o->aways = o->aways || o->reloads; /* what came before tells nothing of start tags now */
    o->policy = policy;
    for (size_t i = 0; i < o->waiters_n; i++) {
        o->waiters[i].resource_at = resource_index(o, o->waiters[i].resource);
    }
    routes_configured(o);
    for (size_t r = 0; r < policy->resources_n; r++) {
        for (size_t l = 0; l < policy->resources[r].limits_n; l++) {
            const struct limit *limit = &policy->resources[r].limits[l];
            size_t i = find_ident(o, &policy->resources[r], limit);
            bool born = i == NONE;
            i = born ? new_ident(o, &policy->resources[r], limit) : i;
            if (born || (i < before && !kept[i])) {
                set_terms(o, &o->idents[i], limit, born);
            }
            if (i < before) {
                kept[i] = true;
            }
            o->ident_of[r][l] = i;
        }
    }
    for (size_t i = 0; i < before; i++) {
        o->idents[i].live = o->idents[i].live && kept[i];
    }
    free(kept);
    history_advance(o);
    for (size_t r = 0; r < policy->resources_n && !o->restoring; r++) {
        for (size_t l = 0; l < policy->resources[r].limits_n; l++) {
            charge_open_leases(o, r, &o->idents[o->ident_of[r][l]]);
        }
    }
    forget_sums(o);
}

/* --- Records --- */

static void new_fact(struct oracle *o, const struct record *r)
{
    ROOM(o, facts);
    struct fact *f = &o->facts[o->facts_n];
    memset(f, 0, sizeof(*f));
    f->lease = r->lease;
    f->parent = r->parent;
    f->grant_record = o->records;
    copy_text(f->resource, sizeof(f->resource), r->resource);
    copy_text(f->tenant, sizeof(f->tenant), r->tenant);
    copy_text(f->session, sizeof(f->session), r->session);
    copy_text(f->labels, sizeof(f->labels), r->labels);
    copy_text(f->id, sizeof(f->id), r->id);
    copy_text(f->route, sizeof(f->route), r->route);
    f->step = r->step;
    f->load = r->load;
    f->priority = r->priority;
    f->granted_us = r->at_us;
    f->granted_wall_us = r->at_us + o->skew_us;
    f->waited_us = r->waited_us;
    f->expires_us = f->first_expires_us = r->expires_us;
    size_t i = o->facts_n++;
    size_t resource = resource_index(o, f->resource);
    for (size_t l = 0; resource != NONE && l < o->policy->resources[resource].limits_n; l++) {
        charge_fact(o, &o->idents[o->ident_of[resource][l]], i, &o->policy->resources[resource]);
    }
}

/* In which periods a lease has ended, or was settled late. */
static void note_periods(struct oracle *o, size_t fact, bool late)
{
    for (size_t i = 0; i < o->idents_n; i++) {
        struct ident *id = &o->idents[i];
        for (size_t k = 0; id->live && has_periods(id->limit) && k < id->charges_n; k++) {
            struct charge *c = &id->charges[k];
            if (c->fact == fact) {
                *(late ? &c->late_period : &c->end_period) = period_now(o, id, c->key);
            }
        }
    }
}

/* Tells the buckets that a lease has ended or was settled late. */
static void deeds_of_end(struct oracle *o, size_t fact, enum end end, const struct load *used,
                         bool late)
{
    const struct fact *f = &o->facts[fact];
    for (size_t i = 0; i < o->idents_n; i++) {
        struct ident *id = &o->idents[i];
        for (size_t k = 0; id->live && id->window == WINDOW_BUCKET && k < id->charges_n; k++) {
            const struct charge *c = &id->charges[k];
            if (c->fact != fact) {
                continue;
            }
            const struct limit *l = id->limit;
            int64_t before = l->charge == CHARGE_AT_GRANT ? c->n : 0;
            before = late ? expired_amount(l, &f->load) : before;
            int64_t after = end == END_CANCELLED ? 0
                            : end == END_EXPIRED ? expired_amount(l, &f->load)
                                                 : booked_amount(l, c->n, used->of[l->unit]);
            deed_units(o, id, c->key, before - after);
        }
    }
}

static void end_fact(struct oracle *o, const struct record *r)
{
    struct fact *f = find_fact(o, r->lease);
    if (!f) {
        wrong(o, "P6: a record ends a lease that was never granted");
        return;
    }
    size_t fact = (size_t)(f - o->facts);
    if (f->end == END_OPEN) {
        f->end = r->kind == RECORD_EXPIRE   ? END_EXPIRED
                 : r->kind == RECORD_CANCEL ? END_CANCELLED
                                            : END_SETTLED;
        f->end_record = o->records;
        f->end_us = o->now_us;
        f->end_wall_us = o->now_us + o->skew_us;
        f->used = r->load;
        if (r->late) {
            wrong(o, "P6: an open lease is said to be settled late");
        }
        deeds_of_end(o, fact, f->end, &r->load, false);
        note_periods(o, fact, false);
        return;
    }
    if (f->end != END_EXPIRED || f->late || !r->late) {
        wrong(o, "P6: a lease ends twice");
        return;
    }
    f->late = true;
    f->late_record = o->records;
    f->late_us = o->now_us;
    f->late_used = r->load;
    deeds_of_end(o, fact, END_SETTLED, &r->load, true);
    note_periods(o, fact, true);
}

static void renew_fact(struct oracle *o, const struct record *r)
{
    struct fact *f = find_fact(o, r->lease);
    if (!f || f->end != END_OPEN) {
        wrong(o, "P6: a record renews a lease that is not open");
        return;
    }
    ROOM(o, renewals);
    o->renewals[o->renewals_n++] = (struct renewal){o->records, r->lease, r->expires_us};
    f->expires_us = r->expires_us;
}

static bool is_of(const struct ident *id, const struct record *r)
{
    return id->live && text_equal(text_of(id->name), r->limit) &&
           (id->pool || text_equal(text_of(id->resource), r->resource));
}

static void note_counter(struct oracle *o, const struct record *r)
{
    for (size_t i = 0; i < o->idents_n; i++) {
        struct ident *id = &o->idents[i];
        bool noted = id->window == WINDOW_BUCKET || id->window == WINDOW_CALENDAR;
        if (!noted || !is_of(id, r)) {
            continue;
        }
        if (id->window == WINDOW_CALENDAR) {
            page_note(o, id, r);
            continue;
        }
        struct deed *d = add_deed(o, id, DEED_NOTE);
        copy_text(d->key, sizeof(d->key), r->scope_key);
        d->amount = r->level;
        d->lacks = r->used;
        d->full_us = r->expires_us;
        d->at_us = r->period_us;
    }
}

void history_record(struct oracle *o, const struct record *r)
{
    o->records++;
    switch (r->kind) {
    case RECORD_GRANT: new_fact(o, r); break;
    case RECORD_RENEW: renew_fact(o, r); break;
    case RECORD_SETTLE:
    case RECORD_CANCEL:
    case RECORD_EXPIRE: end_fact(o, r); break;
    case RECORD_COUNTER: note_counter(o, r); break;
    case RECORD_HEALTH:
    case RECORD_LEARNED: health_noted(o, r); break;
    }
    forget_sums(o);
}

/* Whether a charge can never count again; a restart finds it anew where it can. */
static bool is_past(const struct oracle *o, const struct ident *id, const struct charge *c)
{
    const struct fact *f = &o->facts[c->fact];
    int64_t at_us = id->limit->charge == CHARGE_AT_SETTLE ? f->end_us : c->at_us;
    return f->end != END_OPEN &&
           (id->window == WINDOW_NONE ||
            (id->window == WINDOW_ROLLING && o->now_us >= rolling_leave_us(id->limit, at_us)));
}

void history_forget_past(struct oracle *o)
{
    for (size_t i = 0; i < o->idents_n; i++) {
        struct ident *id = &o->idents[i];
        size_t kept = 0;
        for (size_t k = 0; id->live && k < id->charges_n; k++) {
            if (!is_past(o, id, &id->charges[k])) {
                id->charges[kept++] = id->charges[k];
            }
        }
        id->charges_n = id->live ? kept : id->charges_n;
    }
}

/* --- Crashes --- */

static void cut_fact(struct oracle *o, struct fact *f, size_t records)
{
    if (f->late && f->late_record > records) {
        f->late = f->id_moved = false;
    }
    if (f->end != END_OPEN && f->end_record > records) {
        f->end = END_OPEN;
        f->id_moved = false;
    }
    f->expires_us = f->first_expires_us;
    for (size_t i = 0; i < o->renewals_n; i++) {
        if (o->renewals[i].lease == f->lease) {
            f->expires_us = o->renewals[i].expires_us;
        }
    }
}

static void cut_charges(struct oracle *o, struct ident *id)
{
    size_t kept = 0;
    for (size_t i = 0; i < id->charges_n; i++) {
        if (id->charges[i].fact < o->facts_n) {
            id->charges[kept++] = id->charges[i];
        }
    }
    id->charges_n = kept;
}

void history_cut(struct oracle *o, size_t records)
{
    while (o->facts_n && o->facts[o->facts_n - 1].grant_record > records) {
        o->facts_n--;
    }
    while (o->renewals_n && o->renewals[o->renewals_n - 1].record > records) {
        o->renewals_n--;
    }
    for (size_t i = 0; i < o->facts_n; i++) {
        cut_fact(o, &o->facts[i], records);
    }
    for (size_t i = 0; i < o->idents_n; i++) {
        cut_charges(o, &o->idents[i]);
        pages_cut(&o->idents[i], records);
    }
    o->records = records;
    forget_sums(o);
}

/* Whether a record that is durable tells of a bucket; else it begins anew, with what is open. */
static bool noted_durably(const struct oracle *o, const struct ident *id, const char *key)
{
    for (size_t i = 0; i < id->deeds_n; i++) {
        const struct deed *d = &id->deeds[i];
        if (d->kind == DEED_NOTE && d->record <= o->records && strcmp(d->key, key) == 0) {
            return true;
        }
    }
    return false;
}

/* What a record said of a bucket that had been told of was of another size than its limit says:
 * what is durable of its history is told again instead. */
static void keep_durable(const struct oracle *o, struct ident *id)
{
    size_t kept = 0;
    for (size_t i = 0; i < id->deeds_n; i++) {
        const struct deed *d = &id->deeds[i];
        bool of_terms = d->kind == DEED_BORN || d->kind == DEED_TERMS;
        bool lost = !of_terms && (d->record > o->records || !noted_durably(o, id, d->key));
        if (!lost) {
            id->deeds[kept++] = *d;
        }
    }
    id->deeds_n = kept;
}

/* A fresh core knows of a bucket what the newest durable record said, and nothing else. */
static void restore_bucket(struct oracle *o, struct ident *id)
{
    struct deed *old = id->deeds;
    size_t old_n = id->deeds_n;
    id->deeds = NULL;
    id->deeds_n = id->deeds_size = 0;
    set_terms(o, id, id->limit, true);
    for (size_t i = 0; i < old_n; i++) {
        bool newest = old[i].kind == DEED_NOTE && old[i].record <= o->records;
        for (size_t k = i + 1; newest && k < old_n; k++) {
            newest = old[k].kind != DEED_NOTE || old[k].record > o->records ||
                     strcmp(old[k].key, old[i].key) != 0;
        }
        if (newest) {
            struct deed *note = add_deed(o, id, DEED_NOTE);
            *note = old[i];
            struct deed *set = add_deed(o, id, DEED_SET);
            *set = old[i];
            set->kind = DEED_SET;
            set->amount = old[i].lacks > 0 ? limit_burst(id->limit) - old[i].lacks : old[i].amount;
        }
    }
    free(old);
}

/* Rolling windows and what is held are rebuilt from the leases, under the present policy. */
static void restore_fact(struct oracle *o, size_t fact)
{
    size_t r = resource_index(o, o->facts[fact].resource);
    for (size_t l = 0; r != NONE && l < o->policy->resources[r].limits_n; l++) {
        struct ident *id = &o->idents[o->ident_of[r][l]];
        if (id->window == WINDOW_ROLLING || id->window == WINDOW_NONE) {
            charge_fact(o, id, fact, &o->policy->resources[r]);
        }
    }
}

/* What the configuration has no resource for does not come back. */
static void lose_facts(struct oracle *o)
{
    for (size_t i = 0; i < o->facts_n; i++) {
        struct fact *f = &o->facts[i];
        f->lost = f->lost || resource_index(o, f->resource) == NONE;
    }
    for (size_t i = 0; i < o->idents_n; i++) {
        struct ident *id = &o->idents[i];
        for (size_t k = 0; k < id->charges_n; k++) {
            const struct fact *f = &o->facts[id->charges[k].fact];
            bool held = f->end == END_OPEN && id->limit->charge == CHARGE_AT_SETTLE;
            id->charges[k].gone = id->charges[k].gone || (f->lost && held);
        }
    }
}

/* A bucket whose record is gone was full by the time that had passed, also where a start goes back
 * behind that. */
static void bucket_lost(struct ident *id, const struct record *r)
{
    size_t kept = 0;
    for (size_t i = 0; i < id->deeds_n; i++) {
        const struct deed *d = &id->deeds[i];
        bool of_terms = d->kind == DEED_BORN || d->kind == DEED_TERMS;
        if (of_terms || !text_equal(text_of(d->key), r->scope_key)) {
            id->deeds[kept++] = *d;
        }
    }
    id->deeds_n = kept;
}

void history_lost(struct oracle *o, const struct record *r)
{
    for (size_t i = 0; i < o->idents_n; i++) {
        struct ident *id = &o->idents[i];
        if (!is_of(id, r)) {
            continue;
        }
        if (id->window == WINDOW_CALENDAR) {
            page_lost(id, r);
        } else if (id->window == WINDOW_BUCKET) {
            bucket_lost(id, r);
        }
    }
}

void history_restored(struct oracle *o)
{
    lose_facts(o);
    for (size_t i = 0; i < o->idents_n; i++) {
        struct ident *id = &o->idents[i];
        if (id->live && (id->window == WINDOW_ROLLING || id->window == WINDOW_NONE)) {
            id->charges_n = 0;
        }
    }
    for (size_t i = 0; i < o->facts_n; i++) {
        restore_fact(o, i);
    }
    for (size_t i = 0; i < o->idents_n; i++) {
        if (o->idents[i].live && o->idents[i].window == WINDOW_CALENDAR) {
            pages_back(o, &o->idents[i]);
        }
    }
    for (size_t i = 0; i < o->idents_n; i++) {
        struct ident *id = &o->idents[i];
        if (id->live && id->window == WINDOW_BUCKET && id->learns) {
            keep_durable(o, id);
        } else if (id->live && id->window == WINDOW_BUCKET) {
            restore_bucket(o, id);
        }
    }
    forget_sums(o);
}

/* Whether a record tells what a counter stood at. A lifetime's is no other than its charges. */
static bool is_noted(const struct ident *id, const char *key)
{
    for (size_t i = 0; i < id->page_notes_n; i++) {
        if (strcmp(id->page_notes[i].page.key, key) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < id->deeds_n; i++) {
        if (id->deeds[i].kind == DEED_NOTE && strcmp(id->deeds[i].key, key) == 0) {
            return true;
        }
    }
    return id->window == WINDOW_LIFETIME;
}

/* A bucket that by its record was to be full later than by its present terms was slower. Until now,
 * for all that a fresh core knows: so much less it may lack as of that time has passed. */
static void cap_buckets(struct oracle *o, struct ident *id)
{
    for (size_t i = 0, n = id->deeds_n; i < n; i++) {
        const struct deed note = id->deeds[i];
        int128 way_us = (int128)note.full_us - note.at_us;
        bool slower =
            (way_us - 1) * limit_amount(id->limit) >= (int128)note.lacks * id->limit->per_us;
        if (note.kind != DEED_NOTE || !slower || o->now_us <= note.at_us) {
            continue;
        }
        int128 gone =
            note.lacks * (o->now_us < note.full_us ? o->now_us - note.at_us : way_us) / way_us;
        struct deed *cap = add_deed(o, id, DEED_CAP);
        memcpy(cap->key, note.key, sizeof(cap->key));
        cap->amount = limit_burst(id->limit) - note.lacks + (int64_t)gone;
    }
}

static bool is_recorded(const struct ident *id)
{
    return id->live && (id->window == WINDOW_CALENDAR || id->window == WINDOW_LIFETIME ||
                        id->window == WINDOW_BUCKET);
}

/* A counter of which nothing is stored was not in force before: of a limit whose reload is not
 * durable, or whose charges of then are not. */
void history_started(struct oracle *o)
{
    for (size_t i = 0; i < o->idents_n; i++) {
        struct ident *id = &o->idents[i];
        size_t kept = 0;
        if (id->live && id->window == WINDOW_BUCKET && !id->learns) {
            cap_buckets(o, id);
        }
        for (size_t k = 0; is_recorded(id) && k < id->charges_n; k++) {
            if (is_noted(id, id->charges[k].key)) {
                id->charges[kept++] = id->charges[k];
            }
        }
        id->charges_n = is_recorded(id) ? kept : id->charges_n;
    }
    for (size_t r = 0; r < o->policy->resources_n; r++) {
        for (size_t l = 0; l < o->policy->resources[r].limits_n; l++) {
            struct ident *id = &o->idents[o->ident_of[r][l]];
            if (is_recorded(id)) {
                charge_open_leases(o, r, id);
            }
        }
    }
    forget_sums(o);
}
