#include "price/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "price/decimal.h"

#define PER_MILLION    6 /* USD a million tokens are 10^6 picodollars a token each */
#define COLUMNS_MAX    32
#define PRICE_NAME_MAX 128

/* --- Columns. --- */

enum column_kind { COLUMN_PROVIDER, COLUMN_MODEL, COLUMN_TOKENS, COLUMN_PRICE };

struct column {
    const char *name;
    enum column_kind kind;
    size_t offset; /* of an int64 in the row */
    bool required;
};

#define AT(member) offsetof(struct price_row, member)

static const struct column columns[] = {
    {"provider", COLUMN_PROVIDER, 0, true},
    {"model", COLUMN_MODEL, 0, true},
    {"context_window", COLUMN_TOKENS, AT(context_tokens), false},
    {"input", COLUMN_PRICE, AT(of[PART_INPUT]), true},
    {"output", COLUMN_PRICE, AT(of[PART_OUTPUT]), false},
    {"cache_read", COLUMN_PRICE, AT(of[PART_CACHE_READ]), false},
    {"cache_write_5m", COLUMN_PRICE, AT(of[PART_CACHE_WRITE_5M]), false},
    {"cache_write_1h", COLUMN_PRICE, AT(of[PART_CACHE_WRITE_1H]), false},
    {"tier_start_tokens", COLUMN_TOKENS, AT(tier_start), false},
    {"input_over", COLUMN_PRICE, AT(over[PART_INPUT]), false},
    {"output_over", COLUMN_PRICE, AT(over[PART_OUTPUT]), false},
    {"cache_read_over", COLUMN_PRICE, AT(over[PART_CACHE_READ]), false},
    {"cache_write_5m_over", COLUMN_PRICE, AT(over[PART_CACHE_WRITE_5M]), false},
    {"cache_write_1h_over", COLUMN_PRICE, AT(over[PART_CACHE_WRITE_1H]), false},
};

#define COLUMNS_N (sizeof(columns) / sizeof(columns[0]))

static int64_t *cell_of(struct price_row *row, const struct column *c)
{
    return (int64_t *)(void *)((char *)row + c->offset);
}

/* --- Reading. --- */

/* A table that was read: rows, and the text that their names point into, behind it. */
struct read_table {
    struct price_table table;
    struct price_row *rows;
    char *text; /* the names lie in here, each ended by a zero */
};

struct reader {
    char *at;
    char *end;
    int line;
    const struct column *order[COLUMNS_MAX];
    size_t order_n;
    struct buf *why;
};

static int __attribute__((format(printf, 2, 3))) problem(struct reader *r, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buf_addf(r->why, "line %d: %s", r->line, text);
    return ERR_INVALID_REQUEST;
}

/* The next line, ended by a zero, or NULL. */
static char *next_line(struct reader *r)
{
    if (r->at >= r->end) {
        return NULL;
    }
    char *line = r->at;
    char *newline = memchr(line, '\n', (size_t)(r->end - line));
    char *end = newline ? newline : r->end;
    r->at = newline ? newline + 1 : r->end;
    r->line++;
    if (end > line && end[-1] == '\r') {
        end--;
    }
    *end = '\0';
    return line;
}

/* The next field of a line, ended by a zero; NULL at the end. */
static char *next_field(char **line)
{
    char *field = *line;
    if (field) {
        char *comma = strchr(field, ',');
        *line = comma ? comma + 1 : NULL;
        if (comma) {
            *comma = '\0';
        }
    }
    return field;
}

static const struct column *column_named(const char *name)
{
    for (size_t i = 0; i < COLUMNS_N; i++) {
        if (strcmp(columns[i].name, name) == 0) {
            return &columns[i];
        }
    }
    return NULL;
}

static bool has_column(const struct reader *r, const struct column *c)
{
    for (size_t i = 0; i < r->order_n; i++) {
        if (r->order[i] == c) {
            return true;
        }
    }
    return false;
}

static int read_head(struct reader *r)
{
    char *line = next_line(r);
    if (!line) {
        r->line = 1;
        return problem(r, "the table is empty");
    }
    for (char *name; (name = next_field(&line));) {
        const struct column *c = column_named(name);
        if (!c || r->order_n == COLUMNS_MAX || has_column(r, c)) {
            return problem(r, "\"%.60s\" is not the name of a column%s", name,
                           c ? " once more" : "");
        }
        r->order[r->order_n++] = c;
    }
    for (size_t i = 0; i < COLUMNS_N; i++) {
        if (columns[i].required && !has_column(r, &columns[i])) {
            return problem(r, "the column \"%s\" is missing", columns[i].name);
        }
    }
    return 0;
}

