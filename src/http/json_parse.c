/*
 * A JSON text becomes a document in one pass.
 *
 * The grammar is RFC 8259's and nothing beyond it, with a few things refused that it allows: two
 * members of one name, \u0000 (texts travel on as C strings), half of a surrogate pair, a number
 * of more than NUMBER_BYTES_MAX bytes, an integer that neither int64 nor uint64 holds, and more
 * nesting, containers or values than the caps in json.h.
 *
 * The memory is taken once, before the walk: a value takes at least two bytes of text (itself and
 * what parts it from the next), and a string is never longer decoded than written with its quotes,
 * so the length of the text bounds both nodes and texts.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/num.h"
#include "http/json.h"
#include "http/json_node.h"
#include "http/plain.h"
#include "http/utf8.h"

#define NUMBER_BYTES_MAX 30
#define FEW_MEMBERS      16
#define NODES_MAX        (JSON_VALUES_MAX + JSON_NESTS_MAX)
#define ROOM_KEPT_BYTES  65536u

struct parser {
    struct text text;
    size_t at; /* where the walk stands, or what it did not take */
    size_t depth;
    size_t nests;
    size_t values; /* names and values that are neither object nor array */
    struct json_value *nodes;
    size_t nodes_n;
    size_t nodes_max;
    char *out; /* where the next text goes */
    bool no_memory;
    const char *wrong; /* NULL while nothing is */
};

static bool wrong(struct parser *p, const char *words)
{
    p->wrong = words;
    return false;
}

