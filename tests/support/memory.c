#include "memory.h"

#include <stdatomic.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *at, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *at, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

static atomic_int fail_at; /* 0: none */
static atomic_int counted;
static atomic_bool paused;

void memory_fail(int nth)
{
    atomic_store(&counted, 0);
    atomic_store(&fail_at, nth);
    atomic_store(&paused, false);
}

void memory_pause(void)
{
    atomic_store(&paused, true);
}

void memory_resume(void)
{
    atomic_store(&paused, false);
}

bool memory_failed(void)
{
    return atomic_load(&fail_at) > 0 && atomic_load(&counted) >= atomic_load(&fail_at);
}

int memory_counted(void)
{
    return atomic_load(&counted);
}

bool memory_refuses(void)
{
    return !atomic_load(&paused) && atomic_fetch_add(&counted, 1) + 1 == atomic_load(&fail_at);
}

void *__wrap_malloc(size_t size)
{
    return memory_refuses() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return memory_refuses() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *at, size_t size)
{
    return memory_refuses() ? NULL : __real_realloc(at, size);
}

char *__wrap_strdup(const char *s)
{
    return memory_refuses() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
    return memory_refuses() ? NULL : __real_strndup(s, n);
}
