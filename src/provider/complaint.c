#include "provider/complaint.h"

#include "base/buf.h"
#include "provider/answer.h"

#define DEPTH_MAX    8
#define ELEMENTS_MAX 8 /* of an array that are looked at */

static void collect(struct complaint *c, const json_value *v, int depth);

/* --- What a member means, by its name --- */

enum role {
    ROLE_WORD,     /* a code or type; a number is a status */
    ROLE_SENTENCE, /* for people; may itself hold JSON */
    ROLE_INSIDE,   /* holds more of the same; as a text, a sentence */
    ROLE_DELAY,
    ROLE_QUOTAS,
    ROLE_HEADERS,
    ROLE_NONE
};

static const struct {
    const char *name;
    enum role role;
} roles[] = {
    {"code", ROLE_WORD},
    {"type", ROLE_WORD},
    {"status", ROLE_WORD},
    {"reason", ROLE_WORD},
    {"error_code", ROLE_WORD},
    {"error_type", ROLE_WORD},
    {"limit_source", ROLE_WORD},
    {"name", ROLE_WORD},
    {"Code", ROLE_WORD},
    {"__type", ROLE_WORD},
    {"statusCode", ROLE_WORD},
    {"status_code", ROLE_WORD},
    {"httpStatusCode", ROLE_WORD},
    {"HTTPStatusCode", ROLE_WORD},
    {"originalStatusCode", ROLE_WORD},
    {"message", ROLE_SENTENCE},
    {"Message", ROLE_SENTENCE},
    {"msg", ROLE_SENTENCE},
    {"error_message", ROLE_SENTENCE},
    {"raw", ROLE_SENTENCE},
    {"detail", ROLE_INSIDE},
    {"error", ROLE_INSIDE},
    {"Error", ROLE_INSIDE},
    {"errors", ROLE_INSIDE},
    {"response", ROLE_INSIDE},
    {"details", ROLE_INSIDE},
    {"metadata", ROLE_INSIDE},
    {"innererror", ROLE_INSIDE},
    {"ResponseMetadata", ROLE_INSIDE},
    {"$metadata", ROLE_INSIDE},
    {"retryDelay", ROLE_DELAY},
    {"violations", ROLE_QUOTAS},
    {"headers", ROLE_HEADERS},
    {"HTTPHeaders", ROLE_HEADERS},
};

/* Bedrock's streams name an error by the member that holds it: "throttlingException". */
static bool names_exception(struct text name)
{
    struct text tail = TEXT("Exception");
    return name.len > tail.len && memcmp(name.at + name.len - tail.len, tail.at, tail.len) == 0;
}

static enum role role_of(struct text name)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (text_equal(name, text_of(roles[i].name))) {
            return roles[i].role;
        }
    }
    return ROLE_NONE;
}

/* --- Collecting --- */

static void add_status(struct complaint *c, int64_t status)
{
    if (c->status == 0 && status >= 400 && status <= 599) {
        c->status = (int)status;
    }
}

/* The value is written as a text of digits, as protocol buffers write 64-bit integers. */
static int64_t digits_of(struct text t)
{
    int64_t n = 0;
    if (t.len == 0 || t.len > 15) {
        return -1;
    }
    for (size_t i = 0; i < t.len; i++) {
        if (t.at[i] < '0' || t.at[i] > '9') {
            return -1;
        }
        n = n * 10 + (t.at[i] - '0');
    }
    return n;
}

static void add_word(struct complaint *c, struct text word)
{
    if (word.len >= 4 && memcmp(word.at, "http", 4) == 0) {
        return; /* a problem's type (RFC 9457) is an address */
    }
    int64_t number = digits_of(word);
    if (number >= 0) {
        add_status(c, number); /* Azure and Mistral write numbers of their own as well */
    } else if (word.len && word.len <= COMPLAINT_WORD_LEN_MAX && c->words_n < COMPLAINT_WORDS_MAX) {
        c->words[c->words_n++] = word;
    }
}

static void add_sentence(struct complaint *c, struct text t)
{
    if (t.len && c->sentences_n < COMPLAINT_SENTENCES_MAX) {
        t.len = t.len < COMPLAINT_SENTENCE_MAX ? t.len : COMPLAINT_SENTENCE_MAX;
        c->sentences[c->sentences_n++] = t;
    }
}

