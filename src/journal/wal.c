#include "journal/wal.h"

#include <stddef.h>
#include <stdint.h>

/* What it is given beforehand: it is copied when it has WAL_SYNCED_PAGES_MAX pages, and the last
 * batch before that may take it some way further. */
#define WAL_BYTES       INT64_C(9437184)
#define WAL_PIECE_BYTES 65536

static int note_pages(void *ctx, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    ((struct wal *)ctx)->pages = pages;
    return SQLITE_OK;
}

int wal_init(struct wal *wal, sqlite3 *db, bool synced)
{
    *wal = (struct wal){.db = db, .synced = synced};
    int rc = sqlite3_exec(db, synced ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF", NULL,
                          NULL, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(db, "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=33554432",
                          NULL, NULL, NULL);
    }
    sqlite3_wal_hook(db, note_pages, wal); /* in the place of the one that autocheckpoints are */
    return rc;
}

/*
 * The whole length is written once, beforehand. A commit that makes the WAL longer has to wait
 * until the file system has found blocks for it and written down that they are taken; one that is
 * written where bytes were before waits for its own bytes alone, which takes a tenth of the time
 * and hardly varies. What stands behind the newest commit means nothing to SQLite, least of all
 * zeros. Where nobody waits for the disk it would be in vain. Where there is no room for it the WAL
 * gives back what it took, which commits need, and grows as it must.
 */
void wal_lay_out(struct wal *wal)
{
    static const char zeros[WAL_PIECE_BYTES];
    sqlite3_file *file = NULL;
    sqlite3_int64 at = 0;
    if (!wal->synced) {
        return;
    }
    sqlite3_file_control(wal->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
    if (!file || !file->pMethods || file->pMethods->xFileSize(file, &at) != SQLITE_OK) {
        return;
    }
    sqlite3_int64 before = at;
    int rc = SQLITE_OK;
    while (at < WAL_BYTES && rc == SQLITE_OK) {
        rc = file->pMethods->xWrite(file, zeros, sizeof(zeros), at);
        at += (sqlite3_int64)sizeof(zeros);
    }
    if (rc != SQLITE_OK) {
        file->pMethods->xTruncate(file, before);
    }
    file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
}

bool wal_full(const struct wal *wal)
{
    return wal->pages >= (wal->synced ? WAL_SYNCED_PAGES_MAX : WAL_PAGES_MAX);
}

static void copy(struct wal *wal, int mode)
{
    int frames = 0;
    int copied = 0;
    int rc = sqlite3_wal_checkpoint_v2(wal->db, NULL, mode, &frames, &copied);
    wal->pages = rc == SQLITE_OK && frames > copied ? frames - copied : 0;
}

void wal_checkpoint(struct wal *wal)
{
    copy(wal, SQLITE_CHECKPOINT_PASSIVE);
}

void wal_come_to_rest(struct wal *wal)
{
    if (wal->synced) {
        copy(wal, SQLITE_CHECKPOINT_PASSIVE);
        return;
    }
    sqlite3_file *file = NULL;
    sqlite3_exec(wal->db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
    sqlite3_file_control(wal->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (file && file->pMethods) {
        file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
    }
    copy(wal, SQLITE_CHECKPOINT_TRUNCATE);
    sqlite3_exec(wal->db, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
}
