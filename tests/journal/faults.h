/*
 * A disk that fails on purpose: a thin SQLite VFS in front of the real one, or of disk.h's.
 *
 * Operations that change files or make sure of them (open, write, truncate, sync, shared memory)
 * are counted; the one whose turn has come fails, once or from then on. For tests only.
 */
#ifndef SLUICE_TESTS_JOURNAL_FAULTS_H
#define SLUICE_TESTS_JOURNAL_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* Puts the failing disk in front, for all stores opened from now on. Once a process. */
void faults_install(void);

/* Lets operation number `nth` (from 1) fail; `lasting`: and all after it. 0: none. */
void faults_set(int nth, bool lasting);

/* Operations counted since faults_set. */
int faults_count(void);

/* `hook` is called before each of those operations, in the thread that does it. NULL: none. */
void faults_hook(void (*hook)(void));

/* How often somebody waited for the disk since faults_set. */
int faults_syncs(void);

/* As if another process were recovering the WAL: nobody can read the store. Sleeping is then only
 * counted. */
void faults_recovering(bool on);

/* How long was waited since then, had it been slept. */
int64_t faults_slept_us(void);

#endif
