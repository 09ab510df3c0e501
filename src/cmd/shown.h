/*
 * What a coordinator's answer shows, member by member, as subcommands print it: words as they are,
 * numbers with the very digits that the coordinator wrote.
 *
 * An answer is not believed to have a shape: what is missing or of another kind is shown as "-".
 * May depend on src/base, src/http and table.h.
 */
#ifndef SLUICE_CMD_SHOWN_H
#define SLUICE_CMD_SHOWN_H

#include "cmd/table.h"
#include "http/json.h"

/* NULL where `object` is none, or has no such member. */
const json_value *shown_member(const json_value *object, const char *key);

/* Empty where it is not there. Lent by the document. */
struct text shown_words(const json_value *object, const char *key);
struct text shown_number(const json_value *object, const char *key);

/* The table's next cell. */
void shown_add_words(struct table *t, const json_value *object, const char *key);
void shown_add_number(struct table *t, const json_value *object, const char *key);

#endif
