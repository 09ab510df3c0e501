/*
 * How an answer is classed.
 *
 * 1. The class by status: what HTTP says, or what status the body names where HTTP says 200 (an
 *    error inside a stream) or nothing. Without either it is unknown.
 * 2. The class by code: of all the codes and types of the body that are known, the one whose class
 *    has the most to say (`telling`), because vendors put a general type beside a particular code,
 *    in either order. "Bad request" is so general that a status that says otherwise goes before it.
 * 3. The phrases of the body's sentences may refine that, each only some classes.
 * 4. What needs numbers: a request that is larger than the limit it names, a quota of the day, a
 *    wait that means "never".
 *
 * What is still unknown is ok after a 2xx without a body that complains, a worker's own trouble
 * where there is nothing but a sentence of its own, and otherwise the provider's trouble.
 */
#include "provider/answer.h"

#include <assert.h>
#include <strings.h>

#include "base/num.h"
#include "provider/complaint.h"
#include "provider/dialect.h"
#include "provider/readings.h"
#include "provider/wait.h"

#define PLAIN_WORD_LEN_LEAST 10 /* shorter codes are not looked for in sentences */

/* What the class was judged by. */
struct verdict {
    enum answer_class class;
    struct text code; /* the code that said so, or empty */
};

/* --- By status --- */

static enum answer_class class_of_status(int status)
{
    switch (status) {
    case 401:
    case 403:
    case 407: return ANSWER_AUTH;
    case 402: return ANSWER_OUT_OF_MONEY;
    case 429: return ANSWER_WAIT;
    case 408: /* the vendors' own clients try these again … */
    case 409:
    case 424: /* Bedrock: the model failed */
    case 425:
    case 498: /* Groq: flex capacity exceeded */
    case 499: return ANSWER_OVERLOAD;
    default: break;
    }
    if (status >= 500) {
        return ANSWER_OVERLOAD;
    }
    return status >= 300 ? ANSWER_BAD_REQUEST : CLASS_UNKNOWN;
}

/* --- By code --- */

/* The classes in the order in which they go before one another. */
static int telling(enum answer_class class)
{
    static const int order[ANSWER_CLASSES + 1] = {
        [CLASS_UNKNOWN] = 0,     [ANSWER_OK] = 0,           [ANSWER_BAD_REQUEST] = 1,
        [ANSWER_OVERLOAD] = 2,   [ANSWER_WAIT] = 3,         [ANSWER_AUTH] = 4,
        [ANSWER_TOO_LONG] = 5,   [ANSWER_SLOW_DOWN] = 6,    [ANSWER_DAY_OVER] = 7,
        [ANSWER_NEVER_FITS] = 8, [ANSWER_OUT_OF_MONEY] = 9,
    };
    return order[class];
}

/* AWS writes a code as "namespace#Code" or "Code:address". */
static struct text bare_code(struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        if (t.at[i] == '#') {
            t = (struct text){t.at + i + 1, t.len - i - 1};
            i = 0;
        } else if (t.at[i] == ':') {
            t.len = i;
        }
    }
    return t;
}

static enum answer_class class_in(const struct word *words, struct text code)
{
    for (; words->at; words++) {
        if (strlen(words->at) == code.len && strncasecmp(words->at, code.at, code.len) == 0) {
            return words->class;
        }
    }
    return CLASS_UNKNOWN;
}

static void judge_code(const struct dialect *dialect, struct text code, struct verdict *v)
{
    if (code.len == 0) {
        return;
    }
    code = bare_code(code);
    enum answer_class class = class_in(dialect->words, code);
    if (class == CLASS_UNKNOWN) {
        class = class_in(common_words, code);
    }
    if (class != CLASS_UNKNOWN && telling(class) >= telling(v->class)) {
        *v =
            (struct verdict){class, code}; /* of equals the last: the code stands behind the type */
    }
}

/* --- By sentence --- */

static const char *find_phrase(struct text t, const char *phrase)
{
    size_t len = strlen(phrase);
    for (size_t i = 0; i + len <= t.len; i++) {
        if ((t.at[i] | 0x20) == (phrase[0] | 0x20) && strncasecmp(t.at + i, phrase, len) == 0) {
            return t.at + i;
        }
    }
    return NULL;
}

