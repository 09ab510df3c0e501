#include "config/reference.h"

#include "config/access.h"
#include "config/alert.h"
#include "config/feedback.h"
#include "config/file.h"
#include "config/learn.h"
#include "config/ledger.h"
#include "config/price.h"
#include "config/profile.h"
#include "config/resource.h"
#include "config/route.h"
#include "config/show.h"
#include "config/words.h"

const struct section *reference_section(size_t i)
{
    static const struct section *const sections[] = {
        &file_section,      &server_section, &key_section,     &tenant_section, &resource_section,
        &account_section,   &limit_section,  &route_section,   &step_section,   &reserve_section,
        &feedback_section,  &retry_section,  &breaker_section, &price_section,  &adaptive_section,
        &estimates_section, &alerts_section, &ledger_section,
    };
    return i < sizeof(sections) / sizeof(sections[0]) ? sections[i] : NULL;
}

static void write_section(struct buf *b, const struct section *s)
{
    buf_addf(b, "### %s\n\n| key | value | default | meaning |\n|---|---|---|---|\n", s->title);
    for (size_t i = 0; i < s->rows_n; i++) {
        const struct key_row *row = &s->rows[i];
        buf_addf(b, "| `%s` | %s | %s | %s |\n", row->name, row->takes, row->fallback, row->help);
    }
    buf_add_char(b, '\n');
}

static void write_rule(struct buf *b, const struct profile *profile,
                       const struct profile_rule *rule)
{
    buf_addf(b, "| %s | %s%s | %s", profile->name, unit_name(rule->unit),
             rule->span == SPAN_DAY ? " per day" : "", window_words[rule->window]);
    if (rule->window == WINDOW_CALENDAR) {
        buf_addf(b, ", %s", rule->zone ? rule->zone : "UTC");
    }
    if (rule->slice_us) {
        buf_add_str(b, ", paced in ");
        show_duration(b, rule->slice_us);
    }
    buf_addf(b, " | %s | %s | %s |\n", charge_words[rule->charge], settle_words[rule->settle],
             rule->source);
}

static void write_profiles(struct buf *b)
{
    buf_add_str(b, "### Providers\n\n| provider | unit | window | charge | settle | source |\n"
                   "|---|---|---|---|---|---|\n");
    const struct profile *profile;
    for (size_t i = 0; (profile = profile_at(i)); i++) {
        for (size_t j = 0; j < profile->rules_n; j++) {
            write_rule(b, profile, &profile->rules[j]);
        }
    }
}

void reference_write(struct buf *b)
{
    const struct section *section;
    for (size_t i = 0; (section = reference_section(i)); i++) {
        write_section(b, section);
    }
    write_profiles(b);
}
