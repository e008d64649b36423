/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Container images as files: OCI layouts (OCI Image Layout Specification 1.0) in a folder or a tar,
 * and what `docker save` writes, which is turned into an OCI image. Every blob's digest is checked.
 */
#ifndef BYOH_BUNDLE_IMAGE_ARCHIVE_H
#define BYOH_BUNDLE_IMAGE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle/base/digest.h"
#include "bundle/base/error.h"
#include "bundle/manifest.h"
#include "bundle/scratch.h"

#define BYOH_IMAGE_JSON_MAX_SIZE ((size_t)4 << 20) /* what registries accept for a manifest */
#define BYOH_IMAGE_MAX_LAYERS ((size_t)1000)

struct byoh_image_blob {
	struct byoh_digest digest;
	uint64_t size;
	char *source;	 /* a scratch file with its bytes */
	bool compressed; /* a gzip or zstd layer */
};

struct byoh_image_blobs {
	size_t count;
	struct byoh_image_blob *items; /* each digest once */
};

void byoh_image_blobs_release(struct byoh_image_blobs *blobs);
#define CLEANUP_IMAGE_BLOBS __attribute__((cleanup(byoh_image_blobs_release)))
void byoh_image_release(struct byoh_image *image); /* its members */
#define CLEANUP_IMAGE __attribute__((cleanup(byoh_image_release)))

/* Reads the image for platform from an archive's descriptor, and appends its blobs. Where an
 * archive holds several, ref decides. *ret names the image manifest of the platform. */
BYOH_MUST_CHECK int byoh_image_archive_read(int fd, const char *name, const char *ref,
					    const char *platform, struct byoh_scratch *scratch,
					    struct byoh_image *ret, struct byoh_image_blobs *blobs,
					    struct byoh_error *err);
/* The same from a layout's folder; top (may be NULL) is the digest that its index must name. */
BYOH_MUST_CHECK int byoh_image_layout_read(const char *directory, const char *ref,
					   const char *platform, const struct byoh_digest *top,
					   struct byoh_scratch *scratch, struct byoh_image *ret,
					   struct byoh_image_blobs *blobs, struct byoh_error *err);

#endif
