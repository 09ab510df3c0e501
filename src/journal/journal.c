#include "journal/journal.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/num.h"
#include "journal/backlog.h"
#include "journal/clerk.h"
#include "journal/row.h"
#include "journal/store.h"

#define WORDS_LEN_MAX 256
#define IDLE_US       US_PER_S /* without work for this long, the worker tidies the store */

/*
 * Three kinds of members, by who may touch them: the loop's thread alone, the worker alone, and
 * both under the mutex (or as atomics). A batch number and the number of records that were
 * appended up to it are handed over together.
 */
struct journal {
    enum durability durability;
    struct store *store; /* NULL with DURABILITY_NONE; the worker's from journal_start on */
    struct clock clock;
    bool started;
    pthread_t worker;
    void (*progress)(void *ctx);
    void *progress_ctx;

    /* The loop's thread. */
    struct backlog backlog;
    uint64_t gathered; /* records appended since the last batch */
    uint64_t batch;    /* the newest that was handed over */
    uint64_t records;

    /* The worker. */
    struct backlog_cursor cursor;
    uint64_t written; /* records stored so far */
    int64_t retry_us; /* failing: when to try again */
    bool tidy;        /* nothing was written since the store was tidied */

    /* Both. */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    uint64_t handed_records;
    uint64_t handed_batch;
    int64_t horizon_us;
    uint64_t horizon_records; /* those that were appended before the horizon was told */
    int64_t ledger_horizon_us;
    bool prune_due;
    bool prune_ledger_due;
    bool stop;
    char words[WORDS_LEN_MAX];
    struct journal_stats stats;
    atomic_bool failing;
    _Atomic uint64_t durable;
    _Atomic uint64_t done_records;
};

/* --- The worker --- */

enum duty { DUTY_WRITE, DUTY_PRUNE, DUTY_PRUNE_LEDGER, DUTY_TIDY, DUTY_STOP };

/* Waits to be woken, or until the moment `until_us` (0: for ever). The mutex is held. */
static void wait_until(struct journal *j, int64_t until_us)
{
    if (until_us == 0) {
        pthread_cond_wait(&j->wake, &j->mutex);
        return;
    }
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t left_us = max_i64(0, until_us - clock_now_us(&j->clock));
    int64_t ns = at.tv_nsec + left_us % US_PER_S * 1000;
    at.tv_sec += left_us / US_PER_S + ns / 1000000000;
    at.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&j->wake, &j->mutex, &at);
}

/* What is to be done next; tidying not before `idle_until_us`. False where the answer is to wait,
 * until `*until_us` or to be woken. The mutex is held. */
static bool find_duty(struct journal *j, int64_t idle_until_us, enum duty *duty, int64_t *until_us)
{
    int64_t now_us = clock_now_us(&j->clock);
    bool failing = atomic_load(&j->failing);
    *until_us = 0;
    if (j->handed_records > j->written && (!failing || now_us >= j->retry_us || j->stop)) {
        *duty = DUTY_WRITE;
    } else if (j->stop) {
        *duty = DUTY_STOP;
    } else if (failing) {
        *until_us = j->retry_us;
        return false;
    } else if (j->prune_due && j->written >= j->horizon_records) {
        *duty = DUTY_PRUNE;
    } else if (j->prune_ledger_due) {
        *duty = DUTY_PRUNE_LEDGER;
    } else if (j->tidy) {
        return false;
    } else if (now_us < idle_until_us) {
        *until_us = idle_until_us;
        return false;
    } else {
        *duty = DUTY_TIDY;
    }
    return true;
}

static void note_failure(struct journal *j, const char *words)
{
    pthread_mutex_lock(&j->mutex);
    j->stats.failures++;
    size_t len = strnlen(words, sizeof(j->words) - 1);
    memcpy(j->words, words, len);
    j->words[len] = '\0';
    pthread_mutex_unlock(&j->mutex);
}

static void note_commit(struct journal *j, int64_t took_us)
{
    pthread_mutex_lock(&j->mutex);
    j->stats.batches++;
    j->stats.rows = (uint64_t)max_i64(0, store_rows(j->store));
    j->stats.commit_us_sum += took_us;
    j->stats.commit_us_max = max_i64(j->stats.commit_us_max, took_us);
    pthread_mutex_unlock(&j->mutex);
}

static void write_batch(struct journal *j, uint64_t records, uint64_t batch)
{
    int64_t began_us = clock_now_us(&j->clock);
    int rc = store_write(j->store, &j->cursor, records - j->written);
    int64_t ended_us = clock_now_us(&j->clock);
    if (rc) {
        note_failure(j, store_words(j->store));
        /* Where the disk is full, a WAL that was copied can be written from its start again. */
        wal_checkpoint(store_wal(j->store));
        j->retry_us = ended_us + JOURNAL_RETRY_US;
        if (!atomic_exchange(&j->failing, true)) {
            j->progress(j->progress_ctx);
        }
        return;
    }
    j->written = records;
    j->tidy = false;
    atomic_store(&j->failing, false);
    note_commit(j, ended_us - began_us);
    atomic_store(&j->done_records, records);
    atomic_store(&j->durable, batch);
    j->progress(j->progress_ctx);
    if (wal_full(store_wal(j->store))) {
        wal_checkpoint(store_wal(j->store));
    }
}

