/* Reads answers back as a client would, and holds them against what the core decided. */
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "http/json.h"
#include "peers.h"
#include "server/names.h"

#define WHY_MAX 512

struct delivery {
    struct http_request *peer;
    size_t index;
    const struct promise *promise;
    const json_value *object;
    int status;
};

static void object_to(const struct delivery *a, const char *what)
{
    struct peers *p = a->peer->peers;
    stage_object(p->stage, p->now_us, "P8: the answer to client %llu (status %d): %s",
                 (unsigned long long)a->peer->clients[a->index], a->status, what);
}

static int64_t number_of(const json_value *object, const char *key)
{
    int64_t n = INT64_MIN;
    const json_value *v = json_get(object, key);
    return v && json_read_i64(v, &n) ? n : INT64_MIN;
}

static struct text text_in(const json_value *object, const char *key)
{
    struct text t = TEXT_NONE;
    const json_value *v = json_get(object, key);
    return v && json_read_text(v, &t) ? t : TEXT_NONE;
}

static bool read_load(const json_value *object, struct load *load)
{
    memset(load, 0, sizeof(*load));
    for (int u = 0; u < UNIT_COUNT; u++) {
        const json_value *v = json_get(object, unit_name((enum unit)u));
        bool read = !v || (u == UNIT_USD ? json_read_picousd(v, &load->of[u])
                                         : json_read_i64(v, &load->of[u]));
        if (!read) {
            return false;
        }
    }
    return json_is_object(object);
}

