#include "server/notice.h"

#include <assert.h>

#include "base/num.h"
#include "http/member.h"
#include "server/answer.h"

bool notice_kind_of(const struct effect *effect, enum notice_kind *kind)
{
    switch ((int)effect->kind) {
    case EFFECT_GRANT: *kind = NOTICE_GRANTED; return !effect->grant.repeated;
    case EFFECT_SETTLED: *kind = NOTICE_SETTLED; return !effect->settled.repeated;
    case EFFECT_REFUSE: *kind = NOTICE_REFUSED; return effect->refuse.resource.len > 0;
    case EFFECT_EXPIRED: *kind = NOTICE_EXPIRED; return true;
    case EFFECT_HEALTH: *kind = NOTICE_STATE; return true;
    default: return false;
    }
}

struct text notice_resource(const struct effect *effect)
{
    switch ((int)effect->kind) {
    case EFFECT_GRANT: return effect->grant.resource;
    case EFFECT_SETTLED: return effect->settled.resource;
    case EFFECT_REFUSE: return effect->refuse.resource;
    case EFFECT_EXPIRED: return effect->expired.resource;
    case EFFECT_HEALTH: return effect->health.resource;
    default: return TEXT_NONE;
    }
}

static void put_grant(struct json_writer *w, const struct effect *e)
{
    answer_write_lease("lease", e->grant.lease, w);
    member_text_if(w, "tenant", e->grant.tenant);
    member_text_if(w, "id", e->grant.id);
    json_key(w, "held");
    answer_write_load(&e->grant.held, w);
    member_i64(w, "waited_ms", e->grant.waited_us / US_PER_MS);
}

static void put_settled(struct json_writer *w, const struct effect *e)
{
    answer_write_lease("lease", e->settled.lease, w);
    json_key(w, "settled");
    answer_write_load(&e->settled.settled, w);
    member_picousd(w, "cost_usd", e->settled.settled.of[UNIT_USD]);
    member_bool(w, "late", e->settled.late);
}

static void put_refused(struct json_writer *w, const struct effect *e)
{
    member_text_if(w, "id", e->refuse.id);
    member_text_if(w, "code", text_of(error_name(e->refuse.code)));
    member_text_if(w, "limit", text_of(e->refuse.limit));
}

static void put_health(struct json_writer *w, const struct effect *e)
{
    member_str(w, "was", health_state_name(e->health.was));
    json_key(w, "state");
    answer_write_state(&e->health.view, w);
}

void notice_write(const struct effect *effect, int64_t now_us, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_object_begin(&w);
    member_i64(&w, "at_ms", now_us / US_PER_MS);
    member_text_if(&w, "resource", notice_resource(effect));
    switch ((int)effect->kind) {
    case EFFECT_GRANT: put_grant(&w, effect); break;
    case EFFECT_SETTLED: put_settled(&w, effect); break;
    case EFFECT_REFUSE: put_refused(&w, effect); break;
    case EFFECT_EXPIRED:
        answer_write_lease("lease", effect->expired.lease, &w);
        member_text_if(&w, "tenant", effect->expired.tenant);
        break;
    case EFFECT_HEALTH: put_health(&w, effect); break;
    default: assert(!"this effect makes no notice");
    }
    json_object_end(&w);
}
