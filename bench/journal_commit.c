/*
 * How fast the journal writes: rows a second and microseconds a commit, for each durability and
 * batch size. Each batch is waited for before the next is gathered, as one caller would; the last
 * column gathers on while the worker writes, as the daemon does under load. What the disk alone
 * takes for a commit is printed beside it (disk.h).
 *
 * Usage: journal_commit [DIRECTORY]. The store is made in DIRECTORY (default: the current one), so
 * that a disk can be measured and not a file system in memory, and is removed afterwards. Rounds
 * are interleaved, and medians printed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/num.h"
#include "disk.h"
#include "journal/journal.h"

#define ROUNDS       5
#define DISK_COMMITS 400 /* in a round */

struct bench {
    char path[4096];
    struct journal *journal;
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    struct clock clock;
};

struct variant {
    enum durability durability;
    const char *name;
    unsigned batch;
    unsigned batches; /* in a round */
    double commit_us[ROUNDS];
    double rows_per_s[ROUNDS];
    double flowing_rows_per_s[ROUNDS];
    struct histogram *took;
};

static struct variant variants[] = {
    {DURABILITY_FULL, "full", 1, 400, {0}, {0}, {0}, NULL},
    {DURABILITY_FULL, "full", 50, 400, {0}, {0}, {0}, NULL},
    {DURABILITY_FULL, "full", 1000, 100, {0}, {0}, {0}, NULL},
    {DURABILITY_PROCESS, "process", 1, 4000, {0}, {0}, {0}, NULL},
    {DURABILITY_PROCESS, "process", 50, 2000, {0}, {0}, {0}, NULL},
    {DURABILITY_PROCESS, "process", 1000, 200, {0}, {0}, {0}, NULL},
};
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

static void die(const char *what, int code)
{
    fprintf(stderr, "journal_commit: %s: %s\n", what, error_sentence((enum error_code)code));
    exit(1);
}

static void on_progress(void *ctx)
{
    struct bench *b = ctx;
    pthread_mutex_lock(&b->mutex);
    pthread_cond_signal(&b->moved);
    pthread_mutex_unlock(&b->mutex);
}

static void await(struct bench *b, uint64_t batch)
{
    pthread_mutex_lock(&b->mutex);
    while (journal_durable(b->journal) < batch) {
        pthread_cond_wait(&b->moved, &b->mutex);
    }
    pthread_mutex_unlock(&b->mutex);
}

/* A grant as the daemon has them: names of usual length, no labels. */
static struct record row(uint64_t lease, int64_t now_us)
{
    return (struct record){
        .kind = lease % 2 ? RECORD_GRANT : RECORD_SETTLE,
        .at_us = now_us,
        .lease = lease,
        .expires_us = now_us + 60 * US_PER_S,
        .load = {{1, 1500, 1000, 500, 1, INT64_C(7500000000)}},
        .priority = PRIORITY_DEFAULT,
        .attempt = 1,
        .resource = TEXT("gpt-4o"),
        .tenant = TEXT("team-a"),
    };
}

/* Writes `batches` batches and returns the microseconds it took. */
static int64_t write_batches(struct bench *b, const struct variant *v, unsigned batches, bool wait)
{
    static uint64_t lease = UINT64_C(0x5a5a000000000000);
    int64_t began_us = clock_now_us(&b->clock);
    for (unsigned i = 0; i < batches; i++) {
        int64_t batch_began_ns = histogram_now_ns();
        for (unsigned k = 0; k < v->batch; k++) {
            struct record record = row(lease++, began_us);
            int rc;
            while ((rc = journal_append(b->journal, &record)) == ERR_OVER_CAP) {
                await(b, journal_commit(b->journal));
            }
            if (rc) {
                die("append", rc);
            }
        }
        uint64_t batch = journal_commit(b->journal);
        if (wait) {
            await(b, batch);
            histogram_add(v->took, histogram_now_ns() - batch_began_ns);
        }
    }
    await(b, journal_commit(b->journal));
    return clock_now_us(&b->clock) - began_us;
}

static void run_round(struct bench *b, struct variant *v, unsigned round)
{
    struct journal_options options = {.path = b->path, .durability = v->durability};
    struct buf why;
    buf_init(&why, 4096);
    int rc = journal_open(&options, &b->journal, &why);
    if (rc) {
        die(why.at, rc);
    }
    rc = journal_start(b->journal, on_progress, b);
    if (rc) {
        die("start", rc);
    }
    write_batches(b, v, v->batches / 10, true);
    double took_us = (double)write_batches(b, v, v->batches, true);
    v->commit_us[round] = took_us / v->batches;
    v->rows_per_s[round] = 1e6 * v->batches * v->batch / took_us;
    took_us = (double)write_batches(b, v, v->batches, false);
    v->flowing_rows_per_s[round] = 1e6 * v->batches * v->batch / took_us;
    journal_close(b->journal);
    buf_release(&why);
    unlink(b->path);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *of)
{
    qsort(of, ROUNDS, sizeof(of[0]), ascending);
    return of[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    static struct histogram disk;
    static struct histogram took[VARIANTS];
    struct bench b = {.journal = NULL};
    const char *dir = argc > 1 ? argv[1] : ".";
    snprintf(b.path, sizeof(b.path), "%s/journal_commit.%ld.db", dir, (long)getpid());
    pthread_mutex_init(&b.mutex, NULL);
    pthread_cond_init(&b.moved, NULL);
    clock_init(&b.clock, 0);
    for (size_t i = 0; i < VARIANTS; i++) {
        variants[i].took = &took[i];
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (!disk_measure(b.path, DISK_COMMITS, &disk)) {
            die(b.path, ERR_STORE_FAILED);
        }
        for (size_t i = 0; i < VARIANTS; i++) {
            run_round(&b, &variants[i], round);
        }
    }
    printf("durability  rows/commit  us/commit  p50 us  p99 us     rows/s  rows/s, not waiting\n");
    printf("disk alone                          %6lld  %6lld\n",
           (long long)histogram_us(&disk, 0.5), (long long)histogram_us(&disk, 0.99));
    for (size_t i = 0; i < VARIANTS; i++) {
        struct variant *v = &variants[i];
        printf("%-10s  %11u  %9.1f  %6lld  %6lld  %9.0f  %19.0f\n", v->name, v->batch,
               median(v->commit_us), (long long)histogram_us(v->took, 0.5),
               (long long)histogram_us(v->took, 0.99), median(v->rows_per_s),
               median(v->flowing_rows_per_s));
    }
    char lock[4200];
    snprintf(lock, sizeof(lock), "%s.lock", b.path);
    unlink(lock);
    return 0;
}
