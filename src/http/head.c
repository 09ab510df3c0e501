/*
 * A head is read twice. head_find_end walks its lines as they arrive and stops at the empty one;
 * it sees to line ends and sizes, so that a client cannot make us keep much. head_parse then cuts
 * the whole head: the request line, each field, and what they say together about the body. At
 * last the parser library judges the same bytes, and both must agree on where the body ends: a
 * request that two readers understand differently is what smuggling is made of.
 *
 * The order of the refusals is: line ends and sizes, the request line, the fields, the body's
 * length, the parser.
 */
#include "http/head.h"

#include <assert.h>
#include <strings.h>

#include "http/parser.h"

#define LENGTH_DIGITS_MAX 18

static int refuse(int status, const char **reason, const char *words)
{
    *reason = words;
    return status;
}

/* The characters of a token (RFC 9110, 5.6.2): methods and field names. */
static const unsigned char token_chars[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1,
    ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1,  ['~'] = 1, ['0'] = 1,
    ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1,  ['7'] = 1, ['8'] = 1,
    ['9'] = 1, ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1,  ['F'] = 1, ['G'] = 1,
    ['H'] = 1, ['I'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1, ['M'] = 1,  ['N'] = 1, ['O'] = 1,
    ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1, ['U'] = 1,  ['V'] = 1, ['W'] = 1,
    ['X'] = 1, ['Y'] = 1, ['Z'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1,  ['d'] = 1, ['e'] = 1,
    ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1,  ['l'] = 1, ['m'] = 1,
    ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1,  ['t'] = 1, ['u'] = 1,
    ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1,
};

static bool is_token(struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        if (!token_chars[(unsigned char)t.at[i]]) {
            return false;
        }
    }
    return t.len > 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Whether a text is the given lower-case word, in any case of its own. */
static bool is_word(struct text t, const char *word, size_t len)
{
    if (t.len != len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (lower(t.at[i]) != word[i]) {
            return false;
        }
    }
    return true;
}

#define IS_WORD(t, literal) is_word(t, "" literal, sizeof(literal) - 1)

/* Says which cap a head that is still arriving has passed; 0 while none. */
static int check_size(const struct head *head, struct text bytes, const char **reason)
{
    if (bytes.len <= head->target_bytes_max && bytes.len <= head->bytes_max) {
        return 0;
    }
    if (!memchr(bytes.at, '\n', bytes.len)) {
        return refuse(414, reason, "the request line is too long");
    }
    if (bytes.len > head->bytes_max) {
        return refuse(431, reason, "the headers are too large");
    }
    return 0;
}

int head_find_end(struct head *head, struct text bytes, size_t *searched, const char **reason)
{
    size_t line = *searched;
    head->bytes = 0;
    for (;;) {
        const char *end = memchr(bytes.at + line, '\n', bytes.len - line);
        if (!end) {
            *searched = line;
            return check_size(head, bytes, reason);
        }
        size_t at = (size_t)(end - bytes.at);
        if (at == 0 || bytes.at[at - 1] != '\r') {
            return refuse(400, reason, "a line must end in CR LF");
        }
        if (at + 1 > head->bytes_max) {
            return line == 0 ? refuse(414, reason, "the request line is too long")
                             : refuse(431, reason, "the headers are too large");
        }
        if (at == line + 1) {
            head->bytes = at + 1;
            return 0;
        }
        line = at + 1;
    }
}

/* Takes what stands before the next `stop` off the front of `rest`, and the stop with it. */
static bool take_until(struct text *rest, char stop, struct text *taken)
{
    const char *end = memchr(rest->at, stop, rest->len);
    if (!end) {
        return false;
    }
    *taken = (struct text){rest->at, (size_t)(end - rest->at)};
    rest->len -= taken->len + 1;
    rest->at = end + 1;
    return true;
}

/* The next line of a head that head_find_end has approved, without its CR LF. */
static struct text take_line(struct text *rest)
{
    struct text line = TEXT_NONE;
    bool found = take_until(rest, '\n', &line);
    assert(found && line.len > 0);
    (void)found;
    line.len--;
    return line;
}

static int parse_version(struct head *head, struct text version, const char **reason)
{
    if (text_equal(version, TEXT("HTTP/1.1")) || text_equal(version, TEXT("HTTP/1.0"))) {
        head->minor = version.at[7] - '0';
        return 0;
    }
    bool shaped = version.len == 8 && memcmp(version.at, "HTTP/", 5) == 0 && version.at[5] >= '0' &&
                  version.at[5] <= '9' && version.at[6] == '.' && version.at[7] >= '0' &&
                  version.at[7] <= '9';
    return shaped ? refuse(505, reason, "only HTTP/1.1 and HTTP/1.0 are spoken here")
                  : refuse(400, reason, "the request line is malformed");
}

/* Leaves of "http://host/path" what a server of that host is asked for. */
static bool strip_authority(struct text *target)
{
    static const struct text schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < 2; i++) {
        struct text scheme = schemes[i];
        if (target->len > scheme.len &&
            is_word((struct text){target->at, scheme.len}, scheme.at, scheme.len)) {
            size_t at = scheme.len;
            while (at < target->len && target->at[at] != '/' && target->at[at] != '?') {
                at++;
            }
            *target =
                at < target->len ? (struct text){target->at + at, target->len - at} : TEXT("/");
            return true;
        }
    }
    return false;
}

static int parse_target(struct head *head, struct text target, const char **reason)
{
    if (target.len > head->target_bytes_max) {
        return refuse(414, reason, "the request's target is too long");
    }
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.at[i];
        if (c <= ' ' || c >= 0x7f || c == '#') {
            return refuse(400, reason, "the target holds a character that must be encoded");
        }
    }
    bool asterisk = text_equal(target, TEXT("*")) && text_equal(head->method, TEXT("OPTIONS"));
    if (target.len == 0 || (target.at[0] != '/' && !asterisk && !strip_authority(&target))) {
        return refuse(400, reason, "the target must begin with a slash");
    }
    struct text rest = target;
    if (take_until(&rest, '?', &head->path)) {
        head->query = rest;
    } else {
        head->path = target;
        head->query = TEXT_NONE;
    }
    if (head->path.len == 0) {
        head->path = TEXT("/"); /* "http://host?query" */
    }
    return 0;
}

