/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bundle/index.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_INDEX struct byoh_index *index = NULL;
	CLEANUP_INDEX struct byoh_index *second = NULL;
	CLEANUP_BUFFER struct byoh_buffer bytes = {0};
	struct byoh_error err = BYOH_ERROR_INIT;
	uint64_t payload_size;

	/* The first eight bytes stand for the payload size, which the manifest says elsewhere. */
	if (size < sizeof(payload_size))
		return 0;
	memcpy(&payload_size, data, sizeof(payload_size));
	if (byoh_index_parse(data + 8, size - 8, payload_size, &index, &err) < 0)
		return 0;
	for (size_t i = 0; i < index->file_count; i++)
		if (byoh_index_find(index, index->files[i].path) != &index->files[i])
			abort();
	if (byoh_index_write(index, &bytes, &err) < 0 ||
	    byoh_index_parse(bytes.data, bytes.size, payload_size, &second, &err) < 0)
		abort();
	return 0;
}
