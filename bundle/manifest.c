/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/yaml.h"

#define FORMAT_NAME "byoh-bundle/v1"
#define MAX_COMPONENTS 4096
#define MAX_IMAGES 4096
#define MAX_BLOBS 65536
#define WINDOW_MAX ((uint64_t)1 << 27)

struct reader {
	const struct byoh_yaml *doc;
	struct byoh_error *err;
};

static int copy_string(const struct reader *in, const struct byoh_yaml_node *map, const char *key,
		       bool required, char **ret)
{
	const char *text = NULL;
	int r = byoh_yaml_read_string(in->doc, map, key, required, &text, in->err);

	if (r < 0 || !text)
		return r;
	*ret = strdup(text);
	return *ret ? 0 : byoh_fail(in->err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int read_hex(const struct reader *in, const struct byoh_yaml_node *node, const char *text,
		    struct byoh_digest *ret)
{
	if (!byoh_digest_parse(text, ret))
		return byoh_yaml_fail(in->doc, node, in->err, "a digest must be 64 hexadecimal digits");
	return 0;
}

static int read_digest(const struct reader *in, const struct byoh_yaml_node *map, const char *key,
		       const char *prefix, struct byoh_digest *ret)
{
	const char *text = NULL;
	int r = byoh_yaml_read_string(in->doc, map, key, true, &text, in->err);

	if (r < 0)
		return r;
	if (strncmp(text, prefix, strlen(prefix)) != 0)
		return byoh_yaml_fail(in->doc, map, in->err, "\"%s\" must begin with \"%s\"", key, prefix);
	return read_hex(in, byoh_yaml_get(map, key), text + strlen(prefix), ret);
}

static int only(const struct reader *in, const struct byoh_yaml_node *map, const char *const *keys)
{
	return byoh_yaml_only_keys(in->doc, map, keys, true, in->err);
}

static int read_component(const struct reader *in, const struct byoh_yaml_node *map,
			  struct byoh_component *ret)
{
	static const char *const keys[] = { "name", "version", "license", "source", "sha256", "unlocked",
					    NULL };
	int r = only(in, map, keys);

	if (r == 0)
		r = copy_string(in, map, "name", true, &ret->name);
	if (r == 0)
		r = copy_string(in, map, "version", true, &ret->version);
	if (r == 0)
		r = copy_string(in, map, "license", false, &ret->license);
	if (r == 0)
		r = copy_string(in, map, "source", false, &ret->source);
	if (r == 0)
		r = read_digest(in, map, "sha256", "", &ret->digest);
	if (r == 0)
		r = byoh_yaml_read_bool(in->doc, map, "unlocked", false, &ret->unlocked, in->err);
	return r;
}

static int read_blobs(const struct reader *in, const struct byoh_yaml_node *map, struct byoh_image *ret)
{
	const struct byoh_yaml_node *list = NULL;
	int r = byoh_yaml_read_node(in->doc, map, "blobs", BYOH_YAML_SEQUENCE, true, &list, in->err);

	if (r < 0)
		return r;
	if (!list->count || list->count > MAX_BLOBS)
		return byoh_yaml_fail(in->doc, list, in->err, "an image has an impossible number of blobs");
	ret->blobs = calloc(list->count, sizeof(*ret->blobs));
	if (!ret->blobs)
		return byoh_fail(in->err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < list->count; i++) {
		if (list->items[i]->type != BYOH_YAML_SCALAR)
			return byoh_yaml_fail(in->doc, list->items[i], in->err, "expected a digest");
		r = read_hex(in, list->items[i], list->items[i]->text, &ret->blobs[i]);
		if (r < 0)
			return r;
	}
	ret->blob_count = list->count;
	return 0;
}

static int read_image(const struct reader *in, const struct byoh_yaml_node *map, struct byoh_image *ret)
{
	static const char *const keys[] = { "ref",  "platform", "mediaType", "digest",
					    "size", "unlocked", "blobs",     NULL };
	int r = only(in, map, keys);

	if (r == 0)
		r = copy_string(in, map, "ref", true, &ret->ref);
	if (r == 0)
		r = copy_string(in, map, "platform", true, &ret->platform);
	if (r == 0)
		r = copy_string(in, map, "mediaType", true, &ret->media_type);
	if (r == 0)
		r = read_digest(in, map, "digest", "sha256:", &ret->digest);
	if (r == 0)
		r = byoh_yaml_read_u64(in->doc, map, "size", true, &ret->size, in->err);
	if (r == 0)
		r = byoh_yaml_read_bool(in->doc, map, "unlocked", false, &ret->unlocked, in->err);
	if (r == 0)
		r = read_blobs(in, map, ret);
	return r;
}

static int read_list(const struct reader *in, const struct byoh_yaml_node *root, const char *key,
		     size_t max, const struct byoh_yaml_node **ret)
{
	int r = byoh_yaml_read_node(in->doc, root, key, BYOH_YAML_SEQUENCE, true, ret, in->err);

	if (r == 0 && (*ret)->count > max)
		return byoh_yaml_fail(in->doc, *ret, in->err, "\"%s\" has more than %zu entries", key, max);
	return r;
}

static int read_components(const struct reader *in, const struct byoh_yaml_node *root,
			   struct byoh_manifest *ret)
{
	const struct byoh_yaml_node *list = NULL;
	int r = read_list(in, root, "components", MAX_COMPONENTS, &list);

	if (r < 0)
		return r;
	ret->components = calloc(list->count + 1, sizeof(*ret->components));
	if (!ret->components)
		return byoh_fail(in->err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	ret->component_count = list->count;
	for (size_t i = 0; i < list->count && r == 0; i++)
		r = read_component(in, list->items[i], &ret->components[i]);
	return r;
}

static int read_images(const struct reader *in, const struct byoh_yaml_node *root,
		       struct byoh_manifest *ret)
{
	const struct byoh_yaml_node *list = NULL;
	int r = read_list(in, root, "images", MAX_IMAGES, &list);

	if (r < 0)
		return r;
	ret->images = calloc(list->count + 1, sizeof(*ret->images));
	if (!ret->images)
		return byoh_fail(in->err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	ret->image_count = list->count;
	for (size_t i = 0; i < list->count && r == 0; i++)
		r = read_image(in, list->items[i], &ret->images[i]);
	return r;
}

static int read_base(const struct reader *in, const struct byoh_yaml_node *root, struct byoh_manifest *ret)
{
	static const char *const keys[] = { "id", "name", "version", NULL };
	const struct byoh_yaml_node *map = NULL;
	int r = byoh_yaml_read_node(in->doc, root, "base", BYOH_YAML_MAPPING, false, &map, in->err);

	if (r < 0 || !map)
		return r;
	r = only(in, map, keys);
	if (r == 0)
		r = read_digest(in, map, "id", "", &ret->base_id);
	if (r == 0)
		r = copy_string(in, map, "name", true, &ret->base_name);
	if (r == 0)
		r = copy_string(in, map, "version", true, &ret->base_version);
	if (r == 0 && byoh_digest_is_zero(&ret->base_id))
		return byoh_yaml_fail(in->doc, map, in->err, "the base's id is none");
	return r;
}

/* {size, sha256}; *ret_size may be NULL, then only the digest is expected. */
static int read_part(const struct reader *in, const struct byoh_yaml_node *root, const char *key,
		     bool required, uint64_t *ret_size, struct byoh_digest *ret_digest)
{
	static const char *const keys[] = { "size", "sha256", NULL };
	const struct byoh_yaml_node *map = NULL;
	int r = byoh_yaml_read_node(in->doc, root, key, BYOH_YAML_MAPPING, required, &map, in->err);

	if (r < 0 || !map)
		return r;
	r = only(in, map, ret_size ? keys : keys + 1);
	if (r == 0 && ret_size)
		r = byoh_yaml_read_u64(in->doc, map, "size", true, ret_size, in->err);
	if (r == 0)
		r = read_digest(in, map, "sha256", "", ret_digest);
	return r;
}

static int read_needs(const struct reader *in, const struct byoh_yaml_node *root,
		      struct byoh_manifest *ret)
{
	static const char *const keys[] = { "space", "inodes", "window", NULL };
	const struct byoh_yaml_node *map = NULL;
	int r = byoh_yaml_read_node(in->doc, root, "needs", BYOH_YAML_MAPPING, true, &map, in->err);

	if (r == 0)
		r = only(in, map, keys);
	if (r == 0)
		r = byoh_yaml_read_u64(in->doc, map, "space", true, &ret->space, in->err);
	if (r == 0)
		r = byoh_yaml_read_u64(in->doc, map, "inodes", true, &ret->inodes, in->err);
	if (r == 0)
		r = byoh_yaml_read_u64(in->doc, map, "window", true, &ret->largest_window, in->err);
	if (r == 0 && ret->largest_window > WINDOW_MAX)
		return byoh_yaml_fail(in->doc, map, in->err, "needs a window over 2^27 bytes");
	return r;
}

static int read_payload(const struct reader *in, const struct byoh_yaml_node *root,
			struct byoh_manifest *ret)
{
	static const char *const keys[] = { "size", NULL };
	const struct byoh_yaml_node *map = NULL;
	int r = byoh_yaml_read_node(in->doc, root, "payload", BYOH_YAML_MAPPING, true, &map, in->err);

	if (r == 0)
		r = only(in, map, keys);
	if (r == 0)
		r = byoh_yaml_read_u64(in->doc, map, "size", true, &ret->payload_size, in->err);
	return r;
}

static int read_identity(const struct reader *in, const struct byoh_yaml_node *root,
			 struct byoh_manifest *ret)
{
	static const char *const keys[] = { "format", "name",	 "version",    "epoch", "arch",
					    "built",  "kubernetes", "index",   "payload", "executable",
					    "sbom",   "needs",	 "components", "images", "base", NULL };
	const char *format = NULL;
	int r = byoh_yaml_read_string(in->doc, root, "format", true, &format, in->err);

	if (r == 0 && strcmp(format, FORMAT_NAME) != 0)
		return byoh_yaml_fail(in->doc, root, in->err, "the manifest's format is \"%s\", not \"%s\"",
				      format, FORMAT_NAME);
	if (r == 0)
		r = only(in, root, keys);
	if (r == 0)
		r = copy_string(in, root, "name", true, &ret->name);
	if (r == 0)
		r = copy_string(in, root, "version", true, &ret->version);
	if (r == 0)
		r = copy_string(in, root, "arch", true, &ret->arch);
	if (r == 0)
		r = copy_string(in, root, "kubernetes", false, &ret->kubernetes);
	if (r == 0)
		r = byoh_yaml_read_u64(in->doc, root, "epoch", true, &ret->epoch, in->err);
	if (r == 0)
		r = byoh_yaml_read_u64(in->doc, root, "built", true, &ret->built, in->err);
	return r;
}

static int read_manifest(const struct reader *in, const struct byoh_yaml_node *root,
			 struct byoh_manifest *ret)
{
	int r = read_identity(in, root, ret);

	if (r == 0)
		r = read_part(in, root, "index", true, &ret->index_size, &ret->index_digest);
	if (r == 0)
		r = read_payload(in, root, ret);
	if (r == 0)
		r = read_part(in, root, "executable", false, &ret->executable_size,
			      &ret->executable_digest);
	if (r == 0)
		r = read_part(in, root, "sbom", false, NULL, &ret->sbom_digest);
	if (r == 0)
		r = read_needs(in, root, ret);
	if (r == 0)
		r = read_base(in, root, ret);
	if (r == 0)
		r = read_components(in, root, ret);
	if (r == 0)
		r = read_images(in, root, ret);
	return r;
}

int byoh_manifest_parse(const void *bytes, size_t size, struct byoh_manifest **ret, struct byoh_error *err)
{
	CLEANUP_MANIFEST struct byoh_manifest *manifest = calloc(1, sizeof(*manifest));
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	struct reader in = { .err = err };
	int r;

	if (!manifest)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (size > BYOH_MANIFEST_MAX_SIZE)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EFBIG, "the manifest is too large");
	r = byoh_yaml_parse(bytes, size, "manifest", BYOH_ERROR_FORMAT, &doc, err);
	if (r < 0)
		return r;
	in.doc = doc;
	r = read_manifest(&in, byoh_yaml_root(doc), manifest);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(manifest);
	return 0;
}

static void write_hex(struct byoh_json *json, const char *key, const struct byoh_digest *digest)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(digest, hex);
	byoh_json_field_string(json, key, hex);
}

static void write_component(struct byoh_json *json, const struct byoh_component *component)
{
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "name", component->name);
	byoh_json_field_string(json, "version", component->version);
	if (component->license)
		byoh_json_field_string(json, "license", component->license);
	if (component->source)
		byoh_json_field_string(json, "source", component->source);
	write_hex(json, "sha256", &component->digest);
	if (component->unlocked)
		byoh_json_field_bool(json, "unlocked", true);
	byoh_json_end_object(json);
}

static void write_image(struct byoh_json *json, const struct byoh_image *image)
{
	char name[sizeof("sha256:") + BYOH_DIGEST_HEX_SIZE] = "sha256:";

	byoh_digest_hex(&image->digest, name + strlen(name));
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "ref", image->ref);
	byoh_json_field_string(json, "platform", image->platform);
	byoh_json_field_string(json, "mediaType", image->media_type);
	byoh_json_field_string(json, "digest", name);
	byoh_json_field_u64(json, "size", image->size);
	if (image->unlocked)
		byoh_json_field_bool(json, "unlocked", true);
	byoh_json_key(json, "blobs");
	byoh_json_begin_array(json);
	for (size_t i = 0; i < image->blob_count; i++) {
		char hex[BYOH_DIGEST_HEX_SIZE];

		byoh_digest_hex(&image->blobs[i], hex);
		byoh_json_string(json, hex);
	}
	byoh_json_end_array(json);
	byoh_json_end_object(json);
}

