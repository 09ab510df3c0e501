/*
 * Memory that fails: malloc, calloc, realloc, strdup and strndup, wrapped at link time
 * (`memory_dep`), of which the nth call is refused. The libraries that are linked as shared objects
 * allocate as ever; a test may wrap theirs too and ask memory_refuses().
 *
 * Depends on nothing. Threads may allocate at the same time; one of them is refused.
 */
#ifndef SLUICE_TESTS_SUPPORT_MEMORY_H
#define SLUICE_TESTS_SUPPORT_MEMORY_H

#include <stdbool.h>

/* The nth allocation from now on fails, and no other; 0: none. What failed before is forgotten. */
void memory_fail(int nth);

/* In between no allocation is counted, and none fails. */
void memory_pause(void);
void memory_resume(void);

/* Whether one has been refused since memory_fail(). */
bool memory_failed(void);

/* How many have been counted since memory_fail(), with the one that failed. */
int memory_counted(void);

/* Counts an allocation that is none of the wrapped ones: whether it is the one to fail. */
bool memory_refuses(void);

#endif
