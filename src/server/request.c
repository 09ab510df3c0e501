#include "server/request.h"

#include <assert.h>

#include "base/error.h"
#include "base/num.h"
#include "http/fields.h"
#include "server/names.h"

#define MS_MAX (LEASE_US_MAX / US_PER_MS)

_Static_assert(LEASE_US_MAX == WAIT_US_MAX, "one range serves all durations of the API");

static int refuse(struct buf *why, const char *clause)
{
    buf_add_str(why, clause);
    return ERR_INVALID_REQUEST;
}

/* --- names of leases and tickets --- */

static int field_lease(const struct field *field, const json_value *v, void *into, struct buf *why)
{
    struct text t;
    uint64_t lease;
    if (!json_read_text(v, &t) || !lease_name_read(t, &lease)) {
        buf_addf(why, "`%s` must be a lease as acquire gave it, \"ls_\" and 16 hexadecimal digits",
                 field->name.at);
        return ERR_INVALID_REQUEST;
    }
    memcpy(field_place(field, into), &lease, sizeof(lease));
    return 0;
}

static int field_ticket(const struct field *field, const json_value *v, void *into, struct buf *why)
{
    struct text t;
    uint64_t ticket;
    if (!json_read_text(v, &t) || !ticket_name_read(t, &ticket)) {
        buf_addf(why, "`%s` must be a ticket as acquire gave it, \"tk_\" and 16 hexadecimal digits",
                 field->name.at);
        return ERR_INVALID_REQUEST;
    }
    memcpy(field_place(field, into), &ticket, sizeof(ticket));
    return 0;
}

/* --- load --- */

#define AMOUNT(literal, unit) FIELD(literal, field_i64, struct load, of[unit], 0, AMOUNT_MAX)

static const struct field load_table[] = {
    AMOUNT("requests", UNIT_REQUESTS),
    AMOUNT("tokens", UNIT_TOKENS),
    AMOUNT("input_tokens", UNIT_INPUT_TOKENS),
    AMOUNT("output_tokens", UNIT_OUTPUT_TOKENS),
    FIELD("usd", field_picousd, struct load, of[UNIT_USD], 0, USD_AMOUNT_MAX),
};

static const struct fields load_fields = {FIELDS_OF(load_table)};

/* The unit of each field of the table, as a bit of load_complete's `given`. */
static const unsigned load_bits[] = {1u << UNIT_REQUESTS, 1u << UNIT_TOKENS,
                                     1u << UNIT_INPUT_TOKENS, 1u << UNIT_OUTPUT_TOKENS,
                                     1u << UNIT_USD};

static int read_load(const struct field *field, const json_value *v, void *into, struct buf *why)
{
    struct acquire_request *out = into;
    if (json_is_number(v)) {
        out->load_given = 1u << UNIT_TOKENS;
        struct field tokens = load_table[UNIT_TOKENS];
        tokens.name = field->name;
        return field_i64(&tokens, v, &out->acquire.load, why);
    }
    if (!json_is_object(v)) {
        return refuse(why, "`load` must be a number of tokens or an object of units");
    }
    uint32_t given = 0;
    struct buf clause;
    buf_init(&clause, WHY_LEN_MAX);
    int err = fields_read(&load_fields, v, &out->acquire.load, &given, &clause);
    if (err) {
        buf_add_str(why, "in `load`: ");
        buf_add_text(why, buf_text(&clause));
    }
    buf_release(&clause);
    for (size_t i = 0; i < load_fields.n; i++) {
        out->load_given |= given & UINT32_C(1) << i ? load_bits[i] : 0;
    }
    return err;
}

/* --- labels --- */

struct labelling {
    struct acquire_request *out;
    size_t n;
};

static bool label_key_allowed(struct text key)
{
    return key.len > 0 && key.len <= NAME_LEN_MAX && !text_has_controls(key) &&
           !memchr(key.at, '=', key.len);
}

static int add_label(void *ctx, struct text key, json_value *v)
{
    struct labelling *l = ctx;
    struct text value;
    if (!label_key_allowed(key) || !json_read_text(v, &value) || value.len > NAME_LEN_MAX ||
        text_has_controls(value) || ++l->n > LABELS_MAX) {
        return ERR_INVALID_REQUEST;
    }
    struct acquire_request *out = l->out;
    size_t need = key.len + 1 + value.len + 1;
    if (need > sizeof(out->labels) - out->labels_len) {
        return ERR_INVALID_REQUEST;
    }
    char *at = out->labels + out->labels_len;
    memcpy(at, key.at, key.len);
    at[key.len] = '=';
    if (value.len) {
        memcpy(at + key.len + 1, value.at, value.len);
    }
    at[need - 1] = '\n';
    out->labels_len += need;
    return 0;
}

static int read_labels(const struct field *field, const json_value *v, void *into, struct buf *why)
{
    (void)field;
    struct labelling l = {into, 0};
    if (!json_is_object(v) || json_each(v, add_label, &l)) {
        buf_addf(why,
                 "`labels` must be an object of at most %d texts, %d bytes in all, each name and "
                 "value of at most %d bytes without control characters, a name without `=`",
                 LABELS_MAX, LABELS_LEN_MAX, NAME_LEN_MAX);
        return ERR_INVALID_REQUEST;
    }
    return 0;
}