/* A failure to prune is no trouble for those who ask for leases: the next horizon tries again. */
static void prune_step(struct journal *j, int64_t horizon_us)
{
    uint64_t pruned;
    bool more;
    int rc = store_prune(j->store, horizon_us, &pruned, &more);
    if (pruned) {
        j->tidy = false;
    }
    pthread_mutex_lock(&j->mutex);
    j->stats.pruned += pruned;
    j->stats.rows = (uint64_t)max_i64(0, store_rows(j->store));
    j->prune_due = (rc == 0 && more) || j->horizon_us > horizon_us;
    pthread_mutex_unlock(&j->mutex);
}

static void prune_ledger_step(struct journal *j)
{
    uint64_t pruned;
    bool more;
    pthread_mutex_lock(&j->mutex);
    int64_t horizon_us = j->ledger_horizon_us;
    pthread_mutex_unlock(&j->mutex);
    int rc = store_prune_ledger(j->store, horizon_us, &pruned, &more);
    if (pruned) {
        j->tidy = false;
    }
    pthread_mutex_lock(&j->mutex);
    j->prune_ledger_due = (rc == 0 && more) || j->ledger_horizon_us > horizon_us;
    pthread_mutex_unlock(&j->mutex);
}

static void tidy_step(struct journal *j)
{
    bool more;
    store_tidy(j->store, &more);
    j->tidy = !more;
}

static void do_duty(struct journal *j, enum duty duty, uint64_t records, uint64_t batch,
                    int64_t horizon_us)
{
    switch (duty) {
    case DUTY_WRITE: write_batch(j, records, batch); break;
    case DUTY_PRUNE: prune_step(j, horizon_us); break;
    case DUTY_PRUNE_LEDGER: prune_ledger_step(j); break;
    case DUTY_TIDY: tidy_step(j); break;
    case DUTY_STOP: break;
    }
}

static void *work(void *arg)
{
    struct journal *j = arg;
    int64_t idle_until_us = 0;
    bool over = false;
    wal_lay_out(store_wal(j->store));
    while (!over) {
        enum duty duty = DUTY_STOP;
        int64_t until_us;
        pthread_mutex_lock(&j->mutex);
        while (!find_duty(j, idle_until_us, &duty, &until_us)) {
            wait_until(j, until_us);
        }
        uint64_t records = j->handed_records;
        uint64_t batch = j->handed_batch;
        int64_t horizon_us = j->horizon_us;
        bool last = j->stop;
        pthread_mutex_unlock(&j->mutex);
        do_duty(j, duty, records, batch, horizon_us);
        idle_until_us = clock_now_us(&j->clock) + IDLE_US;
        /* When told to stop, what could not be written in one more try is given up. */
        over = duty == DUTY_STOP || (last && atomic_load(&j->failing));
    }
    return NULL;
}

/* --- Life cycle --- */

static int random_key(struct hash_key *key)
{
    return getrandom(key, sizeof(*key), 0) == sizeof(*key) ? 0 : ERR_INTERNAL;
}

static int set_up_threads(struct journal *j)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr)) {
        return ERR_NO_MEMORY;
    }
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(&j->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (rc) {
        return ERR_NO_MEMORY;
    }
    if (pthread_mutex_init(&j->mutex, NULL)) {
        pthread_cond_destroy(&j->wake);
        return ERR_NO_MEMORY;
    }
    return 0;
}

static void journal_free(struct journal *j)
{
    if (j->store) {
        store_close(j->store);
    }
    if (j->durability != DURABILITY_NONE) {
        backlog_release(&j->backlog);
    }
    pthread_mutex_destroy(&j->mutex);
    pthread_cond_destroy(&j->wake);
    free(j);
}

static int open_parts(struct journal *j, const char *path, struct buf *why)
{
    if (j->durability == DURABILITY_NONE) {
        return 0;
    }
    struct hash_key key;
    int rc = random_key(&key);
    if (rc == 0) {
        rc = backlog_init(&j->backlog, JOURNAL_BATCH_BYTES_MAX, &key, &j->cursor);
    }
    return rc == 0 ? store_open(path, j->durability, &j->store, why) : rc;
}

int journal_open(const struct journal_options *options, struct journal **journal, struct buf *why)
{
    struct journal *j = calloc(1, sizeof(*j));
    if (!j) {
        buf_add_str(why, error_sentence(ERR_NO_MEMORY));
        return ERR_NO_MEMORY;
    }
    j->durability = options->durability;
    clock_init(&j->clock, 0);
    int rc = set_up_threads(j);
    if (rc) {
        free(j);
        buf_add_str(why, error_sentence(ERR_NO_MEMORY));
        return rc;
    }
    rc = open_parts(j, options->path, why);
    if (rc) {
        if (why->len == 0) {
            buf_add_str(why, error_sentence((enum error_code)rc));
        }
        journal_free(j);
        return rc;
    }
    *journal = j;
    return 0;
}

