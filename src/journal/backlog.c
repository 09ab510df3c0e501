#include "journal/backlog.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"

/* A record in a chunk, followed by the bytes of its texts and, where it is a counter, by its mark.
 * A size of 0 says that the chunk ends here and the next one goes on. */
struct entry {
    size_t size;
    struct record record;
};

/* What makes a counter known by its key. Other records have none: they are many, and every byte of
 * theirs goes from one processor's cache to the other's. */
struct mark {
    struct map_node node; /* in the index while `indexed` */
    struct mark *next;    /* of the same chunk, or NULL */
    struct entry *entry;
    uint64_t number; /* of the record; counts all that were ever appended, from 0 */
    bool indexed;
};

/* The worker reads `next` only once a record in that next chunk was handed over. */
struct chunk {
    struct chunk *next;
    uint64_t begin;     /* the number of its first record */
    size_t used;        /* of bytes; the loop's thread only, as is … */
    struct mark *marks; /* … this: those of its counters */
    _Alignas(struct entry) char bytes[BACKLOG_CHUNK_BYTES];
};

_Static_assert(_Alignof(struct mark) <= _Alignof(struct entry), "a mark may stand behind an entry");

/* Room at the end of a chunk for the size that ends it. */
#define CHUNK_ROOM (BACKLOG_CHUNK_BYTES - sizeof(struct entry))

static struct chunk *chunk_new(struct backlog *b)
{
    struct chunk *chunk = b->spare;
    if (chunk) {
        b->spare = chunk->next;
        b->spares_n--;
    } else {
        chunk = malloc(sizeof(*chunk));
        if (!chunk) {
            return NULL;
        }
        b->bytes += sizeof(*chunk);
    }
    chunk->next = NULL;
    chunk->begin = b->appended;
    chunk->used = 0;
    chunk->marks = NULL;
    return chunk;
}

int backlog_init(struct backlog *b, size_t cap, const struct hash_key *key,
                 struct backlog_cursor *cursor)
{
    *b = (struct backlog){.cap = cap, .key = *key};
    map_init(&b->counters);
    b->first = chunk_new(b);
    if (!b->first) {
        return ERR_NO_MEMORY;
    }
    b->last = b->first;
    *cursor = (struct backlog_cursor){.chunk = b->first};
    return 0;
}

