/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bundle/lock.h"
#include "tests/fuzz/fuzz.h"

/* Whatever is accepted is written in one way only, so that a lock that was read and written again does not
 * show up as a change of the publisher's. */
static void check(struct byoh_lock *lock)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, again = { 0 };
	CLEANUP_LOCK struct byoh_lock *second = NULL;

	require(byoh_lock_write(lock, &text, NULL) == 0);
	require(byoh_lock_parse(text.data, text.size, "second", &second, NULL) == 0);
	require(byoh_lock_write(second, &again, NULL) == 0);
	require(text.size == again.size && memcmp(text.data, again.data, text.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_LOCK struct byoh_lock *lock = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_lock_parse((const char *)data, size, "fuzz", &lock, &err) == 0)
		check(lock);
	else
		require(!lock && err.kind == BYOH_ERROR_CONFIG && err.message[0]);
	return 0;
}
