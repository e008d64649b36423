/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest: what a bundle is and needs, in JSON that is also YAML. Its SHA-256 is the bundle's id.
 * Specification: docs/bundle-format.md, section "Manifest".
 *
 * A field that a reader does not know is critical unless its name begins with "x-": the reader refuses.
 */
#ifndef BYOH_BUNDLE_MANIFEST_H
#define BYOH_BUNDLE_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle/base/buffer.h"
#include "bundle/base/digest.h"
#include "bundle/base/error.h"

#define BYOH_MANIFEST_MAX_SIZE ((uint64_t)4 << 20) /* some thousand images with their layers */

struct byoh_component {
	char *name, *version, *license;
	char *source;		       /* a URL, or the path the publisher gave */
	struct byoh_digest digest;     /* of the source as fetched */
	bool unlocked;		       /* no digest had been published or pinned when it was packed */
};

struct byoh_image {
	char *ref;	    /* the name that pods use: registry.k8s.io/pause:3.10.2 */
	char *platform;	    /* linux/amd64 */
	char *media_type;   /* of the object that digest names: an OCI manifest or index */
	struct byoh_digest digest;
	uint64_t size;	    /* of that object, bytes */
	bool unlocked;
	size_t blob_count;  /* every blob the image needs, that object among them, each once */
	struct byoh_digest *blobs;
};

struct byoh_manifest {
	char *name, *version, *arch;
	struct byoh_digest base_id; /* the release that a delta builds on; zero: a full bundle */
	char *base_name, *base_version;
	char *kubernetes;	 /* "v1.34.1", or NULL: a bundle of nothing but files */
	uint64_t epoch;		 /* rollback floor */
	uint64_t built;		 /* seconds since 1970; information, never a decision */
	uint64_t index_size, payload_size; /* exact lengths, bytes */
	uint64_t space, inodes;	 /* needed on the host: sum of file sizes; files and directories */
	uint64_t largest_window; /* bytes a decoder needs for its window */
	struct byoh_digest index_digest;
	struct byoh_digest executable_digest; /* zero: none in front and none inside */
	uint64_t executable_size;
	struct byoh_digest sbom_digest; /* zero: none */
	size_t component_count, image_count;
	struct byoh_component *components;
	struct byoh_image *images;
};

/* Parses exact bytes; errors are BYOH_ERROR_FORMAT. *ret is freed by byoh_manifest_free. Pure. */
BYOH_MUST_CHECK int byoh_manifest_parse(const void *bytes, size_t size, struct byoh_manifest **ret,
					struct byoh_error *err);
/* Appends the canonical text of a manifest; the same manifest gives the same bytes. */
BYOH_MUST_CHECK int byoh_manifest_write(const struct byoh_manifest *manifest, struct byoh_buffer *ret,
					struct byoh_error *err);
void byoh_manifest_free(struct byoh_manifest *manifest);
void byoh_manifest_freep(struct byoh_manifest **manifest);
#define CLEANUP_MANIFEST __attribute__((cleanup(byoh_manifest_freep)))

/* The component of that name, or NULL. */
const struct byoh_component *byoh_manifest_component(const struct byoh_manifest *manifest, const char *name);
/* The image of that ref, or NULL. */
const struct byoh_image *byoh_manifest_image(const struct byoh_manifest *manifest, const char *ref);

/* Below this folder (a clean path) lie image blobs: <folder>/<64 hex digits>. They are release
 * material of the installer, not files of the host. */
#define BYOH_IMAGE_BLOB_DIR "var/lib/byoh/images/blobs/sha256"
/* The installer itself, as a file of the bundle; equals executable_digest. */
#define BYOH_EXECUTABLE_PATH "usr/local/sbin/byoh-install"
#define BYOH_SBOM_PATH "var/lib/byoh/sbom.spdx.json"

#endif
