#include "mock/trouble.h"

#include <ctype.h>
#include <strings.h>

#include "base/error.h"
#include "base/num.h"
#include "config/config.h"
#include "mock/chance.h"
#include "mock/quota.h"

#define NUMBER_MAX INT64_C(1000000000000)
#define STATUS_MIN 400
#define STATUS_MAX 599

_Static_assert(TROUBLE_RULES_MAX <= 64, "struct trouble has one bit for each rule");

static struct text trim(struct text t)
{
    while (t.len && isspace((unsigned char)t.at[0])) {
        t.at++;
        t.len--;
    }
    while (t.len && isspace((unsigned char)t.at[t.len - 1])) {
        t.len--;
    }
    return t;
}

/* Takes the next word off the front; empty at the end. */
static struct text take_word(struct text *t)
{
    *t = trim(*t);
    size_t n = 0;
    while (n < t->len && !isspace((unsigned char)t->at[n])) {
        n++;
    }
    struct text word = {t->at, n};
    *t = trim((struct text){t->at + n, t->len - n});
    return word;
}

static bool copy_text(struct text t, char *to, size_t len_max)
{
    if (t.len == 0 || t.len > len_max) {
        return false;
    }
    memcpy(to, t.at, t.len);
    to[t.len] = '\0';
    return true;
}

static bool read_number(struct text t, int64_t *n)
{
    return config_read_amount(t, NUMBER_MAX, n);
}

/* "A-B", each read by `read`; "A" alone stands for A-A. */
static bool read_range(struct text t, bool (*read)(struct text, int64_t *), int64_t *low,
                       int64_t *high)
{
    const char *dash = memchr(t.at, '-', t.len);
    if (!dash) {
        return read(t, low) && read(t, high);
    }
    size_t n = (size_t)(dash - t.at);
    return read((struct text){t.at, n}, low) &&
           read((struct text){dash + 1, t.len - n - 1}, high) && *low <= *high;
}

static bool read_when(struct text t, struct trouble_rule *r)
{
    struct text word = take_word(&t);
    bool good = true;
    if (text_equal(word, TEXT("always"))) {
        r->when = TROUBLE_ALWAYS;
    } else if (text_equal(word, TEXT("request")) || text_equal(word, TEXT("requests"))) {
        r->when = TROUBLE_REQUESTS;
        good = read_range(take_word(&t), read_number, &r->low, &r->high) && r->low >= 1;
    } else if (text_equal(word, TEXT("every"))) {
        r->when = TROUBLE_EVERY;
        good = read_number(take_word(&t), &r->low) && r->low >= 1;
    } else if (text_equal(word, TEXT("time"))) {
        r->when = TROUBLE_TIME;
        good = read_range(take_word(&t), config_read_duration, &r->low, &r->high);
    } else {
        int32_t ppm = 0;
        r->when = TROUBLE_CHANCE;
        good = text_equal(word, TEXT("chance")) && config_read_share(take_word(&t), &ppm);
        r->low = ppm;
    }
    if (good && text_equal(take_word(&t), TEXT("model"))) {
        good = copy_text(take_word(&t), r->model, TROUBLE_WORD_LEN_MAX);
    }
    return good && t.len == 0;
}

static bool read_status_option(struct text name, struct text *rest, struct trouble_rule *r)
{
    if (text_equal(name, TEXT("code"))) {
        return copy_text(take_word(rest), r->name, TROUBLE_WORD_LEN_MAX);
    }
    if (text_equal(name, TEXT("type"))) {
        return copy_text(take_word(rest), r->type, TROUBLE_WORD_LEN_MAX);
    }
    if (text_equal(name, TEXT("retry-after"))) {
        return config_read_duration(take_word(rest), &r->retry_after_us);
    }
    struct text message = *rest;
    *rest = TEXT_NONE;
    return text_equal(name, TEXT("message")) && copy_text(message, r->value, TROUBLE_VALUE_LEN_MAX);
}

static bool read_status(struct text t, struct trouble_rule *r)
{
    r->what = TROUBLE_STATUS;
    r->retry_after_us = -1;
    if (!read_number(take_word(&t), &r->amount) || r->amount < STATUS_MIN ||
        r->amount > STATUS_MAX) {
        return false;
    }
    while (t.len) {
        struct text name = take_word(&t);
        if (!read_status_option(name, &t, r)) {
            return false;
        }
    }
    return true;
}