static bool name_good(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '"') {
            return false;
        }
    }
    return len > 0 && len <= PRICE_NAME_MAX;
}

static int read_cell(struct reader *r, struct price_row *row, const struct column *c, char *field)
{
    bool exact = true;
    struct text t = text_of(field);
    if (c->kind == COLUMN_PROVIDER || c->kind == COLUMN_MODEL) {
        const char **name = c->kind == COLUMN_MODEL ? &row->model : &row->provider;
        *name = field;
        return name_good(field) ? 0 : problem(r, "%s: \"%.60s\" is not a name", c->name, field);
    }
    if (t.len == 0) {
        return c->required ? problem(r, "%s: nothing is given", c->name) : 0;
    }
    bool price = c->kind == COLUMN_PRICE;
    bool good = price ? decimal_read(t, PER_MILLION, PRICE_MAX, cell_of(row, c), &exact)
                      : decimal_read(t, 0, PRICE_TOKENS_MAX, cell_of(row, c), &exact);
    if (good && exact) {
        return 0;
    }
    const char *what = good && price ? "finer than a picodollar a token"
                       : price       ? "not a price in USD per million tokens"
                                     : "not a number of tokens";
    return problem(r, "%s: \"%.60s\" is %s", c->name, field, what);
}

static int read_row(struct reader *r, char *line, struct price_row *row)
{
    *row = (struct price_row){.provider = ""};
    for (int i = 0; i < PARTS; i++) {
        row->of[i] = PRICE_UNSAID;
        row->over[i] = PRICE_UNSAID;
    }
    size_t n = 0;
    int error = 0;
    for (char *field; !error && (field = next_field(&line)); n++) {
        error = n < r->order_n ? read_cell(r, row, r->order[n], field)
                               : problem(r, "more fields than columns");
    }
    if (!error && n < r->order_n) {
        error = problem(r, "fewer fields than columns");
    }
    if (!error && (row->tier_start > 0) != (row->over[PART_INPUT] != PRICE_UNSAID)) {
        error = problem(r, "tier_start_tokens and input_over go together");
    }
    return error;
}

static int row_order(const void *a, const void *b)
{
    const struct price_row *x = *(const struct price_row *const *)a;
    const struct price_row *y = *(const struct price_row *const *)b;
    int order = strcmp(x->provider, y->provider);
    return order ? order : strcmp(x->model, y->model);
}

/* A model that is there twice would have two prices. */
static int check_twins(const struct price_row *rows, size_t n, struct buf *why)
{
    const struct price_row **sorted = malloc((n + 1) * sizeof(struct price_row *));
    if (!sorted) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = &rows[i];
    }
    qsort(sorted, n, sizeof(struct price_row *), row_order);
    int error = 0;
    for (size_t i = 1; i < n && !error; i++) {
        if (row_order(&sorted[i - 1], &sorted[i]) == 0) {
            buf_addf(why, "%.60s of %.60s is there twice", sorted[i]->model, sorted[i]->provider);
            error = ERR_INVALID_REQUEST;
        }
    }
    free(sorted);
    return error;
}

static int read_rows(struct reader *r, struct read_table *t)
{
    int error = read_head(r);
    size_t n = 0;
    for (char *line; !error && (line = next_line(r));) {
        if (*line == '\0') {
            continue;
        }
        if (n == PRICE_ROWS_MAX) {
            return problem(r, "more than 20,000 models");
        }
        error = read_row(r, line, &t->rows[n++]);
    }
    t->table.rows = t->rows;
    t->table.rows_n = n;
    return error ? error : check_twins(t->rows, n, r->why);
}

static size_t count_lines(struct text csv)
{
    size_t n = 1;
    for (size_t i = 0; i < csv.len; i++) {
        n += csv.at[i] == '\n';
    }
    return n < PRICE_ROWS_MAX ? n : PRICE_ROWS_MAX;
}

