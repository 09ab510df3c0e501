/*
 * Files are slots of a table; what is open points to its slot and remembers the life of the disk in
 * which it was opened. A death begins a new life: handles of an earlier one are dead.
 *
 * The shared memory of a WAL is not part of the file: it goes with the process, but SQLite may look
 * at it until its handles are closed, so those keep it alive.
 */
#include "disk.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX  16
#define NAME_MAX_  512
#define SECTOR     512
#define PAGES_MAX  64 /* of shared memory, 32 KB each */
#define SHM_LOCKS  8
#define TRUNCATION (-1)

struct bytes {
    unsigned char *at;
    int64_t len;
    int64_t size;
};

/* What was done since the last sync: bytes that were written, or a truncation to `at`. */
struct change {
    int64_t at;
    int64_t len;  /* TRUNCATION: none were written */
    int64_t from; /* in the file's `written` */
};

struct shared {
    int users;
    void *pages[PAGES_MAX];
    int readers[SHM_LOCKS];
    struct handle *owner[SHM_LOCKS];
};

struct slot {
    char name[NAME_MAX_]; /* "": a file without a name */
    bool used;
    bool exists; /* false, but used: deleted, and the deletion is not yet durable */
    bool named;  /* its name survives a loss of power */
    struct bytes now;
    struct bytes synced;
    struct bytes written; /* of all changes, one after the other */
    struct change *changes;
    size_t changes_n, changes_size;
    int readers;           /* handles with a SHARED lock or more */
    struct handle *writer; /* with a RESERVED lock or more */
    bool pending;          /* the writer waits for readers to leave */
    struct shared *shared;
};

struct handle {
    sqlite3_file base;
    struct slot *slot;
    uint64_t life;
    int lock;
    bool delete_on_close;
    struct shared *shared;
    unsigned shm_shared, shm_exclusive; /* locks held, as bits */
};

static struct slot slots[FILES_MAX];
static uint64_t life = 1;
static uint64_t chances;
static void (*on_wait)(void);
static sqlite3_vfs vfs;

/* --- Bytes --- */

static void make_room(struct bytes *b, int64_t size)
{
    if (size > b->size) {
        b->size = size > 2 * b->size ? size : 2 * b->size;
        b->at = realloc(b->at, (size_t)b->size);
        assert(b->at);
    }
}

static void put(struct bytes *b, int64_t at, const void *from, int64_t n)
{
    if (n == 0) {
        return;
    }
    make_room(b, at + n);
    if (at > b->len) {
        memset(b->at + b->len, 0, (size_t)(at - b->len));
    }
    memcpy(b->at + at, from, (size_t)n);
    b->len = at + n > b->len ? at + n : b->len;
}

static void cut(struct bytes *b, int64_t len)
{
    b->len = len < b->len ? len : b->len;
}

static void drop(struct bytes *b)
{
    free(b->at);
    *b = (struct bytes){0};
}

static void note(struct slot *s, int64_t at, const void *from, int64_t n)
{
    if (s->changes_n == s->changes_size) {
        s->changes_size = s->changes_size ? 2 * s->changes_size : 64;
        s->changes = realloc(s->changes, s->changes_size * sizeof(*s->changes));
        assert(s->changes);
    }
    s->changes[s->changes_n++] = (struct change){at, n, s->written.len};
    if (n != TRUNCATION) {
        put(&s->written, s->written.len, from, n);
    }
}

/* --- Loss of power --- */

static bool by_chance(void)
{
    chances = chances * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return chances >> 63;
}

/* A change reaches the disk: as a whole, or with `torn` each of its sectors by chance. */
static void apply(struct slot *s, const struct change *c, bool torn)
{
    if (c->len == TRUNCATION) {
        if (!torn || by_chance()) {
            cut(&s->synced, c->at);
        }
        return;
    }
    for (int64_t done = 0, n; done < c->len; done += n) {
        n = SECTOR - (c->at + done) % SECTOR;
        n = n < c->len - done ? n : c->len - done;
        if (!torn || by_chance()) {
            put(&s->synced, c->at + done, s->written.at + c->from + done, n);
        }
    }
}

static void sync_slot(struct slot *s, bool torn)
{
    for (size_t i = 0; i < s->changes_n; i++) {
        apply(s, &s->changes[i], torn);
    }
    s->changes_n = 0;
    s->written.len = 0;
}

