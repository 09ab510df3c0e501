/*
 * The lock that keeps a store for one process: an exclusive flock on PATH.lock.
 *
 * It stands beside the store, not on it, so that `sqlite3 PATH` can read meanwhile. The kernel lets
 * go of it when the process ends, however it ends. May depend on src/base only.
 */
#ifndef SLUICE_JOURNAL_LOCK_H
#define SLUICE_JOURNAL_LOCK_H

#include "base/buf.h"

/* Takes the lock of the store at `path`. 0 with `fd` to be given to lock_drop, or ERR_STORE_IN_USE,
 * ERR_STORE_FAILED or ERR_NO_MEMORY with a sentence in `why`. */
int lock_take(const char *path, int *fd, struct buf *why);

void lock_drop(int fd);

/* Says why a file of the store cannot be opened for writing, by errno, and what to do. */
void lock_explain(const char *path, int error, struct buf *why);

#endif
