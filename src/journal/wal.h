/*
 * The WAL of the store: how long it is, and when it is copied into the file.
 *
 * SQLite's own checkpoints are off, because the commit that they fall on has to wait for them. The
 * WAL says how long it is, and whoever writes the store has it copied when it is long, or when
 * there is nothing else to do. So it is bounded. For the thread that writes.
 *
 * May depend on src/base. Knows SQLite.
 */
#ifndef SLUICE_JOURNAL_WAL_H
#define SLUICE_JOURNAL_WAL_H

#include <sqlite3.h>
#include <stdbool.h>

#define WAL_SYNCED_PAGES_MAX 2000 /* of a WAL that is waited for, before it is copied */
#define WAL_PAGES_MAX        5000 /* of another */

struct wal {
    sqlite3 *db; /* lent */
    bool synced; /* each commit reaches the disk, not only the kernel */
    int pages;   /* that are not yet in the file */
};

/* Takes charge of the WAL of a database that has one. `wal` stays where it is until the database is
 * closed. An SQLite result code. */
int wal_init(struct wal *wal, sqlite3 *db, bool synced);

/* Makes commits that wait for the disk wait for less, by giving the WAL its length beforehand. For
 * once, before the first of them. */
void wal_lay_out(struct wal *wal);

/* Whether it has so many pages that they should be copied, though who asks next has to wait for it.
 * What is written again and again, as the last page of each table is, is copied once, so the longer
 * the WAL the less there is to copy, and the fewer have to wait. */
bool wal_full(const struct wal *wal);

/* Copies the WAL into the file, as far as others that read it allow. A failure is no harm: then the
 * WAL stays. */
void wal_checkpoint(struct wal *wal);

/* Copies all of it, for when there is nothing else to do. A store whose commits do not reach the
 * disk at once is brought there now, and its WAL emptied: so only a loss of power while it is being
 * written can damage the file. Where they do, the WAL keeps its length. */
void wal_come_to_rest(struct wal *wal);

#endif
