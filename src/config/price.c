#include "config/price.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "price/decimal.h"
#include "price/find.h"

#define PER_MILLION      6 /* USD a million tokens are 10^6 picodollars a token each */
#define BATCH_OFF_PPM    500000
#define PRICE_TAKES      "USD per million tokens, as in 2.5"
#define PRICE_NODE_TAKES "given, the name of a model in the table of prices, or a map of keys"

struct parts_draft {
    struct setting input, output, cached_input, cache_write, cache_write_1h;
};

struct map_draft {
    struct parts_draft parts;
    struct setting above;
    const struct node *over;
};

/* Into a struct setting: USD per million tokens as picodollars a token. */
static void read_price(struct problems *p, const struct place *at, const struct key_row *row,
                       const struct node *value, void *into)
{
    struct setting *s = into;
    bool exact;
    int64_t price;
    char where[PLACE_LEN_MAX];
    *s = (struct setting){.line = -1};
    if (!node_says(p, at, value, row->takes)) {
        return;
    }
    if (!decimal_read(value->text, PER_MILLION, PRICE_MAX, &price, &exact)) {
        problem_add(p, value->line, "%s: \"%.*s\" is not %s", place_text(at, where),
                    shown_len(value->text), value->text.at, row->takes);
    } else if (!exact) {
        problem_add(p, value->line, "%s: \"%.*s\" is finer than a picodollar a token",
                    place_text(at, where), shown_len(value->text), value->text.at);
    } else {
        *s = (struct setting){price, value->line};
    }
}

#define PART(name, of, fallback, help)                                                             \
    {                                                                                              \
        name, read_price, offsetof(struct map_draft, parts.of), NULL, 0, 0, PRICE_TAKES, fallback, \
            help                                                                                   \
    }

static const struct key_row price_rows[] = {
    PART("input", input, "required", "Input that no cache serves or takes."),
    PART("output", output, "required", "Output, reasoning included; 0 for a model without any."),
    PART("cached_input", cached_input, "the same as `input`", "Input that is read from a cache."),
    PART("cache_write", cache_write, "the same as `input`", "Input that is written to a cache."),
    PART("cache_write_1h", cache_write_1h, "the same as `cache_write`; claude: twice `input`",
         "Input that is written to a cache for an hour."),
    {"above", read_amount, offsetof(struct map_draft, above), NULL, 1, AMOUNT_MAX,
     "a number of tokens, as in 200k", "no such tier",
     "Prompts of more tokens than this cost what `over` says."},
    {"over", read_node, offsetof(struct map_draft, over), NULL, 0, 0, "a map of the prices above",
     "required with `above`",
     "The prices of prompts above that size; what is left out grows as `input` does."},
};

const struct section price_section = {"Prices (`resources.NAME.price`)", price_rows,
                                      sizeof(price_rows) / sizeof(price_rows[0]),
                                      "{input: 2.5, output: 10}"};

/* The prices alone. */
const struct section price_over_section = {"Prices above a size (`resources.NAME.price.over`)",
                                           price_rows, 5, "{input: 5, output: 15}"};

/* One resource's price being built. */
struct build {
    struct limit_context *c;
    const struct place *at; /* of the resource */
    struct resource *resource;
};

static void set_part(int64_t *to, const struct setting *from)
{
    *to = from->line > 0 ? from->value : PRICE_UNSAID;
}

static void set_parts(int64_t of[PARTS], const struct parts_draft *d)
{
    set_part(&of[PART_INPUT], &d->input);
    set_part(&of[PART_OUTPUT], &d->output);
    set_part(&of[PART_CACHE_READ], &d->cached_input);
    set_part(&of[PART_CACHE_WRITE_5M], &d->cache_write);
    set_part(&of[PART_CACHE_WRITE_1H], &d->cache_write_1h);
}

static bool parts_given(const struct parts_draft *d)
{
    return d->input.line && d->output.line;
}

static void build_map(struct build *b, const struct place *at, const struct node *map)
{
    struct map_draft d = {.over = NULL}, over = {.over = NULL};
    struct problems *p = b->c->problems;
    struct place over_at = {.up = at, .name = TEXT("over")};
    char where[PLACE_LEN_MAX];
    size_t found = p->found;
    section_read(p, at, &price_section, map, &d);
    if (d.over) {
        section_read(p, &over_at, &price_over_section, d.over, &over);
    }
    if (!parts_given(&d.parts)) {
        problem_add(p, map->line, "%s: a price has an \"input\" and an \"output\"",
                    place_text(at, where));
    } else if (!d.above.line != !d.over || (d.over && !parts_given(&over.parts))) {
        problem_add(p, map->line,
                    "%s: \"above\" and \"over\" go together, and \"over\" has an \"input\" and an "
                    "\"output\"",
                    place_text(at, where));
    }
    if (found != p->found) {
        return;
    }
    struct price_row row = {.model = b->resource->model, .tier_start = d.above.value};
    set_parts(row.of, &d.parts);
    set_parts(row.over, &over.parts);
    price_row_price(&row, &b->resource->price);
}

/* By name: the resource's own, or one that is given. */
static enum price_found take_price(struct build *b, struct text provider, struct text model,
                                   const struct price_row **row)
{
    enum price_found found = price_find(b->c->tables, b->c->tables_n, provider, model, row);
    if (found == PRICE_FOUND) {
        price_row_price(*row, &b->resource->price);
    }
    return found;
}

