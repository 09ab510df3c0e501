/*
 * The words for what limits and routes are made of: a list for each enum, in its order, ended by
 * NULL. What a key may be, how it is shown and what the API calls it are the same words.
 *
 * May depend on core/policy.h.
 */
#ifndef SLUICE_CONFIG_WORDS_H
#define SLUICE_CONFIG_WORDS_H

extern const char *const unit_words[]; /* as unit_name */
extern const char *const window_words[];
extern const char *const step_words[];  /* enum calendar_step */
extern const char *const scope_words[]; /* "label" and "route" go before a ":" and a name */
extern const char *const exceed_words[];
extern const char *const charge_words[];
extern const char *const settle_words[];
extern const char *const expire_words[];
extern const char *const told_of_words[];
extern const char *const prefer_words[];
extern const char *const finally_words[];
extern const char *const durability_words[]; /* enum durability of journal.h */

#endif