/* Codes in a sentence, such as an exception's text: only those that no prose would hold. */
static void judge_codes_in(const struct word *words, struct text sentence, struct verdict *v)
{
    for (; words->at; words++) {
        const char *found =
            strlen(words->at) >= PLAIN_WORD_LEN_LEAST ? find_phrase(sentence, words->at) : NULL;
        if (found && telling(words->class) > telling(v->class)) {
            *v = (struct verdict){words->class, {found, strlen(words->at)}};
        }
    }
}

static bool refine(const struct phrase *phrases, struct text sentence, enum answer_class *class)
{
    for (; phrases->at; phrases++) {
        if (phrases->from & FROM(*class) && find_phrase(sentence, phrases->at)) {
            *class = phrases->class;
            return true;
        }
    }
    return false;
}

/* The number at the front, with or without thousands marked; -1 where there is none. */
static int64_t number_at(struct text t)
{
    int64_t n = -1;
    size_t i = 0;
    while (i < t.len && (t.at[i] == ' ' || t.at[i] == ':')) {
        i++;
    }
    for (; i < t.len && ((t.at[i] >= '0' && t.at[i] <= '9') || (t.at[i] == ',' && n >= 0)); i++) {
        if (t.at[i] != ',') {
            n = min_i64(max_i64(n, 0) * 10 + (t.at[i] - '0'), AMOUNT_MAX);
        }
    }
    return n;
}

/* The first number that stands behind a word; -1 where there is none. */
static int64_t number_behind(struct text t, const char *word)
{
    const char *end = t.at + t.len;
    for (const char *at; (at = find_phrase(t, word));) {
        t = (struct text){at + strlen(word), (size_t)(end - at) - strlen(word)};
        int64_t n = number_at(t);
        if (n >= 0) {
            return n;
        }
    }
    return -1;
}

/* "… Limit 30000, Requested 42000 …" */
static bool asks_over_limit(struct text sentence)
{
    int64_t limit = number_behind(sentence, "limit ");
    int64_t requested = number_behind(sentence, "requested ");
    return limit > 0 && requested > limit;
}

static void judge_sentences(const struct dialect *dialect, const struct complaint *c,
                            struct verdict *v)
{
    for (size_t i = 0; i < c->sentences_n; i++) {
        struct text sentence = c->sentences[i];
        if (!refine(dialect->phrases, sentence, &v->class)) {
            (void)refine(common_phrases, sentence, &v->class);
        }
        bool sized = v->class == ANSWER_WAIT || v->class == ANSWER_DAY_OVER ||
                     v->class == ANSWER_BAD_REQUEST;
        if (sized && asks_over_limit(sentence)) {
            v->class = ANSWER_NEVER_FITS;
        }
    }
}

static bool day_quota(const struct complaint *c)
{
    for (size_t i = 0; i < c->quotas_n; i++) {
        struct text id = c->quotas[i].id;
        if (id.len && find_phrase(id, "perday")) {
            return true;
        }
    }
    return false;
}

/* --- No answer at all --- */

/* A worker's own word for a call that was cut off: as it is looked for, and as it is called. */
static const struct {
    const char *at;
    const char *reason;
} cuts[] = {
    {"timeout", "timeout"},
    {"timed out", "timeout"},
    {"timed_out", "timeout"},
    {"etimedout", "timeout"},
    {"connect", "connection_error"}, /* connection, disconnected, … */
    {"econn", "connection_error"},
    {"reset by", "connection_error"},
    {"broken pipe", "connection_error"},
    {"network", "connection_error"},
    {"socket", "connection_error"},
    {"getaddrinfo", "connection_error"},
    {"enotfound", "connection_error"},
    {"eai_again", "connection_error"},
    {"name resolution", "connection_error"},
    {"dns_", "connection_error"},
    {"unreachable", "connection_error"},
    {"premature close", "connection_error"},
    {"fetch failed", "connection_error"},
    {"hang up", "connection_error"},
    {"incompleteread", "connection_error"},
    {"incomplete chunked read", "connection_error"},
    {"unexpected eof", "connection_error"},
    {"sslerror", "connection_error"},
    {"tls_", "connection_error"},
    {"readerror", "connection_error"},
    {"writeerror", "connection_error"},
    {"protocolerror", "connection_error"},
};

