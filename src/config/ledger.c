#include "config/ledger.h"

#include "base/num.h"
#include "config/hint.h"

#define KEEP_DEFAULT_US (INT64_C(90) * US_PER_DAY)
#define KEEP_US_MAX     (INT64_C(36525) * US_PER_DAY)
#define KEEP_TAKES      "a duration from 1d to 36525d, as in 90d, or forever"

struct ledger_draft {
    struct word keep;
};

static const struct key_row ledger_rows[] = {
    {"keep", read_word, offsetof(struct ledger_draft, keep), NULL, 0, 0, KEEP_TAKES, "90d",
     "How long the ledger's rows are kept; budgets do not depend on them."},
};

const struct section ledger_section = {"Ledger (`ledger`)", ledger_rows,
                                       sizeof(ledger_rows) / sizeof(ledger_rows[0]), "{keep: 90d}"};

void ledger_read(struct problems *p, const struct node *map, struct config *config)
{
    struct ledger_draft d = {.keep = {.line = 0}};
    struct place at = {.name = TEXT("ledger")};
    config->ledger_keep_us = KEEP_DEFAULT_US;
    if (map) {
        section_read(p, &at, &ledger_section, map, &d);
    }
    if (d.keep.line <= 0) {
        return;
    }
    if (text_equal(d.keep.text, TEXT("forever"))) {
        config->ledger_keep_us = 0;
        return;
    }
    int64_t us;
    if (!config_read_duration(d.keep.text, &us) || us < US_PER_DAY || us > KEEP_US_MAX) {
        problem_add(p, d.keep.line, "ledger.keep: \"%.*s\" is not %s%s", shown_len(d.keep.text),
                    d.keep.text.at, KEEP_TAKES,
                    hint_duration(d.keep.text, US_PER_DAY, KEEP_US_MAX).text);
        return;
    }
    config->ledger_keep_us = us;
}
