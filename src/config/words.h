/*
 * The words for what limits are made of: a list for each enum of core/limit.h, in its order, ended
 * by NULL. What a key may be, how a limit is shown and what the API calls it are the same words.
 *
 * May depend on core/limit.h.
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

#endif
