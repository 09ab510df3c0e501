#include "price/import.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "http/json.h"
#include "price/decimal.h"
#include "price/find.h"

#define PER_MILLION 6  /* USD a million tokens are 10^6 picodollars a token each */
#define PER_TOKEN   12 /* USD a token are 10^12 picodollars */

struct import {
    const char *today;
    struct import_facts *facts;
    struct buf *why;
    struct price_row *rows;
    size_t n;
    struct price_row row;  /* being read */
    struct text provider;  /* … of this provider, as the file calls it … */
    struct text model;     /* … and model */
    const json_value *doc; /* what all names point into */
    bool bad;
};

/* --- One row. --- */

static void begin_row(struct import *im, struct text provider, struct text model)
{
    im->row = (struct price_row){.context_tokens = 0};
    im->provider = provider;
    im->model = model;
    im->bad = false;
    for (int i = 0; i < PARTS; i++) {
        im->row.of[i] = PRICE_UNSAID;
        im->row.over[i] = PRICE_UNSAID;
    }
}

static void complain(struct import *im, const char *key, const char *what)
{
    if (!im->bad) {
        buf_addf(im->why, "model %.*s of %.*s: %s: %s\n", (int)im->model.len, im->model.at,
                 (int)im->provider.len, im->provider.at, key, what);
    }
    im->bad = true;
}

/* A number, or one in quotes. */
static bool number_text(const json_value *v, struct text *t)
{
    return json_read_number(v, t) || json_read_text(v, t);
}

static bool read_price(struct import *im, const char *key, const json_value *v, int shift,
                       int64_t *price)
{
    struct text t;
    bool exact;
    int64_t n;
    if (!number_text(v, &t) || !decimal_read(t, shift, PRICE_MAX, &n, &exact)) {
        complain(im, key, "not a price");
        return false;
    }
    im->facts->rounded += !exact;
    *price = n;
    return true;
}

/* Only what is a number of tokens: some files write sentences there. */
static void read_context(struct import *im, const json_value *v)
{
    struct text t;
    bool exact;
    int64_t n;
    if (v && number_text(v, &t) && decimal_read(t, 0, PRICE_TOKENS_MAX, &n, &exact) && exact) {
        im->row.context_tokens = n;
    }
}

/* The first size, the dearest price. */
static void add_tier(struct import *im, int part, int64_t start, int64_t price)
{
    struct price_row *row = &im->row;
    if (start > 0 && (row->tier_start == 0 || start < row->tier_start)) {
        row->tier_start = start;
    }
    row->over[part] = price > row->over[part] ? price : row->over[part];
}

/* Parts without a tier of their own cost over the size what they cost below. */
static void level_tiers(struct price_row *row)
{
    for (int i = 0; i < PARTS && row->tier_start > 0; i++) {
        row->over[i] = row->over[i] == PRICE_UNSAID ? row->of[i] : row->over[i];
    }
    if (row->over[PART_INPUT] == PRICE_UNSAID) {
        row->tier_start = 0;
    }
}

static bool name_writable(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '"' || name[i] == ',') {
            return false;
        }
    }
    return len > 0 && len <= 128;
}

static void end_row(struct import *im, const char *provider, const char *model)
{
    struct price_row *row = &im->row;
    if (!im->bad && row->of[PART_INPUT] >= 0 &&
        !(name_writable(provider) && name_writable(model))) {
        complain(im, "name", "not one that a table can hold");
    }
    if (im->bad) {
        im->facts->bad++;
        return;
    }
    if (row->of[PART_INPUT] == PRICE_UNSAID ||
        (row->of[PART_INPUT] == 0 && row->of[PART_OUTPUT] <= 0)) {
        im->facts->unpriced++;
        return;
    }
    level_tiers(row);
    row->provider = provider;
    row->model = model;
    im->rows[im->n++] = *row;
}

/* --- genai-prices. --- */

struct part_key {
    const char *name;
    int part;
};

