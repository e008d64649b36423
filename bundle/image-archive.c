/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/image-archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/archive.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"
#include "bundle/image-json.h"

#define MAX_NESTING 4 /* an index in an index in an index: nobody needs more */
#define BLOB_PATH_SIZE (sizeof("blobs/sha256/") + BYOH_DIGEST_HEX_SIZE)

/* Where members come from: an unpacked archive, or a folder. */
struct store {
	const struct byoh_archive *archive; /* NULL: the folder */
	int fd;
	const char *name;
	struct byoh_scratch *scratch;
	struct byoh_image_blobs *blobs; /* filled */
	struct byoh_image *image;	/* filled */
};

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

void byoh_image_blobs_release(struct byoh_image_blobs *blobs)
{
	for (size_t i = 0; i < blobs->count; i++)
		free(blobs->items[i].source);
	free(blobs->items);
	*blobs = (struct byoh_image_blobs){ 0 };
}

void byoh_image_release(struct byoh_image *image)
{
	free(image->ref);
	free(image->platform);
	free(image->media_type);
	free(image->blobs);
	*image = (struct byoh_image){ 0 };
}

/* docker save links a layer that stands twice to the first: "../ID/layer.tar". */
static const struct byoh_archive_entry *follow_link(const struct byoh_archive *archive,
						    const struct byoh_archive_entry *link)
{
	const char *target = link->target, *slash;
	char path[BYOH_PATH_MAX];
	size_t length = (slash = strrchr(link->path, '/')) ? (size_t)(slash - link->path) : 0;

	memcpy(path, link->path, length);
	while (strncmp(target, "../", 3) == 0 && length) {
		while (length && path[length - 1] != '/')
			length--;
		length -= length > 0;
		target += 3;
	}
	if (length + 1 + strlen(target) >= sizeof(path))
		return NULL;
	sprintf(path + length, "%s%s", length ? "/" : "", target);
	return byoh_archive_find(archive, path);
}

static int open_member(const struct store *store, const char *path, const char **ret_source,
		       struct byoh_error *err)
{
	const struct byoh_archive_entry *entry;
	int fd;

	*ret_source = NULL;
	if (!store->archive) {
		fd = byoh_open_beneath(store->fd, path, O_RDONLY | O_NONBLOCK, 0, err);
		return fd < 0 ? byoh_error_wrap(err, fd, "%s", store->name) : fd;
	}
	entry = byoh_archive_find(store->archive, path);
	if (entry && entry->type == BYOH_FILE_SYMLINK)
		entry = follow_link(store->archive, entry);
	if (!entry || !entry->source)
		return byoh_fail(err, BYOH_ERROR_CONFIG, ENOENT, "%s: lacks the file %s",
				 store->name, path);
	*ret_source = entry->source;
	fd = open(entry->source, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? byoh_fail_errno(err, "%s", entry->source) : fd;
}

static bool has_member(const struct store *store, const char *path)
{
	return store->archive ? byoh_archive_find(store->archive, path) != NULL
			      : byoh_exists_beneath(store->fd, path);
}

static void blob_path(const struct byoh_digest *digest, char ret[BLOB_PATH_SIZE])
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(digest, hex);
	snprintf(ret, BLOB_PATH_SIZE, "blobs/sha256/%s", hex);
}

static int fail_digest(const struct store *store, const char *path, const struct byoh_digest *found,
		       struct byoh_error *err)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(found, hex);
	return byoh_fail(err, BYOH_ERROR_CONFIG, EBADMSG,
			 "%s: %s is damaged: its SHA-256 is %s; get the image anew", store->name,
			 path, hex);
}