static int parse_request_line(struct head *head, struct text line, const char **reason)
{
    struct text target = TEXT_NONE;
    if (!take_until(&line, ' ', &head->method) || !is_token(head->method) ||
        !take_until(&line, ' ', &target)) {
        return refuse(400, reason, "the request line is malformed");
    }
    int status = parse_version(head, line, reason);
    if (status) {
        return status;
    }
    if (text_equal(head->method, TEXT("CONNECT"))) {
        return refuse(501, reason, "this is not a proxy");
    }
    return parse_target(head, target, reason);
}

/* Whether a field's value holds nothing but visible characters, spaces and tabs. */
static bool is_clean(struct text value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct text trimmed(struct text t)
{
    while (t.len && is_blank(t.at[0])) {
        t.at++;
        t.len--;
    }
    while (t.len && is_blank(t.at[t.len - 1])) {
        t.len--;
    }
    return t;
}

static int parse_field(struct head *head, struct text line, const char **reason)
{
    if (is_blank(line.at[0])) {
        return refuse(400, reason, "a header must not be folded over lines");
    }
    if (head->fields_n == head->fields_max) {
        return refuse(431, reason, "there are too many headers");
    }
    struct head_field *field = &head->fields[head->fields_n];
    if (!take_until(&line, ':', &field->name) || !is_token(field->name)) {
        return refuse(400, reason, "a header's name is malformed");
    }
    if (!is_clean(line)) {
        return refuse(400, reason, "a header's value holds a control character");
    }
    field->value = trimmed(line);
    head->fields_n++;
    return 0;
}

/* What the fields say that decides about the body and the connection. */
struct framing {
    struct text length;
    struct text encoding;
    struct text expect;
    size_t lengths_n;
    size_t encodings_n;
    size_t expects_n;
    size_t hosts_n;
};

static void note_field(struct framing *f, const struct head_field *field)
{
    if (IS_WORD(field->name, "content-length")) {
        f->length = field->value;
        f->lengths_n++;
    } else if (IS_WORD(field->name, "transfer-encoding")) {
        f->encoding = field->value;
        f->encodings_n++;
    } else if (IS_WORD(field->name, "expect")) {
        f->expect = field->value;
        f->expects_n++;
    } else if (IS_WORD(field->name, "host")) {
        f->hosts_n++;
    }
}

static int parse_length(struct head *head, struct text value, const char **reason)
{
    uint64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9') {
            return refuse(400, reason, "Content-Length is not a number");
        }
    }
    if (value.len == 0) {
        return refuse(400, reason, "Content-Length is empty");
    }
    if (value.len > LENGTH_DIGITS_MAX) {
        return refuse(413, reason, "the body is too large");
    }
    for (size_t i = 0; i < value.len; i++) {
        length = length * 10 + (uint64_t)(value.at[i] - '0');
    }
    head->length = length;
    return 0;
}

