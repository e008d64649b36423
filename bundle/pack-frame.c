/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/pack-frame.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define READ_SIZE ((size_t)1 << 20)
#define WINDOW_LOG_MAX 27
#define WINDOW_LOG_MIN 17
#define TAR_BLOCK 512
/* What is compressed already is wrapped, not searched: the fastest level that there is, and a window that costs a
 * decoder nothing. */
#define WRAPPING_LEVEL (-7)
#define WRAPPING_WINDOW_LOG 20
#define TAR_OVERHEAD ((uint64_t)2048) /* a file's headers and padding, at most, for ordinary names */

struct writer {
	const struct byoh_frame_job *job;
	struct byoh_packed_frame *frame;
	ZSTD_CCtx *zstd;
	unsigned char *output, *input;
	struct byoh_prefix prefix;
	bool dropping; /* libarchive's end mark is not wanted in the middle of the stream */
	int failure;
	struct byoh_error *err;
};

static void release_writer(struct writer *writer)
{
	ZSTD_freeCCtx(writer->zstd);
	byoh_prefix_release(&writer->prefix);
	free(writer->output);
	free(writer->input);
}

static void free_archive(struct archive **archive)
{
	archive_write_free(*archive);
}

static void free_entry(struct archive_entry **entry)
{
	archive_entry_free(*entry);
}

static int compress(struct writer *writer, const void *bytes, size_t size, ZSTD_EndDirective end)
{
	ZSTD_inBuffer in = { bytes, size, 0 };
	size_t rest;

	do {
		ZSTD_outBuffer out = { writer->output, ZSTD_CStreamOutSize(), 0 };
		int r;

		rest = ZSTD_compressStream2(writer->zstd, &out, &in, end);
		if (ZSTD_isError(rest))
			return byoh_fail(writer->err, BYOH_ERROR_SYSTEM, ENOMEM, "zstd: %s",
					 ZSTD_getErrorName(rest));
		r = byoh_write_all(writer->frame->fd, writer->output, out.pos, writer->err);
		if (r < 0)
			return r;
		writer->frame->stored_size += out.pos;
	} while (end == ZSTD_e_end ? rest != 0 : in.pos < in.size);
	return 0;
}

/* libarchive's way out: counts the plain bytes and compresses them. */
static la_ssize_t take_tar(struct archive *archive, void *context, const void *bytes, size_t size)
{
	struct writer *writer = context;

	if (writer->dropping)
		return (la_ssize_t)size;
	if (!writer->failure)
		writer->failure = compress(writer, bytes, size, ZSTD_e_continue);
	if (writer->failure) {
		archive_set_error(archive, -writer->failure, "cannot compress");
		return -1;
	}
	writer->frame->plain_size += size;
	if (writer->job->advance)
		writer->job->advance(writer->job->context, size);
	return (la_ssize_t)size;
}

static int tar_failed(struct writer *writer, struct archive *tar, const char *path)
{
	if (writer->failure)
		return writer->failure;
	return byoh_fail(writer->err, BYOH_ERROR_SYSTEM, EIO, "%s: %s", path, archive_error_string(tar));
}

