/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executable in front of a .run: an ELF file that names, in a note of its own, where its bundle
 * begins. ELF: System V gABI, chapters 4 and 5. The note: owner "byoh", type 1, descriptor one
 * little-endian u64, zero while no bundle has been joined.
 */
#ifndef BYOH_BUNDLE_EXECUTABLE_H
#define BYOH_BUNDLE_EXECUTABLE_H

#include <stdint.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"
#include "bundle/reader.h"

#define BYOH_NOTE_OWNER "byoh"
#define BYOH_NOTE_TYPE 1
#define BYOH_BUNDLE_ALIGNMENT 4096 /* file systems can share whole blocks of copies */

/* Reads the note of the ELF file. *ret_offset is the bundle's offset (0: none joined),
 * *ret_at (may be NULL) where that number stands in the file. -ENOEXEC if it is no ELF file or has no
 * such note. Bytes of the file are not believed: every number is bounded. */
BYOH_MUST_CHECK int byoh_executable_note(struct byoh_reader *reader, uint64_t *ret_offset,
					 uint64_t *ret_at, struct byoh_error *err);

/* The stub with its note filled in, appended to ret; *ret_offset is where a bundle joins, and
 * ret->size stays the executable's own length (the gap is zeros). */
BYOH_MUST_CHECK int byoh_executable_prepare(const char *stub, struct byoh_buffer *ret,
					    uint64_t *ret_offset, struct byoh_error *err);

static inline uint64_t byoh_executable_join_offset(uint64_t size)
{
	return (size + BYOH_BUNDLE_ALIGNMENT - 1) / BYOH_BUNDLE_ALIGNMENT * BYOH_BUNDLE_ALIGNMENT;
}

#endif
