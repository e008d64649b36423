/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and authenticating. */
#include "bundle/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/bundle-internal.h"
#include "bundle/executable.h"

static int damaged(struct byoh_error *err, const char *what)
{
	return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "%s", what);
}

/* A .run begins with an ELF executable, a .bundle with its superblock. */
static int find_start(struct byoh_bundle *bundle, struct byoh_error *err)
{
	char magic[4];
	int r;

	bundle->offset = bundle->reader->start;
	if (bundle->offset)
		return 0;
	if (bundle->reader->size < sizeof(magic))
		return damaged(err, "the file is too short to be a bundle");
	r = byoh_reader_read(bundle->reader, magic, sizeof(magic), 0, err);
	if (r < 0)
		return r;
	if (memcmp(magic, "\177ELF", sizeof(magic)) != 0)
		return 0;
	r = byoh_executable_note(bundle->reader, &bundle->offset, NULL, err);
	if (r < 0)
		return r;
	if (!bundle->offset || bundle->reader->size <= bundle->offset)
		return byoh_fail(err, BYOH_ERROR_FORMAT, ENODATA,
				 "there is no bundle behind this executable; name one with --from");
	return 0;
}

/* The superblock has told how long the bundle is. */
static int check_size(struct byoh_bundle *bundle, uint64_t whole, struct byoh_error *err)
{
	struct byoh_reader *reader = bundle->reader;
	uint64_t there = reader->size - bundle->offset;

	if (reader->size == BYOH_READER_SIZE_UNKNOWN)
		return reader->ops->expect ? reader->ops->expect(reader, bundle->offset + whole, err) : 0;
	if (there < whole)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, /* not ENODATA: a bundle is there */
				 "the file is cut short: %llu of %llu bytes are there; copy it again",
				 (unsigned long long)there, (unsigned long long)whole);
	return there > whole ? damaged(err, "the file has bytes behind its end") : 0;
}

/* Into the buffer that is kept, and parsed from there: no byte of it is read a second time. */
static int read_front(struct byoh_bundle *bundle, struct byoh_error *err)
{
	const char *front;
	int r = byoh_buffer_add_zeros(&bundle->header, BYOH_FRONT_SIZE, err);

	if (r < 0)
		return r;
	if (bundle->reader->size - bundle->offset < BYOH_FRONT_SIZE)
		return damaged(err, "the file ends before its header does; copy it again");
	r = byoh_reader_read(bundle->reader, bundle->header.data, BYOH_FRONT_SIZE, bundle->offset, err);
	front = bundle->header.data;
	if (r == 0)
		r = byoh_superblock_parse(front, BYOH_SUPERBLOCK_SIZE, &bundle->superblock, err);
	if (r == 0)
		r = byoh_signatures_parse(front + BYOH_SUPERBLOCK_SIZE, BYOH_SIGNATURES_SIZE,
					  bundle->signatures, &bundle->signature_count, err);
	return r;
}

static int read_rest(struct byoh_bundle *bundle, struct byoh_error *err)
{
	uint64_t header = byoh_superblock_header_size(&bundle->superblock);
	size_t rest = (size_t)header - BYOH_FRONT_SIZE;
	int r = check_size(bundle, header + bundle->superblock.payload_size, err);

	if (r == 0)
		r = byoh_buffer_add_zeros(&bundle->header, rest, err);
	if (r == 0)
		r = byoh_reader_read(bundle->reader, bundle->header.data + BYOH_FRONT_SIZE, rest,
				     bundle->offset + BYOH_FRONT_SIZE, err);
	return r;
}

static const char *manifest_frame(const struct byoh_bundle *bundle)
{
	return bundle->header.data + BYOH_FRONT_SIZE;
}

static const char *index_frame(const struct byoh_bundle *bundle)
{
	return manifest_frame(bundle) + BYOH_SKIPPABLE_HEADER_SIZE + bundle->superblock.manifest_size;
}

