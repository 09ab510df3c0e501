/*
 * The walk knows strings, numbers and nesting, and leaves to json-c where each may stand. A string
 * is UTF-8 without control characters; its escapes are those of RFC 8259, without \u0000 (a key is
 * a C string to json-c) and without half of a surrogate pair. A number follows the grammar and has
 * at most NUMBER_BYTES_MAX bytes, which is what json-c holds without allocating.
 */
#include "http/json_scan.h"

#include <assert.h>

#include "base/num.h"
#include "http/json.h"
#include "http/utf8.h"

#define NUMBER_BYTES_MAX 30

static bool wrong(struct json_scan *s, const char *words)
{
    s->wrong = words;
    return false;
}

/* The byte at hand, or 0 at the end; a NUL in the text is taken for an unexpected byte elsewhere.
 */
static char peek(const struct json_scan *s)
{
    return s->at < s->text.len ? s->text.at[s->at] : '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* --- Strings. --- */

/* Reads the four hex digits of a \u escape. */
static bool scan_hex4(struct json_scan *s, unsigned *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        char c = peek(s);
        unsigned digit = 0;
        if (is_digit(c)) {
            digit = (unsigned)(c - '0');
        } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
            digit = (unsigned)((c | 0x20) - 'a' + 10);
        } else {
            return wrong(s, "a \\u escape is malformed");
        }
        *unit = *unit * 16 + digit;
    }
    return true;
}

