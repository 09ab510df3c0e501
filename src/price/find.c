#include "price/find.h"

#include <string.h>

#define NAME_MAX_FOLDED 128

/* --- Vendors. --- */

struct alias {
    const char *name;
    const char *vendor; /* as the tables call it */
};

static const struct alias aliases[] = {{"generic", ""},
                                       {"gemini", "google"},
                                       {"vertex_ai", "google"},
                                       {"models", "google"},
                                       {"bedrock", "aws"},
                                       {"bedrock_converse", "aws"},
                                       {"azure_ai", "azure"},
                                       {"together_ai", "together"},
                                       {"fireworks_ai", "fireworks"},
                                       {"mistralai", "mistral"},
                                       {"xai", "x-ai"},
                                       {"voyage", "voyageai"},
                                       {"moonshot", "moonshotai"}};

struct text price_vendor(struct text provider)
{
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (text_equal(provider, text_of(aliases[i].name))) {
            return text_of(aliases[i].vendor);
        }
    }
    return provider;
}

/* --- Names. --- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool same_letters(struct text a, const char *b)
{
    size_t i = 0;
    for (; i < a.len && b[i]; i++) {
        if (lower(a.at[i]) != lower(b[i])) {
            return false;
        }
    }
    return i == a.len && b[i] == '\0';
}

/* Whether a name ends in such a pattern: '0' is any digit, all else itself. */
static bool ends_like(const char *name, size_t len, const char *pattern)
{
    size_t n = strlen(pattern);
    if (len <= n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = name[len - n + i];
        if (pattern[i] == '0' ? !is_digit(c) : c != pattern[i]) {
            return false;
        }
    }
    return true;
}

/* The length without what says only when, or which of several that cost the same. */
static size_t bare_len(const char *name, size_t len)
{
    static const char *const tails[] = {"-latest", "-2000-00-00", "-20000000", "@20000000"};
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        if (ends_like(name, len, tails[i])) {
            return len - strlen(tails[i]);
        }
    }
    bool zero = len > 3 && name[len - 1] == '0' && name[len - 2] == '-' && is_digit(name[len - 3]);
    return zero ? len - 2 : len;
}

/* A name without what makes no difference, its date only where that is wanted; ended by a zero.
 * False where it is too long. */
static bool fold(struct text name, bool dated, char folded[NAME_MAX_FOLDED + 1])
{
    if (name.len > NAME_MAX_FOLDED) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        bool between =
            i > 0 && i + 1 < name.len && is_digit(name.at[i - 1]) && is_digit(name.at[i + 1]);
        folded[i] = name.at[i] == '.' && between ? '-' : lower(name.at[i]);
    }
    size_t len = name.len;
    for (size_t bare; !dated && (bare = bare_len(folded, len)) < len;) {
        len = bare;
    }
    folded[len] = '\0';
    return true;
}

/* --- Looking. --- */

/* A release may cost something else than its undated name, and than other releases: its own row
 * goes before theirs, and the undated one before those of other dates. */
enum pass { AS_IT_IS, FOLDED, UNDATED, OF_ANY_DATE, PASSES };

/* What is looked for, in all tables. */
struct look {
    const struct price_table *const *tables;
    size_t tables_n;
    struct text vendor; /* "": any */
    struct text model;
    enum pass pass;
    char key[NAME_MAX_FOLDED + 1]; /* the model, folded */
};

static bool matches(const struct look *l, const struct price_row *row)
{
    char key[NAME_MAX_FOLDED + 1];
    if (l->vendor.len && !text_equal(l->vendor, text_of(row->provider))) {
        return false;
    }
    if (l->pass == AS_IT_IS) {
        return same_letters(l->model, row->model);
    }
    return fold(text_of(row->model), l->pass != OF_ANY_DATE, key) && strcmp(key, l->key) == 0;
}