/* --- acquire --- */

#define NAME(literal, member, least)                                                               \
    FIELD(literal, field_text, struct acquire_request, acquire.member, least, NAME_LEN_MAX)
#define NUMBER(literal, member, least, most)                                                       \
    FIELD(literal, field_i64, struct acquire_request, member, least, most)

/* In the order in which members are most often there. */
static const struct field acquire_table[] = {
    NAME("resource", resource, 1),
    FIELD("load", read_load, struct acquire_request, acquire.load, 0, 0),
    NUMBER("lease_ms", lease_ms, 1, MS_MAX),
    NAME("id", id, 1),
    NUMBER("priority", priority, PRIORITY_MIN, PRIORITY_MAX),
    NAME("tenant", tenant, 0),
    NAME("session", session, 0),
    NUMBER("wait_ms", wait_ms, 0, MS_MAX),
    NUMBER("hold_ms", hold_ms, 0, MS_MAX),
    NUMBER("max_attempts", max_attempts, 1, ATTEMPTS_MAX),
    FIELD("parent", field_lease, struct acquire_request, acquire.parent, 0, 0),
    FIELD("labels", read_labels, struct acquire_request, labels, 0, 0),
    FIELD("ticket", field_ticket, struct acquire_request, ticket, 0, 0),
    NAME("route", route, 1),
    NUMBER("input_bytes", acquire.input_bytes, 1, AMOUNT_MAX),
    NUMBER("max_output_tokens", max_output_tokens, 0, AMOUNT_MAX),
};

static const struct fields acquire_fields = {
    FIELDS_OF(acquire_table),
    .inner = &load_fields,
    .inner_name = "load",
};

/* The most that a call may produce is what its load asks, unless the load says so itself. */
static void take_max_output(struct acquire_request *out)
{
    unsigned said = out->load_given & (1u << UNIT_TOKENS | 1u << UNIT_OUTPUT_TOKENS);
    if (out->max_output_tokens >= 0 && !said) {
        out->acquire.load.of[UNIT_OUTPUT_TOKENS] = out->max_output_tokens;
        out->load_given |= 1u << UNIT_OUTPUT_TOKENS;
    }
}

int request_read_acquire(const json_value *object, struct acquire_request *out, struct buf *why)
{
    out->acquire = (struct acquire){0};
    out->ticket = 0;
    out->priority = PRIORITY_DEFAULT;
    out->wait_ms = WAIT_MS_DEFAULT;
    out->hold_ms = HOLD_MS_DEFAULT;
    out->lease_ms = LEASE_MS_DEFAULT;
    out->max_attempts = 0;
    out->load_given = 0;
    out->max_output_tokens = -1;
    out->labels_len = 0;
    uint32_t given;
    int err = fields_read(&acquire_fields, object, out, &given, why);
    if (err) {
        return err;
    }
    bool names_both = out->acquire.resource.len > 0 && out->acquire.route.len > 0;
    bool names_none = out->acquire.resource.len == 0 && out->acquire.route.len == 0;
    if (names_both || (names_none && !out->ticket)) {
        return refuse(why, names_both ? "`resource` and `route` exclude each other"
                                      : "`resource` is missing; or name a `route`");
    }
    struct acquire *a = &out->acquire;
    take_max_output(out);
    load_complete(&a->load, out->load_given);
    unsigned total = out->load_given & 1u << UNIT_TOKENS;
    a->has_input = total || out->load_given & 1u << UNIT_INPUT_TOKENS;
    a->has_output = total || out->load_given & 1u << UNIT_OUTPUT_TOKENS;
    a->has_usd = out->load_given & 1u << UNIT_USD;
    a->priority = (int)out->priority;
    a->attempts_max = (int32_t)out->max_attempts;
    a->wait_us = out->wait_ms * US_PER_MS;
    /* To the core 0 means that there is no end to the holding; to a caller, a ticket at once. */
    a->hold_us = max_i64(1, out->hold_ms * US_PER_MS);
    a->lease_us = out->lease_ms * US_PER_MS;
    a->labels = (struct text){out->labels, out->labels_len};
    return 0;
}

/* --- release --- */

#define HEADER_LEN_MAX 1024 /* a longer value tells nothing */

static int read_usage(const struct field *field, const json_value *v, void *into, struct buf *why)
{
    (void)field;
    struct release_request *out = into;
    out->has_usage = true;
    return usage_read(v, &out->usage, why);
}

/* A header that came several times is an array; the first value is the one that counts. */
static bool header_value(const json_value *v, struct text *value)
{
    if (json_read_text(v, value)) {
        return true;
    }
    *value = TEXT_NONE;
    for (const json_value *at = json_array_next(v, NULL); at; at = json_array_next(v, at)) {
        struct text t;
        if (!json_read_text(at, &t)) {
            return false;
        }
        *value = value->len ? *value : t;
    }
    return json_is_array(v);
}

