/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/describe.h"

#include <stdio.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"

#define SBOM_MAX ((size_t)64 << 20)

static int describe_signers(const struct byoh_bundle *bundle, struct byoh_buffer *ret,
			    struct byoh_error *err)
{
	const struct byoh_signature *signatures;
	size_t count;

	signatures = byoh_bundle_signatures(bundle, &count);
	if (!count)
		return byoh_buffer_add_string(ret, "  none\n", err);
	for (size_t i = 0; i < count; i++) {
		char hex[BYOH_DIGEST_HEX_SIZE];
		struct byoh_digest id;

		TRY(byoh_public_key_id(&signatures[i].key, &id, err));
		byoh_digest_hex(&id, hex);
		TRY(byoh_buffer_printf(ret, err, "ed25519 %s\n", hex));
	}
	return 0;
}

static int describe_files(const struct byoh_index *index, struct byoh_buffer *ret, struct byoh_error *err)
{
	for (size_t i = 0; i < index->file_count; i++) {
		const struct byoh_file *file = &index->files[i];
		char type = file->type == BYOH_FILE_DIRECTORY ? 'd' : file->type == BYOH_FILE_SYMLINK ? 'l' : '-';

		TRY(byoh_buffer_printf(ret, err, "%c %04o %12llu /%s%s%s\n", type, (unsigned int)file->mode,
				       (unsigned long long)file->size, file->path,
				       *file->target ? " -> " : "", file->target));
	}
	return 0;
}

static int describe_contents(const struct byoh_manifest *manifest, struct byoh_buffer *ret,
			     struct byoh_error *err)
{
	for (size_t i = 0; i < manifest->component_count; i++) {
		const struct byoh_component *c = &manifest->components[i];

		TRY(byoh_buffer_printf(ret, err, "  %-20s %-28s %s%s\n", c->name, c->version,
				       c->license ? c->license : "", c->unlocked ? "  UNLOCKED" : ""));
	}
	for (size_t i = 0; i < manifest->image_count; i++)
		TRY(byoh_buffer_printf(ret, err, "  image %s (%s)%s\n", manifest->images[i].ref,
				       manifest->images[i].platform,
				       manifest->images[i].unlocked ? "  UNLOCKED" : ""));
	return 0;
}

static int describe_text(const struct byoh_bundle *bundle, struct byoh_buffer *ret, struct byoh_error *err)
{
	const struct byoh_manifest *manifest = byoh_bundle_manifest(bundle);
	char hex[BYOH_DIGEST_HEX_SIZE], size[32], space[32];

	byoh_digest_hex(byoh_bundle_id(bundle), hex);
	TRY(byoh_buffer_printf(ret, err, "%s %s (epoch %llu, %s)\n", manifest->name, manifest->version,
			       (unsigned long long)manifest->epoch, manifest->arch));
	TRY(byoh_buffer_printf(ret, err, "id          %s\n", hex));
	if (manifest->kubernetes)
		TRY(byoh_buffer_printf(ret, err, "kubernetes  %s\n", manifest->kubernetes));
	TRY(byoh_buffer_printf(ret, err, "size        %s, unpacked %s in %llu files\n",
			       byoh_format_size(byoh_bundle_size(bundle), size),
			       byoh_format_size(manifest->space, space),
			       (unsigned long long)manifest->inodes));
	if (byoh_bundle_is_delta(bundle)) {
		byoh_digest_hex(&manifest->base_id, hex);
		TRY(byoh_buffer_printf(ret, err, "delta       only what %s %s has not\nbase        %s\n",
				       manifest->base_name, manifest->base_version, hex));
	}
	TRY(byoh_buffer_add_string(ret, "signatures\n", err));
	TRY(describe_signers(bundle, ret, err));
	TRY(byoh_buffer_add_string(ret, "contents\n", err));
	return describe_contents(manifest, ret, err);
}

static void add_hex(struct byoh_json *json, const char *key, const struct byoh_digest *digest)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(digest, hex);
	byoh_json_field_string(json, key, hex);
}

void byoh_describe_base(const struct byoh_manifest *manifest, struct byoh_json *json)
{
	if (byoh_digest_is_zero(&manifest->base_id))
		return;
	byoh_json_key(json, "base");
	byoh_json_begin_object(json);
	add_hex(json, "id", &manifest->base_id);
	byoh_json_field_string(json, "name", manifest->base_name);
	byoh_json_field_string(json, "version", manifest->base_version);
	byoh_json_end_object(json);
}

