/*
 * What the core does when memory is refused.
 *
 * One script of events, with everything in it that allocates, is run again and again; each time
 * another allocation fails. A step then says that there is no memory and has judged nothing, or it
 * does all the same; the structures hold, the same event sent again is judged as ever, and
 * everybody is told in the end what he is told in a run without trouble. What the core itself tries
 * again a moment later (a grant, a ticket, an ageing) may come late, so a round goes on for some
 * seconds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "core/view.h"
#include "record_log.h"
#include "support/memory.h"
#include "table.h"

#define ROUND_US   (10 * US_PER_S)
#define WATCHED_US (9 * US_PER_S) /* of a round, by its own deadlines */
#define CALLERS    80
#define ROUNDS_MAX 120
#define SAID_MAX   64
#define MISSED_MAX 8

/* --- The script. A lease or a ticket is named by the caller who was told it. --- */

static const char *const POLICY_BEFORE[] = {
    "weight a 2",
    "resource m ageing=16s",
    "limit rpm requests rolling amount=8 per=47s guard=250ms",
    "limit tpm tokens rolling amount=1000 per=47s",
    "limit slots slots none amount=3",
    "limit mine requests rolling amount=6 per=33s scope=tenant",
    "limit budget usd lifetime amount=1000 scope=session charge=settle exceed=refuse warn=500000",
    "reserve tenant=b share=300000",
    "resource n line=3",
    "limit hour tokens calendar amount=5000 step=hour",
    "limit org tokens bucket amount=600 per=53s burst=600 shared=org",
    "limit paced requests rolling amount=20 per=47s slice=5s",
    "limit job slots none amount=1 scope=label:job",
    "resource o",
    "feedback refusals=2",
    "limit org tokens bucket amount=600 per=53s burst=600 shared=org",
    "resource r/a account=a cooldown=20s",
    "limit slots slots none amount=1",
    "limit user tokens lifetime amount=9000 scope=session exceed=downgrade",
    "feedback refusals=1 ramp=0",
    "resource r/b account=b cooldown=20s",
    "limit slots slots none amount=1",
    "limit chat requests rolling amount=6 per=300s scope=route:r",
    "feedback",
    "route r accounts sticky",
    "step r/a",
    "step r/b",
    "route chat",
    "step r/a max_output=9",
    "step r/b",
    NULL,
};

static const char *const POLICY_AFTER[] = {
    "resource m ageing=16s",
    "limit rpm requests rolling amount=9 per=47s guard=250ms",
    "limit tpm tokens rolling amount=900 per=57s",
    "limit slots slots none amount=4",
    "limit mine requests rolling amount=6 per=33s scope=tenant",
    "limit day usd calendar amount=100000 step=day",
    "limit budget usd lifetime amount=1000 scope=session charge=settle exceed=refuse warn=500000",
    "reserve prio=2 share=300000",
    "resource o",
    "limit org tokens bucket amount=900 per=53s burst=600 shared=org",
    "limit user tokens rolling amount=500 per=47s scope=session",
    "resource r/b account=b",
    "limit slots slots none amount=1",
    "limit chat requests rolling amount=6 per=300s scope=route:chat",
    "feedback",
    "route chat",
    "step r/b",
    NULL,
};

