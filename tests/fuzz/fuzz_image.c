/* SPDX-License-Identifier: Apache-2.0 */
/* What an image's archive or its registry says of itself: index, manifest, config. */
#include <string.h>

#include "bundle/base/yaml.h"
#include "bundle/image-json.h"
#include "tests/fuzz/fuzz.h"

static void choose(const struct byoh_yaml *doc, const char *ref, const char *platform)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_descriptor chosen;

	if (byoh_index_choose(doc, ref, platform, &chosen, &err) == 0)
		require(chosen.media_type != NULL);
	else
		require(err.kind == BYOH_ERROR_CONFIG && err.message[0]);
	if (byoh_image_check_platform(doc, platform, &err) < 0)
		require(err.kind == BYOH_ERROR_CONFIG && err.message[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const refs[] = { NULL, "registry.k8s.io/pause:3.10", "localhost:5000/a/b", "x" };
	static const char *const platforms[] = { "linux/amd64", "linux/arm64", "linux/arm/v7", "linux" };
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	struct byoh_descriptor descriptor;
	const struct byoh_yaml_node *root, *layers;
	const char *media;

	if (byoh_yaml_parse((const char *)data, size, "fuzz", BYOH_ERROR_CONFIG, &doc, NULL) < 0)
		return 0;
	for (size_t i = 0; i < sizeof(refs) / sizeof(*refs); i++)
		for (size_t j = 0; j < sizeof(platforms) / sizeof(*platforms); j++)
			choose(doc, refs[i], platforms[j]);
	media = byoh_image_media_type(doc);
	require(!media || byoh_media_is_index(media) != byoh_media_is_manifest(media));
	root = byoh_yaml_root(doc);
	if (byoh_descriptor_parse(doc, byoh_yaml_get(root, "config"), &descriptor, NULL) == 0)
		require(descriptor.media_type != NULL);
	layers = byoh_yaml_get(root, "layers");
	for (size_t i = 0; layers && layers->type == BYOH_YAML_SEQUENCE && i < layers->count; i++)
		if (byoh_descriptor_parse(doc, layers->items[i], &descriptor, NULL) == 0)
			require(descriptor.media_type != NULL);
	return 0;
}
