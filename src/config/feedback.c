#include "config/feedback.h"

#include "base/num.h"

#define COOLDOWN_DEFAULT_US US_PER_MIN
#define TIME_MAX_US         US_PER_DAY
#define ATTEMPTS_MAX        100
#define REFUSALS_MAX        1000
#define TIME_TAKES          "a duration of at most a day, as in 1s"

struct answers_draft {
    struct setting pause, ramp, slow_down, growth, money_probe;
};

#define AT(member) offsetof(struct answers_draft, member)

static const struct key_row feedback_rows[] = {
    {"pause", read_duration, AT(pause), NULL, 0, TIME_MAX_US,
     TIME_TAKES "; 0s: such refusals are ignored", "1s",
     "How long everyone waits after a refusal that does not say how long; doubled with each in a "
     "row."},
    {"ramp", read_duration, AT(ramp), NULL, 0, TIME_MAX_US, TIME_TAKES "; 0s: at once", "10s",
     "How long the rate takes from half to all of it after a pause."},
    {"slow_down", read_share, AT(slow_down), NULL, 0, 1000000, "a share, as in 70%; 0: ignored",
     "70%", "The share of the rate that is left when the provider says slow down."},
    {"growth", read_share, AT(growth), NULL, 1, 1000000, "a share above 0, as in 5%", "5%",
     "The share of the full rate that comes back each minute after a slow-down."},
    {"money_probe", read_duration, AT(money_probe), NULL, 0, TIME_MAX_US,
     TIME_TAKES "; 0s: never closed", "1h",
     "How often one call tries whether an account without money has some again."},
};

const struct section feedback_section = {"Feedback (`resources.NAME.feedback`)", feedback_rows,
                                         sizeof(feedback_rows) / sizeof(feedback_rows[0]),
                                         "{pause: 1s}"};

#undef AT

struct retry_draft {
    struct setting attempts, backoff, backoff_max, share;
};

#define AT(member) offsetof(struct retry_draft, member)

static const struct key_row retry_rows[] = {
    {"attempts", read_amount, AT(attempts), NULL, 1, ATTEMPTS_MAX, "a whole number from 1 to 100",
     "5", "Attempts of one request, the first included."},
    {"backoff", read_duration, AT(backoff), NULL, US_PER_MS, TIME_MAX_US,
     "a duration from 1ms to a day, as in 1s", "1s",
     "The first wait, of a retry and of everyone after an overload; doubled with each attempt."},
    {"backoff_max", read_duration, AT(backoff_max), NULL, US_PER_MS, TIME_MAX_US,
     "a duration from 1ms to a day, as in 1m", "1m", "The longest such wait."},
    {"share", read_share, AT(share), NULL, 0, 1000000, "a share, as in 20%", "20%",
     "Retries as a share of first attempts, beyond the first ten, so that they cannot become the "
     "traffic."},
};

const struct section retry_section = {"Retries (`resources.NAME.retry`)", retry_rows,
                                      sizeof(retry_rows) / sizeof(retry_rows[0]), "{attempts: 3}"};

#undef AT

struct breaker_draft {
    struct setting refusals, pause, pause_max;
};

#define AT(member) offsetof(struct breaker_draft, member)

static const struct key_row breaker_rows[] = {
    {"refusals", read_amount, AT(refusals), NULL, 1, REFUSALS_MAX, "a whole number from 1 to 1000",
     "3", "Refusals in a row that open it."},
    {"pause", read_duration, AT(pause), NULL, US_PER_MS, TIME_MAX_US,
     "a duration from 1ms to a day, as in 1m", "1m",
     "How long it is open before one call probes; doubled each time the probe is refused."},
    {"pause_max", read_duration, AT(pause_max), NULL, US_PER_MS, TIME_MAX_US,
     "a duration from 1ms to a day, as in 10m", "10m", "The longest such time."},
};

const struct section breaker_section = {"Breaker (`resources.NAME.breaker`)", breaker_rows,
                                        sizeof(breaker_rows) / sizeof(breaker_rows[0]),
                                        "{refusals: 5}"};

#undef AT

/* One resource's feedback being built. */
struct build {
    struct limit_context *c;
    const struct place *at;
    struct feedback *to;
};

static bool says_off(const struct node *n)
{
    return n->kind == NODE_SCALAR && text_equal(n->text, TEXT("off"));
}

/* Whether there are keys to read. True also for what is neither a map nor "off", so that
 * section_read says so. */
