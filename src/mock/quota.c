#include "mock/quota.h"

#include <assert.h>

#include "base/num.h"

#define AZURE_SLICES 6 /* of ten seconds each in a minute */
#define PPM          INT64_C(1000000)
#define OTHERS_STEPS 60 /* a minute: others call once in each of the provider's seconds */

static enum meter_kind kind_of(enum quota_profile profile)
{
    switch (profile) {
    case QUOTA_OPENAI: return METER_ROLLING;
    case QUOTA_ANTHROPIC: return METER_BUCKET;
    case QUOTA_AZURE: break;
    }
    return METER_FIXED;
}

/* What a unit's meter lets through in its window, which is shorter than the minute for Azure's
 * requests: at least one, however low the amount. */
static int64_t amount_of(const struct quota_rules *rules, enum quota_unit unit)
{
    int64_t amount = rules->amount[unit];
    if (rules->profile == QUOTA_AZURE && unit == QUOTA_REQUESTS && amount > 0) {
        return max_i64(1, amount / AZURE_SLICES);
    }
    return amount;
}

static int64_t window_of(const struct quota_rules *rules, enum quota_unit unit)
{
    if (rules->profile == QUOTA_AZURE && unit == QUOTA_REQUESTS) {
        return max_i64(1, rules->minute_us / AZURE_SLICES);
    }
    return rules->minute_us;
}

void quota_init(struct quota *q, const struct quota_rules *rules, int64_t now_us)
{
    *q = (struct quota){.rules = *rules, .others_us = now_us};
    for (int u = 0; u < QUOTA_SLOTS; u++) {
        meter_init(&q->meters[u], kind_of(rules->profile), amount_of(rules, u), window_of(rules, u),
                   rules->phase_us, now_us);
    }
}

void quota_release(struct quota *q)
{
    for (int u = 0; u < QUOTA_SLOTS; u++) {
        meter_release(&q->meters[u]);
    }
}

/* --- Weather. --- */

static int64_t lowered(const struct quota *q, int64_t amount)
{
    return amount ? max_i64(1, amount - mul_div_sat(amount, q->lowered_ppm, PPM)) : 0;
}

/* What others ask in their step of that number: whole units, evenly. */
static int64_t others_ask(const struct quota *q, enum quota_unit unit, int64_t ppm, int64_t step)
{
    int64_t minute = mul_div_sat(q->rules.amount[unit], ppm, PPM);
    return minute * (step + 1) / OTHERS_STEPS - minute * step / OTHERS_STEPS;
}

static void others_call(struct quota *q, int64_t at_us, int64_t ppm)
{
    int64_t step = q->others_steps++ % OTHERS_STEPS;
    for (int u = 0; u < QUOTA_SLOTS; u++) {
        int64_t n = others_ask(q, u, ppm, step);
        if (meter_room_in_us(&q->meters[u], at_us, n) == 0) {
            meter_add(&q->meters[u], at_us, n);
            q->others_used[u] += n;
        }
    }
}

void quota_weather(struct quota *q, int64_t now_us, const struct quota_weather *weather)
{
    int64_t step_us = max_i64(1, q->rules.minute_us / OTHERS_STEPS);
    q->lowered_ppm = weather->lowered_ppm;
    for (int u = 0; u < QUOTA_SLOTS; u++) {
        if (q->meters[u].amount) {
            meter_change(&q->meters[u], now_us, lowered(q, amount_of(&q->rules, u)));
        }
    }
    /* What others did longer ago than a minute no window remembers. */
    q->others_us = max_i64(q->others_us, now_us - q->rules.minute_us);
    for (; q->others_us + step_us <= now_us; q->others_us += step_us) {
        if (weather->others_ppm) {
            others_call(q, q->others_us + step_us, weather->others_ppm);
        }
    }
}

/* --- Calls. --- */

/* What a call needs of a unit to be admitted. */
static int64_t needed(const struct quota *q, enum quota_unit unit, const struct quota_ask *ask)
{
    bool reserves = q->rules.profile != QUOTA_ANTHROPIC;
    switch (unit) {
    case QUOTA_TOKENS: return add_sat(ask->input_tokens, reserves ? ask->max_output_tokens : 0);
    case QUOTA_INPUT_TOKENS: return ask->input_tokens;
    case QUOTA_OUTPUT_TOKENS: return reserves ? ask->max_output_tokens : 1;
    default: return 1;
    }
}

