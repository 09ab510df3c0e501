#include "config/zone.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/num.h"

/* No zone has changed its offset twice within this, so no change hides between two probes. */
#define PROBE_S (INT64_C(7) * 24 * 3600)

/* IANA names only: GLib would also take paths and POSIX rules ("EST5EDT,M3.2.0"). */
static bool is_iana_name(struct text name)
{
    bool letter_first = true;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool letter = g_ascii_isalpha(c);
        if (letter_first && !letter) {
            return false;
        }
        letter_first = c == '/';
        if (!letter && !g_ascii_isdigit(c) && c != '_' && c != '-' && c != '+' && c != '/') {
            return false;
        }
    }
    return name.len > 0 && name.len < NAME_LEN_MAX && !letter_first;
}

static int32_t offset_at(GTimeZone *tz, int64_t at_s)
{
    return g_time_zone_get_offset(tz, g_time_zone_find_interval(tz, G_TIME_TYPE_UNIVERSAL, at_s));
}

/* The first second at which the offset is no longer that of `from_s`; it is at `until_s`. */
static int64_t bisect(GTimeZone *tz, int64_t from_s, int64_t until_s)
{
    int32_t before = offset_at(tz, from_s);
    while (until_s - from_s > 1) {
        int64_t middle = from_s + (until_s - from_s) / 2;
        if (offset_at(tz, middle) == before) {
            from_s = middle;
        } else {
            until_s = middle;
        }
    }
    return until_s;
}

/* Fills in at most `max` changes and returns how many there are. */
static size_t scan(GTimeZone *tz, struct zone_change *changes, size_t max)
{
    int64_t at_s = ZONE_FROM_US / US_PER_S;
    int64_t until_s = ZONE_UNTIL_US / US_PER_S;
    size_t n = 0;
    changes[n++] = (struct zone_change){ZONE_FROM_US, offset_at(tz, at_s) * US_PER_S};
    while (at_s < until_s && n < max) {
        int64_t next_s = min_i64(at_s + PROBE_S, until_s);
        if (offset_at(tz, next_s) != offset_at(tz, at_s)) {
            next_s = bisect(tz, at_s, next_s);
            changes[n++] =
                (struct zone_change){next_s * US_PER_S, offset_at(tz, next_s) * US_PER_S};
        }
        at_s = next_s;
    }
    return n;
}

/* The table stands behind its zone in one allocation. */
static struct zone *zone_build(const struct zone_change *changes, size_t n)
{
    struct zone *zone = malloc(sizeof(*zone) + n * sizeof(*changes));
    if (!zone) {
        return NULL;
    }
    memcpy(zone + 1, changes, n * sizeof(*changes));
    *zone = (struct zone){(const struct zone_change *)(zone + 1), n};
    return zone;
}

int zone_new(struct text name, struct zone **zone)
{
    char z[NAME_LEN_MAX];
    if (!is_iana_name(name)) {
        return ERR_NOT_FOUND;
    }
    memcpy(z, name.at, name.len);
    z[name.len] = '\0';
    GTimeZone *tz = g_time_zone_new_identifier(z);
    if (!tz) {
        return ERR_NOT_FOUND;
    }
    struct zone_change changes[ZONE_CHANGES_MAX];
    struct zone *made = zone_build(changes, scan(tz, changes, ZONE_CHANGES_MAX));
    g_time_zone_unref(tz);
    if (!made) {
        return ERR_NO_MEMORY;
    }
    *zone = made;
    return 0;
}

void zone_free(struct zone *zone)
{
    free(zone);
}
