/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/site-slot.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/cursor.h"
#include "bundle/base/digest.h"

#define MAGIC "BYOHCFG1 "

static int fail_slot(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
			 "what stands in the slot for a configuration is damaged; write it anew with `byoh-bundle iso-config FILE "
			 "--set byoh.yaml`, or empty it with --reset");
}

/* A decimal number and the blank behind it. */
static bool read_length(struct byoh_cursor *cursor, size_t *ret)
{
	const unsigned char *digit;

	*ret = 0;
	while ((digit = byoh_cursor_take(cursor, 1)) && *digit >= '0' && *digit <= '9' && *ret <= BYOH_SITE_SLOT_SIZE)
		*ret = *ret * 10 + (size_t)(*digit - '0');
	return digit && *digit == ' ' && *ret > 0;
}

int byoh_site_slot_read(const void *slot, size_t size, struct byoh_buffer *ret, struct byoh_error *err)
{
	struct byoh_cursor cursor = byoh_cursor_over(slot, size), all = cursor;
	struct byoh_digest wanted, digest;
	char magic[sizeof(MAGIC)] = "", hex[BYOH_DIGEST_HEX_SIZE] = "";
	const unsigned char *end, *text;
	size_t length;
	int r;

	if (size != BYOH_SITE_SLOT_SIZE)
		return fail_slot(err);
	if (byoh_cursor_zeros(&all, size))
		return 0;
	byoh_cursor_copy(&cursor, magic, sizeof(MAGIC) - 1);
	if (strcmp(magic, MAGIC) != 0 || !read_length(&cursor, &length))
		return fail_slot(err);
	byoh_cursor_copy(&cursor, hex, sizeof(hex) - 1);
	end = byoh_cursor_take(&cursor, 1);
	text = byoh_cursor_take(&cursor, length);
	if (!text || *end != '\n' || !byoh_digest_parse(hex, &wanted) || !byoh_cursor_zeros(&cursor, cursor.left))
		return fail_slot(err);
	r = byoh_digest_of(text, length, &digest, err);
	if (r < 0)
		return r;
	return byoh_digest_equal(&digest, &wanted) ? byoh_buffer_add(ret, text, length, err) : fail_slot(err);
}

int byoh_site_slot_write(const char *text, size_t size, struct byoh_buffer *ret, struct byoh_error *err)
{
	struct byoh_digest digest;
	char hex[BYOH_DIGEST_HEX_SIZE];

	if (!text || !size)
		return byoh_buffer_add_zeros(ret, BYOH_SITE_SLOT_SIZE, err);
	if (size > BYOH_SITE_SLOT_TEXT_MAX)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG,
				 "the slot has room for %zu bytes, and the configuration has %zu; put it on a volume BYOHCFG, or beside "
				 "the .run on the medium", BYOH_SITE_SLOT_TEXT_MAX, size);
	TRY(byoh_digest_of(text, size, &digest, err));
	byoh_digest_hex(&digest, hex);
	TRY(byoh_buffer_reserve(ret, BYOH_SITE_SLOT_SIZE + 1, err));
	TRY(byoh_buffer_printf(ret, err, MAGIC "%zu %s\n", size, hex));
	TRY(byoh_buffer_add(ret, text, size, err));
	return byoh_buffer_add_zeros(ret, BYOH_SITE_SLOT_SIZE - ret->size, err);
}