static void forget(struct slot *s)
{
    drop(&s->now);
    drop(&s->synced);
    drop(&s->written);
    free(s->changes);
    *s = (struct slot){0};
}

static void lose_power(struct slot *s, enum disk_loss loss)
{
    if (!s->named && (loss == DISK_LOSES_UNSYNCED || by_chance())) {
        forget(s);
        return;
    }
    if (!s->exists && (loss == DISK_LOSES_SOME && by_chance())) {
        forget(s);
        return;
    }
    s->exists = true;
    if (loss == DISK_LOSES_SOME) {
        sync_slot(s, true);
    }
    s->changes_n = 0;
    s->written.len = 0;
    s->now.len = 0;
    put(&s->now, 0, s->synced.at ? (void *)s->synced.at : (void *)s->name, s->synced.len);
}

void disk_die(enum disk_loss loss, uint64_t chance)
{
    chances = chance;
    life++;
    for (size_t i = 0; i < FILES_MAX; i++) {
        struct slot *s = &slots[i];
        s->readers = 0;
        s->writer = NULL;
        s->pending = false;
        s->shared = NULL; /* what is open still holds it */
        if (s->used && (!s->name[0] || (loss == DISK_LOSES_NOTHING && !s->exists))) {
            forget(s);
        } else if (s->used && loss != DISK_LOSES_NOTHING) {
            lose_power(s, loss);
        }
    }
}

void disk_clear(void)
{
    life++;
    for (size_t i = 0; i < FILES_MAX; i++) {
        forget(&slots[i]);
    }
    sqlite3_randomness(0, NULL); /* begins anew, so that a run does not depend on those before */
}

int64_t disk_bytes(void)
{
    int64_t sum = 0;
    for (size_t i = 0; i < FILES_MAX; i++) {
        sum += slots[i].exists ? slots[i].now.len : 0;
    }
    return sum;
}

void disk_on_wait(void (*wait)(void))
{
    on_wait = wait;
}

/* --- Files --- */

static struct handle *handle_of(sqlite3_file *f)
{
    return (struct handle *)(void *)f;
}

/* NULL: it is dead. */
static struct slot *slot_of(sqlite3_file *f)
{
    struct handle *h = handle_of(f);
    return h->life == life ? h->slot : NULL;
}

static int file_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    struct slot *s = slot_of(f);
    if (!s) {
        return SQLITE_IOERR_READ;
    }
    int64_t there = s->now.len > at ? s->now.len - at : 0;
    there = there < n ? there : n;
    if (there > 0) {
        memcpy(to, s->now.at + at, (size_t)there);
    }
    memset((char *)to + there, 0, (size_t)(n - there));
    return there == n ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    struct slot *s = slot_of(f);
    if (!s) {
        return SQLITE_IOERR_WRITE;
    }
    put(&s->now, at, from, n);
    note(s, at, from, n);
    return SQLITE_OK;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct slot *s = slot_of(f);
    if (!s) {
        return SQLITE_IOERR_TRUNCATE;
    }
    cut(&s->now, size);
    note(s, size, NULL, TRUNCATION);
    return SQLITE_OK;
}

/* A file system writes its directories down together, so what was deleted before is gone for good.
 */
static int file_sync(sqlite3_file *f, int flags)
{
    struct slot *s = slot_of(f);
    (void)flags;
    if (!s) {
        return SQLITE_IOERR_FSYNC;
    }
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (slots[i].used && !slots[i].exists) {
            forget(&slots[i]);
        }
    }
    sync_slot(s, false);
    s->named = true;
    return SQLITE_OK;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
    struct slot *s = slot_of(f);
    *size = s ? s->now.len : 0;
    return s ? SQLITE_OK : SQLITE_IOERR_FSTAT;
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    (void)f;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int file_sector(sqlite3_file *f)
{
    (void)f;
    return 4096; /* as on Linux; writes are torn more finely, which POWERSAFE_OVERWRITE allows */
}

