/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles that no publisher of ours would make, and the ways in which they are hostile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "bundle/base/cleanup.h"
#include "bundle/superblock.h"
#include "tests/unit/bundle-fixture.h"

#define WINDOW_LOG 17

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "forgery: %s\n", what);
	abort();
}

#define REQUIRE(condition) require(condition, #condition)
#define SUCCEED(call) require((call) == 0, #call)

void forgery_compress(const void *bytes, size_t size, unsigned int window_log, bool checksum,
		      struct byoh_buffer *ret)
{
	size_t bound = ZSTD_compressBound(size);
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	ZSTD_inBuffer in = { bytes, size, 0 };
	ZSTD_outBuffer out = { NULL, bound, 0 };
	size_t rest;

	SUCCEED(byoh_buffer_reserve(ret, bound, NULL));
	out.dst = ret->data + ret->size;
	REQUIRE(!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, (int)window_log)));
	REQUIRE(!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, checksum)));
	/* Streamed, with a flush between: else the size would stand in the header in the window's place. */
	rest = ZSTD_compressStream2(zstd, &out, &in, ZSTD_e_continue);
	REQUIRE(!ZSTD_isError(rest) && in.pos == in.size);
	rest = ZSTD_compressStream2(zstd, &out, &in, ZSTD_e_end);
	REQUIRE(rest == 0);
	ret->size += out.pos;
	ZSTD_freeCCtx(zstd);
}

static void set_digest(struct forgery *forgery, struct byoh_file *file)
{
	SUCCEED(byoh_digest_of(forgery->plain + file->plain_offset, (size_t)file->size, &file->digest, NULL));
}

void forgery_start(struct forgery *forgery)
{
	static char name[] = "forged", version[] = "1", arch[] = "amd64";

	memset(forgery, 0, sizeof(*forgery));
	fill_with_noise(forgery->plain, sizeof(forgery->plain), 7);
	forgery->files[0] = (struct byoh_file){ .path = "a", .target = "", .type = BYOH_FILE_DIRECTORY,
						.mode = 0755 };
	forgery->files[1] = (struct byoh_file){ .path = "a/f", .target = "", .type = BYOH_FILE_REGULAR,
						.mode = 0644, .size = 3000, .plain_offset = 512 };
	forgery->files[2] = (struct byoh_file){ .path = "a/g", .target = "", .type = BYOH_FILE_REGULAR,
						.mode = 0600, .size = 6000, .plain_offset = 4096 };
	forgery->files[3] = (struct byoh_file){ .path = "a/l", .target = "f", .type = BYOH_FILE_SYMLINK,
						.mode = 0777 };
	set_digest(forgery, &forgery->files[1]);
	set_digest(forgery, &forgery->files[2]);
	forgery_compress(forgery->plain, FORGED_FIRST_SIZE, WINDOW_LOG, true, &forgery->stored[0]);
	forgery_compress(forgery->plain + FORGED_FIRST_SIZE, FORGED_SECOND_SIZE, WINDOW_LOG, true,
			 &forgery->stored[1]);
	forgery->frames[0] = (struct byoh_frame){ .window_log = WINDOW_LOG, .plain_size = FORGED_FIRST_SIZE };
	forgery->frames[1] = (struct byoh_frame){ .window_log = WINDOW_LOG, .plain_size = FORGED_SECOND_SIZE };
	forgery->index = (struct byoh_index){ .file_count = 4, .frame_count = 2, .files = forgery->files,
					      .frames = forgery->frames, .blocks = forgery->blocks,
					      .extents = &forgery->extent };
	forgery->extent = (struct byoh_base_extent){ .file_digest = {{1}}, .path = "a/f", .size = 1 };
	forgery->manifest = (struct byoh_manifest){ .name = name, .version = version, .arch = arch,
						    .epoch = 1, .space = 9000, .inodes = 4 };
	forgery->format_version = BYOH_FORMAT_VERSION;
	forgery->index_version = 1;
	forgery->signatures = 1;
}