static int check_header(struct byoh_bundle *bundle, struct byoh_error *err)
{
	int r = byoh_skippable_check(manifest_frame(bundle), BYOH_MAGIC_MANIFEST,
				     bundle->superblock.manifest_size, "manifest", err);

	if (r == 0)
		r = byoh_skippable_check(index_frame(bundle), BYOH_MAGIC_INDEX,
					 bundle->superblock.index_size, "index", err);
	if (r == 0)
		r = byoh_digest_of(manifest_frame(bundle) + BYOH_SKIPPABLE_HEADER_SIZE,
				   (size_t)bundle->superblock.manifest_size, &bundle->id, err);
	return r;
}

static int read_header(struct byoh_bundle *bundle, struct byoh_error *err)
{
	int r = find_start(bundle, err);

	if (r == 0 && bundle->reader->ops->settle)
		r = bundle->reader->ops->settle(bundle->reader, bundle->offset, err);
	if (r == 0)
		r = read_front(bundle, err);
	if (r == 0)
		r = read_rest(bundle, err);
	return r < 0 ? r : check_header(bundle, err);
}

int byoh_bundle_open_reader(struct byoh_reader *reader, const char *name, struct byoh_bundle **ret,
			    struct byoh_error *err)
{
	struct byoh_bundle *bundle = calloc(1, sizeof(*bundle));
	int r;

	if (!bundle)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	bundle->reader = reader;
	bundle->name = strdup(name);
	r = bundle->name ? read_header(bundle, err)
			 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (r < 0) {
		bundle->reader = NULL; /* stays the caller's */
		byoh_bundle_free(bundle);
		return byoh_error_wrap(err, r, "%s", name);
	}
	*ret = bundle;
	return 0;
}

int byoh_bundle_open_fd(int fd, const char *name, struct byoh_bundle **ret, struct byoh_error *err)
{
	CLEANUP_FD int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* fd stays the caller's until all has gone well */
	CLEANUP_READER struct byoh_reader *reader = NULL;
	int r;

	if (copy < 0)
		return byoh_fail_errno(err, "%s", name);
	r = byoh_reader_of_fd(copy, &reader, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s", name);
	copy = -1;
	r = byoh_bundle_open_reader(reader, name, ret, err);
	if (r < 0)
		return r;
	reader = NULL;
	close(fd);
	return 0;
}

int byoh_bundle_open(const char *path, struct byoh_bundle **ret, struct byoh_error *err)
{
	CLEANUP_READER struct byoh_reader *reader = NULL;
	int r = byoh_reader_of_file(path, &reader, err);

	if (r == 0)
		r = byoh_bundle_open_reader(reader, path, ret, err);
	if (r == 0)
		reader = NULL;
	return r;
}

void byoh_bundle_free(struct byoh_bundle *bundle)
{
	if (!bundle)
		return;
	byoh_reader_free(bundle->reader);
	byoh_buffer_release(&bundle->header);
	byoh_manifest_free(bundle->manifest);
	byoh_index_free(bundle->index);
	byoh_bundle_free(bundle->base);
	free(bundle->name);
	free(bundle);
}

void byoh_bundle_freep(struct byoh_bundle **bundle)
{
	byoh_bundle_free(*bundle);
}

const struct byoh_digest *byoh_bundle_id(const struct byoh_bundle *bundle)
{
	return &bundle->id;
}

const char *byoh_bundle_name(const struct byoh_bundle *bundle)
{
	return bundle->name;
}

uint64_t byoh_bundle_offset(const struct byoh_bundle *bundle)
{
	return bundle->offset;
}

uint64_t byoh_bundle_size(const struct byoh_bundle *bundle)
{
	return bundle->header.size + bundle->superblock.payload_size;
}

uint64_t byoh_bundle_header_size(const struct byoh_bundle *bundle)
{
	return bundle->header.size;
}

const void *byoh_bundle_header(const struct byoh_bundle *bundle)
{
	return bundle->header.data;
}

const struct byoh_reader *byoh_bundle_reader(const struct byoh_bundle *bundle)
{
	return bundle->reader;
}

const struct byoh_signature *byoh_bundle_signatures(const struct byoh_bundle *bundle, size_t *ret_count)
{
	*ret_count = bundle->signature_count;
	return bundle->signatures;
}

int byoh_bundle_add_signers(const struct byoh_bundle *bundle, struct byoh_keyring *keyring,
			    struct byoh_error *err)
{
	int r = 0;

	for (size_t i = 0; i < bundle->signature_count && r == 0; i++)
		r = byoh_keyring_add(keyring, &bundle->signatures[i].key, err);
	return r;
}

const struct byoh_manifest *byoh_bundle_manifest(const struct byoh_bundle *bundle)
{
	return bundle->manifest;
}

const struct byoh_index *byoh_bundle_index(const struct byoh_bundle *bundle)
{
	return bundle->index;
}

/* One that does not hold spoils the file, trusted or not: every byte of a good file is accounted for. */
static int check_signatures_hold(const struct byoh_bundle *bundle, struct byoh_error *err)
{
	for (size_t i = 0; i < bundle->signature_count; i++) {
		int r = byoh_trust_check(&bundle->signatures[i], &bundle->id, err);

		if (r < 0)
			return byoh_error_wrap(err, r, "the bundle is damaged or forged");
	}
	return 0;
}

static int check_threshold(const struct byoh_bundle *bundle, const struct byoh_keyring *keyring,
			   unsigned int threshold, struct byoh_error *err)
{
	unsigned int trusted = 0;

	if (!bundle->signature_count)
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED, "the bundle is not signed");
	for (size_t i = 0; i < bundle->signature_count; i++)
		trusted += byoh_keyring_has(keyring, &bundle->signatures[i].key);
	if (trusted < (threshold ? threshold : 1))
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "signed by %u of the trusted keys, %u needed; `inspect --signatures` tells "
				 "who signed, --key FILE adds a key for this run",
				 trusted, threshold ? threshold : 1);
	return 0;
}