int journal_replay(struct journal *j, int (*each)(void *ctx, const struct record *record),
                   void *ctx, struct buf *why)
{
    assert(!j->started);
    return j->store ? store_replay(j->store, each, ctx, why) : 0;
}

int journal_start(struct journal *j, void (*progress)(void *ctx), void *ctx)
{
    assert(!j->started);
    j->progress = progress;
    j->progress_ctx = ctx;
    if (!j->store) {
        return 0;
    }
    if (store_rows(j->store) < 0 && store_count(j->store) != 0) {
        return ERR_INTERNAL;
    }
    j->stats.rows = (uint64_t)store_rows(j->store);
    /* Signals are for the loop's thread. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&j->worker, NULL, work, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) {
        return ERR_INTERNAL;
    }
    pthread_setname_np(j->worker, "sluice journal");
    j->started = true;
    return 0;
}

int journal_close(struct journal *j)
{
    if (!j) {
        return 0;
    }
    if (j->started) {
        pthread_mutex_lock(&j->mutex);
        j->stop = true;
        pthread_cond_signal(&j->wake);
        pthread_mutex_unlock(&j->mutex);
        pthread_join(j->worker, NULL);
    }
    int rc = atomic_load(&j->durable) == j->batch ? 0 : ERR_STORE_FAILED;
    journal_free(j);
    return rc;
}

/* --- Operations of the loop's thread --- */

int journal_append(struct journal *j, const struct record *record)
{
    if (row_problem(record)) {
        return ERR_OVER_CAP;
    }
    if (j->store) {
        backlog_reap(&j->backlog, atomic_load(&j->done_records));
        int rc = backlog_append(&j->backlog, record);
        if (rc) {
            return rc;
        }
    }
    j->gathered++;
    j->records++;
    return 0;
}

uint64_t journal_commit(struct journal *j)
{
    if (j->gathered == 0) {
        return j->batch;
    }
    j->gathered = 0;
    j->batch++;
    if (!j->store) {
        atomic_store(&j->durable, j->batch);
        return j->batch;
    }
    uint64_t records = backlog_hand_over(&j->backlog);
    pthread_mutex_lock(&j->mutex);
    j->handed_records = records;
    j->handed_batch = j->batch;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->mutex);
    return j->batch;
}

uint64_t journal_durable(const struct journal *j)
{
    return atomic_load(&j->durable);
}

int journal_trouble(struct journal *j, struct buf *why)
{
    if (atomic_load(&j->failing)) {
        pthread_mutex_lock(&j->mutex);
        buf_add_str(why, j->words);
        pthread_mutex_unlock(&j->mutex);
        return ERR_STORE_FAILED;
    }
    return ERR_NONE;
}

void journal_prune(struct journal *j, int64_t horizon_us)
{
    if (!j->store) {
        return;
    }
    pthread_mutex_lock(&j->mutex);
    if (horizon_us > j->horizon_us) {
        j->horizon_us = horizon_us;
        j->horizon_records = j->backlog.appended;
        j->prune_due = true;
        pthread_cond_signal(&j->wake);
    }
    pthread_mutex_unlock(&j->mutex);
}

void journal_prune_ledger(struct journal *j, int64_t horizon_us)
{
    if (!j->store) {
        return;
    }
    pthread_mutex_lock(&j->mutex);
    /* What may go is known by the hour. */
    if (horizon_us / LEDGER_HOUR_US > j->ledger_horizon_us / LEDGER_HOUR_US) {
        j->ledger_horizon_us = horizon_us;
        j->prune_ledger_due = true;
        pthread_cond_signal(&j->wake);
    }
    pthread_mutex_unlock(&j->mutex);
}

int journal_counter(struct journal *j, struct record *record, bool *found)
{
    if (!j->store) {
        *found = false;
        return 0;
    }
    const struct record *newest = backlog_counter(&j->backlog, record);
    if (!newest) {
        return store_counter(j->store, record, found);
    }
    record->kind = RECORD_COUNTER;
    record->at_us = newest->at_us;
    record->expires_us = newest->expires_us;
    record->period_us = newest->period_us;
    record->used = newest->used;
    record->level = newest->level;
    record->since_us = newest->since_us;
    record->counts = newest->counts;
    *found = true;
    return 0;
}

const char *journal_path(const struct journal *j)
{
    return j->store ? store_path(j->store) : NULL;
}

void journal_stats(struct journal *j, struct journal_stats *stats)
{
    pthread_mutex_lock(&j->mutex);
    *stats = j->stats;
    j->stats.commit_us_max = 0;
    pthread_mutex_unlock(&j->mutex);
    stats->records = j->records;
    stats->file_bytes = j->store ? store_bytes(j->store) : 0;
}
