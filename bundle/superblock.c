/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/superblock.h"

#include <errno.h>
#include <string.h>

#include "bundle/base/cursor.h"
#include "bundle/index.h"
#include "bundle/manifest.h"

#define SUPERBLOCK_MAGIC "BYOHBNDL"
#define ALGORITHM_ED25519 1u
#define PAYLOAD_MAX ((uint64_t)1 << 56) /* far from where offsets could wrap */

int byoh_skippable_write(uint32_t magic, uint64_t content_size, struct byoh_buffer *ret,
			 struct byoh_error *err)
{
	int r;

	if (content_size > UINT32_MAX)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EFBIG, "a part of the bundle exceeds 4 GiB");
	r = byoh_buffer_add_u32(ret, magic, err);
	return r < 0 ? r : byoh_buffer_add_u32(ret, (uint32_t)content_size, err);
}

int byoh_skippable_check(const void *bytes, uint32_t magic, uint64_t content_size, const char *part,
			 struct byoh_error *err)
{
	struct byoh_cursor c = byoh_cursor_over(bytes, BYOH_SKIPPABLE_HEADER_SIZE);

	if (byoh_cursor_u32(&c) != magic || byoh_cursor_u32(&c) != content_size)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "the %s does not begin where it should",
				 part);
	return 0;
}

static int check_sizes(const struct byoh_superblock *superblock, struct byoh_error *err)
{
	if (!superblock->manifest_size || superblock->manifest_size > BYOH_MANIFEST_MAX_SIZE)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "the manifest has an impossible size");
	if (!superblock->index_size || superblock->index_size > BYOH_INDEX_MAX_SIZE)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "the index has an impossible size");
	if (!superblock->payload_size || superblock->payload_size > PAYLOAD_MAX)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "the payload has an impossible size");
	return 0;
}

int byoh_superblock_parse(const void *bytes, size_t size, struct byoh_superblock *ret,
			  struct byoh_error *err)
{
	struct byoh_cursor c = byoh_cursor_over(bytes, size);
	const unsigned char *magic;
	uint32_t version;

	if (size != BYOH_SUPERBLOCK_SIZE || byoh_cursor_u32(&c) != BYOH_MAGIC_SUPERBLOCK ||
	    byoh_cursor_u32(&c) != BYOH_SUPERBLOCK_SIZE - BYOH_SKIPPABLE_HEADER_SIZE)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "this is no bundle");
	magic = byoh_cursor_take(&c, 8);
	if (!magic || memcmp(magic, SUPERBLOCK_MAGIC, 8) != 0)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "this is no bundle");
	version = byoh_cursor_u32(&c);
	if (version != BYOH_FORMAT_VERSION)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EPROTONOSUPPORT,
				 "the bundle has format version %u, this tool reads version %d; use the tool "
				 "that came with the bundle",
				 version, BYOH_FORMAT_VERSION);
	ret->flags = byoh_cursor_u32(&c);
	if (ret->flags & ~BYOH_KNOWN_FLAGS)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EPROTONOSUPPORT,
				 "the bundle needs a feature (flags %#x) that this tool does not know; use "
				 "the tool that came with the bundle",
				 ret->flags & ~BYOH_KNOWN_FLAGS);
	ret->manifest_size = byoh_cursor_u64(&c);
	ret->index_size = byoh_cursor_u64(&c);
	ret->payload_size = byoh_cursor_u64(&c);
	if (c.failed || !byoh_cursor_zeros(&c, c.left))
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "the superblock is damaged");
	return check_sizes(ret, err);
}

int byoh_superblock_write(const struct byoh_superblock *superblock, struct byoh_buffer *ret,
			  struct byoh_error *err)
{
	size_t start = ret->size;
	int r = check_sizes(superblock, err);