static int file_traits(sqlite3_file *f)
{
    (void)f;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* --- Locks of the file --- */

static int lock_more(struct slot *s, struct handle *h, int kind)
{
    bool others_write = s->writer && s->writer != h;
    if (kind == SQLITE_LOCK_SHARED) {
        if (others_write && (s->pending || s->writer->lock == SQLITE_LOCK_EXCLUSIVE)) {
            return SQLITE_BUSY;
        }
        s->readers++;
    } else if (others_write) {
        return SQLITE_BUSY;
    } else {
        s->writer = h;
    }
    if (kind == SQLITE_LOCK_EXCLUSIVE && s->readers > 1) {
        s->pending = true;
        h->lock = SQLITE_LOCK_PENDING;
        return SQLITE_BUSY;
    }
    h->lock = kind;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *f, int kind)
{
    struct slot *s = slot_of(f);
    struct handle *h = handle_of(f);
    if (!s) {
        return SQLITE_IOERR_LOCK;
    }
    return h->lock >= kind ? SQLITE_OK : lock_more(s, h, kind);
}

static int file_unlock(sqlite3_file *f, int kind)
{
    struct slot *s = slot_of(f);
    struct handle *h = handle_of(f);
    if (!s || h->lock <= kind) {
        return SQLITE_OK;
    }
    if (s->writer == h) {
        s->writer = NULL;
        s->pending = false;
    }
    s->readers -= kind == SQLITE_LOCK_NONE;
    h->lock = kind;
    return SQLITE_OK;
}

static int file_reserved(sqlite3_file *f, int *result)
{
    struct slot *s = slot_of(f);
    *result = s && s->writer != NULL;
    return SQLITE_OK;
}

/* --- Shared memory --- */

static void leave_shared(struct handle *h)
{
    struct shared *m = h->shared;
    if (m && --m->users == 0) {
        for (size_t i = 0; i < PAGES_MAX; i++) {
            free(m->pages[i]);
        }
        if (h->life == life && h->slot->shared == m) {
            h->slot->shared = NULL;
        }
        free(m);
    }
    h->shared = NULL;
}

static struct shared *shared_of(struct handle *h)
{
    if (!h->shared) {
        struct slot *s = h->slot;
        s->shared = s->shared ? s->shared : calloc(1, sizeof(*s->shared));
        assert(s->shared);
        h->shared = s->shared;
        h->shared->users++;
    }
    return h->shared;
}

static int file_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **at)
{
    *at = NULL;
    if (!slot_of(f) || page >= PAGES_MAX) {
        return SQLITE_IOERR_SHMMAP;
    }
    struct shared *m = shared_of(handle_of(f));
    if (!m->pages[page] && extend) {
        m->pages[page] = calloc(1, (size_t)size);
        assert(m->pages[page]);
    }
    *at = m->pages[page];
    return SQLITE_OK;
}

static int shm_take(struct handle *h, int i, bool exclusive)
{
    struct shared *m = h->shared;
    unsigned bit = 1u << i;
    if ((m->owner[i] && m->owner[i] != h) ||
        (exclusive && m->readers[i] > ((h->shm_shared & bit) != 0))) {
        return SQLITE_BUSY;
    }
    if (exclusive) {
        m->owner[i] = h;
        h->shm_exclusive |= bit;
    } else if (!(h->shm_shared & bit)) {
        m->readers[i]++;
        h->shm_shared |= bit;
    }
    return SQLITE_OK;
}

static void shm_leave(struct handle *h, int i)
{
    unsigned bit = 1u << i;
    if (h->shm_exclusive & bit) {
        h->shared->owner[i] = NULL;
    }
    if (h->shm_shared & bit) {
        h->shared->readers[i]--;
    }
    h->shm_exclusive &= ~bit;
    h->shm_shared &= ~bit;
}

static int file_shm_lock(sqlite3_file *f, int first, int n, int flags)
{
    struct handle *h = handle_of(f);
    if (!slot_of(f)) {
        return SQLITE_IOERR_SHMLOCK;
    }
    shared_of(h);
    for (int i = first; i < first + n; i++) {
        if (flags & SQLITE_SHM_UNLOCK) {
            shm_leave(h, i);
        } else if (shm_take(h, i, flags & SQLITE_SHM_EXCLUSIVE) != SQLITE_OK) {
            while (i > first) {
                shm_leave(h, --i);
            }
            return SQLITE_BUSY;
        }
    }
    return SQLITE_OK;
}