static void write_base(struct byoh_json *json, const struct byoh_manifest *manifest)
{
	if (byoh_digest_is_zero(&manifest->base_id))
		return;
	byoh_json_key(json, "base");
	byoh_json_begin_object(json);
	write_hex(json, "id", &manifest->base_id);
	byoh_json_field_string(json, "name", manifest->base_name);
	byoh_json_field_string(json, "version", manifest->base_version);
	byoh_json_end_object(json);
}

static void write_part(struct byoh_json *json, const char *key, const uint64_t *size,
		       const struct byoh_digest *digest)
{
	byoh_json_key(json, key);
	byoh_json_begin_object(json);
	if (size)
		byoh_json_field_u64(json, "size", *size);
	if (digest)
		write_hex(json, "sha256", digest);
	byoh_json_end_object(json);
}

static void write_parts(struct byoh_json *json, const struct byoh_manifest *manifest)
{
	write_part(json, "index", &manifest->index_size, &manifest->index_digest);
	write_part(json, "payload", &manifest->payload_size, NULL);
	if (!byoh_digest_is_zero(&manifest->executable_digest))
		write_part(json, "executable", &manifest->executable_size, &manifest->executable_digest);
	if (!byoh_digest_is_zero(&manifest->sbom_digest))
		write_part(json, "sbom", NULL, &manifest->sbom_digest);
	byoh_json_key(json, "needs");
	byoh_json_begin_object(json);
	byoh_json_field_u64(json, "space", manifest->space);
	byoh_json_field_u64(json, "inodes", manifest->inodes);
	byoh_json_field_u64(json, "window", manifest->largest_window);
	byoh_json_end_object(json);
}