/* A document of the image; digest is NULL for those that no digest names. */
static int read_json(const struct store *store, const char *path, const struct byoh_digest *digest,
		     struct byoh_yaml **ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	const char *source;
	CLEANUP_FD int fd = open_member(store, path, &source, err);
	struct byoh_digest found;
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return byoh_fail_errno(err, "%s: %s", store->name, path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > BYOH_IMAGE_JSON_MAX_SIZE)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG, "%s: %s is no JSON of an image",
				 store->name, path);
	r = byoh_buffer_reserve(&text, (size_t)st.st_size, err);
	if (r < 0)
		return r;
	r = byoh_pread_all(fd, text.data, (size_t)st.st_size, 0, err);
	if (r == 0 && digest)
		r = byoh_digest_of(text.data, (size_t)st.st_size, &found, err);
	if (r == 0 && digest && !byoh_digest_equal(&found, digest))
		r = fail_digest(store, path, &found, err);
	if (r == 0)
		r = byoh_yaml_parse(text.data, (size_t)st.st_size, path, BYOH_ERROR_CONFIG, ret,
				    err);
	return r < 0 ? byoh_error_wrap(err, r, "%s", store->name) : 0;
}

static bool is_compressed(int fd)
{
	unsigned char head[4] = { 0 };

	return pread(fd, head, sizeof(head), 0) == sizeof(head) &&
	       (memcmp(head, "\x1f\x8b", 2) == 0 || memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0);
}

static bool has_digest(const struct byoh_digest *list, size_t count,
		       const struct byoh_digest *digest)
{
	for (size_t i = 0; i < count; i++)
		if (byoh_digest_equal(&list[i], digest))
			return true;
	return false;
}

static int note_digest(struct byoh_image *image, const struct byoh_digest *digest,
		       struct byoh_error *err)
{
	struct byoh_digest *grown;

	if (has_digest(image->blobs, image->blob_count, digest))
		return 0;
	grown = reallocarray(image->blobs, image->blob_count + 1, sizeof(*grown));
	if (!grown)
		return no_memory(err);
	image->blobs = grown;
	image->blobs[image->blob_count++] = *digest;
	return 0;
}

/* Takes the blob's source path. */
static int note_blob(struct byoh_image_blobs *blobs, struct byoh_image_blob *blob,
		     struct byoh_error *err)
{
	struct byoh_image_blob *grown =
		reallocarray(blobs->items, blobs->count + 1, sizeof(*grown));

	if (!grown)
		return no_memory(err);
	blobs->items = grown;
	blobs->items[blobs->count++] = *blob;
	blob->source = NULL;
	return 0;
}

static bool has_blob(const struct byoh_image_blobs *blobs, const struct byoh_digest *digest)
{
	for (size_t i = 0; i < blobs->count; i++)
		if (byoh_digest_equal(&blobs->items[i].digest, digest))
			return true;
	return false;
}

/* Members of an archive lie in scratch already; files of a folder may change and are copied. */
static int secure_bytes(const struct store *store, int fd, const char *path, const char *source,
			struct byoh_image_blob *blob, struct byoh_error *err)
{
	if (!source)
		return byoh_scratch_copy(store->scratch, fd, path, &blob->source, &blob->size,
					 &blob->digest, err);
	blob->source = strdup(source);
	return blob->source ? byoh_digest_fd(fd, UINT64_MAX, &blob->digest, &blob->size, err)
			    : no_memory(err);
}

/* expected may be NULL; *ret_blob (may be NULL) is what was found, without its source. */
static int add_blob(const struct store *store, const char *path,
		    const struct byoh_descriptor *expected, struct byoh_image_blob *ret_blob,
		    struct byoh_error *err)
{
	struct byoh_image_blob blob = { 0 };
	const char *source;
	CLEANUP_FD int fd = open_member(store, path, &source, err);
	CLEANUP_FREE char *owned = NULL;
	int r;

	if (fd < 0)
		return fd;
	r = secure_bytes(store, fd, path, source, &blob, err);
	owned = blob.source;
	if (r < 0)
		return byoh_error_wrap(err, r, "%s: %s", store->name, path);
	if (expected && !byoh_digest_equal(&blob.digest, &expected->digest))
		return fail_digest(store, path, &blob.digest, err);
	if (expected && blob.size != expected->size)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EBADMSG,
				 "%s: %s has another size than its manifest says", store->name,
				 path);
	blob.compressed = is_compressed(fd);
	if (ret_blob)
		*ret_blob =
			(struct byoh_image_blob){ blob.digest, blob.size, NULL, blob.compressed };
	r = note_digest(store->image, &blob.digest, err);
	if (r < 0 || has_blob(store->blobs, &blob.digest))
		return r;
	r = note_blob(store->blobs, &blob, err);
	if (r == 0)
		owned = NULL;
	return r;
}