static const char *const SCRIPT[] = {
    "acquire m tokens=100 usd=300 tenant=a session=s1 id=x lease=207s caller=1",
    "acquire m tokens=100 usd=300 tenant=b session=s1 lease=207s caller=2",
    "acquire m tokens=100 tenant=c session=s2 lease=57s caller=3",
    "acquire m tokens=100 usd=900 tenant=a session=s1 caller=4",
    "acquire m tokens=50 tenant=a wait=237s hold=3s lease=57s caller=5",
    "resume T5 hold=203s caller=8",
    "acquire m tokens=50 tenant=b wait=237s lease=57s prio=7 caller=6",
    "acquire m tokens=50 tenant=a id=y wait=237s lease=57s prio=3 caller=7",
    "acquire m tokens=60 tenant=a id=x caller=9",
    "acquire m tokens=50 tenant=a id=y wait=237s lease=57s prio=3 caller=10",
    "release L1 tokens=80 usd=200",
    "acquire m tokens=0 requests=0 tenant=d lease=57s wait=0 caller=11",
    "renew L2 lease=137s caller=12",
    "acquire m tokens=900 tenant=d wait=157s lease=37s caller=13",
    "acquire m tokens=10 tenant=e wait=157s lease=37s prio=1 caller=14",
    "acquire m tokens=10 tenant=e wait=6s caller=15",
    "hangup caller=6",
    "acquire n tokens=300 tenant=a label=job:j1 lease=107s caller=20",
    "acquire n tokens=200 tenant=a label=job:j1 wait=207s lease=37s caller=21",
    "acquire n tokens=200 tenant=b label=job:j2 wait=207s lease=37s caller=22",
    "acquire o tokens=600 tenant=b wait=207s lease=37s caller=23",
    "acquire n tokens=500 tenant=b label=job:j3 wait=207s lease=37s caller=24",
    "acquire o tokens=100 tenant=c wait=207s lease=37s prio=2 caller=25",
    "acquire n tokens=10 tenant=b label=job:j2 hold=3s wait=107s lease=37s caller=26",
    "cancel T26 caller=30",
    "acquire n tokens=10 tenant=b label=job:j2 wait=107s lease=37s caller=27",
    "acquire n tokens=10 tenant=b label=job:j2 wait=107s lease=37s caller=28",
    "acquire n tokens=10 tenant=b label=job:j2 wait=0 caller=29",
    "release L20",
    "clock 1h",
    "acquire o tokens=50 parent=L23 wait=57s lease=37s caller=31",
    "acquire m tokens=10 tenant=f session=s3 usd=10 lease=107s caller=32",
    "acquire m tokens=10 tenant=g session=s3 usd=10 lease=107s caller=33",
    "acquire m tokens=10 tenant=h session=s3 usd=10 parent=L32 wait=107s lease=37s caller=34",
    "acquire m tokens=10 tenant=i session=s4 usd=10 parent=L33 wait=107s lease=37s caller=35",
    "acquire m tokens=10 tenant=j session=s5 id=z wait=107s lease=37s caller=36",
    "acquire m tokens=10 tenant=j session=s5 hold=3s wait=207s lease=37s caller=37",
    "cancel id=z caller=38",
    "configure after",
    "acquire n tokens=10 caller=39",
    "acquire o tokens=300 session=s1 wait=107s lease=37s caller=40",
    "acquire o tokens=300 session=s1 wait=107s lease=37s caller=41",
    "acquire o tokens=300 session=s2 wait=107s lease=37s caller=42",
    "release L32 tokens=20 usd=30",
    "release L33 tokens=5000 usd=2000",
    "acquire m tokens=10 session=s3 usd=10 caller=43",
    "restart",
    "acquire m tokens=10 session=s1 usd=790 tenant=a caller=44",
    "acquire m tokens=10 session=s1 usd=100 tenant=a lease=57s wait=207s caller=45",
    "acquire m tokens=10 tenant=k lease=57s wait=207s prio=2 caller=46",
    "acquire m tokens=10 tenant=k lease=57s wait=207s prio=9 caller=47",
    "acquire m tokens=10 tenant=l lease=57s wait=207s caller=48",
    "acquire m tokens=10 tenant=l lease=57s wait=207s caller=49",
    "release L2",
    "configure before",
    "acquire n tokens=700 caller=50",
    "acquire n tokens=600 lease=37s wait=207s caller=51",
    "acquire n tokens=100 lease=37s hold=3s wait=207s caller=52",
    "cancel L51 caller=53",
    "acquire o tokens=10 lease=37s wait=107s caller=54",
    "release L54 class=wait retry=5s",
    "acquire r tokens=10 session=s9 lease=607s caller=55",
    "acquire route=chat input=5 output=10 session=s8 id=w lease=607s caller=56",
    "acquire route=chat input=5 output=10 session=s8 lease=207s wait=407s caller=57",
    "acquire route=chat input=5 output=10 session=s7 lease=57s wait=407s hold=3s caller=58",
    "release L55 class=wait retry=20s",
    "resume T58 caller=59",
    "release L56",
    "release L57 class=day_over",
    "acquire r tokens=10 session=s9 lease=607s wait=407s caller=60",
    "acquire r tokens=10 session=s6 lease=607s wait=407s caller=61",
    "acquire route=chat input=5 output=10 session=s6 wait=0 caller=62",
    "configure after",
    "acquire route=chat input=5 output=10 session=s5 lease=37s wait=107s caller=63",
    "restart",
    "acquire route=chat input=5 output=10 session=s5 id=v lease=37s wait=107s caller=64",
    "configure before",
    "tick",
    "tick",
    "tick",
    "drain",
    "tick",
    NULL,
};

#define SCRIPT_N (sizeof(SCRIPT) / sizeof(SCRIPT[0]) - 1)

/* --- A run of it. --- */

struct run {
    struct core *core;
    struct effects effects;
    struct record_log log;
    struct table_names *names;
    struct table_policy *before;
    struct table_policy *after;
    const struct table_policy *current;
    int64_t now_us;
    char said[ROUNDS_MAX][SAID_MAX][96];
    size_t said_n[ROUNDS_MAX];
    size_t round;
    size_t failures; /* steps that said there was no memory */
};

