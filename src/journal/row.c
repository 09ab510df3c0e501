#include "journal/row.h"

#include "base/num.h"
#include "journal/bind.h"
#include "journal/clerk.h"

#define PPM INT64_C(1000000)

/* The words of the table for the states of a resource, by enum health_state. */
static const char *const states[] = {
    "ok", "recovering", "paused", "backoff", "breaker_open", "probing", "day_over", "out_of_money",
};
_Static_assert(sizeof(states) / sizeof(states[0]) == HEALTH_STATES, "a word for each state");

/* --- The check --- */

static bool within(int64_t n, int64_t least, int64_t most)
{
    return n >= least && n <= most;
}

/* A time that may be for ever. */
static bool is_moment(int64_t us)
{
    return us >= 0 && (us <= ROW_TIME_US_MAX || us == INT64_MAX);
}

static const char *load_problem(const struct load *load)
{
    for (int unit = 0; unit < UNIT_COUNT; unit++) {
        if (!within(load->of[unit], 0, unit == UNIT_USD ? USD_AMOUNT_MAX : AMOUNT_MAX)) {
            return "an amount is out of range";
        }
    }
    return NULL;
}

static const char *texts_problem(const struct record *r)
{
    if (r->model.len > NAME_LEN_MAX || r->account.len > NAME_LEN_MAX ||
        r->route.len > NAME_LEN_MAX || r->resource.len > NAME_LEN_MAX ||
        r->tenant.len > NAME_LEN_MAX || r->session.len > NAME_LEN_MAX || r->id.len > NAME_LEN_MAX ||
        r->limit.len > NAME_LEN_MAX) {
        return "a name is too long";
    }
    /* A label's value is a scope key as well. */
    if (r->labels.len > LABELS_LEN_MAX || r->scope_key.len > LABELS_LEN_MAX) {
        return "a label is too long";
    }
    return NULL;
}

static const char *lease_problem(const struct record *r)
{
    bool began = r->kind == RECORD_GRANT || r->kind == RECORD_RENEW;
    if (!within(r->expires_us, 0, ROW_TIME_US_MAX) || !within(r->waited_us, 0, ROW_TIME_US_MAX) ||
        !within(r->held_for_us, 0, ROW_TIME_US_MAX) ||
        !within(r->skew_us, -ROW_TIME_US_MAX, ROW_TIME_US_MAX)) {
        return "a time is out of range";
    }
    if (!within(r->priority, began ? PRIORITY_MIN : 0, PRIORITY_MAX)) {
        return "the priority is out of range";
    }
    if (!within(r->attempt, 0, INT32_MAX)) {
        return "the attempt is out of range";
    }
    if (!within(r->step, 0, ROUTE_STEPS_MAX) || (r->step > 0) != (r->route.len > 0)) {
        return "the step is not one of a route";
    }
    if (began && r->resource.len == 0) {
        return "the resource is missing";
    }
    if ((unsigned)r->outcome >= ANSWER_CLASSES) {
        return "the outcome is unknown";
    }
    if (!within(r->advice, ADVICE_DONE, ADVICE_GIVE_UP) || !is_moment(r->again_us)) {
        return "the advice is unknown";
    }
    return load_problem(&r->load);
}

static const char *limit_problem(const struct record *r)
{
    if (r->counts.len > COUNTS_LEN_MAX) {
        return "what the limit counts is too long";
    }
    return r->limit.len == 0 ? "the limit is missing" : NULL;
}

static const char *counter_problem(const struct record *r)
{
    /* A period may begin before 1970 in local time. */
    if (!within(r->period_us, -ROW_TIME_US_MAX, ROW_TIME_US_MAX) ||
        !within(r->since_us, 0, ROW_TIME_US_MAX)) {
        return "a time is out of range";
    }
    /* Not before INT64_MAX, for ever, is there a last moment: a bucket may refill that slowly. */
    if (r->expires_us < 0) {
        return "a time is out of range";
    }
    return limit_problem(r);
}

static const char *health_problem(const struct record *r)
{
    const struct health_fact *h = &r->health;
    if ((unsigned)h->state >= HEALTH_STATES || (unsigned)h->why >= ANSWER_CLASSES) {
        return "the state is unknown";
    }
    if (!is_moment(h->since_us) || !is_moment(h->until_us) || !is_moment(h->rate_at_us) ||
        !is_moment(h->next_us) || !is_moment(h->incident_us) || !is_moment(h->cool_us) ||
        r->expires_us < 0) {
        return "a time is out of range";
    }
    if (!within(h->rate_ppm, h->state == HEALTH_RECOVERING, PPM) || !within(h->after_ppm, 0, PPM) ||
        h->growth_ppm < 0) {
        return "a rate is out of range";
    }
    if (h->refusals < 0 || h->breaks < 0) {
        return "a number is out of range";
    }
    if (r->id.len >= HEALTH_REASON_MAX) {
        return "the reason is too long";
    }
    return r->resource.len == 0 ? "the resource is missing" : NULL;
}