static const struct part_key genai_keys[] = {
    {"input_mtok", PART_INPUT},
    {"output_mtok", PART_OUTPUT},
    {"cache_read_mtok", PART_CACHE_READ},
    {"cache_write_mtok", PART_CACHE_WRITE_5M},
    {"cache_write_1h_mtok", PART_CACHE_WRITE_1H},
};

static void read_genai_tiers(struct import *im, const struct part_key *key, const json_value *tiers)
{
    for (const json_value *t = NULL; (t = json_array_next(tiers, t));) {
        int64_t start, price;
        if (!json_read_i64(json_get(t, "start"), &start) || start < 1) {
            complain(im, key->name, "a tier without a start");
        } else if (read_price(im, key->name, json_get(t, "price"), PER_MILLION, &price)) {
            add_tier(im, key->part, start, price);
        }
    }
}

static void read_genai_prices(struct import *im, const json_value *prices)
{
    for (size_t i = 0; i < sizeof(genai_keys) / sizeof(genai_keys[0]); i++) {
        const struct part_key *key = &genai_keys[i];
        const json_value *v = json_get(prices, key->name);
        if (!v || json_is_null(v)) {
            continue;
        }
        if (!json_is_object(v)) {
            read_price(im, key->name, v, PER_MILLION, &im->row.of[key->part]);
        } else if (read_price(im, key->name, json_get(v, "base"), PER_MILLION,
                              &im->row.of[key->part])) {
            const json_value *tiers = json_get(v, "tiers");
            if (json_is_array(tiers)) {
                read_genai_tiers(im, key, tiers);
            }
        }
    }
}

static int64_t genai_input(const json_value *prices)
{
    const json_value *v = json_get(prices, "input_mtok");
    struct text t;
    bool exact;
    int64_t price;
    v = json_is_object(v) ? json_get(v, "base") : v;
    return v && number_text(v, &t) && decimal_read(t, PER_MILLION, PRICE_MAX, &price, &exact)
               ? price
               : PRICE_UNSAID;
}

/* Of prices with conditions the last whose day has come; by the time of day, the dearest. */
static const json_value *genai_in_force(const struct import *im, const json_value *list)
{
    const json_value *best = NULL;
    for (const json_value *c = NULL; (c = json_array_next(list, c));) {
        const json_value *constraint = json_get(c, "constraint");
        const json_value *prices = json_get(c, "prices");
        struct text from;
        if (!json_is_object(prices)) {
            continue;
        }
        if (json_is_null(constraint)) {
            best = prices;
        } else if (json_read_text(json_get(constraint, "start_date"), &from)) {
            best = strcmp(from.at, im->today) <= 0 ? prices : best;
        } else if (!best || genai_input(prices) > genai_input(best)) {
            best = prices;
        }
    }
    return best;
}

static void read_genai_model(struct import *im, struct text provider, const json_value *model)
{
    struct text id = TEXT_NONE;
    const json_value *prices = json_get(model, "prices");
    bool named = json_read_text(json_get(model, "id"), &id);
    begin_row(im, provider, named ? id : TEXT("without an id"));
    if (!named) {
        complain(im, "id", "missing");
    }
    prices = json_is_array(prices) ? genai_in_force(im, prices) : prices;
    if (json_is_object(prices)) {
        read_genai_prices(im, prices);
    }
    read_context(im, json_get(model, "context_window"));
    end_row(im, provider.at, named ? id.at : "");
}

static int read_genai(struct import *im, const json_value *providers)
{
    im->facts->format = "genai-prices";
    for (const json_value *p = NULL; (p = json_array_next(providers, p));) {
        struct text id;
        const json_value *models = json_get(p, "models");
        if (!json_read_text(json_get(p, "id"), &id) || !json_is_array(models)) {
            buf_add_str(im->why, "a provider without an \"id\" and a list of \"models\"\n");
            return ERR_INVALID_REQUEST;
        }
        for (const json_value *m = NULL; (m = json_array_next(models, m));) {
            read_genai_model(im, id, m);
        }
    }
    return 0;
}

/* --- LiteLLM. --- */