void forgery_end(struct forgery *forgery)
{
	for (size_t i = 0; i < FORGED_FRAMES; i++)
		byoh_buffer_release(&forgery->stored[i]);
}

/* Bounds that hold together, and the true digests of all blocks. */
static void place_frames(struct forgery *forgery)
{
	struct byoh_index *index = &forgery->index;
	uint64_t stored = 0, plain = 0;

	for (size_t i = 0; i < index->frame_count; i++) {
		struct byoh_frame *frame = &forgery->frames[i];
		const struct byoh_buffer *bytes = &forgery->stored[i];

		frame->stored_offset = stored;
		frame->stored_size = bytes->size;
		frame->plain_offset = plain;
		frame->first_block = index->block_count;
		for (size_t at = 0; at < bytes->size; at += BYOH_BLOCK_SIZE) {
			size_t left = bytes->size - at;

			REQUIRE(index->block_count < FORGED_BLOCKS);
			SUCCEED(byoh_digest_of(bytes->data + at, left < BYOH_BLOCK_SIZE ? left : BYOH_BLOCK_SIZE,
					       &forgery->blocks[index->block_count++], NULL));
		}
		stored += frame->stored_size;
		plain += frame->plain_size;
	}
	index->plain_size = plain;
	if (forgery->wrong_block)
		memcpy(forgery->blocks[0].bytes, forgery->wrong_block, BYOH_DIGEST_SIZE);
	forgery->superblock.payload_size = stored;
}

static void write_manifest(struct forgery *forgery, const struct byoh_buffer *index, struct byoh_buffer *ret)
{
	struct byoh_manifest *manifest = &forgery->manifest;
	char *brace;

	SUCCEED(byoh_digest_of(index->data, index->size, &manifest->index_digest, NULL));
	manifest->index_digest.bytes[0] ^= forgery->lie_about_index;
	manifest->index_size = index->size;
	manifest->payload_size = forgery->superblock.payload_size;
	manifest->largest_window = (uint64_t)1 << (WINDOW_LOG + forgery->lie_about_window);
	SUCCEED(byoh_manifest_write(manifest, ret, NULL));
	if (!forgery->more)
		return;
	brace = strrchr(ret->data, '}');
	ret->size = (size_t)(brace - ret->data);
	SUCCEED(byoh_buffer_printf(ret, NULL, ", %s}\n", forgery->more));
}

static void sign(const struct forgery *forgery, const struct byoh_private_key *key,
		 const struct byoh_buffer *manifest, struct byoh_buffer *ret)
{
	struct byoh_signature signatures[BYOH_SIGNATURE_MAX];
	struct byoh_digest id;

	SUCCEED(byoh_digest_of(manifest->data, manifest->size, &id, NULL));
	for (unsigned int i = 0; i < forgery->signatures; i++) {
		CLEANUP_PRIVATE_KEY struct byoh_private_key *fresh = NULL;

		if (i)
			SUCCEED(byoh_private_key_generate(&fresh, NULL));
		SUCCEED(byoh_trust_sign(i ? fresh : key, &id, &signatures[i], NULL));
	}
	if (forgery->break_signature)
		signatures[forgery->signatures - 1].bytes[5] ^= 1;
	SUCCEED(byoh_signatures_write(signatures, forgery->signatures, ret, NULL));
}

void forgery_write(struct forgery *forgery, const struct byoh_private_key *key, struct byoh_buffer *ret)
{
	CLEANUP_BUFFER struct byoh_buffer index = {0}, manifest = {0};
	size_t start = ret->size;

	place_frames(forgery);
	SUCCEED(byoh_index_write(&forgery->index, &index, NULL));
	index.data[8] = (char)forgery->index_version;
	write_manifest(forgery, &index, &manifest);
	forgery->superblock.manifest_size = manifest.size;
	forgery->superblock.index_size = index.size;
	SUCCEED(byoh_superblock_write(&forgery->superblock, ret, NULL));
	ret->data[start + 16] = (char)forgery->format_version;
	sign(forgery, key, &manifest, ret);
	SUCCEED(byoh_skippable_write(BYOH_MAGIC_MANIFEST, manifest.size, ret, NULL));
	SUCCEED(byoh_buffer_add(ret, manifest.data, manifest.size, NULL));
	SUCCEED(byoh_skippable_write(BYOH_MAGIC_INDEX, index.size, ret, NULL));
	SUCCEED(byoh_buffer_add(ret, index.data, index.size, NULL));
	for (size_t i = 0; i < forgery->index.frame_count; i++)
		SUCCEED(byoh_buffer_add(ret, forgery->stored[i].data, forgery->stored[i].size, NULL));
}