static struct table_policy *read_policy(const char *const *lines)
{
    struct table_policy *p = malloc(sizeof(*p));
    assert_non_null(p);
    table_policy_init(p);
    for (size_t i = 0; lines[i]; i++) {
        struct table_line line;
        assert_true(table_split(&line, lines[i], strlen(lines[i])));
        assert_null(table_policy_add(p, &line));
    }
    struct policy_error why;
    assert_int_equal(policy_check(&p->policy, &why), 0);
    return p;
}

static char *next_line(struct run *run)
{
    assert_true(run->said_n[run->round] < SAID_MAX);
    return run->said[run->round][run->said_n[run->round]++];
}

/* What was told to whom, without times, which may differ. */
static void note(struct run *run, const struct effect *e)
{
    static const char *const KINDS[] = {"persist", "grant",   "wait",      "refuse",
                                        "settled", "renewed", "cancelled", "expired",
                                        "health",  "budget",  "alert"};
    if (e->kind == EFFECT_PERSIST) {
        record_log_add(&run->log, &e->record);
        return;
    }
    if (e->kind == EFFECT_GRANT && !e->grant.repeated) {
        assert_in_range(e->caller, 1, CALLERS);
        run->names->leases.ids[e->caller - 1] = e->grant.lease;
    } else if (e->kind == EFFECT_WAIT) {
        assert_in_range(e->caller, 1, CALLERS);
        run->names->tickets.ids[e->caller - 1] = e->wait.ticket;
    }
    const char *code = e->kind == EFFECT_REFUSE ? error_name(e->refuse.code) : "";
    const char *limit = e->kind == EFFECT_ALERT    ? e->alert.limit
                        : e->kind == EFFECT_REFUSE ? e->refuse.limit
                                                   : NULL;
    bool more = e->kind == EFFECT_GRANT     ? e->grant.repeated
                : e->kind == EFFECT_SETTLED ? e->settled.late
                                            : false;
    snprintf(next_line(run), sizeof(run->said[0][0]), "%s %llu %s %s %d", KINDS[e->kind],
             (unsigned long long)e->caller, code, limit ? limit : "", more);
}

/* One event, sent until there is memory for it. */
static void step(struct run *run, const struct event *e)
{
    for (int tries = 0;; tries++) {
        memory_resume();
        int rc = core_step(run->core, e, &run->effects);
        memory_pause();
        core_check(run->core);
        for (size_t i = 0; i < run->effects.len; i++) {
            note(run, &run->effects.at[i]);
        }
        if (rc == 0) {
            return;
        }
        assert_int_equal(rc, ERR_NO_MEMORY);
        assert_int_equal(tries, 0);
        run->failures++;
    }
}

/* Calls something of the core again where it had no memory. */
#define WITH_MEMORY(run, call)                                                                     \
    do {                                                                                           \
        memory_resume();                                                                           \
        int rc = (call);                                                                           \
        memory_pause();                                                                            \
        if (rc != 0) {                                                                             \
            assert_int_equal(rc, ERR_NO_MEMORY);                                                   \
            (run)->failures++;                                                                     \
            assert_int_equal(call, 0);                                                             \
        }                                                                                          \
    } while (0)

static void open_core(struct run *run)
{
    struct core_options options = {.seed = {5, 6}, .spill = true};
    WITH_MEMORY(run, core_new(&options, &run->core));
}

static void configure(struct run *run, const struct table_policy *p)
{
    run->current = p;
    struct event e = {.kind = EVENT_CONFIGURE, .now_us = run->now_us, .policy = &p->policy};
    step(run, &e);
}

static void give_missing(struct run *run, const struct acquire *acquire)
{
    struct record keys[MISSED_MAX];
    size_t n;
    do {
        n = core_missing(run->core, acquire, keys, MISSED_MAX);
        for (size_t i = 0; i < n; i++) {
            record_log_look_up(&run->log, &keys[i]);
            WITH_MEMORY(run, core_recall(run->core, &keys[i]));
            core_check(run->core);
        }
    } while (n > 0 && !acquire);
}

static void restart(struct run *run)
{
    core_free(run->core);
    open_core(run);
    configure(run, run->current);
    for (int values = 1; values >= 0; values--) {
        for (size_t i = 0; i < run->log.len; i++) {
            const struct record *r = &run->log.at[i];
            bool skipped;
            if (record_is_value(r->kind) == (values == 1) &&
                !(values && record_log_replaced(&run->log, i))) {
                WITH_MEMORY(run, core_restore(run->core, r, &skipped));
                core_check(run->core);
            }
        }
    }
    give_missing(run, NULL);
}