static void file_shm_barrier(sqlite3_file *f)
{
    static atomic_int turnstile; /* and not a fence, which the thread sanitizer does not know */
    (void)f;
    atomic_fetch_add(&turnstile, 1);
}

static int file_shm_unmap(sqlite3_file *f, int remove)
{
    struct handle *h = handle_of(f);
    (void)remove; /* the memory goes with its last user */
    for (int i = 0; h->shared && i < SHM_LOCKS; i++) {
        shm_leave(h, i);
    }
    leave_shared(h);
    return SQLITE_OK;
}

/* --- Opening and closing --- */

static struct slot *find(const char *name)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (slots[i].used && name && strcmp(slots[i].name, name) == 0) {
            return &slots[i];
        }
    }
    return NULL;
}

static struct slot *create(const char *name)
{
    struct slot *s = find(name);
    if (s) {
        forget(s); /* was deleted */
    }
    for (size_t i = 0; !s && i < FILES_MAX; i++) {
        s = slots[i].used ? NULL : &slots[i];
    }
    assert(s && (!name || strlen(name) < sizeof(s->name)));
    s->used = s->exists = true;
    memcpy(s->name, name ? name : "", strlen(name ? name : "") + 1);
    return s;
}

static int file_close(sqlite3_file *f)
{
    struct handle *h = handle_of(f);
    file_shm_unmap(f, 0);
    file_unlock(f, SQLITE_LOCK_NONE);
    if (h->delete_on_close && slot_of(f)) {
        forget(h->slot);
    }
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_traits,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static int disk_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
    (void)v;
    struct handle *h = handle_of(f);
    struct slot *s = find(name);
    bool main_file = flags & SQLITE_OPEN_MAIN_DB; /* which the store has touched before */
    memset(h, 0, sizeof(*h));
    if (!s || !s->exists) {
        if (!(flags & SQLITE_OPEN_CREATE) && !main_file) {
            return SQLITE_CANTOPEN;
        }
        s = create(name);
    }
    h->base.pMethods = &methods;
    h->slot = s;
    h->life = life;
    h->delete_on_close = !name || (flags & SQLITE_OPEN_DELETEONCLOSE);
    if (out) {
        *out = flags;
    }
    return SQLITE_OK;
}

static int disk_delete(sqlite3_vfs *v, const char *name, int durable)
{
    (void)v;
    struct slot *s = find(name);
    if (!s || !s->exists) {
        return SQLITE_IOERR_DELETE_NOENT;
    }
    s->exists = false;
    if (durable || !s->named) {
        forget(s);
    }
    return SQLITE_OK;
}

/* As SQLite's own: a file of no bytes is taken for none. */
static int disk_access(sqlite3_vfs *v, const char *name, int flags, int *result)
{
    (void)v;
    const struct slot *s = find(name);
    *result = s && s->exists && (flags != SQLITE_ACCESS_EXISTS || s->now.len > 0);
    return SQLITE_OK;
}

static int disk_full_name(sqlite3_vfs *v, const char *name, int size, char *out)
{
    (void)v;
    sqlite3_snprintf(size, out, "%s", name);
    return SQLITE_OK;
}

static int disk_randomness(sqlite3_vfs *v, int n, char *out)
{
    (void)v;
    memset(out, 0x5a, (size_t)n);
    return n;
}

static int disk_sleep(sqlite3_vfs *v, int us)
{
    (void)v;
    assert(on_wait);
    on_wait();
    return us;
}

static int disk_time(sqlite3_vfs *v, sqlite3_int64 *ms)
{
    (void)v;
    *ms = INT64_C(210866803200000); /* 1970 */
    return SQLITE_OK;
}

void disk_install(void)
{
    vfs = *sqlite3_vfs_find(NULL);
    vfs.pNext = NULL;
    vfs.zName = "disk";
    vfs.szOsFile = (int)sizeof(struct handle);
    vfs.mxPathname = NAME_MAX_;
    vfs.xOpen = disk_open;
    vfs.xDelete = disk_delete;
    vfs.xAccess = disk_access;
    vfs.xFullPathname = disk_full_name;
    vfs.xRandomness = disk_randomness;
    vfs.xSleep = disk_sleep;
    vfs.xCurrentTimeInt64 = disk_time;
    sqlite3_vfs_register(&vfs, 1);
}