int byoh_manifest_write(const struct byoh_manifest *manifest, struct byoh_buffer *ret,
			struct byoh_error *err)
{
	struct byoh_json json = byoh_json_to(ret);

	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "format", FORMAT_NAME);
	byoh_json_field_string(&json, "name", manifest->name);
	byoh_json_field_string(&json, "version", manifest->version);
	byoh_json_field_u64(&json, "epoch", manifest->epoch);
	byoh_json_field_string(&json, "arch", manifest->arch);
	if (manifest->kubernetes)
		byoh_json_field_string(&json, "kubernetes", manifest->kubernetes);
	byoh_json_field_u64(&json, "built", manifest->built);
	write_base(&json, manifest);
	write_parts(&json, manifest);
	byoh_json_key(&json, "components");
	byoh_json_begin_array(&json);
	for (size_t i = 0; i < manifest->component_count; i++)
		write_component(&json, &manifest->components[i]);
	byoh_json_end_array(&json);
	byoh_json_key(&json, "images");
	byoh_json_begin_array(&json);
	for (size_t i = 0; i < manifest->image_count; i++)
		write_image(&json, &manifest->images[i]);
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}

void byoh_manifest_free(struct byoh_manifest *manifest)
{
	if (!manifest)
		return;
	for (size_t i = 0; i < manifest->component_count; i++) {
		free(manifest->components[i].name);
		free(manifest->components[i].version);
		free(manifest->components[i].license);
		free(manifest->components[i].source);
	}
	for (size_t i = 0; i < manifest->image_count; i++) {
		free(manifest->images[i].ref);
		free(manifest->images[i].platform);
		free(manifest->images[i].media_type);
		free(manifest->images[i].blobs);
	}
	free(manifest->components);
	free(manifest->images);
	free(manifest->name);
	free(manifest->version);
	free(manifest->arch);
	free(manifest->kubernetes);
	free(manifest->base_name);
	free(manifest->base_version);
	free(manifest);
}

void byoh_manifest_freep(struct byoh_manifest **manifest)
{
	byoh_manifest_free(*manifest);
}

const struct byoh_component *byoh_manifest_component(const struct byoh_manifest *manifest, const char *name)
{
	for (size_t i = 0; i < manifest->component_count; i++)
		if (strcmp(manifest->components[i].name, name) == 0)
			return &manifest->components[i];
	return NULL;
}

const struct byoh_image *byoh_manifest_image(const struct byoh_manifest *manifest, const char *ref)
{
	for (size_t i = 0; i < manifest->image_count; i++)
		if (strcmp(manifest->images[i].ref, ref) == 0)
			return &manifest->images[i];
	return NULL;
}
