/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/executable.h"
#include "bundle/group.h"
#include "bundle/pack-delta.h"
#include "bundle/pack-frame.h"
#include "bundle/superblock.h"

#define MAX_THREADS 64
#define COPY_SIZE ((size_t)1 << 20)

struct packing {
	const struct byoh_pack *pack;
	struct byoh_groups groups;
	struct byoh_base_files *base_files; /* of a delta */
	struct byoh_packed_frame *frames;
	pthread_mutex_t lock; /* guards what follows */
	size_t next;
	uint64_t done, total;
	int failure;
	struct byoh_error err;
};

static void release_packing(struct packing *packing)
{
	for (size_t i = 0; packing->frames && i < packing->groups.count; i++)
		byoh_packed_frame_release(&packing->frames[i]);
	free(packing->frames);
	byoh_base_files_free(packing->base_files);
	byoh_groups_release(&packing->groups);
}

static void advance(void *context, uint64_t bytes)
{
	struct packing *packing = context;
	const struct byoh_progress *progress = &packing->pack->progress;

	pthread_mutex_lock(&packing->lock);
	packing->done += bytes;
	if (progress->report)
		progress->report(progress->context,
				 packing->done < packing->total ? packing->done : packing->total,
				 packing->total);
	pthread_mutex_unlock(&packing->lock);
}

static bool take_group(struct packing *packing, size_t *ret)
{
	bool taken = false;

	pthread_mutex_lock(&packing->lock);
	if (!packing->failure && packing->next < packing->groups.count) {
		*ret = packing->next++;
		taken = true;
	}
	pthread_mutex_unlock(&packing->lock);
	return taken;
}

static void *pack_groups(void *context)
{
	struct packing *packing = context;
	size_t i;

	while (take_group(packing, &i)) {
		struct byoh_error err = BYOH_ERROR_INIT;
		struct byoh_frame_job job = {
			.pack = packing->pack,
			.group = &packing->groups.items[i],
			.base_files = packing->base_files,
			.first = i == 0,
			.last = i + 1 == packing->groups.count,
			.advance = advance,
			.context = packing,
		};
		int r = byoh_pack_frame(&job, &packing->frames[i], &err);

		if (r == 0)
			continue;
		pthread_mutex_lock(&packing->lock);
		if (!packing->failure) {
			packing->failure = r;
			packing->err = err;
		}
		pthread_mutex_unlock(&packing->lock);
	}
	return NULL;
}

static int compress_all(struct packing *packing, struct byoh_error *err)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int count = packing->pack->threads ? packing->pack->threads :
			     cores > 0		    ? (unsigned int)cores : 1;
	pthread_t ids[MAX_THREADS];
	unsigned int started = 0;

	if (count > MAX_THREADS)
		count = MAX_THREADS;
	for (size_t i = 0; i < packing->groups.count; i++)
		packing->total += packing->groups.items[i].size;
	while (started < count && started < packing->groups.count &&
	       pthread_create(&ids[started], NULL, pack_groups, packing) == 0)
		started++;
	if (!started)
		pack_groups(packing);
	for (unsigned int i = 0; i < started; i++)
		pthread_join(ids[i], NULL);
	if (packing->failure && err)
		*err = packing->err;
	return packing->failure;
}

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static void index_frames(const struct packing *packing, struct byoh_index *index)
{
	uint64_t stored = 0;

	for (size_t i = 0; i < packing->groups.count; i++) {
		const struct byoh_packed_frame *from = &packing->frames[i];
		const struct byoh_group *group = &packing->groups.items[i];

		index->frames[i] = (struct byoh_frame){
			.kind = group->extent_count ? BYOH_FRAME_PREFIXED : BYOH_FRAME_ZSTD,
			.first_extent = index->extent_count,
			.extent_count = group->extent_count,
			.prefix_digest = from->prefix,
			.window_log = from->window_log,
			.stored_offset = stored,
			.stored_size = from->stored_size,
			.plain_offset = index->plain_size,
			.plain_size = from->plain_size,
			.first_block = index->block_count,
		};
		memcpy(index->blocks + index->block_count, from->blocks,
		       from->block_count * sizeof(*from->blocks));
		index->block_count += from->block_count;
		if (group->extent_count)
			memcpy(index->extents + index->extent_count, group->extents,
			       group->extent_count * sizeof(*group->extents));
		index->extent_count += group->extent_count;
		index->plain_size += from->plain_size;
		stored += from->stored_size;
	}
}

/* Paths and targets are borrowed from the tree: byoh_index_write copies them. */
static void index_entries(const struct byoh_tree *tree, struct byoh_index *index)
{
	for (size_t i = 0; i < tree->entry_count; i++) {
		const struct byoh_tree_entry *entry = &tree->entries[i];

		index->files[i] = (struct byoh_file){
			.path = entry->path,
			.target = entry->target ? entry->target : "",
			.type = entry->type,
			.mode = entry->mode,
			.size = entry->type == BYOH_FILE_REGULAR ? entry->size : 0,
		};
	}
}