static void build_named(struct build *b, const struct place *at, const struct node *n)
{
    const struct price_row *row;
    char where[PLACE_LEN_MAX];
    if (!node_says(b->c->problems, at, n, PRICE_NODE_TAKES)) {
        return;
    }
    switch (take_price(b, TEXT("generic"), n->text, &row)) {
    case PRICE_FOUND: break;
    case PRICE_AMBIGUOUS:
        problem_add(b->c->problems, n->line,
                    "%s: \"%.*s\" has several prices; name the provider, as in %s/%s",
                    place_text(at, where), shown_len(n->text), n->text.at, row->provider,
                    row->model);
        break;
    case PRICE_UNKNOWN:
        problem_add(b->c->problems, n->line,
                    "%s: no price of \"%.*s\" is known; what is wanted is %s",
                    place_text(at, where), shown_len(n->text), n->text.at, PRICE_NODE_TAKES);
    }
}

static bool has_usd_limit(const struct resource *r)
{
    for (size_t i = 0; i < r->limits_n; i++) {
        if (r->limits[i].unit == UNIT_USD) {
            return true;
        }
    }
    return false;
}

void price_missing(struct problems *p, const struct place *at, int line, const char *model)
{
    char where[PLACE_LEN_MAX];
    problem_add(p, line,
                "%s: a limit in usd needs a price, and none of \"%s\" is known; give it in USD per "
                "million tokens, as in \"price: {input: 2.5, output: 10}\", or say \"price: "
                "given\" where every caller says what a call costs",
                place_text(at, where), model);
}

/* A price that is not known is no problem where nothing is limited by it. */
static void build_found(struct build *b, int line)
{
    const struct resource *r = b->resource;
    const struct price_row *row;
    char where[PLACE_LEN_MAX];
    enum price_found found = take_price(b, text_of(r->provider), text_of(r->model), &row);
    if (found == PRICE_FOUND || !has_usd_limit(r)) {
        return;
    }
    if (found == PRICE_AMBIGUOUS) {
        problem_add(b->c->problems, line,
                    "%s: a limit in usd needs a price, and \"%s\" has several; name one, as in "
                    "\"price: %s/%s\"",
                    place_text(b->at, where), r->model, row->provider, row->model);
        return;
    }
    price_missing(b->c->problems, b->at, line, r->model);
}

static bool says_given(const struct node *n)
{
    return n && n->kind == NODE_SCALAR && text_equal(n->text, TEXT("given"));
}

void price_build(struct limit_context *c, const struct place *at, int line,
                 const struct price_draft *d, struct resource *resource)
{
    struct build b = {.c = c, .at = at, .resource = resource};
    struct place here = {.up = at, .name = TEXT("price")};
    char where[PLACE_LEN_MAX];
    bool batch = d->batch.line > 0 && d->batch.value;
    if (says_given(d->price)) {
        if (batch) {
            problem_add(c->problems, d->batch.line,
                        "%s.batch: means nothing where the price is given by callers",
                        place_text(at, where));
        }
        resource->price_given = true;
        return;
    }
    if (!d->price) {
        build_found(&b, line);
    } else if (d->price->kind == NODE_MAP) {
        build_map(&b, &here, d->price);
    } else {
        build_named(&b, &here, d->price);
    }
    resource->price.discount_ppm = batch && resource->price.known ? BATCH_OFF_PPM : 0;
}

void price_build_step(struct limit_context *c, const struct place *at, int line,
                      const struct node *price, const struct resource *resource,
                      struct route_step *step)
{
    const struct price_draft draft = {.price = price};
    struct place here = {.up = at, .name = TEXT("price")};
    struct resource at_step = *resource;
    char where[PLACE_LEN_MAX];
    at_step.price = (struct price){.known = false};
    if (step->model[0]) {
        memcpy(at_step.model, step->model, sizeof(at_step.model));
    }
    if (says_given(price)) {
        problem_add(c->problems, price->line,
                    "%s: callers say what a call costs for all of a resource; say \"price: given\" "
                    "in \"%s\"",
                    place_text(&here, where), resource->name);
        return;
    }
    price_build(c, at, line, &draft, &at_step);
    step->own_price = true;
    step->price = at_step.price;
    step->price.discount_ppm = step->price.known ? resource->price.discount_ppm : 0;
}

/* --- The file's table. --- */

/* Regular files alone: others could block for ever, or never end. */
static int open_table(const char *path)
{
    struct stat s;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}

static bool read_all(int fd, struct buf *b)
{
    char piece[16384];
    ssize_t n;
    while ((n = read(fd, piece, sizeof(piece))) > 0 && !b->failed) {
        buf_add(b, piece, (size_t)n);
    }
    return n == 0;
}

static struct price_table *parse_table(struct problems *p, const char *path, int line,
                                       struct text csv)
{
    struct price_table *table = NULL;
    struct buf why;
    buf_init(&why, 1000);
    int error = price_table_read(csv, path, &table, &why);
    if (error == ERR_NO_MEMORY || why.failed) {
        p->no_memory = true;
    } else if (error) {
        problem_add(p, line, "prices: %s: %s", path, why.at);
    }
    buf_release(&why);
    return table;
}

struct price_table *prices_load(struct problems *p, const char *path, int line)
{
    struct price_table *table = NULL;
    struct buf bytes;
    buf_init(&bytes, PRICE_BYTES_MAX + 1);
    int fd = open_table(path);
    if (fd < 0 || !read_all(fd, &bytes)) {
        problem_add(p, line, "prices: %s: cannot be read: %s", path, strerror(errno));
    } else {
        table = parse_table(p, path, line, buf_text(&bytes));
    }
    if (fd >= 0) {
        close(fd);
    }
    buf_release(&bytes);
    return table;
}
