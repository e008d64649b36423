/* SPDX-License-Identifier: Apache-2.0 */
/* Files of passing use in a folder that the caller made and removes. */
#ifndef BYOH_BUNDLE_SCRATCH_H
#define BYOH_BUNDLE_SCRATCH_H

#include <stdint.h>

#include "bundle/base/digest.h"
#include "bundle/base/error.h"

struct byoh_scratch {
	int fd;		  /* the folder; -1: not open */
	const char *path; /* borrowed */
	uint64_t next;
};

#define BYOH_SCRATCH_INIT   \
	{                   \
		-1, NULL, 0 \
	}

BYOH_MUST_CHECK int byoh_scratch_open(const char *path, struct byoh_scratch *ret,
				      struct byoh_error *err);
void byoh_scratch_close(struct byoh_scratch *scratch);
#define CLEANUP_SCRATCH __attribute__((cleanup(byoh_scratch_close)))

/* A new empty file (0600, readable and writable) under the next number; its path is the caller's to
 * free. */
BYOH_MUST_CHECK int byoh_scratch_create(struct byoh_scratch *scratch, int *ret_fd, char **ret_path,
					struct byoh_error *err);
/* A copy of what fd holds from its start, hashed while it is copied: the bytes that are used are
 * the bytes that were hashed, whatever happens to the file meanwhile. */
BYOH_MUST_CHECK int byoh_scratch_copy(struct byoh_scratch *scratch, int fd, const char *name,
				      char **ret_path, uint64_t *ret_size,
				      struct byoh_digest *ret_digest, struct byoh_error *err);

#endif
