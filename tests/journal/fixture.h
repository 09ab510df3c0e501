/*
 * What the journal's tests share: a store in a fresh directory, records to put in it, and a way to
 * wait for the worker that never sleeps.
 *
 * Depends on cmocka, src/base and src/journal.
 */
#ifndef SLUICE_TESTS_JOURNAL_FIXTURE_H
#define SLUICE_TESTS_JOURNAL_FIXTURE_H

#include <pthread.h>
#include <stdint.h>

#include "base/buf.h"
#include "journal/journal.h"

#define SEEN_MAX 4096

struct fixture {
    char dir[64];
    char path[96];
    struct journal *journal;
    struct buf why;
    pthread_mutex_t mutex; /* the worker's progress is counted under it */
    pthread_cond_t moved;
    unsigned progress;
    struct record seen[SEEN_MAX]; /* by fixture_replay; their texts are in `texts` */
    size_t seen_n;
    struct buf texts;
};

/* cmocka's set-up and tear-down: *state is a struct fixture with no journal open. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Removes the store, which nobody has open, and what lies beside it. */
void fixture_remove_files(struct fixture *f);

/* Opens the store; asserts that it works. */
void fixture_open(struct fixture *f, enum durability durability);

/* Opens the store and starts the worker. */
void fixture_start(struct fixture *f, enum durability durability);

/* Tries to open, and returns the code; `f->why` has the sentence. */
int fixture_try_open(struct fixture *f, enum durability durability);

int fixture_close(struct fixture *f);

/* Commits what was appended and waits until it is durable. */
void fixture_commit(struct fixture *f);

/* Waits until the worker reported something after the count was `since`. */
void fixture_await(struct fixture *f, unsigned since);
unsigned fixture_progress(struct fixture *f);

/* Reads everything back into f->seen. */
void fixture_replay(struct fixture *f);

/* Opens, replays and leaves the journal open but not started. */
void fixture_reopen_and_replay(struct fixture *f);

/* Runs SQL on the store by a connection of its own; asserts that it works. Returns the first number
 * of the last row, or 0. */
int64_t fixture_sql(struct fixture *f, const char *sql);

/* A record with every member set to something. */
struct record sample_grant(uint64_t lease, int64_t at_us);
struct record sample_end(enum record_kind kind, uint64_t lease, int64_t at_us);
struct record sample_counter(const char *limit, const char *scope_key, int64_t used);

void assert_same_record(const struct record *a, const struct record *b);

#endif