static int add_named_blob(const struct store *store, const struct byoh_descriptor *descriptor,
			  struct byoh_error *err)
{
	char path[BLOB_PATH_SIZE];

	if (has_digest(store->image->blobs, store->image->blob_count, &descriptor->digest))
		return 0;
	blob_path(&descriptor->digest, path);
	return add_blob(store, path, descriptor, NULL, err);
}

static int fill_image(const struct store *store, const char *ref, const char *platform,
		      const char *media_type, const struct byoh_digest *digest, uint64_t size,
		      struct byoh_error *err)
{
	struct byoh_image *image = store->image;

	image->ref = strdup(ref);
	image->platform = strdup(platform);
	image->media_type = strdup(media_type);
	image->digest = *digest;
	image->size = size;
	return image->ref && image->platform && image->media_type ? 0 : no_memory(err);
}

static int check_config(const struct store *store, const char *path,
			const struct byoh_digest *digest, const char *platform,
			struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *config = NULL;
	int r = read_json(store, path, digest, &config, err);

	if (r == 0) {
		r = byoh_image_check_platform(config, platform, err);
		if (r < 0)
			byoh_error_wrap(err, r, "%s", store->name);
	}
	return r;
}

static int add_manifest_members(const struct store *store, const struct byoh_yaml *manifest,
				const char *platform, struct byoh_error *err)
{
	const struct byoh_yaml_node *root = byoh_yaml_root(manifest), *layers = NULL;
	struct byoh_descriptor descriptor;
	char path[BLOB_PATH_SIZE];
	int r = byoh_descriptor_parse(manifest, byoh_yaml_get(root, "config"), &descriptor, err);

	if (r < 0)
		return r;
	blob_path(&descriptor.digest, path);
	r = check_config(store, path, &descriptor.digest, platform, err);
	if (r == 0)
		r = add_named_blob(store, &descriptor, err);
	if (r == 0)
		r = byoh_yaml_read_node(manifest, root, "layers", BYOH_YAML_SEQUENCE, true, &layers,
					err);
	if (r == 0 && layers->count > BYOH_IMAGE_MAX_LAYERS)
		r = byoh_yaml_fail(manifest, layers, err, "more than %zu layers",
				   BYOH_IMAGE_MAX_LAYERS);
	for (size_t i = 0; r == 0 && i < layers->count; i++) {
		r = byoh_descriptor_parse(manifest, layers->items[i], &descriptor, err);
		if (r == 0)
			r = add_named_blob(store, &descriptor, err);
	}
	return r;
}

/* Follows indexes down to the manifest for platform; *ret_doc is that manifest. */
static int find_manifest(const struct store *store, struct byoh_descriptor *descriptor,
			 const char *platform, const char **ret_media, struct byoh_yaml **ret_doc,
			 struct byoh_error *err)
{
	for (int depth = 0; depth < MAX_NESTING; depth++) {
		CLEANUP_YAML struct byoh_yaml *doc = NULL;
		char path[BLOB_PATH_SIZE];
		const char *media;
		int r;

		blob_path(&descriptor->digest, path);
		r = read_json(store, path, &descriptor->digest, &doc, err);
		if (r < 0)
			return r;
		media = byoh_image_media_type(doc);
		if (!media)
			return byoh_fail(err, BYOH_ERROR_CONFIG, EBADMSG, "%s: %s is no image",
					 store->name, path);
		if (byoh_media_is_manifest(media)) {
			*ret_media = media;
			*ret_doc = TAKE_PTR(doc);
			return 0;
		}
		r = byoh_index_choose(doc, NULL, platform, descriptor, err);
		if (r < 0)
			return byoh_error_wrap(err, r, "%s", store->name);
	}
	return byoh_fail(err, BYOH_ERROR_CONFIG, ELOOP, "%s: indexes nest too deep", store->name);
}

