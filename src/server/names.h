/*
 * How leases and tickets are called outside: the core's numbers as short texts.
 *
 * A lease is "ls_" and a ticket "tk_", each followed by the 16 hexadecimal digits of its
 * number. The two look different, so that one given for the other is refused as such.
 * May depend on src/base only.
 */
#ifndef SLUICE_SERVER_NAMES_H
#define SLUICE_SERVER_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

#define PUBLIC_NAME_LEN 19

struct public_name {
    char at[PUBLIC_NAME_LEN + 1];
};

struct public_name lease_name(uint64_t lease);
struct public_name ticket_name(uint64_t ticket);

/* False where the text is no such name, or names 0. */
bool lease_name_read(struct text name, uint64_t *lease);
bool ticket_name_read(struct text name, uint64_t *ticket);

static inline struct text public_name_text(const struct public_name *name)
{
    return (struct text){name->at, PUBLIC_NAME_LEN};
}

#endif