static const struct part_key litellm_keys[] = {
    {"input_cost_per_token", PART_INPUT},
    {"output_cost_per_token", PART_OUTPUT},
    {"cache_read_input_token_cost", PART_CACHE_READ},
    {"cache_creation_input_token_cost_above_1hr", PART_CACHE_WRITE_1H},
    {"cache_creation_input_token_cost", PART_CACHE_WRITE_5M},
};

/* "_above_200k_tokens" → 200,000. */
static bool read_size(struct text tail, int64_t *size)
{
    static const char head[] = "_above_", foot[] = "k_tokens";
    size_t before = sizeof(head) - 1, behind = sizeof(foot) - 1;
    bool exact;
    if (tail.len <= before + behind || memcmp(tail.at, head, before) != 0 ||
        memcmp(tail.at + tail.len - behind, foot, behind) != 0) {
        return false;
    }
    struct text digits = {tail.at + before, tail.len - before - behind};
    return decimal_read(digits, 3, PRICE_TOKENS_MAX, size, &exact) && exact && *size > 0;
}

static int read_litellm_member(void *ctx, struct text name, json_value *v)
{
    struct import *im = ctx;
    for (size_t i = 0; i < sizeof(litellm_keys) / sizeof(litellm_keys[0]); i++) {
        const struct part_key *key = &litellm_keys[i];
        size_t len = strlen(key->name);
        if (name.len < len || memcmp(name.at, key->name, len) != 0 || json_is_null(v)) {
            continue;
        }
        struct text tail = {name.at + len, name.len - len};
        int64_t size, price;
        if (tail.len == 0) {
            read_price(im, key->name, v, PER_TOKEN, &im->row.of[key->part]);
            return 0;
        }
        if (read_size(tail, &size)) {
            if (read_price(im, key->name, v, PER_TOKEN, &price)) {
                add_tier(im, key->part, size, price);
            }
            return 0;
        }
    }
    return 0;
}

/* "vertex_ai-language-models" is vertex_ai's. */
static struct text litellm_vendor(struct text provider)
{
    static const char vertex[] = "vertex_ai";
    size_t len = sizeof(vertex) - 1;
    bool is_vertex = provider.len > len && memcmp(provider.at, vertex, len) == 0;
    return price_vendor(is_vertex ? text_of(vertex) : provider);
}

/* What a call names, without the prefix that LiteLLM routes by. */
static const char *litellm_model(struct text name, struct text vendor)
{
    const char *slash = memchr(name.at, '/', name.len);
    struct text prefix = {name.at, slash ? (size_t)(slash - name.at) : 0};
    return slash && text_equal(litellm_vendor(prefix), vendor) ? slash + 1 : name.at;
}

static int read_litellm_model(void *ctx, struct text name, json_value *model)
{
    struct import *im = ctx;
    struct text provider;
    if (text_equal(name, TEXT("sample_spec")) || name.len == 0 || !json_is_object(model)) {
        return 0;
    }
    begin_row(im, TEXT("unknown"), name);
    if (!json_read_text(json_get(model, "litellm_provider"), &provider)) {
        im->facts->unpriced++;
        return 0;
    }
    im->provider = litellm_vendor(provider);
    json_each(model, read_litellm_member, im);
    read_context(im, json_get(model, "max_input_tokens"));
    end_row(im, im->provider.at, litellm_model(name, im->provider));
    return 0;
}

static int is_litellm_model(void *ctx, struct text name, json_value *v)
{
    (void)ctx, (void)name;
    return json_is_object(v) && json_get(v, "litellm_provider") != NULL;
}

/* --- All of it. --- */

static int count_member(void *ctx, struct text name, json_value *v)
{
    (void)name, (void)v;
    return ++*(size_t *)ctx, 0;
}

static size_t count_models(const json_value *doc)
{
    size_t n = 0;
    if (json_is_object(doc)) {
        json_each(doc, count_member, &n);
    }
    for (const json_value *p = NULL; json_is_array(doc) && (p = json_array_next(doc, p));) {
        const json_value *models = json_get(p, "models");
        n += json_is_array(models) ? json_array_len(models) : 0;
    }
    return n;
}

