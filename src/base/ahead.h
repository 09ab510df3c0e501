/*
 * Asking ahead: memory that will be needed soon and may have left the caches.
 *
 * A hint, and nothing but that. Depends on nothing.
 */
#ifndef SLUICE_BASE_AHEAD_H
#define SLUICE_BASE_AHEAD_H

#include <stddef.h>

static inline void expect_memory(const void *memory, size_t size)
{
    for (size_t at = 0; at < size; at += 64) {
        __builtin_prefetch((const char *)memory + at);
    }
}

#endif
