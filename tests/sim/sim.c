/*
 * The simulator: production code in a random world, judged by the oracle after every step.
 *
 *     sim [--driver] [--storm] --seed N [--seeds COUNT] [--steps N] [--file SEEDS] [--brief]
 * [--verbose]
 *
 * A seed decides everything; more steps than one world lasts go on with the seeds after it. What
 * happens is first made up by the world (world.h), then played on a stage (stage.h): the core
 * alone, or with --driver the core with the API, the driver and the journal on a disk in memory.
 *
 * With --storm the calls go to a provider with hidden limits and troubles of its own (provider.h),
 * what it answers is passed on, and money is counted.
 *
 * When something is objected to, the run is repeated with happenings left out while it still is,
 * and what remains is printed as a case for tests/core/cases, with the seed and the step (--brief:
 * the seed and the step alone).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

#define SEED_STEPS_MAX  5000
#define SHRINK_RUNS_MAX 400
#define PROBLEM_MAX     4096
#define AGAIN_EVERY     16 /* so many seeds; one of them is run twice, and must say the same (P10) */

struct story {
    struct happening *at;
    size_t len;
};

struct options {
    const struct stage_kind *kind;
    uint64_t steps; /* of each seed */
    bool brief, verbose, stormy;
};

/* What a seed is played on. */
struct play {
    const struct stage_kind *kind;
    uint64_t seed;
    struct world *world;
};

/* Tells a story to a new stage. The objection's text goes to `why`; false where there is none. */
static bool retell(const struct play *play, const struct story *story, const bool *kept, bool print,
                   struct buf *why, uint64_t *digest)
{
    world_begin_again(play->world);
    struct stage *stage = play->kind->open(play->world, play->seed, print);
    for (size_t i = 0; i < story->len && !stage->problem.len; i++) {
        if (!kept || kept[i]) {
            play->kind->happen(stage, &story->at[i]);
        }
    }
    buf_clear(why);
    buf_add_text(why, buf_text(&stage->problem));
    bool failed = stage->problem.len > 0;
    *digest = stage->digest;
    play->kind->close(stage);
    return failed;
}

/* Whether two objections are of one kind: the same words up to the first number. */
static bool same_kind(const struct buf *a, const char *b)
{
    const char *x = a->len ? strchr(a->at, ' ') : NULL, *y = strchr(b, ' ');
    x = x ? strchr(x + 1, ' ') : NULL;
    y = y ? strchr(y + 1, ' ') : NULL;
    return x && y && strncmp(x, y, 20) == 0;
}

/* Leaves out as many happenings as it can. */
static void shrink(const struct play *play, const struct story *story, bool *kept,
                   const char *problem)
{
    struct buf why;
    uint64_t digest;
    buf_init(&why, PROBLEM_MAX);
    size_t runs = 0;
    bool *before = malloc(story->len + 1);
    for (size_t chunk = story->len / 2; chunk > 0; chunk /= 2) {
        for (size_t first = 1; first < story->len && runs < SHRINK_RUNS_MAX; first += chunk) {
            size_t n = first + chunk > story->len ? story->len - first : chunk, some = 0;
            memcpy(before, kept + first, n);
            for (size_t i = 0; i < n; i++) {
                some += kept[first + i];
                kept[first + i] = false;
            }
            if (some == 0) {
                continue;
            }
            runs++;
            if (!retell(play, story, kept, false, &why, &digest) || !same_kind(&why, problem)) {
                memcpy(kept + first, before, n);
            }
        }
    }
    free(before);
    buf_release(&why);
}

static void report(const struct play *play, const struct story *story, const char *problem,
                   uint64_t steps, bool brief)
{
    struct buf why;
    uint64_t digest;
    printf("seed %llu, step %llu: %s", (unsigned long long)play->seed, (unsigned long long)steps,
           problem);
    fflush(stdout);
    if (brief) {
        return;
    }
    buf_init(&why, PROBLEM_MAX);
    bool *kept = malloc(story->len + 1);
    memset(kept, true, story->len + 1);
    shrink(play, story, kept, problem);
    printf("case seed %llu\n", (unsigned long long)play->seed);
    retell(play, story, kept, true, &why, &digest);
    printf("# %s\n", why.len ? why.at : "not reproduced\n");
    free(kept);
    buf_release(&why);
}

struct totals {
    uint64_t steps;
    struct oracle_counts counts;
};

