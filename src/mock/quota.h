/*
 * The strict rules of a pretend provider for one model.
 *
 * QUOTA_OPENAI     a rolling minute. Every call counts as a request, refused ones too. The estimate
 *                  of the prompt plus max_tokens is reserved at admission and kept.
 * QUOTA_ANTHROPIC  buckets that refill continuously and start full. Input is charged at admission
 *                  by estimate and corrected to what it was; output is charged as it is produced,
 *                  and a call is admitted while at least one output token is left.
 * QUOTA_AZURE      tokens in a fixed minute, reserved like OpenAI's; requests in slices of a sixth
 *                  of the minute, each with a sixth of the amount.
 *
 * A provider may let through less than its rules say for a while, and others may use the same key:
 * both are the weather of a moment, which whoever judges a call tells first.
 *
 * A call is judged once, as a whole: it is charged to every meter or (but for OpenAI's requests)
 * to none. Time comes in as an argument. The text of a verdict and its HTTP shape are not here.
 *
 * May depend on src/base.
 */
#ifndef SLUICE_MOCK_QUOTA_H
#define SLUICE_MOCK_QUOTA_H

#include <stdint.h>

#include "mock/meter.h"

enum quota_profile { QUOTA_OPENAI, QUOTA_ANTHROPIC, QUOTA_AZURE };

enum quota_unit {
    QUOTA_REQUESTS,
    QUOTA_TOKENS,
    QUOTA_INPUT_TOKENS,
    QUOTA_OUTPUT_TOKENS,
    QUOTA_SLOTS, /* calls in flight */
    QUOTA_UNIT_COUNT
};

struct quota_rules {
    enum quota_profile profile;
    int64_t minute_us;                /* the length of the provider's minute */
    int64_t phase_us;                 /* QUOTA_AZURE: when one of its minutes starts */
    int64_t amount[QUOTA_UNIT_COUNT]; /* per minute (slots: at once); 0: no limit */
};

/* What a call asks for. */
struct quota_ask {
    int64_t input_tokens;      /* estimate of the prompt */
    int64_t max_output_tokens; /* what the call allows itself; 0 where it does not say */
};

struct quota_verdict {
    bool admitted;
    bool too_large;       /* refused, and no waiting would help */
    enum quota_unit unit; /* what refused it */
    int64_t limit;
    int64_t used; /* before this call */
    int64_t asked;
    int64_t retry_after_us; /* 0 where nothing is known: slots, too_large */
};

/* What is otherwise than the rules say. */
struct quota_weather {
    int64_t lowered_ppm; /* of each amount per minute is taken away for now */
    int64_t others_ppm;  /* of each amount is used by others with the same key, evenly */
};

struct quota {
    struct quota_rules rules;
    struct meter meters[QUOTA_SLOTS]; /* one for each unit but slots */
    int64_t lowered_ppm;
    int64_t others_us;                /* until then others have been charged … */
    int64_t others_steps;             /* … in so many steps … */
    int64_t others_used[QUOTA_SLOTS]; /* … and got so much */
    int64_t in_flight;
    int64_t in_flight_peak;
};

void quota_init(struct quota *q, const struct quota_rules *rules, int64_t now_us);
void quota_release(struct quota *q);

/* The weather from now on. Others are charged for the time since they were last; where their calls
 * do not fit they are refused like anyone's. */
void quota_weather(struct quota *q, int64_t now_us, const struct quota_weather *weather);

/* Judges a call that arrives at `now_us`, and charges it. An admitted call is in flight until
 * quota_done. */
void quota_judge(struct quota *q, int64_t now_us, const struct quota_ask *ask,
                 struct quota_verdict *verdict);

/* The provider refuses a call for a reason of its own (scripted trouble). */
void quota_count_refused(struct quota *q, int64_t now_us);

/* The input of an admitted call was `actual` tokens, not the estimate. */
void quota_correct_input(struct quota *q, int64_t now_us, int64_t estimate, int64_t actual);

/* An admitted call has produced n further output tokens. */
void quota_produce(struct quota *q, int64_t now_us, int64_t n);

/* An admitted call has ended. */
void quota_done(struct quota *q);

struct quota_state {
    int64_t limit;      /* 0: no limit */
    int64_t remaining;  /* never negative */
    int64_t full_in_us; /* until everything is available again */
};

/* What the headers of an answer say of a unit other than slots. */
void quota_state(struct quota *q, int64_t now_us, enum quota_unit unit, struct quota_state *state);

#endif
