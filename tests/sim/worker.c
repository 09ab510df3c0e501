#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/num.h"

/* --- Time --- */

static int64_t machine_us;
static int64_t wall_skew_us;

void time_set(int64_t now_us, int64_t skew_us)
{
    machine_us = now_us;
    wall_skew_us = skew_us;
}

void clock_init(struct clock *c, int64_t floor_us)
{
    c->wall_us = max_i64(machine_us + wall_skew_us, floor_us);
    c->since_us = machine_us;
}

int64_t clock_now_us(const struct clock *c)
{
    return c->wall_us + (machine_us - c->since_us);
}

int64_t clock_skew_us(const struct clock *c)
{
    return machine_us + wall_skew_us - clock_now_us(c);
}

/* --- The worker --- */

enum worker_state {
    WORKER_NONE,
    WORKER_READY,   /* may go on whenever it is let to */
    WORKER_WAITING, /* for work, or until `until_us` */
    WORKER_OVER,
};

static struct {
    enum worker_state state;
    sem_t go, stopped;
    pthread_t thread;
    void *(*work)(void *arg);
    void *arg;
    int64_t until_us;   /* INT64_MAX: it is not waiting for a time */
    int64_t operations; /* that it may still begin; < 0: all */
} worker;

static _Thread_local bool is_worker;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *arg),
                          void *arg);
int __real_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *arg),
                          void *arg);
int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *cond);
int __wrap_clock_gettime(clockid_t id, struct timespec *at);

static void await(sem_t *sem)
{
    while (sem_wait(sem) != 0) {
        assert(errno == EINTR);
    }
}

/* In the worker: until it is let to go on. */
static void stop(enum worker_state state)
{
    worker.state = state;
    sem_post(&worker.stopped);
    await(&worker.go);
}

static void *work(void *arg)
{
    (void)arg;
    is_worker = true;
    await(&worker.go);
    worker.work(worker.arg);
    worker.state = WORKER_OVER;
    sem_post(&worker.stopped);
    return NULL;
}

static bool can_go_on(void)
{
    return worker.state == WORKER_READY ||
           (worker.state == WORKER_WAITING && machine_us >= worker.until_us);
}

void worker_run(int64_t operations)
{
    worker.operations = operations;
    while (can_go_on() && worker.operations != 0) {
        sem_post(&worker.go);
        await(&worker.stopped);
    }
}

void worker_at_disk(void)
{
    if (!is_worker || worker.operations < 0) {
        return;
    }
    if (worker.operations > 0) {
        worker.operations--;
    }
    if (worker.operations == 0) {
        stop(WORKER_READY);
    }
}

void worker_awaited(void)
{
    assert(!is_worker);
    worker_run(-1);
}

/* --- What the journal calls --- */

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *arg),
                          void *arg)
{
    assert(worker.state == WORKER_NONE);
    worker.state = WORKER_READY;
    worker.work = fn;
    worker.arg = arg;
    sem_init(&worker.go, 0, 0);
    sem_init(&worker.stopped, 0, 0);
    return __real_pthread_create(thread, attr, work, NULL);
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
    worker_run(-1);
    assert(worker.state == WORKER_OVER);
    worker.state = WORKER_NONE;
    int rc = __real_pthread_join(thread, result);
    sem_destroy(&worker.go);
    sem_destroy(&worker.stopped);
    return rc;
}

static int wait_until(pthread_mutex_t *mutex, int64_t until_us)
{
    assert(is_worker);
    pthread_mutex_unlock(mutex);
    worker.until_us = until_us;
    stop(WORKER_WAITING);
    pthread_mutex_lock(mutex);
    return machine_us >= until_us ? ETIMEDOUT : 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    (void)cond;
    return wait_until(mutex, INT64_MAX);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    (void)cond;
    return wait_until(mutex, until->tv_sec * US_PER_S + until->tv_nsec / 1000);
}

int __wrap_pthread_cond_signal(pthread_cond_t *cond)
{
    (void)cond;
    worker.state = worker.state == WORKER_WAITING ? WORKER_READY : worker.state;
    return 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *at)
{
    (void)id;
    at->tv_sec = machine_us / US_PER_S;
    at->tv_nsec = machine_us % US_PER_S * 1000;
    return 0;
}