static void add_up(struct totals *totals, const struct stage *stage)
{
    struct oracle_counts c = oracle_counts(stage->oracle);
    totals->steps += stage->steps;
    totals->counts.grants += c.grants;
    totals->counts.passes += c.passes;
    totals->counts.refusals += c.refusals;
    totals->counts.ordered += c.ordered;
}

/* P10: the same story again is answered the same, byte for byte. */
static bool same_again(const struct play *play, const struct story *story, uint64_t digest)
{
    struct buf why;
    uint64_t again;
    buf_init(&why, PROBLEM_MAX);
    bool failed = retell(play, story, NULL, false, &why, &again);
    buf_release(&why);
    if (!failed && again == digest) {
        return true;
    }
    printf("seed %llu: P10: the same story again is answered otherwise\n",
           (unsigned long long)play->seed);
    return false;
}

/* One seed. False where something was objected to. */
static bool run_seed(const struct options *options, uint64_t seed, uint64_t steps,
                     struct totals *totals)
{
    const struct stage_kind *kind = options->kind;
    struct world w;
    struct play play = {kind, seed, &w};
    world_init(&w, seed, kind->through_api, options->stormy);
    struct stage *stage = kind->open(&w, seed, options->verbose);
    struct story story = {calloc(steps + 1, sizeof(*story.at)), 0};
    while (stage->steps < steps && story.len < steps && !stage->problem.len) {
        world_next(&w, &story.at[story.len]);
        kind->happen(stage, &story.at[story.len++]);
    }
    add_up(totals, stage);
    bool failed = stage->problem.len > 0;
    char *problem = strdup(failed ? stage->problem.at : "");
    uint64_t at_step = stage->steps, digest = stage->digest;
    kind->close(stage);
    if (failed) {
        report(&play, &story, problem, at_step, options->brief);
    } else if (kind->through_api && seed % AGAIN_EVERY == 0) {
        failed = !same_again(&play, &story, digest);
    }
    free(problem);
    free(story.at);
    world_release(&w);
    return !failed;
}

static size_t run_file(const struct options *options, const char *path, struct totals *totals)
{
    FILE *f = fopen(path, "r");
    char line[200];
    size_t failed = 0;
    if (!f) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return 1;
    }
    while (fgets(line, sizeof(line), f)) {
        unsigned long long seed, n = options->steps;
        if (sscanf(line, "%llu %llu", &seed, &n) >= 1) {
            failed += !run_seed(options, seed, n, totals);
        }
    }
    fclose(f);
    return failed;
}

/* Takes the words of the command line; false where one is not known. */
static bool read_options(int argc, char **argv, struct options *o, uint64_t *seed, uint64_t *seeds,
                         const char **file)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--verbose") == 0) {
            o->verbose = true;
        } else if (strcmp(argv[i], "--brief") == 0) {
            o->brief = true;
        } else if (strcmp(argv[i], "--driver") == 0) {
            o->kind = &driver_stage;
        } else if (strcmp(argv[i], "--storm") == 0) {
            o->stormy = true;
        } else if (strcmp(argv[i], "--seed") == 0) {
            *seed = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            *seeds = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--steps") == 0) {
            o->steps = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--file") == 0) {
            *file = value;
            i++;
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options o = {.kind = &core_stage, .steps = 2500};
    struct totals totals = {0};
    uint64_t seed = 1, seeds = 1;
    const char *file = NULL;
    if (!read_options(argc, argv, &o, &seed, &seeds, &file)) {
        fprintf(
            stderr,
            "usage: sim [--driver] [--storm] --seed N [--seeds COUNT] [--steps N] [--file SEEDS] "
            "[--brief] [--verbose]\n");
        return 2;
    }
    size_t failed = file ? run_file(&o, file, &totals) : 0;
    uint64_t wanted = o.steps > SEED_STEPS_MAX ? o.steps : 0; /* more than one world lasts */
    uint64_t steps = wanted ? SEED_STEPS_MAX : o.steps;
    for (uint64_t i = 0; wanted ? totals.steps < wanted : i < seeds; i++) {
        failed += !run_seed(&o, seed + i, steps, &totals);
    }
    printf("%llu steps, %llu grants (%llu with no doubt whose turn it was, %llu past a stalled "
           "head), %llu refusals; %zu seeds failed\n",
           (unsigned long long)totals.steps, (unsigned long long)totals.counts.grants,
           (unsigned long long)totals.counts.ordered, (unsigned long long)totals.counts.passes,
           (unsigned long long)totals.counts.refusals, failed);
    return failed != 0;
}