/*
 * Hostilities
 */

static void nothing(struct forgery *f)
{
	(void)f;
}

#define HOSTILE(name, change)                  \
	static void name(struct forgery *f)    \
	{                                      \
		change;                        \
	}

HOSTILE(path_dotdot, f->files[1].path = "a/../../f")
HOSTILE(path_absolute, f->files[0].path = "/a"; f->index.file_count = 1)
HOSTILE(path_dot, f->files[1].path = "a/./f")
HOSTILE(path_twice, f->files[2].path = "a/f")
HOSTILE(path_unsorted, f->files[1].path = "a/z")
HOSTILE(path_without_parent, f->files[3].path = "b/l")
HOSTILE(path_below_link, f->files[3].target = "."; f->files[4] = f->files[1];
	f->files[4].path = "a/l/f"; f->files[4].size = 0; f->files[4].plain_offset = 0;
	f->index.file_count = 5)
HOSTILE(path_with_newline, f->files[1].path = "a/e\nf")
HOSTILE(link_absolute, f->files[3].target = "/etc/shadow")
HOSTILE(link_out, f->files[3].target = "../../etc/shadow")
HOSTILE(link_out_through_link, f->files[3].target = ".."; f->files[4] = f->files[3];
	f->files[4].path = "z"; f->files[4].target = "a/l/../etc"; f->index.file_count = 5)
HOSTILE(device, f->files[1].type = (enum byoh_file_type)4)
HOSTILE(hard_link, f->files[1].type = (enum byoh_file_type)5)
HOSTILE(mode_setuid, f->files[1].mode = 04755)
HOSTILE(overlap, f->files[2].plain_offset = 3000)
HOSTILE(size_2_63, f->files[2].size = (uint64_t)1 << 63)
HOSTILE(offset_near_end_of_numbers, f->files[2].plain_offset = UINT64_MAX - 10)
HOSTILE(directory_with_bytes, f->files[0].size = 10)
HOSTILE(window_too_large, f->frames[0].window_log = 28)
HOSTILE(frame_kind_unknown, f->frames[0].kind = (enum byoh_frame_kind)7)
HOSTILE(index_version, f->index_version = 2)
HOSTILE(index_digest, f->lie_about_index = true)
HOSTILE(format_version, f->format_version = 2)
HOSTILE(critical_flag, f->superblock.flags = 2)
HOSTILE(base_flag_without_base, f->superblock.flags = BYOH_FLAG_NEEDS_BASE)
HOSTILE(manifest_unknown, f->more = "\"mustObey\": true")
HOSTILE(manifest_twice, f->more = "\"name\": \"other\"")
HOSTILE(manifest_window, f->lie_about_window = true)
HOSTILE(manifest_tool, f->manifest.executable_size = 5; f->manifest.executable_digest.bytes[0] = 1)
HOSTILE(manifest_sbom, f->manifest.sbom_digest.bytes[0] = 1)
HOSTILE(unsigned_, f->signatures = 0)
HOSTILE(second_signature_broken, f->signatures = 2; f->break_signature = true)

/* One that needs a base release, of which its manifest does not speak. */
HOSTILE(delta, f->frames[1].kind = BYOH_FRAME_PREFIXED; f->frames[1].extent_count = 1;
	f->frames[1].prefix_digest.bytes[0] = 1; f->index.extent_count = 1; f->index.base_id.bytes[0] = 1;
	f->superblock.flags = BYOH_FLAG_NEEDS_BASE)

