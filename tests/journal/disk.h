/*
 * A disk in memory that knows what was synced: a SQLite VFS.
 *
 * A file is what was written to it. Beside that the disk keeps what each file was when it was last
 * synced and what was written since, so that it can lose power: then the synced part is there, and
 * of the rest nothing, or a random part, torn between sectors of 512 bytes. A file's name becomes
 * durable with its first sync; one that was deleted may come back until the next sync of any file.
 *
 * When the process dies, the files it has open are dead to it: whatever it still does with them
 * fails and changes nothing. So the remains of a store can be closed in peace while the next one
 * reads what was left.
 *
 * For tests only, and for files of a few megabytes. It may be used from several threads, one at a
 * time.
 */
#ifndef SLUICE_TESTS_JOURNAL_DISK_H
#define SLUICE_TESTS_JOURNAL_DISK_H

#include <stdbool.h>
#include <stdint.h>

enum disk_loss {
    DISK_LOSES_NOTHING,  /* kill -9: the kernel has all that was written */
    DISK_LOSES_UNSYNCED, /* a loss of power, and nothing was written back by chance */
    DISK_LOSES_SOME,     /* a loss of power, and some was */
};

/* Becomes the disk of all stores opened from now on. Once a process. */
void disk_install(void);

/* An empty disk. Files that are open are dead. */
void disk_clear(void);

/* The process that has files open dies. `chance` decides what of the unsynced is lost. */
void disk_die(enum disk_loss loss, uint64_t chance);

/* `wait` is called where somebody waits for a lock; NULL: nobody may. */
void disk_on_wait(void (*wait)(void));

/* Bytes of all files. */
int64_t disk_bytes(void);

#endif
