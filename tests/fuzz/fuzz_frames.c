/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stored bytes of one frame, whose blocks hold, with and without a prefix: the first byte says which, the next two how
 * many bytes the index promises, the rest is what a decoder is given.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <zstd.h>

#include "bundle/base/cleanup.h"
#include "bundle/bundle.h"
#include "bundle/superblock.h"
#include "tests/fuzz/fuzz.h"

#define BASE_SIZE ((size_t)4096)
#define WINDOW_LOG 17

struct memory {
	struct byoh_reader reader;
	const struct byoh_buffer *bytes;
};

static int read_memory(struct byoh_reader *reader, void *ret, size_t size, uint64_t offset, struct byoh_error *err)
{
	const struct memory *memory = (const struct memory *)reader;

	if (offset > memory->bytes->size || size > memory->bytes->size - offset)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENODATA, "the bytes end early");
	memcpy(ret, memory->bytes->data + offset, size);
	return 0;
}

static void free_memory(struct byoh_reader *reader)
{
	free(reader);
}

static const struct byoh_reader_ops memory_ops = { .read = read_memory, .free = free_memory };

static struct byoh_bundle *open_memory(const struct byoh_buffer *bytes)
{
	struct memory *memory = calloc(1, sizeof(*memory));
	struct byoh_bundle *bundle = NULL;

	*memory = (struct memory){ { .ops = &memory_ops, .size = bytes->size }, bytes };
	require(byoh_bundle_open_reader(&memory->reader, "memory", &bundle, NULL) == 0);
	require(byoh_bundle_examine(bundle, NULL) == 0);
	return bundle;
}

static void add_header(const struct byoh_superblock *superblock, const struct byoh_buffer *manifest,
		       const struct byoh_buffer *index, struct byoh_buffer *ret)
{
	require(byoh_superblock_write(superblock, ret, NULL) == 0);
	require(byoh_signatures_write(NULL, 0, ret, NULL) == 0);
	require(byoh_skippable_write(BYOH_MAGIC_MANIFEST, manifest->size, ret, NULL) == 0);
	require(byoh_buffer_add(ret, manifest->data, manifest->size, NULL) == 0);
	require(byoh_skippable_write(BYOH_MAGIC_INDEX, index->size, ret, NULL) == 0);
	require(byoh_buffer_add(ret, index->data, index->size, NULL) == 0);
}

/* A bundle of the one file "f" in one frame, all of whose digests are true but for that of the file. */
static void wrap(struct byoh_frame *frame, struct byoh_base_extent *extent, const struct byoh_digest *base,
		 const struct byoh_file *file, const void *stored, size_t size, struct byoh_buffer *ret)
{
	static char name[] = "fuzz", version[] = "1", arch[] = "amd64";
	CLEANUP_BUFFER struct byoh_buffer index_text = { 0 }, text = { 0 };
	struct byoh_file files[] = { *file };
	struct byoh_digest block;
	struct byoh_index index = { .plain_size = frame->plain_size, .file_count = 1, .frame_count = 1,
				    .block_count = 1, .files = files, .frames = frame, .blocks = &block,
				    .extents = extent, .extent_count = base ? 1 : 0 };
	struct byoh_manifest manifest = { .name = name, .version = version, .arch = arch, .base_name = name,
					  .base_version = version, .payload_size = size, .space = file->size,
					  .inodes = 1, .largest_window = (uint64_t)1 << WINDOW_LOG };
	struct byoh_superblock superblock = { .payload_size = size };

	frame->window_log = WINDOW_LOG;
	frame->stored_size = size;
	if (base) {
		superblock.flags = BYOH_FLAG_NEEDS_BASE;
		index.base_id = manifest.base_id = *base;
		frame->kind = BYOH_FRAME_PREFIXED;
		frame->extent_count = 1;
		frame->prefix_digest = extent->file_digest;
	}
	require(byoh_digest_of(stored, size, &block, NULL) == 0);
	require(byoh_index_write(&index, &index_text, NULL) == 0);
	require(byoh_digest_of(index_text.data, index_text.size, &manifest.index_digest, NULL) == 0);
	manifest.index_size = index_text.size;
	require(byoh_manifest_write(&manifest, &text, NULL) == 0);
	superblock.manifest_size = text.size;
	superblock.index_size = index_text.size;
	add_header(&superblock, &text, &index_text, ret);
	require(byoh_buffer_add(ret, stored, size, NULL) == 0);
}

/* Also what the seeds have been packed against: 4096 bytes, each 17 more than the one before and the row's number. */
static void fill_base(unsigned char bytes[BASE_SIZE])
{
	for (size_t i = 0; i < BASE_SIZE; i++)
		bytes[i] = (unsigned char)(i * 17 + i / 64);
}

static struct byoh_bundle *open_base(struct byoh_buffer *bytes, struct byoh_file *file)
{
	unsigned char plain[BASE_SIZE], stored[2 * BASE_SIZE];
	struct byoh_frame frame = { .plain_size = BASE_SIZE };
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	size_t size;

	fill_base(plain);
	*file = (struct byoh_file){ .path = "f", .target = "", .type = BYOH_FILE_REGULAR, .size = BASE_SIZE };
	require(byoh_digest_of(plain, BASE_SIZE, &file->digest, NULL) == 0);
	require(zstd && !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1)));
	size = ZSTD_compress2(zstd, stored, sizeof(stored), plain, BASE_SIZE);
	ZSTD_freeCCtx(zstd);
	require(!ZSTD_isError(size));
	wrap(&frame, NULL, NULL, file, stored, size, bytes);
	return open_memory(bytes);
}

static int open_sink(void *context, const struct byoh_file *file, struct byoh_error *err)
{
	const int *sink = context;
	int fd = dup(*sink);

	require(strcmp(file->path, "f") == 0);
	return fd < 0 ? byoh_fail_errno(err, "no descriptor") : fd;
}

/* All or nothing, and never more than the index says. */
static void check(struct byoh_bundle *bundle, size_t promised)
{
	CLEANUP_FD int sink = memfd_create("fuzz", MFD_CLOEXEC), folder = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct byoh_unpack unpack = { .open = open_sink, .context = &sink, .threads = 1, .scratch_fd = folder };
	struct byoh_error err = BYOH_ERROR_INIT;
	int r = byoh_bundle_unpack(bundle, &unpack, &err);
	off_t size = lseek(sink, 0, SEEK_END);

	require(size >= 0 && (size_t)size <= promised);
	require(r < 0 ? err.message[0] != '\0' : (size_t)size == promised);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUFFER struct byoh_buffer base_bytes = { 0 }, bytes = { 0 };
	struct byoh_frame frame = { 0 };
	struct byoh_base_extent extent;
	struct byoh_bundle *base, *bundle;
	struct byoh_file file;
	bool prefixed;

	if (size < 4 || size > 4 + 65536 || (!data[1] && !data[2]))
		return 0;
	base = open_base(&base_bytes, &file);
	extent = (struct byoh_base_extent){ .file_digest = file.digest, .path = "f", .size = BASE_SIZE };
	prefixed = data[0] & 1;
	frame.plain_size = file.size = (uint64_t)(data[1] | data[2] << 8);
	wrap(&frame, &extent, prefixed ? byoh_bundle_id(base) : NULL, &file, data + 3, size - 3, &bytes);
	bundle = open_memory(&bytes);
	if (prefixed)
		require(byoh_bundle_set_base(bundle, base, NULL) == 0);
	else
		byoh_bundle_free(base);
	check(bundle, (size_t)file.size);
	byoh_bundle_free(bundle);
	return 0;
}