static const char *cut_off_reason(const struct complaint *c)
{
    for (size_t i = 0; i < c->sentences_n; i++) {
        for (size_t j = 0; j < sizeof(cuts) / sizeof(cuts[0]); j++) {
            if (find_phrase(c->sentences[i], cuts[j].at)) {
                return cuts[j].reason;
            }
        }
    }
    return NULL;
}

/* What no code, no phrase and no status told. A sentence that is nothing of all that is a worker's
 * own trouble, which is not held against the provider. */
static enum answer_class class_of_rest(const struct raw_answer *raw, const struct complaint *c)
{
    if (c->structured || cut_off_reason(c) || (raw->status < 200 && c->sentences_n == 0)) {
        return ANSWER_OVERLOAD;
    }
    return raw->status < 200 ? ANSWER_BAD_REQUEST : ANSWER_OK;
}

static void judge(const struct dialect *dialect, const struct raw_answer *raw,
                  const struct complaint *c, struct text header_code, struct verdict *v)
{
    enum answer_class by_status = class_of_status(raw->status);
    if (by_status == CLASS_UNKNOWN) {
        by_status = class_of_status(c->status);
    }
    *v = (struct verdict){CLASS_UNKNOWN, TEXT_NONE};
    judge_code(dialect, header_code, v);
    for (size_t i = 0; i < c->words_n; i++) {
        judge_code(dialect, c->words[i], v);
    }
    for (size_t i = 0; i < c->sentences_n && !c->structured; i++) {
        judge_codes_in(dialect->words, c->sentences[i], v);
        judge_codes_in(common_words, c->sentences[i], v);
    }
    bool general = v->class == CLASS_UNKNOWN || v->class == ANSWER_BAD_REQUEST;
    if (general && by_status != CLASS_UNKNOWN) {
        v->class = by_status;
    }
    judge_sentences(dialect, c, v);
    if (v->class == ANSWER_WAIT && day_quota(c)) {
        v->class = ANSWER_DAY_OVER;
    }
}

/* --- The wait --- */

static bool asked_wait(const struct headers *headers, const struct complaint *c, int64_t *wait_us)
{
    static const char *const in_ms[] = {"retry-after-ms", "x-ms-retry-after-ms"};
    for (size_t i = 0; i < sizeof(in_ms) / sizeof(in_ms[0]); i++) {
        if (wait_read_ms(header_get(headers, in_ms[i]), wait_us)) {
            return true;
        }
    }
    if (header_wait(headers, "retry-after", wait_us) ||
        wait_read(c->retry_delay, headers->now_us, wait_us)) {
        return true;
    }
    for (size_t i = 0; i < c->sentences_n; i++) {
        if (wait_in_words(c->sentences[i], wait_us)) {
            return true;
        }
    }
    /* OpenRouter names no wait but the time at which its only limit starts anew. */
    return header_wait(headers, "x-ratelimit-reset", wait_us);
}

static void read_wait(const struct headers *headers, const struct complaint *c,
                      const struct dialect *dialect, struct answer *answer)
{
    int64_t wait_us;
    answer->retry_after_us = -1;
    if (answer->class == ANSWER_OK || !asked_wait(headers, c, &wait_us)) {
        return;
    }
    if (answer->class == ANSWER_WAIT && dialect->never_us && wait_us >= dialect->never_us) {
        answer->class = ANSWER_NEVER_FITS;
    }
    answer->asked_us = min_i64(wait_us, ASKED_US_MAX);
    answer->retry_after_us = min_i64(wait_us, RETRY_AFTER_US_MAX);
}

/* --- The rest --- */

static enum resend read_resend(const struct headers *headers)
{
    struct text t = header_get(headers, "x-should-retry");
    if (t.len == 4 && strncasecmp(t.at, "true", 4) == 0) {
        return RESEND_YES;
    }
    return t.len == 5 && strncasecmp(t.at, "false", 5) == 0 ? RESEND_NO : RESEND_UNSAID;
}

