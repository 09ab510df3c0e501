/*
 * What is known of the providers: how each counts a unit, where the configuration does not say.
 *
 * A flat table of published rules, each with the vendor's page it comes from. Amounts are not
 * here: tiers differ per account and move. What a vendor does not publish is filled in on the safe
 * side, and the row says so. May depend on core/policy.h.
 */
#ifndef SLUICE_CONFIG_PROFILE_H
#define SLUICE_CONFIG_PROFILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "core/policy.h"

/* The spans the vendors quote limits for. A rule of SPAN_ANY is for all spans without their own. */
enum span { SPAN_ANY, SPAN_DAY };

struct profile_rule {
    enum unit unit;
    enum span span;
    enum window_kind window; /* WINDOW_CALENDAR: days in `zone` */
    enum charge_rule charge;
    enum settle_rule settle;
    int64_t slice_us;   /* the provider judges in slices this long; 0: it does not */
    const char *zone;   /* NULL: UTC */
    const char *source; /* where the rule is published, or that it is not */
};

struct profile {
    const char *name;
    enum unit tpm_unit;   /* what the provider's "TPM" and "TPD" count */
    const char *day_zone; /* where the provider's day turns; NULL: UTC, or it is not published */
    const struct profile_rule *rules;
    size_t rules_n;
};

/* The profile of that name, or NULL. */
const struct profile *profile_find(struct text name);

/* The profiles in order; NULL past the last. */
const struct profile *profile_at(size_t i);

/* The rule for a unit and span. Money, calls in flight, and everything where `profile` is NULL, are
 * the operator's own limits, with rules of no vendor. */
const struct profile_rule *profile_rule(const struct profile *profile, enum unit unit,
                                        enum span span);

#endif
