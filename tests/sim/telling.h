/*
 * Telling: what a provider answered to a call, as a worker passes it on in a release: status,
 * headers and the body of an error, in the words of the resource's provider.
 *
 * May depend on src.
 */
#ifndef SLUICE_TESTS_SIM_TELLING_H
#define SLUICE_TESTS_SIM_TELLING_H

#include "core/answer.h"
#include "http/json.h"

/* Writes the members of a release. `provider` is the resource's, "" where it has none. */
void telling_write(struct json_writer *w, const struct answer *answer, const char *provider);

#endif
