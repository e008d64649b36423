/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bundle/superblock.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct byoh_superblock superblock;
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP_BUFFER struct byoh_buffer again = {0};

	/* Whatever is accepted is canonical: writing it gives the same bytes. */
	if (byoh_superblock_parse(data, size, &superblock, &err) == 0 &&
	    (byoh_superblock_write(&superblock, &again, &err) < 0 || again.size != size ||
	     memcmp(again.data, data, size) != 0))
		abort();
	return 0;
}