static bool plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("_-./:", c));
}

/* Reasons go into logs and metrics: letters, digits and a few signs, whatever came. */
static struct text write_reason(struct text from, char reason[ANSWER_REASON_MAX])
{
    size_t len = from.len < ANSWER_REASON_MAX ? from.len : ANSWER_REASON_MAX;
    for (size_t i = 0; i < len; i++) {
        reason[i] = plain(from.at[i]) ? from.at[i] : '_';
    }
    return (struct text){reason, len};
}

/* What HTTP says, where the body says nothing of use. */
static struct text write_status(int status, char reason[ANSWER_REASON_MAX])
{
    if (status < 300 || status > 999) {
        return write_reason(TEXT("error"), reason);
    }
    char http[] = "http_000";
    http[5] = (char)('0' + status / 100);
    http[6] = (char)('0' + status / 10 % 10);
    http[7] = (char)('0' + status % 10);
    return write_reason(text_of(http), reason);
}

/* The code that decided; else the first that is not just "error"; else how the call was cut off;
 * else the status. */
static struct text read_reason(const struct raw_answer *raw, const struct complaint *c,
                               struct text decided, char reason[ANSWER_REASON_MAX])
{
    if (decided.len) {
        return write_reason(decided, reason);
    }
    for (size_t i = 0; i < c->words_n; i++) {
        struct text word = bare_code(c->words[i]);
        if (word.len && strncasecmp(word.at, "error", word.len) != 0) {
            return write_reason(word, reason);
        }
    }
    const char *cut = raw->status < 300 && !c->structured ? cut_off_reason(c) : NULL;
    if (raw->status == 0 && !c->structured && c->sentences_n == 0) {
        cut = "no_answer";
    }
    if (cut) {
        return write_reason(text_of(cut), reason);
    }
    return write_status(raw->status >= 300 || !c->status ? raw->status : c->status, reason);
}

/* Dates are the provider's: they are held against its own clock where it tells the time. */
static int64_t time_of(const struct headers *headers)
{
    int64_t at_us;
    struct text date = header_get(headers, "date");
    return date.len && wait_read_date(date, &at_us) ? at_us : headers->now_us;
}

void answer_read(const struct dialect *dialect, const struct raw_answer *raw,
                 char reason[ANSWER_REASON_MAX], struct answer *answer)
{
    struct complaint complaint;
    struct verdict verdict;
    assert(dialect && raw && (raw->headers || raw->headers_n == 0));
    complaint_init(&complaint, raw->error);
    struct headers headers = {raw->headers, raw->headers_n, complaint.headers, raw->now_us};
    headers.now_us = time_of(&headers);
    judge(dialect, raw, &complaint, header_get(&headers, "x-amzn-errortype"), &verdict);
    bool told = verdict.class != CLASS_UNKNOWN;
    answer->class = told ? verdict.class : class_of_rest(raw, &complaint);
    answer->reached = raw->status != 0 || complaint.structured || told;
    answer->resend = read_resend(&headers);
    answer->status = raw->status;
    answer->elapsed_us = raw->elapsed_us;
    answer->asked_us = 0;
    answer->reason = TEXT_NONE;
    answer->readings_n = 0; /* and those beyond are left as they are */
    read_wait(&headers, &complaint, dialect, answer);
    if (answer->class != ANSWER_OK) {
        answer->reason = read_reason(raw, &complaint, verdict.code, reason);
    }
    readings_read(dialect, &headers, &complaint, answer->class == ANSWER_DAY_OVER, answer);
    complaint_release(&complaint);
}

bool answer_header_wanted(struct text name)
{
    static const struct text prefixes[] = {{"x-ratelimit", 11},      {"anthropic-ratelimit-", 20},
                                           {"ratelimit", 9},         {"retry-after", 11},
                                           {"x-ms-retry-after", 16}, {"x-should-retry", 14},
                                           {"x-amzn-errortype", 16}};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (name.len >= prefixes[i].len &&
            strncasecmp(name.at, prefixes[i].at, prefixes[i].len) == 0) {
            return true;
        }
    }
    return name.len == 4 && strncasecmp(name.at, "date", 4) == 0;
}