static int row_order(const void *a, const void *b)
{
    const struct price_row *x = a, *y = b;
    int order = strcmp(x->provider, y->provider);
    order = order ? order : strcmp(x->model, y->model);
    /* The dearer first; then, as the order must not be left to chance, by what else there is. */
    order = order
                ? order
                : (x->of[PART_INPUT] < y->of[PART_INPUT]) - (x->of[PART_INPUT] > y->of[PART_INPUT]);
    return order ? order
                 : (x->of[PART_OUTPUT] < y->of[PART_OUTPUT]) -
                       (x->of[PART_OUTPUT] > y->of[PART_OUTPUT]);
}

static void write_rows(struct import *im, struct buf *csv)
{
    qsort(im->rows, im->n, sizeof(im->rows[0]), row_order);
    price_table_write_head(csv);
    for (size_t i = 0; i < im->n; i++) {
        const struct price_row *row = &im->rows[i];
        if (i > 0 && strcmp(row->model, row[-1].model) == 0 &&
            strcmp(row->provider, row[-1].provider) == 0) {
            im->facts->twins++;
            continue;
        }
        price_table_write_row(csv, row);
        im->facts->taken++;
    }
}

static int read_document(struct import *im)
{
    if (json_is_array(im->doc)) {
        return read_genai(im, im->doc);
    }
    if (json_is_object(im->doc) && json_each(im->doc, is_litellm_model, NULL)) {
        im->facts->format = "LiteLLM";
        json_each(im->doc, read_litellm_model, im);
        return 0;
    }
    buf_add_str(im->why, "neither a data.json of genai-prices nor LiteLLM's "
                         "model_prices_and_context_window.json\n");
    return ERR_INVALID_REQUEST;
}

/* "… at byte 1234" of the reader, with the line that people look for. */
static void say_where(struct text json, struct buf *why, const struct buf *problem)
{
    const char *words = problem->at ? problem->at : "not JSON";
    const char *at = strstr(words, "at byte ");
    size_t byte = at ? strtoull(at + 8, NULL, 10) : 0;
    int64_t line = 1;
    for (size_t i = 0; i < byte && i < json.len; i++) {
        line += json.at[i] == '\n';
    }
    buf_addf(why, "line %" PRId64 ": %s\n", line, words);
}

static int import_document(struct import *im, bool skip_bad, struct buf *csv)
{
    size_t n = count_models(im->doc);
    if (n > PRICE_ROWS_MAX) {
        buf_addf(im->why, "%zu models, more than %d\n", n, PRICE_ROWS_MAX);
        return ERR_INVALID_REQUEST;
    }
    im->rows = calloc(n + 1, sizeof(struct price_row));
    if (!im->rows) {
        return ERR_NO_MEMORY;
    }
    int error = read_document(im);
    if (!error && im->facts->bad && !skip_bad) {
        error = ERR_INVALID_REQUEST;
    }
    if (!error && im->n == 0) {
        buf_add_str(im->why, "no model has a price per token\n");
        error = ERR_INVALID_REQUEST;
    }
    if (!error) {
        write_rows(im, csv);
        error = csv->failed ? ERR_NO_MEMORY : 0;
    }
    free(im->rows);
    return error;
}

int price_import(struct text json, const char *today, bool skip_bad, struct buf *csv,
                 struct import_facts *facts, struct buf *why)
{
    json_value *doc = NULL;
    struct buf problem;
    *facts = (struct import_facts){.format = "unknown"};
    buf_init(&problem, 1000);
    int error = json_parse(json, &doc, &problem);
    if (error == ERR_INVALID_REQUEST) {
        say_where(json, why, &problem);
    }
    buf_release(&problem);
    if (!error) {
        struct import im = {.today = today, .facts = facts, .why = why, .doc = doc};
        error = import_document(&im, skip_bad, csv);
        json_free(doc);
    }
    return error;
}
