#include "journal/backlog.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"

/* A record in a chunk, followed by the bytes of its texts. A size of 0 says that the chunk ends
 * here and the next one goes on. */
struct entry {
    size_t size;
    uint64_t number;      /* counts all records ever appended, from 0 */
    struct map_node node; /* counters: in the index while `indexed` */
    bool indexed;
    struct record record;
};

/* The worker reads `next` only once a record in that next chunk was handed over. */
struct chunk {
    struct chunk *next;
    uint64_t begin; /* the number of its first record */
    size_t used;    /* of bytes; the loop's thread only */
    _Alignas(struct entry) char bytes[BACKLOG_CHUNK_BYTES];
};

/* Room at the end of a chunk for the size that ends it. */
#define CHUNK_ROOM (BACKLOG_CHUNK_BYTES - sizeof(struct entry))

static struct chunk *chunk_new(struct backlog *b)
{
    struct chunk *chunk = b->spare;
    if (chunk) {
        b->spare = NULL;
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

void backlog_release(struct backlog *b)
{
    while (b->first) {
        struct chunk *next = b->first->next;
        free(b->first);
        b->first = next;
    }
    free(b->spare);
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

static struct entry *find_counter(const struct backlog *b, const struct record *key, uint64_t hash)
{
    for (struct map_node *n = map_find(&b->counters, hash); n; n = map_next_equal(n)) {
        struct entry *entry = CONTAINER_OF(n, struct entry, node);
        if (same_counter(&entry->record, key)) {
            return entry;
        }
    }
    return NULL;
}

const struct record *backlog_counter(const struct backlog *b, const struct record *key)
{
    struct entry *entry = find_counter(b, key, counter_hash(b, key));
    return entry ? &entry->record : NULL;
}

static size_t entry_size(const struct record *record)
{
    const size_t align = _Alignof(struct entry);
    size_t size = sizeof(struct entry) + record->resource.len + record->tenant.len +
                  record->session.len + record->labels.len + record->id.len + record->limit.len +
                  record->scope_key.len + record->model.len + record->account.len +
                  record->route.len;
    return (size + align - 1) / align * align;
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

static char *place_text(char *at, struct text *t)
{
    if (t->len) {
        memcpy(at, t->at, t->len);
    }
    t->at = at;
    return at + t->len;
}

static struct entry *place(struct backlog *b, const struct record *record, size_t size)
{
    struct entry *entry = (void *)(b->last->bytes + b->last->used);
    entry->size = size;
    entry->number = b->appended++;
    entry->indexed = false;
    entry->record = *record;
    struct record *r = &entry->record;
    char *at = (char *)(entry + 1);
    at = place_text(at, &r->resource);
    at = place_text(at, &r->tenant);
    at = place_text(at, &r->session);
    at = place_text(at, &r->labels);
    at = place_text(at, &r->id);
    at = place_text(at, &r->limit);
    at = place_text(at, &r->scope_key);
    at = place_text(at, &r->model);
    at = place_text(at, &r->account);
    at = place_text(at, &r->route);
    assert(at <= (char *)entry + size);
    b->last->used += size;
    return entry;
}

static void unindex(struct backlog *b, struct entry *entry)
{
    if (entry->indexed) {
        map_remove(&b->counters, &entry->node);
        entry->indexed = false;
    }
}

static int append_counter(struct backlog *b, const struct record *record)
{
    uint64_t hash = counter_hash(b, record);
    struct entry *old = find_counter(b, record, hash);
    if (old && old->number >= b->handed) {
        old->record.at_us = record->at_us;
        old->record.expires_us = record->expires_us;
        old->record.period_us = record->period_us;
        old->record.used = record->used;
        old->record.level = record->level;
        old->record.since_us = record->since_us;
        return 0;
    }
    size_t size = entry_size(record);
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
    struct entry *entry = place(b, record, size);
    map_insert(&b->counters, &entry->node, hash);
    entry->indexed = true;
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
    for (size_t at = 0; at < chunk->used;) {
        struct entry *entry = (void *)(chunk->bytes + at);
        unindex(b, entry);
        at += entry->size;
    }
    b->first = chunk->next;
    if (b->spare) {
        b->bytes -= sizeof(*chunk);
        free(chunk);
    } else {
        b->spare = chunk;
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