static bool same_price(const struct price_row *a, const struct price_row *b)
{
    struct price x, y;
    price_row_price(a, &x);
    price_row_price(b, &y);
    bool same = x.tier_start == y.tier_start;
    for (int i = 0; i < PARTS; i++) {
        same = same && x.of[i] == y.of[i] && x.over[i] == y.over[i];
    }
    return same;
}

static enum price_found look_in(const struct look *l, const struct price_table *table,
                                const struct price_row **row)
{
    const struct price_row *found = NULL;
    for (size_t i = 0; i < table->rows_n; i++) {
        if (!matches(l, &table->rows[i])) {
            continue;
        }
        if (found && !same_price(found, &table->rows[i])) {
            *row = found;
            return PRICE_AMBIGUOUS;
        }
        found = found ? found : &table->rows[i];
    }
    *row = found ? found : *row;
    return found ? PRICE_FOUND : PRICE_UNKNOWN;
}

/* One pass over every table, then the next. */
static enum price_found look(struct look *l, struct text vendor, struct text model,
                             const struct price_row **row)
{
    l->vendor = vendor;
    l->model = model;
    for (l->pass = AS_IT_IS; l->pass < PASSES; l->pass++) {
        if (l->pass != AS_IT_IS && !fold(model, l->pass == FOLDED, l->key)) {
            break;
        }
        for (size_t i = 0; i < l->tables_n; i++) {
            enum price_found found = look_in(l, l->tables[i], row);
            if (found != PRICE_UNKNOWN) {
                return found;
            }
        }
    }
    return PRICE_UNKNOWN;
}

/* Bedrock's models begin with where they run: "us.", "eu.", "global.", or nothing. */
static enum price_found look_regional(struct look *l, struct text model,
                                      const struct price_row **row)
{
    static const char *const regions[] = {"us.", "eu.", "apac.", "jp.", "au.", "ca.", "us-gov."};
    static const char regional[] = "regional.";
    char name[sizeof(regional) + NAME_MAX_FOLDED];
    struct text bare = model;
    for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
        size_t len = strlen(regions[i]);
        if (model.len > len && memcmp(model.at, regions[i], len) == 0) {
            bare = (struct text){model.at + len, model.len - len};
        }
    }
    if (bare.len == 0 || bare.len > NAME_MAX_FOLDED) {
        return PRICE_UNKNOWN;
    }
    size_t prefix = sizeof(regional) - 1;
    memcpy(name, regional, prefix);
    memcpy(name + prefix, bare.at, bare.len);
    enum price_found found = look(l, TEXT("aws"), (struct text){name, prefix + bare.len}, row);
    return found == PRICE_UNKNOWN ? look(l, TEXT("aws"), bare, row) : found;
}

static enum price_found look_vendor(struct look *l, struct text vendor, struct text model,
                                    const struct price_row **row)
{
    enum price_found found = look(l, vendor, model, row);
    if (found != PRICE_UNKNOWN || vendor.len == 0) {
        return found;
    }
    if (text_equal(vendor, TEXT("azure"))) {
        return look(l, TEXT("openai"), model, row);
    }
    return text_equal(vendor, TEXT("aws")) ? look_regional(l, model, row) : PRICE_UNKNOWN;
}

enum price_found price_find(const struct price_table *const *tables, size_t tables_n,
                            struct text provider, struct text model, const struct price_row **row)
{
    struct look l = {.tables = tables, .tables_n = tables_n};
    struct text vendor = price_vendor(provider);
    enum price_found found = look_vendor(&l, vendor, model, row);
    const char *slash = model.len ? memchr(model.at, '/', model.len) : NULL;
    if (found != PRICE_UNKNOWN || !slash) {
        return found;
    }
    struct text prefix = {model.at, (size_t)(slash - model.at)};
    struct text rest = {slash + 1, model.len - prefix.len - 1};
    struct text named = price_vendor(prefix);
    bool open = vendor.len == 0 || text_equal(vendor, TEXT("openrouter"));
    bool known = named.len > 0 && rest.len > 0;
    return known && (open || text_equal(named, vendor)) ? look_vendor(&l, named, rest, row)
                                                        : PRICE_UNKNOWN;
}