static int judge_encoding(struct head *head, const struct framing *f, const char **reason)
{
    if (f->lengths_n) {
        return refuse(400, reason, "Content-Length and Transfer-Encoding exclude each other");
    }
    if (head->minor == 0) {
        return refuse(400, reason, "HTTP/1.0 has no Transfer-Encoding");
    }
    if (f->encodings_n > 1 || !IS_WORD(f->encoding, "chunked")) {
        return refuse(501, reason, "the only transfer encoding taken is chunked");
    }
    head->chunked = true;
    return 0;
}

static bool method_brings_body(struct text method)
{
    return text_equal(method, TEXT("POST")) || text_equal(method, TEXT("PUT")) ||
           text_equal(method, TEXT("PATCH"));
}

static int judge_body(struct head *head, const struct framing *f, const char **reason)
{
    if (f->encodings_n) {
        return judge_encoding(head, f, reason);
    }
    if (f->lengths_n > 1) {
        return refuse(400, reason, "there is more than one Content-Length");
    }
    if (f->lengths_n == 1) {
        return parse_length(head, f->length, reason);
    }
    if (method_brings_body(head->method)) {
        return refuse(411, reason, "a Content-Length is required, 0 where there is no body");
    }
    return 0;
}

static int judge_fields(struct head *head, const char **reason)
{
    struct framing f = {.lengths_n = 0};
    for (size_t i = 0; i < head->fields_n; i++) {
        note_field(&f, &head->fields[i]);
    }
    if (f.hosts_n > 1 || (f.hosts_n == 0 && head->minor == 1)) {
        return refuse(400, reason, "there must be exactly one Host header");
    }
    int status = judge_body(head, &f, reason);
    if (status) {
        return status;
    }
    if (f.expects_n && head->minor == 1) {
        if (f.expects_n > 1 || !IS_WORD(f.expect, "100-continue")) {
            return refuse(417, reason, "the only expectation met is 100-continue");
        }
        head->expects_continue = true;
    }
    return 0;
}

/* Asks the parser library about the same bytes. */
static int judge_again(struct head *head, struct text bytes, const char **reason)
{
    struct parser_opinion opinion;
    int status = parser_judge(bytes, &opinion, reason);
    if (status) {
        return status;
    }
    if (opinion.chunked != head->chunked || (!head->chunked && opinion.length != head->length)) {
        return refuse(400, reason, "the body's length is ambiguous");
    }
    head->keep_alive = opinion.keep_alive;
    return 0;
}

int head_parse(struct head *head, struct text bytes, const char **reason)
{
    struct text rest = bytes;
    head->fields_n = 0;
    head->length = 0;
    head->chunked = false;
    head->expects_continue = false;
    head->bytes = bytes.len;
    int status = parse_request_line(head, take_line(&rest), reason);
    while (!status) {
        struct text line = take_line(&rest);
        if (line.len == 0) {
            break;
        }
        status = parse_field(head, line, reason);
    }
    if (!status) {
        status = judge_fields(head, reason);
    }
    return status ? status : judge_again(head, bytes, reason);
}

struct text head_field(const struct head *head, struct text name)
{
    for (size_t i = 0; i < head->fields_n; i++) {
        struct text known = head->fields[i].name;
        if (known.len == name.len && strncasecmp(known.at, name.at, name.len) == 0) {
            return head->fields[i].value;
        }
    }
    return TEXT_NONE;
}