static int write_header(struct writer *writer, struct archive *tar, const struct byoh_tree_entry *from)
{
	CLEANUP(free_entry) struct archive_entry *entry = archive_entry_new();
	mode_t type = from->type == BYOH_FILE_DIRECTORY ? S_IFDIR :
		      from->type == BYOH_FILE_SYMLINK	? S_IFLNK : S_IFREG;

	if (!entry)
		return byoh_fail(writer->err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	archive_entry_set_pathname(entry, from->path);
	archive_entry_set_mode(entry, type | from->mode);
	archive_entry_set_size(entry, from->type == BYOH_FILE_REGULAR ? (la_int64_t)from->size : 0);
	archive_entry_set_mtime(entry, (time_t)writer->job->pack->identity->built, 0);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	if (from->target)
		archive_entry_set_symlink(entry, from->target);
	if (archive_write_header(tar, entry) != ARCHIVE_OK)
		return tar_failed(writer, tar, from->path);
	return 0;
}

static bool is_cancelled(const struct writer *writer)
{
	const atomic_bool *cancel = writer->job->pack->progress.cancel;

	return cancel && atomic_load(cancel);
}

/* Some of the bytes behind fd's offset, at most left, into the input. */
static ssize_t read_input(struct writer *writer, int fd, uint64_t left, const char *name)
{
	ssize_t n;

	do
		n = read(fd, writer->input, left < READ_SIZE ? (size_t)left : READ_SIZE);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return byoh_fail_errno(writer->err, "cannot read %s", name);
	if (n == 0)
		return byoh_fail(writer->err, BYOH_ERROR_SYSTEM, ENODATA, "%s became shorter while it was packed",
				 name);
	if (is_cancelled(writer))
		return byoh_fail(writer->err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted");
	return n;
}

static int write_bytes(struct writer *writer, struct archive *tar, const struct byoh_tree_entry *from,
		       struct byoh_digest *ret)
{
	CLEANUP_FD int fd = open(from->source, O_RDONLY | O_CLOEXEC);
	CLEANUP_HASHER struct byoh_hasher *hasher = byoh_hasher_new();
	uint64_t left = from->size;

	if (fd < 0)
		return byoh_fail_errno(writer->err, "cannot open %s", from->source);
	if (!hasher)
		return byoh_fail(writer->err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	while (left) {
		ssize_t n = read_input(writer, fd, left, from->source);

		if (n < 0)
			return (int)n;
		byoh_hasher_add(hasher, writer->input, (size_t)n);
		if (archive_write_data(tar, writer->input, (size_t)n) != n)
			return tar_failed(writer, tar, from->path);
		left -= (uint64_t)n;
	}
	return byoh_hasher_finish(hasher, ret, writer->err);
}

static int write_file(struct writer *writer, struct archive *tar, const struct byoh_tree_entry *entry)
{
	struct byoh_packed_file *file = &writer->frame->files[writer->frame->file_count];
	int r = write_header(writer, tar, entry);

	if (r < 0)
		return r;
	file->entry = entry;
	file->plain_offset = writer->frame->plain_size; /* nothing is buffered between here and take_tar */
	writer->frame->file_count++;
	return write_bytes(writer, tar, entry, &file->digest);
}

/* libarchive knows whole entries only: of a piece it writes the header, where that belongs to it. */
static int write_piece(struct writer *writer, struct archive *tar, const struct byoh_group *group)
{
	const struct byoh_tree_entry *entry = group->entries[0];
	uint64_t left = group->piece.size, end = group->piece.offset + left;
	CLEANUP_FD int fd = open(entry->source, O_RDONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0 || lseek(fd, (off_t)group->piece.offset, SEEK_SET) < 0)
		return byoh_fail_errno(writer->err, "cannot open %s", entry->source);
	if (!group->piece.offset) {
		r = write_header(writer, tar, entry);
		writer->frame->files[writer->frame->file_count++] =
			(struct byoh_packed_file){ entry, writer->frame->plain_size, group->piece.digest };
	}
	while (left && r == 0) {
		ssize_t n = read_input(writer, fd, left, entry->source);

		if (n < 0)
			return (int)n;
		if (take_tar(tar, writer, writer->input, (size_t)n) < 0)
			return writer->failure;
		left -= (uint64_t)n;
	}
	memset(writer->input, 0, TAR_BLOCK);
	if (r == 0 && end == entry->size && entry->size % TAR_BLOCK &&
	    take_tar(tar, writer, writer->input, TAR_BLOCK - (size_t)(entry->size % TAR_BLOCK)) < 0)
		return writer->failure;
	writer->dropping = true; /* libarchive takes the entry to be cut short, and would fill it up */
	return r;
}

static int write_entries(struct writer *writer, struct archive *tar)
{
	const struct byoh_tree *tree = writer->job->pack->tree;
	int r = 0;

	for (size_t i = 0; writer->job->first && i < tree->entry_count && r == 0; i++)
		if (tree->entries[i].type != BYOH_FILE_REGULAR)
			r = write_header(writer, tar, &tree->entries[i]);
	if (writer->job->group->piece.size)
		return r < 0 ? r : write_piece(writer, tar, writer->job->group);
	for (size_t i = 0; i < writer->job->group->count && r == 0; i++)
		r = write_file(writer, tar, writer->job->group->entries[i]);
	/* Padding behind the last file is written now, before the end mark may be dropped. */
	if (r == 0 && archive_write_finish_entry(tar) != ARCHIVE_OK)
		return tar_failed(writer, tar, "tar");
	return r;
}

struct charset {
	locale_t mine, before;
};

/* libarchive takes names to be in this thread's charset, and would refuse what is not ASCII. */
static struct charset enter_utf8(void)
{
	locale_t mine = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

	return (struct charset){ mine, mine ? uselocale(mine) : (locale_t)0 };
}

static void leave_charset(const struct charset *charset)
{
	if (!charset->mine)
		return;
	uselocale(charset->before);
	freelocale(charset->mine);
}

static int write_tar(struct writer *writer)
{
	CLEANUP(leave_charset) struct charset charset __attribute__((unused)) = enter_utf8();
	CLEANUP(free_archive) struct archive *tar = archive_write_new();
	int r;

	if (!tar || archive_write_set_format_pax_restricted(tar) != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(tar, 0) != ARCHIVE_OK ||
	    archive_write_open(tar, writer, NULL, take_tar, NULL) != ARCHIVE_OK)
		return byoh_fail(writer->err, BYOH_ERROR_SYSTEM, ENOMEM, "cannot write a tar");
	r = write_entries(writer, tar);
	writer->dropping |= r < 0 || !writer->job->last;
	if (archive_write_close(tar) != ARCHIVE_OK && r == 0)
		return tar_failed(writer, tar, "tar");
	return r;
}

/* The window reaches over the whole group, so that the last file can lean on the first. */
static unsigned int window_for(uint64_t size, bool wrapping)
{
	unsigned int log = WINDOW_LOG_MIN, max = wrapping ? WRAPPING_WINDOW_LOG : WINDOW_LOG_MAX;

	while (log < max && ((uint64_t)1 << log) < size)
		log++;
	return log;
}

static int set_up_zstd(struct writer *writer)
{
	const struct byoh_group *group = writer->job->group;
	int level = group->compressed ? WRAPPING_LEVEL : group->same ? 1 : writer->job->pack->level;
	uint64_t size = group->size + (group->count + writer->job->pack->tree->entry_count) * TAR_OVERHEAD;
	unsigned int window = window_for(size, group->compressed);
	const struct {
		ZSTD_cParameter parameter;
		int value;
	} settings[] = {
		{ ZSTD_c_compressionLevel, level },
		{ ZSTD_c_windowLog, (int)window },
		{ ZSTD_c_checksumFlag, 1 },
		{ ZSTD_c_enableLongDistanceMatching, !group->compressed },
	};

	writer->frame->window_log = window;
	writer->zstd = ZSTD_createCCtx();
	writer->output = malloc(ZSTD_CStreamOutSize());
	writer->input = malloc(READ_SIZE);
	if (!writer->zstd || !writer->output || !writer->input)
		return byoh_fail(writer->err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (ZSTD_isError(ZSTD_CCtx_setParameter(writer->zstd, settings[i].parameter,
							settings[i].value)))
			return byoh_fail(writer->err, BYOH_ERROR_USAGE, EINVAL,
					 "zstd refuses the compression level %d", level);
	return 0;
}

/* What the reader will lay in front of the frame, too. */
static int lay_prefix(struct writer *writer)
{
	const struct byoh_group *group = writer->job->group;
	int r;

	if (!group->extent_count)
		return 0;
	r = byoh_base_files_map(writer->job->base_files, group->extents, group->extent_count, &writer->prefix,
				writer->err);
	if (r == 0)
		r = byoh_digest_of(writer->prefix.bytes, writer->prefix.size, &writer->frame->prefix, writer->err);
	if (r == 0 && ZSTD_isError(ZSTD_CCtx_refPrefix(writer->zstd, writer->prefix.bytes, writer->prefix.size)))
		return byoh_fail(writer->err, BYOH_ERROR_SYSTEM, ENOMEM, "zstd refuses the prefix");
	return r;
}

static int open_scratch(const struct byoh_pack *pack, int *ret, struct byoh_error *err)
{
	char path[BYOH_PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/frame-XXXXXX", pack->scratch_directory) >= (int)sizeof(path))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENAMETOOLONG, "%s: too long",
				 pack->scratch_directory);
	*ret = mkostemp(path, O_CLOEXEC);
	if (*ret < 0)
		return byoh_fail_errno(err, "cannot make a file in %s", pack->scratch_directory);
	unlink(path);
	return 0;
}

static int digest_blocks(struct byoh_packed_frame *frame, struct byoh_error *err)
{
	CLEANUP_FREE unsigned char *bytes = malloc(BYOH_BLOCK_SIZE);
	size_t count = (size_t)((frame->stored_size + BYOH_BLOCK_SIZE - 1) / BYOH_BLOCK_SIZE);
	int r = 0;

	frame->blocks = calloc(count, sizeof(*frame->blocks));
	if (!bytes || !frame->blocks)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < count && r == 0; i++) {
		uint64_t at = i * BYOH_BLOCK_SIZE;
		uint64_t left = frame->stored_size - at;
		size_t size = (size_t)(left < BYOH_BLOCK_SIZE ? left : BYOH_BLOCK_SIZE);

		r = byoh_pread_all(frame->fd, bytes, size, at, err);
		if (r == 0)
			r = byoh_digest_of(bytes, size, &frame->blocks[i], err);
	}
	frame->block_count = count;
	return r;
}

int byoh_pack_frame(const struct byoh_frame_job *job, struct byoh_packed_frame *ret, struct byoh_error *err)
{
	CLEANUP(release_writer) struct writer writer = { .job = job, .frame = ret, .err = err };
	int r;

	ret->files = calloc(job->group->count + 1, sizeof(*ret->files));
	if (!ret->files)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = open_scratch(job->pack, &ret->fd, err);
	if (r == 0)
		r = set_up_zstd(&writer);
	if (r == 0)
		r = lay_prefix(&writer);
	if (r == 0)
		r = write_tar(&writer);
	if (r == 0)
		r = compress(&writer, NULL, 0, ZSTD_e_end);
	return r < 0 ? r : digest_blocks(ret, err);
}

void byoh_packed_frame_release(struct byoh_packed_frame *frame)
{
	byoh_cleanup_fd(&frame->fd);
	free(frame->blocks);
	free(frame->files);
}