static void free_chunks(struct chunk *chunk)
{
    while (chunk) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void backlog_release(struct backlog *b)
{
    free_chunks(b->first);
    free_chunks(b->spare);
    map_release(&b->counters);
    *b = (struct backlog){.cap = 0};
}

static uint64_t counter_hash(const struct backlog *b, const struct record *r)
{
    return text_hash(r->limit, &b->key) ^ 3 * text_hash(r->resource, &b->key) ^
           5 * text_hash(r->scope_key, &b->key);
}

static bool same_counter(const struct record *a, const struct record *b)
{
    return text_equal(a->scope_key, b->scope_key) && text_equal(a->limit, b->limit) &&
           text_equal(a->resource, b->resource);
}

static struct mark *find_counter(const struct backlog *b, const struct record *key, uint64_t hash)
{
    for (struct map_node *n = map_find(&b->counters, hash); n; n = map_next_equal(n)) {
        struct mark *mark = CONTAINER_OF(n, struct mark, node);
        if (same_counter(&mark->entry->record, key)) {
            return mark;
        }
    }
    return NULL;
}

const struct record *backlog_counter(const struct backlog *b, const struct record *key)
{
    const struct mark *mark = find_counter(b, key, counter_hash(b, key));
    return mark ? &mark->entry->record : NULL;
}

static size_t aligned(size_t size)
{
    const size_t align = _Alignof(struct entry);
    return (size + align - 1) / align * align;
}

static size_t entry_size(const struct record *record)
{
    return aligned(sizeof(struct entry) + record->resource.len + record->tenant.len +
                   record->session.len + record->labels.len + record->id.len + record->limit.len +
                   record->scope_key.len + record->model.len + record->account.len +
                   record->route.len);
}

/* Makes the last chunk one that has room for `size` bytes. */
static int make_room(struct backlog *b, size_t size)
{
    if (size > CHUNK_ROOM) {
        return ERR_OVER_CAP;
    }
    if (b->last->used + size <= CHUNK_ROOM) {
        return 0;
    }
    if (!b->spare && b->bytes + sizeof(struct chunk) > b->cap) {
        return ERR_OVER_CAP;
    }
    struct chunk *chunk = chunk_new(b);
    if (!chunk) {
        return ERR_NO_MEMORY;
    }
    ((struct entry *)(void *)(b->last->bytes + b->last->used))->size = 0;
    b->last->next = chunk;
    b->last = chunk;
    return 0;
}

/* Most texts are empty. */
static void place_text(char **at, struct text *t)
{
    if (t->len) {
        memcpy(*at, t->at, t->len);
    }
    t->at = *at;
    *at += t->len;
}

static struct entry *place(struct backlog *b, const struct record *record, size_t size)
{
    struct entry *entry = (void *)(b->last->bytes + b->last->used);
    entry->size = size;
    entry->record = *record;
    struct record *r = &entry->record;
    char *at = (char *)(entry + 1);
    place_text(&at, &r->resource);
    place_text(&at, &r->tenant);
    place_text(&at, &r->session);
    place_text(&at, &r->labels);
    place_text(&at, &r->id);
    place_text(&at, &r->limit);
    place_text(&at, &r->scope_key);
    place_text(&at, &r->model);
    place_text(&at, &r->account);
    place_text(&at, &r->route);
    assert(at <= (char *)entry + size);
    b->last->used += size;
    b->appended++;
    return entry;
}

static void unindex(struct backlog *b, struct mark *mark)
{
    if (mark->indexed) {
        map_remove(&b->counters, &mark->node);
        mark->indexed = false;
    }
}

/* Makes a counter, which ends with room for its mark, known by its key. */
static void index_counter(struct backlog *b, struct entry *entry, uint64_t hash)
{
    struct mark *mark = (void *)((char *)entry + entry->size - sizeof(*mark));
    mark->entry = entry;
    mark->number = b->appended - 1;
    mark->next = b->last->marks;
    b->last->marks = mark;
    map_insert(&b->counters, &mark->node, hash);
    mark->indexed = true;
}

static int append_counter(struct backlog *b, const struct record *record)
{
    uint64_t hash = counter_hash(b, record);
    struct mark *old = find_counter(b, record, hash);
    if (old && old->number >= b->handed && text_equal(old->entry->record.counts, record->counts)) {
        struct record *newest = &old->entry->record;
        newest->at_us = record->at_us;
        newest->expires_us = record->expires_us;
        newest->period_us = record->period_us;
        newest->used = record->used;
        newest->level = record->level;
        newest->since_us = record->since_us;
        return 0;
    }
    size_t size = entry_size(record) + aligned(sizeof(struct mark));
    int rc = map_reserve(&b->counters);
    if (rc == 0) {
        rc = make_room(b, size);
    }
    if (rc) {
        return rc;
    }
    if (old) {
        unindex(b, old);
    }
    index_counter(b, place(b, record, size), hash);
    return 0;
}

int backlog_append(struct backlog *b, const struct record *record)
{
    if (record->kind == RECORD_COUNTER) {
        return append_counter(b, record);
    }
    size_t size = entry_size(record);
    int rc = make_room(b, size);
    if (rc == 0) {
        place(b, record, size);
    }
    return rc;
}

uint64_t backlog_hand_over(struct backlog *b)
{
    b->handed = b->appended;
    return b->handed;
}

static void drop_first(struct backlog *b)
{
    struct chunk *chunk = b->first;
    for (struct mark *mark = chunk->marks; mark; mark = mark->next) {
        unindex(b, mark);
    }
    b->first = chunk->next;
    if (b->spares_n == BACKLOG_SPARES_MAX) {
        b->bytes -= sizeof(*chunk);
        free(chunk);
    } else {
        chunk->next = b->spare;
        b->spare = chunk;
        b->spares_n++;
    }
}

void backlog_reap(struct backlog *b, uint64_t done)
{
    /* The worker's cursor has left a chunk when a record of the next one is stored. */
    while (b->first->next && done > b->first->next->begin) {
        drop_first(b);
    }
}

const struct record *backlog_next(struct backlog_cursor *cursor)
{
    const struct entry *entry = (const void *)(cursor->chunk->bytes + cursor->at);
    if (entry->size == 0) {
        cursor->chunk = cursor->chunk->next;
        cursor->at = 0;
        entry = (const void *)cursor->chunk->bytes;
    }
    assert(entry->size != 0);
    cursor->at += entry->size;
    return &entry->record;
}
