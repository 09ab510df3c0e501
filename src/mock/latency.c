#include "mock/latency.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/num.h"
#include "config/config.h"
#include "mock/chance.h"

#define LATENCY_ARGS_MAX 3
#define SIGMA_MAX        5.0
#define NUMBER_LEN_MAX   31

struct latency_args {
    struct text at[LATENCY_ARGS_MAX];
    size_t n;
};

/* Splits "name:a,b,c" into its name and arguments; false where there are too many. */
static bool split(struct text spec, struct text *name, struct latency_args *args)
{
    const char *colon = memchr(spec.at, ':', spec.len);
    *name = (struct text){spec.at, colon ? (size_t)(colon - spec.at) : spec.len};
    args->n = 0;
    const char *end = spec.at + spec.len;
    for (const char *at = colon ? colon + 1 : NULL; at;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        if (args->n == LATENCY_ARGS_MAX) {
            return false;
        }
        args->at[args->n++] = (struct text){at, (size_t)((comma ? comma : end) - at)};
        at = comma ? comma + 1 : NULL;
    }
    return true;
}

static bool read_sigma(struct text t, double *sigma)
{
    char number[NUMBER_LEN_MAX + 1];
    if (t.len == 0 || t.len > NUMBER_LEN_MAX) {
        return false;
    }
    memcpy(number, t.at, t.len);
    number[t.len] = '\0';
    char *end = NULL;
    *sigma = strtod(number, &end);
    return *end == '\0' && *sigma >= 0 && *sigma <= SIGMA_MAX;
}

static bool read_delay(struct text t, int64_t *us)
{
    return config_read_duration(t, us) && *us >= 0 && *us <= LATENCY_US_MAX;
}

/* The optional last argument. */
static bool read_per_token(const struct latency_args *args, size_t at, struct latency *l)
{
    return args->n == at || (args->n == at + 1 && read_delay(args->at[at], &l->per_token_us));
}

static bool read_args(struct text name, const struct latency_args *args, struct latency *l)
{
    if (text_equal(name, TEXT("none"))) {
        return args->n == 0;
    }
    if (text_equal(name, TEXT("constant"))) {
        l->kind = LATENCY_CONSTANT;
        return args->n >= 1 && read_delay(args->at[0], &l->low_us) && read_per_token(args, 1, l);
    }
    if (args->n < 2 || !read_delay(args->at[0], &l->low_us) || !read_per_token(args, 2, l)) {
        return false;
    }
    if (text_equal(name, TEXT("uniform"))) {
        l->kind = LATENCY_UNIFORM;
        return read_delay(args->at[1], &l->high_us) && l->low_us <= l->high_us;
    }
    l->kind = LATENCY_LOGNORMAL;
    return text_equal(name, TEXT("lognormal")) && read_sigma(args->at[1], &l->sigma);
}

int latency_parse(struct text spec, struct latency *latency, struct buf *why)
{
    struct text name;
    struct latency_args args;
    struct latency l = {0};
    if (spec.len == 0 || !split(spec, &name, &args) || !read_args(name, &args, &l)) {
        buf_addf(why,
                 "\"%.*s\" is no latency: write none, constant:D, uniform:LOW,HIGH or "
                 "lognormal:MEDIAN,SIGMA, and behind it ,PER_TOKEN if wanted",
                 (int)min_i64((int64_t)spec.len, 200), spec.at ? spec.at : "");
        return ERR_INVALID_REQUEST;
    }
    *latency = l;
    return 0;
}

int64_t latency_draw_us(const struct latency *latency, uint64_t seed, uint64_t number,
                        uint64_t purpose)
{
    switch (latency->kind) {
    case LATENCY_CONSTANT: return latency->low_us;
    case LATENCY_UNIFORM:
        return chance_between(seed, number, purpose, latency->low_us, latency->high_us);
    case LATENCY_LOGNORMAL: break;
    }
    double factor = exp(latency->sigma * chance_normal(seed, number, purpose));
    double us = (double)latency->low_us * factor;
    return us < (double)LATENCY_US_MAX ? (int64_t)us : LATENCY_US_MAX;
}
