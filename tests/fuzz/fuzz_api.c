/*
 * links: server
 *
 * Any bytes as a request of the API: each reader takes it, with everything in its range, or refuses
 * it with a reason; and a usage that was taken leaves a load that the core may be given.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "http/fields.h"
#include "http/json.h"
#include "server/names.h"
#include "server/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(int err, struct buf *why)
{
    assert(err == 0 || err == ERR_INVALID_REQUEST);
    assert((err != 0) == (why->len > 0 || why->failed));
    buf_clear(why);
}

static void check_load(const struct load *load)
{
    for (int unit = 0; unit < UNIT_COUNT; unit++) {
        int64_t max = unit == UNIT_USD ? USD_AMOUNT_MAX : AMOUNT_MAX;
        assert(load->of[unit] >= 0 && load->of[unit] <= max);
    }
}

static void check_name(struct text name)
{
    assert(name.len <= NAME_LEN_MAX && !text_has_controls(name));
}

static void try_acquire(const json_value *v, struct buf *why)
{
    struct acquire_request r;
    int err = request_read_acquire(v, &r, why);
    check_refusal(err, why);
    if (err) {
        return;
    }
    const struct acquire *a = &r.acquire;
    assert(r.ticket || (a->resource.len > 0) != (a->route.len > 0));
    check_name(a->resource);
    check_name(a->route);
    check_name(a->tenant);
    check_name(a->session);
    check_name(a->id);
    check_load(&a->load);
    assert(a->load.of[UNIT_SLOTS] == 1);
    assert(a->priority >= PRIORITY_MIN && a->priority <= PRIORITY_MAX);
    assert(a->wait_us >= 0 && a->wait_us <= WAIT_US_MAX);
    assert(a->hold_us > 0 && a->hold_us <= WAIT_US_MAX);
    assert(a->lease_us > 0 && a->lease_us <= LEASE_US_MAX);
    assert(a->labels.len <= LABELS_LEN_MAX);
    assert(a->labels.len == 0 || a->labels.at[a->labels.len - 1] == '\n');
}

static void try_release(const json_value *v, struct buf *why)
{
    struct release_request r;
    int err = request_read_release(v, &r, why);
    check_refusal(err, why);
    if (err) {
        return;
    }
    assert(r.lease != 0);
    assert(r.status == 0 || (r.status >= 100 && r.status <= 599));
    assert(r.headers_n <= ANSWER_HEADERS_MAX);
    assert(r.has_answer || (!r.error && r.status == 0 && r.headers_n == 0));
    if (r.has_usage) {
        struct load load = {.of = {1, 2, 3, 4, 1, 5}};
        usage_apply(&r.usage, r.lease % 2 == 1, &load);
        check_load(&load);
        assert(load.of[UNIT_SLOTS] == 1);
    }
}

static void try_others(const json_value *v, struct buf *why)
{
    struct renew_request renew;
    struct cancel_request cancel;
    int err = request_read_renew(v, &renew, why);
    check_refusal(err, why);
    if (!err) {
        assert((renew.lease != 0) != (renew.leases != NULL));
        assert(renew.lease_ms > 0 && renew.lease_ms <= LEASE_US_MAX / 1000);
    }
    err = request_read_cancel(v, &cancel, why);
    check_refusal(err, why);
    if (!err) {
        assert((cancel.ticket != 0) != (cancel.id.len > 0));
        check_name(cancel.id);
    }
}

static void try_name(struct text t)
{
    uint64_t n = 0;
    if (lease_name_read(t, &n)) {
        struct public_name name = lease_name(n);
        assert(n != 0 && text_equal(public_name_text(&name), t));
    }
    if (ticket_name_read(t, &n)) {
        struct public_name name = ticket_name(n);
        assert(n != 0 && text_equal(public_name_text(&name), t));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text bytes = {(const char *)data, size};
    struct buf why;
    json_value *v = NULL;
    buf_init(&why, WHY_LEN_MAX);
    try_name(bytes);
    if (json_parse(bytes, &v, &why) == 0) {
        buf_clear(&why);
        try_acquire(v, &why);
        try_release(v, &why);
        try_others(v, &why);
    }
    json_free(v);
    buf_release(&why);
    return 0;
}
