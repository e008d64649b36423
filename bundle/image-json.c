/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/image-json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/yaml.h"

bool byoh_media_is_index(const char *media_type)
{
	return strcmp(media_type, BYOH_MEDIA_OCI_INDEX) == 0 ||
	       strcmp(media_type, BYOH_MEDIA_DOCKER_LIST) == 0;
}

bool byoh_media_is_manifest(const char *media_type)
{
	return strcmp(media_type, BYOH_MEDIA_OCI_MANIFEST) == 0 ||
	       strcmp(media_type, BYOH_MEDIA_DOCKER_MANIFEST) == 0;
}

int byoh_descriptor_parse(const struct byoh_yaml *doc, const struct byoh_yaml_node *node,
			  struct byoh_descriptor *ret, struct byoh_error *err)
{
	const char *digest = NULL;
	int r;

	*ret = (struct byoh_descriptor){ .media_type = "" };
	if (!node || node->type != BYOH_YAML_MAPPING)
		return byoh_yaml_fail(doc, node, err, "a descriptor is missing");
	r = byoh_yaml_read_string(doc, node, "mediaType", false, &ret->media_type, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, node, "digest", true, &digest, err);
	if (r == 0)
		r = byoh_yaml_read_u64(doc, node, "size", true, &ret->size, err);
	if (r < 0)
		return r;
	if (strncmp(digest, "sha256:", 7) != 0 || !byoh_digest_parse(digest + 7, &ret->digest))
		return byoh_yaml_fail(doc, byoh_yaml_get(node, "digest"), err,
				      "not a SHA-256 digest: %s", digest);
	return 0;
}

static const char *text_of(const struct byoh_yaml_node *map, const char *key)
{
	const struct byoh_yaml_node *node = byoh_yaml_get(map, key);

	return node && node->type == BYOH_YAML_SCALAR ? node->text : "";
}

/* "linux/arm64" also takes arm64's usual variant v8. */
static bool is_platform(const struct byoh_yaml_node *node, const char *platform)
{
	const char *variant = text_of(node, "variant");
	char text[256];
	int length = snprintf(text, sizeof(text), "%s/%s", text_of(node, "os"),
			      text_of(node, "architecture"));

	if (strcmp(text, platform) == 0)
		return !*variant || strcmp(text, "linux/arm64") == 0;
	if (*variant && length > 0 && (size_t)length < sizeof(text))
		snprintf(text + length, sizeof(text) - (size_t)length, "/%s", variant);
	return strcmp(text, platform) == 0;
}

static bool is_annotated(const struct byoh_yaml_node *node, const char *ref)
{
	const struct byoh_yaml_node *annotations = byoh_yaml_get(node, "annotations");
	const char *tag = strrchr(ref, ':');
	const char *name = text_of(annotations, "org.opencontainers.image.ref.name");

	return strcmp(text_of(annotations, "io.containerd.image.name"), ref) == 0 ||
	       strcmp(name, ref) == 0 ||
	       (tag && !strchr(tag, '/') && *name && strcmp(name, tag + 1) == 0);
}

static const struct byoh_yaml_node *choose(const struct byoh_yaml_node *list, const char *ref,
					   const char *platform)
{
	if (list->count == 1)
		return list->items[0];
	for (int strict = 1; strict >= 0; strict--)
		for (size_t i = 0; i < list->count; i++) {
			const struct byoh_yaml_node *item = list->items[i];
			const struct byoh_yaml_node *its = byoh_yaml_get(item, "platform");

			if (strict && (!ref || !is_annotated(item, ref)))
				continue;
			if (its ? is_platform(its, platform) : strict)
				return item;
		}
	return NULL;
}

int byoh_index_choose(const struct byoh_yaml *doc, const char *ref, const char *platform,
		      struct byoh_descriptor *ret, struct byoh_error *err)
{
	const struct byoh_yaml_node *list = NULL, *node;
	int r = byoh_yaml_read_node(doc, byoh_yaml_root(doc), "manifests", BYOH_YAML_SEQUENCE, true,
				    &list, err);

	if (r < 0)
		return r;
	node = choose(list, ref, platform);
	if (!node)
		return byoh_yaml_fail(doc, list, err, "no image for %s%s%s among %zu", platform,
				      ref ? " named " : "", ref ? ref : "", list->count);
	return byoh_descriptor_parse(doc, node, ret, err);
}

const char *byoh_image_media_type(const struct byoh_yaml *doc)
{
	const struct byoh_yaml_node *root = byoh_yaml_root(doc);
	const char *stated = text_of(root, "mediaType");

	if (byoh_media_is_index(stated) || byoh_media_is_manifest(stated))
		return stated;
	if (byoh_yaml_get(root, "manifests"))
		return BYOH_MEDIA_OCI_INDEX;
	return byoh_yaml_get(root, "config") && byoh_yaml_get(root, "layers")
		       ? BYOH_MEDIA_OCI_MANIFEST
		       : NULL;
}

int byoh_image_check_platform(const struct byoh_yaml *config, const char *platform,
			      struct byoh_error *err)
{
	const struct byoh_yaml_node *root = byoh_yaml_root(config);
	char bare[256]; /* without the variant: configs often leave it out */
	const char *slash = strchr(platform, '/');
	const char *variant = slash ? strchr(slash + 1, '/') : NULL;

	snprintf(bare, sizeof(bare), "%.*s",
		 (int)(variant ? (size_t)(variant - platform) : strlen(platform)), platform);
	if (is_platform(root, platform) || (variant && is_platform(root, bare)))
		return 0;
	return byoh_yaml_fail(config, NULL, err, "the image is for %s/%s, not for %s",
			      text_of(root, "os"), text_of(root, "architecture"), platform);
}