static bool read_part(struct build *b, const struct node *n, const char *name,
                      const struct section *section, void *draft)
{
    if (!n || says_off(n)) {
        return false;
    }
    struct place here = {.up = b->at, .name = text_of(name)};
    if (n->kind != NODE_MAP) {
        char where[PLACE_LEN_MAX];
        problem_add(b->c->problems, n->line, "%s: what is wanted is \"off\", or a map of keys",
                    place_text(&here, where));
        return false;
    }
    section_read(b->c->problems, &here, section, n, draft);
    return true;
}

static void set_i64(int64_t *to, const struct setting *from)
{
    *to = from->line > 0 ? from->value : *to;
}

static void set_i32(int32_t *to, const struct setting *from)
{
    *to = from->line > 0 ? (int32_t)from->value : *to;
}

static void build_answers(struct build *b, const struct node *n)
{
    struct answers_draft d = {.pause = {0}};
    if (read_part(b, n, "feedback", &feedback_section, &d)) {
        set_i64(&b->to->pause_us, &d.pause);
        set_i64(&b->to->ramp_us, &d.ramp);
        set_i32(&b->to->slow_ppm, &d.slow_down);
        set_i32(&b->to->growth_ppm, &d.growth);
        set_i64(&b->to->money_probe_us, &d.money_probe);
    }
}

/* A longest time below the first one would silently shorten it. */
static void check_order(struct build *b, int64_t first_us, int64_t *longest_us,
                        const struct setting *given, const char *part, const char *less)
{
    if (*longest_us >= first_us) {
        return;
    }
    if (given->line <= 0) {
        *longest_us = first_us; /* the default gives way to what is said */
        return;
    }
    char where[PLACE_LEN_MAX];
    problem_add(b->c->problems, given->line, "%s.%s.%s_max: shorter than \"%s\"",
                place_text(b->at, where), part, less, less);
}

static void build_retry(struct build *b, const struct node *n)
{
    struct retry_draft d = {.attempts = {0}};
    if (n && says_off(n)) {
        b->to->attempts_max = 0;
    } else if (read_part(b, n, "retry", &retry_section, &d)) {
        set_i32(&b->to->attempts_max, &d.attempts);
        set_i64(&b->to->backoff_us, &d.backoff);
        set_i64(&b->to->backoff_us_max, &d.backoff_max);
        set_i32(&b->to->retry_share_ppm, &d.share);
        check_order(b, b->to->backoff_us, &b->to->backoff_us_max, &d.backoff_max, "retry",
                    "backoff");
    }
}

static void build_breaker(struct build *b, const struct node *n)
{
    struct breaker_draft d = {.refusals = {0}};
    if (n && says_off(n)) {
        b->to->breaker_refusals = 0;
    } else if (read_part(b, n, "breaker", &breaker_section, &d)) {
        set_i32(&b->to->breaker_refusals, &d.refusals);
        set_i64(&b->to->breaker_us, &d.pause);
        set_i64(&b->to->breaker_us_max, &d.pause_max);
        check_order(b, b->to->breaker_us, &b->to->breaker_us_max, &d.pause_max, "breaker", "pause");
    }
}

/* What is said beside "feedback: off" would have no effect. */
static void refuse_beside_off(struct build *b, int line, const char *key)
{
    if (line) {
        char where[PLACE_LEN_MAX];
        problem_add(b->c->problems, line, "%s.%s: means nothing where \"feedback\" is off",
                    place_text(b->at, where), key);
    }
}

static void build_zone(struct build *b, const struct word *given, const struct profile *profile)
{
    struct place here = {.up = b->at, .name = TEXT("day_zone")};
    struct text name = given->line > 0 ? given->text : text_of(profile->day_zone);
    b->to->day_zone = zone_named(b->c, &here, name, given->line);
}

void feedback_build(struct limit_context *c, const struct place *at, const struct feedback_draft *d,
                    const struct profile *profile, struct resource *resource)
{
    struct build b = {.c = c, .at = at, .to = &resource->feedback};
    resource->cooldown_us = d->cooldown.line > 0 ? d->cooldown.value : COOLDOWN_DEFAULT_US;
    if (d->feedback && says_off(d->feedback)) {
        refuse_beside_off(&b, d->retry ? d->retry->line : 0, "retry");
        refuse_beside_off(&b, d->breaker ? d->breaker->line : 0, "breaker");
        refuse_beside_off(&b, d->day_zone.line, "day_zone");
        return;
    }
    resource->feedback = feedback_default;
    build_answers(&b, d->feedback);
    build_retry(&b, d->retry);
    build_breaker(&b, d->breaker);
    build_zone(&b, &d->day_zone, profile);
}