static int take_header(void *ctx, struct text name, json_value *v)
{
    struct release_request *out = ctx;
    struct text value;
    if (!header_value(v, &value)) {
        return ERR_INVALID_REQUEST;
    }
    if (out->headers_n < ANSWER_HEADERS_MAX && value.len <= HEADER_LEN_MAX &&
        answer_header_wanted(name)) {
        out->headers[out->headers_n++] = (struct answer_header){name, value};
    }
    return 0;
}

static int read_headers(const struct field *field, const json_value *v, void *into, struct buf *why)
{
    (void)field;
    if (!json_is_object(v) || json_each(v, take_header, into)) {
        return refuse(why, "`headers` must be an object of texts, or of arrays of texts");
    }
    return 0;
}

static int read_error(const struct field *field, const json_value *v, void *into, struct buf *why)
{
    (void)field;
    struct release_request *out = into;
    if (!json_is_string(v) && !json_is_object(v) && !json_is_array(v) && !json_is_null(v)) {
        return refuse(why, "`error` must be text, an object or an array");
    }
    out->error = json_is_null(v) ? NULL : v;
    return 0;
}

enum release_field {
    RELEASE_LEASE,
    RELEASE_USAGE,
    RELEASE_STATUS,
    RELEASE_HEADERS,
    RELEASE_ERROR,
    RELEASE_ELAPSED
};

#define RELEASE(literal, reader, member, least, most)                                              \
    FIELD(literal, reader, struct release_request, member, least, most)

static const struct field release_table[] = {
    [RELEASE_LEASE] = RELEASE("lease", field_lease, lease, 0, 0),
    [RELEASE_USAGE] = RELEASE("usage", read_usage, usage, 0, 0),
    [RELEASE_STATUS] = RELEASE("status", field_i64, status, 100, 599),
    [RELEASE_HEADERS] = RELEASE("headers", read_headers, headers, 0, 0),
    [RELEASE_ERROR] = RELEASE("error", read_error, error, 0, 0),
    [RELEASE_ELAPSED] = RELEASE("elapsed_ms", field_i64, elapsed_ms, 0, MS_MAX),
};

int request_read_release(const json_value *object, struct release_request *out, struct buf *why)
{
    static const struct fields fields = {
        FIELDS_OF(release_table),
        .inner = &load_fields,
        .inner_name = "usage",
    };
    uint32_t given;
    /* The headers are left as they are: none of them is there yet. */
    memset(out, 0, offsetof(struct release_request, headers));
    int err = fields_read(&fields, object, out, &given, why);
    if (err) {
        return err;
    }
    out->has_answer = given & ~(1u << RELEASE_LEASE | 1u << RELEASE_USAGE);
    return out->lease ? 0 : refuse(why, "`lease` is missing");
}

/* --- renew --- */

static int read_leases(const struct field *field, const json_value *v, void *into, struct buf *why)
{
    if (!json_is_array(v) || json_array_len(v) == 0 || json_array_len(v) > ARRAY_LEN_MAX) {
        buf_addf(why, "`leases` must be an array of 1 to %d leases", ARRAY_LEN_MAX);
        return ERR_INVALID_REQUEST;
    }
    struct renew_request *out = into;
    for (const json_value *at = json_array_next(v, NULL); at; at = json_array_next(v, at)) {
        uint64_t lease;
        struct field element = *field;
        element.offset = 0;
        int err = field_lease(&element, at, &lease, why);
        if (err) {
            return err;
        }
    }
    out->leases = v;
    return 0;
}

static const struct field renew_table[] = {
    FIELD("lease", field_lease, struct renew_request, lease, 0, 0),
    FIELD("leases", read_leases, struct renew_request, leases, 0, 0),
    FIELD("lease_ms", field_i64, struct renew_request, lease_ms, 1, MS_MAX),
};

int request_read_renew(const json_value *object, struct renew_request *out, struct buf *why)
{
    static const struct fields fields = {FIELDS_OF(renew_table)};
    uint32_t given;
    *out = (struct renew_request){.lease_ms = LEASE_MS_DEFAULT};
    int err = fields_read(&fields, object, out, &given, why);
    if (err) {
        return err;
    }
    if (!out->lease == !out->leases) {
        return refuse(why, "either `lease` or `leases` must be given");
    }
    return 0;
}

/* --- cancel --- */

static const struct field cancel_table[] = {
    FIELD("ticket", field_ticket, struct cancel_request, ticket, 0, 0),
    FIELD("id", field_text, struct cancel_request, id, 1, NAME_LEN_MAX),
};

int request_read_cancel(const json_value *object, struct cancel_request *out, struct buf *why)
{
    static const struct fields fields = {FIELDS_OF(cancel_table)};
    uint32_t given;
    *out = (struct cancel_request){0};
    int err = fields_read(&fields, object, out, &given, why);
    if (err) {
        return err;
    }
    if ((out->ticket != 0) == (out->id.len != 0)) {
        return refuse(why, "either `ticket` or `id` must be given");
    }
    return 0;
}
