/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of images: indexes, manifests (OCI Image Specification 1.0, Docker schema 2). Pure. */
#ifndef BYOH_BUNDLE_IMAGE_JSON_H
#define BYOH_BUNDLE_IMAGE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle/base/digest.h"
#include "bundle/base/error.h"

#define BYOH_MEDIA_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define BYOH_MEDIA_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define BYOH_MEDIA_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define BYOH_MEDIA_OCI_LAYER "application/vnd.oci.image.layer.v1.tar"
#define BYOH_MEDIA_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define BYOH_MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"

struct byoh_yaml;
struct byoh_yaml_node;

struct byoh_descriptor {
	const char *media_type; /* "" where none is given; points into the document */
	struct byoh_digest digest;
	uint64_t size;
};

bool byoh_media_is_index(const char *media_type);
bool byoh_media_is_manifest(const char *media_type);

BYOH_MUST_CHECK int byoh_descriptor_parse(const struct byoh_yaml *doc,
					  const struct byoh_yaml_node *node,
					  struct byoh_descriptor *ret, struct byoh_error *err);
/* The one manifest or index of an index that is meant: the only one, the one annotated with ref, or
 * the one for platform, in this order of preference. ref may be NULL. */
BYOH_MUST_CHECK int byoh_index_choose(const struct byoh_yaml *doc, const char *ref,
				      const char *platform, struct byoh_descriptor *ret,
				      struct byoh_error *err);
/* What kind of object a document is, by its mediaType or else by its members; NULL if it is
 * neither. */
const char *byoh_image_media_type(const struct byoh_yaml *doc);
/* An image's config must be for the platform. */
BYOH_MUST_CHECK int byoh_image_check_platform(const struct byoh_yaml *config, const char *platform,
					      struct byoh_error *err);

#endif
