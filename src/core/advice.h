/*
 * Advice: what to do after a call, as the answer to its release says it.
 *
 * Plain data. May depend on src/base only.
 */
#ifndef SLUICE_CORE_ADVICE_H
#define SLUICE_CORE_ADVICE_H

#include <stdint.h>

#include "base/text.h"

enum advice_action {
    ADVICE_DONE,
    ADVICE_RETRY,    /* ask again with `ticket` after `after_us`: the place is kept */
    ADVICE_FALLBACK, /* ask again with `ticket`: it stands in the line of `resource` */
    ADVICE_GIVE_UP,
};

struct advice {
    enum advice_action action;
    int64_t after_us;
    uint64_t ticket;      /* 0: none, ask anew */
    const char *reason;   /* one word; static storage */
    struct text resource; /* the one to ask for next, where it is another */
};

#endif