static int read_manifest(struct byoh_bundle *bundle, struct byoh_error *err)
{
	const struct byoh_superblock *superblock = &bundle->superblock;
	struct byoh_digest digest;
	int r;

	r = byoh_manifest_parse(manifest_frame(bundle) + BYOH_SKIPPABLE_HEADER_SIZE,
				(size_t)superblock->manifest_size, &bundle->manifest, err);
	if (r < 0)
		return r;
	if (bundle->manifest->index_size != superblock->index_size ||
	    bundle->manifest->payload_size != superblock->payload_size)
		return damaged(err, "the superblock and the manifest name different lengths");
	if (bundle->offset &&
	    bundle->offset != byoh_executable_join_offset(bundle->manifest->executable_size))
		return damaged(err, "the executable in front is not the manifest's");
	r = byoh_digest_of(index_frame(bundle) + BYOH_SKIPPABLE_HEADER_SIZE,
			   (size_t)superblock->index_size, &digest, err);
	if (r == 0 && !byoh_digest_equal(&digest, &bundle->manifest->index_digest))
		return damaged(err, "the index is damaged: it does not match the manifest");
	return r;
}

/* What manifest and index both say must agree, so that a step may believe either. */
static int check_needs(const struct byoh_bundle *bundle, struct byoh_error *err)
{
	const struct byoh_manifest *manifest = bundle->manifest;
	const struct byoh_index *index = bundle->index;
	uint64_t window = 0, space = 0;

	for (size_t i = 0; i < index->frame_count; i++)
		if ((uint64_t)1 << index->frames[i].window_log > window)
			window = (uint64_t)1 << index->frames[i].window_log;
	/* Cannot wrap: the files lie apart in the tar stream. */
	for (size_t i = 0; i < index->file_count; i++)
		space += index->files[i].size;
	if (window != manifest->largest_window || space != manifest->space ||
	    index->file_count != manifest->inodes)
		return damaged(err, "manifest and index name different needs");
	return 0;
}