static int add_signatures(const struct byoh_bundle *bundle, struct byoh_json *json, struct byoh_error *err)
{
	const struct byoh_signature *signatures;
	size_t count;

	byoh_json_key(json, "signatures");
	byoh_json_begin_array(json);
	signatures = byoh_bundle_signatures(bundle, &count);
	for (size_t i = 0; i < count; i++) {
		struct byoh_digest id;

		TRY(byoh_public_key_id(&signatures[i].key, &id, err));
		byoh_json_begin_object(json);
		byoh_json_field_string(json, "algorithm", "ed25519");
		add_hex(json, "key", &id);
		byoh_json_end_object(json);
	}
	byoh_json_end_array(json);
	return 0;
}

static void add_components(const struct byoh_manifest *manifest, struct byoh_json *json)
{
	byoh_json_key(json, "components");
	byoh_json_begin_array(json);
	for (size_t i = 0; i < manifest->component_count; i++) {
		const struct byoh_component *c = &manifest->components[i];

		byoh_json_begin_object(json);
		byoh_json_field_string(json, "name", c->name);
		byoh_json_field_string(json, "version", c->version);
		byoh_json_field_string(json, "license", c->license);
		byoh_json_field_string(json, "source", c->source);
		add_hex(json, "sha256", &c->digest);
		byoh_json_field_bool(json, "unlocked", c->unlocked);
		byoh_json_end_object(json);
	}
	byoh_json_end_array(json);
}

static void add_images(const struct byoh_manifest *manifest, struct byoh_json *json)
{
	byoh_json_key(json, "images");
	byoh_json_begin_array(json);
	for (size_t i = 0; i < manifest->image_count; i++) {
		byoh_json_begin_object(json);
		byoh_json_field_string(json, "ref", manifest->images[i].ref);
		byoh_json_field_string(json, "platform", manifest->images[i].platform);
		add_hex(json, "sha256", &manifest->images[i].digest);
		byoh_json_field_bool(json, "unlocked", manifest->images[i].unlocked);
		byoh_json_end_object(json);
	}
	byoh_json_end_array(json);
}

static int describe_json(const struct byoh_bundle *bundle, struct byoh_buffer *ret, struct byoh_error *err)
{
	const struct byoh_manifest *manifest = byoh_bundle_manifest(bundle);
	const struct byoh_index *index = byoh_bundle_index(bundle);
	struct byoh_json json = byoh_json_to(ret);

	byoh_json_begin_object(&json);
	add_hex(&json, "id", byoh_bundle_id(bundle));
	byoh_json_field_string(&json, "name", manifest->name);
	byoh_json_field_string(&json, "version", manifest->version);
	byoh_json_field_u64(&json, "epoch", manifest->epoch);
	byoh_json_field_string(&json, "arch", manifest->arch);
	byoh_json_field_string(&json, "kubernetes", manifest->kubernetes);
	byoh_json_field_u64(&json, "built", manifest->built);
	byoh_json_field_u64(&json, "size", byoh_bundle_size(bundle));
	byoh_json_field_u64(&json, "payloadSize", manifest->payload_size);
	byoh_json_field_u64(&json, "space", manifest->space);
	byoh_json_field_u64(&json, "inodes", manifest->inodes);
	byoh_json_field_u64(&json, "frames", index->frame_count);
	byoh_json_field_u64(&json, "window", manifest->largest_window);
	byoh_describe_base(manifest, &json);
	TRY(add_signatures(bundle, &json, err));
	add_components(manifest, &json);
	add_images(manifest, &json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}

int byoh_describe(struct byoh_bundle *bundle, enum byoh_describe what, struct byoh_buffer *ret,
		  struct byoh_error *err)
{
	switch (what) {
	case BYOH_DESCRIBE_JSON:
		return describe_json(bundle, ret, err);
	case BYOH_DESCRIBE_FILES:
		return describe_files(byoh_bundle_index(bundle), ret, err);
	case BYOH_DESCRIBE_SBOM:
		return byoh_bundle_read(bundle, BYOH_SBOM_PATH, SBOM_MAX, ret, err);
	case BYOH_DESCRIBE_TEXT:
		break;
	}
	return describe_text(bundle, ret, err);
}
