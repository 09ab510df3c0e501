#include "config/alert.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"

#define WEBHOOK_LEN_MAX    2048
#define SHARE_DEFAULT_PPM  100000
#define BACKOFF_DEFAULT_US (INT64_C(10) * US_PER_S)
#define AGAIN_DEFAULT_US   US_PER_MIN

struct alerts_draft {
    struct word webhook;
    struct setting fallback_share, backoff, again;
};

static const struct key_row alerts_rows[] = {
    {"webhook", read_word, offsetof(struct alerts_draft, webhook), NULL, 0, 0,
     "a URL that begins with http:// or https://", "none",
     "Where alerts are posted to, as JSON, one a request."},
    {"fallback_share", read_share, offsetof(struct alerts_draft, fallback_share), NULL, 1, 1000000,
     "a share above 0, as in 10%", "10%",
     "An alert is raised when more of a route's calls than this go to another resource than its "
     "first."},
    {"backoff", read_duration, offsetof(struct alerts_draft, backoff), NULL, US_PER_MS, US_PER_DAY,
     "a duration from 1ms to a day, as in 10s", "10s",
     "An alert is raised when a resource is closed for longer than this."},
    {"again", read_duration, offsetof(struct alerts_draft, again), NULL, US_PER_S, US_PER_DAY,
     "a duration from 1s to a day, as in 1m", "1m",
     "The same alert of the same resource is told once in this time, in the log and to the "
     "webhook."},
};

const struct section alerts_section = {"Alerts (`alerts`)", alerts_rows,
                                       sizeof(alerts_rows) / sizeof(alerts_rows[0]),
                                       "{fallback_share: 10%}"};

/* A URL goes into a request as it is, so it holds neither blanks nor control characters. */
static bool is_url(struct text t)
{
    static const struct text heads[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < t.len; i++) {
        if ((unsigned char)t.at[i] <= 0x20 || (unsigned char)t.at[i] >= 0x7f) {
            return false;
        }
    }
    for (size_t i = 0; i < 2 && t.len <= WEBHOOK_LEN_MAX; i++) {
        if (t.len > heads[i].len && memcmp(t.at, heads[i].at, heads[i].len) == 0) {
            return t.at[heads[i].len] != '/';
        }
    }
    return false;
}

static int64_t given_or(const struct setting *s, int64_t fallback)
{
    return s->line > 0 ? s->value : fallback;
}

void alerts_read(struct problems *p, const struct node *map, struct config *config)
{
    struct alerts_draft d = {.webhook = {.line = 0}};
    struct place at = {.name = TEXT("alerts")};
    if (map) {
        section_read(p, &at, &alerts_section, map, &d);
    }
    config->alerts.fallback_share_ppm = (int32_t)given_or(&d.fallback_share, SHARE_DEFAULT_PPM);
    config->alerts.backoff_us = given_or(&d.backoff, BACKOFF_DEFAULT_US);
    config->alerts.again_us = given_or(&d.again, AGAIN_DEFAULT_US);
    if (d.webhook.line <= 0) {
        return;
    }
    if (!is_url(d.webhook.text)) {
        problem_add(p, d.webhook.line, "alerts.webhook: \"%.*s\" is not %s",
                    shown_len(d.webhook.text), d.webhook.text.at, alerts_rows[0].takes);
        return;
    }
    config->alerts.webhook = strndup(d.webhook.text.at, d.webhook.text.len);
    p->no_memory |= !config->alerts.webhook;
}
