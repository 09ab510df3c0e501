#include "fixture.h"

#include <dirent.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    const char *base = getenv("TMPDIR");
    snprintf(f->dir, sizeof(f->dir), "%s/journal-XXXXXX",
             base && strlen(base) < 40 ? base : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/store.db", f->dir);
    buf_init(&f->why, 4096);
    buf_init(&f->texts, 16u << 20);
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->moved, NULL);
    *state = f;
    return 0;
}

void fixture_remove_files(struct fixture *f)
{
    DIR *dir = opendir(f->dir);
    assert_non_null(dir);
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    closedir(dir);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    fixture_remove_files(f);
    rmdir(f->dir);
    buf_release(&f->why);
    buf_release(&f->texts);
    pthread_mutex_destroy(&f->mutex);
    pthread_cond_destroy(&f->moved);
    free(f);
    return 0;
}

static void on_progress(void *ctx)
{
    struct fixture *f = ctx;
    pthread_mutex_lock(&f->mutex);
    f->progress++;
    pthread_cond_signal(&f->moved);
    pthread_mutex_unlock(&f->mutex);
}

unsigned fixture_progress(struct fixture *f)
{
    pthread_mutex_lock(&f->mutex);
    unsigned progress = f->progress;
    pthread_mutex_unlock(&f->mutex);
    return progress;
}

void fixture_await(struct fixture *f, unsigned since)
{
    pthread_mutex_lock(&f->mutex);
    while (f->progress == since) {
        pthread_cond_wait(&f->moved, &f->mutex);
    }
    pthread_mutex_unlock(&f->mutex);
}

int fixture_try_open(struct fixture *f, enum durability durability)
{
    struct journal_options options = {.path = f->path, .durability = durability};
    buf_clear(&f->why);
    return journal_open(&options, &f->journal, &f->why);
}

void fixture_open(struct fixture *f, enum durability durability)
{
    if (fixture_try_open(f, durability) != 0) {
        fail_msg("cannot open: %s", f->why.at);
    }
}

void fixture_start(struct fixture *f, enum durability durability)
{
    fixture_open(f, durability);
    assert_int_equal(journal_start(f->journal, on_progress, f), 0);
}

int fixture_close(struct fixture *f)
{
    int rc = journal_close(f->journal);
    f->journal = NULL;
    return rc;
}

void fixture_commit(struct fixture *f)
{
    uint64_t batch = journal_commit(f->journal);
    for (;;) {
        unsigned since = fixture_progress(f);
        if (journal_durable(f->journal) >= batch) {
            return;
        }
        fixture_await(f, since);
    }
}

static void keep_text(struct fixture *f, struct text *t)
{
    size_t at = f->texts.len;
    buf_add_text(&f->texts, *t);
    assert_false(f->texts.failed);
    t->at = f->texts.at ? f->texts.at + at : NULL;
}

static int see(void *ctx, const struct record *record)
{
    struct fixture *f = ctx;
    assert_true(f->seen_n < SEEN_MAX);
    struct record *seen = &f->seen[f->seen_n++];
    *seen = *record;
    keep_text(f, &seen->resource);
    keep_text(f, &seen->route);
    keep_text(f, &seen->tenant);
    keep_text(f, &seen->session);
    keep_text(f, &seen->labels);
    keep_text(f, &seen->id);
    keep_text(f, &seen->limit);
    keep_text(f, &seen->scope_key);
    return 0;
}

void fixture_replay(struct fixture *f)
{
    f->seen_n = 0;
    buf_clear(&f->texts);
    /* Room for all at once, so that the texts of records seen earlier do not move. */
    assert_non_null(buf_reserve(&f->texts, (16u << 20) - 1));
    int rc = journal_replay(f->journal, see, f, &f->why);
    if (rc) {
        fail_msg("cannot replay: %s", f->why.at);
    }
}

void fixture_reopen_and_replay(struct fixture *f)
{
    assert_int_equal(fixture_close(f), 0);
    fixture_open(f, DURABILITY_PROCESS);
    fixture_replay(f);
}

static int first_number(void *ctx, int n, char **values, char **names)
{
    (void)names;
    *(int64_t *)ctx = n > 0 && values[0] ? strtoll(values[0], NULL, 10) : 0;
    return 0;
}

int64_t fixture_sql(struct fixture *f, const char *sql)
{
    sqlite3 *db;
    char *error = NULL;
    int64_t number = 0;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, sql, first_number, &number, &error) != SQLITE_OK) {
        fail_msg("%s: %s", sql, error);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return number;
}

struct record sample_grant(uint64_t lease, int64_t at_us)
{
    return (struct record){
        .kind = RECORD_GRANT,
        .at_us = at_us,
        .lease = lease,
        .parent = 7,
        .expires_us = at_us + 60000000,
        .load = {{1, 1500, 1000, 500, 1, 12345678901}},
        .priority = 3,
        .attempt = 2,
        .skew_us = -77,
        .waited_us = 1234,
        .resource = TEXT("gpt-4o"),
        .route = TEXT("chat"),
        .step = 2,
        .tenant = TEXT("team-a"),
        .session = TEXT("session-1"),
        .labels = TEXT("app=chat\nenv=prod"),
        .id = TEXT("req-1"),
    };
}

struct record sample_end(enum record_kind kind, uint64_t lease, int64_t at_us)
{
    struct record r = sample_grant(lease, at_us);
    r.kind = kind;
    r.load = (struct load){{1, 900, 600, 300, 1, 999}};
    return r;
}

struct record sample_counter(const char *limit, const char *scope_key, int64_t used)
{
    return (struct record){
        .kind = RECORD_COUNTER,
        .at_us = 5000000,
        .expires_us = 9000000,
        .resource = TEXT("gpt-4o"),
        .limit = text_of(limit),
        .scope_key = text_of(scope_key),
        .counts = TEXT("usd calendar day tenant"),
        .period_us = 4000000,
        .used = used,
        .level = -3,
        .since_us = 2000000,
    };
}

static void assert_same_text(struct text a, struct text b)
{
    assert_int_equal(a.len, b.len);
    if (a.len) {
        assert_memory_equal(a.at, b.at, a.len);
    }
}

void assert_same_record(const struct record *a, const struct record *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->at_us, b->at_us);
    assert_int_equal(a->lease, b->lease);
    assert_int_equal(a->parent, b->parent);
    assert_int_equal(a->expires_us, b->expires_us);
    assert_memory_equal(&a->load, &b->load, sizeof(a->load));
    assert_int_equal(a->priority, b->priority);
    assert_int_equal(a->attempt, b->attempt);
    assert_int_equal(a->waited_us, b->waited_us);
    assert_int_equal(a->skew_us, b->skew_us);
    assert_int_equal(a->late, b->late);
    assert_int_equal(a->advice, b->advice);
    assert_int_equal(a->again_us, b->again_us);
    assert_same_text(a->resource, b->resource);
    assert_same_text(a->route, b->route);
    assert_int_equal(a->step, b->step);
    assert_same_text(a->tenant, b->tenant);
    assert_same_text(a->session, b->session);
    assert_same_text(a->labels, b->labels);
    assert_same_text(a->id, b->id);
    assert_same_text(a->limit, b->limit);
    assert_same_text(a->scope_key, b->scope_key);
    assert_int_equal(a->period_us, b->period_us);
    assert_int_equal(a->used, b->used);
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->since_us, b->since_us);
}
