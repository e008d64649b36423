/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "installer/state.h"
#include "tests/fuzz/fuzz.h"

/* What was read is written so that it reads the same, floors above all. */
static void check(const struct byoh_state *state)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, again = { 0 };
	CLEANUP_STATE struct byoh_state *second = NULL;

	require(byoh_state_json(state, &text, NULL) == 0);
	require(byoh_state_parse(text.data, text.size, "second", &second, NULL) == 0);
	for (size_t i = 0; i < state->floor_count; i++)
		require(byoh_state_floor(second, state->floors[i].name) == state->floors[i].epoch);
	require(byoh_state_json(second, &again, NULL) == 0);
	require(text.size == again.size && memcmp(text.data, again.data, text.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_STATE struct byoh_state *state = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_state_parse((const char *)data, size, "fuzz", &state, &err) == 0)
		check(state);
	else
		require(!state && err.message[0]);
	return 0;
}
