#include "core/price.h"

#include "base/num.h"

#define PPM INT64_C(1000000)

static const int64_t *prices_for(const struct price *p, int64_t prompt_tokens)
{
    return p->tier_start > 0 && prompt_tokens > p->tier_start ? p->over : p->of;
}

static int64_t discounted(const struct price *p, int64_t cost)
{
    int64_t off = mul_div_sat(cost, p->discount_ppm, PPM);
    return min_i64(USD_AMOUNT_MAX, cost - off);
}

int64_t price_cost(const struct price *p, const struct parts *parts)
{
    int64_t prompt = 0;
    for (int i = 0; i < PARTS; i++) {
        prompt = i == PART_OUTPUT ? prompt : add_sat(prompt, parts->of[i]);
    }
    const int64_t *prices = prices_for(p, prompt);
    int64_t cost = 0;
    for (int i = 0; i < PARTS; i++) {
        cost = add_sat(cost, mul_sat(parts->of[i], prices[i]));
    }
    return discounted(p, cost);
}

/* Where only the total of the tokens is known, any of them may turn out to be the dear ones. */
int64_t price_worst(const struct price *p, const struct load *load)
{
    const int64_t *prices = prices_for(p, load->of[UNIT_INPUT_TOKENS]);
    int64_t output_price = prices[PART_OUTPUT];
    int64_t input_price = 0;
    for (int i = 0; i < PARTS; i++) {
        input_price = i == PART_OUTPUT ? input_price : max_i64(input_price, prices[i]);
    }
    int64_t apart = add_sat(mul_sat(load->of[UNIT_INPUT_TOKENS], input_price),
                            mul_sat(load->of[UNIT_OUTPUT_TOKENS], output_price));
    int64_t together = mul_sat(load->of[UNIT_TOKENS], max_i64(input_price, output_price));
    return discounted(p, min_i64(apart, together));
}
