/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bundle/superblock.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct byoh_signature signatures[BYOH_SIGNATURE_MAX];
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP_BUFFER struct byoh_buffer again = {0};
	size_t count;

	/* Whatever is accepted is canonical: no byte of the area is left to a forger. */
	if (byoh_signatures_parse(data, size, signatures, &count, &err) == 0 &&
	    (byoh_signatures_write(signatures, count, &again, &err) < 0 || again.size != size ||
	     memcmp(again.data, data, size) != 0))
		abort();
	return 0;
}