/* The byte at hand, or 0 at the end; a NUL in the text is nowhere taken. */
JSON_INLINE char peek(const struct parser *p)
{
    return p->at < p->text.len ? p->text.at[p->at] : '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* --- Strings. --- */

/* Reads the four hex digits of a \u escape. */
static bool scan_hex4(struct parser *p, unsigned *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, p->at++) {
        int digit = hex_value(peek(p));
        if (digit < 0) {
            return wrong(p, "a \\u escape is malformed");
        }
        *unit = *unit * 16 + (unsigned)digit;
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

static void add_character(struct parser *p, unsigned c)
{
    if (c < 0x80) {
        *p->out++ = (char)c;
        return;
    }
    if (c < 0x800) {
        *p->out++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *p->out++ = (char)(0xe0 | c >> 12);
        } else {
            *p->out++ = (char)(0xf0 | c >> 18);
            *p->out++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *p->out++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *p->out++ = (char)(0x80 | (c & 0x3f));
}

/* Behind "\u". */
static bool scan_unicode(struct parser *p)
{
    unsigned unit;
    unsigned low;
    if (!scan_hex4(p, &unit)) {
        return false;
    }
    if (unit == 0) {
        return wrong(p, "a string must not hold a NUL");
    }
    if (is_low_surrogate(unit)) {
        return wrong(p, "a surrogate stands alone");
    }
    if (!is_high_surrogate(unit)) {
        add_character(p, unit);
        return true;
    }
    if (p->text.len - p->at < 2 || p->text.at[p->at] != '\\' || p->text.at[p->at + 1] != 'u') {
        return wrong(p, "a surrogate stands alone");
    }
    p->at += 2;
    if (!scan_hex4(p, &low)) {
        return false;
    }
    if (!is_low_surrogate(low)) {
        return wrong(p, "a surrogate stands alone");
    }
    add_character(p, pair_character(unit, low));
    return true;
}

/* Behind a backslash. */
static bool scan_escape(struct parser *p)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    char c = peek(p);
    const char *found = c ? strchr(names, c) : NULL;
    if (!found && c != 'u') {
        return wrong(p, "an escape is unknown");
    }
    p->at++;
    if (c == 'u') {
        return scan_unicode(p);
    }
    *p->out++ = values[found - names];
    return true;
}

/* Behind the opening quote: the whole of a string in which nothing is special, as most are. False
 * where it is not such a one, and then nothing is taken. */
static bool scan_plain_string(struct parser *p)
{
    const char *from = p->text.at + p->at;
    size_t left = p->text.len - p->at;
    size_t n = plain_length((struct text){from, left});
    if (n == left || from[n] != '"') {
        return false;
    }
    bytes_copy(p->out, from, n);
    p->out[n] = '\0';
    p->out += n + 1;
    p->at += n + 1;
    return true;
}

/* Bytes that stand for themselves, at once. */
static void copy_plain(struct parser *p)
{
    const char *from = p->text.at + p->at;
    size_t n = plain_length((struct text){from, p->text.len - p->at});
    bytes_copy(p->out, from, n);
    p->out += n;
    p->at += n;
}

/* One character that is not plain: an escape, DEL, or more than one byte of UTF-8. */
static bool scan_special(struct parser *p)
{
    if (peek(p) == '\\') {
        p->at++;
        return scan_escape(p);
    }
    if ((unsigned char)peek(p) < ' ') {
        return wrong(p, "a string holds a control character");
    }
    size_t n = utf8_length(p->text.at + p->at, p->text.len - p->at);
    if (n == 0) {
        return wrong(p, "a string is not valid UTF-8");
    }
    memcpy(p->out, p->text.at + p->at, n);
    p->out += n;
    p->at += n;
    return true;
}

/* Behind the opening quote, up to and with the closing one; decoded, with a zero behind. */
APART static bool scan_string(struct parser *p)
{
    for (;;) {
        copy_plain(p);
        if (p->at == p->text.len) {
            return wrong(p, "a string has no end");
        }
        if (peek(p) == '"') {
            p->at++;
            *p->out++ = '\0';
            return true;
        }
        if (!scan_special(p)) {
            return false;
        }
    }
}

/* --- Numbers. --- */

static bool scan_digits(struct parser *p)
{
    size_t at = p->at;
    while (at < p->text.len && is_digit(p->text.at[at])) {
        at++;
    }
    bool any = at > p->at;
    p->at = at;
    return any || wrong(p, "a number is malformed");
}

static bool scan_fraction_and_exponent(struct parser *p)
{
    if (peek(p) == '.') {
        p->at++;
        if (!scan_digits(p)) {
            return false;
        }
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        p->at++;
        if (peek(p) == '+' || peek(p) == '-') {
            p->at++;
        }
        return scan_digits(p);
    }
    return true;
}

/* Whether an integer of at most NUMBER_BYTES_MAX bytes is one of int64 or uint64. */
static bool integer_fits(const char *at, size_t len)
{
    bool negative = at[0] == '-';
    int128 n = 0;
    if (len <= JSON_SHORT_DIGITS) {
        return true;
    }
    for (size_t i = negative; i < len; i++) {
        n = n * 10 + (at[i] - '0');
    }
    return negative ? -n >= INT64_MIN : n <= UINT64_MAX;
}

/* The whole of a number that is a few digits, as most are. False where it is not such a one, and
 * then nothing is taken. */
static bool scan_plain_number(struct parser *p)
{
    const char *from = p->text.at + p->at;
    size_t left = p->text.len - p->at;
    size_t n = 0;
    while (n < left && is_digit(from[n])) {
        n++;
    }
    if (n == 0 || n == left || n > JSON_SHORT_DIGITS || from[0] == '0' || from[n] == '.' ||
        (from[n] | 0x20) == 'e') {
        return false;
    }
    p->at += n;
    return true;
}

/* At a minus or a digit. */
APART static bool scan_number(struct parser *p)
{
    size_t start = p->at;
    if (peek(p) == '-') {
        p->at++;
    }
    if (peek(p) == '0') {
        p->at++;
        if (is_digit(peek(p))) {
            return wrong(p, "a number begins with a zero");
        }
    } else if (!scan_digits(p)) {
        return false;
    }
    size_t integer_len = p->at - start;
    if (!scan_fraction_and_exponent(p)) {
        return false;
    }
    if (p->at - start > NUMBER_BYTES_MAX) {
        return wrong(p, "a number is too long");
    }
    bool is_integer = p->at - start == integer_len;
    return !is_integer || integer_fits(p->text.at + start, integer_len) ||
           wrong(p, "an integer is out of range");
}

/* --- Nodes. --- */

/* The next node, or NULL at the cap. */
JSON_INLINE struct json_value *add_node(struct parser *p, enum json_kind kind)
{
    p->values += kind < JSON_ARRAY;
    if (unlikely(p->values > JSON_VALUES_MAX || p->nodes_n == p->nodes_max)) {
        wrong(p, "there are too many values");
        return NULL;
    }
    struct json_value *v = &p->nodes[p->nodes_n++];
    *v = (struct json_value){.size = 1, .kind = kind};
    return v;
}

/* A node whose text was written from `from` on, its zero included. */
JSON_INLINE bool add_text(struct parser *p, enum json_kind kind, const char *from)
{
    struct json_value *v = add_node(p, kind);
    if (v) {
        v->text = from;
        v->len = (uint32_t)(p->out - from) - 1;
    }
    return v != NULL;
}

static bool parse_string(struct parser *p)
{
    const char *from = p->out;
    p->at++;
    return (scan_plain_string(p) || scan_string(p)) && add_text(p, JSON_STRING, from);
}

APART static bool parse_number(struct parser *p)
{
    const char *from = p->out;
    size_t start = p->at;
    if (!scan_plain_number(p) && !scan_number(p)) {
        return false;
    }
    bytes_copy(p->out, p->text.at + start, p->at - start);
    p->out += p->at - start;
    *p->out++ = '\0';
    return add_text(p, JSON_NUMBER, from);
}

static bool unexpected(struct parser *p)
{
    return wrong(p, p->at < p->text.len ? "unexpected character" : "unexpected end");
}

/* The words true, false and null, whole and in lower case. */
APART static bool parse_word(struct parser *p)
{
    static const struct {
        struct text word;
        enum json_kind kind;
    } words[] = {{{"true", 4}, JSON_TRUE}, {{"false", 5}, JSON_FALSE}, {{"null", 4}, JSON_NULL}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct text word = words[i].word;
        if (p->text.len - p->at >= word.len && memcmp(p->text.at + p->at, word.at, word.len) == 0) {
            p->at += word.len;
            return add_node(p, words[i].kind) != NULL;
        }
    }
    return unexpected(p);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* Goes to the next character that is not white space, as it mostly is at once; 0 at the end. */
JSON_INLINE char skip_space(struct parser *p)
{
    char c = peek(p);
    while (unlikely(c <= ' ') && is_space(c)) {
        p->at++;
        c = peek(p);
    }
    return c;
}

/* Takes the character that must stand here. */
static bool expect(struct parser *p, char c)
{
    if (skip_space(p) != c) {
        return unexpected(p);
    }
    p->at++;
    return true;
}

/* --- Members of one name. --- */

static int by_name(const void *a, const void *b)
{
    const struct json_value *x = *(const struct json_value *const *)a;
    const struct json_value *y = *(const struct json_value *const *)b;
    return x->len != y->len ? (x->len < y->len ? -1 : 1) : memcmp(x->text, y->text, x->len);
}

static const struct json_value *next_member(const struct json_value *name)
{
    return name + 1 + name[1].size;
}

/* Whether no two names are of one length and first letter, as most of an object are not. */
static bool names_surely_differ(const struct json_value *object)
{
    const struct json_value *name = object + 1;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < object->len; i++, name = next_member(name)) {
        uint64_t bit = UINT64_C(1) << (13 * name->len + 4 * (unsigned char)name->text[0]) % 64;
        if (seen & bit) {
            return false;
        }
        seen |= bit;
    }
    return true;
}

static bool few_names_differ(const struct json_value *object)
{
    const struct json_value *a = object + 1;
    for (uint32_t i = 0; i < object->len; i++, a = next_member(a)) {
        const struct json_value *b = object + 1;
        for (uint32_t j = 0; j < i; j++, b = next_member(b)) {
            if (by_name(&a, &b) == 0) {
                return false;
            }
        }
    }
    return true;
}

/* Sorts the names of a large object to compare neighbours. */
static bool many_names_differ(struct parser *p, const struct json_value *object)
{
    const struct json_value **names = malloc(object->len * sizeof(struct json_value *));
    const struct json_value *name = object + 1;
    if (!names) {
        p->no_memory = true;
        return false;
    }
    for (uint32_t i = 0; i < object->len; i++, name = next_member(name)) {
        names[i] = name;
    }
    qsort(names, object->len, sizeof(struct json_value *), by_name);
    bool differ = true;
    for (uint32_t i = 1; i < object->len && differ; i++) {
        differ = by_name(&names[i - 1], &names[i]) != 0;
    }
    free(names);
    return differ;
}

static bool check_names(struct parser *p, const struct json_value *object)
{
    bool differ =
        names_surely_differ(object) ||
        (object->len <= FEW_MEMBERS ? few_names_differ(object) : many_names_differ(p, object));
    return differ || wrong(p, "an object has two members of one name");
}

/* --- Values. --- */

static bool parse_value(struct parser *p);

static bool parse_member(struct parser *p)
{
    if (skip_space(p) != '"') {
        return unexpected(p);
    }
    return parse_string(p) && expect(p, ':') && parse_value(p);
}

/* What stands between a container's brackets: children parted by commas. */
static bool parse_children(struct parser *p, struct json_value *v, char close)
{
    if (skip_space(p) == close) {
        p->at++;
        return true;
    }
    for (;;) {
        if (!(v->kind == JSON_OBJECT ? parse_member(p) : parse_value(p))) {
            return false;
        }
        v->len++;
        char c = skip_space(p);
        if (c != ',' && c != close) {
            return unexpected(p);
        }
        p->at++;
        if (c == close) {
            return true;
        }
    }
}

/* At an opening bracket. It calls itself through parse_value, JSON_DEPTH_MAX deep at most. */
static bool parse_nest(struct parser *p, enum json_kind kind)
{
    p->at++;
    if (++p->depth > JSON_DEPTH_MAX) {
        return wrong(p, "values are nested too deeply");
    }
    if (++p->nests > JSON_NESTS_MAX) {
        return wrong(p, "there are too many objects and arrays");
    }
    size_t index = p->nodes_n;
    struct json_value *v = add_node(p, kind);
    if (!v || !parse_children(p, v, kind == JSON_OBJECT ? '}' : ']')) {
        return false;
    }
    v->size = (uint32_t)(p->nodes_n - index);
    p->depth--;
    return kind == JSON_ARRAY || check_names(p, v);
}

static bool parse_value(struct parser *p)
{
    char c = skip_space(p);
    switch (c) {
    case '{': return parse_nest(p, JSON_OBJECT);
    case '[': return parse_nest(p, JSON_ARRAY);
    case '"': return parse_string(p);
    default: return c == '-' || is_digit(c) ? parse_number(p) : parse_word(p);
    }
}

static bool parse_document(struct parser *p)
{
    if (!parse_value(p)) {
        return false;
    }
    (void)skip_space(p);
    return p->at == p->text.len || wrong(p, "unexpected character");
}

/* A room of at least that size. One that a large document has left is not kept for small ones. */
static bool make_room(struct json_room *room, size_t size)
{
    if (size <= room->size && room->size <= ROOM_KEPT_BYTES) {
        return true;
    }
    json_room_release(room);
    room->at = malloc(size);
    room->size = room->at ? size : 0;
    return room->at != NULL;
}

int json_parse_in(struct json_room *room, struct text bytes, json_value **document, struct buf *why)
{
    if (bytes.len > UINT32_MAX / 2) {
        buf_add_str(why, "the document is too large");
        return ERR_INVALID_REQUEST;
    }
    size_t values = bytes.len / 2 + 1;
    size_t nodes_max = values < NODES_MAX ? values : NODES_MAX;
    if (!make_room(room, nodes_max * sizeof(struct json_value) + bytes.len + 2)) {
        return ERR_NO_MEMORY;
    }
    struct parser p = {.text = bytes, .nodes = room->at, .nodes_max = nodes_max};
    p.out = (char *)&p.nodes[nodes_max];
    if (parse_document(&p)) {
        assert(p.out <= (char *)&p.nodes[nodes_max] + bytes.len + 2);
        *document = p.nodes;
        return 0;
    }
    if (p.no_memory) {
        return ERR_NO_MEMORY;
    }
    buf_addf(why, "%s at byte %zu", p.wrong, p.at);
    return ERR_INVALID_REQUEST;
}

void json_room_release(struct json_room *room)
{
    free(room->at);
    *room = (struct json_room){NULL, 0};
}

int json_parse(struct text bytes, json_value **document, struct buf *why)
{
    struct json_room room = {NULL, 0};
    int err = json_parse_in(&room, bytes, document, why);
    if (err) {
        json_room_release(&room);
    }
    return err; /* a document stands at the front of its room, which is now the caller's */
}

void json_free(json_value *document)
{
    free(document);
}
