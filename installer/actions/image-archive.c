/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OCI image layout (image-spec, image-layout.md) as a tar stream (POSIX.1-1988 ustar), made from the
 * blobs of one image.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/path.h"
#include "installer/actions/actions.h"

#define TAR_BLOCK 512
#define COPY_STEP ((size_t)1 << 16)

struct tar_header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
	char link[100], magic[6], version[2], owner[32], group[32], major[8], minor[8], prefix[155];
	char padding[12];
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "a tar header is one block");

/* Eleven octal digits hold 8 GiB; above, GNU's base-256 form, which every reader of layers knows. */
static void put_size(char field[12], uint64_t size)
{
	if (size < (uint64_t)1 << 33) {
		snprintf(field, 12, "%011llo", (unsigned long long)size);
		return;
	}
	memset(field, 0, 12);
	field[0] = (char)0x80;
	for (int i = 11; size; i--, size >>= 8)
		field[i] = (char)(size & 0xff);
}

static int put_header(int fd, const char *name, uint64_t size, struct byoh_error *err)
{
	struct tar_header header = { .type = '0', .magic = "ustar", .version = { '0', '0' } };
	const unsigned char *bytes = (const unsigned char *)&header;
	unsigned int sum = 0;

	snprintf(header.name, sizeof(header.name), "%s", name);
	snprintf(header.mode, sizeof(header.mode), "%07o", 0644u);
	snprintf(header.uid, sizeof(header.uid), "%07o", 0u);
	snprintf(header.gid, sizeof(header.gid), "%07o", 0u);
	snprintf(header.mtime, sizeof(header.mtime), "%011o", 0u);
	put_size(header.size, size);
	memset(header.checksum, ' ', sizeof(header.checksum));
	for (size_t i = 0; i < sizeof(header); i++)
		sum += bytes[i];
	snprintf(header.checksum, sizeof(header.checksum), "%06o", sum);
	return byoh_write_all(fd, &header, sizeof(header), err);
}

static int put_padding(int fd, uint64_t size, struct byoh_error *err)
{
	static const char zeros[TAR_BLOCK];
	size_t rest = (size_t)(size % TAR_BLOCK);

	return rest ? byoh_write_all(fd, zeros, TAR_BLOCK - rest, err) : 0;
}

static int put_text(int fd, const char *name, const char *text, struct byoh_error *err)
{
	size_t size = strlen(text);
	int r = put_header(fd, name, size, err);

	if (r == 0)
		r = byoh_write_all(fd, text, size, err);
	return r < 0 ? r : put_padding(fd, size, err);
}

static int copy_exactly(int from, int to, uint64_t size, struct byoh_error *err)
{
	CLEANUP_FREE char *buffer = malloc(COPY_STEP);

	if (!buffer)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (uint64_t done = 0; done < size;) {
		size_t part = size - done < COPY_STEP ? (size_t)(size - done) : COPY_STEP;
		int r = byoh_pread_all(from, buffer, part, done, err);

		if (r == 0)
			r = byoh_write_all(to, buffer, part, err);
		if (r < 0)
			return r;
		done += part;
	}
	return 0;
}

static int put_blob(const struct byoh_action_context *context, const struct byoh_digest *digest, int fd,
		    struct byoh_error *err)
{
	CLEANUP_FD int blob = context->open_blob(context->blob_context, digest, err);
	char hex[BYOH_DIGEST_HEX_SIZE];
	char name[100];
	struct stat st;
	int r;

	if (blob < 0)
		return blob;
	if (fstat(blob, &st) < 0)
		return byoh_fail_errno(err, "cannot look at an image's blob");
	byoh_digest_hex(digest, hex);
	snprintf(name, sizeof(name), "blobs/sha256/%s", hex);
	r = put_header(fd, name, (uint64_t)st.st_size, err);
	if (r == 0)
		r = copy_exactly(blob, fd, (uint64_t)st.st_size, err);
	return r < 0 ? r : put_padding(fd, (uint64_t)st.st_size, err);
}

/* The annotation is containerd's way to tell an archive's image its name. */
static int make_index(const struct byoh_image *image, struct byoh_buffer *ret, struct byoh_error *err)
{
	struct byoh_json json = byoh_json_to(ret);
	char digest[BYOH_DIGEST_HEX_SIZE + 7] = "sha256:";

	byoh_digest_hex(&image->digest, digest + 7);
	byoh_json_begin_object(&json);
	byoh_json_field_u64(&json, "schemaVersion", 2);
	byoh_json_key(&json, "manifests");
	byoh_json_begin_array(&json);
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "mediaType", image->media_type);
	byoh_json_field_string(&json, "digest", digest);
	byoh_json_field_u64(&json, "size", image->size);
	byoh_json_key(&json, "annotations");
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "io.containerd.image.name", image->ref);
	byoh_json_field_string(&json, "org.opencontainers.image.ref.name", image->ref);
	byoh_json_end_object(&json);
	byoh_json_end_object(&json);
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}

int byoh_image_archive_write(const struct byoh_action_context *context, const struct byoh_image *image,
			     int fd, struct byoh_error *err)
{
	static const char end[2 * TAR_BLOCK];
	CLEANUP_BUFFER struct byoh_buffer index = { 0 };
	int r = make_index(image, &index, err);

	if (r == 0)
		r = put_text(fd, "oci-layout", "{\"imageLayoutVersion\": \"1.0.0\"}\n", err);
	if (r == 0)
		r = put_text(fd, "index.json", byoh_buffer_text(&index), err);
	for (size_t i = 0; r == 0 && i < image->blob_count; i++)
		r = put_blob(context, &image->blobs[i], fd, err);
	return r < 0 ? r : byoh_write_all(fd, end, sizeof(end), err);
}