/* What an admitted call is charged at once. */
static int64_t charged(const struct quota *q, enum quota_unit unit, const struct quota_ask *ask)
{
    if (q->rules.profile == QUOTA_ANTHROPIC && unit == QUOTA_OUTPUT_TOKENS) {
        return 0;
    }
    return needed(q, unit, ask);
}

/* Whether a unit has room for the call; fills in the verdict where it has not. */
static bool has_room(struct quota *q, int64_t now_us, enum quota_unit unit,
                     const struct quota_ask *ask, struct quota_verdict *verdict)
{
    int64_t asked = needed(q, unit, ask);
    int64_t room_in_us = meter_room_in_us(&q->meters[unit], now_us, asked);
    if (room_in_us == 0) {
        return true;
    }
    *verdict = (struct quota_verdict){
        .unit = unit,
        .too_large = room_in_us < 0,
        .limit = lowered(q, q->rules.amount[unit]),
        .used = meter_used(&q->meters[unit], now_us),
        .asked = asked,
        .retry_after_us = max_i64(0, room_in_us),
    };
    return false;
}

static bool has_slot(const struct quota *q, struct quota_verdict *verdict)
{
    int64_t slots = q->rules.amount[QUOTA_SLOTS];
    if (slots == 0 || q->in_flight < slots) {
        return true;
    }
    *verdict = (struct quota_verdict){
        .unit = QUOTA_SLOTS, .limit = slots, .used = q->in_flight, .asked = 1};
    return false;
}

static bool fits(struct quota *q, int64_t now_us, const struct quota_ask *ask,
                 struct quota_verdict *verdict)
{
    for (int u = 0; u < QUOTA_SLOTS; u++) {
        if (!has_room(q, now_us, u, ask, verdict)) {
            return false;
        }
    }
    return has_slot(q, verdict);
}

void quota_count_refused(struct quota *q, int64_t now_us)
{
    if (q->rules.profile == QUOTA_OPENAI) {
        meter_add(&q->meters[QUOTA_REQUESTS], now_us, 1);
    }
}

void quota_judge(struct quota *q, int64_t now_us, const struct quota_ask *ask,
                 struct quota_verdict *verdict)
{
    assert(ask->input_tokens >= 0 && ask->max_output_tokens >= 0);
    if (!fits(q, now_us, ask, verdict)) {
        quota_count_refused(q, now_us);
        if (verdict->unit == QUOTA_REQUESTS && !verdict->too_large) {
            /* Being refused has just put the next chance off. */
            verdict->retry_after_us = meter_room_in_us(&q->meters[QUOTA_REQUESTS], now_us, 1);
        }
        return;
    }
    for (int u = 0; u < QUOTA_SLOTS; u++) {
        meter_add(&q->meters[u], now_us, charged(q, u, ask));
    }
    q->in_flight++;
    q->in_flight_peak = max_i64(q->in_flight_peak, q->in_flight);
    *verdict = (struct quota_verdict){.admitted = true};
}

void quota_correct_input(struct quota *q, int64_t now_us, int64_t estimate, int64_t actual)
{
    if (q->rules.profile != QUOTA_ANTHROPIC) {
        return;
    }
    static const enum quota_unit counted[] = {QUOTA_TOKENS, QUOTA_INPUT_TOKENS};
    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
        struct meter *m = &q->meters[counted[i]];
        if (actual > estimate) {
            meter_add(m, now_us, actual - estimate);
        } else if (m->amount) {
            meter_refund(m, now_us, estimate - actual);
        }
    }
}

void quota_produce(struct quota *q, int64_t now_us, int64_t n)
{
    if (q->rules.profile == QUOTA_ANTHROPIC) {
        meter_add(&q->meters[QUOTA_TOKENS], now_us, n);
        meter_add(&q->meters[QUOTA_OUTPUT_TOKENS], now_us, n);
    }
}

void quota_done(struct quota *q)
{
    assert(q->in_flight > 0);
    q->in_flight--;
}

void quota_state(struct quota *q, int64_t now_us, enum quota_unit unit, struct quota_state *state)
{
    assert(unit < QUOTA_SLOTS);
    struct meter *m = &q->meters[unit];
    int64_t used = meter_used(m, now_us);
    *state = (struct quota_state){
        .limit = lowered(q, q->rules.amount[unit]),
        .remaining = max_i64(0, m->amount - used),
        .full_in_us = meter_empty_in_us(m, now_us),
    };
}
