/* SPDX-License-Identifier: Apache-2.0 */
/* The note by which this executable names the bundle behind it (bundle/executable.h). The publisher's
 * tool fills in the number; zero says that there is none. */
#include <stdint.h>

#include "bundle/executable.h"
#include "installer/note.h"

const struct byoh_note byoh_bundle_note __attribute__((section(".note.byoh"), used, aligned(4))) = {
	.owner_size = sizeof(BYOH_NOTE_OWNER),
	.value_size = sizeof(uint64_t),
	.type = BYOH_NOTE_TYPE,
	.owner = BYOH_NOTE_OWNER,
};