static const char *learned_problem(const struct record *r)
{
    const struct learned_fact *l = &r->learned;
    if (!is_moment(l->guard_at_us) || !within(l->guard_us, 0, PER_US_MAX) || r->expires_us < 0 ||
        !within(r->per_us, 0, PER_US_MAX)) {
        return "a time is out of range";
    }
    if (!within(l->told, 0, AMOUNT_MAX) || !within(l->slots_milli, 0, AMOUNT_MAX) ||
        !within(l->doubling_upto, 0, AMOUNT_MAX)) {
        return "an amount is out of range";
    }
    return limit_problem(r);
}

const char *row_problem(const struct record *r)
{
    if (!within(r->at_us, 0, ROW_TIME_US_MAX)) {
        return "a time is out of range";
    }
    const char *problem = texts_problem(r);
    if (problem) {
        return problem;
    }
    switch (r->kind) {
    case RECORD_GRANT:
    case RECORD_RENEW:
    case RECORD_SETTLE:
    case RECORD_EXPIRE:
    case RECORD_CANCEL: return lease_problem(r);
    case RECORD_COUNTER: return counter_problem(r);
    case RECORD_HEALTH: return health_problem(r);
    case RECORD_LEARNED: return learned_problem(r);
    }
    return "the kind is unknown";
}

/* --- Writing --- */

static void bind_key(struct binder *b, const struct record *r)
{
    bind_text(b, r->resource);
    bind_text(b, r->limit);
    bind_text(b, r->scope_key);
}

static void bind_counter(struct binder *b, const struct record *r)
{
    bind_key(b, r);
    bind_i64(b, r->at_us);
    bind_i64(b, r->expires_us);
    bind_i64(b, r->period_us);
    bind_i64(b, r->used);
    bind_i64(b, r->level);
    bind_i64(b, r->since_us);
    bind_text(b, r->counts);
}

static void bind_health(struct binder *b, const struct record *r)
{
    const struct health_fact *h = &r->health;
    const int64_t numbers[] = {h->since_us, h->until_us,    h->refusals,   h->breaks,
                               h->rate_ppm, h->after_ppm,   h->growth_ppm, h->rate_at_us,
                               h->next_us,  h->incident_us, h->cool_us,    (int64_t)h->probe};
    bind_text(b, r->resource);
    bind_i64(b, r->at_us);
    bind_i64(b, r->expires_us);
    bind_text(b, text_of(states[h->state]));
    bind_text(b, text_of(clerk_outcomes[h->why]));
    bind_text(b, r->id);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        bind_i64(b, numbers[i]);
    }
}

static void bind_learned(struct binder *b, const struct record *r)
{
    const struct learned_fact *l = &r->learned;
    bind_text(b, r->resource);
    bind_text(b, r->limit);
    bind_i64(b, r->at_us);
    bind_i64(b, r->expires_us);
    bind_i64(b, l->told);
    bind_i64(b, (int64_t)l->told_by);
    bind_i64(b, l->guard_us);
    bind_i64(b, l->guard_at_us);
    bind_i64(b, l->slots_milli);
    bind_i64(b, l->doubling_upto);
    bind_text(b, r->counts);
    bind_i64(b, r->per_us);
}

int row_bind_value(sqlite3_stmt *stmt, const struct record *r)
{
    struct binder b = {.stmt = stmt};
    if (r->kind == RECORD_HEALTH) {
        bind_health(&b, r);
    } else if (r->kind == RECORD_LEARNED) {
        bind_learned(&b, r);
    } else {
        bind_counter(&b, r);
    }
    return b.rc;
}

int row_bind_counter_key(sqlite3_stmt *stmt, const struct record *r)
{
    struct binder b = {.stmt = stmt};
    bind_key(&b, r);
    return b.rc;
}

int row_bind_sheet(sqlite3_stmt *stmt, int64_t seq, const struct sheet *sheet)
{
    struct binder b = {.stmt = stmt};
    bind_i64(&b, seq);
    bind_i64(&b, sheet->records_n);
    bind_i64(&b, sheet->emitted_us);
    bind_i64(&b, sheet->exact);
    bind_text(&b, (struct text){sheet->text, sheet->len});
    return b.rc;
}

/* --- Reading --- */

/* Reads columns one after the other and remembers the first that is of the wrong type. */
struct reader {
    sqlite3_stmt *stmt;
    int at;
    const char *problem;
};

static int64_t read_i64(struct reader *r)
{
    int at = r->at++;
    if (sqlite3_column_type(r->stmt, at) != SQLITE_INTEGER) {
        r->problem = "a column that should be an integer is not";
        return 0;
    }
    return sqlite3_column_int64(r->stmt, at);
}