static int check_agreement(const struct byoh_bundle *bundle, struct byoh_error *err)
{
	const struct byoh_manifest *manifest = bundle->manifest;
	const struct byoh_index *index = bundle->index;
	const struct byoh_file *tool = byoh_index_find(index, BYOH_EXECUTABLE_PATH);
	const struct byoh_file *sbom = byoh_index_find(index, BYOH_SBOM_PATH);
	bool needs_base = bundle->superblock.flags & BYOH_FLAG_NEEDS_BASE;

	if (needs_base == byoh_digest_is_zero(&index->base_id))
		return damaged(err, "superblock and index disagree about a base release");
	if (!byoh_digest_equal(&manifest->base_id, &index->base_id))
		return damaged(err, "manifest and index name different base releases");
	if (!byoh_digest_is_zero(&manifest->executable_digest) &&
	    (!tool || tool->type != BYOH_FILE_REGULAR || tool->size != manifest->executable_size ||
	     !byoh_digest_equal(&tool->digest, &manifest->executable_digest)))
		return damaged(err, "the installer inside the bundle is not the manifest's");
	if (!byoh_digest_is_zero(&manifest->sbom_digest) &&
	    (!sbom || sbom->type != BYOH_FILE_REGULAR ||
	     !byoh_digest_equal(&sbom->digest, &manifest->sbom_digest)))
		return damaged(err, "the list of materials (SBOM) is not the manifest's");
	return 0;
}

static int check_blobs(const struct byoh_bundle *bundle, struct byoh_error *err)
{
	for (size_t i = 0; i < bundle->manifest->image_count; i++) {
		const struct byoh_image *image = &bundle->manifest->images[i];

		for (size_t k = 0; k < image->blob_count; k++) {
			char path[sizeof(BYOH_IMAGE_BLOB_DIR) + BYOH_DIGEST_HEX_SIZE] =
				BYOH_IMAGE_BLOB_DIR "/";
			const struct byoh_file *file;

			byoh_digest_hex(&image->blobs[k], path + sizeof(BYOH_IMAGE_BLOB_DIR));
			file = byoh_index_find(bundle->index, path);
			if (!file || file->type != BYOH_FILE_REGULAR ||
			    !byoh_digest_equal(&file->digest, &image->blobs[k]))
				return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
						 "a layer of the image %s is missing", image->ref);
		}
	}
	return 0;
}

static int read_contents(struct byoh_bundle *bundle, struct byoh_error *err)
{
	int r = bundle->manifest ? 0 : read_manifest(bundle, err);

	if (r == 0 && !bundle->index)
		r = byoh_index_parse(index_frame(bundle) + BYOH_SKIPPABLE_HEADER_SIZE,
				     (size_t)bundle->superblock.index_size,
				     bundle->superblock.payload_size, &bundle->index, err);
	if (r == 0)
		r = check_needs(bundle, err);
	if (r == 0)
		r = check_agreement(bundle, err);
	return r < 0 ? r : check_blobs(bundle, err);
}

static int refuse(struct byoh_bundle *bundle, int r, struct byoh_error *err)
{
	byoh_manifest_free(TAKE_PTR(bundle->manifest));
	byoh_index_free(TAKE_PTR(bundle->index));
	return byoh_error_wrap(err, r, "%s", bundle->name);
}

int byoh_bundle_authenticate(struct byoh_bundle *bundle, const struct byoh_keyring *keyring,
			     unsigned int threshold, struct byoh_error *err)
{
	int r = check_signatures_hold(bundle, err);

	if (r == 0)
		r = check_threshold(bundle, keyring, threshold, err);
	if (r == 0)
		r = read_contents(bundle, err);
	return r < 0 ? refuse(bundle, r, err) : 0;
}

int byoh_bundle_examine(struct byoh_bundle *bundle, struct byoh_error *err)
{
	int r = check_signatures_hold(bundle, err);

	if (r == 0)
		r = read_contents(bundle, err);
	return r < 0 ? refuse(bundle, r, err) : 0;
}