static int read_oci(const struct store *store, const char *ref, const char *platform,
		    const struct byoh_digest *top, struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *index = NULL;
	CLEANUP_YAML struct byoh_yaml *manifest = NULL;
	struct byoh_descriptor descriptor;
	const char *media = NULL;
	int r = read_json(store, "index.json", NULL, &index, err);

	if (r < 0)
		return r;
	r = byoh_index_choose(index, ref, platform, &descriptor, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s", store->name);
	if (top && !byoh_digest_equal(top, &descriptor.digest))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EBADMSG,
				 "%s: holds another image than the digest asks for", store->name);
	r = find_manifest(store, &descriptor, platform, &media, &manifest, err);
	if (r < 0)
		return r;
	/* The manifest's own length, since the descriptor is only what an index says about it. */
	r = add_named_blob(store, &descriptor, err);
	if (r == 0)
		r = fill_image(store, ref, platform, media, &descriptor.digest, descriptor.size,
			       err);
	if (r == 0) {
		r = add_manifest_members(store, manifest, platform, err);
		if (r < 0)
			byoh_error_wrap(err, r, "%s", store->name);
	}
	return r;
}

/*
 * docker save
 */

static bool has_tag(const struct byoh_yaml_node *image, const char *ref)
{
	const struct byoh_yaml_node *tags = byoh_yaml_get(image, "RepoTags");

	for (size_t i = 0; tags && tags->type == BYOH_YAML_SEQUENCE && i < tags->count; i++)
		if (tags->items[i]->type == BYOH_YAML_SCALAR &&
		    strcmp(tags->items[i]->text, ref) == 0)
			return true;
	return false;
}

static const struct byoh_yaml_node *choose_docker_image(const struct byoh_yaml *doc,
							const char *ref)
{
	const struct byoh_yaml_node *list = byoh_yaml_root(doc);

	if (!list || list->type != BYOH_YAML_SEQUENCE)
		return NULL;
	for (size_t i = 0; i < list->count; i++)
		if (has_tag(list->items[i], ref))
			return list->items[i];
	return list->count == 1 ? list->items[0] : NULL;
}

static void write_descriptor(struct byoh_json *json, const char *media_type,
			     const struct byoh_image_blob *blob)
{
	char text[7 + BYOH_DIGEST_HEX_SIZE] = "sha256:";

	byoh_digest_hex(&blob->digest, text + 7);
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "mediaType", media_type);
	byoh_json_field_string(json, "digest", text);
	byoh_json_field_u64(json, "size", blob->size);
	byoh_json_end_object(json);
}

static int write_layers(const struct store *store, const struct byoh_yaml *doc,
			const struct byoh_yaml_node *image, struct byoh_json *json,
			struct byoh_error *err)
{
	const struct byoh_yaml_node *layers = NULL;
	int r = byoh_yaml_read_node(doc, image, "Layers", BYOH_YAML_SEQUENCE, true, &layers, err);

	if (r == 0 && layers->count > BYOH_IMAGE_MAX_LAYERS)
		r = byoh_yaml_fail(doc, layers, err, "more than %zu layers", BYOH_IMAGE_MAX_LAYERS);
	for (size_t i = 0; r == 0 && i < layers->count; i++) {
		struct byoh_image_blob blob;

		if (layers->items[i]->type != BYOH_YAML_SCALAR)
			return byoh_yaml_fail(doc, layers->items[i], err,
					      "a layer is no file name");
		r = add_blob(store, layers->items[i]->text, NULL, &blob, err);
		if (r == 0)
			write_descriptor(json,
					 blob.compressed ? BYOH_MEDIA_OCI_LAYER "+gzip"
							 : BYOH_MEDIA_OCI_LAYER,
					 &blob);
	}
	return r;
}

/* docker save has no manifest of its own: this one follows from config and layers alone. */
static int make_manifest(const struct store *store, const struct byoh_yaml *doc,
			 const struct byoh_yaml_node *image, const char *config_path,
			 struct byoh_buffer *ret, struct byoh_error *err)
{
	struct byoh_json json = byoh_json_to(ret);
	struct byoh_image_blob config;
	int r = add_blob(store, config_path, NULL, &config, err);