	if (r == 0)
		r = byoh_skippable_write(BYOH_MAGIC_SUPERBLOCK,
					 BYOH_SUPERBLOCK_SIZE - BYOH_SKIPPABLE_HEADER_SIZE, ret, err);
	if (r == 0)
		r = byoh_buffer_add(ret, SUPERBLOCK_MAGIC, 8, err);
	if (r == 0)
		r = byoh_buffer_add_u32(ret, BYOH_FORMAT_VERSION, err);
	if (r == 0)
		r = byoh_buffer_add_u32(ret, superblock->flags, err);
	if (r == 0)
		r = byoh_buffer_add_u64(ret, superblock->manifest_size, err);
	if (r == 0)
		r = byoh_buffer_add_u64(ret, superblock->index_size, err);
	if (r == 0)
		r = byoh_buffer_add_u64(ret, superblock->payload_size, err);
	if (r == 0)
		r = byoh_buffer_add_zeros(ret, BYOH_SUPERBLOCK_SIZE - (ret->size - start), err);
	return r;
}

static bool is_listed(const struct byoh_signature *signatures, size_t count,
		      const struct byoh_public_key *key)
{
	for (size_t i = 0; i < count; i++)
		if (memcmp(signatures[i].key.bytes, key->bytes, sizeof(key->bytes)) == 0)
			return true;
	return false;
}

static bool parse_entry(struct byoh_cursor *c, struct byoh_signature *ret)
{
	uint32_t algorithm = byoh_cursor_u32(c), reserved = byoh_cursor_u32(c);

	byoh_cursor_copy(c, ret->key.bytes, sizeof(ret->key.bytes));
	byoh_cursor_copy(c, ret->bytes, sizeof(ret->bytes));
	return byoh_cursor_zeros(c, BYOH_SIGNATURE_ENTRY_SIZE - 8 - BYOH_PUBLIC_KEY_SIZE -
					    BYOH_SIGNATURE_SIZE) &&
	       algorithm == ALGORITHM_ED25519 && !reserved;
}

int byoh_signatures_parse(const void *bytes, size_t size, struct byoh_signature *ret, size_t *ret_count,
			  struct byoh_error *err)
{
	struct byoh_cursor c = byoh_cursor_over(bytes, size);
	uint32_t count, reserved;

	if (size != BYOH_SIGNATURES_SIZE || byoh_cursor_u32(&c) != BYOH_MAGIC_SIGNATURES ||
	    byoh_cursor_u32(&c) != BYOH_SIGNATURES_SIZE - BYOH_SKIPPABLE_HEADER_SIZE)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "the signature area is damaged");
	count = byoh_cursor_u32(&c);
	reserved = byoh_cursor_u32(&c);
	if (count > BYOH_SIGNATURE_MAX || reserved)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "the signature area is damaged");
	for (uint32_t i = 0; i < count; i++)
		if (!parse_entry(&c, &ret[i]) || is_listed(ret, i, &ret[i].key))
			return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
					 "signature %u is damaged or of an unknown kind", i + 1);
	if (!byoh_cursor_zeros(&c, c.left))
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "the signature area is damaged");
	*ret_count = count;
	return 0;
}

int byoh_signatures_write(const struct byoh_signature *signatures, size_t count, struct byoh_buffer *ret,
			  struct byoh_error *err)
{
	size_t start = ret->size;
	int r;

	if (count > BYOH_SIGNATURE_MAX)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOSPC, "a bundle has room for %d signatures",
				 BYOH_SIGNATURE_MAX);
	r = byoh_skippable_write(BYOH_MAGIC_SIGNATURES, BYOH_SIGNATURES_SIZE - BYOH_SKIPPABLE_HEADER_SIZE,
				 ret, err);
	if (r == 0)
		r = byoh_buffer_add_u64(ret, count, err);
	for (size_t i = 0; i < count && r == 0; i++) {
		r = byoh_buffer_add_u64(ret, ALGORITHM_ED25519, err);
		if (r == 0)
			r = byoh_buffer_add(ret, signatures[i].key.bytes, BYOH_PUBLIC_KEY_SIZE, err);
		if (r == 0)
			r = byoh_buffer_add(ret, signatures[i].bytes, BYOH_SIGNATURE_SIZE, err);
		if (r == 0)
			r = byoh_buffer_add_zeros(ret, BYOH_SIGNATURE_ENTRY_SIZE - 8 -
					BYOH_PUBLIC_KEY_SIZE - BYOH_SIGNATURE_SIZE, err);
	}
	return r < 0 ? r : byoh_buffer_add_zeros(ret, BYOH_SIGNATURES_SIZE - (ret->size - start), err);
}