static void index_bytes(const struct packing *packing, struct byoh_index *index)
{
	const struct byoh_tree *tree = packing->pack->tree;

	for (size_t i = 0; i < packing->groups.count; i++) {
		const struct byoh_packed_frame *frame = &packing->frames[i];

		for (size_t k = 0; k < frame->file_count; k++) {
			struct byoh_file *file = &index->files[frame->files[k].entry - tree->entries];

			file->plain_offset = index->frames[i].plain_offset + frame->files[k].plain_offset;
			file->digest = frame->files[k].digest;
		}
	}
}

static int make_index(const struct packing *packing, struct byoh_index **ret, struct byoh_error *err)
{
	CLEANUP_INDEX struct byoh_index *index = calloc(1, sizeof(*index));
	const struct byoh_tree *tree = packing->pack->tree;
	size_t blocks = 0, extents = 0;

	if (!index)
		return no_memory(err);
	for (size_t i = 0; i < packing->groups.count; i++) {
		blocks += packing->frames[i].block_count;
		extents += packing->groups.items[i].extent_count;
	}
	index->files = calloc(tree->entry_count + 1, sizeof(*index->files));
	index->frames = calloc(packing->groups.count + 1, sizeof(*index->frames));
	index->blocks = calloc(blocks + 1, sizeof(*index->blocks));
	index->extents = calloc(extents + 1, sizeof(*index->extents));
	if (!index->files || !index->frames || !index->blocks || !index->extents)
		return no_memory(err);
	if (extents) /* else nothing of the base is of use, and the bundle is a full one */
		index->base_id = *byoh_bundle_id(packing->pack->base);
	index->file_count = tree->entry_count;
	index->frame_count = packing->groups.count;
	index_frames(packing, index);
	index_entries(tree, index);
	index_bytes(packing, index);
	*ret = TAKE_PTR(index);
	return 0;
}

/* What the manifest says of the index; the strings stay the identity's and the tree's. */
static void describe_index(const struct byoh_index *index, struct byoh_manifest *manifest)
{
	manifest->payload_size = 0;
	manifest->space = 0;
	manifest->largest_window = 0;
	for (size_t i = 0; i < index->frame_count; i++) {
		uint64_t window = (uint64_t)1 << index->frames[i].window_log;

		manifest->payload_size += index->frames[i].stored_size;
		if (window > manifest->largest_window)
			manifest->largest_window = window;
	}
	for (size_t i = 0; i < index->file_count; i++)
		manifest->space += index->files[i].size;
	manifest->inodes = index->file_count;
}

static int make_manifest(const struct byoh_pack *pack, const struct byoh_index *index,
			 const struct byoh_buffer *index_text, struct byoh_buffer *ret, struct byoh_error *err)
{
	struct byoh_manifest manifest = *pack->identity;
	int r = byoh_digest_of(index_text->data, index_text->size, &manifest.index_digest, err);

	manifest.index_size = index_text->size;
	describe_index(index, &manifest);
	manifest.components = pack->tree->components;
	manifest.component_count = pack->tree->component_count;
	manifest.images = pack->tree->images;
	manifest.image_count = pack->tree->image_count;
	manifest.base_id = index->base_id;
	if (index->extent_count) {
		manifest.base_name = byoh_bundle_manifest(pack->base)->name;
		manifest.base_version = byoh_bundle_manifest(pack->base)->version;
	}
	if (r == 0 && pack->executable) {
		manifest.executable_size = pack->executable->size;
		r = byoh_digest_of(pack->executable->data, pack->executable->size,
				   &manifest.executable_digest, err);
	}
	if (pack->sbom)
		manifest.sbom_digest = *pack->sbom;
	return r < 0 ? r : byoh_manifest_write(&manifest, ret, err);
}

static int write_header(const struct byoh_superblock *superblock, const struct byoh_signature *signature,
			const struct byoh_buffer *manifest, const struct byoh_buffer *index_text,
			struct byoh_buffer *ret, struct byoh_error *err)
{
	int r = byoh_superblock_write(superblock, ret, err);

	if (r == 0)
		r = byoh_signatures_write(signature, signature ? 1 : 0, ret, err);
	if (r == 0)
		r = byoh_skippable_write(BYOH_MAGIC_MANIFEST, manifest->size, ret, err);
	if (r == 0)
		r = byoh_buffer_add(ret, manifest->data, manifest->size, err);
	if (r == 0)
		r = byoh_skippable_write(BYOH_MAGIC_INDEX, index_text->size, ret, err);
	return r < 0 ? r : byoh_buffer_add(ret, index_text->data, index_text->size, err);
}