static bool is_high_surrogate(unsigned unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low_surrogate(unsigned unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

static unsigned pair_character(unsigned high, unsigned low)
{
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* json-c takes a character for half of a pair where its lower 16 bits look like one. */
static bool is_misread(unsigned character)
{
    return (character & 0xf800) == 0xd800;
}

/* Behind "\u". */
static bool scan_unicode(struct json_scan *s)
{
    unsigned unit;
    unsigned low;
    if (!scan_hex4(s, &unit)) {
        return false;
    }
    if (unit == 0) {
        return wrong(s, "a string must not hold a NUL");
    }
    if (is_low_surrogate(unit)) {
        return wrong(s, "a surrogate stands alone");
    }
    if (!is_high_surrogate(unit)) {
        s->string_bytes += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
        return true;
    }
    if (s->text.len - s->at < 2 || s->text.at[s->at] != '\\' || s->text.at[s->at + 1] != 'u') {
        return wrong(s, "a surrogate stands alone");
    }
    s->at += 2;
    if (!scan_hex4(s, &low)) {
        return false;
    }
    if (!is_low_surrogate(low)) {
        return wrong(s, "a surrogate stands alone");
    }
    s->string_bytes += 4;
    s->misread += is_misread(pair_character(unit, low));
    return true;
}

/* Behind a backslash. */
static bool scan_escape(struct json_scan *s)
{
    char c = peek(s);
    if (c == '\0' || !strchr("\"\\/bfnrtu", c)) {
        return wrong(s, "an escape is unknown");
    }
    s->at++;
    if (c == 'u') {
        return scan_unicode(s);
    }
    s->string_bytes++;
    return true;
}

/* Behind the opening quote, up to and with the closing one. */
static bool scan_string(struct json_scan *s)
{
    while (s->at < s->text.len) {
        unsigned char c = (unsigned char)s->text.at[s->at];
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c == '\\') {
            s->at++;
            if (!scan_escape(s)) {
                return false;
            }
            continue;
        }
        if (c < ' ') {
            return wrong(s, "a string holds a control character");
        }
        size_t n = c < 0x80 ? 1 : utf8_length(s->text.at + s->at, s->text.len - s->at);
        if (n == 0) {
            return wrong(s, "a string is not valid UTF-8");
        }
        s->at += n;
        s->string_bytes += n;
    }
    return wrong(s, "a string has no end");
}

/* --- Numbers. --- */

static bool scan_digits(struct json_scan *s)
{
    if (!is_digit(peek(s))) {
        return wrong(s, "a number is malformed");
    }
    while (is_digit(peek(s))) {
        s->at++;
    }
    return true;
}

static bool scan_fraction_and_exponent(struct json_scan *s)
{
    if (peek(s) == '.') {
        s->at++;
        if (!scan_digits(s)) {
            return false;
        }
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-') {
            s->at++;
        }
        return scan_digits(s);
    }
    return true;
}

/* Whether json-c can hold an integer of at most NUMBER_BYTES_MAX bytes; it would silently take the
 * nearest that it can. */
static bool integer_fits(const char *at, size_t len)
{
    bool negative = at[0] == '-';
    int128 n = 0;
    for (size_t i = negative; i < len; i++) {
        n = n * 10 + (at[i] - '0');
    }
    return negative ? -n >= INT64_MIN : n <= UINT64_MAX;
}

/* At a minus or a digit. */
static bool scan_number(struct json_scan *s)
{
    size_t start = s->at;
    if (peek(s) == '-') {
        s->at++;
    }
    if (peek(s) == '0') {
        s->at++;
        if (is_digit(peek(s))) {
            return wrong(s, "a number begins with a zero");
        }
    } else if (!scan_digits(s)) {
        return false;
    }
    size_t integer_len = s->at - start;
    if (!scan_fraction_and_exponent(s)) {
        return false;
    }
    if (s->at - start > NUMBER_BYTES_MAX) {
        return wrong(s, "a number is too long");
    }
    bool is_integer = s->at - start == integer_len;
    return !is_integer || integer_fits(s->text.at + start, integer_len) ||
           wrong(s, "an integer is out of range");
}

/* --- The text. --- */

/* The words true, false and null, whole and in lower case. */
static bool scan_word(struct json_scan *s)
{
    static const struct text words[] = {{"true", 4}, {"false", 5}, {"null", 4}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (s->text.len - s->at >= words[i].len &&
            memcmp(s->text.at + s->at, words[i].at, words[i].len) == 0) {
            s->at += words[i].len;
            return true;
        }
    }
    return wrong(s, "unexpected character");
}

/* Behind an opening bracket. */
static bool scan_nest(struct json_scan *s)
{
    if (++s->depth > JSON_DEPTH_MAX) {
        return wrong(s, "values are nested too deeply");
    }
    return ++s->nests <= JSON_NESTS_MAX || wrong(s, "there are too many objects and arrays");
}

/* At the beginning of a name or a value that is neither object nor array. */
static bool scan_scalar(struct json_scan *s)
{
    char c = s->text.at[s->at];
    if (++s->values > JSON_VALUES_MAX) {
        return wrong(s, "there are too many values");
    }
    if (c == '"') {
        s->at++;
        return scan_string(s);
    }
    return c == '-' || is_digit(c) ? scan_number(s) : scan_word(s);
}

static bool scan_token(struct json_scan *s)
{
    switch (s->text.at[s->at]) {
    case '[':
    case '{': s->at++; return scan_nest(s);
    case ']':
    case '}':
        if (s->depth == 0) {
            return wrong(s, "unexpected character");
        }
        s->at++;
        s->depth--;
        return true;
    case ':':
        s->members++;
        s->at++;
        return true;
    case ',':
    case ' ':
    case '\t':
    case '\r':
    case '\n': s->at++; return true;
    default: return scan_scalar(s);
    }
}

bool json_scan(struct json_scan *s, struct text text)
{
    *s = (struct json_scan){.text = text};
    while (s->at < text.len) {
        if (!scan_token(s)) {
            return false;
        }
    }
    return true;
}

static void add_utf8_4(struct buf *out, unsigned character)
{
    buf_add_char(out, (char)(0xf0 | character >> 18));
    buf_add_char(out, (char)(0x80 | (character >> 12 & 0x3f)));
    buf_add_char(out, (char)(0x80 | (character >> 6 & 0x3f)));
    buf_add_char(out, (char)(0x80 | (character & 0x3f)));
}

void json_spell_pairs(struct text text, struct buf *out)
{
    struct json_scan s = {.text = text};
    while (s.at < text.len) {
        size_t from = s.at;
        unsigned high, low;
        if (peek(&s) != '\\') {
            buf_add_char(out, text.at[s.at++]);
            continue;
        }
        s.at += 2;
        bool pair = text.at[from + 1] == 'u' && scan_hex4(&s, &high) && is_high_surrogate(high);
        if (!pair) {
            buf_add(out, text.at + from, s.at - from);
            continue;
        }
        s.at += 2;
        bool read = scan_hex4(&s, &low);
        assert(read && is_low_surrogate(low)); /* json_scan took the text */
        if (read) {
            add_utf8_4(out, pair_character(high, low));
        }
    }
}
