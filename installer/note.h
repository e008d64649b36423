/* SPDX-License-Identifier: Apache-2.0 */
/* An ELF note as it lies in the file (System V gABI, chapter 5). */
#ifndef BYOH_INSTALLER_NOTE_H
#define BYOH_INSTALLER_NOTE_H

#include <stdint.h>

struct byoh_note {
	uint32_t owner_size, value_size, type;
	char owner[8]; /* "byoh", zero, padding */
	uint32_t value[2]; /* one u64; in halves, since a note is aligned to 4 bytes */
};

/* Referenced by main(), so that the linker takes it out of the library. */
extern const struct byoh_note byoh_bundle_note;

#endif
