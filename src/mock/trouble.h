/*
 * Scripted trouble: which calls of the pretend provider go wrong, and how.
 *
 * A script is lines, or pieces between semicolons, of the form
 *
 *     WHEN [model NAME]: WHAT
 *
 * WHEN   always | request N | requests N-M | every N | time D-D | chance P%
 *        Calls are counted from 1 since the start or the last reset, all models together; times are
 *        since then too.
 * WHAT   status N [code WORD] [type WORD] [retry-after D] [message ANYTHING]
 *                              answered with this status. A 429 is refused; any other status
 *                              comes after the call was admitted and charged
 *        slow D                the first token comes this much later
 *        cut N                 the connection breaks after N output tokens
 *        fail N                a stream carries an error after N output tokens
 *        quota P%              of every amount is all that is let through
 *        others P%             of every amount is used by others with the same key, evenly
 *        header NAME VALUE     an answer's header is this instead
 *        no-header NAME        an answer lacks this header
 *
 * The quota and others are there whether calls come or not, so their WHEN is always or a time.
 * Empty pieces and those that begin with # mean nothing. All rules that apply do; where two say
 * different things, the first one counts.
 *
 * May depend on src/base, quota.h and the durations of src/config.
 */
#ifndef SLUICE_MOCK_TROUBLE_H
#define SLUICE_MOCK_TROUBLE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

struct quota_weather;

#define TROUBLE_RULES_MAX     64
#define TROUBLE_WORD_LEN_MAX  63
#define TROUBLE_VALUE_LEN_MAX 255

enum trouble_when { TROUBLE_ALWAYS, TROUBLE_REQUESTS, TROUBLE_EVERY, TROUBLE_TIME, TROUBLE_CHANCE };

enum trouble_what {
    TROUBLE_STATUS,
    TROUBLE_SLOW,
    TROUBLE_CUT,
    TROUBLE_FAIL,
    TROUBLE_QUOTA,
    TROUBLE_OTHERS,
    TROUBLE_HEADER,
    TROUBLE_NO_HEADER
};

struct trouble_rule {
    enum trouble_when when;
    int64_t low;  /* REQUESTS, EVERY: numbers; TIME: microseconds; CHANCE: parts per million */
    int64_t high; /* REQUESTS, TIME: the end, included and not included */
    char model[TROUBLE_WORD_LEN_MAX + 1]; /* "": any */
    enum trouble_what what;
    int64_t amount;         /* STATUS: the status; SLOW: microseconds; CUT, FAIL: tokens;
                               QUOTA, OTHERS: parts per million */
    int64_t retry_after_us; /* STATUS: -1 where not said */
    char name[TROUBLE_WORD_LEN_MAX + 1]; /* STATUS: code; headers: lower-case name */
    char type[TROUBLE_WORD_LEN_MAX + 1];
    char value[TROUBLE_VALUE_LEN_MAX + 1]; /* STATUS: message; HEADER: value */
};

struct trouble_script {
    struct trouble_rule rules[TROUBLE_RULES_MAX];
    size_t rules_n;
};

/* Reads a script and adds its rules. 0, or ERR_INVALID_REQUEST with a sentence in `why`, which
 * names the piece. */
int trouble_parse(struct text script, struct trouble_script *to, struct buf *why);

/* What goes wrong with one call. Pointers are into the script, NULL where nothing does. */
struct trouble {
    const struct trouble_rule *status;
    const struct trouble_rule *cut;
    const struct trouble_rule *fail;
    int64_t slow_us;
    uint64_t headers; /* bit i: rule i changes a header */
};

/* Chooses for call `number`, `elapsed_us` after the start (in the script's own time). */
void trouble_choose(const struct trouble_script *script, uint64_t number, struct text model,
                    int64_t elapsed_us, uint64_t seed, struct trouble *trouble);

/* What is otherwise for a model than its rules say, at that time of the script. */
void trouble_weather(const struct trouble_script *script, struct text model, int64_t elapsed_us,
                     struct quota_weather *weather);

/* The value a header gets instead of `value`; NULL where it is left out. */
const char *trouble_header(const struct trouble_script *script, const struct trouble *trouble,
                           const char *name, const char *value);

#endif