	if (r < 0)
		return r;
	byoh_json_begin_object(&json);
	byoh_json_field_u64(&json, "schemaVersion", 2);
	byoh_json_field_string(&json, "mediaType", BYOH_MEDIA_OCI_MANIFEST);
	byoh_json_key(&json, "config");
	write_descriptor(&json, BYOH_MEDIA_OCI_CONFIG, &config);
	byoh_json_key(&json, "layers");
	byoh_json_begin_array(&json);
	r = write_layers(store, doc, image, &json, err);
	if (r < 0)
		return r;
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}

static int add_made_blob(const struct store *store, const struct byoh_buffer *text,
			 struct byoh_digest *ret, struct byoh_error *err)
{
	struct byoh_image_blob blob = { .size = text->size };
	CLEANUP_FREE char *owned = NULL;
	CLEANUP_FD int fd = -1;
	int r = byoh_digest_of(text->data, text->size, &blob.digest, err);

	*ret = blob.digest;
	if (r == 0)
		r = note_digest(store->image, &blob.digest, err);
	if (r < 0 || has_blob(store->blobs, &blob.digest))
		return r;
	r = byoh_scratch_create(store->scratch, &fd, &owned, err);
	if (r == 0)
		r = byoh_write_all(fd, text->data, text->size, err);
	if (r < 0)
		return r;
	blob.source = owned;
	r = note_blob(store->blobs, &blob, err);
	if (r == 0)
		owned = NULL;
	return r;
}

static int read_docker(const struct store *store, const char *ref, const char *platform,
		       struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	const struct byoh_yaml_node *image;
	const char *config = NULL;
	struct byoh_digest digest;
	int r = read_json(store, "manifest.json", NULL, &doc, err);

	if (r < 0)
		return r;
	image = choose_docker_image(doc, ref);
	if (!image)
		return byoh_fail(err, BYOH_ERROR_CONFIG, ENOENT,
				 "%s: holds several images, none named %s", store->name, ref);
	r = byoh_yaml_read_string(doc, image, "Config", true, &config, err);
	if (r == 0)
		r = check_config(store, config, NULL, platform, err);
	if (r == 0)
		r = make_manifest(store, doc, image, config, &text, err);
	if (r == 0)
		r = add_made_blob(store, &text, &digest, err);
	if (r == 0)
		r = fill_image(store, ref, platform, BYOH_MEDIA_OCI_MANIFEST, &digest, text.size,
			       err);
	return r;
}

static int read_store(const struct store *store, const char *ref, const char *platform,
		      const struct byoh_digest *top, struct byoh_error *err)
{
	if (has_member(store, "index.json"))
		return read_oci(store, ref, platform, top, err);
	if (has_member(store, "manifest.json"))
		return read_docker(store, ref, platform, err);
	return byoh_fail(err, BYOH_ERROR_CONFIG, EBADMSG,
			 "%s: neither an OCI image (index.json) nor one of docker save "
			 "(manifest.json)",
			 store->name);
}

int byoh_image_archive_read(int fd, const char *name, const char *ref, const char *platform,
			    struct byoh_scratch *scratch, struct byoh_image *ret,
			    struct byoh_image_blobs *blobs, struct byoh_error *err)
{
	CLEANUP_ARCHIVE struct byoh_archive *archive = NULL;
	CLEANUP_IMAGE struct byoh_image image = { 0 };
	struct store store = { NULL, -1, name, scratch, blobs, &image };
	int r = byoh_archive_read(fd, name, NULL, NULL, scratch, &archive, err);

	if (r < 0)
		return r;
	store.archive = archive;
	r = read_store(&store, ref, platform, NULL, err);
	if (r == 0) {
		*ret = image;
		image = (struct byoh_image){ 0 };
	}
	return r;
}

int byoh_image_layout_read(const char *directory, const char *ref, const char *platform,
			   const struct byoh_digest *top, struct byoh_scratch *scratch,
			   struct byoh_image *ret, struct byoh_image_blobs *blobs,
			   struct byoh_error *err)
{
	CLEANUP_FD int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_IMAGE struct byoh_image image = { 0 };
	struct store store = { NULL, fd, directory, scratch, blobs, &image };
	int r;

	if (fd < 0)
		return byoh_fail_errno(err, "%s", directory);
	r = read_store(&store, ref, platform, top, err);
	if (r == 0) {
		*ret = image;
		image = (struct byoh_image){ 0 };
	}
	return r;
}
