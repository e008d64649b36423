/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bundle/manifest.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_MANIFEST struct byoh_manifest *manifest = NULL;
	CLEANUP_MANIFEST struct byoh_manifest *second = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	struct byoh_error err = BYOH_ERROR_INIT;

	/* Whatever is accepted can be written, and what is written is accepted. */
	if (byoh_manifest_parse(data, size, &manifest, &err) == 0 &&
	    (byoh_manifest_write(manifest, &text, &err) < 0 ||
	     (text.size <= BYOH_MANIFEST_MAX_SIZE &&
	      byoh_manifest_parse(text.data, text.size, &second, &err) < 0)))
		abort();
	return 0;
}