static const json_value *parse_inside(struct complaint *c, struct text t)
{
    if (c->documents_n == COMPLAINT_DOCUMENTS_MAX || t.len > ANSWER_BODY_MAX) {
        return NULL;
    }
    struct buf why;
    buf_init(&why, 256);
    json_value *document = NULL;
    int err = json_parse(t, &document, &why);
    buf_release(&why);
    if (err) {
        return NULL;
    }
    c->documents[c->documents_n++] = document;
    return document;
}

static void collect_text(struct complaint *c, struct text t, int depth)
{
    size_t blank = 0;
    while (blank < t.len && strchr(" \t\r\n", t.at[blank])) {
        blank++;
    }
    struct text rest = {t.at + blank, t.len - blank};
    if (rest.len && (rest.at[0] == '{' || rest.at[0] == '[')) {
        const json_value *inside = parse_inside(c, rest);
        if (inside) {
            collect(c, inside, depth + 1);
            return;
        }
    }
    add_sentence(c, t);
}

static struct text text_in(const json_value *object, const char *key)
{
    struct text t = TEXT_NONE;
    const json_value *v = json_get(object, key);
    return v && json_read_text(v, &t) ? t : TEXT_NONE;
}

static void collect_quotas(struct complaint *c, const json_value *v)
{
    const json_value *at = json_array_next(v, NULL);
    for (; at && c->quotas_n < COMPLAINT_QUOTAS_MAX; at = json_array_next(v, at)) {
        struct quota q = {.metric = text_in(at, "quotaMetric"),
                          .id = text_in(at, "quotaId"),
                          .value = digits_of(text_in(at, "quotaValue"))};
        if (q.metric.len || q.id.len) {
            c->quotas[c->quotas_n++] = q;
        }
    }
}

static void collect_word(struct complaint *c, const json_value *v, int depth)
{
    struct text t;
    int64_t n;
    if (json_read_text(v, &t)) {
        add_word(c, t);
    } else if (json_is_number(v) && json_read_i64(v, &n)) {
        add_status(c, n);
    } else {
        collect(c, v, depth + 1);
    }
}

struct walk {
    struct complaint *c;
    int depth;
};

static int collect_member(void *ctx, struct text name, json_value *v)
{
    struct walk *w = ctx;
    struct text t = TEXT_NONE;
    switch (role_of(name)) {
    case ROLE_WORD: collect_word(w->c, v, w->depth); break;
    case ROLE_SENTENCE:
    case ROLE_INSIDE: collect(w->c, v, w->depth + 1); break;
    case ROLE_DELAY: w->c->retry_delay = json_read_text(v, &t) ? t : w->c->retry_delay; break;
    case ROLE_QUOTAS: collect_quotas(w->c, v); break;
    case ROLE_HEADERS: w->c->headers = json_is_object(v) ? v : w->c->headers; break;
    case ROLE_NONE:
        if (names_exception(name) && json_is_object(v)) {
            add_word(w->c, name);
            collect(w->c, v, w->depth + 1);
        }
        break;
    }
    return 0;
}

static void collect(struct complaint *c, const json_value *v, int depth)
{
    struct text t;
    if (depth > DEPTH_MAX) {
        return;
    }
    if (json_is_object(v)) {
        struct walk w = {c, depth};
        (void)json_each(v, collect_member, &w); /* collect_member goes on to the end */
    } else if (json_is_array(v)) {
        const json_value *at = json_array_next(v, NULL);
        for (int i = 0; at && i < ELEMENTS_MAX; i++, at = json_array_next(v, at)) {
            collect(c, at, depth + 1);
        }
    } else if (json_read_text(v, &t)) {
        collect_text(c, t, depth);
    }
}

void complaint_init(struct complaint *c, const json_value *error)
{
    /* The lists are left as they are: nothing is in them yet. */
    c->words_n = 0;
    c->sentences_n = 0;
    c->quotas_n = 0;
    c->status = 0;
    c->retry_delay = TEXT_NONE;
    c->headers = NULL;
    c->documents_n = 0;
    if (error) {
        collect(c, error, 0);
    }
    c->structured = (json_is_object(error) || json_is_array(error) || c->documents_n) &&
                    (c->words_n || c->sentences_n || c->status);
}

void complaint_release(struct complaint *c)
{
    for (size_t i = 0; i < c->documents_n; i++) {
        json_free(c->documents[i]);
    }
    c->documents_n = 0;
}
