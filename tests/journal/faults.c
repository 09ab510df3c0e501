#include "faults.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

/* The real file follows in the same allocation. */
struct file {
    sqlite3_file base;
    sqlite3_file *real;
};

static sqlite3_vfs *real_vfs;
static sqlite3_vfs vfs;
static sqlite3_io_methods methods;
static atomic_int count;
static atomic_int syncs;
static atomic_int fail_at;
static atomic_bool fail_on;
static atomic_bool recovering;
static _Atomic int64_t slept_us;
static unsigned char volatile *wal_index; /* its first page, once it is mapped */
static void (*hook)(void);

void faults_set(int nth, bool lasting)
{
    atomic_store(&fail_on, lasting);
    atomic_store(&fail_at, nth);
    atomic_store(&count, 0);
    atomic_store(&syncs, 0);
}

int faults_count(void)
{
    return atomic_load(&count);
}

int faults_syncs(void)
{
    return atomic_load(&syncs);
}

void faults_hook(void (*fn)(void))
{
    hook = fn;
}

static bool fails(void)
{
    if (hook) {
        hook();
    }
    int n = atomic_fetch_add(&count, 1) + 1;
    int at = atomic_load(&fail_at);
    return at != 0 && (n == at || (n > at && atomic_load(&fail_on)));
}

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct file *)(void *)f)->real;
}

static int file_close(sqlite3_file *f)
{
    sqlite3_file *real = real_of(f);
    return real->pMethods ? real->pMethods->xClose(real) : SQLITE_OK;
}

static int file_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    return real_of(f)->pMethods->xRead(real_of(f), to, n, at);
}

static int file_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    return fails() ? SQLITE_FULL : real_of(f)->pMethods->xWrite(real_of(f), from, n, at);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return fails() ? SQLITE_IOERR_TRUNCATE : real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int file_sync(sqlite3_file *f, int flags)
{
    atomic_fetch_add(&syncs, 1);
    return fails() ? SQLITE_IOERR_FSYNC : real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int file_lock(sqlite3_file *f, int kind)
{
    return real_of(f)->pMethods->xLock(real_of(f), kind);
}

static int file_unlock(sqlite3_file *f, int kind)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), kind);
}

static int file_reserved(sqlite3_file *f, int *result)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), result);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int file_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int file_traits(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int file_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **at)
{
    if (extend && fails()) {
        return SQLITE_IOERR_SHMMAP;
    }
    int rc = real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, at);
    wal_index = page == 0 ? *at : wal_index;
    return rc;
}

static int file_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    if (atomic_load(&recovering) && flags & SQLITE_SHM_LOCK) {
        return SQLITE_BUSY;
    }
    return real_of(f)->pMethods->xShmLock(real_of(f), at, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int file_shm_unmap(sqlite3_file *f, int remove)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

static sqlite3_io_methods methods = {
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

static int open_file(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
    (void)v;
    struct file *file = (void *)f;
    file->base.pMethods = NULL;
    if (fails()) {
        return SQLITE_CANTOPEN;
    }
    file->real = (void *)(file + 1);
    int rc = real_vfs->xOpen(real_vfs, name, file->real, flags, out);
    if (rc == SQLITE_OK) {
        file->base.pMethods = &methods;
    }
    return rc;
}

/* The two copies of the index's header differ while somebody writes it anew. */
void faults_recovering(bool on)
{
    atomic_store(&slept_us, 0);
    atomic_store(&recovering, on);
    wal_index[0] ^= 0xff;
}

int64_t faults_slept_us(void)
{
    return atomic_load(&slept_us);
}

static int fall_asleep(sqlite3_vfs *v, int us)
{
    (void)v;
    atomic_fetch_add(&slept_us, us);
    return atomic_load(&recovering) ? us : real_vfs->xSleep(real_vfs, us);
}

void faults_install(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.pNext = NULL;
    vfs.zName = "faults";
    vfs.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
    vfs.xOpen = open_file;
    vfs.xSleep = fall_asleep;
    sqlite3_vfs_register(&vfs, 1);
}