/* Everything in front of the payload, and the id. */
static int make_header(const struct packing *packing, const struct byoh_index *index,
		       struct byoh_buffer *ret, struct byoh_digest *ret_id, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer index_text = {0}, text = {0};
	struct byoh_superblock superblock = {0};
	struct byoh_signature signature;
	int r = byoh_index_write(index, &index_text, err);

	if (r == 0)
		r = make_manifest(packing->pack, index, &index_text, &text, err);
	if (r == 0)
		r = byoh_digest_of(text.data, text.size, ret_id, err);
	if (r == 0)
		r = packing->pack->key ? byoh_trust_sign(packing->pack->key, ret_id, &signature, err) : 0;
	if (r < 0)
		return r;
	superblock.manifest_size = text.size;
	superblock.index_size = index_text.size;
	superblock.flags = index->extent_count ? BYOH_FLAG_NEEDS_BASE : 0;
	for (size_t i = 0; i < index->frame_count; i++)
		superblock.payload_size += index->frames[i].stored_size;
	return write_header(&superblock, packing->pack->key ? &signature : NULL, &text, &index_text, ret, err);
}

static int copy_frame(const struct byoh_packed_frame *frame, int out, struct byoh_error *err)
{
	CLEANUP_FREE unsigned char *bytes = malloc(COPY_SIZE);
	int r = bytes ? 0 : no_memory(err);

	for (uint64_t at = 0; at < frame->stored_size && r == 0; at += COPY_SIZE) {
		uint64_t left = frame->stored_size - at;
		size_t size = left < COPY_SIZE ? (size_t)left : COPY_SIZE;

		r = byoh_pread_all(frame->fd, bytes, size, at, err);
		if (r == 0)
			r = byoh_write_all(out, bytes, size, err);
	}
	return r;
}

static int write_executable(const struct byoh_pack *pack, int out, struct byoh_error *err)
{
	char gap[BYOH_BUNDLE_ALIGNMENT] = {0};
	uint64_t size = pack->executable->size;
	int r = byoh_write_all(out, pack->executable->data, (size_t)size, err);

	return r < 0 ? r : byoh_write_all(out, gap, (size_t)(byoh_executable_join_offset(size) - size), err);
}

static int write_parts(const struct packing *packing, const struct byoh_buffer *header, int out,
		       struct byoh_error *err)
{
	int r = packing->pack->join ? write_executable(packing->pack, out, err) : 0;

	if (r == 0)
		r = byoh_write_all(out, header->data, header->size, err);
	for (size_t i = 0; i < packing->groups.count && r == 0; i++)
		r = copy_frame(&packing->frames[i], out, err);
	if (r == 0 && (fchmod(out, packing->pack->join ? 0755 : 0644) < 0 || fsync(out) < 0))
		return byoh_fail_errno(err, "cannot store the bundle");
	return r;
}

static int write_output(const struct packing *packing, const struct byoh_buffer *header, const char *path,
			struct byoh_error *err)
{
	char temporary[BYOH_PATH_MAX];
	CLEANUP_FD int out = -1;
	int r;

	if (snprintf(temporary, sizeof(temporary), "%s.partial", path) >= (int)sizeof(temporary))
		return byoh_fail(err, BYOH_ERROR_USAGE, ENAMETOOLONG, "%s: the path is too long", path);
	out = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0)
		return byoh_fail_errno(err, "cannot create %s", temporary);
	r = write_parts(packing, header, out, err);
	if (r == 0 && rename(temporary, path) < 0)
		r = byoh_fail_errno(err, "cannot rename to %s", path);
	if (r < 0) {
		unlink(temporary);
		return byoh_error_wrap(err, r, "%s", path);
	}
	return 0;
}

static int run(struct packing *packing, const char *path, struct byoh_digest *ret_id,
	       struct byoh_error *err)
{
	CLEANUP_INDEX struct byoh_index *index = NULL;
	CLEANUP_BUFFER struct byoh_buffer header = {0};
	int r = packing->pack->base ?
			byoh_pack_delta_group(packing->pack, &packing->groups, &packing->base_files, err) :
			byoh_group_files(packing->pack->tree, &packing->groups, err);

	if (r < 0)
		return r;
	packing->frames = calloc(packing->groups.count, sizeof(*packing->frames));
	if (!packing->frames)
		return no_memory(err);
	for (size_t i = 0; i < packing->groups.count; i++)
		packing->frames[i].fd = -1;
	r = compress_all(packing, err);
	if (r == 0)
		r = make_index(packing, &index, err);
	if (r == 0)
		r = make_header(packing, index, &header, ret_id, err);
	return r < 0 ? r : write_output(packing, &header, path, err);
}

int byoh_pack(const struct byoh_pack *pack, const char *path, struct byoh_digest *ret_id,
	      struct byoh_error *err)
{
	struct packing packing = { .pack = pack };
	int r;

	if (pack->join && !pack->executable)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "a .run needs an executable (--stub)");
	pthread_mutex_init(&packing.lock, NULL);
	r = run(&packing, path, ret_id, err);
	release_packing(&packing);
	pthread_mutex_destroy(&packing.lock);
	return r;
}