static const unsigned char zeros[BYOH_DIGEST_SIZE];
HOSTILE(block_digest, f->wrong_block = zeros)
HOSTILE(frame_garbage, memset(f->stored[1].data, 0x5a, f->stored[1].size))
HOSTILE(frame_cut_short, f->stored[1].size -= 10)
HOSTILE(frame_with_bytes_behind, SUCCEED(byoh_buffer_add(&f->stored[1], "more", 4, NULL)))
HOSTILE(frame_that_is_two, f->stored[1].size = 0;
	forgery_compress(f->plain + FORGED_FIRST_SIZE, 2500, WINDOW_LOG, true, &f->stored[1]);
	forgery_compress(f->plain + FORGED_FIRST_SIZE + 2500, 2500, WINDOW_LOG, true, &f->stored[1]))
HOSTILE(frame_behind_empty_one, f->stored[1].size = 0;
	forgery_compress("", 0, WINDOW_LOG, true, &f->stored[1]);
	forgery_compress(f->plain + FORGED_FIRST_SIZE, FORGED_SECOND_SIZE, WINDOW_LOG, false, &f->stored[1]))
HOSTILE(frame_behind_skippable, f->stored[1].size = 0;
	SUCCEED(byoh_skippable_write(BYOH_MAGIC_SUPERBLOCK, 4, &f->stored[1], NULL));
	SUCCEED(byoh_buffer_add(&f->stored[1], "skip", 4, NULL));
	forgery_compress(f->plain + FORGED_FIRST_SIZE, FORGED_SECOND_SIZE, WINDOW_LOG, true, &f->stored[1]))
HOSTILE(frame_longer, f->stored[1].size = 0;
	forgery_compress(f->plain, FORGED_SECOND_SIZE + 1, WINDOW_LOG, true, &f->stored[1]))
HOSTILE(frame_shorter, f->stored[1].size = 0;
	forgery_compress(f->plain, FORGED_SECOND_SIZE - 1, WINDOW_LOG, true, &f->stored[1]))
HOSTILE(frame_with_larger_window, f->stored[1].size = 0;
	forgery_compress(f->plain + FORGED_FIRST_SIZE, FORGED_SECOND_SIZE, WINDOW_LOG + 6, true,
			 &f->stored[1]))
HOSTILE(frame_without_checksum, f->stored[1].size = 0;
	forgery_compress(f->plain + FORGED_FIRST_SIZE, FORGED_SECOND_SIZE, WINDOW_LOG, false,
			 &f->stored[1]))

#define EARLY(name) { #name, name, false }
#define LATE(name) { #name, name, true }
const struct hostility hostilities[] = {
	{ "good", nothing, false },
	EARLY(path_dotdot), EARLY(path_absolute), EARLY(path_dot), EARLY(path_twice), EARLY(path_unsorted),
	EARLY(path_without_parent), EARLY(path_below_link), EARLY(path_with_newline), EARLY(link_absolute),
	EARLY(link_out), EARLY(link_out_through_link), EARLY(device), EARLY(hard_link), EARLY(mode_setuid),
	EARLY(overlap), EARLY(size_2_63), EARLY(offset_near_end_of_numbers), EARLY(directory_with_bytes),
	EARLY(window_too_large), EARLY(frame_kind_unknown), EARLY(index_version), EARLY(index_digest),
	EARLY(format_version), EARLY(critical_flag), EARLY(base_flag_without_base), EARLY(manifest_unknown),
	EARLY(manifest_twice), EARLY(manifest_window), EARLY(manifest_tool), EARLY(manifest_sbom),
	{ "unsigned", unsigned_, false }, EARLY(second_signature_broken),
	EARLY(delta), LATE(block_digest), LATE(frame_garbage), LATE(frame_cut_short),
	LATE(frame_with_bytes_behind), LATE(frame_that_is_two), LATE(frame_behind_skippable),
	LATE(frame_behind_empty_one),
	LATE(frame_longer), LATE(frame_shorter), LATE(frame_with_larger_window), LATE(frame_without_checksum),
};
const size_t hostility_count = sizeof(hostilities) / sizeof(hostilities[0]);