static void send(struct run *run, const char *words)
{
    char text[TABLE_LINE_MAX];
    struct table_line line;
    struct table_event e;
    snprintf(text, sizeof(text), "at %lld %s", (long long)run->now_us, words);
    assert_true(table_split(&line, text, strlen(text)));
    assert_null(table_event_read(&e, &line, run->names));
    if (e.event.kind == EVENT_ACQUIRE) {
        give_missing(run, &e.event.acquire);
    }
    if (e.event.kind == EVENT_RELEASE) {
        e.event.release.has_usage = e.given != 0;
    }
    step(run, &e.event);
}

/* One line of the script, and the time after it by its own deadlines. */
static void play(struct run *run, const char *words)
{
    if (strcmp(words, "restart") == 0) {
        restart(run);
    } else if (strncmp(words, "configure", 9) == 0) {
        configure(run, strcmp(words, "configure after") == 0 ? run->after : run->before);
    } else {
        send(run, words);
    }
    int64_t end_us = run->now_us + WATCHED_US;
    for (int64_t at_us; (at_us = core_next_deadline(run->core)) <= end_us;) {
        run->now_us = max_i64(run->now_us, at_us);
        struct event tick = {.kind = EVENT_TICK, .now_us = run->now_us};
        step(run, &tick);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static struct run *run_script(int failing)
{
    struct run *run = calloc(1, sizeof(*run));
    assert_non_null(run);
    run->names = calloc(1, sizeof(*run->names));
    assert_non_null(run->names);
    run->names->leases.len = CALLERS;
    run->names->tickets.len = CALLERS;
    run->before = read_policy(POLICY_BEFORE);
    run->after = read_policy(POLICY_AFTER);
    record_log_init(&run->log);
    effects_init(&run->effects);
    memory_fail(failing);
    memory_pause();
    run->now_us = 100 * ROUND_US;
    open_core(run);
    configure(run, run->before);
    for (run->round = 0; run->round < SCRIPT_N; run->round++) {
        run->now_us = (int64_t)(101 + run->round) * ROUND_US;
        play(run, SCRIPT[run->round]);
        qsort(run->said[run->round], run->said_n[run->round], sizeof(run->said[0][0]), by_text);
    }
    return run;
}

static void end_run(struct run *run)
{
    core_free(run->core);
    effects_release(&run->effects);
    record_log_release(&run->log);
    free(run->names);
    free(run->before);
    free(run->after);
    free(run);
}

static void compare(const struct run *want, const struct run *got, int failing)
{
    for (size_t i = 0; i < SCRIPT_N; i++) {
        bool same = want->said_n[i] == got->said_n[i];
        for (size_t k = 0; same && k < want->said_n[i]; k++) {
            same = strcmp(want->said[i][k], got->said[i][k]) == 0;
        }
        if (!same) {
            print_error("allocation %d failed, and after: %s\n", failing, SCRIPT[i]);
            for (size_t k = 0; k < want->said_n[i]; k++) {
                print_error("   want %s\n", want->said[i][k]);
            }
            for (size_t k = 0; k < got->said_n[i]; k++) {
                print_error("   got  %s\n", got->said[i][k]);
            }
            fail();
        }
    }
}

static size_t count_said(const struct run *run, const char *start)
{
    size_t n = 0;
    for (size_t i = 0; i < SCRIPT_N; i++) {
        for (size_t k = 0; k < run->said_n[i]; k++) {
            n += strncmp(run->said[i][k], start, strlen(start)) == 0;
        }
    }
    return n;
}

/* Without this the script might quietly come to say little. */
static void test_the_script_has_all_kinds_of_outcomes(void **state)
{
    (void)state;
    struct run *run = run_script(0);
    static const char *const KINDS[] = {
        "grant", "wait", "refuse", "settled", "renewed", "cancelled", "expired", "health", "alert",
    };
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        assert_true(count_said(run, KINDS[i]) > 0);
    }
    assert_true(count_said(run, "grant") >= 25);
    assert_int_equal(run->failures, 0);
    end_run(run);
}

static void test_whichever_allocation_fails_everybody_is_told_the_same(void **state)
{
    (void)state;
    struct run *want = run_script(0);
    int failing = 0;
    size_t failures = 0;
    do {
        struct run *got = run_script(++failing);
        compare(want, got, failing);
        failures += got->failures;
        end_run(got);
    } while (memory_failed());
    assert_true(failing > 100);
    assert_true(failures > (size_t)failing / 2);
    end_run(want);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        struct run *run = run_script(0);
        for (size_t i = 0; i < SCRIPT_N; i++) {
            printf("%s\n", SCRIPT[i]);
            for (size_t k = 0; k < run->said_n[i]; k++) {
                printf("   %s\n", run->said[i][k]);
            }
        }
        end_run(run);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_script_has_all_kinds_of_outcomes),
        cmocka_unit_test(test_whichever_allocation_fails_everybody_is_told_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
