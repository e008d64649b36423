/* SPDX-License-Identifier: Apache-2.0 */
/* An image that somebody hands over, and the slot in one: no read leaves it. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/iso9660.h"
#include "bundle/site-slot.h"
#include "tests/fuzz/fuzz.h"

struct image {
	const uint8_t *data;
	size_t size;
};

static int read_image(void *context, void *ret, uint64_t size, uint64_t offset, struct byoh_error *err)
{
	const struct image *image = context;

	(void)err;
	require(offset <= image->size && size <= image->size - offset);
	memcpy(ret, image->data + offset, size);
	return 0;
}

static void try_slot(const uint8_t *data, size_t size)
{
	CLEANUP_BUFFER struct byoh_buffer slot = { 0 }, text = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	require(byoh_buffer_add(&slot, data, size < BYOH_SITE_SLOT_SIZE ? size : BYOH_SITE_SLOT_SIZE, &err) == 0);
	require(byoh_buffer_add_zeros(&slot, BYOH_SITE_SLOT_SIZE - slot.size, &err) == 0);
	if (byoh_site_slot_read(slot.data, slot.size, &text, &err) < 0)
		require(err.kind == BYOH_ERROR_FORMAT && text.size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image image = { data, size };
	const struct byoh_iso9660_reader reader = { .read = read_image, .context = &image, .size = size };
	struct byoh_error err = BYOH_ERROR_INIT;
	uint64_t offset = 0, length = 0;

	if (byoh_iso9660_find(&reader, "byoh/site.img", &offset, &length, &err) == 0)
		require(offset <= size && length <= size - offset);
	else
		require(err.kind == BYOH_ERROR_FORMAT && err.message[0]);
	try_slot(data, size);
	return 0;
}