static bool read_header(struct text t, struct trouble_rule *r)
{
    if (!copy_text(take_word(&t), r->name, TROUBLE_WORD_LEN_MAX)) {
        return false;
    }
    for (char *c = r->name; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return r->what == TROUBLE_NO_HEADER ? t.len == 0
                                        : copy_text(t, r->value, TROUBLE_VALUE_LEN_MAX);
}

/* A share of the quota: a whole quota is no trouble, and none at all is another one. */
static bool read_share(struct text t, struct trouble_rule *r)
{
    int32_t ppm = 0;
    bool good = config_read_share(t, &ppm) && ppm > 0 && ppm < 1000000;
    r->amount = ppm;
    return good && (r->when == TROUBLE_ALWAYS || r->when == TROUBLE_TIME);
}

static bool read_what(struct text t, struct trouble_rule *r)
{
    struct text word = take_word(&t);
    if (text_equal(word, TEXT("status"))) {
        return read_status(t, r);
    }
    if (text_equal(word, TEXT("slow"))) {
        r->what = TROUBLE_SLOW;
        return config_read_duration(t, &r->amount);
    }
    if (text_equal(word, TEXT("cut")) || text_equal(word, TEXT("fail"))) {
        r->what = word.at[0] == 'c' ? TROUBLE_CUT : TROUBLE_FAIL;
        return read_number(t, &r->amount);
    }
    if (text_equal(word, TEXT("quota")) || text_equal(word, TEXT("others"))) {
        r->what = word.at[0] == 'q' ? TROUBLE_QUOTA : TROUBLE_OTHERS;
        return read_share(t, r);
    }
    bool drops = text_equal(word, TEXT("no-header"));
    r->what = drops ? TROUBLE_NO_HEADER : TROUBLE_HEADER;
    return (drops || text_equal(word, TEXT("header"))) && read_header(t, r);
}

static bool read_rule(struct text piece, struct trouble_rule *r)
{
    const char *colon = memchr(piece.at, ':', piece.len);
    if (!colon) {
        return false;
    }
    size_t n = (size_t)(colon - piece.at);
    *r = (struct trouble_rule){0};
    return read_when((struct text){piece.at, n}, r) &&
           read_what((struct text){colon + 1, piece.len - n - 1}, r);
}

static int add_rule(struct text piece, struct trouble_script *to, struct buf *why)
{
    struct trouble_rule rule;
    if (to->rules_n == TROUBLE_RULES_MAX) {
        buf_addf(why, "a script has at most %d rules", TROUBLE_RULES_MAX);
        return ERR_INVALID_REQUEST;
    }
    if (!read_rule(piece, &rule)) {
        buf_addf(why, "\"%.*s\" is no rule: write WHEN: WHAT, e.g. requests 10-19: status 429",
                 (int)min_i64((int64_t)piece.len, 200), piece.at);
        return ERR_INVALID_REQUEST;
    }
    to->rules[to->rules_n++] = rule;
    return 0;
}

int trouble_parse(struct text script, struct trouble_script *to, struct buf *why)
{
    size_t start = 0;
    for (size_t i = 0; i <= script.len; i++) {
        if (i < script.len && script.at[i] != '\n' && script.at[i] != ';') {
            continue;
        }
        struct text piece = trim((struct text){script.at + start, i - start});
        start = i + 1;
        int rc = piece.len && piece.at[0] != '#' ? add_rule(piece, to, why) : 0;
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static bool applies(const struct trouble_rule *r, uint64_t number, struct text model,
                    int64_t elapsed_us, uint64_t seed, uint64_t purpose)
{
    if (r->model[0] && !text_equal(text_of(r->model), model)) {
        return false;
    }
    switch (r->when) {
    case TROUBLE_ALWAYS: return true;
    case TROUBLE_REQUESTS: return number >= (uint64_t)r->low && number <= (uint64_t)r->high;
    case TROUBLE_EVERY: return number % (uint64_t)r->low == 0;
    case TROUBLE_TIME: return elapsed_us >= r->low && elapsed_us < r->high;
    case TROUBLE_CHANCE: break;
    }
    return chance_between(seed, number, purpose, 0, 999999) < r->low;
}

static void take_rule(struct trouble *t, const struct trouble_rule *r, size_t i)
{
    switch (r->what) {
    case TROUBLE_STATUS: t->status = t->status ? t->status : r; break;
    case TROUBLE_CUT: t->cut = t->cut ? t->cut : r; break;
    case TROUBLE_FAIL: t->fail = t->fail ? t->fail : r; break;
    case TROUBLE_SLOW: t->slow_us = t->slow_us ? t->slow_us : r->amount; break;
    case TROUBLE_HEADER:
    case TROUBLE_NO_HEADER: t->headers |= UINT64_C(1) << i; break;
    case TROUBLE_QUOTA:
    case TROUBLE_OTHERS: break; /* not of one call */
    }
}

void trouble_choose(const struct trouble_script *script, uint64_t number, struct text model,
                    int64_t elapsed_us, uint64_t seed, struct trouble *trouble)
{
    *trouble = (struct trouble){0};
    for (size_t i = 0; i < script->rules_n; i++) {
        const struct trouble_rule *r = &script->rules[i];
        if (applies(r, number, model, elapsed_us, seed, CHANCE_TROUBLE + i)) {
            take_rule(trouble, r, i);
        }
    }
}

void trouble_weather(const struct trouble_script *script, struct text model, int64_t elapsed_us,
                     struct quota_weather *weather)
{
    *weather = (struct quota_weather){0};
    for (size_t i = 0; i < script->rules_n; i++) {
        const struct trouble_rule *r = &script->rules[i];
        bool is_weather = r->what == TROUBLE_QUOTA || r->what == TROUBLE_OTHERS;
        if (!is_weather || !applies(r, 0, model, elapsed_us, 0, 0)) {
            continue;
        }
        if (r->what == TROUBLE_QUOTA && weather->lowered_ppm == 0) {
            weather->lowered_ppm = 1000000 - r->amount;
        } else if (r->what == TROUBLE_OTHERS && weather->others_ppm == 0) {
            weather->others_ppm = r->amount;
        }
    }
}

const char *trouble_header(const struct trouble_script *script, const struct trouble *trouble,
                           const char *name, const char *value)
{
    for (size_t i = 0; i < script->rules_n; i++) {
        const struct trouble_rule *r = &script->rules[i];
        if (trouble->headers & (UINT64_C(1) << i) && strcasecmp(r->name, name) == 0) {
            return r->what == TROUBLE_NO_HEADER ? NULL : r->value;
        }
    }
    return value;
}