static struct text read_text(struct reader *r)
{
    int at = r->at++;
    int type = sqlite3_column_type(r->stmt, at);
    if (type != SQLITE_TEXT) {
        r->problem = "a column that should be text is not";
        return TEXT_NONE;
    }
    const unsigned char *bytes = sqlite3_column_text(r->stmt, at);
    int len = sqlite3_column_bytes(r->stmt, at);
    if (!bytes) {
        r->problem = "a text could not be read";
        return TEXT_NONE;
    }
    return (struct text){(const char *)bytes, (size_t)len};
}

/* Nothing is taken over from a row that has a problem. */
static const char *read_end(const struct reader *r, const struct record *read,
                            struct record *record)
{
    const char *problem = r->problem ? r->problem : row_problem(read);
    if (!problem) {
        *record = *read;
    }
    return problem;
}

static void read_value(struct reader *r, struct record *read)
{
    read->at_us = read_i64(r);
    read->expires_us = read_i64(r);
    read->period_us = read_i64(r);
    read->used = read_i64(r);
    read->level = read_i64(r);
    read->since_us = read_i64(r);
    read->counts = read_text(r);
}

const char *row_read_counter(sqlite3_stmt *stmt, struct record *record)
{
    struct reader r = {.stmt = stmt};
    struct record read = {.kind = RECORD_COUNTER};
    read_value(&r, &read);
    read.resource = read_text(&r);
    read.limit = read_text(&r);
    read.scope_key = read_text(&r);
    return read_end(&r, &read, record);
}

static int read_i32(struct reader *r)
{
    int64_t n = read_i64(r);
    if (n < INT32_MIN || n > INT32_MAX) {
        r->problem = "a number is out of range";
        return 0;
    }
    return (int)n;
}

/* The place of a word among those that are known. */
static int read_word(struct reader *r, const char *const *words, int words_n)
{
    struct text word = read_text(r);
    for (int i = 0; i < words_n; i++) {
        if (text_equal(word, text_of(words[i]))) {
            return i;
        }
    }
    r->problem = r->problem ? r->problem : "a word is unknown";
    return 0;
}

const char *row_read_health(sqlite3_stmt *stmt, struct record *record)
{
    struct reader r = {.stmt = stmt};
    struct record read = {.kind = RECORD_HEALTH};
    struct health_fact *h = &read.health;
    read.resource = read_text(&r);
    read.at_us = read_i64(&r);
    read.expires_us = read_i64(&r);
    h->state = (enum health_state)read_word(&r, states, HEALTH_STATES);
    h->why = (enum answer_class)read_word(&r, clerk_outcomes, ANSWER_CLASSES);
    read.id = read_text(&r);
    h->since_us = read_i64(&r);
    h->until_us = read_i64(&r);
    h->refusals = read_i32(&r);
    h->breaks = read_i32(&r);
    h->rate_ppm = read_i32(&r);
    h->after_ppm = read_i32(&r);
    h->growth_ppm = read_i64(&r);
    h->rate_at_us = read_i64(&r);
    h->next_us = read_i64(&r);
    h->incident_us = read_i64(&r);
    h->cool_us = read_i64(&r);
    h->probe = (uint64_t)read_i64(&r);
    return read_end(&r, &read, record);
}

const char *row_read_learned(sqlite3_stmt *stmt, struct record *record)
{
    struct reader r = {.stmt = stmt};
    struct record read = {.kind = RECORD_LEARNED};
    struct learned_fact *l = &read.learned;
    read.resource = read_text(&r);
    read.limit = read_text(&r);
    read.at_us = read_i64(&r);
    read.expires_us = read_i64(&r);
    l->told = read_i64(&r);
    l->told_by = (uint64_t)read_i64(&r);
    l->guard_us = read_i64(&r);
    l->guard_at_us = read_i64(&r);
    l->slots_milli = read_i64(&r);
    l->doubling_upto = read_i64(&r);
    read.counts = read_text(&r);
    read.per_us = read_i64(&r);
    return read_end(&r, &read, record);
}

const char *row_read_counter_value(sqlite3_stmt *stmt, struct record *record)
{
    struct reader r = {.stmt = stmt};
    struct record read = *record;
    read.kind = RECORD_COUNTER;
    read_value(&r, &read);
    return read_end(&r, &read, record);
}

const char *row_read_sheet(sqlite3_stmt *stmt, struct sheet_row *row, struct sheet *sheet)
{
    struct reader r = {.stmt = stmt};
    row->seq = read_i64(&r);
    row->records_n = read_i64(&r);
    row->emitted_us = read_i64(&r);
    int64_t exact = read_i64(&r);
    row->exact = exact != 0;
    struct text text = read_text(&r);
    if (r.problem) {
        return r.problem;
    }
    /* As many records as fit its bytes, so that the numbers behind it are no larger than can be. */
    if (!within(row->seq, 1, ROW_SEQ_MAX) || !within(row->records_n, 1, SHEET_BYTES_MAX)) {
        return "a number is out of range";
    }
    if (!within(exact, 0, 1)) {
        return "`exact` is neither 0 nor 1";
    }
    return sheet_take(sheet, text) ? NULL : "the text is too long";
}