int price_table_read(struct text csv, const char *source, struct price_table **table,
                     struct buf *why)
{
    if (csv.len > PRICE_BYTES_MAX || (csv.len && memchr(csv.at, '\0', csv.len))) {
        buf_add_str(why, "not a table of prices: larger than 4 MiB, or not text");
        return ERR_INVALID_REQUEST;
    }
    struct read_table *t = calloc(1, sizeof(*t));
    char *text = malloc(csv.len + 1);
    struct price_row *rows = calloc(count_lines(csv), sizeof(struct price_row));
    if (!t || !text || !rows) {
        free(t);
        free(text);
        free(rows);
        return ERR_NO_MEMORY;
    }
    if (csv.len) {
        memcpy(text, csv.at, csv.len);
    }
    *t = (struct read_table){.table = {.source = source}, .rows = rows, .text = text};
    struct reader r = {.at = text, .end = text + csv.len, .why = why};
    int error = read_rows(&r, t);
    if (error) {
        price_table_free(&t->table);
        return error;
    }
    *table = &t->table;
    return 0;
}

void price_table_free(struct price_table *table)
{
    if (table) {
        struct read_table *t = (struct read_table *)(void *)table;
        free(t->rows);
        free(t->text);
        free(t);
    }
}

/* --- Filling in. --- */

/* As many times more as input costs over the tier, rounded up. */
static int64_t scaled_over(const struct price_row *row, int64_t price)
{
    int64_t base = row->of[PART_INPUT];
    if (base <= 0) {
        return max_i64(price, row->over[PART_INPUT]);
    }
    int128 n = (int128)price * row->over[PART_INPUT] + base - 1;
    return n / base > PRICE_MAX ? PRICE_MAX : (int64_t)(n / base);
}

/* Anthropic charges twice the input for an hour in the cache, wherever its models are sold. */
static bool is_claude(const struct price_row *row)
{
    return strstr(row->model, "claude") != NULL;
}

static void fill_in(const struct price_row *row, int64_t of[PARTS])
{
    int64_t input = row->of[PART_INPUT];
    for (int i = 0; i < PARTS; i++) {
        of[i] = row->of[i] == PRICE_UNSAID ? input : row->of[i];
    }
    if (row->of[PART_OUTPUT] == PRICE_UNSAID) {
        of[PART_OUTPUT] = 0; /* such a model puts none out */
    }
    if (row->of[PART_CACHE_WRITE_1H] == PRICE_UNSAID) {
        int64_t hour = is_claude(row) ? min_i64(mul_sat(2, input), PRICE_MAX) : 0;
        of[PART_CACHE_WRITE_1H] = max_i64(of[PART_CACHE_WRITE_5M], hour);
    }
}

void price_row_price(const struct price_row *row, struct price *price)
{
    *price = (struct price){.known = true, .tier_start = row->tier_start};
    fill_in(row, price->of);
    for (int i = 0; i < PARTS && row->tier_start > 0; i++) {
        price->over[i] =
            row->over[i] == PRICE_UNSAID ? scaled_over(row, price->of[i]) : row->over[i];
    }
}

/* --- Writing. --- */

void price_table_write_head(struct buf *b)
{
    for (size_t i = 0; i < COLUMNS_N; i++) {
        buf_addf(b, "%s%s", i ? "," : "", columns[i].name);
    }
    buf_add_char(b, '\n');
}

static void write_price(struct buf *b, int64_t price)
{
    char digits[8];
    if (price == PRICE_UNSAID) {
        return;
    }
    buf_add_i64(b, price / 1000000);
    int64_t rest = price % 1000000;
    for (int64_t scale = 100000, i = 0; rest; scale /= 10, i++) {
        digits[i] = (char)('0' + rest / scale);
        digits[i + 1] = '\0';
        rest %= scale;
        if (rest == 0) {
            buf_addf(b, ".%s", digits);
        }
    }
}

void price_table_write_row(struct buf *b, const struct price_row *row)
{
    for (size_t i = 0; i < COLUMNS_N; i++) {
        const struct column *c = &columns[i];
        int64_t n = *(const int64_t *)(const void *)((const char *)row + c->offset);
        buf_add_str(b, i ? "," : "");
        switch (c->kind) {
        case COLUMN_PROVIDER: buf_add_str(b, row->provider); break;
        case COLUMN_MODEL: buf_add_str(b, row->model); break;
        case COLUMN_PRICE: write_price(b, n); break;
        case COLUMN_TOKENS:
            if (n) {
                buf_add_i64(b, n);
            }
            break;
        }
    }
    buf_add_char(b, '\n');
}
