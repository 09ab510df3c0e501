/* Which period of the calendar each counter is in. */
#include "oracle_calendar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t wall_of(const struct oracle *o)
{
    return o->now_us + o->skew_us;
}

/* Numbers of periods never come again: the first instant of this one is looked for. */
static int64_t period_start_us(const struct limit *l, int64_t wall_us)
{
    int64_t number = period_number(l, wall_us);
    int64_t other_us = wall_us - 40 * US_PER_DAY, same_us = wall_us;
    while (same_us - other_us > 1) {
        int64_t middle_us = other_us + (same_us - other_us) / 2;
        if (period_number(l, middle_us) == number) {
            same_us = middle_us;
        } else {
            other_us = middle_us;
        }
    }
    return same_us;
}

/* Not before the one before it has ended, which may have been one of another zone. */
static void page_begin(const struct oracle *o, const struct ident *id, struct page *page)
{
    int64_t start_us = period_start_us(id->limit, wall_of(o));
    page->at_us = page->newest ? max_i64(start_us, page->until_us) : start_us;
    page->number = ++page->newest;
    page->until_us = period_end_us(id->limit, page->at_us);
    page->used = false;
}

static struct page *find_page(const struct ident *id, const char *key)
{
    for (size_t i = 0; i < id->pages_n; i++) {
        if (strcmp(id->pages[i].key, key) == 0) {
            return &id->pages[i];
        }
    }
    return NULL;
}

struct page *page_of(struct oracle *o, struct ident *id, const char *key)
{
    struct page *page = find_page(id, key);
    if (!page) {
        ROOM(id, pages);
        page = &id->pages[id->pages_n++];
        memset(page, 0, sizeof(*page));
        snprintf(page->key, sizeof(page->key), "%s", key);
        page_begin(o, id, page);
    }
    return page;
}

uint64_t period_now(const struct oracle *o, const struct ident *id, const char *key)
{
    const struct page *page = find_page(id, key);
    return !page ? 0 : wall_of(o) >= page->until_us ? page->newest + 1 : page->number;
}

void pages_advance(struct oracle *o, struct ident *id)
{
    if (id->scope == SCOPE_RESOURCE) {
        page_of(o, id, ""); /* from the beginning, whoever looks */
    }
    for (size_t i = 0; i < id->pages_n; i++) {
        struct page *page = &id->pages[i];
        if (wall_of(o) < page->until_us) {
            continue;
        }
        /* By another zone the period that has begun may be the one that goes on. */
        if (page->until_us > INT64_MIN &&
            period_number(id->limit, page->at_us) == period_number(id->limit, wall_of(o))) {
            page->until_us = period_end_us(id->limit, wall_of(o));
        } else {
            page_begin(o, id, page);
        }
    }
}

/* The period that a record tells of is the one that goes on, or may have begun where the counter
 * was forgotten meanwhile. */
static void date_page(struct oracle *o, const struct ident *id, struct page *page, int64_t start_us)
{
    const struct limit *l = id->limit;
    if (period_number(l, start_us) == period_number(l, page->at_us)) {
        return;
    }
    int64_t until_us = period_end_us(l, start_us);
    if (page->used || start_us > o->wall_us_max || until_us <= wall_of(o)) {
        wrong(o,
              "P1: the counter of %s for \"%s\" counts for the period of %lld; it is that of %lld",
              l->name, page->key, (long long)start_us, (long long)page->at_us);
    }
    page->at_us = start_us;
    page->until_us = until_us;
}

void page_note(struct oracle *o, struct ident *id, const struct record *r)
{
    char key[KEY_MAX];
    snprintf(key, sizeof(key), "%.*s", (int)r->scope_key.len,
             r->scope_key.len ? r->scope_key.at : "");
    struct page *page = page_of(o, id, key);
    if (id->scope != SCOPE_RESOURCE) {
        date_page(o, id, page, r->period_us);
    }
    page->used = r->used > 0;
    ROOM(id, page_notes);
    struct page_note *note = &id->page_notes[id->page_notes_n++];
    *note = (struct page_note){o->records, *page};
    note->page.at_us = r->period_us;
}

void pages_cut(struct ident *id, size_t records)
{
    while (id->page_notes_n && id->page_notes[id->page_notes_n - 1].record > records) {
        id->page_notes_n--;
    }
}

void page_lost(struct ident *id, const struct record *r)
{
    size_t kept = 0;
    for (size_t i = 0; i < id->page_notes_n; i++) {
        if (!text_equal(text_of(id->page_notes[i].page.key), r->scope_key)) {
            id->page_notes[kept++] = id->page_notes[i];
        }
    }
    id->page_notes_n = kept;
}

/* In which period an earlier lease was charged is told by the wall clock of then: where that was
 * another, as it had been set back, nothing is corrected any more. */
static void stick_charges(const struct oracle *o, struct ident *id, const struct page *page)
{
    bool at_settle = id->limit->charge == CHARGE_AT_SETTLE;
    for (size_t i = 0; i < id->charges_n; i++) {
        struct charge *c = &id->charges[i];
        const struct fact *f = &o->facts[c->fact];
        int64_t wall_us = at_settle ? f->end_wall_us : c->wall_us;
        bool entered = !at_settle || f->end != END_OPEN;
        bool here = (at_settle ? c->end_period : c->period) == page->number;
        bool told = page->at_us <= wall_us && wall_us < page->until_us;
        if (entered && here && !told && !c->stuck && strcmp(c->key, page->key) == 0) {
            c->stuck_at = charge_amount(id->limit, f, c);
            c->stuck = true;
        }
    }
}

void pages_back(struct oracle *o, struct ident *id)
{
    for (size_t i = 0; i < id->pages_n; i++) {
        struct page *page = &id->pages[i];
        page->until_us = INT64_MIN; /* one begins with the first step */
        for (size_t k = 0; k < id->page_notes_n; k++) {
            const struct page *then = &id->page_notes[k].page;
            if (strcmp(then->key, page->key) == 0) {
                page->number = then->number;
                page->at_us = then->at_us;
                page->until_us = then->until_us;
                page->used = then->used;
            }
        }
        stick_charges(o, id, page);
    }
}
