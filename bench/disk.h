/*
 * What the disk alone takes for a commit: as many bytes as a commit of a row or a few writes, where
 * bytes were before, and fdatasync. No commit that is waited for can be faster.
 */
#ifndef SLUICE_BENCH_DISK_H
#define SLUICE_BENCH_DISK_H

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "histogram.h"

#define DISK_PLACES 400                /* in the file, one after the other and over again */
#define DISK_BYTES  ((size_t)3 * 4120) /* three pages, as the log has them */

static inline bool disk_write(int fd, long nth)
{
    static const char bytes[DISK_BYTES];
    return pwrite(fd, bytes, DISK_BYTES, (off_t)DISK_BYTES * (nth % DISK_PLACES)) ==
           (ssize_t)DISK_BYTES;
}

/* Measures `times` commits in a file that is made for it and removed. False, with errno, where that
 * was not possible. */
static inline bool disk_measure(const char *path, long times, struct histogram *took)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool well = fd >= 0;
    for (long i = 0; well && i < DISK_PLACES; i++) {
        well = disk_write(fd, i);
    }
    well = well && fsync(fd) == 0;
    for (long i = 0; well && i < times; i++) {
        int64_t began_ns = histogram_now_ns();
        well = disk_write(fd, i) && fdatasync(fd) == 0;
        histogram_add(took, histogram_now_ns() - began_ns);
    }
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    return well;
}

#endif