static bool same_load(const struct load *a, const struct load *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static uint64_t lease_in(const json_value *object)
{
    uint64_t lease = 0;
    return lease_name_read(text_in(object, "lease"), &lease) ? lease : 0;
}

/* A number that is left out where it is 0. */
static int64_t number_if(const json_value *object, const char *key)
{
    return json_get(object, key) ? number_of(object, key) : 0;
}

static void judge_grant(const struct delivery *a)
{
    struct load held;
    struct text resource = text_in(a->object, "resource");
    const struct promise *p = a->promise;
    const json_value *o = a->object;
    if (!read_load(json_get(o, "held"), &held) || !same_load(&held, &p->load) ||
        lease_in(o) != p->number || number_of(o, "expires_ms") != p->expires_us / US_PER_MS ||
        !text_equal(resource, text_of(p->resource)) || number_of(o, "attempt") != p->attempt ||
        number_if(o, "step") != (int64_t)p->step) {
        object_to(a, "another grant than was decided");
        return;
    }
    world_grant(a->peer->peers->stage->world, a->peer->clients[a->index], p->number, &held,
                resource);
}

static void judge_wait(const struct delivery *a)
{
    uint64_t ticket = 0;
    if (!ticket_name_read(text_in(a->object, "ticket"), &ticket) || ticket != a->promise->number) {
        object_to(a, "another ticket than was decided");
        return;
    }
    world_ticket(a->peer->peers->stage->world, a->peer->clients[a->index], ticket);
}

/* Who is advised to come again is told with which ticket. */
static void judge_advice(const struct delivery *a)
{
    static const char *const ACTIONS[] = {[ADVICE_DONE] = "done",
                                          [ADVICE_RETRY] = "retry",
                                          [ADVICE_FALLBACK] = "fallback",
                                          [ADVICE_GIVE_UP] = "give_up"};
    const struct promise *p = a->promise;
    const json_value *advice = json_get(a->object, "advice");
    uint64_t ticket = 0;
    bool told = ticket_name_read(text_in(advice, "ticket"), &ticket);
    int64_t after_ms = p->after_us / US_PER_MS + (p->after_us % US_PER_MS > 0);
    if (told != (p->ticket != 0) || ticket != p->ticket ||
        !text_equal(text_in(advice, "action"), text_of(ACTIONS[p->action])) ||
        number_of(advice, "after_ms") != after_ms) {
        object_to(a, "another advice than was decided");
    } else if (told) {
        world_ticket(a->peer->peers->stage->world, a->peer->clients[a->index], ticket);
    }
}

static void judge_settled(const struct delivery *a)
{
    struct load settled;
    bool late = !a->promise->late;
    const json_value *v = json_get(a->object, "late");
    if (!v || !json_read_bool(v, &late) || late != a->promise->late ||
        !read_load(json_get(a->object, "settled"), &settled) ||
        !same_load(&settled, &a->promise->load)) {
        object_to(a, "another settlement than was decided");
        return;
    }
    judge_advice(a);
}

static void judge_renewed(const struct delivery *a)
{
    if (lease_in(a->object) != a->promise->number ||
        number_of(a->object, "expires_ms") != a->promise->expires_us / US_PER_MS) {
        object_to(a, "another renewal than was decided");
    }
}

/* --- Errors --- */

static enum error_code code_in(const json_value *object)
{
    const json_value *error = json_get(object, "error");
    struct text name = json_is_object(error) ? text_in(error, "code") : TEXT_NONE;
    for (int c = ERR_NONE + 1; c < ERR_COUNT; c++) {
        if (text_equal(name, text_of(error_name((enum error_code)c)))) {
            return (enum error_code)c;
        }
    }
    return ERR_NONE;
}

static void judge_refusal(const struct delivery *a, enum error_code code)
{
    const struct promise *p = a->promise;
    bool as_decided =
        code == p->code || (p->capped && code == ERR_LINE_FULL && p->code == ERR_WOULD_WAIT);
    struct text limit = text_in(json_get(a->object, "error"), "limit");
    if (!as_decided || !text_equal(limit, text_of(p->limit))) {
        object_to(a, error_name(code));
    }
}

/* What the daemon says of its own. */
static void judge_own_error(const struct delivery *a, enum error_code code)
{
    const struct peers *p = a->peer->peers;
    bool troubled = a->peer->troubled || *p->store_failed || *p->disk_fails;
    if (!(code == ERR_STORE_FAILED && troubled) &&
        !(code == ERR_LINE_FULL && p->lines_capped && !a->promise->made)) {
        object_to(a, error_name(code));
    }
    a->peer->peers->failures++;
}

static void judge_decided(const struct delivery *a)
{
    switch (a->promise->kind) {
    case EFFECT_GRANT: judge_grant(a); break;
    case EFFECT_WAIT: judge_wait(a); break;
    case EFFECT_SETTLED: judge_settled(a); break;
    case EFFECT_RENEWED: judge_renewed(a); break;
    case EFFECT_CANCELLED:
    case EFFECT_HEALTH: break;
    default: object_to(a, "an error was decided, and told as none"); break;
    }
    struct peers *p = a->peer->peers;
    if (a->promise->records > p->promised) {
        p->promised = a->promise->records;
    }
}

/* One answer; `object` is it, or the element of a bundle or the line of a stream about it. */
static void judge_one(const struct delivery *a)
{
    bool *answered = &a->peer->answered[a->index];
    enum error_code code = code_in(a->object);
    int want = code ? error_status(code) : a->promise->kind == EFFECT_WAIT ? 202 : 200;
    if (*answered) {
        object_to(a, "is the second");
    } else if (code && (!a->promise->made || a->promise->kind != EFFECT_REFUSE ||
                        code == ERR_STORE_FAILED)) {
        judge_own_error(a, code);
    } else if (!a->promise->made) {
        object_to(a, "nothing was decided");
    } else if (code) {
        judge_refusal(a, code);
    } else {
        judge_decided(a);
    }
    if (a->status != want && !a->peer->bundle) {
        object_to(a, "the status does not go with it");
    }
    *answered = true;
}

/* A bundle is answered as a whole where the store has failed. */
static void judge_bundle(struct delivery *a)
{
    const json_value *leases = json_get(a->object, "leases");
    if (!leases) {
        judge_one(a);
        return;
    }
    const json_value *at = json_array_next(leases, NULL);
    for (a->index = 0; a->index < a->peer->clients_n && at; a->index++) {
        a->object = at;
        a->promise = &a->peer->promises[a->index];
        judge_one(a);
        at = json_array_next(leases, at);
    }
    if (a->index < a->peer->clients_n || at) {
        a->index = 0;
        object_to(a, "a bundle has not as many elements as were asked for");
    }
}

static void judge_line(struct delivery *a)
{
    int64_t index = number_of(a->object, "index");
    if (index < 0 || index >= (int64_t)a->peer->clients_n) {
        object_to(a, "a line without its index");
        return;
    }
    a->index = (size_t)index;
    a->promise = &a->peer->promises[a->index];
    a->status = (int)number_of(a->object, "status");
    judge_one(a);
}

static void digest(struct stage *stage, int64_t now_us, struct text body)
{
    uint64_t sum = stage->digest ^ (uint64_t)now_us;
    for (size_t i = 0; i < body.len; i++) {
        sum = (sum ^ (unsigned char)body.at[i]) * UINT64_C(0x100000001b3);
    }
    stage->digest = sum;
}

void answer_judge(struct http_request *peer, int status, struct text body)
{
    struct peers *p = peer->peers;
    struct buf why;
    json_value *document = NULL;
    struct delivery a = {peer, 0, &peer->promises[0], NULL, status};
    buf_init(&why, WHY_MAX);
    p->replies++;
    digest(p->stage, p->now_us, body);
    if (json_parse(body, &document, &why) != 0) {
        object_to(&a, "is not JSON");
    } else {
        a.object = document;
        if (peer->array) {
            judge_line(&a);
        } else if (peer->bundle) {
            judge_bundle(&a);
        } else {
            judge_one(&a);
        }
    }
    json_free(document);
    buf_release(&why);
}
