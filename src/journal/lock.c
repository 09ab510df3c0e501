#include "journal/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"

/* Leaves the process's number in the file, for whoever finds the store in use. */
static void write_owner(int fd)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len) {
        return;
    }
    /* A full disk may prevent it; the lock holds all the same. */
}

static void read_owner(int fd, struct buf *why)
{
    char text[32];
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    text[len > 0 ? len : 0] = '\0';
    long pid = strtol(text, NULL, 10);
    if (pid > 0) {
        buf_addf(why, " (process %ld)", pid);
    }
}

static const char *remedy(int error)
{
    switch (error) {
    case EROFS:
    case EACCES:
    case EPERM: return "; give `store` (or --store) a path that this user may write";
    case ENOENT:
    case ENOTDIR: return "; make its directory, or give `store` (or --store) another path";
    case ENOSPC:
    case EDQUOT: return "; make room there, and start again";
    default: return "; give `store` (or --store) another path";
    }
}

void lock_explain(const char *path, int error, struct buf *why)
{
    buf_addf(why, "%s cannot be opened for writing: %s%s", path, strerror(error), remedy(error));
}

int lock_take(const char *path, int *fd, struct buf *why)
{
    struct buf name;
    buf_init(&name, strlen(path) + sizeof(".lock"));
    buf_addf(&name, "%s.lock", path);
    if (name.failed) {
        buf_release(&name);
        return ERR_NO_MEMORY;
    }
    int rc = 0;
    int lock = open(name.at, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0) {
        lock_explain(name.at, errno, why);
        rc = ERR_STORE_FAILED;
    } else if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        rc = errno == EWOULDBLOCK ? ERR_STORE_IN_USE : ERR_STORE_FAILED;
        buf_addf(why, "%s is held by another sluice", path);
        read_owner(lock, why);
        buf_add_str(why, rc == ERR_STORE_IN_USE
                             ? "; stop that one, or give `store` (or --store) another path"
                             : "; its file system does not support locks");
        close(lock);
    } else {
        write_owner(lock);
        *fd = lock;
    }
    buf_release(&name);
    return rc;
}

void lock_drop(int fd)
{
    /* The file stays: removing it would let two others lock two files of one name. */
    close(fd);
}
